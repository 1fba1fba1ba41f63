use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::callback::ANSWER_BYTES_MAX;
use trawl_core::state::{CallbackStatus, Kind};
use trawl_core::webhook_signature::sign;
use trawl_store::sql::Sql as _;
use trawl_store::{Changed, Created, QueueLimits, Registration, Submitted};

use super::{Delivered, deliver};
use crate::ports::{Clock as _, Purpose, SendError};
use crate::scrape::{Html, Text, drain};
use crate::testing::{LIMITS, Reply, Sent, World};

/// A world with `count` finished messages whose callbacks wait; the endpoint answers with `endpoint`.
fn finished(count: usize, endpoint: impl Fn(&Sent) -> Reply + 'static) -> (World, Vec<MessageId>) {
    let world = World::without_robots(move |sent| {
        if sent.purpose == Purpose::Callback {
            endpoint(sent)
        } else {
            Reply::html("<p>x</p>")
        }
    });
    let ids = (0..count)
        .map(|n| world.submit_url(Kind::Html, &format!("https://h{n}.example/")))
        .collect();
    world.run(drain(&world.ports, &Html)).unwrap();
    (world, ids)
}

fn callbacks(world: &World) -> Vec<Sent> {
    world
        .ports
        .http
        .sent()
        .into_iter()
        .filter(|sent| sent.purpose == Purpose::Callback)
        .collect()
}

fn status(world: &World, id: MessageId) -> CallbackStatus {
    world.message(id).callback_status
}

#[test]
fn a_callback_is_signed_and_delivered_once() {
    let (world, ids) = finished(1, |_| Reply::status(204));
    let delivered = world.run(deliver(&world.ports)).unwrap();
    assert_eq!(
        delivered,
        Delivered {
            delivered: 1,
            ..Delivered::default()
        }
    );
    assert_eq!(status(&world, ids[0]), CallbackStatus::Delivered);
    let sent = callbacks(&world);
    assert_eq!(
        (sent.len(), sent[0].method.as_str(), sent[0].url.as_str()),
        (1, "POST", "https://node.example/hook")
    );
    let secrets = world
        .run(world.store().webhook_secrets(world.account, &[0; 32]))
        .unwrap();
    let timestamp = sent[0]
        .header("webhook-timestamp")
        .unwrap()
        .parse()
        .unwrap();
    let id = sent[0].header("webhook-id").unwrap();
    let expected = sign([secrets.current.as_slice()], id, timestamp, &sent[0].body).unwrap();
    assert_eq!(sent[0].header("webhook-signature"), Some(expected.as_str()));
    assert_eq!(
        world.run(deliver(&world.ports)).unwrap(),
        Delivered::default()
    );
}

#[test]
fn what_cannot_be_recorded_uses_no_attempt() {
    for answer in [204, 500] {
        let (world, ids) = finished(1, move |_| Reply::status(answer));
        world.ports.sql.refuse(Some("INSERT INTO deliveries"));
        // More often than the schedule has attempts.
        for _ in 0..11 {
            assert!(world.run(deliver(&world.ports)).is_err());
            world.elapse(Duration::from_secs(70));
            world.run(world.store().rescue_callbacks()).unwrap();
            world.run(world.store().wake()).unwrap();
        }
        assert_eq!(status(&world, ids[0]), CallbackStatus::Pending, "{answer}");
        world.ports.sql.refuse(None);
        world.run(deliver(&world.ports)).unwrap();
        let told = world
            .run(world.store().deliveries(world.account, ids[0]))
            .unwrap();
        assert_eq!(told.map(|told| told.len()), Some(1));
    }
}

/// What the operator says outranks what the host found out; without either a link is a path.
#[test]
fn a_link_begins_with_the_address_that_is_known() {
    let result_url = |set: &[(&'static str, &'static str)]| {
        let (world, ids) = finished(1, |_| Reply::status(204));
        for (name, value) in set {
            world.ports.variables.set(name, value);
        }
        world.run(deliver(&world.ports)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&callbacks(&world)[0].body).unwrap();
        let path = format!("/messages/{}/result", ids[0]);
        let url = body["result_url"].as_str().unwrap();
        url.strip_suffix(&path).unwrap().to_owned()
    };
    let [public, listen] = [
        ("public_url", "https://a.example/"),
        ("listen_url", "http://127.0.0.1:3000"),
    ];
    assert_eq!(result_url(&[]), "");
    assert_eq!(result_url(&[listen]), "http://127.0.0.1:3000");
    assert_eq!(result_url(&[listen, public]), "https://a.example");
}

