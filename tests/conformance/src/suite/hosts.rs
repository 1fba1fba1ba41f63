//! Politeness: slots and gaps.

use trawl_core::limits::queue::RETRY_AFTER_MS_MAX;
use trawl_core::state::Kind;
use trawl_store::sql::Value;
use trawl_store::{Job, QueueLimits, Start, Store, Waiting};

use crate::Subject;
use crate::given::{LIMITS, accepted, failure, finished, not_now, request};

async fn claim<S: Subject>(store: Store<'_, S>, limit: u32) -> Vec<Job> {
    store.claim(Kind::Text, limit, "w", 60).await.unwrap()
}

/// The usual limits, with a pause between two starts at a host.
const fn with_gap(host_gap_ms: u64) -> QueueLimits {
    QueueLimits {
        host_gap_ms,
        ..LIMITS
    }
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
    let limits = with_gap(60_000);
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

/// A start that a longer gap put further off than the new one is long is not left from before the clock was set back.
pub(super) async fn a_gap_that_becomes_shorter_is_kept<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = with_gap(10_000);
    for (source, rows) in [("operator", 3), ("robots", 4)] {
        let pace =
            async |host: &str, gap_ms| store.set_host_pace(host, gap_ms, 4, source).await.unwrap();
        pace(source, 60_000).await;
        pace(source, 50_000).await;
        for _ in 0..rows {
            accepted(store, &request(1, source), &limits).await;
        }
        sql.pass(50_000).await;
        assert_eq!(claim(store, 9).await.len(), 1);
        let has_begun = pace(source, 20_000).await;
        assert!(!has_begun, "it is no start of whoever read it");
        assert!(claim(store, 9).await.is_empty(), "{source}: not at once");
        let wait_ms = start(store, source).await.unwrap();
        assert!((19_000..=20_000).contains(&wait_ms), "{wait_ms}");
        sql.pass(20_000).await;
        store.wake().await.unwrap();
        assert_eq!(claim(store, 9).await.len(), 1);
        // What is nearer than the new gap is long stays as near.
        sql.pass(15_000).await;
        pace(source, 11_000).await;
        sql.pass(5_000).await;
        assert_eq!(claim(store, 9).await.len(), 1);
    }
    // To the usual pace, when robots.txt asks for none any more.
    store.clear_host_pace("robots").await.unwrap();
    assert!(claim(store, 9).await.is_empty(), "not at once");
    sql.pass(10_000).await;
    assert_eq!(claim(store, 9).await.len(), 1);
}

/// Takes a start that no claim takes; when it is too early, in how many milliseconds it is worth trying again.
async fn start<S: Subject>(store: Store<'_, S>, host: &str) -> Option<u64> {
    match store.take_start(host).await.unwrap() {
        Start::Taken { .. } => None,
        Start::TooEarly { wait_ms } => Some(wait_ms),
    }
}

/// Whoever is led there asks again in the moment in which there may be a start, and a claim comes later.
pub(super) async fn starts_that_no_claim_took_leave_turns_to_the_hosts_own_rows<S: Subject>(
    sql: &S,
) {
    let store = Store::new(sql);
    let limits = with_gap(1_000);
    for _ in 0..3 {
        accepted(store, &request(1, "a"), &limits).await;
    }
    for turn in 0..3 {
        assert_eq!(start(store, "a").await, None, "{turn}");
        sql.pass(1_000).await;
        let wait_ms = start(store, "a").await;
        assert_eq!(wait_ms, Some(0), "now the row's turn has come");
        assert_eq!(claim(store, 9).await.len(), 1);
        sql.pass(1_000).await;
    }
    // Without a row that waits nobody has to be let in between.
    for _ in 0..3 {
        assert_eq!(start(store, "a").await, None);
        sql.pass(1_000).await;
    }
    // Nor where there is no gap to wait for.
    store.set_host_pace("b", 0, 4, "operator").await.unwrap();
    accepted(store, &request(1, "b"), &limits).await;
    for _ in 0..3 {
        assert_eq!(start(store, "b").await, None);
    }
}

/// A redirect leads to a host that has rows of its own, or a page waited for its robots.txt: the gap is between all starts.
pub(super) async fn a_start_that_no_claim_took_keeps_the_gap<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = with_gap(1_000);
    for _ in 0..3 {
        accepted(store, &request(1, "a"), &limits).await;
    }
    assert_eq!(start(store, "a").await, None);
    assert!(claim(store, 9).await.is_empty(), "put off by that start");
    let wait_ms = start(store, "a").await.unwrap();
    assert!((1..=1_000).contains(&wait_ms), "{wait_ms}");
    sql.pass(1_000).await;
    let job = claim(store, 9).await.remove(0);
    assert!(start(store, "a").await.is_some(), "too early after a claim");
    sql.pass(1_000).await;
    assert_eq!(start(store, "a").await, None);
    assert!(
        claim(store, 9).await.is_empty(),
        "the next was armed by then"
    );
    sql.pass(1_000).await;
    assert_eq!(claim(store, 9).await.len(), 1);
    // Who asked to be left alone is, whoever leads there.
    store.fail(&not_now(&job, 60_000)).await.unwrap();
    let wait_ms = start(store, "a").await.unwrap();
    assert!((59_000..=60_000).contains(&wait_ms), "{wait_ms}");
    sql.pass(2_000).await;
    assert!(start(store, "a").await.is_some(), "though its gap is over");
    // Two starts of a host without rows, one of which is from before the clock was set back.
    assert_eq!(start(store, "b").await, None);
    assert!(start(store, "b").await.is_some());
    let ahead = "UPDATE hosts SET next_at = next_at + 86400000 WHERE host = ?1";
    sql.run(ahead, vec!["b".into()]).await.unwrap();
    assert_eq!(start(store, "b").await, None);
}

