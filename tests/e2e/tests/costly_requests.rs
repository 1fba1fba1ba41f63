//! Requests that hash a password: all replicas together work on two at once, and nobody else waits for them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use trawl_core::limits::account::{HASHES_AT_ONCE_MAX, HASHES_WAITING_MAX};
use trawl_e2e::DEADLINE;
use trawl_kit::api::{Node, PASSWORD};
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::http_client::Answer;
use trawl_kit::prometheus::Metrics;

async fn register(node: Node, email: String) -> Answer {
    let body = json!({"email": email, "password": PASSWORD});
    node.post("/users/", &body).await
}

/// The writer waits for a lock of ours, so that registrations keep their places after the hash. The replicas together have
/// eighteen places, for those that run and those that wait; each alone would have as many, and none would be refused.
#[tokio::test(flavor = "multi_thread")]
async fn password_hashes_are_limited_over_all_replicas_and_keep_nobody_else_waiting() {
    let options = HostOptions::default().with(&["--replicas", "3"]);
    let host = Host::start_with(options).await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let other = rusqlite::Connection::open(host.database()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    let places = HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX as usize;
    let started = tokio::time::Instant::now();
    // On a machine so slow that the first are answered before the last have come, the next wave will do.
    let mut wave = 0;
    let refused = loop {
        assert!(started.elapsed() < DEADLINE, "nobody was refused");
        wave += 1;
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut requests = JoinSet::new();
        for number in 0..places + 8 {
            let email = format!("{wave}.{number}@example.org");
            requests.spawn(register(node.clone(), email));
        }
        let first = requests.join_next().await.unwrap().unwrap();
        let keys = node.get("/keys").await;
        assert_eq!(keys.status, 200, "{}", keys.text());
        other.execute_batch("ROLLBACK").unwrap();
        let mut answers = requests.join_all().await;
        answers.push(first);
        let refused: Vec<_> = answers.into_iter().filter(is_refused).collect();
        if !refused.is_empty() {
            break refused;
        }
    };
    assert!(refused.len() <= 8, "as many as have a place are let in");
    for answer in &refused {
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["success"], false);
    }
    let metrics = Metrics::parse(&node.get("/metrics").await.text());
    let of_auth =
        |name: &str| metrics.get(&format!("trawl_component_{name}{{component=\"auth\"}}"));
    assert_eq!(of_auth("refused_total"), Some(refused.len() as f64));
    assert_eq!(of_auth("requests_waiting"), Some(0.0));
    let late = register(node.clone(), "late@example.org".to_owned()).await;
    assert_eq!(
        late.status,
        200,
        "the places are given back: {}",
        late.text()
    );
}

/// 429 is ours; whoever had a place is registered, or learns after a while that the database was locked.
fn is_refused(answer: &Answer) -> bool {
    let code = answer.json()["code"].as_str().map(str::to_owned);
    match (answer.status, code.as_deref()) {
        (429, Some("busy")) => true,
        (200, None) | (503, Some("database_unavailable")) => false,
        _ => panic!("{} {}", answer.status, answer.text()),
    }
}
