//! What is read: lists, results, figures; and the purge.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{Kind, Mode, State};
use trawl_store::sql::Value;
use trawl_store::{
    Attempt, Bodies, Changed, Filter, Finished, FoundRobots, Job, Next, Previous, ResultLookup,
    SameRequest, Store,
};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, failure, finished, request};

const TENANT: AccountId = AccountId(1);

/// Ten messages: by id modulo five queued, processing, done, failed, cancelled; kinds alternate.
async fn mixed<S: Subject>(sql: &S) -> Vec<MessageId> {
    let store = Store::new(sql);
    let mut ids = Vec::new();
    for index in 0..10 {
        let mut message = request(1, "a");
        message.kind = if index % 2 == 0 {
            Kind::Text
        } else {
            Kind::Html
        };
        let id = accepted(store, &message, &LIMITS).await;
        accepted(store, &request(2, "a"), &LIMITS).await;
        ids.push(id);
    }
    let mut jobs = store.claim(Kind::Text, 100, "w", 60).await.unwrap();
    jobs.extend(store.claim(Kind::Html, 100, "w", 60).await.unwrap());
    for job in jobs.iter().filter(|job| job.tenant == TENANT) {
        match ids.iter().position(|id| *id == job.id).unwrap() % 5 {
            0 => store.release(&[(job.id, job.lease)]).await.unwrap(),
            1 => {}
            2 => drop(store.finish(&[finished(job.id, job.lease)]).await.unwrap()),
            3 => drop(store.fail(&failure(job.id, job.lease, None)).await.unwrap()),
            _ => drop(store.cancel(TENANT, job.id).await.unwrap()),
        }
    }
    ids
}

pub(super) async fn lists_and_filters<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let ids = mixed(sql).await;
    let states = [
        State::Queued,
        State::Processing,
        State::Done,
        State::Failed,
        State::Cancelled,
    ];
    let list = async |filter: Filter| -> Vec<MessageId> {
        store
            .messages(TENANT, &filter)
            .await
            .unwrap()
            .iter()
            .map(|message| message.id)
            .collect()
    };
    let expected = |wanted: &dyn Fn(usize) -> bool| -> Vec<MessageId> {
        (0..10)
            .rev()
            .filter(|index| wanted(*index))
            .map(|index| ids[index])
            .collect()
    };
    let all = Filter {
        limit: 100,
        ..Filter::default()
    };
    assert_eq!(
        list(all).await,
        expected(&|_| true),
        "newest first, whatever the state"
    );
    for (position, state) in states.into_iter().enumerate() {
        assert_eq!(
            list(Filter {
                status: Some(state),
                ..all
            })
            .await,
            expected(&|index| index % 5 == position)
        );
        let filter = Filter {
            status: Some(state),
            kind: Some(Kind::Html),
            ..all
        };
        assert_eq!(
            list(filter).await,
            expected(&|index| index % 5 == position && index % 2 == 1)
        );
    }
    assert_eq!(
        list(Filter {
            kind: Some(Kind::Text),
            ..all
        })
        .await,
        expected(&|index| index % 2 == 0)
    );
}

pub(super) async fn pages_of_a_list<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let ids = mixed(sql).await;
    let filter = Filter {
        limit: 3,
        before: Some(ids[6]),
        ..Filter::default()
    };
    let page = store.messages(TENANT, &filter).await.unwrap();
    let found: Vec<_> = page.iter().map(|message| message.id).collect();
    assert_eq!(found, [ids[5], ids[4], ids[3]]);
    assert!(
        store.message(AccountId(2), ids[0]).await.unwrap().is_none(),
        "another tenant's"
    );
}

pub(super) async fn results<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let ids = mixed(sql).await;
    assert!(matches!(
        store.result(TENANT, ids[0]).await.unwrap(),
        ResultLookup::NotReady(State::Queued)
    ));
    assert!(matches!(
        store.result(TENANT, ids[4]).await.unwrap(),
        ResultLookup::NotReady(State::Cancelled)
    ));
    assert!(matches!(
        store.result(TENANT, ids[3]).await.unwrap(),
        ResultLookup::Failed(_)
    ));
    assert_eq!(
        store.result(AccountId(2), ids[2]).await.unwrap(),
        ResultLookup::NoMessage
    );
    let ResultLookup::Ready(result) = store.result(TENANT, ids[2]).await.unwrap() else {
        panic!("done")
    };
    let wanted = finished(ids[2], 1);
    assert_eq!(
        (result.kind, result.body, result.meta, result.http_status),
        (Kind::Text, wanted.body, wanted.meta, 200)
    );
}

