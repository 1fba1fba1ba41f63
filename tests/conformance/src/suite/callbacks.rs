//! The outbox.

use trawl_core::callback_policy::{Verdict, judge};
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::outbox::ATTEMPTS_MAX;
use trawl_core::limits::queue::{CLAIMS_FORGIVEN_MAX, LIST_MAX, PUT_BACK_MS};
use trawl_core::state::{CallbackStatus, State};
use trawl_store::sql::Value;
use trawl_store::{
    Attempt, CallbackJob, Changed, Done, Filter, Next, Replay, ReplayPoint, Store, StoreError,
};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, failure, finished, request};

const TENANT: AccountId = AccountId(1);

fn attempt(status: u16) -> Attempt {
    Attempt {
        status: Some(status),
        latency_ms: 12,
        error: (status >= 300).then(|| format!("status {status}")),
    }
}

async fn done<S: Subject>(sql: &S) -> MessageId {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    assert_eq!(
        store.finish(&[finished(id, job.lease)]).await.unwrap(),
        [id]
    );
    id
}

async fn take<S: Subject>(store: Store<'_, S>) -> CallbackJob {
    let mut jobs = store.claim_callbacks(1, "c", 60).await.unwrap();
    assert_eq!(jobs.len(), 1, "a callback is claimable");
    jobs.remove(0)
}

async fn status<S: Subject>(store: Store<'_, S>, id: MessageId) -> CallbackStatus {
    store
        .message(TENANT, id)
        .await
        .unwrap()
        .unwrap()
        .callback_status
}

/// As if each of these had been answered 200.
fn delivered_all(sent: &[CallbackJob]) -> Vec<Done> {
    let done = sent.iter().map(|callback| Done {
        id: callback.id,
        lease: callback.lease,
        status: 200,
        latency_ms: 5,
    });
    done.collect()
}

pub(super) async fn delivered<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    assert_eq!(status(store, id).await, CallbackStatus::Pending);
    let job = claimed(store).await;
    store.fail(&failure(id, job.lease, None)).await.unwrap();
    assert_eq!(status(store, id).await, CallbackStatus::Pending);
    assert!(store.callbacks_waiting().await.unwrap());
    let callback = take(store).await;
    assert_eq!(
        (
            callback.message_id,
            callback.attempt,
            callback.ok,
            callback.tenant
        ),
        (id, 1, false, TENANT)
    );
    assert_eq!(
        callback.error.as_ref().map(|error| error.code.as_str()),
        Some("timeout")
    );
    assert_eq!(
        (
            callback.endpoint_url.as_str(),
            callback.user_label.as_deref()
        ),
        ("https://node1.example/done", Some("node"))
    );
    assert!(
        callback
            .webhook_id
            .strip_prefix("msg_")
            .is_some_and(|rest| rest.len() == 32)
    );
    assert!(
        store
            .callback_done(callback.id, callback.lease, &attempt(204))
            .await
            .unwrap()
    );
    assert!(
        !store
            .callback_done(callback.id, callback.lease, &attempt(204))
            .await
            .unwrap(),
        "only once"
    );
    assert_eq!(status(store, id).await, CallbackStatus::Delivered);
    let log = store.deliveries(TENANT, id).await.unwrap().unwrap();
    assert_eq!(
        (log.len(), log[0].status, log[0].attempt, log[0].next_try_at),
        (1, Some(204), 1, None)
    );
    assert!(store.deliveries(AccountId(2), id).await.unwrap().is_none());
    let mut silent = request(1, "a");
    silent.callback_url = None;
    let id = accepted(store, &silent, &LIMITS).await;
    let job = claimed(store).await;
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    assert!(!store.callbacks_waiting().await.unwrap());
    assert_eq!(status(store, id).await, CallbackStatus::None);
}

pub(super) async fn pending_before_the_end<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let listed = Filter {
        limit: 1,
        ..Filter::default()
    };
    let listed = store.messages(TENANT, &listed).await.unwrap();
    assert_eq!(listed[0].callback_status, CallbackStatus::Pending);
    assert_eq!(status(store, id).await, CallbackStatus::Pending);
    store.cancel(TENANT, id).await.unwrap();
    assert_eq!(status(store, id).await, CallbackStatus::None, "withdrawn");
}