/// No connection was free: the endpoint, which was not even asked, must lose nothing of its schedule.
#[test]
fn a_limit_of_ours_is_not_held_against_the_endpoint() {
    let was_full = Cell::new(false);
    let (world, ids) = finished(1, move |_| match was_full.replace(true) {
        false => Reply::failure(SendError::Busy),
        true => Reply::status(204),
    });
    let delivered = world.run(deliver(&world.ports)).unwrap();
    assert_eq!(
        (delivered.released, delivered.failed, delivered.delivered),
        (1, 0, 1)
    );
    let told = world
        .run(world.store().deliveries(world.account, ids[0]))
        .unwrap()
        .unwrap();
    assert_eq!((told.len(), told[0].status), (1, Some(204)));
    let attempts = "SELECT attempt FROM callbacks";
    assert_eq!(world.ports.sql.number(attempts), 1);
}

/// An account that never asked for its secret gets one with its first callback, which is a write.
#[test]
fn a_secret_that_cannot_be_made_uses_no_attempt() {
    let (world, ids) = finished(1, |_| Reply::status(204));
    world.ports.sql.refuse(Some("SET webhook_secret"));
    for _ in 0..11 {
        assert!(world.run(deliver(&world.ports)).is_err());
        world.elapse(Duration::from_secs(70));
        world.run(world.store().rescue_callbacks()).unwrap();
        world.run(world.store().wake()).unwrap();
    }
    assert!(callbacks(&world).is_empty());
    assert_eq!(status(&world, ids[0]), CallbackStatus::Pending);
    world.ports.sql.refuse(None);
    let attempts = "SELECT attempt FROM callbacks";
    assert_eq!(world.ports.sql.number(attempts), 0);
    assert_eq!(world.run(deliver(&world.ports)).unwrap().delivered, 1);
}

#[test]
fn a_database_that_is_busy_for_a_moment_makes_the_secret_later() {
    let (world, ids) = finished(1, |_| Reply::status(204));
    world.ports.sql.fail_when("SET webhook_secret", 3);
    assert_eq!(world.run(deliver(&world.ports)).unwrap().delivered, 1);
    assert_eq!(status(&world, ids[0]), CallbackStatus::Delivered);
}

#[test]
fn deliveries_share_statements() {
    let (world, ids) = finished(40, |sent| {
        Reply::status(200).after(Duration::from_millis(10 + sent.body.len() as u64 % 3))
    });
    let _ = world.ports.sql.statements();
    let mut delivered = 0;
    while delivered < ids.len() as u32 {
        let round = world.run(deliver(&world.ports)).unwrap();
        assert!(round.delivered > 0, "{delivered} of {}", ids.len());
        delivered += round.delivered;
    }
    let statements = world.ports.sql.statements();
    let recording = statements
        .iter()
        .filter(|statement| statement.contains("INTO deliveries"))
        .count();
    assert!((3..=20).contains(&recording), "{recording}");
    for id in ids {
        assert_eq!(status(&world, id), CallbackStatus::Delivered);
        let log = world.run(world.store().deliveries(world.account, id));
        assert_eq!(log.unwrap().unwrap().len(), 1);
    }
}

/// It failed, was asked for again and is done: both callbacks are on their way at once, and no statement records both.
#[test]
fn two_callbacks_of_one_message_are_recorded_all_the_same() {
    let is_there = Rc::new(Cell::new(false));
    let page = Rc::clone(&is_there);
    let world = World::without_robots(move |sent| match sent.purpose {
        Purpose::Callback => Reply::status(200),
        _ if page.get() => Reply::html("<p>x</p>"),
        _ => Reply::status(404),
    });
    let id = world.submit_url(Kind::Html, "https://a.example/");
    world.run(drain(&world.ports, &Html)).unwrap();
    is_there.set(true);
    let again = world.run(world.store().retry(world.account, id, &LIMITS));
    assert_eq!(again.unwrap(), Changed::Yes);
    world.run(drain(&world.ports, &Html)).unwrap();
    let round = world.run(deliver(&world.ports)).unwrap();
    assert_eq!((round.delivered, round.stale), (2, 0));
    let log = world.run(world.store().deliveries(world.account, id));
    assert_eq!(log.unwrap().unwrap().len(), 2);
}

