//! The scenarios, each a test by its name, and power loss. Seeds are printed; `TRAWL_SEED` repeats one.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use trawl_core::limits::scrape::{IN_FLIGHT_MAX, LEASE_S};
use trawl_faults::audit;
use trawl_faults::harness::{Plan, Report, run};
use trawl_faults::stage::Stage;
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::hostile::Hostile;
use trawl_kit::receiver::Reply;
use trawl_kit::redis::RedisServer;

const DEADLINE: Duration = Duration::from_secs(90);

async fn assert_clean(name: &str, plan: Plan) -> Report {
    println!("{name}: seed {}", plan.seed);
    let report = run(&plan).await.unwrap_or_else(|e| panic!("{name}: {e:#}"));
    println!("{}\n{}", Report::heading(), report.row(name));
    assert!(
        report.acknowledged > 0,
        "nothing was acknowledged, so nothing was tested"
    );
    assert!(
        report.findings.is_clean(),
        "seed {}: {:#?}",
        report.seed,
        report.findings
    );
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_and_recovery() {
    assert_clean(
        "crash and recovery",
        Plan {
            life_max: Duration::from_secs(3),
            ..Plan::kills(3)
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_kills() {
    let report = assert_clean("repeated kills", Plan::kills(25)).await;
    assert_eq!(report.kills, 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss() {
    let report = assert_clean(
        "power loss",
        Plan {
            power_loss: true,
            ..Plan::kills(15)
        },
    )
    .await;
    assert!(
        report.writes_dropped > 0,
        "no write was ever unsynced at a kill, so nothing was tested"
    );
}

/// Another process holds the write lock: posts answer 503 with Retry-After, what was acknowledged is kept, and work goes on after.
#[tokio::test(flavor = "multi_thread")]
async fn database_locked() {
    let stage = Stage::set(HostOptions::default()).await;
    let before = stage.submit("/odd/slow", "before").await;
    let file = audit::database_file(stage.host.state_directory()).unwrap();
    let other = rusqlite::Connection::open(file).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = stage
        .node
        .post("/receive_data", &stage.body("/odd/plain", "locked"))
        .await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.header("retry-after").parse::<u64>().is_ok(),
        "{:?}",
        answer.headers
    );
    assert_eq!(
        stage.node.get(&format!("/messages/{before}")).await.status,
        200,
        "readers never wait for the writer"
    );
    other.execute_batch("ROLLBACK").unwrap();
    let after = eventually("a post is accepted again", DEADLINE, || async {
        let answer = stage
            .node
            .post("/receive_data", &stage.body("/odd/plain", "after"))
            .await;
        (answer.status == 202).then(|| answer.json()["data"]["message_id"].as_i64().unwrap())
    })
    .await;
    for id in [before, after] {
        assert_eq!(
            stage.node.wait_finished(id, DEADLINE).await["status"],
            "done"
        );
    }
}

/// Half of the connections are cut before their answer: what was recorded is finished once, and the idempotency key tells which.
#[tokio::test(flavor = "multi_thread")]
async fn connections_cut() {
    use tokio::io::AsyncWriteExt as _;
    let stage = Stage::set(HostOptions::default()).await;
    let address = stage.host.base().trim_start_matches("http://").to_owned();
    for i in 0..40 {
        let body = stage.body("/odd/plain", &format!("cut{i}")).to_string();
        let request = format!(
            "POST /receive_data HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nidempotency-key: cut{i}\r\ncontent-length: {}\r\n\r\n{body}",
            stage.node.token,
            body.len()
        );
        let sent = if i % 2 == 0 {
            request.len()
        } else {
            request.len() - body.len() / 2
        };
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(&request.as_bytes()[..sent]).await.unwrap();
        drop(stream);
    }
    let recorded = || audit::rows(&audit::open(stage.host.state_directory()).unwrap()).unwrap();
    eventually("some that were cut are recorded", DEADLINE, || async {
        (!recorded().is_empty()).then_some(())
    })
    .await;
    let mut ids = std::collections::BTreeSet::new();
    for i in 0..40 {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", &format!("cut{i}") as &str),
        ];
        let answer = stage
            .node
            .send(
                "POST",
                "/receive_data",
                &headers,
                stage.body("/odd/plain", &format!("cut{i}")).to_string(),
            )
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.insert(answer.json()["data"]["message_id"].as_i64().unwrap());
    }
    assert_eq!(ids.len(), 40);
    for id in &ids {
        assert_eq!(
            stage.node.wait_finished(*id, DEADLINE).await["status"],
            "done"
        );
    }
    assert_eq!(recorded().len(), 40, "no request was recorded twice");
}

/// Redis dies and comes back: posts go on being accepted, and finished by the clock alone.
#[tokio::test(flavor = "multi_thread")]
async fn redis_killed() {
    let mut redis = RedisServer::start().await;
    let stage = Stage::set(HostOptions::default().with(&["--redis", &redis.url()])).await;
    let with = stage.submit("/odd/plain", "with").await;
    assert_eq!(
        stage.node.wait_finished(with, DEADLINE).await["status"],
        "done"
    );
    redis.kill();
    let started = Instant::now();
    let without = stage.submit("/odd/plain", "without").await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "a dead doorbell must not hold up the answer: {:?}",
        started.elapsed()
    );
    assert_eq!(
        stage.node.wait_finished(without, DEADLINE).await["status"],
        "done"
    );
    redis.restart().await;
    let again = stage.submit("/odd/plain", "again").await;
    assert_eq!(
        stage.node.wait_finished(again, DEADLINE).await["status"],
        "done"
    );
    eventually("all three are called back", DEADLINE, || async {
        (stage.receiver.received().len() >= 3).then_some(())
    })
    .await;
}

/// Posts a page of each of `count` hosts, which are `127.0.BLOCK.1` and so on.
async fn on_many_hosts(stage: &Stage, block: u8, count: u8, path: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    for host in 1..=count {
        let url = stage.origin.url_on(&format!("127.0.{block}.{host}"), path);
        let body = json!({"request_url": url, "type": 1});
        ids.push(stage.node.submit(&body).await);
    }
    ids
}

/// More stalled pages than there are fetch slots (each holds one for ten seconds): other hosts' pages wait for a while, and are not lost.
#[tokio::test(flavor = "multi_thread")]
async fn pool_exhausted() {
    let one = ["--workers", "scraper-text=1"];
    let stage = Stage::set(HostOptions::default().with(&one)).await;
    let stalled = on_many_hosts(&stage, 1, 40, "/odd/stall").await;
    eventually("all slots are taken", DEADLINE, || async {
        (stage.origin.hits("/odd/stall") >= IN_FLIGHT_MAX).then_some(())
    })
    .await;
    let id = stage.submit("/odd/plain", "patient").await;
    assert_eq!(
        stage.node.wait_finished(id, DEADLINE).await["status"],
        "done"
    );
    for id in stalled {
        stage.node.cancel(id).await;
    }
    assert_eq!(stage.node.get("/readyz").await.status, 200);
}

/// A hundred pages fail at once, each of a host of its own: their retries are spread, and other work is not held up.
#[tokio::test(flavor = "multi_thread")]
async fn retry_storm() {
    let stage = Stage::set(HostOptions::default()).await;
    let storm = on_many_hosts(&stage, 2, 100, "/odd/error").await;
    eventually("the storm is in its retries", DEADLINE, || async {
        (stage.origin.hits("/odd/error") >= 100).then_some(())
    })
    .await;
    let calm = stage.submit("/odd/plain", "calm").await;
    let started = Instant::now();
    assert_eq!(
        stage.node.wait_finished(calm, DEADLINE).await["status"],
        "done"
    );
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "the storm held it up for {:?}",
        started.elapsed()
    );
    let mut retries = std::collections::BTreeSet::new();
    for id in storm {
        let message = stage.node.message(id).await;
        assert!(
            message["attempts"].as_i64() >= Some(1) && message["error"]["permanent"] == false,
            "{message}"
        );
        retries.extend(message["next_try_at"].as_str().map(str::to_owned));
        assert_eq!(stage.node.cancel(id).await.status, 204);
    }
    println!("{} different times of a next try", retries.len());
    assert!(retries.len() > 50, "{retries:?}");
}

/// One account has thousands waiting at the highest priority; another's few low ones are not starved, nor the first one's own low ones.
#[tokio::test(flavor = "multi_thread")]
async fn priority_starvation() {
    let stage = Stage::set(HostOptions::default()).await;
    let quiet = Node::log_in(stage.host.base(), "quiet@example.org").await;
    let request = |i: usize, priority: u8| json!({"request_url": stage.origin.url_on(&format!("127.0.{}.{}", 3 + i / 250, 1 + i % 250), "/odd/slow"), "type": 1, "priority": priority});
    let mut own_low = None;
    for i in 0..1500 {
        stage.node.submit(&request(i, 9)).await;
        if i == 200 {
            own_low = Some(stage.node.submit(&request(i, 0)).await);
        }
    }
    let low = quiet.submit(&request(1501, 0)).await;
    let (message, waiting) = tokio::join!(quiet.wait_finished(low, DEADLINE), async {
        eventually("the quiet account is served", DEADLINE, || async {
            (quiet.message(low).await["status"] == "done").then_some(())
        })
        .await;
        unfinished_of(&stage)
    });
    println!("when the quiet account was served, {waiting} of the busy one's were still waiting");
    assert_eq!(message["status"], "done", "{message}");
    assert!(waiting > 0, "nothing was ahead of it");
    assert_eq!(
        stage.node.wait_finished(own_low.unwrap(), DEADLINE).await["status"],
        "done"
    );
}

fn unfinished_of(stage: &Stage) -> i64 {
    audit::unfinished(&audit::open(stage.host.state_directory()).unwrap())
        .unwrap()
        .0
}

/// With every ring lost, the clock alone finishes everything.
#[tokio::test(flavor = "multi_thread")]
async fn doorbell_off() {
    let stage = Stage::set(HostOptions::default().with(&["--doorbell", "off"])).await;
    let mut ids = Vec::new();
    for i in 0..60 {
        ids.push(stage.submit("/odd/plain", &format!("silent{i}")).await);
    }
    for id in &ids {
        assert_eq!(
            stage.node.wait_finished(*id, DEADLINE).await["status"],
            "done"
        );
    }
    eventually("all are called back", DEADLINE, || async {
        (stage.receiver.received().len() >= ids.len()).then_some(())
    })
    .await;
}

fn schema_version(state: &Path) -> Option<i64> {
    let read = "SELECT version FROM schema_version";
    let connection = audit::open(state).ok()?;
    connection.query_row(read, [], |row| row.get(0)).ok()
}

/// The state of a host that was killed while it made the schema, of `last` versions.
fn killed_in_the_middle(last: i64) -> tempfile::TempDir {
    for _ in 0..20 {
        let state = tempfile::tempdir().unwrap();
        let mut host = Host::command(state.path(), &HostOptions::default())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // Without a pause: all of it takes no longer than a few of them.
        while schema_version(state.path()).is_none() && begun.elapsed() < DEADLINE {}
        host.kill().unwrap();
        host.wait().unwrap();
        let version = schema_version(state.path()).expect("a host makes its schema");
        println!("killed at version {version} of {last}");
        if version < last {
            return state;
        }
    }
    panic!("no host was killed in the middle")
}

/// A new database, whose first host is killed while it makes its schema: the next one makes it whole.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_migrates() {
    let whole = Stage::set(HostOptions::default()).await;
    let last = schema_version(whole.host.state_directory()).expect("the schema is there");
    let state = tokio::task::spawn_blocking(move || killed_in_the_middle(last))
        .await
        .unwrap();
    let options = HostOptions {
        state_directory: Some(state.path().to_owned()),
        ..HostOptions::default()
    };
    let stage = Stage::set(options).await;
    let id = stage.submit("/odd/plain", "after").await;
    let message = stage.node.wait_finished(id, DEADLINE).await;
    assert_eq!(message["status"], "done");
    eventually("it is called back", DEADLINE, || async {
        stage.receiver.for_message(id).into_iter().next()
    })
    .await;
    let triggers = |stage: &Stage| -> Vec<String> {
        let connection = audit::open(stage.host.state_directory()).unwrap();
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(triggers(&stage), triggers(&whole));
}

/// How many jobs and callbacks the leases in a killed host's database hold.
fn held(state: &Path) -> (i64, i64) {
    let connection = audit::open(state).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table} WHERE state = 'processing'");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    (count("Messages"), count("callbacks"))
}

/// A lease holds for a minute; the host that comes back after a kill knows that nobody is left who holds one, and does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_host_held_is_taken_up_at_once() {
    const AT_ONCE: Duration = Duration::from_secs(LEASE_S as u64 / 2);
    let mut stage = Stage::set(HostOptions::default()).await;
    let unanswered = Reply {
        delay: DEADLINE,
        ..Reply::status(204)
    };
    stage.receiver.always("/unanswered", unanswered);
    let page = stage.origin.url("/odd/plain");
    let body =
        json!({"request_url": page, "type": 1, "callback_url": stage.receiver.url("/unanswered")});
    let called = stage.node.submit(&body).await;
    eventually("a callback is in flight", DEADLINE, || async {
        (stage.receiver.most_in_flight("/unanswered") == 1).then_some(())
    })
    .await;
    let mut ids = vec![called];
    for kind in 1..=3 {
        for host in 1..=4 {
            let url = stage
                .origin
                .url_on(&format!("127.0.{kind}.{host}"), "/odd/slow");
            let body = json!({"request_url": url, "type": kind, "callback_url": stage.receiver.url("/hook")});
            ids.push(stage.node.submit(&body).await);
        }
    }
    // Asked of the database, since on a busy machine a page may have come while the host was answering.
    let state = stage.host.state_directory().to_owned();
    eventually("jobs are in flight", DEADLINE, || async {
        (held(&state).0 > 0).then_some(())
    })
    .await;
    stage.host.kill();
    let (jobs, callbacks) = held(&state);
    assert!(
        jobs > 0 && callbacks == 1,
        "{jobs} jobs, {callbacks} callbacks"
    );
    stage.receiver.always("/unanswered", Reply::status(204));
    let options = HostOptions {
        state_directory: Some(state),
        ..HostOptions::default()
    };
    let successor = Host::start_with(options).await;
    let began = Instant::now();
    stage.keep_state_of(successor);
    for id in ids {
        assert_eq!(
            stage.node.wait_finished(id, DEADLINE).await["status"],
            "done"
        );
        eventually("its callback is delivered", DEADLINE, || async {
            let message = stage.node.message(id).await;
            (message["callback_status"] == "delivered").then_some(())
        })
        .await;
    }
    assert!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
    println!("{jobs} jobs and a callback took {:?}", began.elapsed());
}