pub(super) async fn stale_leases<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    done(sql).await;
    let old = take(store).await;
    store
        .release_callbacks(&[(old.id, old.lease)])
        .await
        .unwrap();
    let new = take(store).await;
    assert_eq!((new.webhook_id, new.attempt), (old.webhook_id, 1));
    assert!(
        !store
            .callback_done(old.id, old.lease, &attempt(200))
            .await
            .unwrap()
    );
    assert!(
        !store
            .callback_failed(old.id, old.lease, &attempt(410), Next::EndpointGone, None)
            .await
            .unwrap()
    );
    assert!(
        store
            .extend_callbacks(&[(old.id, old.lease)], 60)
            .await
            .unwrap()
            .is_empty()
    );
    store
        .release_callbacks(&[(old.id, old.lease)])
        .await
        .unwrap();
    assert!(!store.callbacks_waiting().await.unwrap());
    assert_eq!(
        store
            .extend_callbacks(&[(new.id, new.lease)], 60)
            .await
            .unwrap(),
        [new.id]
    );
    assert!(
        store
            .callback_done(new.id, new.lease, &attempt(200))
            .await
            .unwrap()
    );
}

pub(super) async fn schedule_and_exhaustion<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    let mut webhook_id = None;
    for number in 1..=ATTEMPTS_MAX {
        let callback = take(store).await;
        assert_eq!(callback.attempt, number);
        assert_eq!(
            *webhook_id.get_or_insert(callback.webhook_id.clone()),
            callback.webhook_id,
            "the same for ever"
        );
        let next = match judge(number, Some(500), None, || 1 << 31) {
            Verdict::Retry { in_ms } => Next::Retry { in_ms },
            Verdict::Exhausted => Next::Exhausted,
            other => panic!("{other:?}"),
        };
        assert!(
            store
                .callback_failed(callback.id, callback.lease, &attempt(500), next, None)
                .await
                .unwrap()
        );
        if let Next::Retry { in_ms } = next {
            store.wake().await.unwrap();
            assert!(
                !store.callbacks_waiting().await.unwrap(),
                "not before it is due"
            );
            sql.pass(i64::try_from(in_ms).unwrap() + 1_000).await;
            store.wake().await.unwrap();
        }
    }
    assert_eq!(status(store, id).await, CallbackStatus::Failed);
    assert_eq!(
        store.deliveries(TENANT, id).await.unwrap().unwrap().len(),
        ATTEMPTS_MAX as usize
    );
}

/// One try that is due brings forward none that are not.
pub(super) async fn only_what_is_due_is_sent<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for in_ms in [5_000, 3_600_000] {
        done(sql).await;
        let callback = take(store).await;
        let next = Next::Retry { in_ms };
        let answer = attempt(500);
        let failed = store.callback_failed(callback.id, callback.lease, &answer, next, None);
        assert!(failed.await.unwrap());
    }
    sql.pass(6_000).await;
    store.wake().await.unwrap();
    let sent = store.claim_callbacks(9, "c", 60).await.unwrap();
    assert_eq!(sent.len(), 1);
}

/// A lease that has run out takes none with it that runs on.
pub(super) async fn only_what_expired_is_rescued<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for lease_s in [10, 600] {
        done(sql).await;
        let held = store.claim_callbacks(1, "c", lease_s).await.unwrap();
        assert_eq!(held.len(), 1);
    }
    sql.pass(11_000).await;
    assert_eq!(store.rescue_callbacks().await.unwrap().requeued, 1);
}

/// What ended since the leases were asked for keeps none of the others from being extended.
pub(super) async fn what_ended_is_not_extended<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for _ in 0..2 {
        done(sql).await;
    }
    let held = store.claim_callbacks(9, "c", 60).await.unwrap();
    let leases: Vec<_> = held.iter().map(|one| (one.id, one.lease)).collect();
    let answer = attempt(200);
    let delivered = store.callback_done(held[0].id, held[0].lease, &answer);
    assert!(delivered.await.unwrap());
    let extended = store.extend_callbacks(&leases, 60).await.unwrap();
    assert_eq!(extended, [held[1].id]);
    // Nor given back, to be sent once more.
    store.release_callbacks(&leases).await.unwrap();
    assert_eq!(take(store).await.id, held[1].id);
    assert!(!store.callbacks_waiting().await.unwrap());
}