#[test]
fn a_failed_attempt_comes_again_with_the_same_id() {
    let answers = Rc::new(RefCell::new(vec![
        Reply::status(200),
        Reply::redirect(302, "https://elsewhere.example/"),
        Reply::failure(SendError::Dns),
        Reply::status(500),
    ]));
    let (world, ids) = finished(1, move |_| {
        answers
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Reply::status(200))
    });
    let mut rounds = 0;
    while status(&world, ids[0]) != CallbackStatus::Delivered {
        rounds += 1;
        assert!(rounds < 40, "never delivered");
        world.run(deliver(&world.ports)).unwrap();
        world.elapse(Duration::from_secs(400));
        world.run(world.store().wake()).unwrap();
    }
    let sent = callbacks(&world);
    assert_eq!(sent.len(), 4, "a redirect is a failure and is not followed");
    assert!(
        sent.iter()
            .all(|one| one.header("webhook-id") == sent[0].header("webhook-id"))
    );
    assert_ne!(
        sent[0].header("webhook-timestamp"),
        sent[3].header("webhook-timestamp")
    );
    let log = world
        .run(world.store().deliveries(world.account, ids[0]))
        .unwrap()
        .unwrap();
    let mut statuses: Vec<_> = log.iter().map(|delivery| delivery.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [None, Some(200), Some(302), Some(500)]);
}

#[test]
fn gone_endpoints_get_nothing_more() {
    let (world, ids) = finished(6, |_| Reply::status(410));
    world.run(deliver(&world.ports)).unwrap();
    world.elapse(Duration::from_secs(90_000));
    world.run(world.store().wake()).unwrap();
    world.run(deliver(&world.ports)).unwrap();
    assert!(
        callbacks(&world).len() <= 4,
        "four were in flight when the first 410 came"
    );
    assert!(
        ids.iter()
            .all(|id| status(&world, *id) == CallbackStatus::Disabled)
    );
}

#[test]
fn a_silent_endpoint_costs_fifteen_seconds_and_one_slot() {
    let (world, ids) = finished(1, |_| Reply::status(200).after(Duration::from_secs(60)));
    let started_ms = world.ports.clock.elapsed_ms();
    world.run(deliver(&world.ports)).unwrap();
    assert!((15_000..16_000).contains(&(world.ports.clock.elapsed_ms() - started_ms)));
    assert_eq!(status(&world, ids[0]), CallbackStatus::Pending);
}

/// The endpoint said that it has the callback. How the body goes on costs the attempt its time, and no second delivery.
#[test]
fn the_head_of_an_answer_counts_however_its_body_ends() {
    let drip = |reply: Reply| {
        (0..100).fold(reply, |reply, _| {
            reply.body_after(Duration::from_secs(4), "x")
        })
    };
    for (reply, wanted, took_ms) in [
        (drip(Reply::status(200)), CallbackStatus::Delivered, 15_000),
        (
            drip(Reply::status(204).after(Duration::from_secs(14))),
            CallbackStatus::Delivered,
            15_000,
        ),
        (drip(Reply::status(410)), CallbackStatus::Disabled, 15_000),
        (drip(Reply::status(500)), CallbackStatus::Pending, 15_000),
        (
            Reply::status(200).broken(SendError::Lost("x".to_owned())),
            CallbackStatus::Delivered,
            0,
        ),
    ] {
        let served = reply.clone();
        let (world, ids) = finished(1, move |_| reply.clone());
        let started_ms = world.ports.clock.elapsed_ms();
        world.run(deliver(&world.ports)).unwrap();
        let ran_ms = world.ports.clock.elapsed_ms() - started_ms;
        assert!(
            (took_ms..took_ms + 1_000).contains(&ran_ms),
            "{served:?}: {ran_ms} ms"
        );
        assert_eq!(status(&world, ids[0]), wanted, "{served:?}");
        let log = world.run(world.store().deliveries(world.account, ids[0]));
        let log = log.unwrap().unwrap();
        assert!(log.len() == 1 && log[0].status.is_some(), "{log:?}");
    }
}

#[test]
fn many_callbacks_go_out_at_once_but_four_to_an_endpoint() {
    let (world, ids) = finished(12, |_| Reply::status(200).after(Duration::from_millis(500)));
    let delivered = world.run(deliver(&world.ports)).unwrap();
    assert_eq!(delivered.delivered, 12);
    assert!(
        ids.iter()
            .all(|id| status(&world, *id) == CallbackStatus::Delivered)
    );
    let at: Vec<_> = callbacks(&world);
    assert_eq!(at.len(), 12);
}