pub(super) async fn last_result<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let ids = mixed(sql).await;
    let same = |tenant: i64, kind| SameRequest {
        account: AccountId(tenant),
        kind,
        request_url: "https://a/page",
        mode: Mode::Best,
        selector: None,
    };
    let look = async |tenant: i64, kind| {
        let found = store.last_result(same(tenant, kind), Bodies::Left);
        found.await.unwrap()
    };
    let last = look(1, Kind::Text).await.unwrap();
    assert_eq!(
        (last.message_id, last.etag.as_deref()),
        (ids[2], Some("\"v1\""))
    );
    assert_eq!(look(1, Kind::Html).await.unwrap().message_id, ids[7]);
    assert!(look(1, Kind::Domains).await.is_none());
    assert!(
        look(2, Kind::Text).await.is_none(),
        "never another tenant's"
    );
    for (mode, selector) in [(Mode::Fast, None), (Mode::Best, Some("main"))] {
        let looked = async |kind| {
            let other = SameRequest {
                mode,
                selector,
                ..same(TENANT.0, kind)
            };
            let looked = store.last_result(other, Bodies::Left);
            looked.await.unwrap().map(|found| found.message_id)
        };
        assert_eq!(looked(Kind::Text).await, None, "a text with other options");
        assert_eq!(
            looked(Kind::Html).await,
            Some(ids[7]),
            "a page has no options"
        );
    }
    let whole = store.last_result(same(1, Kind::Text), Bodies::Read);
    let whole = whole.await.unwrap().unwrap();
    assert!(!whole.body.is_empty() && last.body.is_empty());
    assert_eq!(
        Previous {
            body: Vec::new(),
            age_s: last.age_s,
            ..whole
        },
        last
    );
    sql.pass(5_000).await;
    assert!((5..9).contains(&look(1, Kind::Text).await.unwrap().age_s));
    let newer = accepted(store, &request(1, "a"), &LIMITS).await;
    let jobs = store.claim(Kind::Text, 100, "w", 60).await.unwrap();
    let work: Vec<_> = jobs.iter().map(|job| finished(job.id, job.lease)).collect();
    store.finish(&work).await.unwrap();
    assert_eq!(look(1, Kind::Text).await.unwrap().message_id, newer);
}

/// A copy found as the last result would be handed on as a young one, and a page would never age. One that ends alone is written by
/// another statement than a few that end together, and these by another one than many.
pub(super) async fn a_copy_is_no_last_result<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let page = request(1, "a");
    let mut first = None;
    for count in [1, 1, 3, 5] {
        for _ in 0..count {
            accepted(store, &page, &LIMITS).await;
        }
        let jobs = store.claim(Kind::Text, 9, "w", 60).await.unwrap();
        let copy = |job: &Job| Finished {
            is_copy: first.is_some(),
            ..finished(job.id, job.lease)
        };
        let work: Vec<_> = jobs.iter().map(copy).collect();
        assert_eq!(store.finish(&work).await.unwrap().len(), count);
        let same = SameRequest {
            account: TENANT,
            kind: Kind::Text,
            request_url: &page.request_url,
            mode: page.mode,
            selector: None,
        };
        let last = store.last_result(same, Bodies::Left).await.unwrap();
        let last = last.map(|last| last.message_id);
        assert_eq!(last, Some(*first.get_or_insert(jobs[0].id)), "{count}");
    }
}