pub(super) async fn what_could_not_be_written_down_is_sent_ever_later<S: Subject>(sql: &S) {
    const DUE: &str =
        "SELECT run_at - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM callbacks WHERE id = ?1";
    let store = Store::new(sql);
    done(sql).await;
    for doublings in [0, 1, 2, 3, 4, 5, 6, 6] {
        let sent = take(store).await;
        assert_eq!(sent.attempt, 1, "no attempt is used");
        store
            .put_back_callbacks(&[(sent.id, sent.lease - 1)])
            .await
            .unwrap();
        store
            .put_back_callbacks(&[(sent.id, sent.lease)])
            .await
            .unwrap();
        let wait_ms = i64::try_from(PUT_BACK_MS << doublings).unwrap();
        let rows = sql.run(DUE, vec![sent.id.into()]).await.unwrap().rows;
        let Value::Integer(due_ms) = rows[0][0] else {
            panic!("{rows:?}");
        };
        assert!(
            (wait_ms - 500..=wait_ms).contains(&due_ms),
            "{due_ms} instead of {wait_ms}"
        );
        assert!(!store.callbacks_waiting().await.unwrap(), "{doublings}");
        sql.pass(due_ms).await;
        store.wake().await.unwrap();
    }
    let last = take(store).await;
    assert!(
        store
            .callback_done(last.id, last.lease, &attempt(200))
            .await
            .unwrap()
    );
}

pub(super) async fn deliveries_together<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(done(sql).await);
    }
    let mut held = store.claim_callbacks(9, "c", 60).await.unwrap();
    held.sort_by_key(|callback| callback.message_id.0);
    let recorded: Vec<Done> = held
        .iter()
        .enumerate()
        .map(|(n, callback)| Done {
            id: callback.id,
            // The second was claimed by somebody else meanwhile.
            lease: callback.lease - i64::from(n == 1),
            status: 204,
            latency_ms: 10 + n as u64,
        })
        .collect();
    let mut accepted = store.callbacks_done(&recorded).await.unwrap();
    accepted.sort_unstable();
    assert_eq!(accepted, [held[0].id, held[2].id]);
    assert!(store.callbacks_done(&recorded).await.unwrap().is_empty());
    assert_eq!(status(store, ids[0]).await, CallbackStatus::Delivered);
    assert_eq!(status(store, ids[1]).await, CallbackStatus::Pending);
    let log = store.deliveries(TENANT, ids[2]).await.unwrap().unwrap();
    assert_eq!(
        (log.len(), log[0].status, log[0].latency_ms, log[0].attempt),
        (1, Some(204), 12, 1)
    );
    let last = [Done {
        lease: held[1].lease,
        ..recorded[1]
    }];
    assert_eq!(store.callbacks_done(&last).await.unwrap(), [held[1].id]);
    let queues = store.queues(None).await.unwrap();
    let callbacks = queues.iter().find(|queue| queue.name == "callback_queue");
    let figures = callbacks.map(|queue| (queue.leased, queue.ready));
    assert_eq!(figures, Some((0, 0)));
}

pub(super) async fn totals_of_callbacks<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for _ in 0..4 {
        done(sql).await;
    }
    let held = store.claim_callbacks(4, "c", 60).await.unwrap();
    let answer = attempt(500);
    let [sent, given_up, later, back] = &held[..] else {
        panic!("four callbacks are claimable")
    };
    let delivered = delivered_all(std::slice::from_ref(sent));
    assert_eq!(store.callbacks_done(&delivered).await.unwrap(), [sent.id]);
    for (callback, next) in [
        (given_up, Next::Exhausted),
        (later, Next::Retry { in_ms: 1 }),
    ] {
        let failed = store.callback_failed(callback.id, callback.lease, &answer, next, None);
        assert!(failed.await.unwrap());
    }
    store
        .release_callbacks(&[(back.id, back.lease)])
        .await
        .unwrap();
    let totals = store.totals().await.unwrap();
    let callbacks = totals
        .last()
        .map(|queue| (&*queue.name, queue.done, queue.failed));
    assert_eq!(callbacks, Some(("callback_queue", 1, 1)));
}

