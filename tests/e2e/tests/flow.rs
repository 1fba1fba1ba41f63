//! The main job on each host.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

mod under_spin;

use std::time::Duration;

use serde_json::json;
use trawl_e2e::{DEADLINE, Scene, second_thoughts, whole_flow};
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::origin::Origin;
use trawl_kit::redis::RedisServer;
use trawl_kit::relay::Relay;

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let host = Host::start().await;
    whole_flow(host.base()).await;
    second_thoughts(host.base()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_redis() {
    let redis = RedisServer::start().await;
    let host = Host::start_with(HostOptions::default().with(&["--redis", &redis.url()])).await;
    whole_flow(host.base()).await;
}

/// A NAT or a failover forgets connections and tells neither end. What is left of them still counts as listeners of `tick` in
/// Redis, so that a clock which trusts in their number never rings here again.
#[tokio::test(flavor = "multi_thread")]
async fn redis_connections_that_die_without_a_word() {
    let redis = RedisServer::start().await;
    let relay = Relay::start(redis.url().trim_start_matches("redis://"), Duration::ZERO).await;
    let through = format!("redis://{}", relay.authority());
    let host = Host::start_with(HostOptions::default().with(&["--redis", &through])).await;
    let scene = Scene::set(host.base()).await;
    let before = scene.scrape(1, "/odd/plain").await;
    assert_eq!(before["status"], "done", "{before}");
    assert_eq!(listeners(&redis).await, Some(1));
    relay.forget_connections();
    let after = scene.scrape(1, "/odd/plain").await;
    assert_eq!(after["status"], "done", "{after}");
    eventually("the host listens anew", DEADLINE, || async {
        (listeners(&redis).await? == 2).then_some(())
    })
    .await;
}

/// The client of a proxy that speaks TLS is told an address that it can ask; whoever is no proxy can't choose the scheme.
#[tokio::test(flavor = "multi_thread")]
async fn status_url_is_that_of_the_proxy_in_front() {
    let trusting = HostOptions::default().with(&["--trusted-proxy", "127.0.0.1/32"]);
    for (options, scheme) in [(trusting, "https"), (HostOptions::default(), "http")] {
        let host = Host::start_with(options).await;
        let node = Node::log_in(host.base(), "node@example.org").await;
        let fields = [
            ("content-type", "application/json"),
            ("host", "trawl.example"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
        ];
        let body = json!({"request_url": "http://example.org/", "type": 1}).to_string();
        let answer = node.send("POST", "/receive_data", &fields, body).await;
        let status_url = &answer.json()["data"]["status_url"];
        let begin = format!("{scheme}://trawl.example/messages/");
        assert!(
            status_url
                .as_str()
                .is_some_and(|url| url.starts_with(&begin)),
            "{}",
            answer.text()
        );
    }
}

/// A receiver reads the result where the callback says, unless nobody knows how it reaches the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_says_where_its_result_is() {
    let trusting = HostOptions::default().with(&["--trusted-proxy", "127.0.0.1/32"]);
    for (options, knows) in [(HostOptions::default(), true), (trusting, false)] {
        let host = Host::start_with(options).await;
        let scene = Scene::set(host.base()).await;
        let id = scene
            .node
            .submit(&json!({"request_url": scene.origin.url("/odd/slow"), "type": 1, "callback_url": scene.receiver.url("/hook")}))
            .await;
        let callback = scene.callback(id).await;
        let base = if knows { host.base() } else { "" };
        let url = format!("{base}/messages/{id}/result");
        assert_eq!(callback.body["result_url"], url, "{callback:?}");
    }
}

/// Who is subscribed to the dispatcher's channel, dead connections included.
async fn listeners(redis: &RedisServer) -> Option<i64> {
    let answer = redis.command(&[b"PUBSUB", b"NUMSUB", b"message_queue"]);
    let answer = String::from_utf8(answer.await.ok()?).ok()?;
    let (_, count) = answer.rsplit_once(':')?;
    count.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn doorbell_off() {
    let host = Host::start_with(HostOptions::default().with(&["--doorbell", "off"])).await;
    whole_flow(host.base()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_requests_and_say_who_they_are() {
    let host = Host::start_with(HostOptions::default().with(&["--replicas", "3"])).await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..30 {
        let answer = node.get("/test_endpoint").await.json();
        assert_eq!(answer["success"], true, "{answer}");
        *seen
            .entry(answer["data"]["id"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(seen.len(), 3, "three replicas answer: {seen:?}");
    assert!(
        seen.values().all(|&n| n == 10),
        "round robin shares evenly: {seen:?}"
    );
}

/// A durable producer pushes to the list and then publishes an empty message; a plain one publishes the body.
#[tokio::test(flavor = "multi_thread")]
async fn redis_producers() {
    producers(HostOptions::default()).await;
}

async fn producers(options: HostOptions) {
    let redis = RedisServer::start().await;
    let host = Host::start_with(options.with(&["--redis", &redis.url()])).await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let origin = Origin::start().await;
    let request = |path: &str, label: &str| {
        json!({"account": "node@example.org", "user_Id": label, "request_url": origin.url(path), "type": 1}).to_string()
    };
    redis
        .command(&[
            b"LPUSH",
            b"data_queue",
            request("/odd/plain", "pushed").as_bytes(),
        ])
        .await
        .unwrap();
    redis
        .command(&[b"LPUSH", b"data_queue", b"{not json"])
        .await
        .unwrap();
    redis.publish("data_queue", b"").await.unwrap();
    redis
        .publish("data_queue", request("/odd/gzip", "published").as_bytes())
        .await
        .unwrap();
    let labels = eventually("both producers' requests are done", DEADLINE, || async {
        let list = node.get("/messages?status=done").await.json();
        let mut labels: Vec<String> = list["data"]
            .as_array()?
            .iter()
            .filter_map(|m| Some(m["user_Id"].as_str()?.to_owned()))
            .collect();
        labels.sort();
        (labels.len() == 2).then_some(labels)
    })
    .await;
    assert_eq!(labels, ["published", "pushed"]);
    eventually(
        "the malformed request is kept with its reason",
        DEADLINE,
        || async { (dead_requests(&host) == 1).then_some(()) },
    )
    .await;
}

/// They are read a few at a time, and no more of each than shows that it is too long: an instance that has 64 MiB lives.
#[tokio::test(flavor = "multi_thread")]
async fn long_entries_of_producers_keep_nobody_waiting() {
    const LONG: usize = 24;
    let redis = RedisServer::start().await;
    let options = HostOptions::default();
    let host =
        Host::start_with(options.with(&["--redis", &redis.url(), "--instance-memory-mb", "64"]))
            .await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let origin = Origin::start().await;
    let long = vec![b'x'; 4 * 1024 * 1024];
    for _ in 0..LONG {
        redis
            .command(&[b"RPUSH", b"data_queue", &long])
            .await
            .unwrap();
    }
    let request = json!({"account": "node@example.org", "user_Id": "behind", "request_url": origin.url("/odd/plain"), "type": 1});
    redis
        .command(&[b"RPUSH", b"data_queue", request.to_string().as_bytes()])
        .await
        .unwrap();
    redis.publish("data_queue", b"").await.unwrap();
    eventually("what came behind them is done", DEADLINE, || async {
        let list = node.get("/messages?status=done").await.json();
        (list["data"].as_array()?.len() == 1).then_some(())
    })
    .await;
    eventually("each is kept with its reason", DEADLINE, || async {
        (dead_requests(&host) == LONG as i64).then_some(())
    })
    .await;
}

fn dead_requests(host: &Host) -> i64 {
    let database = rusqlite::Connection::open_with_flags(
        host.database(),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .expect("the host's database");
    database
        .query_row(
            "SELECT count(*) FROM dead_requests WHERE reason <> ''",
            [],
            |row| row.get(0),
        )
        .expect("the table of the contract")
}

/// What was accepted before a kill is finished after a start on the same state directory.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_work_survives_kill_and_restart() {
    kill_and_restart(HostOptions::default()).await;
}

async fn kill_and_restart(options: HostOptions) {
    let directory = tempfile::tempdir().unwrap();
    let options = || {
        HostOptions {
            state_directory: Some(directory.path().to_owned()),
            ..options.clone()
        }
        .variable("lease_seconds", "3")
    };
    let mut host = Host::start_with(options()).await;
    let scene = Scene::set(host.base()).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(scene.node.submit(&json!({"request_url": scene.origin.url("/odd/slow"), "type": 1, "callback_url": scene.receiver.url("/hook")})).await);
    }
    host.kill();
    let host = Host::start_with(options()).await;
    let node = scene.node.at(host.base());
    for id in ids {
        let message = node.wait_finished(id, Duration::from_secs(60)).await;
        assert_eq!(message["status"], "done", "{message}");
        let callback = scene.callback(id).await;
        assert_eq!(callback.verified, Some(true), "{callback:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_running_work_and_exits_zero() {
    let mut host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    let id = scene
        .node
        .submit(&json!({"request_url": scene.origin.url("/odd/slow"), "type": 1}))
        .await;
    eventually("the page is being fetched", DEADLINE, || async {
        (scene.origin.hits("/odd/slow") > 0).then_some(())
    })
    .await;
    let status = host
        .terminate(Duration::from_secs(15))
        .await
        .expect("the host ends within its 10 s");
    assert!(status.success(), "{status}");
    let again = Host::start_with(HostOptions {
        state_directory: Some(host.state_directory().to_owned()),
        ..HostOptions::default()
    })
    .await;
    let node = scene.node.at(again.base());
    assert_eq!(node.wait_finished(id, DEADLINE).await["status"], "done");
}