/// The hash only finds: with those of all others' results made its own, a request gets none of them.
pub(super) async fn a_hash_proves_nothing<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    mixed(sql).await;
    let asked = || request(1, "a");
    let mut other_kind = asked();
    other_kind.kind = Kind::Domains;
    let mut other_mode = asked();
    other_mode.mode = Mode::Fast;
    let mut other_selector = asked();
    other_selector.selector = Some("main".into());
    let mut other_tenant = asked();
    other_tenant.tenant = AccountId(2);
    let other_url = request(1, "b");
    for message in [
        other_kind,
        other_mode,
        other_selector,
        other_tenant,
        other_url,
    ] {
        let id = accepted(store, &message, &LIMITS).await;
        let all = "UPDATE results SET url_hash = (SELECT url_hash FROM Messages WHERE Id = ?1)";
        sql.run(all, vec![id.0.into()]).await.unwrap();
        let same = SameRequest {
            account: message.tenant,
            kind: message.kind,
            request_url: &message.request_url,
            mode: message.mode,
            selector: message.selector.as_deref(),
        };
        let found = store.last_result(same, Bodies::Read).await.unwrap();
        assert_eq!(found, None, "{message:?}");
    }
}

pub(super) async fn queues_tell_the_truth<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    mixed(sql).await;
    let figures = store.queues(Some(TENANT)).await.unwrap();
    let names: Vec<_> = figures.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "type_1_queue",
            "type_2_queue",
            "type_3_queue",
            "callback_queue"
        ]
    );
    let counts =
        |queue: &trawl_store::QueueFigures| (queue.ready, queue.leased, queue.delayed, queue.dead);
    assert_eq!(counts(&figures[0]), (1, 1, 0, 1));
    assert_eq!(counts(&figures[1]), (1, 1, 0, 1));
    assert_eq!(counts(&figures[3]), (4, 0, 0, 0));
    assert_eq!(counts(&store.queues(None).await.unwrap()[0]), (1, 11, 0, 1));
    let added = async || store.queues(Some(TENANT)).await.unwrap()[0].added_per_min;
    let all = added().await;
    assert!((4..=5).contains(&all), "at once, not a minute later: {all}");
    sql.pass(90_000).await;
    assert!(added().await < all, "what is older is counted no more");
    assert!((90..95).contains(&store.queues(None).await.unwrap()[0].oldest_age_s));
    assert!((90..95).contains(&store.queues(Some(TENANT)).await.unwrap()[3].oldest_age_s));
    assert_eq!(
        store
            .queues(Some(AccountId(77)))
            .await
            .unwrap()
            .iter()
            .map(|queue| queue.ready)
            .sum::<u64>(),
        0
    );
}

pub(super) async fn totals_only_grow<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let totals = async || {
        let totals = store.totals().await.unwrap();
        let numbers = totals.iter().map(|queue| (queue.done, queue.failed));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(totals().await, [(0, 0); 4]);
    let ids = mixed(sql).await;
    let first = [(1, 1), (1, 1), (0, 0), (0, 0)];
    assert_eq!(
        totals().await,
        first,
        "what was given back or cancelled is neither"
    );
    assert_eq!(
        store.retry(TENANT, ids[2], &LIMITS).await.unwrap(),
        Changed::Yes
    );
    let again = store.claim(Kind::Text, 100, "w", 60).await.unwrap();
    let again = again.iter().find(|job| job.id == ids[2]).unwrap();
    assert!(
        store
            .fail(&failure(again.id, again.lease, None))
            .await
            .unwrap()
    );
    let second = [(1, 2), (1, 1), (0, 0), (0, 0)];
    assert_eq!(
        totals().await,
        second,
        "both ends of one that was asked for again"
    );
    accepted(store, &request(1, "newest"), &LIMITS).await;
    sql.pass(100 * 86_400_000).await;
    assert!(store.purge(30, 90, 500).await.unwrap().rows > 0);
    assert_eq!(totals().await, second);
}