/// A message that failed and was asked for again has a callback for each end; both may be on their way at once.
pub(super) async fn deliveries_of_one_message<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    assert!(store.fail(&failure(id, job.lease, None)).await.unwrap());
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Yes
    );
    let job = claimed(store).await;
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    let recorded = delivered_all(&store.claim_callbacks(9, "c", 60).await.unwrap());
    assert_eq!(recorded.len(), 2);
    assert!(store.callbacks_done(&recorded).await.is_err());
    let log = store.deliveries(TENANT, id).await.unwrap().unwrap();
    assert_eq!(log, [], "nothing was recorded of what was refused");
    let mut in_order = recorded;
    in_order.sort_by_key(|one| one.id);
    for (one, told) in in_order
        .iter()
        .zip([CallbackStatus::Pending, CallbackStatus::Delivered])
    {
        let held = store.callbacks_done(std::slice::from_ref(one)).await;
        assert_eq!(held.unwrap(), [one.id]);
        assert_eq!(status(store, id).await, told, "that of the last end");
    }
    let log = store.deliveries(TENANT, id).await.unwrap().unwrap();
    assert_eq!(log.len(), 2);
    // A broken row is told, and not left out as if there were none.
    let breaks = "UPDATE deliveries SET webhook_id = x'00' WHERE seq = 1";
    sql.run(breaks, vec![]).await.unwrap();
    let told = store.deliveries(TENANT, id).await;
    assert!(matches!(told, Err(StoreError::Corrupt(_))), "{told:?}");
}

pub(super) async fn many_deliveries_are_told_from_their_end<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    // Under a lease that no callback has, so that nothing but the log changes.
    let more = "WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?2)
                INSERT INTO deliveries (message_id, seq, callback_id, lease, webhook_id, attempt, at_ms, latency_ms, outcome)
                SELECT ?1, seq, c.id, -1, c.webhook_id, 1, seq, 5, 'delivered'
                  FROM n, callbacks c WHERE c.message_id = ?1";
    let rows = i64::from(LIST_MAX) + 5;
    sql.run(more, vec![id.0.into(), rows.into()]).await.unwrap();
    let log = store.deliveries(TENANT, id).await.unwrap().unwrap();
    let at: Vec<_> = log.iter().map(|delivery| delivery.at_ms).collect();
    assert_eq!(at, (6..=rows).collect::<Vec<_>>());
}

pub(super) async fn replays<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let (one, two) = (done(sql).await, done(sql).await);
    let waiting = accepted(store, &request(1, "a"), &LIMITS).await;
    let mut ids = Vec::new();
    for callback in store.claim_callbacks(9, "c", 60).await.unwrap() {
        assert_eq!(
            store.replay(TENANT, callback.message_id).await.unwrap(),
            Replay::WillBeSent,
            "on its way is as good as replayed"
        );
        let other = store.replay(AccountId(2), callback.message_id);
        assert_eq!(other.await.unwrap(), Replay::NoMessage);
        assert!(
            store
                .callback_done(callback.id, callback.lease, &attempt(200))
                .await
                .unwrap()
        );
        ids.push(callback.webhook_id);
    }
    let other = store.replay(AccountId(2), one);
    assert_eq!(other.await.unwrap(), Replay::NoMessage);
    assert!(!store.callbacks_waiting().await.unwrap());
    assert_eq!(store.replay(TENANT, one).await.unwrap(), Replay::WillBeSent);
    assert_eq!(
        store.replay(TENANT, waiting).await.unwrap(),
        Replay::NoCallback(State::Queued)
    );
    assert_eq!(
        store.replay(AccountId(2), one).await.unwrap(),
        Replay::NoMessage
    );
    let again = take(store).await;
    assert_eq!((again.message_id, again.attempt), (one, 1));
    assert!(ids.contains(&again.webhook_id), "the same webhook id");
    assert!(
        store
            .callback_done(again.id, again.lease, &attempt(200))
            .await
            .unwrap()
    );
    let now = store.now_ms().await.unwrap();
    let replayed = async |account, from_ms, to_ms| {
        let step = store.replay_range(account, from_ms, to_ms, ReplayPoint::START);
        let step = step.await.unwrap();
        assert_eq!(step.next, None, "few rows are one step");
        step.count
    };
    assert_eq!(replayed(TENANT, now - 60_000, now + 60_000).await, 2);
    assert_eq!(replayed(AccountId(2), 0, now + 60_000).await, 0);
    assert_eq!(replayed(TENANT, 0, now - 60_000).await, 0);
    let sent: Vec<_> = store
        .claim_callbacks(9, "c", 60)
        .await
        .unwrap()
        .iter()
        .map(|job| job.message_id)
        .collect();
    assert!(sent.len() == 2 && sent.contains(&one) && sent.contains(&two));
}