/// A page that its instance can't hold ends it three times and is given up; the last time it waited for its lease. Pages beside it are
/// done long before. (A body of ten megabytes, in a buffer that doubles, does not fit into an instance of 32.)
#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_held_that_died_is_taken_up_soon() {
    let lease = Duration::from_secs(30);
    let options = HostOptions::default()
        .with(&["--instance-memory-mb", "32", "--workers", "scraper-text=1"])
        .variable("lease_seconds", &lease.as_secs().to_string());
    let stage = Stage::set(options).await;
    let hostile = Hostile::start().await;
    let began = Instant::now();
    let mut others = Vec::new();
    for n in 0..4 {
        others.push(stage.submit("/odd/slow", &format!("beside{n}")).await);
    }
    let body = json!({"request_url": hostile.url("/endless/plain"), "type": 1});
    let deadly = stage.node.submit(&body).await;
    for id in others {
        let ended = stage.node.wait_finished(id, DEADLINE).await;
        assert_eq!(ended["status"], "done", "{ended}");
    }
    assert!(began.elapsed() < lease, "it took {:?}", began.elapsed());
    let ended = stage.node.wait_finished(deadly, DEADLINE).await;
    assert_eq!(ended["error"]["code"], "poison", "{ended}");
    assert!(began.elapsed() > lease, "it took {:?}", began.elapsed());
}

