use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use trawl_core::ids::MessageId;
use trawl_core::state::{CallbackStatus, Kind};
use trawl_core::webhook_signature::sign;

use super::{Delivered, deliver};
use crate::ports::{Clock as _, Purpose, SendError};
use crate::scrape::{Html, drain};
use crate::testing::{Reply, Sent, World};

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
    let (world, ids) = finished(1, |_| {
        Reply::status(200)
            .after(Duration::from_secs(14))
            .body_after(Duration::from_secs(9), "x")
    });
    let started_ms = world.ports.clock.elapsed_ms();
    world.run(deliver(&world.ports)).unwrap();
    assert!((15_000..16_000).contains(&(world.ports.clock.elapsed_ms() - started_ms)));
    assert_eq!(status(&world, ids[0]), CallbackStatus::Pending);
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
    world.ports.variables.set("stopping", "");
    assert_eq!(world.run(deliver(&world.ports)).unwrap().delivered, 1);
}

#[test]
fn an_empty_outbox_costs_one_read() {
    let world = World::without_robots(|_| Reply::html("x"));
    world.run(deliver(&world.ports)).unwrap();
    assert_eq!(world.ports.sql.statements().len(), 1);
}
