//! Fair shares between tenants, order and ageing within one.

use trawl_core::ids::AccountId;
use trawl_core::state::Kind;
use trawl_store::{Filter, Job, NewMessage, QueueLimits, Store};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, failure, finished, not_now, request};

async fn claim_in_order<S: Subject>(store: Store<'_, S>, limit: u32) -> Vec<Job> {
    store.claim(Kind::Text, limit, "w", 60).await.unwrap()
}

pub(super) async fn noisy_tenant<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let noisy: Vec<_> = (0..10_000)
        .map(|index| request(1, &format!("h{}", index % 997)))
        .collect();
    for part in noisy.chunks(500) {
        store.submit_many(part, &LIMITS).await.unwrap();
    }
    // Some of its rows are through before the quiet one comes.
    claim_in_order(store, 200).await;
    for _ in 0..5 {
        accepted(store, &request(2, "quiet.example"), &LIMITS).await;
    }
    let next = claim_in_order(store, 12).await;
    let places: Vec<_> = next
        .iter()
        .enumerate()
        .filter(|(_, job)| job.tenant.0 == 2)
        .map(|(place, _)| place)
        .collect();
    assert_eq!(
        places.len(),
        5,
        "all of the quiet tenant's rows are among the next twelve: {places:?}"
    );
    assert!(
        places[0] <= 1,
        "the first of them is nearly next: {places:?}"
    );
}

fn with_priority(priority: u8) -> NewMessage {
    let mut message = request(1, "a");
    message.priority = priority;
    message
}

pub(super) async fn priorities_order<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for priority in [1, 9, 4, 9, 1, 4, 9, 1, 4, 0, 9, 4, 1] {
        for _ in 0..3 {
            accepted(store, &with_priority(priority), &LIMITS).await;
        }
    }
    accepted(store, &request(2, "a"), &LIMITS).await;
    let mut order = Vec::new();
    let mut ids = Vec::new();
    for place in 0..40 {
        let job = claimed(store).await;
        if job.tenant.0 == 2 {
            assert!(place <= 2, "the tenant's own order moves nobody else");
            continue;
        }
        let message = store.message(job.tenant, job.id).await.unwrap().unwrap();
        order.push(message.priority);
        ids.push((u8::MAX - message.priority, job.id));
    }
    assert!(
        order.is_sorted_by(|a, b| a >= b),
        "higher ones first: {order:?}"
    );
    let first = ids.iter().filter(|(rank, _)| *rank == u8::MAX - 9);
    assert!(first.is_sorted(), "and in their own order among equals");
}

pub(super) async fn low_priorities_age<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let mut low = Vec::new();
    for _ in 0..20 {
        low.push(accepted(store, &with_priority(1), &LIMITS).await);
    }
    let last = accepted(store, &with_priority(0), &LIMITS).await;
    let (mut waited_s, mut low_served) = (0, 0);
    // As many high ones as can be served, for ever: eight levels are eight minutes.
    while low_served < 20 {
        accepted(store, &with_priority(9), &LIMITS).await;
        let job = claimed(store).await;
        assert_ne!(job.id, last, "the lowest does not overtake");
        if low.contains(&job.id) {
            low_served += 1;
            assert!(
                waited_s >= 300,
                "strict while it is young: served after {waited_s} s"
            );
        }
        sql.pass(10_000).await;
        waited_s += 10;
        assert!(
            waited_s < 1_200,
            "only {low_served} of 20 low ones in {waited_s} s"
        );
    }
}

pub(super) async fn retries_lose_no_place<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let first = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    store
        .fail(&failure(first, job.lease, Some(1_000)))
        .await
        .unwrap();
    for _ in 0..100 {
        accepted(store, &request(1, "a"), &LIMITS).await;
    }
    for job in claim_in_order(store, 20).await {
        store.finish(&[finished(job.id, job.lease)]).await.unwrap();
    }
    sql.pass(2_000).await;
    store.wake().await.unwrap();
    let next = claim_in_order(store, 2).await;
    assert!(
        next.iter().any(|job| job.id == first),
        "a retry that came due does not go behind the whole queue"
    );
}

