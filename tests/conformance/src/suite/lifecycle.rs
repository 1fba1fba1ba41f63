//! Each arrow of `trawl_core::lifecycle`, and each that must not exist.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::lifecycle::{Cause, next};
use trawl_core::limits::queue::{
    CLAIMS_FORGIVEN_MAX, CRASHES_MAX, JOB_MS_MAX, LIST_MAX, PUT_BACK_MS,
};
use trawl_core::limits::scrape::POSTPONED_MS;
use trawl_core::state::{Kind, State};
use trawl_store::sql::{Sql, Value};
use trawl_store::{Changed, Rescued, ResultLookup, Store};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, failure, finished, not_now, request};

const TENANT: AccountId = AccountId(1);

async fn state<S: Sql>(store: Store<'_, S>, id: MessageId) -> State {
    store.message(TENANT, id).await.unwrap().unwrap().state
}

pub(super) async fn claim_finish<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    assert_eq!(store.waiting().await.unwrap().now, [Kind::Text]);
    assert!(
        store
            .claim(Kind::Html, 9, "w", 60)
            .await
            .unwrap()
            .is_empty(),
        "another type's worker gets nothing"
    );
    let job = claimed(store).await;
    assert_eq!(
        (job.id, job.lease, job.attempt, job.crash_count),
        (id, 1, 1, 0)
    );
    assert_eq!(
        (job.request_url.as_str(), job.host.as_str(), job.tenant),
        ("https://a/page", "a", TENANT)
    );
    assert!(store.waiting().await.unwrap().now.is_empty());
    assert_eq!(store.finish(&[finished(id, 1)]).await.unwrap(), [id]);
    assert!(
        store.finish(&[finished(id, 1)]).await.unwrap().is_empty(),
        "a second finish is stale"
    );
    let message = store.message(TENANT, id).await.unwrap().unwrap();
    assert_eq!(
        (message.state, message.attempts, message.error),
        (State::Done, 1, None)
    );
    assert!(message.date_process_complete.is_some());
}

pub(super) async fn only_the_lease_holder_ends_a_job<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let old = claimed(store).await;
    store.release(&[(id, old.lease)]).await.unwrap();
    let new = claimed(store).await;
    assert!(new.lease > old.lease, "the lease only rises");
    assert!(
        store
            .finish(&[finished(id, old.lease)])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!store.fail(&failure(id, old.lease, None)).await.unwrap());
    assert!(!store.fail(&failure(id, old.lease, Some(0))).await.unwrap());
    assert!(
        store
            .extend(&[(id, old.lease)], 60)
            .await
            .unwrap()
            .is_empty()
    );
    store.release(&[(id, old.lease)]).await.unwrap();
    assert!(!store.postpone(id, old.lease, 1_000, 0).await.unwrap());
    assert!(!store.fail(&not_now(&old, 60_000)).await.unwrap());
    assert_eq!(state(store, id).await, State::Processing);
    let both = [(id, old.lease), (id, new.lease)];
    assert!(store.held(&both[..1]).await.unwrap().is_empty());
    assert_eq!(store.held(&both).await.unwrap(), [id]);
    assert_eq!(
        store.finish(&[finished(id, new.lease)]).await.unwrap(),
        [id]
    );
    // Nor does anybody else hold up the job's host.
    accepted(store, &request(1, "a"), &LIMITS).await;
    claimed(store).await;
}

pub(super) async fn give_up<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    assert!(store.fail(&failure(id, job.lease, None)).await.unwrap());
    let message = store.message(TENANT, id).await.unwrap().unwrap();
    assert_eq!(message.state, State::Failed);
    assert!(
        message
            .error
            .as_ref()
            .is_some_and(|error| error.code == "timeout" && error.permanent)
    );
    assert!(
        matches!(store.result(TENANT, id).await.unwrap(), ResultLookup::Failed(error) if error.code == "timeout")
    );
}