pub(super) async fn robots_and_dead_requests<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    assert!(store.robots("https://a").await.unwrap().is_none());
    let found = |name: &str, state: &str, body: &[u8], ttl_s| FoundRobots {
        authority: format!("https://{name}"),
        state: state.to_owned(),
        body: body.to_vec(),
        ttl_s,
    };
    let several = [
        found("a", "ok", b"User-agent: *", 60),
        found("b", "ok", b"Allow: \xff", 60),
        found("a", "missing", b"", 120),
        found("\"c", "ok", b"", 60),
    ];
    store.put_robots(&several).await.unwrap();
    let asked = ["a", "b", "d", "\"c"].map(|name| format!("https://{name}"));
    let mut copies = store.robots_of(&asked).await.unwrap();
    copies.sort_by(|(one, _), (other, _)| one.cmp(other));
    let told: Vec<_> = copies
        .iter()
        .map(|(authority, copy)| (authority.as_str(), copy.state.as_str(), &copy.body[..]))
        .collect();
    let wanted: [(&str, &str, &[u8]); 3] = [
        ("https://\"c", "ok", b""),
        ("https://a", "missing", b""),
        ("https://b", "ok", b"Allow: \xff"),
    ];
    assert_eq!(told, wanted);
    let cached = store.robots("https://a").await.unwrap().unwrap();
    assert_eq!(
        (
            cached.state.as_str(),
            cached.body.len(),
            cached.expires_ms - cached.fetched_ms
        ),
        ("missing", 0, 120_000)
    );
    sql.pass(121_000).await;
    let cached = store.robots("https://a").await.unwrap().unwrap();
    assert!(
        cached.now_ms > cached.expires_ms,
        "an expired copy is still told"
    );
    store
        .dead_request("data_queue", b"{not json \xff", "it is not JSON")
        .await
        .unwrap();
    let kept = sql
        .run("SELECT source, reason, body FROM dead_requests", vec![])
        .await
        .unwrap();
    assert_eq!(kept.rows.len(), 1);
}

/// A purge takes neither before its time.
pub(super) async fn robots_and_dead_requests_are_kept_for_a_while<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    let found = FoundRobots {
        authority: "https://a".into(),
        state: "ok".into(),
        body: Vec::new(),
        ttl_s: 86_400,
    };
    store.put_robots(&[found]).await.unwrap();
    let dead = store.dead_request("data_queue", b"{", "it is not JSON");
    dead.await.unwrap();
    let left = async || {
        store.purge(30, 90, 500).await.unwrap();
        let left = "SELECT (SELECT COUNT(*) FROM dead_requests), (SELECT COUNT(*) FROM robots)";
        let rows = sql.run(left, vec![]).await.unwrap().rows;
        rows[0].clone()
    };
    assert_eq!(left().await, [1, 1].map(Value::Integer));
    sql.pass(29 * DAY_MS).await;
    assert_eq!(left().await[0], Value::Integer(1));
    sql.pass(2 * DAY_MS).await;
    assert_eq!(left().await[0], Value::Integer(0));
}

/// A row for each host that was ever scraped, and for each URL that ever failed, would be there for ever.
pub(super) async fn hosts_and_endpoints_are_forgotten<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    let left = async |statement| {
        let rows = sql.run(statement, vec![]).await.unwrap().rows;
        let first = |row: &Vec<Value>| match &row[0] {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        rows.iter().map(first).collect::<Vec<_>>()
    };
    for statement in [
        "INSERT INTO hosts (host, gap_ms, in_flight_max, source, next_at) VALUES
           ('a', NULL, NULL, 'default', 5), ('b', 9, NULL, 'operator', 5), ('c', NULL, NULL, 'default', 5),
           ('d', NULL, NULL, 'default', CAST(unixepoch('subsec') * 1000 AS INTEGER)), ('e', 9, 1, 'robots', 5),
           ('f', NULL, NULL, 'default', 5), ('g', NULL, NULL, 'default', 5),
           ('h', 9, 1, 'robots', CAST(unixepoch('subsec') * 1000 AS INTEGER)), ('i', NULL, 1, 'operator', 5)",
        "INSERT INTO endpoints (tenant, url, disabled_ms, throttled_until, first_failure_ms, failing_days, last_failure_day) VALUES
           (1, 'a', NULL, NULL, 5, 1, 0), (1, 'b', NULL, NULL, NULL, 0, NULL), (1, 'c', 5, NULL, 5, 1, 0),
           (1, 'd', NULL, NULL, 5, 1, CAST(unixepoch('subsec') * 1000 AS INTEGER) / 86400000), (2, 'e', NULL, 5, 5, 1, 0),
           (2, 'f', CAST(unixepoch('subsec') * 1000 AS INTEGER), NULL, 5, 1, 0), (2, 'g', NULL, NULL, 5, 1, 0)",
    ] {
        sql.run(statement, vec![]).await.unwrap();
    }
    // Two rows at a time, so that each purge goes on where the one before ended; and once around, since rows come anew.
    for _ in 0..8 {
        store.purge(30, 90, 2).await.unwrap();
    }
    let hosts = "SELECT host FROM hosts ORDER BY host";
    let endpoints = "SELECT url FROM endpoints ORDER BY url";
    assert_eq!(left(hosts).await, ["b", "d", "h", "i"]);
    assert_eq!(left(endpoints).await, ["d", "e", "f"]);
    let again = "INSERT INTO hosts (host, next_at) VALUES ('a', 5)";
    sql.run(again, vec![]).await.unwrap();
    for _ in 0..6 {
        store.purge(30, 90, 2).await.unwrap();
    }
    assert_eq!(left(hosts).await, ["b", "d", "h", "i"]);
    sql.pass(100 * DAY_MS).await;
    for _ in 0..8 {
        store.purge(30, 90, 2).await.unwrap();
    }
    assert_eq!(left(hosts).await, ["b", "i"], "an operator's paces stay");
    assert_eq!(
        left(endpoints).await,
        ["e"],
        "what is paused, the clock ends"
    );
}

