//! Politeness: slots and gaps.

use trawl_core::state::Kind;
use trawl_store::{Job, QueueLimits, Store, Waiting};

use crate::Subject;
use crate::given::{LIMITS, accepted, failure, finished, request};

async fn claim<S: Subject>(store: Store<'_, S>, limit: u32) -> Vec<Job> {
    store.claim(Kind::Text, limit, "w", 60).await.unwrap()
}

pub(super) async fn slots_are_never_exceeded<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 3,
        ..LIMITS
    };
    for _ in 0..20 {
        accepted(store, &request(1, "busy"), &limits).await;
    }
    accepted(store, &request(1, "other"), &limits).await;
    let mut running = claim(store, 50).await;
    assert_eq!(running.iter().filter(|job| job.host == "busy").count(), 3);
    assert_eq!(running.len(), 4, "another host is not held up");
    let mut served = 0;
    // Every way to leave a slot lets exactly one other start.
    for round in 0.. {
        let Some(job) = running.pop() else { break };
        match round % 4 {
            0 => assert!(store.fail(&failure(job.id, job.lease, None)).await.unwrap()),
            1 => assert!(
                store
                    .fail(&failure(job.id, job.lease, Some(3_600_000)))
                    .await
                    .unwrap()
            ),
            2 => drop(store.cancel(job.tenant, job.id).await.unwrap()),
            _ => assert_eq!(
                store.finish(&[finished(job.id, job.lease)]).await.unwrap(),
                [job.id]
            ),
        }
        served += 1;
        running.extend(claim(store, 50).await);
        assert!(running.iter().filter(|job| job.host == "busy").count() <= 3);
    }
    assert_eq!(served, 21, "nothing is stuck");
}

pub(super) async fn gaps_are_kept<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 2,
        host_gap_ms: 60_000,
        ..LIMITS
    };
    for _ in 0..4 {
        accepted(store, &request(1, "slow"), &limits).await;
    }
    let first = claim(store, 9).await;
    assert_eq!(first.len(), 1, "one start, whatever is free");
    assert!(claim(store, 9).await.is_empty());
    sql.pass(30_000).await;
    accepted(store, &request(1, "slow"), &limits).await;
    store.wake().await.unwrap();
    assert!(claim(store, 9).await.is_empty(), "half a gap is not a gap");
    assert_eq!(store.waiting().await.unwrap(), Waiting::default());
    sql.pass(31_000).await;
    let second = claim(store, 9).await;
    assert_eq!(
        second.len(),
        1,
        "a claim takes it without waiting for the clock"
    );
    store
        .extend(
            &[
                (first[0].id, first[0].lease),
                (second[0].id, second[0].lease),
            ],
            200,
        )
        .await
        .unwrap();
    sql.pass(61_000).await;
    store.wake().await.unwrap();
    assert!(claim(store, 9).await.is_empty(), "two are in flight");
    assert_eq!(
        store
            .finish(&[finished(first[0].id, first[0].lease)])
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(claim(store, 9).await.len(), 1, "the gap was over long ago");
    assert!(claim(store, 9).await.is_empty());
}

pub(super) async fn a_clock_set_back_skips_a_gap<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_gap_ms: 60_000,
        ..LIMITS
    };
    store
        .set_host_pace("operated", 7_200_000, 4, "operator")
        .await
        .unwrap();
    for kind in Kind::ALL {
        for n in 0..3 {
            let mut message = request(1, &format!("h{}", kind.number()));
            message.kind = kind;
            message.request_url.push_str(&n.to_string());
            accepted(store, &message, &limits).await;
        }
    }
    accepted(store, &request(1, "operated"), &limits).await;
    accepted(store, &request(1, "operated"), &limits).await;
    let claim_all = async || {
        let mut hosts = Vec::new();
        for kind in Kind::ALL {
            let jobs = store.claim(kind, 9, "w", 200).await.unwrap();
            hosts.extend(jobs.into_iter().map(|job| job.host));
        }
        hosts.sort();
        hosts
    };
    assert_eq!(claim_all().await, ["h1", "h2", "h3", "operated"]);
    store.wake().await.unwrap();
    assert!(claim_all().await.is_empty(), "each keeps its gap");
    sql.pass(-3_600_000).await;
    assert!(claim_all().await.is_empty());
    store.wake().await.unwrap();
    assert_eq!(
        claim_all().await,
        ["h1", "h2", "h3", "operated"],
        "each gap is skipped once, and not kept for an hour more"
    );
    store.wake().await.unwrap();
    assert!(claim_all().await.is_empty(), "the next gap is kept again");
    sql.pass(61_000).await;
    assert_eq!(claim_all().await, ["h1", "h2", "h3"]);
}

