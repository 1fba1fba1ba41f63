//! Endpoints: slots, pauses, disabling.

use std::ops::Range;

use trawl_core::callback_policy::disables;
use trawl_core::ids::AccountId;
use trawl_core::limits::outbox::ENDPOINT_IN_FLIGHT_MAX;
use trawl_core::state::{CallbackStatus, Kind};
use trawl_store::sql::Value;
use trawl_store::{Attempt, CallbackJob, Filter, Next, Replay, ReplayPoint, Store};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, finished, request};

const DAY_MS: i64 = 86_400_000;
/// Callbacks to one endpoint that are claimed at once; the number stands in the triggers too.
const SLOTS: usize = ENDPOINT_IN_FLIGHT_MAX as usize;

fn attempt(status: u16) -> Attempt {
    Attempt {
        status: Some(status),
        latency_ms: 5,
        error: None,
    }
}

/// Finishes `count` messages of a tenant.
async fn done<S: Subject>(sql: &S, tenant: i64, count: usize) {
    let store = Store::new(sql);
    for _ in 0..count {
        accepted(store, &request(tenant, "a"), &LIMITS).await;
    }
    let jobs = store.claim(Kind::Text, 200, "w", 60).await.unwrap();
    let work: Vec<_> = jobs.iter().map(|job| finished(job.id, job.lease)).collect();
    assert_eq!(store.finish(&work).await.unwrap().len(), count);
}

/// Messages that are done, with a callback each, to endpoints of their own.
async fn done_for_many<S: Subject>(
    store: Store<'_, S>,
    tenant: i64,
    name: &str,
    numbers: Range<u32>,
) {
    for n in numbers {
        let mut message = request(tenant, "a");
        message.callback_url = Some(format!("https://{name}{n}.example/"));
        let id = accepted(store, &message, &LIMITS).await;
        let job = claimed(store).await;
        store.finish(&[finished(id, job.lease)]).await.unwrap();
    }
}

async fn take<S: Subject>(store: Store<'_, S>, limit: u32) -> Vec<CallbackJob> {
    store.claim_callbacks(limit, "c", 60).await.unwrap()
}

async fn statuses<S: Subject>(store: Store<'_, S>, tenant: i64) -> Vec<CallbackStatus> {
    let filter = Filter {
        limit: 100,
        ..Filter::default()
    };
    let tenant = AccountId(tenant);
    let listed = store.messages(tenant, &filter).await.unwrap();
    for message in &listed {
        let alone = store.message(tenant, message.id).await.unwrap();
        assert_eq!(alone.as_ref(), Some(message), "it says so itself");
    }
    listed
        .iter()
        .map(|message| message.callback_status)
        .collect()
}

pub(super) async fn in_flight<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, 9).await;
    let mut running = take(store, 50).await;
    assert_eq!(running.len(), SLOTS);
    let mut sent = 0;
    while let Some(job) = running.pop() {
        assert!(
            store
                .callback_done(job.id, job.lease, &attempt(200))
                .await
                .unwrap()
        );
        sent += 1;
        running.extend(take(store, 50).await);
        assert_eq!(running.len(), SLOTS.min(9 - sent));
    }
    assert_eq!(sent, 9);
}

pub(super) async fn throttled<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, 8).await;
    done(sql, 2, 1).await;
    let first = take(store, 1).await.remove(0);
    assert_eq!(first.tenant, AccountId(1));
    let retry = Next::Retry { in_ms: 5_000 };
    assert!(
        store
            .callback_failed(first.id, first.lease, &attempt(503), retry, Some(120_000))
            .await
            .unwrap()
    );
    let told = store.deliveries(first.tenant, first.message_id).await;
    let told = told.unwrap().unwrap().remove(0);
    assert_eq!(
        told.next_try_at,
        Some(told.at_ms + 120_000),
        "no try is promised within the pause"
    );
    let others = take(store, 50).await;
    assert_eq!(
        others.iter().map(|job| job.tenant.0).collect::<Vec<_>>(),
        [2],
        "the endpoint pauses, another's goes on"
    );
    sql.pass(60_000).await;
    store.wake().await.unwrap();
    assert!(
        take(store, 50).await.is_empty(),
        "a due try waits for the pause too"
    );
    sql.pass(61_000).await;
    store.wake().await.unwrap();
    assert_eq!(
        take(store, 50).await.len(),
        SLOTS,
        "then all slots are used"
    );
}

