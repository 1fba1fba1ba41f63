//! Starts that no claim took, over a real store and a fake web.

use std::time::Duration;

use trawl_core::ids::MessageId;
use trawl_core::state::{Kind, State};
use trawl_store::{QueueLimits, Submitted};

use crate::scrape::{Drained, Html, drain};
use crate::testing::{Reply, World};

const PACED: QueueLimits = QueueLimits {
    tenant_max: 10_000,
    total_max: 10_000,
    host_in_flight_max: 4,
    host_gap_ms: 100,
};

fn submit(world: &World, url: &str) -> MessageId {
    submit_within(world, url, &PACED)
}

fn submit_within(world: &World, url: &str, limits: &QueueLimits) -> MessageId {
    let request = world.request(Kind::Html, url);
    match world.run(world.store().submit(&request, limits)).unwrap() {
        Submitted::Accepted(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Works and lets the clock tick until all of these are done; how often an attempt came too early.
fn done(world: &World, ids: &[MessageId]) -> u32 {
    let mut too_early = 0;
    for _ in 0..600 {
        let drained: Drained = world.run(drain(&world.ports, &Html)).unwrap();
        too_early += drained.released;
        if ids.iter().all(|id| world.state(*id).0 == State::Done) {
            return too_early;
        }
        world.elapse(Duration::from_secs(1));
        world.run(world.store().wake()).unwrap();
    }
    panic!(
        "still {:?}",
        ids.iter().map(|id| world.state(*id)).collect::<Vec<_>>()
    );
}

/// The least time between two requests for pages of a host, in milliseconds.
fn least_gap_ms(world: &World, host: &str) -> u64 {
    let sent = world.ports.http.sent();
    let mut at_ms: Vec<u64> = sent
        .iter()
        .filter(|sent| sent.url.contains(host) && sent.path() != "/robots.txt")
        .map(|sent| sent.at_ms)
        .collect();
    at_ms.sort_unstable();
    at_ms.windows(2).map(|two| two[1] - two[0]).min().unwrap()
}

#[test]
fn pages_that_waited_for_robots_txt_begin_one_after_the_other() {
    for (rules, gap_ms) in [("Crawl-delay: 5", 5_000), ("Allow: /", 100)] {
        let world = World::new(move |sent| match sent.path() {
            "/robots.txt" => {
                Reply::text(format!("User-agent: *\n{rules}\n")).after(Duration::from_millis(600))
            }
            _ => Reply::html("<p>x"),
        });
        let ids: Vec<_> = (0..8)
            .map(|n| submit(&world, &format!("https://a.example/{n}")))
            .collect();
        done(&world, &ids);
        assert!(least_gap_ms(&world, "a.example") >= gap_ms, "{rules}");
        assert_eq!(world.ports.http.sent().len(), 9, "and each once");
        // No attempt was used for it.
        assert!(ids.iter().all(|id| world.message(*id).attempts == 1));
    }
}

#[test]
fn pages_that_are_led_to_one_host_keep_its_pace() {
    for (rules, gap_ms) in [("Crawl-delay: 20", 20_000), ("Allow: /", 100)] {
        let world = World::new(move |sent| match sent.path() {
            "/robots.txt" if sent.url.contains("busy.example") => {
                Reply::text(format!("User-agent: *\n{rules}\n"))
            }
            "/robots.txt" => Reply::status(404),
            _ if sent.url.contains("busy.example") => Reply::html("<p>x"),
            path => Reply::redirect(302, format!("https://busy.example{path}")),
        });
        let mut ids: Vec<_> = (0..12)
            .map(|n| submit(&world, &format!("https://h{n}.example/{n}")))
            .collect();
        // It has pages of its own that wait, too.
        ids.extend((0..3).map(|n| submit(&world, &format!("https://busy.example/own{n}"))));
        let too_early = done(&world, &ids);
        assert!(least_gap_ms(&world, "busy.example") >= gap_ms, "{rules}");
        assert_eq!(too_early > 0, gap_ms > 5_000, "{too_early}");
        assert!(ids.iter().all(|id| world.message(*id).attempts == 1));
    }
}

#[test]
fn a_host_that_asks_for_long_pauses_may_lead_on_within_itself() {
    let world = World::new(|sent| match sent.path() {
        "/robots.txt" => Reply::text("User-agent: *\nCrawl-delay: 20\n"),
        "/first" if sent.url.contains("other.example") => {
            Reply::redirect(302, "https://other.example/second")
        }
        "/second" => Reply::html("<p>x"),
        _ => Reply::redirect(302, "https://other.example/first"),
    });
    let ids: Vec<_> = (0..3)
        .map(|n| submit(&world, &format!("https://h{n}.example/")))
        .collect();
    done(&world, &ids);
    let sent = world.ports.http.sent();
    let mut at_ms: Vec<u64> = sent
        .iter()
        .filter(|sent| sent.path() == "/first")
        .map(|sent| sent.at_ms)
        .collect();
    at_ms.sort_unstable();
    assert_eq!(at_ms.len(), 3, "none was asked for in vain");
    assert!(at_ms.windows(2).all(|two| two[1] - two[0] >= 20_000));
}

#[test]
fn no_more_are_led_to_a_host_at_once_than_it_may_have() {
    let world = World::without_robots(|sent| match sent.path() {
        path if sent.url.contains("slow.example") => {
            Reply::html(path.to_owned()).after(Duration::from_secs(3))
        }
        path => Reply::redirect(302, format!("https://slow.example{path}")),
    });
    let ids: Vec<_> = (0..10)
        .map(|n| submit(&world, &format!("https://h{n}.example/{n}")))
        .collect();
    done(&world, &ids);
    assert_eq!(world.ports.http.open_max(), 4);
}

/// The most pages of a host that were under way at once, when each takes so long.
fn most_at_once(world: &World, host: &str, took_ms: u64) -> usize {
    let sent = world.ports.http.sent();
    let began = sent
        .iter()
        .filter(|sent| sent.url.contains(host) && sent.path() != "/robots.txt");
    let began: Vec<u64> = began.map(|sent| sent.at_ms).collect();
    let during = |at_ms: u64| {
        began
            .iter()
            .filter(move |of| (**of..**of + took_ms).contains(&at_ms))
    };
    began
        .iter()
        .map(|at_ms| during(*at_ms).count())
        .max()
        .unwrap()
}

/// As many as the configuration says, or an operator, or one where the rules ask for pauses.
#[test]
fn what_a_host_may_have_at_once_is_its_own_matter() {
    for (rules, configured, operated, most) in [
        ("Allow: /", 2, None, 2),
        ("Allow: /", 2, Some(6), 6),
        ("Allow: /", 6, Some(1), 1),
        ("Crawl-delay: 0.5", 6, None, 1),
    ] {
        let world = World::new(move |sent| match sent.path() {
            "/robots.txt" => Reply::text(format!("User-agent: *\n{rules}\n")),
            path if sent.url.contains("slow.example") => {
                Reply::html(path.to_owned()).after(Duration::from_secs(2))
            }
            path => Reply::redirect(302, format!("https://slow.example{path}")),
        });
        let limits = QueueLimits {
            host_in_flight_max: configured,
            ..PACED
        };
        if let Some(in_flight_max) = operated {
            let store = world.store();
            let pace = store.set_host_pace("slow.example", 100, in_flight_max, "operator");
            world.run(pace).unwrap();
        }
        let ids: Vec<_> = (0..10)
            .map(|n| submit_within(&world, &format!("https://h{n}.example/{n}"), &limits))
            .collect();
        done(&world, &ids);
        let at_once = most_at_once(&world, "slow.example/", 2_000);
        assert_eq!(at_once, most, "{rules} {configured} {operated:?}");
    }
}