pub(super) async fn a_new_pace_takes_effect<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 2,
        ..LIMITS
    };
    for _ in 0..10 {
        accepted(store, &request(1, "a"), &limits).await;
    }
    assert_eq!(claim(store, 50).await.len(), 2);
    store.set_host_pace("a", 0, 5, "operator").await.unwrap();
    assert_eq!(
        claim(store, 50).await.len(),
        3,
        "more slots are handed out at once"
    );
    store.set_host_pace("a", 0, 8, "operator").await.unwrap();
    store
        .set_host_pace("a", 60_000, 8, "operator")
        .await
        .unwrap();
    assert_eq!(
        claim(store, 50).await.len(),
        1,
        "rows that were ready are taken back when a gap is set"
    );
    assert_eq!(claim(store, 50).await.len(), 0);
    store.set_host_pace("a", 0, 8, "operator").await.unwrap();
    assert_eq!(
        claim(store, 50).await.len(),
        2,
        "and handed out when it is lifted"
    );
}

/// What robots.txt asks for is known when a page of the host is about to be fetched: the next start keeps the gap from it.
pub(super) async fn a_gap_that_robots_asks_for_begins_at_once<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for _ in 0..4 {
        accepted(store, &request(1, "a"), &LIMITS).await;
    }
    let first = claim(store, 1).await;
    store.set_host_pace("a", 10_000, 1, "robots").await.unwrap();
    let end = async |job: &Job| {
        let done = store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        assert_eq!(done, [job.id]);
    };
    end(&first[0]).await;
    assert!(claim(store, 9).await.is_empty(), "no start at once");
    sql.pass(10_000).await;
    let second = claim(store, 9).await;
    assert_eq!(second.len(), 1);
    end(&second[0]).await;
    sql.pass(4_000).await;
    store.set_host_pace("a", 20_000, 1, "robots").await.unwrap();
    store.set_host_pace("a", 20_000, 1, "robots").await.unwrap();
    sql.pass(16_000).await;
    assert!(claim(store, 9).await.is_empty(), "a longer one counts anew");
    sql.pass(4_000).await;
    assert_eq!(claim(store, 9).await.len(), 1);
}

pub(super) async fn operator_wins_over_robots<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    store.set_host_pace("a", 0, 3, "operator").await.unwrap();
    store.set_host_pace("a", 10_000, 1, "robots").await.unwrap();
    for _ in 0..5 {
        accepted(store, &request(1, "a"), &LIMITS).await;
    }
    assert_eq!(claim(store, 50).await.len(), 3);
    store.set_host_pace("b", 10_000, 1, "robots").await.unwrap();
    for _ in 0..5 {
        accepted(store, &request(1, "b"), &LIMITS).await;
    }
    sql.pass(10_000).await;
    assert_eq!(claim(store, 50).await.len(), 1);
    store.clear_host_pace("a").await.unwrap();
    assert!(
        claim(store, 50).await.is_empty(),
        "an operator's pace stays"
    );
    store.clear_host_pace("b").await.unwrap();
    assert!(
        !claim(store, 50).await.is_empty(),
        "one that robots.txt asked for ends with the wish"
    );
}

pub(super) async fn kinds_share_a_host<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 2,
        ..LIMITS
    };
    for kind in [Kind::Text, Kind::Html, Kind::Domains] {
        let mut message = request(1, "a");
        message.kind = kind;
        accepted(store, &message, &limits).await;
    }
    let mut running = Vec::new();
    for kind in Kind::ALL {
        running.extend(store.claim(kind, 9, "w", 60).await.unwrap());
    }
    assert_eq!(
        running.len(),
        2,
        "a site does not care what its pages are wanted for"
    );
    store
        .finish(&[finished(running[0].id, running[0].lease)])
        .await
        .unwrap();
    assert_eq!(store.waiting().await.unwrap().now, [Kind::Domains]);
}