pub(super) async fn retry_later<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    assert!(
        store
            .fail(&failure(id, job.lease, Some(5_000)))
            .await
            .unwrap()
    );
    let message = store.message(TENANT, id).await.unwrap().unwrap();
    assert_eq!((message.state, message.attempts), (State::Queued, 1));
    assert!(
        message.next_try_at.is_some() && message.error.is_some(),
        "a waiting retry says when and why"
    );
    assert_eq!(store.wake().await.unwrap(), 0);
    assert!(
        store
            .claim(Kind::Text, 1, "w", 60)
            .await
            .unwrap()
            .is_empty(),
        "not before it is due"
    );
    sql.pass(6_000).await;
    assert_eq!(store.wake().await.unwrap(), 1);
    let again = claimed(store).await;
    assert_eq!((again.id, again.attempt, again.lease), (id, 2, 2));
}

pub(super) async fn release_does_not_count<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    store.release(&[(id, job.lease)]).await.unwrap();
    assert_eq!(
        store.message(TENANT, id).await.unwrap().unwrap().attempts,
        0
    );
    assert_eq!(claimed(store).await.attempt, 1);
}

pub(super) async fn postponing_does_not_count<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    assert!(store.postpone(id, job.lease, 5_000, 0).await.unwrap());
    assert!(
        !store.postpone(id, job.lease, 5_000, 0).await.unwrap(),
        "stale"
    );
    sql.pass(4_000).await;
    assert_eq!(store.wake().await.unwrap(), 0);
    sql.pass(1_000).await;
    assert_eq!(store.wake().await.unwrap(), 1);
    let again = claimed(store).await;
    assert_eq!((again.id, again.attempt, again.lease), (id, 1, 2));
}

/// In how many milliseconds a job comes due.
async fn due_in_ms<S: Subject>(sql: &S, id: MessageId) -> i64 {
    const DUE: &str =
        "SELECT run_at - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM Messages WHERE Id = ?1";
    let rows = sql.run(DUE, vec![id.0.into()]).await.unwrap().rows;
    let Value::Integer(due_ms) = rows[0][0] else {
        panic!("{rows:?}");
    };
    due_ms
}

/// Each time the longest that may be drawn is twice as long, up to a limit; what its owner asks for again begins anew.
pub(super) async fn postponing_doubles_until_it_is_asked_for_again<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let postponed_ms = async |draw| {
        let job = claimed(store).await;
        assert!(store.postpone(id, job.lease, 1_000, draw).await.unwrap());
        let due_ms = due_in_ms(sql, id).await;
        sql.pass(due_ms + 1_000).await;
        assert_eq!(store.wake().await.unwrap(), 1);
        due_ms
    };
    for round in 0..2 {
        // An attempt that fails is no postponement.
        for _ in 0..3 {
            let job = claimed(store).await;
            store.fail(&failure(id, job.lease, Some(1))).await.unwrap();
            sql.pass(1_000).await;
            assert_eq!(store.wake().await.unwrap(), 1);
        }
        for doublings in [0, 1, 2, 3, 4, 5, 6, 6] {
            let most_ms = POSTPONED_MS << doublings;
            // What is left of it is another time when the longest one is shorter or longer.
            let draw = u32::try_from(most_ms + most_ms / 2).unwrap();
            let wanted_ms = i64::try_from(1_000 + most_ms / 2).unwrap();
            let due_ms = postponed_ms(draw).await;
            assert!(
                (wanted_ms - 500..=wanted_ms).contains(&due_ms),
                "{round}: {due_ms} instead of {wanted_ms}"
            );
        }
        let job = claimed(store).await;
        store.fail(&failure(id, job.lease, None)).await.unwrap();
        store.retry(TENANT, id, &LIMITS).await.unwrap();
    }
}

