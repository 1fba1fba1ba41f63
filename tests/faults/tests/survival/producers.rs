//! Producers that push to Redis: what they pushed is recorded once, whatever dies, and what is malformed is kept with its reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use trawl_faults::audit;
use trawl_faults::stage::Stage;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions, signal};
use trawl_kit::redis::RedisServer;

const DEADLINE: Duration = Duration::from_secs(120);

async fn stage_with(redis: &RedisServer) -> Stage {
    Stage::set(HostOptions::default().with(&["--redis", &redis.url()])).await
}

/// A request as a durable producer pushes it.
fn pushed(stage: &Stage, label: &str) -> Value {
    let mut body = stage.body("/odd/plain", label);
    body["account"] = json!(stage.node.email);
    body
}

async fn push(redis: &RedisServer, body: &str) -> anyhow::Result<i64> {
    redis
        .number(&[b"RPUSH", b"data_queue", body.as_bytes()])
        .await
}

/// How often each label was recorded.
fn labels(state: &Path) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for row in audit::rows(&audit::open(state).unwrap()).unwrap() {
        *count.entry(row.label).or_default() += 1;
    }
    count
}

/// Waits until every one of `expected` is recorded, and fails when one is twice.
async fn all_recorded_once(state: &Path, expected: &[String]) {
    eventually("all that was pushed is recorded", DEADLINE, || async {
        let labels = labels(state);
        expected
            .iter()
            .all(|label| labels.contains_key(label))
            .then_some(())
    })
    .await;
    let twice: Vec<_> = labels(state)
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .collect();
    assert!(twice.is_empty(), "recorded more than once: {twice:?}");
}

/// Pushes a request for each label while another process holds the database, and waits until the host has taken some of them.
/// They are recorded when the connection that comes back lets go.
async fn taken_and_not_recorded(
    stage: &Stage,
    redis: &RedisServer,
    labels: &[String],
) -> rusqlite::Connection {
    let file = audit::database_file(stage.host.state_directory()).unwrap();
    let other = rusqlite::Connection::open(file).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // At once, or a tick of the clock in between takes a part of them.
    let bodies: Vec<_> = labels
        .iter()
        .map(|label| pushed(stage, label).to_string())
        .collect();
    let command = [&b"RPUSH"[..], b"data_queue"].into_iter();
    let command: Vec<&[u8]> = command.chain(bodies.iter().map(String::as_bytes)).collect();
    redis.number(&command).await.unwrap();
    redis.publish("data_queue", b"").await.unwrap();
    eventually("the host has taken a batch", DEADLINE, || async {
        (redis.number(&[b"ZCARD", b"data_queue:taking"]).await.ok()? > 0).then_some(())
    })
    .await;
    other
}

async fn restart(stage: &mut Stage, redis: &RedisServer) {
    let state = stage.host.state_directory().to_owned();
    let options = HostOptions {
        state_directory: Some(state),
        ..HostOptions::default().with(&["--redis", &redis.url()])
    };
    let successor = Host::start_with(options).await;
    // The old one owns the temporary directory of the state; only its process is gone.
    stage.keep_state_of(successor);
}

/// The host dies when it has taken requests from the list and not recorded them yet: another process holds the database.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_killed_between_taking_and_recording() {
    let redis = RedisServer::start().await;
    let mut stage = stage_with(&redis).await;
    let expected: Vec<String> = (0..150).map(|n| format!("pushed{n}")).collect();
    let other = taken_and_not_recorded(&stage, &redis, &expected).await;
    stage.host.kill();
    other.execute_batch("ROLLBACK").unwrap();
    assert!(
        labels(stage.host.state_directory()).is_empty(),
        "nothing was recorded yet, so the kill came in time"
    );
    restart(&mut stage, &redis).await;
    all_recorded_once(stage.host.state_directory(), &expected).await;
    eventually("Redis holds nothing any more", DEADLINE, || async {
        let left = redis.number(&[b"LLEN", b"data_queue"]).await.ok()?
            + redis.number(&[b"ZCARD", b"data_queue:taking"]).await.ok()?;
        (left == 0).then_some(())
    })
    .await;
}

