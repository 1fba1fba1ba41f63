//! Odd pages: each ends as it should, with a reason where it fails, and nothing else notices.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use serde_json::{Value, json};
use trawl_e2e::{DEADLINE, Scene};
use trawl_kit::host::Host;
use trawl_kit::origin::Origin;

async fn result(scene: &Scene, message: &Value) -> Value {
    assert_eq!(message["status"], "done", "{message}");
    let path = format!("/messages/{}/result", message["id"]);
    scene
        .node
        .send("GET", &path, &[("accept", "application/json")], "")
        .await
        .json()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_but_odd_pages_are_read() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    for (path, kind, field, wanted) in [
        ("/odd/latin1", 2, "html", "Ein Café in Köln, mit £ und ü."),
        ("/odd/meta-sjis", 2, "html", "日本語のページ"),
        ("/odd/utf16", 2, "html", "sixteen bits ✓"),
        ("/odd/gzip", 1, "text", "The kestrel hovers"),
        ("/odd/deflate", 1, "text", "The kestrel hovers"),
        ("/odd/brotli", 1, "text", "The kestrel hovers"),
        ("/odd/redirect", 1, "text", "The kestrel hovers"),
        ("/odd/broken", 2, "html", "never closed"),
        ("/odd/cookie", 1, "text", "session=abc"),
        ("/odd/slow", 2, "html", "Piece 9"),
        ("/odd/json", 2, "html", "{\"a\":1}"),
        ("/odd/echo-agent", 2, "html", "trawl"),
    ] {
        let message = scene.scrape(kind, path).await;
        let result = result(&scene, &message).await;
        assert!(
            result[field].as_str().unwrap_or_default().contains(wanted),
            "{path}: {result}"
        );
    }
    let message = scene.scrape(1, "/odd/redirect").await;
    let redirected = result(&scene, &message).await;
    assert_eq!(
        redirected["final_url"],
        json!(scene.origin.url("/odd/plain"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn related_domains_are_found_with_their_relation() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    let message = scene.scrape(3, "/odd/links").await;
    let result = result(&scene, &message).await;
    let domains = result["domains"].as_array().unwrap();
    let find = |domain: &str| {
        domains
            .iter()
            .find(|d| d["domain"] == domain)
            .unwrap_or_else(|| panic!("{domain} is missing: {result}"))
    };
    assert_eq!(find("rust-lang.org")["count"], 2);
    assert_eq!(find("rust-lang.org")["relation"], "external");
    assert_eq!(find("example.co.uk")["hosts"].as_array().unwrap().len(), 2);
    assert!(
        find("example.com")["sources"]
            .as_array()
            .unwrap()
            .contains(&json!("script"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_pages_fail_with_their_reason() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    for (path, kind) in [
        ("/odd/missing", 1),
        ("/odd/binary", 1),
        ("/odd/png", 2),
        ("/odd/bomb", 2),
        ("/odd/endless", 2),
        ("/odd/huge", 2),
        ("/odd/redirect-loop", 1),
        ("/odd/redirect-private", 1),
        ("/odd/redirect-file", 1),
        ("/forbidden/page", 1),
    ] {
        let message = scene.scrape(kind, path).await;
        assert_eq!(message["status"], "failed", "{path}: {message}");
        assert_eq!(message["error"]["permanent"], true, "{path}: {message}");
        assert!(
            message["error"]["code"]
                .as_str()
                .is_some_and(|c| !c.is_empty()),
            "{path}: {message}"
        );
        let callback = scene.callback(message["id"].as_i64().unwrap()).await;
        assert_eq!(
            (callback.verified, &callback.body["status"]),
            (Some(true), &json!("FAILED")),
            "{path}: {callback:?}"
        );
    }
    let private = scene.scrape(1, "/odd/redirect-private").await;
    assert_eq!(private["error"]["code"], "address_not_allowed", "{private}");
    assert_eq!(
        scene.scrape(1, "/odd/plain").await["status"],
        "done",
        "the service goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_failures_are_tried_again_later() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    // It asks for an hour, for its whole host: so it has one of its own.
    let limits = Origin::start_on(([127, 0, 0, 2], 0).into()).await;
    let mut failing = Vec::new();
    for (origin, path, attempts) in [
        (&scene.origin, "/odd/error", 2),
        (&scene.origin, "/odd/lying-length", 2),
        (&limits, "/odd/unavailable", 1),
    ] {
        let body = json!({"request_url": origin.url(path), "type": 1});
        failing.push((path, attempts, scene.node.submit(&body).await));
    }
    for (path, attempts, id) in failing {
        let what = format!("{path} was tried as often as {attempts} times");
        let message = trawl_kit::eventually(&what, DEADLINE, || async {
            let message = scene.node.message(id).await;
            (message["attempts"].as_i64() >= Some(attempts) && message["status"] == "queued")
                .then_some(message)
        })
        .await;
        assert_eq!(message["error"]["permanent"], false, "{path}: {message}");
        assert_eq!(scene.node.cancel(id).await.status, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_ends_harms_only_its_own_job() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    let mut bad = Vec::new();
    for path in ["/odd/stall", "/odd/deep", "/odd/endless", "/odd/bomb"] {
        bad.push(
            scene
                .node
                .submit(&json!({"request_url": scene.origin.url(path), "type": 1}))
                .await,
        );
    }
    let started = std::time::Instant::now();
    let message = scene.scrape(1, "/odd/plain").await;
    assert_eq!(message["status"], "done", "{message}");
    assert!(
        started.elapsed() < std::time::Duration::from_secs(10),
        "a neighbour waited {:?}",
        started.elapsed()
    );
    for id in bad {
        scene.node.cancel(id).await;
    }
}