/// To free a body all its pages are read, while nobody else can write; and a message takes its result with it.
pub(super) async fn long_results_go_a_few_at_a_time<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    let message = request(1, "a");
    for _ in 0..3 {
        accepted(store, &message, &LIMITS).await;
    }
    for job in store.claim(message.kind, 100, "w", 60).await.unwrap() {
        let done = store.finish(&[finished(job.id, job.lease)]).await;
        done.unwrap();
    }
    // Two of them are longer than what may go at once.
    let make_long = "UPDATE results SET body = zeroblob(40000000)";
    sql.run(make_long, vec![]).await.unwrap();
    sql.pass(91 * DAY_MS).await;
    let purge = async || {
        let purged = store.purge(120, 90, 500).await.unwrap();
        let left = "SELECT (SELECT COUNT(*) FROM results), (SELECT COUNT(*) FROM Messages)";
        let rows = sql.run(left, vec![]).await.unwrap().rows;
        (purged.goes_on, rows[0].clone())
    };
    assert_eq!(purge().await, (true, [1, 3].map(Value::Integer).to_vec()));
    assert_eq!(purge().await, (false, [0, 1].map(Value::Integer).to_vec()));
}

pub(super) async fn purge_and_ids<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    // Nodes may tell it side by side.
    for goes_on in [false, true, true, false, false] {
        store.set_purge_goes_on(goes_on).await.unwrap();
        assert_eq!(store.purge_goes_on().await.unwrap(), goes_on);
    }
    let ids = mixed(sql).await;
    sql.pass(29 * DAY_MS).await;
    assert_eq!(store.purge(30, 90, 500).await.unwrap().rows, 0);
    sql.pass(2 * DAY_MS).await;
    let purged = store.purge(30, 90, 500).await.unwrap();
    assert_eq!(purged.rows, 2, "two results");
    assert!(!purged.goes_on);
    assert_eq!(
        store.result(TENANT, ids[2]).await.unwrap(),
        ResultLookup::Expired
    );
    sql.pass(58 * DAY_MS).await;
    assert_eq!(store.purge(30, 90, 500).await.unwrap().rows, 0);
    sql.pass(2 * DAY_MS).await;
    store.purge(30, 90, 500).await.unwrap();
    let left = store
        .messages(
            TENANT,
            &Filter {
                limit: 100,
                ..Filter::default()
            },
        )
        .await
        .unwrap();
    assert!(
        left.iter().all(|message| !message.state.is_terminal()),
        "unfinished messages stay, however old"
    );
    assert_eq!(left.len(), 4);
    let orphans = sql
        .run(
            "SELECT (SELECT COUNT(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM Messages m WHERE m.Id = e.message_id))
                  + (SELECT COUNT(*) FROM callbacks c WHERE NOT EXISTS (SELECT 1 FROM Messages m WHERE m.Id = c.message_id))",
            vec![],
        )
        .await
        .unwrap();
    assert_eq!(orphans.rows[0][0], Value::Integer(0));
    let next = accepted(store, &request(1, "a"), &LIMITS).await;
    assert!(next > *ids.last().unwrap(), "ids are not used twice");
}