pub(super) async fn spare_slots<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let noisy: Vec<_> = (0..600)
        .map(|index| request(1, &format!("h{index}")))
        .collect();
    store.submit_many(&noisy, &LIMITS).await.unwrap();
    assert_eq!(
        claim_spare(store).await.len(),
        4,
        "while it has hardly anything in flight itself it may use them, and not all at once"
    );
    assert!(claim_spare(store).await.is_empty(), "and then no more");
    assert!(!waiting_spare(store).await);
    claim_in_order(store, 50).await;
    for _ in 0..3 {
        accepted(store, &request(2, "quiet.example"), &LIMITS).await;
    }
    for _ in 0..9 {
        accepted(store, &request(3, "late.example"), &LIMITS).await;
    }
    assert!(waiting_spare(store).await);
    let spare = claim_spare(store).await;
    let count = |tenant| spare.iter().filter(|job| job.tenant.0 == tenant).count();
    assert_eq!(
        (count(1), count(2), count(3)),
        (0, 3, 4),
        "only who has hardly anything in flight, and no more of each than that"
    );
    assert!(!waiting_spare(store).await);
    let stale = [finished(spare[0].id, spare[0].lease - 1)];
    assert!(
        store.finish(&stale).await.unwrap().is_empty(),
        "a lease is a lease, whichever claim gave it"
    );
}

async fn claim_spare<S: Subject>(store: Store<'_, S>) -> Vec<Job> {
    store.claim_spare(Kind::Text, 8, "w", 60, 7).await.unwrap()
}

async fn waiting_spare<S: Subject>(store: Store<'_, S>) -> bool {
    store.waiting_spare(Kind::Text, 7).await.unwrap()
}

/// A hundred accounts wait for nothing but their busy host: they must not hide another one from the spare slots.
pub(super) async fn stuck_accounts_hide_nobody<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 4,
        ..LIMITS
    };
    for tenant in 1..=100 {
        accepted(store, &request(tenant, "busy.example"), &limits).await;
    }
    assert_eq!(claim_in_order(store, 10).await.len(), 4, "the host's slots");
    let hidden = accepted(store, &request(71, "free.example"), &limits).await;
    let mut found = 0;
    for draw in 0..100 {
        found += usize::from(store.waiting_spare(Kind::Text, draw).await.unwrap());
    }
    assert!((32..100).contains(&found), "{found} of 100 draws found it");
    let draw = (0..).find(|draw| (60..71).contains(&(draw % 101))).unwrap();
    let jobs = store
        .claim_spare(Kind::Text, 8, "w", 60, draw)
        .await
        .unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [hidden]);
}

/// Nor must an account's own rows that wait for a slow host hide the one that it asked for since.
pub(super) async fn old_rows_of_a_slow_host_hide_no_new_one<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let many: Vec<_> = (0..60).map(|_| request(2, "slow.example")).collect();
    store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
    let first = claimed(store).await;
    store.fail(&not_now(&first, 3_600_000)).await.unwrap();
    assert!(!waiting_spare(store).await, "nothing of it may start");
    let free = accepted(store, &request(2, "free.example"), &FOUR_SLOTS).await;
    assert!(waiting_spare(store).await);
    let jobs = claim_spare(store).await;
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [free]);
    assert!(!waiting_spare(store).await);
}

/// Rows that waited for their hosts come out in turns with what others ask for meanwhile, although they are older.
pub(super) async fn late_rows_take_turns<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 1,
        ..LIMITS
    };
    let noisy: Vec<_> = (0..1_000)
        .map(|index| request(1, &format!("h{}", index / 25)))
        .collect();
    for part in noisy.chunks(500) {
        store.submit_many(part, &limits).await.unwrap();
    }
    // One of each host is through, so that the place of each host's next one lies far behind the present.
    let jobs = claim_in_order(store, 40).await;
    assert_eq!(jobs.len(), 40);
    for job in jobs {
        store.finish(&[finished(job.id, job.lease)]).await.unwrap();
    }
    for index in 0..10 {
        accepted(store, &request(2, &format!("q{index}")), &limits).await;
    }
    let mut quiet = 0;
    for _ in 0..22 {
        for job in claim_in_order(store, 1).await {
            quiet += usize::from(job.tenant.0 == 2);
            store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        }
    }
    assert!(quiet >= 9, "{quiet} of ten among the next 22");
}