pub(super) async fn many_pauses_end_in_parts<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    sql.run(
        "INSERT INTO endpoints (tenant, url, throttled_until)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         SELECT 1, 'https://a.example/' || i, 1 + i FROM n",
        vec![],
    )
    .await
    .unwrap();
    let paused = async || {
        let counted = sql
            .run(
                "SELECT COUNT(*) FROM endpoints WHERE throttled_until IS NOT NULL",
                vec![],
            )
            .await
            .unwrap();
        counted.rows[0][0].clone()
    };
    let part = include_str!("../../../../components/lib/store/sql/wake_endpoints.sql");
    let woken = sql.run(part, vec![Value::Integer(2)]).await.unwrap();
    assert_eq!(woken.rows.len(), 2, "no more than it may");
    assert_eq!(paused().await, Value::Integer(1198));
    store.wake().await.unwrap();
    assert_eq!(paused().await, Value::Integer(0), "and the rest after them");
}

/// Each failed first; those that then succeeded, or whose pause is over, take what they get.
pub(super) async fn endpoints_in_trouble<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done_for_many(store, 1, "a", 1..6).await;
    done_for_many(store, 2, "of-another", 1..2).await;
    let mut held = take(store, 20).await;
    held.sort_by(|a, b| a.endpoint_url.cmp(&b.endpoint_url));
    let retry = Next::Retry { in_ms: 1 };
    for (callback, (status, next, pause_ms)) in held.iter().zip([
        (410, Next::EndpointGone, None),
        (429, retry, Some(60_000)),
        (500, retry, None),
        (500, retry, None),
        (500, Next::Exhausted, None),
        (500, retry, None),
    ]) {
        let answer = attempt(status);
        let failed = store.callback_failed(callback.id, callback.lease, &answer, next, pause_ms);
        assert!(failed.await.unwrap());
    }
    sql.pass(1_000).await;
    store.wake().await.unwrap();
    for again in take(store, 20).await {
        if again.endpoint_url == "https://a4.example/" {
            let answer = attempt(200);
            let sent = store.callback_done(again.id, again.lease, &answer);
            assert!(sent.await.unwrap());
        }
    }
    let shown = async |tenant, skip, limit| {
        let found = store
            .endpoints(AccountId(tenant), skip, limit)
            .await
            .unwrap();
        let of_each = found.into_iter().map(|endpoint| {
            let held = (
                endpoint.disabled_at.is_some(),
                endpoint.paused_until.is_some(),
            );
            (endpoint.url, held, endpoint.failing_since.is_some())
        });
        of_each.collect::<Vec<_>>()
    };
    let url = |n: u32| format!("https://a{n}.example/");
    let all = [
        (url(1), (true, false), true),
        (url(2), (false, true), true),
        (url(3), (false, false), true),
        (url(5), (false, false), true),
    ];
    assert_eq!(shown(1, 0, 9).await, all);
    assert_eq!(shown(1, 0, 2).await, all[..2]);
    assert_eq!(shown(1, 2, 9).await, all[2..]);
    assert_eq!(shown(2, 0, 9).await.len(), 1);
    assert_eq!(shown(3, 0, 9).await, []);
    sql.pass(60_000).await;
    let (_, held, is_failing) = &shown(1, 0, 9).await[1];
    assert_eq!(
        (*held, *is_failing),
        ((false, false), true),
        "its pause is over"
    );
}