/// A disk that is full for hours must not have one page fetched all the time.
pub(super) async fn what_could_not_be_written_down_comes_back_ever_later<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    for doublings in [0, 1, 2, 3, 4, 5, 6, 6] {
        let job = claimed(store).await;
        assert_eq!((job.id, job.attempt), (id, 1), "no attempt is used");
        store.put_back(&[(id, job.lease - 1)]).await.unwrap();
        store.put_back(&[(id, job.lease)]).await.unwrap();
        let wait_ms = i64::try_from(PUT_BACK_MS << doublings).unwrap();
        let due_ms = due_in_ms(sql, id).await;
        assert!(
            (wait_ms - 500..=wait_ms).contains(&due_ms),
            "{due_ms} instead of {wait_ms}"
        );
        sql.pass(due_ms).await;
        assert_eq!(store.wake().await.unwrap(), 1, "{doublings}");
    }
    assert_eq!(claimed(store).await.id, id);
}

pub(super) async fn rescue_tries_alone<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let bad = accepted(store, &request(1, "a"), &LIMITS).await;
    claimed(store).await;
    assert_eq!(
        store.rescue().await.unwrap(),
        Rescued::default(),
        "a live lease is safe"
    );
    sql.pass(61_000).await;
    let good = accepted(store, &request(1, "a"), &LIMITS).await;
    assert_eq!(
        store.rescue().await.unwrap(),
        Rescued {
            requeued: 1,
            poisoned: 0
        }
    );
    assert_eq!(
        store.rescue().await.unwrap(),
        Rescued::default(),
        "a second sweeper finds nothing"
    );
    let others = store.claim(Kind::Text, 9, "w", 60).await.unwrap();
    assert_eq!(
        others.iter().map(|job| job.id).collect::<Vec<_>>(),
        [good],
        "a suspect is not in a batch"
    );
    assert_eq!(
        store.waiting().await.unwrap().now,
        [Kind::Text],
        "it is seen as waiting"
    );
    assert_eq!(
        store.waiting().await.unwrap().alone,
        [Kind::Text],
        "for a turn of its own"
    );
    let alone = store
        .claim_alone(Kind::Text, "w", 60)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((alone.id, alone.crash_count, alone.attempt), (bad, 1, 2));
    assert!(
        store
            .claim_alone(Kind::Text, "w", 60)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        store.finish(&[finished(bad, alone.lease)]).await.unwrap(),
        [bad]
    );
}

/// One that may start and one whose host's gap is over are two candidates for one place.
pub(super) async fn suspects_run_one_at_a_time<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let pace = store.set_host_pace("slow", 10_000, 1, "operator");
    pace.await.unwrap();
    let first = accepted(store, &request(1, "a"), &LIMITS).await;
    let second = accepted(store, &request(1, "slow"), &LIMITS).await;
    let jobs = store.claim(Kind::Text, 2, "dead", 3).await.unwrap();
    assert_eq!(jobs.len(), 2);
    sql.pass(4_000).await;
    assert_eq!(store.rescue().await.unwrap().requeued, 2);
    sql.pass(10_000).await;
    for suspect in [first, second] {
        let alone = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
        assert_eq!(alone.map(|job| job.id), Some(suspect));
    }
}

/// A message is done, and its callback is in flight at `worker`.
async fn claim_a_callback<S: Sql>(store: Store<'_, S>, worker: &str) {
    let called_back = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    let ended = store.finish(&[finished(called_back, job.lease)]).await;
    ended.unwrap();
    let callbacks = store.claim_callbacks(1, worker, 60).await.unwrap();
    assert_eq!(callbacks.len(), 1);
}