/// Four slots for each host, as by default.
const FOUR_SLOTS: QueueLimits = QueueLimits {
    host_in_flight_max: 4,
    ..LIMITS
};

/// Claims one job and finishes it.
async fn served<S: Subject>(store: Store<'_, S>) -> Job {
    let job = claimed(store).await;
    store.finish(&[finished(job.id, job.lease)]).await.unwrap();
    job
}

/// How many are served before one of `tenant`, at most `most`.
async fn before<S: Subject>(store: Store<'_, S>, tenant: i64, most: usize) -> usize {
    let mut count = 0;
    while count < most && served(store).await.tenant.0 != tenant {
        count += 1;
    }
    count
}

/// Whoever asks later for a page of a host that others wait for takes turns with them, however far the other hosts have come.
pub(super) async fn backlogs_take_turns<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let many: Vec<_> = (0..100).map(|_| request(1, "busy.example")).collect();
    store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
    let mut held = claim_in_order(store, 4).await;
    for index in 0..300 {
        let host = format!("h{index}.example");
        accepted(store, &request(3, &host), &FOUR_SLOTS).await;
        served(store).await;
    }
    for _ in 0..3 {
        accepted(store, &request(2, "busy.example"), &FOUR_SLOTS).await;
    }
    let mut order = Vec::new();
    while order.len() < 8 {
        let job = held.remove(0);
        store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        let next = claimed(store).await;
        order.push(next.tenant.0);
        held.push(next);
    }
    assert_eq!(order, [1, 1, 2, 1, 2, 1, 2, 1]);
}

/// Accounts that ask for one page of a busy host after the other get as much of it as one that asked for many, and not more.
pub(super) async fn one_after_the_other_starves_nobody<S: Subject>(sql: &S) {
    for priority in [5, 9] {
        let store = Store::new(sql);
        let host = format!("busy{priority}.example");
        let many: Vec<_> = (0..60).map(|_| request(1, &host)).collect();
        store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
        let again = |tenant| NewMessage {
            priority,
            ..request(tenant, &host)
        };
        for tenant in 2..12 {
            accepted(store, &again(tenant), &FOUR_SLOTS).await;
        }
        let mut of_many = 0;
        for _ in 0..110 {
            let tenant = served(store).await.tenant.0;
            if tenant == 1 {
                of_many += 1;
            } else {
                accepted(store, &again(tenant), &FOUR_SLOTS).await;
            }
        }
        assert!(
            (8..25).contains(&of_many),
            "{of_many} of 110 among eleven accounts"
        );
        // The next round begins with an empty queue.
        while let Some(job) = claim_in_order(store, 1).await.pop() {
            store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        }
    }
}

/// An account whose pages all fail comes back again and again, and keeps nobody from the host.
pub(super) async fn failures_take_turns<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let many: Vec<_> = (0..40).map(|_| request(1, "busy.example")).collect();
    store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
    for _ in 0..4 {
        accepted(store, &request(2, "busy.example"), &FOUR_SLOTS).await;
    }
    let mut others = 0;
    for _ in 0..30 {
        let job = claimed(store).await;
        if job.tenant.0 == 2 {
            others += 1;
            store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        } else {
            let again = failure(job.id, job.lease, Some(1));
            store.fail(&again).await.unwrap();
        }
        sql.pass(10).await;
        store.wake().await.unwrap();
    }
    assert_eq!(others, 4, "although each failure came back at once");
}