/// A dead endpoint loses nothing and holds up nobody; at most four calls are in flight at one.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_tried_again_and_holds_up_nobody() {
    let stage = Stage::set(HostOptions::default()).await;
    stage.receiver.always(
        "/down",
        Reply {
            delay: Duration::from_millis(300),
            ..Reply::status(500)
        },
    );
    let request = |i: usize, path: &str| {
        let url = stage
            .origin
            .url_on(&format!("127.0.9.{}", 1 + i), "/odd/plain");
        json!({"user_Id": path, "request_url": url, "type": 1, "callback_url": stage.receiver.url(path)})
    };
    for i in 0..40 {
        stage.node.submit(&request(i, "/down")).await;
    }
    eventually("the dead endpoint is being tried", DEADLINE, || async {
        (stage
            .receiver
            .received()
            .iter()
            .filter(|r| r.path == "/down")
            .count()
            >= 4)
            .then_some(())
    })
    .await;
    let live = stage.node.submit(&request(41, "/live")).await;
    let started = Instant::now();
    eventually("the live endpoint is called", DEADLINE, || async {
        stage.receiver.for_message(live).into_iter().next()
    })
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "the dead endpoint held it up for {:?}",
        started.elapsed()
    );
    assert!(
        stage.receiver.most_in_flight("/down") <= 4,
        "{} in flight",
        stage.receiver.most_in_flight("/down")
    );
    let tried = stage
        .receiver
        .received()
        .into_iter()
        .find(|r| r.path == "/down")
        .unwrap();
    let id = tried.body["message_id"].as_i64().unwrap();
    eventually(
        "the failed attempt is on record, with its next try",
        DEADLINE,
        || async {
            let deliveries = stage
                .node
                .get(&format!("/messages/{id}/deliveries"))
                .await
                .json();
            let first = deliveries["data"].as_array()?.first()?.clone();
            (first["status"] == 500).then_some(())
        },
    )
    .await;
    assert_eq!(stage.node.message(id).await["callback_status"], "pending");
}