pub(super) async fn leases_of_the_dead_end_at_once<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    assert_eq!(store.expire_leases().await.unwrap(), 0, "nobody holds any");
    claim_a_callback(store, "c").await;
    let (lost, quick) = (
        accepted(store, &request(1, "b"), &LIMITS).await,
        accepted(store, &request(1, "c"), &LIMITS).await,
    );
    let jobs = store.claim(Kind::Text, 2, "w", 60).await.unwrap();
    let lease_of = |id| jobs.iter().find(|job| job.id == id).unwrap().lease;
    assert_eq!(store.expire_leases().await.unwrap(), 3);
    assert_eq!(store.expire_leases().await.unwrap(), 0, "they have ended");
    let ended = store.finish(&[finished(quick, lease_of(quick))]).await;
    assert_eq!(ended.unwrap(), [quick], "who lives after all may still end");
    let one = Rescued {
        requeued: 1,
        poisoned: 0,
    };
    assert_eq!(store.rescue().await.unwrap(), one);
    assert_eq!(store.rescue_callbacks().await.unwrap(), one);
    let late = store.finish(&[finished(lost, lease_of(lost))]).await;
    assert!(late.unwrap().is_empty(), "and not when it was taken back");
    let again = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
    let again = again.unwrap();
    assert_eq!((again.id, again.attempt), (lost, 1), "it was not used");
    let callbacks = store.claim_callbacks(1, "c", 60).await.unwrap();
    assert_eq!(callbacks.len(), 1);
    assert_eq!(callbacks[0].attempt, 1, "nor was that of the callback");
}

pub(super) async fn leases_of_one_dead_worker_end_at_once<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    claim_a_callback(store, "dead").await;
    let (dies, lives) = (
        accepted(store, &request(1, "b"), &LIMITS).await,
        accepted(store, &request(1, "c"), &LIMITS).await,
    );
    let first = store.claim(Kind::Text, 1, "dead", 60).await.unwrap();
    let second = store.claim(Kind::Text, 1, "living", 60).await.unwrap();
    assert_eq!((first[0].id, second[0].id), (dies, lives));
    assert_eq!(store.expire_leases_of("nobody").await.unwrap(), 0);
    assert_eq!(store.expire_leases_of("dead").await.unwrap(), 1);
    assert_eq!(store.expire_leases_of("dead").await.unwrap(), 0);
    let one = Rescued {
        requeued: 1,
        poisoned: 0,
    };
    assert_eq!(store.rescue().await.unwrap(), one);
    let callbacks = store.rescue_callbacks().await.unwrap();
    assert_eq!(callbacks, Rescued::default(), "its callbacks stay");
    let again = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
    let again = again.unwrap();
    assert_eq!(
        (again.id, again.attempt, again.crash_count),
        (dies, 2, 1),
        "it counts, since few had a part in it"
    );
    let ended = store.finish(&[finished(lives, second[0].lease)]).await;
    assert_eq!(ended.unwrap(), [lives]);
    assert_eq!(store.expire_leases_of("w").await.unwrap(), 0);
    sql.pass(61_000).await;
    assert_eq!(store.rescue().await.unwrap(), one, "the last but one waits");
    let last = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
    assert_eq!(last.unwrap().crash_count, CRASHES_MAX - 1);
    assert_eq!(store.expire_leases_of("w").await.unwrap(), 1);
    assert_eq!(
        store.rescue().await.unwrap().poisoned,
        1,
        "and ends at once"
    );
}

/// What is in flight whenever a host dies is poison in the end, and not before.
pub(super) async fn hosts_that_die_are_forgiven_for_a_while<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    claimed(store).await;
    for claim in 1..CLAIMS_FORGIVEN_MAX + CRASHES_MAX {
        // However long it was dead.
        sql.pass(61_000 * i64::from(claim % 2)).await;
        store.expire_leases().await.unwrap();
        let rescued = store.rescue().await.unwrap();
        let is_last = claim == CLAIMS_FORGIVEN_MAX + CRASHES_MAX - 1;
        assert_eq!(rescued.poisoned == 1, is_last, "at claim {claim}");
        let next = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
        assert_eq!(next.is_some(), !is_last, "at claim {claim}");
    }
    let message = store.message(TENANT, id).await.unwrap().unwrap();
    assert_eq!(message.error.unwrap().code, "poison");
}

pub(super) async fn poison_after_three<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    claimed(store).await;
    for crash in 1..=CRASHES_MAX {
        sql.pass(61_000).await;
        let rescued = store.rescue().await.unwrap();
        assert_eq!(rescued.poisoned == 1, crash == CRASHES_MAX);
        let next = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
        assert_eq!(next.is_some(), crash < CRASHES_MAX);
    }
    let message = store.message(TENANT, id).await.unwrap().unwrap();
    assert_eq!(
        (message.state, message.crash_count),
        (State::Failed, CRASHES_MAX)
    );
    assert_eq!(message.error.unwrap().code, "poison");
    // Who asks for it again gets all of its tries, and none of them alone.
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Yes
    );
    assert_eq!(claimed(store).await.crash_count, 0);
}