/// What was delivered of a message stays to be sent again while the message waits for another run, fails, or is cancelled.
pub(super) async fn replays_of_what_runs_again<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    let deliver = async || {
        let (callback, answer) = (take(store).await, attempt(200));
        let done = store.callback_done(callback.id, callback.lease, &answer);
        assert!(done.await.unwrap());
    };
    deliver().await;
    let now = store.now_ms().await.unwrap();
    let replayed = async || {
        let other = AccountId(2);
        let step = store.replay_range(other, now - 60_000, now + 60_000, ReplayPoint::START);
        assert_eq!(step.await.unwrap().count, 0, "another account's");
        let step = store.replay_range(TENANT, now - 60_000, now + 60_000, ReplayPoint::START);
        step.await.unwrap().count
    };
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Yes
    );
    assert_eq!(replayed().await, 1, "queued");
    deliver().await;
    let job = claimed(store).await;
    assert_eq!(replayed().await, 1, "processing");
    deliver().await;
    assert!(store.fail(&failure(id, job.lease, None)).await.unwrap());
    deliver().await;
    assert_eq!(replayed().await, 2, "failed, with a callback of its own");
    deliver().await;
    deliver().await;
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Yes
    );
    assert_eq!(store.cancel(TENANT, id).await.unwrap(), Changed::Yes);
    assert_eq!(replayed().await, 2, "cancelled");
    // From the first of the two on.
    let (sent, answer) = (
        store.claim_callbacks(9, "c", 60).await.unwrap(),
        attempt(200),
    );
    for callback in &sent {
        let done = store.callback_done(callback.id, callback.lease, &answer);
        assert!(done.await.unwrap());
    }
    let first = sent.iter().map(|callback| callback.id).min().unwrap();
    let after = ReplayPoint {
        message: id,
        callback: first,
    };
    let step = store.replay_range(TENANT, 0, now + 60_000, after);
    assert_eq!(step.await.unwrap().count, 1);
    let last = take(store).await;
    assert!(last.id > first);
    let answer = attempt(200);
    let done = store.callback_done(last.id, last.lease, &answer);
    assert!(done.await.unwrap());
    // Asked for by its message, it is the last one that is sent again.
    assert_eq!(store.replay(TENANT, id).await.unwrap(), Replay::WillBeSent);
    assert_eq!(take(store).await.id, last.id);
}

/// What waits for its next try is sent at once when it is asked for, from the beginning of its schedule: nothing but its own account's
/// endpoint being disabled stands in the way, and that it failed is no such thing.
pub(super) async fn replays_of_what_waits_for_its_next_try<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    let elsewhere =
        "INSERT INTO endpoints (tenant, url, disabled_ms) SELECT 2, endpoint, 5 FROM callbacks";
    sql.run(elsewhere, vec![]).await.unwrap();
    let fails = async || {
        let (callback, answer) = (take(store).await, attempt(500));
        assert_eq!(callback.attempt, 1);
        let next = Next::Retry { in_ms: 3_600_000 };
        let failed = store.callback_failed(callback.id, callback.lease, &answer, next, None);
        assert!(failed.await.unwrap());
        assert!(!store.callbacks_waiting().await.unwrap());
    };
    fails().await;
    assert_eq!(store.replay(TENANT, id).await.unwrap(), Replay::WillBeSent);
    fails().await;
    let now = store.now_ms().await.unwrap();
    let step = store.replay_range(TENANT, now - 60_000, now + 60_000, ReplayPoint::START);
    assert_eq!(step.await.unwrap().count, 1);
    fails().await;
}

/// Its host died: that an attempt does not count then takes nothing off one that was asked for again, whose number is 0 already.
pub(super) async fn replays_of_what_died_with_its_host<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    take(store).await;
    let replay = store.replay(TENANT, id).await.unwrap();
    assert_eq!(replay, Replay::WillBeSent);
    assert_eq!(store.expire_leases().await.unwrap(), 1);
    assert_eq!(store.rescue_callbacks().await.unwrap().requeued, 1);
    assert_eq!(take(store).await.attempt, 1);
}