/// Whoever starts there without a slot is told how many have one.
pub(super) async fn a_start_that_no_claim_took_tells_the_hosts_slots<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 3,
        ..LIMITS
    };
    accepted(store, &request(1, "other"), &limits).await;
    let told = async |in_flight_max| {
        let start = store.take_start("a").await.unwrap();
        assert_eq!(start, Start::Taken { in_flight_max });
    };
    told(3).await;
    told(3).await;
    store.set_host_pace("a", 0, 7, "robots").await.unwrap();
    told(7).await;
    store.clear_host_pace("a").await.unwrap();
    told(3).await;
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

/// What a host that asked for 60 s has waiting, armed or not, is left alone by whatever may arm it; another host's rows go on.
pub(super) async fn a_pause_is_kept_by_all_rows<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 3,
        ..LIMITS
    };
    for _ in 0..5 {
        accepted(store, &request(1, "busy"), &limits).await;
    }
    let mut running = claim(store, 2).await;
    let (first, beside) = (running.remove(0), running.remove(0));
    assert!(store.fail(&not_now(&first, 60_000)).await.unwrap());
    assert!(
        !store.fail(&not_now(&first, 600_000)).await.unwrap(),
        "a stale one"
    );
    accepted(store, &request(1, "other"), &limits).await;
    accepted(store, &request(2, "busy"), &limits).await;
    let hosts = async || {
        let jobs = claim(store, 50).await;
        jobs.into_iter().map(|job| job.host).collect::<Vec<_>>()
    };
    assert_eq!(hosts().await, ["other"]);
    // What ends beside it, and its shorter wish, end no pause; nor do the purge and an operator's pace.
    assert!(store.fail(&not_now(&beside, 1_000)).await.unwrap());
    store.purge(30, 90, 50).await.unwrap();
    store.set_host_pace("busy", 0, 2, "operator").await.unwrap();
    sql.pass(30_000).await;
    store.wake().await.unwrap();
    accepted(store, &request(2, "busy"), &limits).await;
    assert!(hosts().await.is_empty(), "half a pause is no pause");
    assert_eq!(store.waiting().await.unwrap(), Waiting::default());
    sql.pass(31_000).await;
    store.wake().await.unwrap();
    assert_eq!(hosts().await, ["busy"; 2], "then all slots are used");
}

/// The end of a pause is not the start of all that waited for it.
pub(super) async fn a_pause_keeps_the_pace<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = with_gap(2_000);
    for _ in 0..4 {
        accepted(store, &request(1, "slow"), &limits).await;
    }
    let first = claim(store, 9).await.remove(0);
    sql.pass(5_000).await;
    assert!(store.fail(&not_now(&first, 60_000)).await.unwrap());
    assert!(
        claim(store, 9).await.is_empty(),
        "also what was armed for the end of the gap"
    );
    sql.pass(61_000).await;
    store.wake().await.unwrap();
    for _ in 0..4 {
        assert_eq!(claim(store, 9).await.len(), 1);
        assert!(claim(store, 9).await.is_empty());
        sql.pass(2_000).await;
    }
}

pub(super) async fn a_pause_of_a_clock_set_back_ends<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    accepted(store, &request(1, "a"), &LIMITS).await;
    accepted(store, &request(1, "a"), &LIMITS).await;
    let first = claim(store, 1).await.remove(0);
    let failure = not_now(&first, RETRY_AFTER_MS_MAX);
    assert!(store.fail(&failure).await.unwrap());
    store.wake().await.unwrap();
    assert!(claim(store, 9).await.is_empty(), "the longest is kept");
    sql.pass(-1_000).await;
    store.wake().await.unwrap();
    let other = claim(store, 9).await.remove(0);
    assert_ne!(other.id, first.id, "none is kept for longer than that");
    assert!(store.fail(&failure).await.is_ok_and(|recorded| !recorded));
    assert!(store.fail(&not_now(&other, 60_000)).await.unwrap());
    accepted(store, &request(1, "a"), &LIMITS).await;
    assert!(
        claim(store, 9).await.is_empty(),
        "the next one is kept again"
    );
}