pub(super) async fn extend_keeps_a_job_until_its_deadline<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    let mut passed = 0;
    while passed + 50_000 < JOB_MS_MAX {
        sql.pass(50_000).await;
        passed += 50_000;
        assert_eq!(
            store
                .extend(&[(id, job.lease), (MessageId(99), 1)], 60)
                .await
                .unwrap(),
            [id]
        );
        assert_eq!(store.rescue().await.unwrap(), Rescued::default());
    }
    sql.pass(JOB_MS_MAX - passed + 1_000).await;
    store.extend(&[(id, job.lease)], 60).await.unwrap();
    assert_eq!(
        store.rescue().await.unwrap().requeued,
        1,
        "no extension reaches past the deadline"
    );
    assert!(
        store
            .extend(&[(id, job.lease)], 60)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn cancel_at_any_moment<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let waiting = accepted(store, &request(1, "a"), &LIMITS).await;
    assert_eq!(store.cancel(TENANT, waiting).await.unwrap(), Changed::Yes);
    assert!(
        store
            .claim(Kind::Text, 1, "w", 60)
            .await
            .unwrap()
            .is_empty()
    );
    let delayed = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    store
        .fail(&failure(delayed, job.lease, Some(1_000)))
        .await
        .unwrap();
    assert_eq!(store.cancel(TENANT, delayed).await.unwrap(), Changed::Yes);
    let running = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    assert_eq!(
        store.cancel(AccountId(2), running).await.unwrap(),
        Changed::NoMessage,
        "another tenant's"
    );
    let lease = [(running, job.lease)];
    assert_eq!(store.held(&lease).await.unwrap(), [running]);
    assert_eq!(store.cancel(TENANT, running).await.unwrap(), Changed::Yes);
    assert!(store.held(&lease).await.unwrap().is_empty());
    assert!(
        store
            .finish(&[finished(running, job.lease)])
            .await
            .unwrap()
            .is_empty(),
        "its worker is stale"
    );
    assert_eq!(
        store.cancel(TENANT, running).await.unwrap(),
        Changed::Conflict(State::Cancelled)
    );
    assert_eq!(
        store.cancel(TENANT, MessageId(9_999)).await.unwrap(),
        Changed::NoMessage
    );
    assert!(
        !store.callbacks_waiting().await.unwrap(),
        "what its owner cancelled is not called back"
    );
}

pub(super) async fn ask_again<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Conflict(State::Queued)
    );
    let job = claimed(store).await;
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Conflict(State::Processing)
    );
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    assert_eq!(
        store.retry(AccountId(2), id, &LIMITS).await.unwrap(),
        Changed::NoMessage
    );
    assert_eq!(
        store.retry(TENANT, id, &LIMITS).await.unwrap(),
        Changed::Yes
    );
    let message = store.message(TENANT, id).await.unwrap().unwrap();
    assert_eq!(
        (
            message.state,
            message.attempts,
            message.date_process_complete
        ),
        (State::Queued, 0, None)
    );
    assert!(matches!(
        store.result(TENANT, id).await.unwrap(),
        ResultLookup::NotReady(State::Queued)
    ));
    let job = claimed(store).await;
    assert_eq!(
        (job.lease, job.attempt),
        (2, 1),
        "attempts start again, the lease does not"
    );
    assert_eq!(
        store.finish(&[finished(id, job.lease)]).await.unwrap(),
        [id]
    );
    let first = store.claim_callbacks(9, "c", 60).await.unwrap();
    assert_eq!(first.len(), 2, "each finish is an event of its own");
    assert_ne!(first[0].webhook_id, first[1].webhook_id);
}