/// Asked for while an attempt is under way: when that fails, also the last one, a fresh schedule begins.
pub(super) async fn replays_of_what_is_being_sent<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    let replayed = async || {
        let replay = store.replay(TENANT, id).await.unwrap();
        assert_eq!(replay, Replay::WillBeSent);
    };
    let failed = async |callback: &CallbackJob, next| {
        let answer = attempt(500);
        let failed = store.callback_failed(callback.id, callback.lease, &answer, next, None);
        assert!(failed.await.unwrap());
        sql.pass(1_000).await;
        store.wake().await.unwrap();
    };
    failed(&take(store).await, Next::Retry { in_ms: 1 }).await;
    // As if all others but one had failed, too.
    let nearly = "UPDATE callbacks SET attempt = ?1 - 1";
    sql.run(nearly, vec![ATTEMPTS_MAX.into()]).await.unwrap();
    let last = take(store).await;
    assert_eq!(last.attempt, ATTEMPTS_MAX);
    replayed().await;
    failed(&last, Next::Exhausted).await;
    assert_eq!(status(store, id).await, CallbackStatus::Pending);
    let again = take(store).await;
    assert_eq!((again.attempt, &again.webhook_id), (1, &last.webhook_id));
    // Given back, or its worker died: no attempt was used before the schedule began.
    replayed().await;
    let held = (again.id, again.lease);
    store.release_callbacks(&[held]).await.unwrap();
    assert_eq!(take(store).await.attempt, 1);
    replayed().await;
    sql.pass(61_000).await;
    assert_eq!(store.rescue_callbacks().await.unwrap().requeued, 1);
    let next = take(store).await;
    assert_eq!(next.attempt, 1);
    replayed().await;
    let answer = attempt(200);
    let sent = store.callback_done(next.id, next.lease, &answer);
    assert!(sent.await.unwrap());
    let tried = store.deliveries(TENANT, id).await.unwrap().unwrap();
    let numbers: Vec<_> = tried.iter().map(|tried| tried.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

/// The schedule that ends with the wish for a fresh one has waits of a day: none of them is kept.
pub(super) async fn replays_do_not_wait_for_the_old_schedule<S: Subject>(sql: &S) {
    const DAY_MS: u64 = 86_400_000;
    let store = Store::new(sql);
    let id = done(sql).await;
    let answer = attempt(503);
    let late = async || {
        let nearly = "UPDATE callbacks SET attempt = ?1 - 2";
        sql.run(nearly, vec![ATTEMPTS_MAX.into()]).await.unwrap();
    };
    let all = async || {
        let step = store.replay_range(TENANT, 0, i64::MAX, ReplayPoint::START);
        assert_eq!(step.await.unwrap().count, 1);
    };
    let one = async || {
        assert_eq!(store.replay(TENANT, id).await.unwrap(), Replay::WillBeSent);
    };
    let failed = async |callback: &CallbackJob, next, throttle_ms| {
        let failed = store.callback_failed(callback.id, callback.lease, &answer, next, throttle_ms);
        assert!(failed.await.unwrap());
    };
    let due = async |after_ms| {
        sql.pass(after_ms).await;
        store.wake().await.unwrap();
        take(store).await
    };
    // Being sent, for one and for all of a time.
    for is_one in [true, false] {
        late().await;
        let sending = take(store).await;
        if is_one {
            one().await;
        } else {
            all().await;
        }
        failed(&sending, Next::Retry { in_ms: DAY_MS }, None).await;
        let again = due(1_000).await;
        assert_eq!(again.attempt, 1);
        store
            .release_callbacks(&[(again.id, again.lease)])
            .await
            .unwrap();
    }
    // An endpoint that asked for a pause has it.
    for next in [Next::Retry { in_ms: DAY_MS }, Next::Exhausted] {
        let sending = take(store).await;
        one().await;
        failed(&sending, next, Some(600_000)).await;
        sql.pass(500_000).await;
        store.wake().await.unwrap();
        assert!(store.claim_callbacks(9, "c", 60).await.unwrap().is_empty());
        let again = due(101_000).await;
        assert_eq!(again.attempt, 1);
        store
            .release_callbacks(&[(again.id, again.lease)])
            .await
            .unwrap();
    }
    // Waiting for its turn, late in its schedule.
    for is_one in [true, false] {
        late().await;
        if is_one {
            one().await;
        } else {
            all().await;
        }
        let sending = take(store).await;
        assert_eq!(sending.attempt, 1);
        store
            .release_callbacks(&[(sending.id, sending.lease)])
            .await
            .unwrap();
    }
}

/// Delivered together, those that were asked for again while they were sent go on counting as each alone does.
pub(super) async fn deliveries_together_go_on_counting<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let ids = [done(sql).await, done(sql).await];
    for _ in 0..2 {
        for callback in store.claim_callbacks(9, "c", 60).await.unwrap() {
            let (answer, next) = (attempt(500), Next::Retry { in_ms: 1 });
            let failed = store.callback_failed(callback.id, callback.lease, &answer, next, None);
            assert!(failed.await.unwrap());
        }
        sql.pass(1_000).await;
        store.wake().await.unwrap();
    }
    let sent = store.claim_callbacks(9, "c", 60).await.unwrap();
    for id in ids {
        let replay = store.replay(TENANT, id).await.unwrap();
        assert_eq!(replay, Replay::WillBeSent);
    }
    assert_eq!(
        store
            .callbacks_done(&delivered_all(&sent))
            .await
            .unwrap()
            .len(),
        2
    );
    for id in ids {
        let tried = store.deliveries(TENANT, id).await.unwrap().unwrap();
        let numbers: Vec<_> = tried.iter().map(|tried| tried.attempt).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
}

pub(super) async fn rescue_and_release<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    for number in 1..ATTEMPTS_MAX {
        assert_eq!(take(store).await.attempt, number);
        sql.pass(61_000).await;
        assert_eq!(store.rescue_callbacks().await.unwrap().requeued, 1);
    }
    take(store).await;
    sql.pass(61_000).await;
    assert_eq!(
        store.rescue_callbacks().await.unwrap().poisoned,
        1,
        "not for ever"
    );
    assert_eq!(status(store, id).await, CallbackStatus::Failed);
    // Once purged, it is out of the figures.
    accepted(store, &request(2, "newest"), &LIMITS).await;
    sql.pass(100 * 86_400_000).await;
    assert!(store.purge(30, 90, 500).await.unwrap().rows > 0);
    let queues = store.queues(None).await.unwrap();
    assert_eq!(queues[3].dead, 0);
}

