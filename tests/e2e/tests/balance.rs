//! The balancer with real host processes: kills, restarts, draining and hostile clients.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trawl_e2e::DEADLINE;
use trawl_e2e::fleet::{Balance, Fleet};
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};

async fn until_state(fleet: &Fleet, index: usize, states: &[&str]) {
    eventually(
        &format!("replica {index} is one of {states:?}"),
        DEADLINE,
        || async {
            states
                .contains(&fleet.state(index).await.as_str())
                .then_some(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_under_load_costs_no_request_and_comes_back() {
    let balance = Balance {
        fail_timeout: "500ms",
        slow_start: "2s",
        ..Balance::new("round-robin", [1, 1, 1])
    };
    let mut fleet = Fleet::start(balance, &[]).await;
    let load = fleet.load(16);
    load.more(200).await;
    fleet.kill(1);
    load.more(200).await;
    until_state(&fleet, 1, &["benched", "trial", "down"]).await;
    let without = fleet.calls(60, 4).await.of_three();
    assert_eq!(without[1], 0, "{without:?}");
    assert!(without[0] >= 20 && without[2] >= 20, "{without:?}");
    fleet.restart(1).await;
    until_state(&fleet, 1, &["warming", "up"]).await;
    until_state(&fleet, 1, &["up"]).await;
    let spread = load.finish().await;
    assert_eq!(spread.failures, Vec::<String>::new());
    let again = fleet.calls(90, 4).await.of_three();
    assert!(
        again.iter().all(|count| count.abs_diff(30) <= 3),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_with_draining_loses_nothing() {
    let balance = Balance {
        fail_timeout: "500ms",
        ..Balance::new("least-conn", [1, 1, 1])
    };
    let mut fleet = Fleet::start(balance, &[]).await;
    let load = fleet.load(8);
    for index in 0..3 {
        fleet
            .apply(Balance {
                drained: Some(index),
                ..balance
            })
            .await;
        eventually("the drained one is empty", DEADLINE, || async {
            (fleet.balance().await["replicas"][index]["in_flight"] == 0).then_some(())
        })
        .await;
        let mut host = fleet.replicas[index].take().unwrap();
        let status = host
            .terminate(Duration::from_secs(20))
            .await
            .expect("it stops in time");
        assert_eq!(status.code(), Some(0));
        fleet.restart(index).await;
        fleet.apply(balance).await;
        load.more(50).await;
    }
    let spread = load.finish().await;
    assert_eq!(spread.failures, Vec::<String>::new());
    assert!(
        spread.of_three().iter().all(|count| *count > 0),
        "{spread:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_without_draining_costs_no_idempotent_request() {
    let balance = Balance {
        fail_timeout: "500ms",
        ..Balance::new("round-robin", [1, 1, 1])
    };
    let mut fleet = Fleet::start(balance, &[]).await;
    let load = fleet.load(8);
    for index in 0..3 {
        load.more(50).await;
        let mut host = fleet.replicas[index].take().unwrap();
        host.terminate(Duration::from_secs(20))
            .await
            .expect("it stops in time");
        load.more(50).await;
        fleet.restart(index).await;
        until_state(&fleet, index, &["up"]).await;
    }
    assert_eq!(load.finish().await.failures, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_the_replicas_and_nobody_else_does() {
    let host = Host::start_with(HostOptions::default().with(&[
        "--replicas",
        "2",
        "--balance",
        "weighted",
    ]))
    .await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    for _ in 0..10 {
        assert_eq!(node.get("/test_endpoint").await.status, 200);
    }
    let balance = node.get("/balance").await.json();
    assert_eq!(balance["strategy"], "weighted");
    let replicas = balance["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 2);
    for replica in replicas {
        assert_eq!(replica["state"], "up");
        assert!(replica["served"].as_u64().unwrap() >= 5, "{replica}");
        assert!(
            replica["latency_ms"]["p50"].as_f64().unwrap() > 0.0,
            "{replica}"
        );
    }
    let metrics = node.get("/metrics").await.text();
    assert!(
        metrics.contains("trawl_replica_served_total{replica="),
        "{metrics}"
    );
    let answer = node
        .send("GET", "/balance", &[("x-forwarded-for", "192.0.2.1")], "")
        .await;
    assert_eq!(
        answer.status, 403,
        "it came through a proxy, so it is not from this machine"
    );
}

async fn raw(host: &Host, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.base().trim_start_matches("http://"))
        .await
        .unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(DEADLINE, reading)
        .await
        .expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn rude_clients_are_answered_and_let_go() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    for (bytes, status) in [
        (format!("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(17_000)), "431"),
        (format!("GET /livez HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101)), "431"),
        ("POST /receive_data HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n".to_owned(), "413"),
        (
            "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            "400",
        ),
        ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("GET /livez HTTP/1.1\r\nHost: a\r\n".to_owned(), "408"),
    ] {
        let answer = raw(&host, bytes.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    let pipeline = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /test_endpoint HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(&host, pipeline.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    assert!(
        answer.ends_with("\"request received.\"}"),
        "in order: {answer}"
    );
    assert_eq!(node.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_cost_little_and_disturb_nobody() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let before = host.resident_bytes();
    let mut idle = Vec::new();
    for _ in 0..900 {
        idle.push(
            TcpStream::connect(host.base().trim_start_matches("http://"))
                .await
                .unwrap(),
        );
    }
    let message = json!({"request_url": "http://127.0.0.1:9/", "type": 1});
    assert_eq!(node.post("/receive_data", &message).await.status, 202);
    let grown = host.resident_bytes().saturating_sub(before);
    // A request was served meanwhile; an instance may have been made for it.
    assert!(grown < 64 << 20, "{grown} bytes more");
}
