//! The sequences that nginx 1.22.1 produced with failing servers, and where ours differ on purpose.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::{sync::Arc, time::Duration};

use http::{Method, Request};
use support::{Scripted, plain};
use trawl_balance::{Balancer, FailureKind, ReplicaConfig, StrategyKind, body};

/// Replicas `a`, `b`, `c` with a weight and `max_fails` each.
struct Case {
    method: Method,
    replicas: Vec<ReplicaConfig>,
    failing: &'static [&'static str],
    kind: FailureKind,
}

impl Case {
    fn get(names: &[&str], failing: &'static [&'static str]) -> Self {
        Self {
            method: Method::GET,
            replicas: names
                .iter()
                .map(|name| ReplicaConfig::new(*name, None))
                .collect(),
            failing,
            kind: FailureKind::Broken,
        }
    }

    fn set(mut self, change: impl Fn(&mut ReplicaConfig)) -> Self {
        self.replicas.iter_mut().for_each(change);
        self
    }

    /// As in the recordings: the servers each request tried, `u` for none, and the status if it is not 200.
    async fn sequence(self, count: usize) -> String {
        let scripted = Scripted::default();
        *scripted.failing.lock().unwrap() = self
            .failing
            .iter()
            .map(|id| ((*id).to_owned(), self.kind))
            .collect();
        let asked = Arc::clone(&scripted.asked);
        let balancer = Balancer::new(
            plain(StrategyKind::Weighted, self.replicas),
            Arc::new(scripted),
        )
        .unwrap();
        let mut sequence = Vec::new();
        for _ in 0..count {
            let request = Request::builder()
                .method(&self.method)
                .uri("/")
                .header("host", "a")
                .body(body::empty())
                .unwrap();
            let response = balancer
                .handle(request, "127.0.0.1:1".parse().unwrap())
                .await;
            let tried = std::mem::take(&mut *asked.lock().unwrap());
            let tried = if tried.is_empty() {
                "u".to_owned()
            } else {
                tried.join(">")
            };
            sequence.push(match response.status().as_u16() {
                200 => tried,
                503 => {
                    assert!(response.headers().contains_key("retry-after"));
                    format!("{tried}!503")
                }
                status => format!("{tried}!{status}"),
            });
        }
        sequence.join(" ")
    }
}

#[tokio::test]
async fn one_failure_benches() {
    let case = Case::get(&["a", "b", "c"], &["a"]);
    assert_eq!(case.sequence(9).await, "a>b c b c b c b c b");
}

#[tokio::test]
async fn three_failures_bench_when_three_are_allowed() {
    let case = Case::get(&["a", "b", "c"], &["a"]).set(|replica| replica.max_fails = 3);
    assert_eq!(case.sequence(13).await, "a>b c b c a>b c b a>c b c b c b");
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_repeated() {
    let mut case = Case::get(&["a", "b", "c"], &["a"]);
    case.method = Method::POST;
    assert_eq!(case.sequence(6).await, "a!502 b c b c b");
}

#[tokio::test]
async fn a_single_server_is_never_benched() {
    assert_eq!(
        Case::get(&["a"], &["a"]).sequence(4).await,
        "a!502 a!502 a!502 a!502"
    );
}

/// nginx says 502 to everybody without asking anyone; ours says 503, when to come back, and asks once a second.
#[tokio::test]
async fn with_all_benched_the_answer_is_503_with_retry_after() {
    let case = Case::get(&["a", "b"], &["a", "b"]);
    assert_eq!(
        case.sequence(6).await,
        "a>b!502 u!503 u!503 u!503 u!503 u!503"
    );
}

#[tokio::test]
async fn a_backup_serves_while_the_others_are_out() {
    let case = Case::get(&["a", "b"], &["a"]).set(|replica| replica.backup = replica.id == "b");
    assert_eq!(case.sequence(4).await, "a>b b b b");
}

#[tokio::test]
async fn with_max_fails_0_it_is_asked_for_ever() {
    let case = Case::get(&["a", "b"], &["a"]).set(|replica| replica.max_fails = 0);
    assert_eq!(case.sequence(6).await, "a>b b a>b b a>b b");
}

#[tokio::test]
async fn a_heavy_server_that_fails_twice_is_benched() {
    let case = Case::get(&["a", "b"], &["a"]).set(|replica| {
        replica.max_fails = 2;
        replica.weight = if replica.id == "a" { 5 } else { 1 };
    });
    assert_eq!(case.sequence(11).await, "a>b a>b b b b b b b b b b");
}

#[tokio::test]
async fn a_post_that_was_never_sent_may_go_elsewhere() {
    // A scripted replica does not give the request back, so it is lost; one that refuses by `Overloaded` keeps its place.
    let mut case = Case::get(&["a", "b"], &["a"]);
    case.method = Method::POST;
    case.kind = FailureKind::Overloaded;
    assert_eq!(case.sequence(4).await, "a!503 b a!503 b");
}

/// A request that kills its instance must not walk through the fleet and bench it.
#[tokio::test]
async fn a_trap_is_neither_repeated_nor_held_against_the_replica() {
    let mut case = Case::get(&["a", "b"], &["a"]);
    case.kind = FailureKind::Trapped;
    assert_eq!(case.sequence(4).await, "a!500 b a!500 b");
}

#[tokio::test]
async fn with_all_benched_one_request_a_second_is_a_probe() {
    let scripted = Arc::new(Scripted::default());
    scripted
        .failing
        .lock()
        .unwrap()
        .extend(["a", "b"].map(|id| (id.to_owned(), FailureKind::Broken)));
    let asked = Arc::clone(&scripted.asked);
    struct Shared(Arc<Scripted>);
    impl trawl_balance::LocalReplicas for Shared {
        fn open(
            &self,
            replica: &ReplicaConfig,
        ) -> Result<Arc<dyn trawl_balance::LocalBackend>, trawl_balance::BoxError> {
            self.0.open(replica)
        }
    }
    let config = plain(
        StrategyKind::RoundRobin,
        ["a", "b"].map(|id| ReplicaConfig::new(id, None)).to_vec(),
    );
    let balancer = Balancer::new(config, Arc::new(Shared(scripted))).unwrap();
    let begun = std::time::Instant::now();
    let mut probes = Vec::new();
    while begun.elapsed() < Duration::from_millis(3_500) {
        let request = Request::get("/")
            .header("host", "a")
            .body(body::empty())
            .unwrap();
        balancer
            .handle(request, "127.0.0.1:1".parse().unwrap())
            .await;
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        if !asked.is_empty() {
            probes.push((begun.elapsed(), asked.len()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(probes[0].1, 2, "the first request tries both");
    assert!((3..=4).contains(&probes.len()), "{probes:?}");
    assert!(
        probes[1..].iter().all(|(_, tries)| *tries == 1),
        "{probes:?}"
    );
}
