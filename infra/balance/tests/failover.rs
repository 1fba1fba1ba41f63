//! Replicas that die, come back, are drained, exchanged and slow, under load over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use support::{Client, Door, Front, Load, PATIENCE, Replica, eventually, plain};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};
use trawl_balance::{
    BalanceConfig, Balancer, Body, BoxError, Call, FailureKind, LocalBackend, LocalReplicas,
    ReplicaConfig, ReplicaFigures, ServerLimits, StrategyKind,
};

async fn three() -> [Replica; 3] {
    [
        Replica::start("a").await,
        Replica::start("b").await,
        Replica::start("c").await,
    ]
}

fn configs(replicas: &[Replica]) -> Vec<ReplicaConfig> {
    replicas.iter().map(Replica::config).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_gets_nothing_while_another_can_take_it() {
    let replicas = three().await;
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    config.replicas[2].backup = true;
    let front = Front::start(config).await;
    Load::start(front.address, 4).more(100).await;
    assert_eq!(replicas[2].served(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_costs_no_idempotent_request_and_comes_back_slowly() {
    let replicas = three().await;
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    for replica in &mut config.replicas {
        replica.fail_timeout = Duration::from_millis(300);
        replica.slow_start = Duration::from_secs(3);
    }
    let front = Front::start(config).await;
    let load = Load::start(front.address, 24);
    load.more(1_000).await;
    replicas[1].kill().await;
    eventually("b is benched", || front.state("b") != "up").await;
    let before = [replicas[0].served(), replicas[2].served()];
    load.more(1_000).await;
    let after = [replicas[0].served(), replicas[2].served()];
    let gained = [after[0] - before[0], after[1] - before[1]];
    let sum: u64 = gained.iter().sum();
    assert!(
        gained.iter().all(|gained| *gained * 5 >= sum * 2),
        "half each: {gained:?}"
    );
    replicas[1].restart().await;
    eventually("b warms up", || {
        matches!(front.state("b"), "warming" | "up")
    })
    .await;
    assert_eq!(front.state("b"), "warming");
    let start = [replicas[0].served(), replicas[1].served()];
    load.more(300).await;
    let warm = [
        replicas[0].served() - start[0],
        replicas[1].served() - start[1],
    ];
    assert!(
        warm[1] * 2 < warm[0] || front.state("b") == "up",
        "less at first: {warm:?}"
    );
    eventually("b is up", || front.state("b") == "up").await;
    let start = [replicas[0].served(), replicas[1].served()];
    load.more(1_000).await;
    let full = [
        replicas[0].served() - start[0],
        replicas[1].served() - start[1],
    ];
    assert!(
        full[1] * 10 >= full[0] * 8,
        "its full share in the end: {full:?}"
    );
    assert_eq!(load.finish().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing() {
    let replicas = three().await;
    let mut config = plain(StrategyKind::LeastConn, configs(&replicas));
    for replica in &mut config.replicas {
        replica.fail_timeout = Duration::from_millis(200);
    }
    let front = Front::start(config).await;
    let load = Load::start(front.address, 16);
    for replica in &replicas {
        load.more(300).await;
        replica.kill().await;
        load.more(300).await;
        replica.restart().await;
        let before = replica.served();
        eventually("it serves again", || replica.served() > before + 10).await;
    }
    assert_eq!(load.finish().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_applied_under_load_and_a_drained_replica_finishes() {
    let replicas = three().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("balance.toml");
    let text = |drained: &str, ids: &[usize]| {
        let tables = ids.iter().map(|index| {
            let replica = &replicas[*index];
            format!(
                "[[replica]]\nid = \"{}\"\nurl = \"http://{}\"\ndrain = {}\n",
                replica.id,
                replica.address,
                replica.id == drained
            )
        });
        format!("strategy = \"round-robin\"\n{}", tables.collect::<String>())
    };
    std::fs::write(&path, text("", &[0, 1])).unwrap();
    let config = BalanceConfig::read(&path).unwrap();
    let front = Front::with(config, ServerLimits::default(), Some(path.clone())).await;
    let load = Load::start(front.address, 8);
    load.more(200).await;
    assert_eq!(replicas[2].served(), 0);
    // One comes, one is drained.
    std::fs::write(&path, text("a", &[0, 1, 2])).unwrap();
    eventually("c serves", || replicas[2].served() > 50).await;
    eventually("a is empty", || {
        front.balancer.snapshot().replicas[0].in_flight == 0
    })
    .await;
    assert_eq!(front.state("a"), "draining");
    let drained = replicas[0].served();
    load.more(200).await;
    assert_eq!(replicas[0].served(), drained);
    // A wrong file changes nothing, and says so.
    std::fs::write(&path, "strategy = \"fastest\"\n").unwrap();
    eventually("the error is shown", || {
        front.balancer.snapshot().reload_error.is_some()
    })
    .await;
    assert_eq!(front.balancer.snapshot().replicas.len(), 3);
    // So does one that is gone; when it is back, all is well, also if it is just the same.
    std::fs::write(&path, text("a", &[0, 1, 2])).unwrap();
    let shown = || front.balancer.snapshot().reload_error;
    eventually("the file is good again", || shown().is_none()).await;
    let aside = folder.path().join("aside.toml");
    std::fs::rename(&path, &aside).unwrap();
    eventually("its absence is shown", || {
        shown().is_some_and(|error| error.contains("balance.toml: No such file"))
    })
    .await;
    assert_eq!(front.balancer.snapshot().replicas.len(), 3);
    std::fs::rename(&aside, &path).unwrap();
    eventually("the file is back", || shown().is_none()).await;
    // It goes altogether, and the counts of the others stay.
    let served = front.balancer.snapshot().replicas[1].served;
    std::fs::write(&path, text("", &[1, 2])).unwrap();
    eventually("a is gone", || {
        front.balancer.snapshot().replicas.len() == 2
    })
    .await;
    load.more(100).await;
    let snapshot = front.balancer.snapshot();
    assert!(snapshot.replicas[0].served > served && snapshot.reload_error.is_none());
    assert_eq!(load.finish().await, Vec::<String>::new());
}

/// What kept the file from being read may pass, and the file is the same as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_could_not_be_read_is_read_again() {
    let replica = Replica::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("balance.toml");
    let good = format!(
        "[[replica]]\nid = \"b\"\nurl = \"http://{}\"\n",
        replica.address
    );
    // As large and as old, and put into its place at once.
    let written = std::time::SystemTime::now();
    let put = |bytes: &[u8]| {
        let aside = folder.path().join("aside.toml");
        std::fs::write(&aside, bytes).unwrap();
        let file = std::fs::File::options().write(true).open(&aside).unwrap();
        file.set_modified(written).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    };
    put(&vec![0xff; good.len()]);
    let config = plain(StrategyKind::RoundRobin, vec![replica.config()]);
    let front = Front::with(config, ServerLimits::default(), Some(path.clone())).await;
    let shown = || front.balancer.snapshot().reload_error;
    eventually("the error is shown", || shown().is_some()).await;
    put(good.as_bytes());
    eventually("the file is applied", || {
        front.balancer.snapshot().replicas[0].id == "b"
    })
    .await;
    assert_eq!(shown(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_replica_gets_less() {
    for strategy in [StrategyKind::LeastConn, StrategyKind::PeakEwma] {
        let replicas = three().await;
        replicas[2].behaviour.delay_ms.store(50, Relaxed);
        let front = Front::start(plain(strategy, configs(&replicas))).await;
        let load = Load::start(front.address, 12);
        load.more(2_000).await;
        assert_eq!(load.finish().await, Vec::<String>::new());
        let served = [
            replicas[0].served(),
            replicas[1].served(),
            replicas[2].served(),
        ];
        assert!(
            served[2] * 3 < served[0].min(served[1]),
            "{strategy:?}: {served:?}"
        );
        assert!(served[2] > 0, "{strategy:?}: {served:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_takes_a_replica_out_and_brings_it_back() {
    let replicas = three().await;
    let mut config = BalanceConfig::new(StrategyKind::RoundRobin, configs(&replicas));
    config.check.interval = Duration::from_millis(50);
    let front = Front::start(config).await;
    replicas[0].behaviour.ready_status.store(503, Relaxed);
    eventually("a is down", || front.state("a") == "down").await;
    let mut client = Client::new(front.address);
    for _ in 0..30 {
        assert_eq!(client.get().await.0, StatusCode::OK);
    }
    assert_eq!(replicas[0].served(), 0);
    replicas[0].behaviour.ready_status.store(0, Relaxed);
    eventually("a is back", || front.state("a") == "warming").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_a_check_took_out_is_back_when_checks_are_switched_off() {
    let replicas = three().await;
    let mut config = BalanceConfig::new(StrategyKind::RoundRobin, configs(&replicas));
    config.check.interval = Duration::from_millis(50);
    let front = Front::start(config.clone()).await;
    replicas[0].behaviour.ready_status.store(503, Relaxed);
    eventually("a is down", || front.state("a") == "down").await;
    config.check.enabled = false;
    front.balancer.apply(config).unwrap();
    let mut client = Client::new(front.address);
    let deadline = std::time::Instant::now() + PATIENCE;
    while replicas[0].served() == 0 {
        assert!(std::time::Instant::now() < deadline, "a stays out");
        assert_eq!(client.get().await.0, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_all_fail_take_out_only_who_gives_no_answer() {
    let replicas = three().await;
    let mut config = BalanceConfig::new(StrategyKind::RoundRobin, configs(&replicas));
    config.check.interval = Duration::from_millis(50);
    // So many that the moment between two lines here does not count.
    config.check.fails = 10;
    let front = Front::start(config).await;
    replicas[2].kill().await;
    eventually("c is down", || front.state("c") == "down").await;
    for replica in &replicas[..2] {
        replica.behaviour.ready_status.store(503, Relaxed);
    }
    let checks = |index: usize| replicas[index].behaviour.checks.load(Relaxed);
    let before = [checks(0), checks(1)];
    eventually("they were asked again and again", || {
        (0..2).all(|index| checks(index) > before[index] + 20)
    })
    .await;
    let mut client = Client::new(front.address);
    for _ in 0..30 {
        assert_eq!(client.get().await.0, StatusCode::OK);
    }
    assert_eq!([front.state("a"), front.state("b")], ["up", "up"]);
    // One that is ready is better than one that is not.
    replicas[0].behaviour.ready_status.store(0, Relaxed);
    eventually("b is down", || front.state("b") == "down").await;
    assert_eq!(front.state("a"), "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_nobody_answers_in_time_take_out_only_who_can_not_be_reached() {
    let replicas = three().await;
    let mut config = BalanceConfig::new(StrategyKind::RoundRobin, configs(&replicas));
    config.check.interval = Duration::from_millis(20);
    config.check.timeout = Duration::from_millis(100);
    // So many that the moment between two lines here does not count.
    config.check.fails = 5;
    let front = Front::start(config).await;
    // As with a database that is locked: the answer would come after the check's patience.
    for replica in &replicas {
        replica.behaviour.ready_hangs.store(true, Relaxed);
    }
    let asked_again = async |replicas: &[Replica]| {
        let checks = |replica: &Replica| replica.behaviour.checks.load(Relaxed);
        let before: Vec<_> = replicas.iter().map(checks).collect();
        eventually("they were asked again and again", || {
            let mut pairs = replicas.iter().zip(&before);
            pairs.all(|(replica, before)| checks(replica) > before + 12)
        })
        .await;
    };
    asked_again(&replicas).await;
    assert_eq!(["a", "b", "c"].map(|id| front.state(id)), ["up"; 3]);
    let mut client = Client::new(front.address);
    for _ in 0..30 {
        assert_eq!(client.get().await.0, StatusCode::OK);
    }
    replicas[2].kill().await;
    eventually("c is down", || front.state("c") == "down").await;
    asked_again(&replicas[..2]).await;
    assert_eq!([front.state("a"), front.state("b")], ["up", "up"]);
    // One that is ready is better than one that hangs.
    replicas[0].behaviour.ready_hangs.store(false, Relaxed);
    eventually("b is down", || front.state("b") == "down").await;
    assert_eq!(front.state("a"), "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_take_no_local_replicas_out_because_all_are_busy_or_trap() {
    let failing = [
        ("a".to_owned(), FailureKind::Overloaded),
        ("b".to_owned(), FailureKind::Trapped),
    ];
    let locals = support::Scripted {
        failing: std::sync::Mutex::new(failing.to_vec()),
        ..support::Scripted::default()
    };
    let asked = Arc::clone(&locals.asked);
    let replicas = ["a", "b"].map(|id| ReplicaConfig::new(id, None));
    let mut config = BalanceConfig::new(StrategyKind::RoundRobin, replicas.to_vec());
    config.check.interval = Duration::from_millis(10);
    let balancer = Balancer::new(config, Arc::new(locals)).unwrap();
    tokio::spawn(Arc::clone(&balancer).run(None, std::future::pending()));
    eventually("they were asked again and again", || {
        asked.lock().unwrap().len() > 20
    })
    .await;
    let snapshot = balancer.snapshot();
    let states = snapshot.replicas.iter().map(|replica| replica.state);
    assert_eq!(states.collect::<Vec<_>>(), ["up", "up"]);
}

/// Local replicas whose instances die while their answers stream.
struct Breaking;

impl LocalReplicas for Breaking {
    fn open(&self, _: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Ok(Arc::new(Breaking))
    }
}

impl LocalBackend for Breaking {
    fn call(self: Arc<Self>, _: Request<Body>) -> Call {
        let pieces = [Ok(Frame::data(Bytes::from("begun"))), Err("a trap".into())];
        let body = StreamBody::new(futures::stream::iter(pieces)).boxed_unsync();
        Box::pin(async { Ok(Response::new(body)) })
    }
}

#[tokio::test]
async fn a_local_instance_that_dies_while_it_answers_is_a_trap() {
    let replicas = ["a", "b"].map(|id| ReplicaConfig::new(id, None));
    let config = plain(StrategyKind::RoundRobin, replicas.to_vec());
    let door = Door::open(config, Arc::new(Breaking)).await;
    for _ in 0..6 {
        door.whole([127, 0, 0, 1].into(), "/").await;
    }
    let snapshot = door.balancer.snapshot();
    assert_eq!(snapshot.usable, 2, "{snapshot:?}");
    for replica in &snapshot.replicas {
        let counts = (replica.served, replica.trapped, replica.failed);
        assert_eq!(counts, (3, 3, 0), "{snapshot:?}");
    }
}

#[tokio::test]
async fn the_last_replica_that_is_not_drained_is_never_out() {
    let replicas = three().await;
    replicas[0].behaviour.cuts.store(true, Relaxed);
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    for replica in &mut config.replicas[1..] {
        replica.drain = true;
    }
    let front = Front::start(config).await;
    let mut client = Client::new(front.address);
    for _ in 0..5 {
        assert_eq!(client.get().await.0, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(replicas[0].behaviour.arrived.load(Relaxed), 5);
    assert_eq!(front.balancer.snapshot().usable, 1);
    replicas[0].behaviour.cuts.store(false, Relaxed);
    assert_eq!(client.get().await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_only_a_drained_replica_passes_take_nobody_out() {
    let replicas = three().await;
    let mut config = BalanceConfig::new(StrategyKind::RoundRobin, configs(&replicas));
    config.check.interval = Duration::from_millis(20);
    config.replicas[2].drain = true;
    for replica in &replicas[..2] {
        replica.behaviour.ready_status.store(503, Relaxed);
    }
    let front = Front::start(config).await;
    let checks = |index: usize| replicas[index].behaviour.checks.load(Relaxed);
    eventually("they were asked again and again", || {
        (0..2).all(|index| checks(index) > 10)
    })
    .await;
    assert_eq!([front.state("a"), front.state("b")], ["up", "up"]);
    let mut client = Client::new(front.address);
    for _ in 0..10 {
        assert_eq!(client.get().await.0, StatusCode::OK);
    }
    assert_eq!(replicas[2].served(), 0);
}

#[tokio::test]
async fn a_post_is_sent_once_unless_it_carries_a_key() {
    let replicas = three().await;
    for replica in &replicas {
        replica.behaviour.cuts.store(replica.id == "a", Relaxed);
    }
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    for replica in &mut config.replicas {
        replica.max_fails = 0;
    }
    let front = Front::start(config).await;
    let mut client = Client::new(front.address);
    let arrived = || {
        replicas
            .iter()
            .map(|replica| replica.behaviour.arrived.load(Relaxed))
            .sum::<u64>()
    };
    assert_eq!(client.post("/", "x", None).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(arrived(), 1);
    for _ in 0..2 {
        assert_eq!(client.post("/", "x", None).await.0, StatusCode::OK);
    }
    let before = arrived();
    for _ in 0..3 {
        let page = vec![b'x'; 60_000];
        let (status, body) = client.post("/receive_data", page, Some("k")).await;
        assert_eq!(
            (status, body.len()),
            (StatusCode::OK, 60_000),
            "the body arrives whole at the second try"
        );
    }
    assert_eq!(arrived() - before, 4, "one of three was repeated");
    // A key says nothing to a route that does not read it.
    for path in ["/auth/register", "/receive_data/x"] {
        let before = arrived();
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(client.post(path, "x", Some("k")).await.0.as_u16());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 502], "{path}");
        assert_eq!(arrived() - before, 3, "{path}");
    }
}

#[tokio::test]
async fn a_post_goes_elsewhere_when_its_replica_can_not_be_reached() {
    let replicas = three().await;
    replicas[0].kill().await;
    let front = Front::start(plain(StrategyKind::RoundRobin, configs(&replicas))).await;
    let mut client = Client::new(front.address);
    for _ in 0..6 {
        // A large one.
        let (status, body) = client.post("/echo", vec![b'x'; 300_000], None).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 300_000));
    }
    assert_eq!(front.balancer.snapshot().retries, 1);
}

#[tokio::test]
async fn one_deadline_covers_all_tries() {
    let replicas = three().await;
    for replica in &replicas {
        replica.behaviour.delay_ms.store(60_000, Relaxed);
    }
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    config.deadline = Duration::from_millis(300);
    let front = Front::start(config).await;
    let begun = std::time::Instant::now();
    let (status, body) = Client::new(front.address).get().await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(body.contains("\"code\":\"gateway_timeout\""), "{body}");
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < PATIENCE / 2);
    assert_eq!(front.balancer.snapshot().retries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_queue_the_answer_is_503_and_what_waits_is_served() {
    let replica = Replica::start("a").await;
    replica.behaviour.delay_ms.store(200, Relaxed);
    let mut config = plain(StrategyKind::RoundRobin, vec![replica.config()]);
    config.replicas[0].concurrency_max = 2;
    config.replicas[0].queue_max = 3;
    let front = Front::start(config).await;
    let address = front.address;
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(async move { Client::new(address).get().await.0 }))
        .collect();
    let mut statuses = Vec::new();
    for client in clients {
        statuses.push(client.await.unwrap().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 503, 503, 503]);
    let snapshot = front.balancer.snapshot();
    assert_eq!(
        (
            snapshot.refused_full,
            snapshot.replicas[0].in_flight,
            snapshot.replicas[0].queued
        ),
        (3, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_places_are_there_at_once_for_those_that_wait() {
    let replica = Replica::start("a").await;
    replica.behaviour.holds.store(true, Relaxed);
    let mut config = plain(StrategyKind::RoundRobin, vec![replica.config()]);
    config.replicas[0].concurrency_max = 1;
    let front = Front::start(config.clone()).await;
    let address = front.address;
    let clients: Vec<_> = (0..6)
        .map(|_| tokio::spawn(async move { Client::new(address).get().await.0 }))
        .collect();
    let figures = || {
        let replica = front.balancer.snapshot().replicas.remove(0);
        (replica.in_flight, replica.queued)
    };
    eventually("one runs, the others wait", || figures() == (1, 5)).await;
    config.replicas[0].concurrency_max = 4;
    front.balancer.apply(config).unwrap();
    assert_eq!(figures(), (4, 2), "though nobody has left");
    replica.behaviour.holds.store(false, Relaxed);
    assert_eq!(statuses(clients).await, [200; 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_free_their_place() {
    let replica = Replica::start("a").await;
    replica.behaviour.delay_ms.store(60_000, Relaxed);
    let mut config = plain(StrategyKind::RoundRobin, vec![replica.config()]);
    config.replicas[0].concurrency_max = 2;
    let front = Front::start(config).await;
    let address = front.address;
    let clients: Vec<_> = (0..4)
        .map(|_| tokio::spawn(async move { Client::new(address).get().await.0 }))
        .collect();
    let figures = || front.balancer.snapshot().replicas[0].clone();
    eventually("two run and two wait", || {
        (figures().in_flight, figures().queued) == (2, 2)
    })
    .await;
    for client in clients {
        client.abort();
    }
    eventually("all have left", || {
        (figures().in_flight, figures().queued) == (0, 0)
    })
    .await;
    replica.behaviour.delay_ms.store(0, Relaxed);
    assert_eq!(Client::new(address).get().await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_the_retry_budget_spent_are_passed_on() {
    let replicas = three().await;
    for replica in &replicas {
        replica.behaviour.status.store(503, Relaxed);
    }
    let front = Front::start(plain(StrategyKind::RoundRobin, configs(&replicas))).await;
    let mut client = Client::new(front.address);
    for _ in 0..300 {
        let (status, body) = client.get().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            ["a", "b", "c"].contains(&body.as_str()),
            "the replica's own words: {body}"
        );
    }
    let arrived: u64 = replicas
        .iter()
        .map(|replica| replica.behaviour.arrived.load(Relaxed))
        .sum();
    // 300 first tries, a fifth of them again, and the reserve of 128.
    assert!((400..=300 + 60 + 128).contains(&arrived), "{arrived}");
    assert_eq!(front.state("a"), "up", "a 503 is no failure");
    // Each of them is counted, handed out or not; they stay counted when the configuration changes.
    let server_errors = || {
        let replicas = front.balancer.snapshot().replicas;
        let each = replicas.iter().map(|it| it.responses.server_errors);
        each.sum::<u64>()
    };
    assert_eq!(server_errors(), arrived);
    let mut config = front.balancer.config();
    config.replicas[0].weight = 2;
    front.balancer.apply(config).unwrap();
    assert_eq!(server_errors(), arrived);
}

/// Two replicas with one place each, both taken by a GET and with `waiting` POSTs in front of them. Gives the answers to come.
async fn queues(
    replicas: &[Replica; 2],
    waiting: usize,
    change: impl FnOnce(&mut BalanceConfig),
) -> (Front, Vec<JoinHandle<StatusCode>>) {
    for replica in replicas {
        replica.behaviour.holds.store(true, Relaxed);
    }
    let mut config = plain(StrategyKind::RoundRobin, configs(replicas));
    config.deadline = PATIENCE * 10;
    for replica in &mut config.replicas {
        replica.concurrency_max = 1;
    }
    change(&mut config);
    let front = Front::start(config).await;
    let address = front.address;
    let get = || tokio::spawn(async move { Client::new(address).get().await.0 });
    let mut clients = vec![get(), get()];
    let sum = |of: fn(&ReplicaFigures) -> usize| {
        let replicas = front.balancer.snapshot().replicas;
        replicas.iter().map(of).sum::<usize>()
    };
    eventually("the places are taken", || sum(|it| it.in_flight) == 2).await;
    let post = || tokio::spawn(async move { Client::new(address).post("/", "x", None).await.0 });
    clients.extend((0..waiting).map(|_| post()));
    eventually("the others wait", || sum(|it| it.queued) == waiting).await;
    (front, clients)
}

/// The statuses of all answers, in order.
async fn statuses(clients: Vec<JoinHandle<StatusCode>>) -> Vec<u16> {
    let all = futures::future::join_all(clients);
    let answers = tokio::time::timeout(PATIENCE, all).await;
    let answers = answers.expect("some wait for ever");
    let mut statuses: Vec<_> = answers.into_iter().map(|it| it.unwrap().as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_replica_that_is_benched_goes_elsewhere() {
    let replicas = [Replica::start("a").await, Replica::start("b").await];
    // No retries: who waits must not need one.
    let (front, clients) = queues(&replicas, 8, |config| config.retry_percent = 0).await;
    assert_eq!(front.balancer.snapshot().replicas[0].queued, 4);
    replicas[0].kill().await;
    eventually("a is benched", || front.state("a") == "benched").await;
    replicas[1].behaviour.holds.store(false, Relaxed);
    let mut expected = vec![200; 9];
    expected.push(502);
    assert_eq!(statuses(clients).await, expected, "only what ran is lost");
    let snapshot = front.balancer.snapshot();
    let failed = snapshot.replicas[0].failed;
    assert_eq!((failed, snapshot.retries_refused), (1, 1), "{snapshot:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_replica_that_a_check_takes_out_goes_elsewhere() {
    let replicas = [Replica::start("a").await, Replica::start("b").await];
    let (front, clients) = queues(&replicas, 4, |config| {
        config.check.enabled = true;
        config.check.interval = Duration::from_millis(20);
    })
    .await;
    replicas[1].behaviour.holds.store(false, Relaxed);
    replicas[0].behaviour.ready_status.store(503, Relaxed);
    eventually("b has answered all but one", || replicas[1].served() == 5).await;
    assert_eq!(front.state("a"), "down");
    // What runs there goes on.
    replicas[0].behaviour.holds.store(false, Relaxed);
    assert_eq!(statuses(clients).await, [200; 6]);
}

/// Each has the 503 of one replica, and with it the only place there, when it looks for another.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hold_an_answer_do_not_wait_for_each_other() {
    let replicas = [Replica::start("a").await, Replica::start("b").await];
    for replica in &replicas {
        replica.behaviour.status.store(503, Relaxed);
        replica.behaviour.holds.store(true, Relaxed);
    }
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    config.deadline = PATIENCE * 10;
    for replica in &mut config.replicas {
        replica.concurrency_max = 1;
    }
    let front = Front::start(config).await;
    let address = front.address;
    let clients: Vec<_> = (0..2)
        .map(|_| tokio::spawn(async move { Client::new(address).get().await }))
        .collect();
    eventually("both are under way", || {
        let arrived = |replica: &Replica| replica.behaviour.arrived.load(Relaxed);
        replicas.iter().all(|replica| arrived(replica) == 1)
    })
    .await;
    for replica in &replicas {
        replica.behaviour.holds.store(false, Relaxed);
    }
    for client in clients {
        let answer = tokio::time::timeout(PATIENCE, client).await;
        let (status, body) = answer.expect("they wait for each other").unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            ["a", "b"].contains(&body.as_str()),
            "the replica's own words: {body}"
        );
    }
    let snapshot = front.balancer.snapshot();
    let tries: u64 = replicas
        .iter()
        .map(|replica| replica.behaviour.arrived.load(Relaxed))
        .sum();
    assert_eq!(snapshot.retries, tries - 2, "none is paid for in vain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_never_happens_is_not_counted_and_a_replicas_answer_is_no_failure() {
    let replicas = [Replica::start("a").await, Replica::start("b").await];
    for replica in &replicas {
        replica.behaviour.status.store(503, Relaxed);
    }
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    config.tries_max = 5;
    for replica in &mut config.replicas {
        replica.max_fails = 0;
    }
    let front = Front::start(config).await;
    let mut client = Client::new(front.address);
    for _ in 0..10 {
        let (status, body) = client.get().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(["a", "b"].contains(&body.as_str()), "{body}");
    }
    let snapshot = front.balancer.snapshot();
    assert_eq!(
        (snapshot.retries, snapshot.retries_refused, snapshot.failed),
        (10, 0, 0)
    );
    // The first one answers, the second one breaks: what is handed out is still a replica's word.
    replicas[1].behaviour.cuts.store(true, Relaxed);
    for _ in 0..2 {
        assert_eq!(client.get().await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(front.balancer.snapshot().failed, 0);
    // Neither answers: that is a failure.
    replicas[0].behaviour.cuts.store(true, Relaxed);
    assert_eq!(client.get().await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(front.balancer.snapshot().failed, 1);
}

/// Answers whatever comes with `bytes`, again and again.
async fn answers(bytes: &'static [u8]) -> ReplicaConfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                while matches!(stream.read(&mut head).await, Ok(1..)) {
                    if stream.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    ReplicaConfig::new("a", Some(format!("http://{address}").try_into().unwrap()))
}

#[tokio::test]
async fn a_stated_length_beside_chunks_does_not_cut_the_body() {
    let replica = answers(
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
          a\r\n0123456789\r\n0\r\n\r\n",
    )
    .await;
    let front = Front::start(plain(StrategyKind::RoundRobin, vec![replica])).await;
    let mut client = Client::new(front.address);
    for _ in 0..2 {
        assert_eq!(
            client.get().await,
            (StatusCode::OK, "0123456789".to_owned())
        );
    }
}

/// What a replica says of its own connection ends here, and what it names there.
#[tokio::test]
async fn an_answer_leaves_behind_what_is_for_one_connection() {
    let replica = answers(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-inner\r\nx-inner: 1\r\n\
          proxy-authenticate: Basic\r\nupgrade: h2c\r\nx-outer: 1\r\n\r\nok",
    )
    .await;
    let front = Front::start(plain(StrategyKind::RoundRobin, vec![replica])).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = support::raw(front.address, request).await;
    assert!(answer.contains("x-outer: 1"), "{answer}");
    for field in ["x-inner", "proxy-authenticate", "upgrade"] {
        assert!(!answer.contains(field), "{answer}");
    }
}

/// However many replicas there are, a request is sent to no more of them than it may be.
#[tokio::test]
async fn a_request_is_tried_no_oftener_than_it_may_be() {
    let mut replicas = Vec::new();
    for _ in 0..5 {
        replicas.push(answers(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await);
    }
    let config = plain(StrategyKind::RoundRobin, replicas);
    let tries_max = u64::from(config.tries_max);
    let front = Front::start(config).await;
    let (status, _) = Client::new(front.address).get().await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let replicas = front.balancer.snapshot().replicas;
    let tries: u64 = replicas.iter().map(|replica| replica.failed).sum();
    assert_eq!(tries, tries_max);
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_is_no_answer() {
    let replica = answers(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    .await;
    let front = Front::start(plain(StrategyKind::RoundRobin, vec![replica])).await;
    let request =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n";
    for _ in 0..2 {
        let answer = support::raw(front.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(answer.contains("\"code\":\"bad_gateway\""), "{answer}");
    }
    assert_eq!(front.balancer.snapshot().replicas[0].failed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_reaches_no_replica() {
    let replicas = three().await;
    let limits = ServerLimits {
        body_read: Duration::from_millis(100),
        ..ServerLimits::default()
    };
    let mut config = plain(StrategyKind::RoundRobin, configs(&replicas));
    // The time for an answer begins when the request is here.
    config.deadline = Duration::from_millis(90);
    let front = Front::with(config, limits, None).await;
    let half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf";
    for _ in 0..6 {
        let answer = support::raw(front.address, half).await;
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    let snapshot = front.balancer.snapshot();
    assert_eq!(snapshot.usable, 3, "{snapshot:?}");
    assert!(
        snapshot
            .replicas
            .iter()
            .all(|replica| (replica.failed, replica.abandoned, replica.served) == (0, 0, 0)),
        "{snapshot:?}"
    );
}
