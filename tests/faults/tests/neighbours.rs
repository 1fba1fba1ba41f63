//! Neighbours: one account has ten thousand waiting, or endpoints that answer nobody, and another must hardly notice.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trawl_faults::audit;
use trawl_faults::stage::Stage;
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::HostOptions;
use trawl_kit::receiver::Receiver;

const DEADLINE: Duration = Duration::from_secs(120);
const NOISE: usize = 10_000;
/// Of these, what is to wait when it is measured: some are done while others are posted.
const WAITING_MIN: i64 = 7_500;
const SAMPLES: usize = 40;
const BURST: usize = 40;
const ROUNDS: usize = 3;

/// What is measured here are waits: two tests at once would measure each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Milliseconds from the post to the claim, and to the end, of each message.
fn waits_ms(stage: &Stage, ids: &[i64]) -> (Vec<f64>, Vec<f64>) {
    let connection = audit::open(stage.host.state_directory()).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT (SELECT MIN(at_ms) FROM events WHERE message_id = Id AND to_state = 'processing') - added_ms,
                    finished_ms - added_ms FROM Messages WHERE Id = ?1",
        )
        .unwrap();
    ids.iter()
        .map(|id| {
            statement
                .query_row([id], |row| {
                    Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?))
                })
                .unwrap()
        })
        .unzip()
}

fn percentile(sample: &[f64], percent: usize) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Posts `SAMPLES` pages, one after the other, each when the one before is finished.
async fn sample(stage: &Stage, node: &Node) -> (Vec<f64>, Vec<f64>) {
    let mut ids = Vec::new();
    for n in 0..SAMPLES {
        // Twenty hosts of its own, so that their pace is not what is measured.
        let url = stage
            .origin
            .url_on(&format!("127.9.0.{}", 1 + n % 20), "/odd/slow");
        let id = node.submit(&json!({"request_url": url, "type": 1})).await;
        node.wait_finished(id, DEADLINE).await;
        ids.push(id);
    }
    waits_ms(stage, &ids)
}

/// Posts `BURST` pages at once, and waits until all are finished.
async fn burst(stage: &Stage, node: &Node) -> Vec<i64> {
    let posts: Vec<_> = (0..BURST)
        .map(|n| {
            let url = stage
                .origin
                .url_on(&format!("127.9.0.{}", 1 + n % 20), "/odd/slow");
            let node = node.clone();
            tokio::spawn(async move { node.submit(&json!({"request_url": url, "type": 1})).await })
        })
        .collect();
    let mut ids = Vec::new();
    for post in posts {
        ids.push(post.await.unwrap());
    }
    for id in &ids {
        node.wait_finished(*id, DEADLINE).await;
    }
    ids
}

/// Some rounds of such a burst.
async fn bursts(stage: &Stage, node: &Node) -> (Vec<f64>, Vec<f64>) {
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        ids.extend(burst(stage, node).await);
    }
    waits_ms(stage, &ids)
}

/// The rule: with 10,000 of another account's messages waiting, the p95 of a quiet one is at most twice what it is alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_account_at_most_doubles_the_wait_of_a_quiet_one() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set(HostOptions::default()).await;
    let quiet = Node::log_in(stage.host.base(), "quiet@example.org").await;
    // Once unmeasured: the quiet account's hosts have told their robots.txt then.
    burst(&stage, &quiet).await;
    let (claims_alone, ends_alone) = sample(&stage, &quiet).await;
    let (burst_claims_alone, burst_ends_alone) = bursts(&stage, &quiet).await;
    let noisy = Arc::new(stage.node.clone());
    let port = stage.origin.port();
    let posting: Vec<_> = (0..20)
        .map(|part| {
            let noisy = Arc::clone(&noisy);
            tokio::spawn(async move {
                for n in 0..NOISE * 6 / 5 / 20 {
                    let n = part * NOISE / 20 + n;
                    let url = format!(
                        "http://127.8.{}.{}:{port}/odd/slow",
                        n / 250 % 4,
                        1 + n % 250
                    );
                    noisy.submit(&json!({"request_url": url, "type": 1})).await;
                }
            })
        })
        .collect();
    for task in posting {
        task.await.unwrap();
    }
    let before = waiting(&stage);
    let (claims_beside, ends_beside) = sample(&stage, &quiet).await;
    let (burst_claims_beside, burst_ends_beside) = bursts(&stage, &quiet).await;
    let after = waiting(&stage);
    println!(
        "| quiet account | alone p50 | alone p95 | beside p50 | beside p95 | ratio of p95 |\n| --- | --- | --- | --- | --- | --- |"
    );
    for (what, alone, beside) in [
        ("post to claim, ms", &claims_alone, &claims_beside),
        ("post to end, ms", &ends_alone, &ends_beside),
        (
            "forty at once: to claim",
            &burst_claims_alone,
            &burst_claims_beside,
        ),
        (
            "forty at once: to end",
            &burst_ends_alone,
            &burst_ends_beside,
        ),
    ] {
        println!(
            "| {what} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} |",
            percentile(alone, 50),
            percentile(alone, 95),
            percentile(beside, 50),
            percentile(beside, 95),
            percentile(beside, 95) / percentile(alone, 95)
        );
    }
    println!("the noisy account had {before} waiting before and {after} after");
    assert!(before > WAITING_MIN && after > 0, "the noise lasted");
    let ratio = percentile(&ends_beside, 95) / percentile(&ends_alone, 95);
    assert!(
        ratio <= 2.0,
        "the quiet account's p95 grew {ratio:.2} times"
    );
    // Forty at once need their share of the slots: half of them, since two accounts want them, and so twice the time; before that they wait
    // as long as a page takes, until slots come free. A tenth more is the machine's, which others use too.
    let most = 1.1 * (2.0 * percentile(&burst_ends_alone, 95) + percentile(&ends_alone, 95));
    let took = percentile(&burst_ends_beside, 95);
    assert!(
        took <= most,
        "p95 of forty at once is {took:.0} ms, of {most:.0} at most"
    );
}