pub(super) async fn gone<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, 6).await;
    let first = take(store, 1).await.remove(0);
    assert!(
        store
            .callback_failed(
                first.id,
                first.lease,
                &attempt(410),
                Next::EndpointGone,
                None
            )
            .await
            .unwrap()
    );
    assert!(take(store, 50).await.is_empty());
    assert_eq!(statuses(store, 1).await, [CallbackStatus::Disabled; 6]);
    assert_eq!(
        store.replay(AccountId(1), first.message_id).await.unwrap(),
        Replay::EndpointDisabled
    );
    done(sql, 1, 1).await;
    assert!(take(store, 50).await.is_empty(), "new ones are kept too");
    assert!(
        !store
            .endpoint_enable(AccountId(2), &first.endpoint_url)
            .await
            .unwrap(),
        "its owner's only"
    );
    assert!(
        store
            .endpoint_enable(AccountId(1), &first.endpoint_url)
            .await
            .unwrap()
    );
    assert!(
        !store
            .endpoint_enable(AccountId(1), &first.endpoint_url)
            .await
            .unwrap()
    );
    let mut sent = 0;
    loop {
        let jobs = take(store, 50).await;
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            assert!(
                store
                    .callback_done(job.id, job.lease, &attempt(200))
                    .await
                    .unwrap()
            );
            sent += 1;
        }
    }
    assert_eq!(sent, 7, "nothing was lost while it was disabled");
}

/// An endpoint that said 410 stays disabled, whatever becomes of what was on its way to it.
pub(super) async fn gone_for_good<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, 3).await;
    let sent = take(store, 50).await;
    let retry = Next::Retry { in_ms: 5_000 };
    for (job, status, next) in [(&sent[0], 410, Next::EndpointGone), (&sent[1], 500, retry)] {
        let answer = attempt(status);
        let recorded = store.callback_failed(job.id, job.lease, &answer, next, None);
        assert!(recorded.await.unwrap());
    }
    let answer = attempt(200);
    let answered = store.callback_done(sent[2].id, sent[2].lease, &answer);
    assert!(answered.await.unwrap());
    sql.pass(60_000).await;
    store.wake().await.unwrap();
    assert!(take(store, 50).await.is_empty());
    // Nor is it sent again with others of its time.
    let now = store.now_ms().await.unwrap();
    let replayed = store.replay_range(AccountId(1), 0, now + 1, ReplayPoint::START);
    assert_eq!(replayed.await.unwrap().count, 0);
    assert!(take(store, 50).await.is_empty());
}

/// Two accounts may have one endpoint. What one of them has on its way there takes no slot of the other.
pub(super) async fn each_account_has_its_own_slots<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, SLOTS).await;
    let running = take(store, 50).await;
    assert_eq!(running.len(), SLOTS);
    let mut message = request(2, "a");
    message.callback_url = Some(running[0].endpoint_url.clone());
    let id = accepted(store, &message, &LIMITS).await;
    let job = claimed(store).await;
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    let other = take(store, 50).await;
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].message_id, id);
}

/// A shorter wish ends no longer pause: an endpoint asks once for each callback that is on its way.
pub(super) async fn the_longest_pause_counts<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, 2).await;
    let sent = take(store, 50).await;
    let (answer, next) = (attempt(503), Next::Retry { in_ms: 5_000 });
    for (job, pause_ms) in sent.iter().zip([600_000, 10_000]) {
        let recorded = store.callback_failed(job.id, job.lease, &answer, next, Some(pause_ms));
        assert!(recorded.await.unwrap());
    }
    sql.pass(60_000).await;
    store.wake().await.unwrap();
    done(sql, 1, 1).await;
    assert!(take(store, 50).await.is_empty(), "nor what is new");
    sql.pass(541_000).await;
    store.wake().await.unwrap();
    assert_eq!(take(store, 50).await.len(), 3);
}