pub(super) async fn many_host_pauses_end_in_parts<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    sql.run(
        "INSERT INTO hosts (host, paused_until)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         SELECT i, CASE WHEN i > 600 THEN i ELSE (1 << 50) + i END FROM n",
        vec![],
    )
    .await
    .unwrap();
    let paused = async || {
        let count = "SELECT COUNT(*) FROM hosts WHERE paused_until IS NOT NULL";
        sql.run(count, vec![]).await.unwrap().rows[0][0].clone()
    };
    let part = include_str!("../../../../components/lib/store/sql/wake_hosts.sql");
    let hour = Value::from(RETRY_AFTER_MS_MAX);
    let woken = sql.run(part, vec![Value::Integer(2), hour]).await.unwrap();
    assert_eq!(woken.rows.len(), 4, "no more of each than it may");
    assert_eq!(paused().await, Value::Integer(1196));
    store.wake().await.unwrap();
    assert_eq!(paused().await, Value::Integer(0), "and the rest after them");
}

/// A row whose host's gap is over is claimed without waiting for the clock, but by workers of its own type alone.
pub(super) async fn a_gap_that_is_over_is_no_other_kinds<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = with_gap(60_000);
    for _ in 0..2 {
        let mut page = request(1, "slow");
        page.kind = Kind::Html;
        accepted(store, &page, &limits).await;
    }
    // The spare slots of texts are for this account.
    accepted(store, &request(1, "free"), &limits).await;
    let first = store.claim(Kind::Html, 9, "w", 60).await.unwrap();
    assert_eq!(first.len(), 1);
    let taken = async || {
        let mut taken = store.claim_spare(Kind::Text, 9, "w", 60, 0).await.unwrap();
        taken.extend(claim(store, 9).await);
        taken.extend(store.claim_alone(Kind::Text, "w", 60).await.unwrap());
        let kinds = taken.iter().map(|job| job.kind);
        kinds.collect::<Vec<_>>()
    };
    sql.pass(61_000).await;
    assert_eq!(store.waiting().await.unwrap().alone, []);
    assert_eq!(taken().await, [Kind::Text]);
    // Nor is it one of those that run alone.
    let alone = async || store.claim_alone(Kind::Html, "w", 60).await.unwrap();
    assert_eq!(alone().await, None);
    let second = store.claim(Kind::Html, 9, "w", 3).await.unwrap();
    assert_eq!(second.len(), 1);
    // Their workers died, within the gap: once it is over nothing else takes them.
    sql.pass(4_000).await;
    assert_eq!(store.rescue().await.unwrap().requeued, 2);
    assert_eq!(alone().await, None, "nor does anything within it");
    sql.pass(61_000).await;
    assert_eq!(store.rescue().await.unwrap().requeued, 1);
    let mut company = store.claim_spare(Kind::Html, 9, "w", 60, 0).await.unwrap();
    company.extend(store.claim(Kind::Html, 9, "w", 60).await.unwrap());
    assert_eq!(company, []);
    let text = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
    assert_eq!(text.map(|job| job.host).as_deref(), Some("free"));
    assert_eq!(taken().await, []);
    assert!(alone().await.is_some());
}

/// Of the rows whose gaps are over those come first that have waited longest since, and each stands where its place is among the others.
pub(super) async fn rows_whose_gaps_are_over_keep_their_order<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for (host, host_gap_ms) in [("slow", 20_000), ("quick", 10_000)] {
        let pace = store.set_host_pace(host, host_gap_ms, 1, "operator");
        pace.await.unwrap();
        for _ in 0..2 {
            accepted(store, &request(1, host), &LIMITS).await;
        }
    }
    for job in claim(store, 9).await {
        store.finish(&[finished(job.id, job.lease)]).await.unwrap();
    }
    sql.pass(21_000).await;
    accepted(store, &request(1, "free"), &LIMITS).await;
    for host in ["quick", "slow", "free"] {
        let next = claim(store, 1).await;
        assert_eq!(next[0].host, host);
    }
}

/// A gap that is over lets no other host's row start before its own is.
pub(super) async fn each_host_waits_for_its_own_gap<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for (host, host_gap_ms) in [("quick", 10_000), ("slow", 60_000)] {
        let pace = store.set_host_pace(host, host_gap_ms, 4, "operator");
        pace.await.unwrap();
        for _ in 0..2 {
            accepted(store, &request(1, host), &LIMITS).await;
        }
    }
    assert_eq!(claim(store, 9).await.len(), 2);
    let spare = store.claim_spare(Kind::Text, 9, "w", 60, 0).await.unwrap();
    assert_eq!(spare, [], "spare slots wait for gaps, too");
    sql.pass(11_000).await;
    store.wake().await.unwrap();
    let started = claim(store, 9).await;
    let hosts: Vec<_> = started.iter().map(|job| job.host.as_str()).collect();
    assert_eq!(hosts, ["quick"]);
}

/// Spare slots are for rows of the worker's own type, whatever else the account has waiting.
pub(super) async fn spare_slots_are_no_other_kinds<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for kind in Kind::ALL {
        let mut message = request(1, "a");
        message.kind = kind;
        accepted(store, &message, &LIMITS).await;
    }
    let spare = store.claim_spare(Kind::Text, 9, "w", 60, 0).await.unwrap();
    let kinds: Vec<_> = spare.iter().map(|job| job.kind).collect();
    assert_eq!(kinds, [Kind::Text]);
}