fn waiting(stage: &Stage) -> i64 {
    audit::unfinished(&audit::open(stage.host.state_directory()).unwrap())
        .unwrap()
        .0
}

/// A place that takes connections and never says a word.
async fn silence() -> (u16, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (port, task)
}

/// The time from the end of a message to its callback, in milliseconds, for `count` messages one after the other.
async fn callback_waits_ms(
    stage: &Stage,
    node: &Node,
    receiver: &Receiver,
    count: usize,
) -> Vec<f64> {
    let mut waits = Vec::new();
    for n in 0..count {
        let url = stage
            .origin
            .url_on(&format!("127.7.0.{}", 1 + n % 20), "/odd/plain");
        let id = node
            .submit(
                &json!({"request_url": url, "type": 2, "callback_url": receiver.url("/healthy")}),
            )
            .await;
        eventually("the healthy endpoint is called", DEADLINE, || async {
            receiver.for_message(id).into_iter().next()
        })
        .await;
        let deliveries: Value = eventually("the delivery is on record", DEADLINE, || async {
            let deliveries = node.get(&format!("/messages/{id}/deliveries")).await.json();
            (!deliveries["data"].as_array()?.is_empty()).then_some(deliveries)
        })
        .await;
        assert_eq!(deliveries["data"][0]["status"], 204);
        let connection = audit::open(stage.host.state_directory()).unwrap();
        waits.push(
            connection
                .query_row(
                    "SELECT MIN(d.at_ms) - m.finished_ms FROM deliveries d JOIN Messages m ON m.Id = d.message_id WHERE m.Id = ?1",
                    [id],
                    |row| row.get::<_, f64>(0),
                )
                .unwrap(),
        );
    }
    waits
}

/// An account whose endpoints take the call and say nothing, each under a URL of its own, so that all of the callbacks' slots are
/// held for fifteen seconds each: another account's callbacks go out as before.
#[tokio::test(flavor = "multi_thread")]
async fn silent_endpoints_slow_nobody_elses_callbacks() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set(HostOptions::default()).await;
    let quiet = Node::log_in(stage.host.base(), "quiet@example.org").await;
    callback_waits_ms(&stage, &quiet, &stage.receiver, 5).await;
    let alone = callback_waits_ms(&stage, &quiet, &stage.receiver, 30).await;
    let (port, silent) = silence().await;
    for n in 0..400 {
        let url = stage
            .origin
            .url_on(&format!("127.6.0.{}", 1 + n % 200), "/odd/plain");
        let callback = format!("http://127.0.0.1:{port}/hook?message={n}");
        stage
            .node
            .submit(&json!({"request_url": url, "type": 2, "callback_url": callback}))
            .await;
    }
    let state = stage.host.state_directory();
    eventually("the silent endpoints hold many slots", DEADLINE, || async {
        let held: i64 = audit::open(state)
            .ok()?
            .query_row(
                "SELECT COUNT(*) FROM callbacks WHERE state = 'processing'",
                [],
                |row| row.get(0),
            )
            .ok()?;
        (held >= 100).then_some(())
    })
    .await;
    let started = Instant::now();
    let beside = callback_waits_ms(&stage, &quiet, &stage.receiver, 30).await;
    println!(
        "end of message to callback, ms: alone p50 {:.0} p95 {:.0}, beside silent endpoints p50 {:.0} p95 {:.0}; 30 in {:?}",
        percentile(&alone, 50),
        percentile(&alone, 95),
        percentile(&beside, 50),
        percentile(&beside, 95),
        started.elapsed()
    );
    assert!(
        percentile(&beside, 95) <= percentile(&alone, 95) + 250.0,
        "alone {alone:?}, beside {beside:?}"
    );
    silent.abort();
}