/// The host dies when it has recorded requests and not told Redis yet: Redis is stopped in its tracks, and what is
/// on its way to it is lost with the connection. They are recorded once.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_killed_between_recording_and_forgetting() {
    let mut redis = RedisServer::start().await;
    let mut stage = stage_with(&redis).await;
    let expected: Vec<String> = (0..40).map(|n| format!("once{n}")).collect();
    let other = taken_and_not_recorded(&stage, &redis, &expected).await;
    // The host has the answer to its script before Redis answers anybody's later question.
    for _ in 0..3 {
        redis.command(&[b"PING"]).await.unwrap();
    }
    signal(redis.pid(), libc::SIGSTOP);
    other.execute_batch("ROLLBACK").unwrap();
    let state = stage.host.state_directory().to_owned();
    eventually("the batch is recorded", DEADLINE, || async {
        (labels(&state).len() == expected.len()).then_some(())
    })
    .await;
    stage.host.kill();
    redis.kill();
    redis.restart().await;
    assert_eq!(
        redis
            .number(&[b"ZCARD", b"data_queue:taking"])
            .await
            .unwrap(),
        1,
        "Redis still believes that the batch is to be recorded"
    );
    restart(&mut stage, &redis).await;
    eventually("Redis is told", DEADLINE, || async {
        (redis.number(&[b"ZCARD", b"data_queue:taking"]).await.ok()? == 0).then_some(())
    })
    .await;
    all_recorded_once(&state, &expected).await;
}

/// Requests that were published stand nowhere but in the host that heard them: one that is told to end records them first.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_records_what_it_heard() {
    let redis = RedisServer::start().await;
    let mut stage = stage_with(&redis).await;
    let expected: Vec<String> = (0..400).map(|n| format!("published{n}")).collect();
    for label in &expected {
        let body = pushed(&stage, label).to_string();
        let publish = [&b"PUBLISH"[..], b"data_queue", body.as_bytes()];
        let heard = redis.number(&publish).await.unwrap();
        assert_eq!(heard, 1, "the host hears it");
    }
    let ended = stage.host.terminate(Duration::from_secs(20)).await;
    assert!(ended.is_some_and(|status| status.success()));
    let recorded = labels(stage.host.state_directory());
    let missing: Vec<_> = expected
        .iter()
        .filter(|label| !recorded.contains_key(*label))
        .collect();
    assert!(missing.is_empty(), "heard and not recorded: {missing:?}");
}

/// Redis is killed at random moments and comes back, while producers push and nodes post. What either was told is kept.
#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_at_any_time() {
    let seed = std::env::var("TRAWL_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut redis = RedisServer::start().await;
    let stage = stage_with(&redis).await;
    let (mut expected, mut slowest) = (Vec::new(), Duration::ZERO);
    for round in 0..5 {
        for n in 0..30 {
            let label = format!("push{round}-{n}");
            // Only what Redis has confirmed was promised to anybody.
            if push(&redis, &pushed(&stage, &label).to_string())
                .await
                .is_ok()
            {
                expected.push(label);
            }
            if n % 10 == 0 {
                let _ = redis.publish("data_queue", b"").await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        redis.kill();
        for n in 0..10 {
            let label = format!("post{round}-{n}");
            let started = std::time::Instant::now();
            stage.submit("/odd/plain", &label).await;
            slowest = slowest.max(started.elapsed());
            expected.push(label);
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        redis.restart().await;
    }
    println!("slowest post without Redis: {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    all_recorded_once(stage.host.state_directory(), &expected).await;
    let state = stage.host.state_directory();
    eventually("all is finished and called back", DEADLINE, || async {
        (audit::unfinished(&audit::open(state).ok()?).ok()? == (0, 0)).then_some(())
    })
    .await;
}

/// What is malformed is kept with its reason, and stands in nobody's way.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_kept_with_their_reason() {
    let redis = RedisServer::start().await;
    let stage = stage_with(&redis).await;
    let mut nobodys = pushed(&stage, "nobody");
    nobodys["account"] = json!("nobody@example.org");
    let mut typed = pushed(&stage, "type");
    typed["type"] = json!(9);
    let bad = [
        "{\"request_url\": ".to_owned(),
        "\"text\"".to_owned(),
        nobodys.to_string(),
        typed.to_string(),
    ];
    for body in &bad {
        push(&redis, body).await.unwrap();
    }
    push(&redis, &pushed(&stage, "good").to_string())
        .await
        .unwrap();
    redis.publish("data_queue", b"").await.unwrap();
    let state = stage.host.state_directory();
    all_recorded_once(state, &["good".to_owned()]).await;
    let dead = eventually("all four are put aside", DEADLINE, || async {
        let connection = audit::open(state).ok()?;
        let mut statement = connection
            .prepare("SELECT CAST(body AS TEXT), reason FROM dead_requests ORDER BY id")
            .ok()?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .ok()?
            .collect::<Result<Vec<(String, String)>, _>>()
            .ok()?;
        (rows.len() == bad.len()).then_some(rows)
    })
    .await;
    for (body, (kept, reason)) in bad.iter().zip(&dead) {
        assert_eq!(body, kept);
        assert!(!reason.is_empty());
    }
    assert!(
        dead[2].1.contains("account") && dead[3].1.contains("type"),
        "{dead:?}"
    );
}