#[test]
fn refused_addresses_are_given_up_without_a_request() {
    let world = World::without_robots(|_| Reply::html("x"));
    let mut request = world.request(Kind::Html, "https://a.example/");
    request.callback_url = Some("http://169.254.169.254/latest".to_owned());
    let id = world.submit(&request);
    world.run(drain(&world.ports, &Html)).unwrap();
    world.run(deliver(&world.ports)).unwrap();
    assert!(callbacks(&world).is_empty());
    assert_eq!(status(&world, id), CallbackStatus::Failed);
}

#[test]
fn a_stop_gives_back_what_was_not_answered() {
    let (world, ids) = finished(1, |_| Reply::status(200).after(Duration::from_secs(14)));
    let stop = async {
        world.ports.clock.sleep(Duration::from_millis(300)).await;
        world.ports.variables.set("stopping", "1");
    };
    let (delivered, ()) = world.run(async { futures::join!(deliver(&world.ports), stop) });
    let delivered = delivered.unwrap();
    assert_eq!((delivered.released, delivered.delivered), (1, 0));
    assert_eq!(status(&world, ids[0]), CallbackStatus::Pending);
    assert_eq!(
        world.run(deliver(&world.ports)).unwrap(),
        Delivered::default(),
        "nothing is claimed any more"
    );
    world.ports.variables.set("stopping", "0");
    assert_eq!(world.run(deliver(&world.ports)).unwrap().delivered, 1);
}

#[test]
fn a_short_lease_is_renewed_while_the_endpoint_is_slow() {
    let (world, ids) = finished(1, |_| Reply::status(204).after(Duration::from_secs(14)));
    world.ports.variables.set("lease_seconds", "3");
    let sweeps = async {
        for _ in 0..14 {
            world.ports.clock.sleep(Duration::from_secs(1)).await;
            world.store().rescue_callbacks().await.unwrap();
        }
    };
    let (delivered, ()) = world.run(async { futures::join!(deliver(&world.ports), sweeps) });
    assert_eq!(delivered.unwrap().delivered, 1);
    assert_eq!(status(&world, ids[0]), CallbackStatus::Delivered);
    assert_eq!(callbacks(&world).len(), 1);
}

/// What an endpoint that says 503 asks for holds for all of its callbacks.
#[test]
fn an_endpoint_that_says_not_now_gets_nothing_for_a_while() {
    let (world, ids) = finished(3, |_| Reply::status(503).header("retry-after", "600"));
    world.run(deliver(&world.ports)).unwrap();
    assert_eq!(callbacks(&world).len(), 3);
    let later = world.submit_url(Kind::Html, "https://later.example/");
    world.run(drain(&world.ports, &Html)).unwrap();
    for elapsed_s in [60, 500] {
        world.elapse(Duration::from_secs(elapsed_s));
        world.run(world.store().wake()).unwrap();
        world.run(deliver(&world.ports)).unwrap();
        assert_eq!(callbacks(&world).len(), 3, "within its ten minutes");
    }
    world.elapse(Duration::from_secs(120));
    world.run(world.store().wake()).unwrap();
    world.run(deliver(&world.ports)).unwrap();
    assert!(callbacks(&world).len() > 3);
    assert_eq!(status(&world, ids[0]), CallbackStatus::Pending);
    assert_eq!(status(&world, later), CallbackStatus::Pending);
}

/// Receivers may check with the secret before for a day after it was rotated.
#[test]
fn the_secret_before_signs_too() {
    let (world, _) = finished(1, |_| Reply::status(204));
    let (account, store) = (world.account, world.store());
    let (before, after) = ([1; 32], [2; 32]);
    world.run(store.webhook_secrets(account, &before)).unwrap();
    world
        .run(store.rotate_webhook_secret(account, &after))
        .unwrap();
    assert_eq!(world.run(deliver(&world.ports)).unwrap().delivered, 1);
    let sent = callbacks(&world).remove(0);
    let header = |name| sent.header(name).unwrap();
    let timestamp_s = header("webhook-timestamp").parse().unwrap();
    let secrets = [&after[..], &before[..]];
    let wanted = sign(secrets, header("webhook-id"), timestamp_s, &sent.body);
    assert_eq!(header("webhook-signature"), wanted.unwrap());
}

