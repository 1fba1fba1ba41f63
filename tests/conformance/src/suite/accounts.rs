//! Accounts, the login throttle, API keys.

use futures::future::join_all;
use trawl_core::ids::AccountId;
use trawl_core::limits::account::KEYS_MAX;
use trawl_core::limits::login::{
    ADDRESS_FAILURES_MAX, NAME_FORGIVEN_MS, NAME_FREE, REGISTRATIONS_MAX,
};
use trawl_store::{Created, KeyOwner, Registration, Store};

use crate::Subject;

pub(super) async fn registration<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let create = async |email: &'static str, who| {
        store
            .create_account(email, email, "hash", who)
            .await
            .unwrap()
    };
    assert_eq!(create("a@x.y", Registration::Closed).await, Created::Closed);
    assert!(!store.has_accounts().await.unwrap());
    let Created::Account(first) = create("a@x.y", Registration::First).await else {
        panic!("the first may")
    };
    assert!(store.has_accounts().await.unwrap());
    assert_eq!(create("a@x.y", Registration::First).await, Created::Taken);
    assert_eq!(create("b@x.y", Registration::First).await, Created::Closed);
    assert!(matches!(
        create("b@x.y", Registration::Open).await,
        Created::Account(_)
    ));
    assert_eq!(create("b@x.y", Registration::Open).await, Created::Taken);
    let set = async |old: &'static str, new: &'static str| {
        store.set_password_hash(first, old, new).await.unwrap()
    };
    assert!(set("hash", "stronger").await);
    assert!(!set("hash", "late").await, "it is another one by now");
    let account = store.account_by_email_key("a@x.y").await.unwrap().unwrap();
    assert_eq!(
        (account.id, account.password_hash.as_str()),
        (first, "stronger")
    );
    let other = store.account_by_email_key("b@x.y").await.unwrap().unwrap();
    assert_eq!(other.password_hash, "hash", "nobody else's");
    assert!(store.account_by_email_key("c@x.y").await.unwrap().is_none());
}

pub(super) async fn throttle<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for _ in 0..5 {
        assert_eq!(store.login_tried("name:a").await.unwrap(), None);
    }
    assert_eq!(store.login_gate("name:a").await.unwrap(), Some(1));
    assert_eq!(store.login_gate("name:b").await.unwrap(), None);
    sql.pass(1_100).await;
    assert_eq!(store.login_gate("name:a").await.unwrap(), None);
    assert_eq!(store.login_tried("name:a").await.unwrap(), None);
    assert_eq!(store.login_tried("name:a").await.unwrap(), Some(2));
    store.login_succeeded("name:a").await.unwrap();
    assert_eq!(store.login_gate("name:a").await.unwrap(), None);
    for _ in 0..10 {
        assert_eq!(store.login_tried("ip:1.2.3.4").await.unwrap(), None);
    }
    assert!(
        store
            .login_gate("ip:1.2.3.4")
            .await
            .unwrap()
            .is_some_and(|wait_s| (58..=60).contains(&wait_s))
    );
    sql.pass(61_000).await;
    assert_eq!(store.login_gate("ip:1.2.3.4").await.unwrap(), None);
    assert_eq!(store.login_tried("ip:1.2.3.4").await.unwrap(), None);
    assert_eq!(
        store.login_gate("ip:1.2.3.4").await.unwrap(),
        None,
        "a new window counts from one"
    );
    for _ in 1..10 {
        assert_eq!(store.login_tried("ip:1.2.3.4").await.unwrap(), None);
    }
    assert!(
        store.login_tried("ip:1.2.3.4").await.unwrap().is_some(),
        "and is as long as the one before"
    );
    for _ in 0..5 {
        store.login_tried("name:c").await.unwrap();
    }
    sql.pass(NAME_FORGIVEN_MS).await;
    for _ in 0..5 {
        assert_eq!(store.login_tried("name:c").await.unwrap(), None, "forgiven");
    }
}

/// One try goes on, and the rule counts from the new time; nobody waits until the old one comes again.
pub(super) async fn a_throttle_of_a_clock_set_back_goes_on<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for (key, free) in [
        ("name:a", NAME_FREE),
        ("ip:192.0.2.1", ADDRESS_FAILURES_MAX),
    ] {
        for _ in 0..free {
            assert_eq!(store.login_tried(key).await.unwrap(), None);
        }
        assert!(store.login_gate(key).await.unwrap().is_some(), "{key}");
    }
    sql.pass(-3_600_000).await;
    for (key, wait_s) in [("name:a", 1..=2), ("ip:192.0.2.1", 58..=60)] {
        assert_eq!(store.login_tried(key).await.unwrap(), None, "{key}");
        let held = store.login_gate(key).await.unwrap();
        assert!(held.is_some_and(|held| wait_s.contains(&held)), "{held:?}");
    }
}