/// What comes back together stands in line with itself, whether an attempt was used or not: others want something of the host, too.
pub(super) async fn what_comes_back_together_takes_turns<S: Subject>(sql: &S) {
    for is_postponed in [false, true] {
        let store = Store::new(sql);
        let host = format!("busy{is_postponed}.example");
        for index in 0..60 {
            let message = NewMessage {
                priority: if index % 20 == 0 { 9 } else { 5 },
                ..request(1, &host)
            };
            accepted(store, &message, &FOUR_SLOTS).await;
        }
        for _ in 0..60 {
            let job = claimed(store).await;
            let put_off = if is_postponed {
                store.postpone(job.id, job.lease, 60_000, 0).await
            } else {
                store.fail(&failure(job.id, job.lease, Some(60_000))).await
            };
            assert!(put_off.unwrap());
        }
        sql.pass(61_000).await;
        assert_eq!(store.wake().await.unwrap(), 60);
        for tenant in [2, 2, 2, 3] {
            accepted(store, &request(tenant, &host), &FOUR_SLOTS).await;
        }
        let mut order = Vec::new();
        let mut high = 0;
        for _ in 0..16 {
            let job = served(store).await;
            let message = store.message(job.tenant, job.id).await.unwrap().unwrap();
            high += usize::from(message.priority == 9);
            order.push(job.tenant.0);
        }
        let places = |tenant| order.iter().filter(|of| **of == tenant).count();
        assert_eq!((places(2), places(3)), (3, 1), "{order:?}");
        assert_eq!(high, 3, "nor does what is wanted more wait for the rest");
        // The next round begins with an empty queue.
        while let Some(job) = claim_in_order(store, 1).await.pop() {
            store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        }
    }
}

/// A retry does not stand behind what its owner asked for again, which stands behind all of the owner's like a new row.
pub(super) async fn what_is_asked_for_again_has_not_come_back<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let first = accepted(store, &request(1, "busy.example"), &FOUR_SLOTS).await;
    let job = claimed(store).await;
    assert!(
        store
            .fail(&failure(first, job.lease, Some(60_000)))
            .await
            .unwrap()
    );
    let many: Vec<_> = (0..40).map(|_| request(1, "busy.example")).collect();
    store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..40 {
        jobs.push(served(store).await);
    }
    for job in jobs {
        store.retry(job.tenant, job.id, &LIMITS).await.unwrap();
    }
    sql.pass(61_000).await;
    assert_eq!(store.wake().await.unwrap(), 1);
    let mut waited = 0;
    while served(store).await.id != first {
        waited += 1;
    }
    assert!(waited <= 6, "{waited} came before it");
}

pub(super) async fn priorities_order_a_backlog<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        host_in_flight_max: 1,
        ..LIMITS
    };
    for priority in [1, 9, 4, 9, 1, 4, 9, 1, 4, 0, 9, 4, 1] {
        for _ in 0..3 {
            accepted(store, &with_priority(priority), &limits).await;
        }
    }
    accepted(store, &request(2, "a"), &limits).await;
    let mut order = Vec::new();
    for place in 0..40 {
        let job = served(store).await;
        if job.tenant.0 == 2 {
            assert!(place <= 5, "the tenant's own order moves nobody else");
            continue;
        }
        let message = store.message(job.tenant, job.id).await.unwrap().unwrap();
        order.push(message.priority);
    }
    assert_eq!(order.remove(0), 1, "it had the host's slot already");
    assert!(
        order.is_sorted_by(|a, b| a >= b),
        "higher ones first: {order:?}"
    );
}

/// What waits for a slow host is paid for when it may start: the account's page of another host is not behind all of it.
pub(super) async fn a_backlog_costs_nothing_yet<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let many: Vec<_> = (0..100).map(|_| request(1, "slow.example")).collect();
    store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
    let held = claim_in_order(store, 4).await;
    assert_eq!(held.len(), 4);
    for index in 0..50 {
        let host = format!("h{index}.example");
        accepted(store, &request(2, &host), &FOUR_SLOTS).await;
    }
    accepted(store, &request(1, "free.example"), &FOUR_SLOTS).await;
    let waited = before(store, 1, 50).await;
    assert!(waited <= 5, "{waited} of the other's came before it");
}

/// Nor does what was asked for again and waits.
pub(super) async fn what_is_asked_for_again_costs_nothing_yet<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let many: Vec<_> = (0..60).map(|_| request(1, "slow.example")).collect();
    store.submit_many(&many, &FOUR_SLOTS).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..60 {
        jobs.push(served(store).await);
    }
    for job in jobs {
        store.retry(job.tenant, job.id, &LIMITS).await.unwrap();
    }
    assert_eq!(claim_in_order(store, 4).await.len(), 4);
    for index in 0..30 {
        let host = format!("h{index}.example");
        accepted(store, &request(2, &host), &FOUR_SLOTS).await;
    }
    accepted(store, &request(1, "free.example"), &FOUR_SLOTS).await;
    let waited = before(store, 1, 30).await;
    assert!(waited <= 6, "{waited} of the other's came before it");
}

