//! The flow that every host must show, written once and run against each: embedded, with a real Redis,
//! with the doorbell off, and under `spin up`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

pub mod fleet;

use std::time::Duration;

use serde_json::{Value, json};
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::origin::Origin;
use trawl_kit::receiver::{Received, Receiver, Reply};

/// How long a job may take in a test; the machines are shared and slow.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// A node, a page and a receiver.
pub struct Scene {
    /// The logged-in node.
    pub node: Node,
    /// The pages.
    pub origin: Origin,
    /// Where callbacks go.
    pub receiver: Receiver,
}

impl Scene {
    /// Starts origin and receiver, registers a node.
    pub async fn set(base: &str) -> Self {
        let node = Node::log_in(base, "node@example.org").await;
        let (origin, receiver) = (Origin::start().await, Receiver::start().await);
        receiver.add_secret(&node.webhook_secret().await);
        Self {
            node,
            origin,
            receiver,
        }
    }

    /// Posts `path` of the origin as `kind` with a callback and waits for the end; gives back the message.
    pub async fn scrape(&self, kind: u8, path: &str) -> Value {
        let body = json!({"user_Id": "node-7", "request_url": self.origin.url(path), "type": kind, "callback_url": self.receiver.url("/hook")});
        let id = self.node.submit(&body).await;
        self.node.wait_finished(id, DEADLINE).await
    }

    /// Waits for the callback of a message.
    pub async fn callback(&self, id: i64) -> Received {
        eventually(
            &format!("the callback of message {id}"),
            DEADLINE,
            || async { self.receiver.for_message(id).into_iter().next() },
        )
        .await
    }
}

/// The whole job, for each type: accepted, fetched, extracted, stored, called back with a signature that verifies.
pub async fn whole_flow(base: &str) {
    let scene = Scene::set(base).await;
    for kind in 1..=3 {
        let message = scene
            .scrape(kind, "/doc/book/ch01-01-installation.html")
            .await;
        assert_eq!(message["status"], "done", "type {kind}: {message}");
        check_message(&scene, kind, &message);
        let id = message["id"].as_i64().unwrap();
        let callback = scene.callback(id).await;
        assert_eq!(
            callback.verified,
            Some(true),
            "the signature verifies: {callback:?}"
        );
        assert_eq!(
            (&callback.body["status"], &callback.body["user_id"]),
            (&json!("OK"), &json!("node-7")),
            "{callback:?}"
        );
        check_result(&scene, kind, id).await;
        eventually("the delivery is recorded", DEADLINE, || async {
            (scene.node.message(id).await["callback_status"] == "delivered").then_some(())
        })
        .await;
        let deliveries = scene.node.get(&format!("/messages/{id}/deliveries")).await;
        assert_eq!(deliveries.status, 200);
        assert_eq!(
            deliveries.json()["data"][0]["status"],
            204,
            "{}",
            deliveries.text()
        );
    }
}

/// What a node may want later: a page once more, a page no longer, and a receiver that was down for a moment.
pub async fn second_thoughts(base: &str) {
    let scene = Scene::set(base).await;
    let message = scene.scrape(2, "/odd/plain").await;
    let id = message["id"].as_i64().unwrap();
    let first = scene.callback(id).await;
    let asked = scene
        .node
        .post(&format!("/messages/{id}/retry"), &json!({}))
        .await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let again = eventually("the page was fetched once more", DEADLINE, || async {
        scene.receiver.for_message(id).into_iter().nth(1)
    })
    .await;
    assert_eq!(again.verified, Some(true), "{again:?}");
    assert_ne!(
        first.webhook_id, again.webhook_id,
        "a retry is another event"
    );
    assert_eq!(scene.origin.hits("/odd/plain"), 2);

    let path = "/odd/stall";
    let unwanted = scene
        .node
        .submit(&json!({"request_url": scene.origin.url(path), "type": 2, "callback_url": scene.receiver.url("/hook")}))
        .await;
    eventually("the page is being fetched", DEADLINE, || async {
        (scene.origin.hits(path) > 0).then_some(())
    })
    .await;
    let cancelled = scene.node.cancel(unwanted).await;
    assert_eq!(cancelled.status, 204, "{}", cancelled.text());
    let message = scene.node.message(unwanted).await;
    assert_eq!(message["status"], "cancelled", "{message}");

    scene.receiver.script("/moody", [Reply::status(500)]);
    let body = json!({"request_url": scene.origin.url("/odd/gzip"), "type": 1, "callback_url": scene.receiver.url("/moody")});
    let id = scene.node.submit(&body).await;
    let calls = eventually("the callback came a second time", DEADLINE, || async {
        let calls = scene.receiver.for_message(id);
        (calls.len() == 2).then_some(calls)
    })
    .await;
    assert_eq!(
        (calls[0].answered, calls[1].answered),
        (500, 204),
        "{calls:?}"
    );
    assert_eq!(
        calls[0].webhook_id, calls[1].webhook_id,
        "one event keeps its id"
    );
    assert_eq!(scene.receiver.for_message(unwanted).len(), 0);
}

fn check_message(scene: &Scene, kind: u8, message: &Value) {
    assert_eq!(message["type"], kind, "{message}");
    assert_eq!(message["user_Id"], "node-7", "{message}");
    assert_eq!(message["is_processed"], true, "{message}");
    assert_eq!(message["is_processing"], false, "{message}");
    assert_eq!(message["error"], Value::Null, "{message}");
    assert_eq!(
        message["callback_url"],
        json!(scene.receiver.url("/hook")),
        "{message}"
    );
    let complete = message["date_process_complete"]
        .as_str()
        .unwrap_or_default();
    assert!(
        complete.len() == 24 && complete.ends_with('Z'),
        "RFC 3339 with milliseconds: {complete}"
    );
}

async fn check_result(scene: &Scene, kind: u8, id: i64) {
    let path = format!("/messages/{id}/result");
    let as_json = scene
        .node
        .send("GET", &path, &[("accept", "application/json")], "")
        .await;
    assert_eq!(as_json.status, 200, "{}", as_json.text());
    let result = as_json.json();
    match kind {
        1 => {
            assert!(
                result["text"].as_str().unwrap().contains("rustup"),
                "{result}"
            );
            assert!(
                result["title"].as_str().unwrap().contains("Installation"),
                "{result}"
            );
            let markdown = scene
                .node
                .send("GET", &path, &[("accept", "text/markdown")], "")
                .await;
            assert!(
                markdown.header("content-type").starts_with("text/markdown"),
                "{}",
                markdown.header("content-type")
            );
            assert!(markdown.text().contains("## "), "{}", markdown.text());
            let text = scene
                .node
                .send("GET", &path, &[("accept", "text/plain")], "")
                .await;
            assert_eq!(text.text(), result["text"].as_str().unwrap());
        }
        2 => {
            let html = scene
                .node
                .send("GET", &path, &[("accept", "text/html")], "")
                .await;
            assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
            assert!(
                html.text().starts_with("<!DOCTYPE"),
                "{}",
                &html.text()[..80]
            );
            assert_eq!(result["html"].as_str().unwrap(), html.text());
            assert_eq!(result["status"], 200);
        }
        _ => {
            assert_eq!(result["domain"], "127.0.0.1", "{result}");
            let domains: Vec<&str> = result["domains"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|d| d["domain"].as_str())
                .collect();
            assert!(
                domains.contains(&"rustup.rs") || domains.contains(&"rust-lang.org"),
                "{domains:?}"
            );
        }
    }
}
