//! Fair shares between tenants, order and ageing within one.

use trawl_core::state::Kind;
use trawl_store::{Job, Store};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, failure, finished, request};

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

pub(super) async fn priorities_order_and_age<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let with = |priority: u8| {
        let mut message = request(1, "a");
        message.priority = priority;
        message
    };
    let mut low = Vec::new();
    for _ in 0..50 {
        low.push(accepted(store, &with(1), &LIMITS).await);
    }
    let high = accepted(store, &with(9), &LIMITS).await;
    let last = accepted(store, &with(0), &LIMITS).await;
    assert_eq!(
        claimed(store).await.id,
        high,
        "a high one passes fifty low ones"
    );
    // A stream of high ones does not starve the low ones: each low one moves as virtual time does.
    let mut waited = 0;
    let mut low_served = 0;
    while low_served < 50 {
        accepted(store, &with(9), &LIMITS).await;
        let job = claimed(store).await;
        low_served += usize::from(low.contains(&job.id));
        assert_ne!(job.id, last, "the lowest does not overtake");
        waited += 1;
        assert!(
            waited < 400,
            "only {low_served} of 50 low ones in {waited} claims"
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
