//! A database that can't be written: locked by another process, on a full disk, or without power while its tables are made.

use std::path::Path;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use trawl_faults::audit;
use trawl_faults::disk::Disk;
use trawl_faults::harness;
use trawl_faults::power;
use trawl_faults::stage::Stage;
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::http_client::Answer;

const DEADLINE: Duration = Duration::from_secs(120);

fn assert_come_again(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.header("retry-after").parse::<u64>().is_ok(),
        "{:?}",
        answer.headers
    );
}

/// Another process holds every lock there is while pages are being fetched: posts are answered 503, what was acknowledged is kept
/// and finished afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_answers_503_and_keeps_what_was_acknowledged() {
    let stage = Stage::set(HostOptions::default()).await;
    let mut before = Vec::new();
    for n in 0..20 {
        before.push(stage.submit("/odd/slow", &format!("before{n}")).await);
    }
    let file = audit::database_file(stage.host.state_directory()).unwrap();
    let other = rusqlite::Connection::open(file).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let body = stage.body("/odd/plain", "locked");
    for answer in [
        stage.node.post("/receive_data", &body).await,
        stage.node.get("/readyz").await,
    ] {
        assert_come_again(&answer);
    }
    assert_eq!(
        stage.node.get("/livez").await.status,
        200,
        "alive, and not ready"
    );
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    for id in before {
        let message = stage.node.wait_finished(id, DEADLINE).await;
        assert_eq!(message["status"], "done", "{message}");
    }
    eventually("posts are accepted again", DEADLINE, || async {
        (stage.node.post("/receive_data", &body).await.status == 202).then_some(())
    })
    .await;
}

/// The disk is full for a while, in the middle of work.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_answers_503_and_keeps_what_was_acknowledged() {
    let state = tempfile::tempdir().unwrap();
    let disk = Disk::of(state.path());
    let stage = Stage::set(HostOptions {
        state_directory: Some(state.path().to_owned()),
        environment: disk.environment().unwrap(),
        ..HostOptions::default().variable("lease_seconds", "3")
    })
    .await;
    let mut kept = Vec::new();
    for n in 0..20 {
        kept.push(stage.submit("/odd/slow", &format!("before{n}")).await);
    }
    disk.fill().unwrap();
    let body = stage.body("/odd/plain", "full");
    // A commit that was under way may still go through.
    eventually("the full disk is noticed", DEADLINE, || async {
        let answer = stage.node.post("/receive_data", &body).await;
        (answer.status != 202).then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_come_again(&stage.node.post("/receive_data", &body).await);
    }
    let not_ready = eventually("/readyz notices it", DEADLINE, || async {
        let answer = stage.node.get("/readyz").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_come_again(&not_ready);
    for _ in 0..5 {
        assert_come_again(&stage.node.get("/readyz").await);
    }
    assert_eq!(
        stage.node.get("/livez").await.status,
        200,
        "alive, and not ready"
    );
    let message = stage.node.message(kept[0]).await;
    assert_eq!(message["id"], kept[0], "what is there can be read");
    disk.empty().unwrap();
    kept.push(
        eventually("posts are accepted again", DEADLINE, || async {
            let answer = stage.node.post("/receive_data", &body).await;
            (answer.status == 202).then(|| answer.json()["data"]["message_id"].as_i64().unwrap())
        })
        .await,
    );
    let ready = stage.node.get("/readyz").await;
    assert_eq!(ready.status, 200, "at once: {}", ready.text());
    for id in &kept {
        let message = stage.node.wait_finished(*id, DEADLINE).await;
        assert_eq!(message["status"], "done", "{message}");
    }
    let connection = audit::open(state.path()).unwrap();
    assert_eq!(audit::integrity(&connection).unwrap(), "ok");
    eventually("all are called back", DEADLINE, || async {
        kept.iter()
            .all(|id| !stage.receiver.for_message(*id).is_empty())
            .then_some(())
    })
    .await;
}

/// How often the power goes while the tables are made, each time somewhat later.
const POWER_LOSSES: u64 = 8;

/// A first start makes the tables by a hundred commits of which few are synced: wherever the power goes, the file is whole
/// afterwards, and the next start makes what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn power_lost_while_the_tables_are_made() {
    let seed = harness::seed();
    println!("seed {seed}");
    let undisturbed = tempfile::tempdir().unwrap();
    let host = start(undisturbed.path(), true).await;
    Node::log_in(host.base(), "faults@example.org").await;
    let (tables, log_bytes) = (
        schema(undisturbed.path()),
        power::log_bytes(undisturbed.path()),
    );
    drop(host);
    // At once, because each successor waits until the migration that was cut off counts as gone.
    let losses: Vec<_> = (1..=POWER_LOSSES)
        .map(|part| {
            let enough = log_bytes * part / (POWER_LOSSES + 1);
            tokio::spawn(lose_power_after(enough, seed ^ part, tables.clone()))
        })
        .collect();
    let (mut dropped, mut unfinished) = (0, 0);
    for loss in losses {
        let (writes, cut_off) = loss.await.unwrap();
        dropped += writes;
        unfinished += u64::from(cut_off);
    }
    assert!(dropped > 0, "no write was unsynced, so nothing was tested");
    assert!(
        unfinished > 0,
        "all tables were there each time, so nothing was tested"
    );
}

/// Gives back how many writes were lost of a host that is killed when its undo log is this long, and whether tables were missing.
async fn lose_power_after(log_bytes: u64, seed: u64, tables: Vec<String>) -> (u64, bool) {
    let state = tempfile::tempdir().unwrap();
    let mut host = start(state.path(), true).await;
    eventually("so much is written", DEADLINE, || async {
        (power::log_bytes(state.path()) >= log_bytes).then_some(())
    })
    .await;
    host.kill();
    let dropped = power::lose(state.path(), &mut SmallRng::seed_from_u64(seed)).unwrap();
    let successor = audit::open_as_successor(state.path()).unwrap();
    assert_eq!(
        audit::integrity(&successor).unwrap(),
        "ok",
        "seed {seed}, {log_bytes} bytes of undo log"
    );
    drop(successor);
    let cut_off = schema(state.path()) != tables;
    let host = start(state.path(), false).await;
    Node::log_in(host.base(), "faults@example.org").await;
    assert_eq!(
        schema(state.path()),
        tables,
        "seed {seed}, {log_bytes} bytes of undo log"
    );
    (dropped, cut_off)
}

async fn start(state: &Path, power_may_go: bool) -> Host {
    Host::start_with(HostOptions {
        state_directory: Some(state.to_owned()),
        environment: if power_may_go {
            power::environment(state).unwrap()
        } else {
            Vec::new()
        },
        ..HostOptions::default()
    })
    .await
}

/// What there is, by its statements.
fn schema(state: &Path) -> Vec<String> {
    let connection = audit::open(state).unwrap();
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql")
        .unwrap();
    let found = statement.query_map((), |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}