/// The record has waited for a busy database since before the stop: it must not end with the tasks.
#[test]
fn a_stop_records_what_was_about_to_be_recorded() {
    let (world, ids) = finished(1, |_| Reply::status(204).after(Duration::from_secs(7)));
    let stop = async {
        world.ports.clock.sleep(Duration::from_millis(300)).await;
        world.ports.variables.set("stopping", "1");
        // Busy from before the answer until shortly before the worker breaks off, after tries at 7.0, 7.1, 7.3, 7.7, 8.5 and 10.1 s.
        world.ports.clock.sleep(Duration::from_millis(6_200)).await;
        world.ports.sql.fail_next(u32::MAX);
        world.ports.clock.sleep(Duration::from_millis(4_000)).await;
        world.ports.sql.fail_next(0);
    };
    let (delivered, ()) = world.run(async { futures::join!(deliver(&world.ports), stop) });
    assert_eq!(delivered.unwrap().delivered, 1);
    assert_eq!(status(&world, ids[0]), CallbackStatus::Delivered);
    assert_eq!(callbacks(&world).len(), 1);
    let ended_ms = world.ports.clock.elapsed_ms();
    assert!(ended_ms < 12_500, "before the next try: {ended_ms} ms");
}

/// Its lease ran out, and the same worker has claimed it again.
#[test]
fn a_callback_held_again_outlasts_the_end_of_its_first_attempt() {
    let posts = Rc::new(Cell::new(0));
    let (world, ids) = finished(1, move |_| {
        posts.set(posts.get() + 1);
        Reply::status(204).after(Duration::from_secs(if posts.get() == 1 { 3 } else { 12 }))
    });
    let lose = async {
        world.ports.clock.sleep(Duration::from_millis(500)).await;
        let lost = "UPDATE callbacks SET lease_until = 1 WHERE state = 'processing'";
        world.ports.sql.run(lost, Vec::new()).await.unwrap();
        world.store().rescue_callbacks().await.unwrap();
    };
    let (delivered, ()) = world.run(async { futures::join!(deliver(&world.ports), lose) });
    let delivered = delivered.unwrap();
    assert_eq!((delivered.delivered, delivered.stale), (1, 1));
    assert_eq!(status(&world, ids[0]), CallbackStatus::Delivered);
}

#[test]
fn an_empty_outbox_costs_one_read() {
    let world = World::without_robots(|_| Reply::html("x"));
    world.run(deliver(&world.ports)).unwrap();
    assert_eq!(world.ports.sql.statements().len(), 1);
}

/// How the dead endpoint of [`an_endpoint_down_for_a_day`] answers.
#[derive(Clone, Copy)]
enum Dead {
    Refuses,
    Stalls,
    Overloaded,
    Alive,
}