/// One endpoint's pause is over, and ends no other one's.
pub(super) async fn each_pause_ends_by_itself<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for (tenant, pause_ms) in [(1, 10_000), (2, 600_000)] {
        done(sql, tenant, 1).await;
        let job = take(store, 1).await.remove(0);
        let (answer, next) = (attempt(503), Next::Retry { in_ms: 1_000 });
        let recorded = store.callback_failed(job.id, job.lease, &answer, next, Some(pause_ms));
        assert!(recorded.await.unwrap());
    }
    sql.pass(11_000).await;
    store.wake().await.unwrap();
    done(sql, 2, 1).await;
    let sent = take(store, 50).await;
    assert_eq!(sent.iter().map(|job| job.tenant.0).collect::<Vec<_>>(), [1]);
}

/// Who enables an endpoint says that it is well: what it did before must not disable it again at its next failure.
pub(super) async fn enabling_begins_anew<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let next = Next::Retry { in_ms: 1_000 };
    done(sql, 1, 1).await;
    for next in [next, Next::EndpointGone, next] {
        let (job, answer) = (take(store, 1).await.remove(0), attempt(500));
        let recorded = store.callback_failed(job.id, job.lease, &answer, next, None);
        assert!(recorded.await.unwrap());
        if next == Next::EndpointGone {
            sql.pass(6 * DAY_MS).await;
            let enabled = store.endpoint_enable(AccountId(1), &job.endpoint_url);
            assert!(enabled.await.unwrap());
        } else {
            sql.pass(2_000).await;
            store.wake().await.unwrap();
        }
    }
    assert_eq!(statuses(store, 1).await, [CallbackStatus::Pending]);
}

pub(super) async fn disabled_after_days<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    // Days with a failure (f) and with a success (s), and whether the endpoint is disabled at the end, by the pure rule.
    for (tenant, days) in (1..).zip([
        "f....f",
        "f...f",
        "fffff",
        "ffffff",
        "fsffff",
        "f.......f",
        "......f",
        "f.s..f",
    ]) {
        let mut first_failure_ms = None;
        let mut failing_days = 0;
        for (day, what) in (0..).zip(days.chars()) {
            if what != '.' {
                done(sql, tenant, 1).await;
                let job = take(store, 1).await.remove(0);
                if what == 's' {
                    assert!(
                        store
                            .callback_done(job.id, job.lease, &attempt(200))
                            .await
                            .unwrap()
                    );
                    (first_failure_ms, failing_days) = (None, 0);
                } else {
                    let next = Next::Retry {
                        in_ms: 1_000 * 86_400_000,
                    };
                    assert!(
                        store
                            .callback_failed(job.id, job.lease, &attempt(500), next, None)
                            .await
                            .unwrap()
                    );
                    failing_days += 1;
                    let first_ms = *first_failure_ms.get_or_insert(day * DAY_MS);
                    let disabled = statuses(store, tenant)
                        .await
                        .contains(&CallbackStatus::Disabled);
                    assert_eq!(
                        disabled,
                        disables(first_ms, failing_days, day * DAY_MS),
                        "day {day} of {days}"
                    );
                }
            }
            sql.pass(DAY_MS).await;
        }
    }
}

pub(super) async fn one_dead_endpoint_slows_nobody<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for _ in 0..5 {
        done(sql, 1, 40).await;
    }
    let dead = take(store, 50).await;
    assert_eq!(dead.len(), SLOTS);
    for _ in 0..5 {
        done(sql, 2, 1).await;
        let live = take(store, 50).await;
        assert_eq!(live.iter().map(|job| job.tenant.0).collect::<Vec<_>>(), [2]);
        assert!(
            store
                .callback_done(live[0].id, live[0].lease, &attempt(200))
                .await
                .unwrap()
        );
    }
}

