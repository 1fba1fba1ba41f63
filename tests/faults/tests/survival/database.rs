//! A database that can't be written: locked by another process, or on a full disk.

use std::time::Duration;

use trawl_faults::audit;
use trawl_faults::disk::Disk;
use trawl_faults::stage::Stage;
use trawl_kit::eventually;
use trawl_kit::host::HostOptions;
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
