//! What operators see: `/balance` and `/metrics` of the real host, and who sees it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use trawl_e2e::{DEADLINE, Scene};
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::http_client::HttpClient;
use trawl_kit::prometheus::Metrics;

async fn metrics(node: &Node) -> Metrics {
    let answer = node.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    Metrics::parse(&answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_follow_what_the_host_does() {
    let options = HostOptions::default().with(&["--replicas", "2"]);
    let host = Host::start_with(options).await;
    let scene = Scene::set(host.base()).await;
    let before = metrics(&scene.node).await;
    let message = scene.scrape(1, "/doc/book/ch01-01-installation.html").await;
    assert_eq!(message["status"], "done", "{message}");
    scene.callback(message["id"].as_i64().unwrap()).await;
    let after = metrics(&scene.node).await;
    for grown in [
        "trawl_balance_requests_total",
        "trawl_replica_served_total",
        "trawl_component_requests_total",
        "trawl_component_invocations_total",
        "trawl_component_instances_total",
        "trawl_sqlite_batch_statements_count",
        "trawl_sqlite_batch_statements_sum",
        "trawl_sqlite_commit_seconds_total",
        "trawl_sqlite_reads_total",
        "trawl_outbound_requests_total",
        "trawl_outbound_connections_opened_total",
        "trawl_queue_finished_total",
        "process_cpu_seconds_total",
    ] {
        assert!(
            after.sum(grown) > before.sum(grown),
            "{grown} has not grown"
        );
    }
    assert!(after.sum("trawl_component_instances") >= 1.0);
    let resident = after.sum("process_resident_memory_bytes");
    assert!((1e6..1e9).contains(&resident), "{resident}");
    assert!(after.sum("process_open_fds") < after.sum("process_max_fds"));
    assert!(after.sum("trawl_sqlite_file_bytes") > 0.0);
    assert!(after.sum("trawl_connections") >= 1.0);
    assert!(after.sum("trawl_connections_accepted_total") >= 1.0);
    let batches = "trawl_sqlite_batch_statements";
    assert_eq!(after.kind(batches), Some("histogram"));
    assert_eq!(
        after.get(&format!("{batches}_bucket{{le=\"+Inf\"}}")),
        after.get(&format!("{batches}_count"))
    );
    assert_eq!(
        after.kind("trawl_replica_latency_seconds"),
        Some("histogram")
    );
    for there in [
        "trawl_component_traps_total",
        "trawl_component_messages_queued",
        "trawl_replica_queued",
        "trawl_sqlite_writes_waiting",
        "trawl_sqlite_wal_bytes",
        "trawl_outbound_connections_idle",
        "trawl_queue_oldest_age_seconds",
        "trawl_queues_readable",
    ] {
        assert!(after.kind(there).is_some(), "{there} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_depths_are_those_of_the_database() {
    // Nothing is rung for, so what is accepted stays in the queue.
    let options = HostOptions::default()
        .variable("stopping", "1")
        .with(&["--doorbell", "off"]);
    let host = Host::start_with(options).await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    for (kind, count) in [(1, 3), (2, 2)] {
        for number in 0..count {
            // A host each: of one host only so many are ready at once.
            let url = format!("http://127.3.{kind}.{number}:9/");
            node.submit(&json!({"request_url": url, "type": kind}))
                .await;
        }
    }
    let depth = |metrics: &Metrics, queue: &str| {
        metrics.get(&format!(
            "trawl_queue_messages{{queue=\"{queue}\",state=\"ready\"}}"
        ))
    };
    eventually("the depths are shown", DEADLINE, || async {
        let metrics = metrics(&node).await;
        let depths = [
            depth(&metrics, "type_1_queue"),
            depth(&metrics, "type_2_queue"),
            depth(&metrics, "type_3_queue"),
        ];
        (depths == [Some(3.0), Some(2.0), Some(0.0)]).then_some(())
    })
    .await;
    let balance = node.get("/balance").await.json();
    assert_eq!(balance["host"]["queues"]["type_1_queue"]["ready"], 3);
    assert!(balance["host"]["database"]["batches"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_operators_come_with_it() {
    let options = HostOptions::default().with(&["--admin-token", "correct horse battery"]);
    let host = Host::start_with(options).await;
    let http = HttpClient::default();
    let status = async |fields: &[(&str, &str)]| {
        let mut of_both = Vec::new();
        for path in ["/balance", "/metrics"] {
            let mut request = http::Request::get(format!("{}{path}", host.base()));
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let answer = http
                .send(request.body(Bytes::new()).unwrap())
                .await
                .unwrap();
            of_both.push(answer.status);
        }
        assert_eq!(of_both[0], of_both[1]);
        of_both[0]
    };
    // A proxy on this machine that adds no field looks like this.
    assert_eq!(status(&[]).await, 403);
    for through_a_proxy in [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 front"),
        ("host", "trawl.example"),
    ] {
        assert_eq!(status(&[through_a_proxy]).await, 403, "{through_a_proxy:?}");
        let token = ("authorization", "Bearer correct horse battery");
        assert_eq!(status(&[through_a_proxy, token]).await, 200);
        let wrong = ("authorization", "Bearer correct horse batterz");
        assert_eq!(status(&[through_a_proxy, wrong]).await, 403);
    }
}

/// What is accepted into a file that makes no sense may be gone with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_takes_nothing_more() {
    let state = tempfile::tempdir().unwrap();
    let options = HostOptions {
        state_directory: Some(state.path().to_owned()),
        ..HostOptions::default()
    };
    let mut host = Host::start_with(options.clone()).await;
    let body = json!({"request_url": "http://127.0.0.1:9/", "type": 2});
    let node = Node::log_in(host.base(), "before@example.org").await;
    node.submit(&body).await;
    host.terminate(DEADLINE).await.expect("it ends");
    spoil(&host.database(), "api_keys_account");

    let host = Host::start_with(options).await;
    let node = Node::log_in(host.base(), "after@example.org").await;
    let damaged = async || metrics(&node).await.sum("trawl_sqlite_damaged");
    assert!(damaged().await < 0.5, "nothing came upon it yet");
    let keys = node.get("/keys").await;
    assert_eq!(keys.status, 503, "{}", keys.text());
    assert!(damaged().await > 0.5);
    let refused = node.post("/receive_data", &body).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let ready = node.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("malformed"), "{}", ready.text());
    let readable = node.get("/messages").await;
    assert_eq!(readable.status, 200, "{}", readable.text());
}

/// Writes over the first page of a table or an index.
fn spoil(database: &Path, name: &str) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let asked = "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = ?1";
    let (page, size): (usize, usize) = connection
        .query_row(asked, [name], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    drop(connection);
    let mut bytes = std::fs::read(database).unwrap();
    bytes[size * (page - 1)..size * page].fill(0xa5);
    std::fs::write(database, bytes).unwrap();
}
