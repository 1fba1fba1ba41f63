//! Accounts, the login throttle, API keys.

use futures::future::join_all;
use trawl_core::ids::AccountId;
use trawl_core::limits::account::KEYS_MAX;
use trawl_core::limits::login::{
    ADDRESS_FAILURES_MAX, NAME_FORGIVEN_MS, NAME_FREE, REGISTRATIONS_MAX,
};
use trawl_core::state::Kind;
use trawl_store::{Created, KeyOwner, ListedAccount, NewMessage, Registration, Store};

use crate::Subject;
use crate::given::{LIMITS, accepted, failure, finished, request};

/// Makes an account with the hash `hash`.
async fn made<S: Subject>(store: Store<'_, S>, email: &str) -> AccountId {
    let created = store.create_account(email, email, "hash", Registration::Open);
    match created.await.unwrap() {
        Created::Account(account) => account,
        other => panic!("{other:?}"),
    }
}

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

pub(super) async fn keys_deleted_together<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let (account, neighbour) = (made(store, "a@x.y").await, made(store, "b@x.y").await);
    for (owner, digest) in [(account, 1), (neighbour, 2), (account, 3)] {
        let created = store.create_key(owner, "ci", &[digest; 32]).await;
        assert!(created.unwrap().is_some());
    }
    assert_eq!(store.delete_keys(account).await, Ok(2));
    assert_eq!(store.delete_keys(account).await, Ok(0), "there are none");
    for digest in [1, 3] {
        let found = store.account_by_key_digest(&[digest; 32]).await;
        assert_eq!(found, Ok(None), "revoked at once");
    }
    assert_eq!(store.keys(neighbour).await.unwrap().len(), 1);
}

/// Whatever the hash was, and also when it is another one each time.
pub(super) async fn passwords_that_are_reset<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let (account, _) = (made(store, "a@x.y").await, made(store, "b@x.y").await);
    let hash = async |email: &'static str| {
        let found = store.account_by_email_key(email).await.unwrap();
        found.unwrap().password_hash
    };
    for new in ["new", "newer", "newer"] {
        let reset = store.reset_password("a@x.y", new).await;
        assert_eq!(reset, Ok(Some(account)));
        assert_eq!(hash("a@x.y").await, new);
    }
    // A log-in that was under way renews what it has read.
    let renewed = store.set_password_hash(account, "hash", "of the old password");
    assert_eq!(renewed.await, Ok(false));
    assert_eq!(store.reset_password("c@x.y", "new").await, Ok(None));
    assert_eq!(hash("b@x.y").await, "hash", "nobody else's");
}

/// Of each type one waits, one waits for another try, one is worked on, and one is done, whose callback waits.
pub(super) async fn listed_with_what_is_unfinished<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    assert_eq!(store.accounts(AccountId(0), 10).await, Ok(vec![]));
    let (busy, idle) = (made(store, "a@x.y").await, made(store, "b@x.y").await);
    for (owner, digest) in [(busy, 1), (busy, 2)] {
        let created = store.create_key(owner, "ci", &[digest; 32]).await;
        assert!(created.unwrap().is_some());
    }
    for kind in Kind::ALL {
        for number in 0..4 {
            let message = NewMessage {
                kind,
                priority: number,
                ..request(busy.0, "host.example")
            };
            accepted(store, &message, &LIMITS).await;
        }
        let jobs = store.claim(kind, 3, "worker", 60).await.unwrap();
        assert_eq!(jobs.len(), 3);
        let again = failure(jobs[0].id, jobs[0].lease, Some(60_000));
        assert!(store.fail(&again).await.unwrap());
        let done = finished(jobs[1].id, jobs[1].lease);
        store.finish(&[done]).await.unwrap();
    }
    let listed = async |after, limit| store.accounts(AccountId(after), limit).await.unwrap();
    let all = listed(0, 10).await;
    let view = |account: &ListedAccount| (account.id, account.keys, account.unfinished);
    let unfinished = 3 * Kind::ALL.len() as u64;
    assert_eq!(
        all.iter().map(view).collect::<Vec<_>>(),
        [(busy, 2, unfinished), (idle, 0, 0)]
    );
    assert_eq!(all[0].email, "a@x.y");
    let made_ms = store.account_made_ms(idle).await.unwrap();
    assert_eq!(Some(all[1].created_ms), made_ms);
    // In pages, each after the last one of the page before.
    assert_eq!(listed(0, 1).await, all[..1]);
    assert_eq!(listed(busy.0, 1).await, all[1..]);
    assert_eq!(listed(idle.0, 1).await, []);
}