pub(super) async fn old_rows_that_stay_hold_up_no_purge<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    let finish_all = async || {
        let jobs = store.claim(Kind::Text, 20, "w", 60).await.unwrap();
        for job in &jobs {
            store.finish(&[finished(job.id, job.lease)]).await.unwrap();
        }
        jobs.len()
    };
    let mut ids = Vec::new();
    for n in 0..9 {
        ids.push(accepted(store, &request(1, &format!("h{n}")), &LIMITS).await);
    }
    assert_eq!(finish_all().await, 9);
    // The newest message stays in any case.
    accepted(store, &request(1, "newest"), &LIMITS).await;
    sql.pass(100 * DAY_MS).await;
    for id in &ids[..6] {
        assert_eq!(
            store.retry(TENANT, *id, &LIMITS).await.unwrap(),
            Changed::Yes
        );
    }
    // The six, and the newest.
    assert_eq!(finish_all().await, 7);
    let left = async |statement| {
        let rows = sql.run(statement, vec![]).await.unwrap();
        rows.rows[0][0].clone()
    };
    // Four rows at a time, of which one may go: six that stay stand before the three.
    for _ in 0..12 {
        store.purge(30, 90, 1).await.unwrap();
    }
    let (results, messages) = (
        "SELECT COUNT(*) FROM results",
        "SELECT COUNT(*) FROM Messages",
    );
    assert_eq!(left(results).await, Value::Integer(7));
    assert_eq!(left(messages).await, Value::Integer(7));
    // And once around, when those are old again.
    sql.pass(100 * DAY_MS).await;
    for _ in 0..24 {
        store.purge(30, 90, 1).await.unwrap();
    }
    assert_eq!(left(results).await, Value::Integer(0));
    assert_eq!(left(messages).await, Value::Integer(1));
}

/// A message that is done; the newest one stays in any purge.
async fn finished_and_not_newest<S: Subject>(store: Store<'_, S>) -> MessageId {
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let job = claimed(store).await;
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    accepted(store, &request(2, "b"), &LIMITS).await;
    id
}

/// What may still be sent holds its message, until the account's own endpoint is disabled: that it failed is not enough, nor is what
/// another account's endpoint of that address is.
pub(super) async fn what_an_endpoint_may_still_get_outlasts_a_purge<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    let id = finished_and_not_newest(store).await;
    let callback = store.claim_callbacks(1, "c", 60).await.unwrap().remove(0);
    let attempt = Attempt {
        status: Some(500),
        latency_ms: 5,
        error: None,
    };
    let in_ms = 3 * DAY_MS as u64;
    let next = Next::Retry { in_ms };
    let failed = store.callback_failed(callback.id, callback.lease, &attempt, next, None);
    assert!(failed.await.unwrap());
    let elsewhere =
        "INSERT INTO endpoints (tenant, url, disabled_ms) SELECT 2, url, 5 FROM endpoints";
    sql.run(elsewhere, vec![]).await.unwrap();
    sql.pass(2 * DAY_MS).await;
    let is_kept = async || {
        store.purge(1, 1, 500).await.unwrap();
        store.message(TENANT, id).await.unwrap().is_some()
    };
    assert!(is_kept().await);
    let disabled = "UPDATE endpoints SET disabled_ms = 5 WHERE tenant = 1";
    sql.run(disabled, vec![]).await.unwrap();
    assert!(!is_kept().await);
    let tried = "SELECT COUNT(*) FROM deliveries";
    let tried = sql.run(tried, vec![]).await.unwrap().rows;
    assert_eq!(tried[0][0], Value::Integer(0));
}

pub(super) async fn callbacks_outlast_a_purge<S: Subject>(sql: &S) {
    const DAY_MS: i64 = 86_400_000;
    let store = Store::new(sql);
    let id = finished_and_not_newest(store).await;
    sql.pass(2 * DAY_MS).await;
    store.purge(1, 1, 500).await.unwrap();
    assert_eq!(
        store.claim_callbacks(1, "c", 60).await.unwrap()[0].message_id,
        id,
        "the schedule of a callback is longer than a message is kept"
    );
    sql.pass(3 * DAY_MS).await;
    store.purge(1, 1, 500).await.unwrap();
    assert!(
        store.message(TENANT, id).await.unwrap().is_some(),
        "it is on its way"
    );
    store.rescue_callbacks().await.unwrap();
    store.purge(1, 1, 500).await.unwrap();
    assert!(
        store.message(TENANT, id).await.unwrap().is_none(),
        "after the schedule's time it holds nothing"
    );
}