/// The other account.
async fn neighbour(world: &World) -> AccountId {
    let store = world.store();
    let name = "b@example.org";
    if let Some(account) = store.account_by_email_key(name).await.unwrap() {
        return account.id;
    }
    match store
        .create_account(name, name, "hash", Registration::Open)
        .await
        .unwrap()
    {
        Created::Account(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Submits a page of another account, scrapes it, and says how long after its end the account was called back.
async fn neighbours_wait_ms(world: &World, number: u32) -> i64 {
    let mut request = world.request(Kind::Text, &format!("https://n{number}.example/"));
    request.tenant = neighbour(world).await;
    request.callback_url = Some("https://neighbour.example/hook".to_owned());
    let limits = QueueLimits {
        tenant_max: 10_000,
        total_max: 10_000,
        host_in_flight_max: 4,
        host_gap_ms: 0,
    };
    let Submitted::Accepted(id) = world.store().submit(&request, &limits).await.unwrap() else {
        panic!("the page of a neighbour was refused");
    };
    drain(&world.ports, &Text).await.unwrap();
    let log = loop {
        let log = world.store().deliveries(request.tenant, id).await.unwrap();
        if let Some(first) = log.unwrap().first() {
            break first.clone();
        }
        world.ports.clock.sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(log.status, Some(204));
    let message = world.store().message(request.tenant, id).await.unwrap();
    log.at_ms - message.unwrap().date_process_complete.unwrap()
}

/// An endpoint that goes on sending has said what counts, and holds its place no longer than it takes to read a little of it.
#[test]
fn an_answer_without_an_end_is_not_read_to_it() {
    let (world, ids) = finished(1, |_| {
        Reply::status(204)
            .body_after(Duration::ZERO, vec![b'x'; ANSWER_BYTES_MAX])
            .body_after(Duration::from_secs(10), "x")
    });
    let began_ms = world.ports.clock.monotonic_ms();
    world.run(deliver(&world.ports)).unwrap();
    assert_eq!(status(&world, ids[0]), CallbackStatus::Delivered);
    let log = world.run(world.store().deliveries(world.account, ids[0]));
    let sent = &log.unwrap().unwrap()[0];
    assert!(sent.latency_ms < 1_000, "{} ms", sent.latency_ms);
    assert!(world.ports.clock.monotonic_ms() - began_ms < 10_000);
}

/// The endpoint is down for a day, in each of the ways in which endpoints are down. Nothing is lost, every repeat has its id, and
/// a neighbour is called back as soon as ever.
#[test]
fn an_endpoint_down_for_a_day() {
    let state = Rc::new(Cell::new(Dead::Refuses));
    let now = Rc::clone(&state);
    let (world, ids) = finished(200, move |sent| match (sent.url.as_str(), state.get()) {
        ("https://neighbour.example/hook", _) | (_, Dead::Alive) => Reply::status(204),
        (_, Dead::Refuses) => Reply::failure(SendError::Connect("refused".to_owned())),
        (_, Dead::Stalls) => Reply::status(204).after(Duration::from_secs(60)),
        (_, Dead::Overloaded) => Reply::status(503).header("retry-after", "600"),
    });
    let mut waits_ms = Vec::new();
    for minute in 0..24 * 60 {
        now.set([Dead::Refuses, Dead::Stalls, Dead::Overloaded][minute as usize / 480]);
        world.run(world.store().wake()).unwrap();
        if minute % 30 == 0 {
            let beside = async {
                world.ports.clock.sleep(Duration::from_secs(2)).await;
                // The worker that the ring for it starts, beside the one that is at the dead endpoint or has given up.
                let wait = neighbours_wait_ms(&world, minute);
                futures::join!(wait, async {
                    world.ports.clock.sleep(Duration::from_millis(50)).await;
                    deliver(&world.ports).await.unwrap();
                })
                .0
            };
            let (delivered, wait_ms) =
                world.run(async { futures::join!(deliver(&world.ports), beside) });
            delivered.unwrap();
            waits_ms.push(wait_ms);
        } else {
            world.run(deliver(&world.ports)).unwrap();
        }
        world.elapse(Duration::from_secs(60));
    }
    let slowest_ms = waits_ms.iter().max().copied().unwrap();
    assert_eq!(waits_ms.len(), 48);
    assert!(slowest_ms <= 200, "a neighbour waited {slowest_ms} ms");
    assert!(
        ids.iter()
            .all(|id| status(&world, *id) == CallbackStatus::Pending),
        "kept, all of them"
    );
    now.set(Dead::Alive);
    let mut hours = 0;
    while ids
        .iter()
        .any(|id| status(&world, *id) != CallbackStatus::Delivered)
    {
        hours += 1;
        assert!(hours < 48, "never delivered after the endpoint came back");
        world.elapse(Duration::from_secs(3_600));
        world.run(world.store().wake()).unwrap();
        world.run(deliver(&world.ports)).unwrap();
    }
    for id in ids {
        let log = world.run(world.store().deliveries(world.account, id));
        let log = log.unwrap().unwrap();
        assert!(log.len() > 1 && log.iter().all(|one| one.webhook_id == log[0].webhook_id));
        assert_eq!(
            log.iter().filter(|one| one.status == Some(204)).count(),
            1,
            "delivered once"
        );
    }
}

/// An account whose endpoints answer nobody, each at an address of its own, has every usual slot.
#[test]
fn an_account_with_many_dead_endpoints_keeps_no_place_from_another() {
    let world = World::without_robots(|sent| match sent.purpose {
        Purpose::Callback if sent.url.contains("dead") => {
            Reply::status(204).after(Duration::from_secs(60))
        }
        Purpose::Callback => Reply::status(204),
        _ => Reply::html("<p>x</p>"),
    });
    for n in 0..300 {
        let mut request = world.request(Kind::Html, &format!("https://h{n}.example/"));
        request.callback_url = Some(format!("https://dead{n}.example/hook"));
        world.submit(&request);
    }
    world.run(drain(&world.ports, &Html)).unwrap();
    let beside = async {
        world.ports.clock.sleep(Duration::from_secs(5)).await;
        neighbours_wait_ms(&world, 0).await
    };
    let (delivered, wait_ms) = world.run(async { futures::join!(deliver(&world.ports), beside) });
    delivered.unwrap();
    assert!(wait_ms <= 150, "the neighbour waited {wait_ms} ms");
}