pub(super) async fn spare_slots<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done_for_many(store, 1, "dead", 0..12).await;
    assert_eq!(take(store, 6).await.len(), 6);
    done(sql, 2, 2).await;
    done_for_many(store, 3, "late", 0..7).await;
    let spare = store.claim_callbacks_spare(8, "w", 60).await.unwrap();
    let count = |tenant| spare.iter().filter(|job| job.tenant.0 == tenant).count();
    assert_eq!(
        (count(1), count(2), count(3)),
        (0, 2, 4),
        "only who has hardly any in flight, and no more of each than that"
    );
    assert!(!store.callbacks_waiting_spare().await.unwrap());
    // They are attempts as any other: uncounted, their schedule would have no end.
    assert!(spare.iter().all(|job| (job.attempt, job.lease) == (1, 1)));
}

/// A callback that was claimed out of its order does not take everybody's new ones behind what waits.
pub(super) async fn spare_slots_move_no_time<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done_for_many(store, 1, "noisy", 0..30).await;
    assert_eq!(take(store, 6).await.len(), 6);
    done(sql, 2, 1).await;
    let far = "UPDATE callbacks SET key = 1000 WHERE tenant = 2";
    sql.run(far, vec![]).await.unwrap();
    let spare = store.claim_callbacks_spare(8, "w", 60).await.unwrap();
    assert_eq!(spare.len(), 1);
    assert_eq!(spare[0].tenant.0, 2);
    done(sql, 3, 1).await;
    let next = take(store, 3).await;
    assert!(next.iter().any(|job| job.tenant.0 == 3));
}

/// What endpoints that were down have gathered takes turns with others' new callbacks, although it is older.
pub(super) async fn late_ones_take_turns<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for n in 0..400 {
        let mut message = request(1, "a");
        message.callback_url = Some(format!("https://slow.example/{}", n / 8));
        accepted(store, &message, &LIMITS).await;
    }
    for _ in 0..2 {
        let jobs = store.claim(Kind::Text, 200, "w", 60).await.unwrap();
        let work: Vec<_> = jobs.iter().map(|job| finished(job.id, job.lease)).collect();
        assert_eq!(store.finish(&work).await.unwrap().len(), 200);
    }
    // The first four of each endpoint are through: the places of the others lie behind the present.
    let running = take(store, 200).await;
    assert_eq!(running.len(), 200);
    let answer = attempt(200);
    for job in running {
        let delivered = store.callback_done(job.id, job.lease, &answer);
        assert!(delivered.await.unwrap());
    }
    done(sql, 2, 4).await;
    let next = take(store, 10).await;
    let quiet = next.iter().filter(|job| job.tenant.0 == 2).count();
    assert!(quiet >= 3, "{quiet} of four among the next ten");
}

/// Callbacks that are kept for an endpoint that asked for a pause are paid for when they are sent: the account's others are not
/// behind them.
pub(super) async fn a_pause_holds_up_no_other_endpoint<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql, 1, 1).await;
    let first = take(store, 1).await.remove(0);
    let retry = Next::Retry { in_ms: 5_000 };
    let pause = Some(3_600_000);
    assert!(
        store
            .callback_failed(first.id, first.lease, &attempt(503), retry, pause)
            .await
            .unwrap()
    );
    done(sql, 1, 100).await;
    for tenant in 2..22 {
        done(sql, tenant, 1).await;
    }
    let mut other = request(1, "a");
    other.callback_url = Some("https://healthy.example/".into());
    let id = accepted(store, &other, &LIMITS).await;
    let job = claimed(store).await;
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    // As much as the others ask for, for as long as it takes.
    for _ in 0..60 {
        let job = take(store, 1).await.remove(0);
        if job.message_id == id {
            return;
        }
        let sent = store.callback_done(job.id, job.lease, &attempt(200)).await;
        assert!(sent.unwrap());
        done(sql, 30, 1).await;
    }
    panic!("behind what is kept");
}
