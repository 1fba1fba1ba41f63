//! Back-pressure and idempotency.

use trawl_core::ids::{AccountId, MessageId};
use trawl_store::{Changed, QueueLimits, Store, Submitted};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, failure, finished, request};

pub(super) async fn tenant_and_total<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let limits = QueueLimits {
        tenant_max: 3,
        total_max: 5,
        ..LIMITS
    };
    let first = accepted(store, &request(1, "a"), &limits).await;
    for _ in 0..2 {
        accepted(store, &request(1, "a"), &limits).await;
    }
    assert_eq!(
        store.submit(&request(1, "a"), &limits).await.unwrap(),
        Submitted::TenantFull
    );
    let job = claimed(store).await;
    assert_eq!(
        store.submit(&request(1, "a"), &limits).await.unwrap(),
        Submitted::TenantFull,
        "a running one counts"
    );
    store
        .fail(&failure(job.id, job.lease, Some(60_000)))
        .await
        .unwrap();
    assert_eq!(
        store.submit(&request(1, "a"), &limits).await.unwrap(),
        Submitted::TenantFull,
        "a delayed one counts"
    );
    for _ in 0..2 {
        accepted(store, &request(2, "a"), &limits).await;
    }
    assert_eq!(
        store.submit(&request(3, "a"), &limits).await.unwrap(),
        Submitted::Full
    );
    assert_eq!(
        store.cancel(AccountId(1), first).await.unwrap(),
        Changed::Yes
    );
    accepted(store, &request(3, "a"), &limits).await;
}

/// What counts is what is to be scraped: callbacks that wait for a dead endpoint leave room for as many messages as without them.
pub(super) async fn callbacks_take_no_room<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for _ in 0..3 {
        let id = accepted(store, &request(1, "a"), &LIMITS).await;
        let job = claimed(store).await;
        store.finish(&[finished(id, job.lease)]).await.unwrap();
    }
    let limits = QueueLimits {
        tenant_max: 1,
        total_max: 1,
        ..LIMITS
    };
    let full = async || store.is_full(AccountId(1), &limits).await.unwrap();
    assert_eq!(full().await, None);
    accepted(store, &request(1, "a"), &limits).await;
    // One that waits for another try takes as much as one that waits for the first.
    let job = claimed(store).await;
    let failed = failure(job.id, job.lease, Some(60_000));
    assert!(store.fail(&failed).await.unwrap());
    assert_eq!(full().await, Some(Submitted::TenantFull));
}

pub(super) async fn idempotency<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let mut message = request(1, "a");
    message.idem_key = Some("key".into());
    message.replica = Some("app1".into());
    let limits = QueueLimits {
        tenant_max: 1,
        ..LIMITS
    };
    let id = accepted(store, &message, &limits).await;
    let first = Submitted::Repeat {
        id,
        replica: Some("app1".into()),
    };
    message.replica = Some("app2".into());
    assert_eq!(
        store.submit(&message, &limits).await.unwrap(),
        first,
        "also when the queue is full"
    );
    let mut other = message.clone();
    other.body_digest = [9; 32];
    assert_eq!(
        store.submit(&other, &LIMITS).await.unwrap(),
        Submitted::Conflict
    );
    let job = claimed(store).await;
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    assert_eq!(
        store.submit(&message, &LIMITS).await.unwrap(),
        first,
        "also when it is done"
    );
    message.tenant = AccountId(2);
    let none = QueueLimits {
        tenant_max: 0,
        ..LIMITS
    };
    assert_eq!(
        store.submit(&message, &none).await.unwrap(),
        Submitted::TenantFull,
        "another account's key is no repeat"
    );
    accepted(store, &message, &LIMITS).await;
}

pub(super) async fn many_at_once<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let mut batch: Vec<_> = (0..20)
        .map(|index| request(1, &format!("h{index}")))
        .collect();
    batch[7].idem_key = Some("twice".into());
    batch[9].idem_key = Some("twice".into());
    let answers = store.submit_many(&batch, &LIMITS).await.unwrap();
    assert_eq!(answers.len(), 20);
    let repeats: Vec<MessageId> = answers
        .iter()
        .filter_map(|answer| {
            if let Submitted::Repeat { id, .. } = answer {
                Some(*id)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(repeats.len(), 1, "{answers:?}");
    assert!([&answers[7], &answers[9]].contains(&&Submitted::Accepted(repeats[0])));
    assert_eq!(
        store
            .claim(trawl_core::state::Kind::Text, 50, "w", 60)
            .await
            .unwrap()
            .len(),
        19
    );
}