/// Of many tries at once no more go on than may fail, and what is taken back may be tried again.
pub(super) async fn tries_at_once<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    for (key, free) in [
        ("name:a", NAME_FREE),
        ("ip:192.0.2.1", ADDRESS_FAILURES_MAX),
    ] {
        let tries = async || {
            let waits = join_all((0..15).map(|_| store.login_tried(key))).await;
            let through = waits
                .iter()
                .filter(|wait_s| wait_s.as_ref().unwrap().is_none());
            through.count() as u64
        };
        assert_eq!(tries().await, free, "{key}");
        assert_eq!(tries().await, 0, "{key}");
        store.login_taken_back(key).await.unwrap();
        assert_eq!(tries().await, 1, "{key}");
    }
    // Once its wait is over, one more may be tried, not as many as come.
    sql.pass(1_100).await;
    let waits = join_all((0..5).map(|_| store.login_tried("name:a"))).await;
    let through = waits.iter().filter(|wait_s| matches!(wait_s, Ok(None)));
    assert_eq!(through.count(), 1);
}

pub(super) async fn registrations_of_a_network<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let asked = (0..REGISTRATIONS_MAX + 10).map(|_| store.registration_gate("reg:192.0.2.1"));
    let waits = join_all(asked).await;
    let through = waits
        .iter()
        .filter(|wait_s| wait_s.as_ref().unwrap().is_none());
    assert_eq!(through.count() as u64, REGISTRATIONS_MAX);
    let wait_s = store.registration_gate("reg:192.0.2.1").await.unwrap();
    assert!(wait_s.is_some_and(|wait_s| (3_590..=3_600).contains(&wait_s)));
    assert_eq!(
        store.registration_gate("reg:192.0.2.2").await.unwrap(),
        None
    );
    sql.pass(3_500_000).await;
    store.purge(1, 1, 100).await.unwrap();
    let wait_s = store.registration_gate("reg:192.0.2.1").await.unwrap();
    assert!(wait_s.is_some(), "the purge leaves what is still counted");
    sql.pass(101_000).await;
    for count in 0..=REGISTRATIONS_MAX {
        let wait_s = store.registration_gate("reg:192.0.2.1").await.unwrap();
        assert_eq!(wait_s.is_some(), count == REGISTRATIONS_MAX, "a new window");
    }
}

pub(super) async fn keys<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let Created::Account(account) = store
        .create_account("a", "a", "h", Registration::Open)
        .await
        .unwrap()
    else {
        panic!("not created")
    };
    let create = async |name, digest: [u8; 32]| {
        let created = store.create_key(account, name, &digest).await;
        created.unwrap().expect("there are few")
    };
    let id = create("ci", [1; 32]).await;
    let other = create("cron", [2; 32]).await;
    assert_eq!(
        store
            .keys(account)
            .await
            .unwrap()
            .iter()
            .map(|key| key.last_used)
            .collect::<Vec<_>>(),
        [None, None]
    );
    let owner = |is_use_due| {
        Some(KeyOwner {
            account,
            is_use_due,
        })
    };
    let found = store.account_by_key_digest(&[1; 32]).await.unwrap();
    assert_eq!(found, owner(true));
    store.key_used(&[1; 32]).await.unwrap();
    let found = store.account_by_key_digest(&[1; 32]).await.unwrap();
    assert_eq!(found, owner(false), "written down a moment ago");
    assert_eq!(store.account_by_key_digest(&[3; 32]).await.unwrap(), None);
    let listed = store.keys(account).await.unwrap();
    assert_eq!(
        (listed[0].id, listed[0].name.as_str(), listed[1].id),
        (id, "ci", other)
    );
    assert!(listed[0].last_used.is_some() && listed[1].last_used.is_none());
    assert!(!store.delete_key(AccountId(99), id).await.unwrap());
    assert!(store.delete_key(account, id).await.unwrap());
    assert!(!store.delete_key(account, id).await.unwrap());
    assert_eq!(
        store.account_by_key_digest(&[1; 32]).await.unwrap(),
        None,
        "revoked at once"
    );
    // Each account has a limit of its own.
    for number in 1..KEYS_MAX {
        create("more", [10 + number as u8; 32]).await;
    }
    let full = store.create_key(account, "one more", &[4; 32]).await;
    assert_eq!(full.unwrap(), None);
    let neighbour = store
        .create_account("b", "b", "h", Registration::Open)
        .await;
    let Created::Account(neighbour) = neighbour.unwrap() else {
        panic!("not created")
    };
    let first = store.create_key(neighbour, "ci", &[5; 32]).await;
    assert!(first.unwrap().is_some());
}