/// Brings a fresh message into `state`.
async fn message_in<S: Subject>(sql: &S, wanted: State) -> (MessageId, i64) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    if wanted == State::Queued {
        return (id, 0);
    }
    let job = claimed(store).await;
    match wanted {
        State::Done => drop(store.finish(&[finished(id, job.lease)]).await.unwrap()),
        State::Failed => assert!(store.fail(&failure(id, job.lease, None)).await.unwrap()),
        State::Cancelled => assert_eq!(store.cancel(TENANT, id).await.unwrap(), Changed::Yes),
        State::Processing | State::Queued => {}
    }
    (id, job.lease)
}

async fn cause<S: Subject>(sql: &S, cause: Cause, id: MessageId, lease: i64) {
    let store = Store::new(sql);
    match cause {
        Cause::Claim => drop(store.claim(Kind::Text, 9, "w", 60).await.unwrap()),
        Cause::Finish => drop(store.finish(&[finished(id, lease)]).await.unwrap()),
        Cause::GiveUp => drop(store.fail(&failure(id, lease, None)).await.unwrap()),
        Cause::RetryLater => drop(store.fail(&failure(id, lease, Some(1_000))).await.unwrap()),
        Cause::Release => store.release(&[(id, lease)]).await.unwrap(),
        Cause::Cancel => drop(store.cancel(TENANT, id).await.unwrap()),
        Cause::AskAgain => drop(store.retry(TENANT, id, &LIMITS).await.unwrap()),
        Cause::Rescue => {
            sql.pass(61_000).await;
            store.rescue().await.unwrap();
        }
        Cause::Poison => {
            for _ in 0..CRASHES_MAX {
                sql.pass(61_000).await;
                store.rescue().await.unwrap();
                store.claim_alone(Kind::Text, "w", 60).await.unwrap();
            }
        }
    }
}

pub(super) async fn arrows_that_do_not_exist<S: Subject>(sql: &S) {
    use Cause::{AskAgain, Cancel, Claim, Finish, GiveUp, Poison, Release, Rescue, RetryLater};
    for &from in State::ALL {
        for arrow in [
            Claim, Finish, GiveUp, RetryLater, Release, Rescue, Poison, Cancel, AskAgain,
        ] {
            let (id, lease) = message_in(sql, from).await;
            cause(sql, arrow, id, lease).await;
            let expected = next(from, arrow).unwrap_or(from);
            assert_eq!(
                state(Store::new(sql), id).await,
                expected,
                "{arrow:?} in {from:?}"
            );
            // Out of the next round's way.
            Store::new(sql).cancel(TENANT, id).await.unwrap();
        }
    }
}

/// In numbers that fill no statement, fill one, and take two.
pub(super) async fn many_finish_together<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for count in [2_usize, 4, 5, 16, 17] {
        for _ in 0..count {
            accepted(store, &request(1, "a"), &LIMITS).await;
        }
        let jobs = store.claim(Kind::Text, 32, "w", 60).await.unwrap();
        assert_eq!(jobs.len(), count);
        store.cancel(TENANT, jobs[1].id).await.unwrap();
        let mut work: Vec<_> = jobs.iter().map(|job| finished(job.id, job.lease)).collect();
        for (index, one) in work.iter_mut().enumerate() {
            one.body = vec![index as u8; index * 1000];
            one.etag = (index % 2 == 0).then(|| format!("\"{index}\""));
        }
        let mut done = store.finish(&work).await.unwrap();
        done.sort();
        let mut expected: Vec<_> = jobs.iter().map(|job| job.id).collect();
        expected.remove(1);
        assert_eq!(
            done, expected,
            "the cancelled one is stale, the others are not"
        );
        for (index, one) in work.iter().enumerate().filter(|(index, _)| *index != 1) {
            let ResultLookup::Ready(result) = store.result(TENANT, one.id).await.unwrap() else {
                panic!("no result")
            };
            assert_eq!(result.body, vec![index as u8; index * 1000]);
            assert_eq!(result.meta, one.meta);
        }
    }
}