/// Hosts that die over and over may die of a callback: from some claim on its attempts count.
pub(super) async fn hosts_that_die_are_forgiven_for_a_while<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = done(sql).await;
    for claim in 1..=CLAIMS_FORGIVEN_MAX + ATTEMPTS_MAX {
        take(store).await;
        assert_eq!(store.expire_leases().await.unwrap(), 1);
        let rescued = store.rescue_callbacks().await.unwrap();
        let is_last = claim == CLAIMS_FORGIVEN_MAX + ATTEMPTS_MAX;
        assert_eq!(rescued.poisoned == 1, is_last, "at claim {claim}");
    }
    assert_eq!(status(store, id).await, CallbackStatus::Failed);
}

pub(super) async fn secrets<S: Subject>(sql: &S) {
    use trawl_store::{Created, Registration};
    let store = Store::new(sql);
    assert_eq!(
        store
            .create_account("a@b.c", "a@b.c", "x", Registration::Open)
            .await
            .unwrap(),
        Created::Account(TENANT),
        "the first account is the first tenant"
    );
    assert_eq!(
        store.webhook_secrets(TENANT, b"one").await.unwrap().current,
        b"one"
    );
    assert_eq!(
        store
            .webhook_secrets(TENANT, b"other")
            .await
            .unwrap()
            .current,
        b"one",
        "made once"
    );
    let rotated = store.rotate_webhook_secret(TENANT, b"two").await.unwrap();
    assert_eq!(
        (rotated.current.as_slice(), rotated.previous.as_deref()),
        (&b"two"[..], Some(&b"one"[..]))
    );
    done(sql).await;
    let callback = take(store).await;
    assert_eq!(callback.secret_current.as_deref(), Some(&b"two"[..]));
    assert_eq!(callback.secret_previous.as_deref(), Some(&b"one"[..]));
    store
        .release_callbacks(&[(callback.id, callback.lease)])
        .await
        .unwrap();
    sql.pass(24 * 3_600_000 + 1_000).await;
    let late = take(store).await;
    assert_eq!(
        late.secret_previous, None,
        "24 h after the rotation only the new one signs"
    );
    // Whichever statement claims it.
    store
        .release_callbacks(&[(late.id, late.lease)])
        .await
        .unwrap();
    let spare = store.claim_callbacks_spare(1, "c", 60).await.unwrap();
    assert_eq!(spare[0].secret_current.as_deref(), Some(&b"two"[..]));
    assert_eq!(spare[0].secret_previous, None);
    assert_eq!(
        store.webhook_secrets(TENANT, b"x").await.unwrap().previous,
        None
    );
}