/// Busy accounts may stand before a quiet one, as many as are looked at.
pub(super) async fn busy_accounts_hide_nobody<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for tenant in 1..=40 {
        let busy: Vec<_> = (0..5)
            .map(|index| request(tenant, &format!("b{index}.example")))
            .collect();
        store.submit_many(&busy, &LIMITS).await.unwrap();
    }
    assert_eq!(claim_in_order(store, 160).await.len(), 160, "four of each");
    let quiet = accepted(store, &request(41, "quiet.example"), &LIMITS).await;
    let jobs = store.claim_spare(Kind::Text, 8, "w", 60, 0).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [quiet]);
}

/// What runs alone was not the next in order either.
pub(super) async fn suspects_move_no_time<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let suspect = accepted(store, &request(2, "suspect.example"), &LIMITS).await;
    claimed(store).await;
    sql.pass(61_000).await;
    assert_eq!(store.rescue().await.unwrap().requeued, 1);
    let far = "UPDATE Messages SET key = 1000 WHERE crash_count = 1";
    sql.run(far, vec![]).await.unwrap();
    let noisy: Vec<_> = (0..100)
        .map(|index| request(1, &format!("n{index}.example")))
        .collect();
    store.submit_many(&noisy, &LIMITS).await.unwrap();
    claim_in_order(store, 8).await;
    let alone = store.claim_alone(Kind::Text, "w", 60).await.unwrap();
    assert_eq!(alone.map(|job| job.id), Some(suspect));
    accepted(store, &request(3, "quiet.example"), &LIMITS).await;
    let waited = before(store, 3, 50).await;
    assert!(waited <= 2, "{waited} of the noisy one's came before it");
}

/// A claim out of turn moves nobody's turn.
pub(super) async fn spare_slots_move_no_time<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let noisy: Vec<_> = (0..100)
        .map(|index| request(1, &format!("n{index}.example")))
        .collect();
    store.submit_many(&noisy, &LIMITS).await.unwrap();
    accepted(store, &request(2, "first.example"), &LIMITS).await;
    claim_in_order(store, 8).await;
    // It has had very much of late, and nothing of it is in flight by now.
    let far = "UPDATE flows SET finish = 1000 WHERE tenant = 2";
    sql.run(far, vec![]).await.unwrap();
    accepted(store, &request(2, "far.example"), &LIMITS).await;
    let spare = claim_spare(store).await;
    assert_eq!(spare.len(), 1);
    assert_eq!(spare[0].tenant.0, 2);
    accepted(store, &request(3, "quiet.example"), &LIMITS).await;
    let waited = before(store, 3, 50).await;
    assert!(waited <= 2, "{waited} of the noisy one's came before it");
}

/// What is cancelled before it started costs nothing, whether it could have started or waited for its host.
pub(super) async fn cancelled_rows_cost_nothing<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for index in 0..60 {
        for host in ["slow.example".to_owned(), format!("a{index}.example")] {
            accepted(store, &request(1, &host), &FOUR_SLOTS).await;
        }
    }
    let all = Filter {
        limit: 200,
        ..Filter::default()
    };
    let tenant = AccountId(1);
    let mut rows = store.messages(tenant, &all).await.unwrap();
    rows.sort_by_key(|row| row.id);
    assert_eq!(rows.len(), 120);
    for row in rows {
        store.cancel(tenant, row.id).await.unwrap();
    }
    for index in 0..30 {
        let host = format!("b{index}.example");
        accepted(store, &request(2, &host), &FOUR_SLOTS).await;
    }
    accepted(store, &request(1, "one.example"), &FOUR_SLOTS).await;
    let waited = before(store, 1, 30).await;
    assert!(waited <= 3, "{waited} of the other's came before it");
}