/// In a statement for several results each has its own lease: one that somebody else holds by now is stale, and is not his result.
pub(super) async fn a_stale_lease_among_many<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for count in [2_usize, 5] {
        for _ in 0..count {
            accepted(store, &request(1, "a"), &LIMITS).await;
        }
        let jobs = store.claim(Kind::Text, 32, "w", 60).await.unwrap();
        assert_eq!(jobs.len(), count);
        store.release(&[(jobs[0].id, jobs[0].lease)]).await.unwrap();
        let newer = claimed(store).await;
        assert_eq!(newer.id, jobs[0].id);
        let work: Vec<_> = jobs.iter().map(|job| finished(job.id, job.lease)).collect();
        let mut done = store.finish(&work).await.unwrap();
        done.sort();
        let others: Vec<_> = jobs[1..].iter().map(|job| job.id).collect();
        assert_eq!(done, others);
        assert_eq!(state(store, newer.id).await, State::Processing);
        let last = store.finish(&[finished(newer.id, newer.lease)]).await;
        assert_eq!(last.unwrap(), [newer.id]);
    }
}

/// One retry that is due brings back none that are not.
pub(super) async fn only_what_is_due_comes_back<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for retry_in_ms in [5_000, 3_600_000] {
        accepted(store, &request(1, "a"), &LIMITS).await;
        let job = claimed(store).await;
        let failed = failure(job.id, job.lease, Some(retry_in_ms));
        assert!(store.fail(&failed).await.unwrap());
    }
    sql.pass(6_000).await;
    assert_eq!(store.wake().await.unwrap(), 1);
    let back = store.claim(Kind::Text, 9, "w", 60).await.unwrap();
    assert_eq!(back.len(), 1);
}

pub(super) async fn events_tell_the_story<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    store.release(&[(id, job.lease)]).await.unwrap();
    let job = claimed(store).await;
    store.fail(&failure(id, job.lease, Some(0))).await.unwrap();
    sql.pass(10).await;
    store.wake().await.unwrap();
    claimed(store).await;
    sql.pass(61_000).await;
    store.rescue().await.unwrap();
    let job = store
        .claim_alone(Kind::Text, "w2", 60)
        .await
        .unwrap()
        .unwrap();
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    store.retry(TENANT, id, &LIMITS).await.unwrap();
    store.cancel(TENANT, id).await.unwrap();
    let events = store.events(TENANT, id).await.unwrap().unwrap();
    let reasons: Vec<_> = events.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "accepted",
            "claimed",
            "released",
            "claimed",
            "timeout",
            "claimed",
            "lease_expired",
            "claimed",
            "finished",
            "asked_again",
            "cancelled"
        ]
    );
    assert_eq!(
        (
            events[0].from,
            events[0].to,
            events[0].lease,
            &events[0].worker
        ),
        (None, State::Queued, 0, &None)
    );
    assert_eq!(events[8].worker.as_deref(), Some("w2"));
    assert_eq!(
        (events[8].from, events[8].to, events[8].lease),
        (Some(State::Processing), State::Done, job.lease)
    );
    for pair in events.windows(2) {
        assert_eq!(pair[1].from, Some(pair[0].to), "an unbroken chain");
    }
    assert!(
        store.events(AccountId(2), id).await.unwrap().is_none(),
        "its owner's only"
    );
}

pub(super) async fn a_long_story_is_told_from_its_end<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let more = "WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?2)
                INSERT INTO events (message_id, seq, at_ms, from_state, to_state, lease, reason)
                SELECT ?1, seq, seq, 'queued', 'queued', seq, 'released' FROM n";
    let rows = i64::from(LIST_MAX) + 5;
    sql.run(more, vec![id.0.into(), rows.into()]).await.unwrap();
    let events = store.events(TENANT, id).await.unwrap().unwrap();
    assert_eq!(events[0].reason, "accepted");
    let leases: Vec<_> = events[1..].iter().map(|event| event.lease).collect();
    assert_eq!(leases, (6..=rows).collect::<Vec<_>>());
}
