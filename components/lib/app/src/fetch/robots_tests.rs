//! The gate over a real store and a fake web, in virtual time.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use trawl_core::ids::MessageId;
use trawl_core::limits::queue::RETRY_AFTER_MS_MAX;
use trawl_core::limits::robots::FRESH_MS;
use trawl_core::limits::scrape::YIELD_AFTER_MS;
use trawl_core::state::{Kind, State};

use super::*;
use crate::ports::SendError;
use crate::scrape::{Html, drain};
use crate::testing::{Reply, Sent, World};

/// A world whose robots.txt is what `serve` answers, given how often it was asked before; every other page is there.
fn world(serve: impl Fn(&Sent, u32) -> Reply + 'static) -> World {
    let asked = Cell::new(0);
    World::new(move |sent| match sent.path() {
        "/robots.txt" => serve(sent, asked.replace(asked.get() + 1)),
        _ => Reply::html("<p>x"),
    })
}

fn scrape(world: &World, url: &str) -> MessageId {
    let id = world.submit_url(Kind::Html, url);
    world.run(drain(&world.ports, &Html)).unwrap();
    id
}

/// Until every copy of a robots.txt is too old.
fn expire(world: &World) {
    world.elapse(Duration::from_millis(FRESH_MS as u64 + 1_000));
}

#[test]
fn a_crawler_is_called_by_its_own_name() {
    for (user_agent, name) in [
        ("trawl/0.1.0 (+https://trawl.example)", "trawl"),
        ("News_Fetch-x/1.0", "News_Fetch-x"),
        (
            "Mozilla/5.0 (compatible; NewsFetch/1.0; +https://news.example/bot)",
            "NewsFetch",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Mozilla"),
        ("Mozilla/5.0 (compatible; +https://news.example)", "Mozilla"),
        ("NewsFetch/1.0 (compatible; Other/2.0)", "NewsFetch"),
        ("", "trawl"),
        ("1/2", "trawl"),
    ] {
        assert_eq!(product_token(user_agent), name, "{user_agent}");
    }
}

/// One that is overloaded says 5xx to everything, whether or not it has a robots.txt.
#[test]
fn a_host_without_robots_txt_is_left_alone_once_it_fails() {
    let world = world(|_, asked| match asked {
        0 => Reply::status(404),
        1 => Reply::status(503),
        _ => Reply::status(404),
    });
    let first = scrape(&world, "https://a.example/");
    assert_eq!(world.state(first).0, State::Done);
    expire(&world);
    let id = scrape(&world, "https://a.example/again");
    let refused = (State::Queued, Some("robots_unreachable".to_owned()));
    assert_eq!(world.state(id), refused);
    world.elapse(Duration::from_millis(ASKED_AGAIN_MS_MIN as u64));
    world.run(world.store().wake()).unwrap();
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(world.state(id), (State::Done, None));
}

fn paced(world: &World, condition: &str) -> i64 {
    let sql = &world.ports.sql;
    sql.number(&format!(
        "SELECT COUNT(*) FROM hosts WHERE host = 'a.example' AND {condition}"
    ))
}

#[test]
fn a_pace_ends_when_robots_txt_asks_for_it_no_more() {
    let without = [
        Reply::text("User-agent: *\nDisallow: /x\n"),
        Reply::status(404),
    ];
    for without in without {
        let world = world(move |_, asked| match asked {
            0 => Reply::text("User-agent: *\nCrawl-delay: 7\n"),
            _ => without.clone(),
        });
        scrape(&world, "https://a.example/");
        assert_eq!(paced(&world, "gap_ms = 7000 AND in_flight_max = 1"), 1);
        expire(&world);
        let id = scrape(&world, "https://a.example/");
        assert_eq!(world.state(id).0, State::Done);
        assert_eq!(paced(&world, "gap_ms IS NOT NULL"), 0);
        assert_eq!(paced(&world, "in_flight_max IS NOT NULL"), 0);
    }
}

#[test]
fn a_pace_stays_while_it_is_asked_for_or_nobody_answers() {
    for later in [
        Reply::text("User-agent: *\nCrawl-delay: 7\n"),
        Reply::status(500),
    ] {
        let world = world(move |_, asked| match asked {
            0 => Reply::text("User-agent: *\nCrawl-delay: 7\n"),
            _ => later.clone(),
        });
        scrape(&world, "https://a.example/");
        expire(&world);
        scrape(&world, "https://a.example/");
        assert_eq!(paced(&world, "gap_ms = 7000"), 1);
    }
}

/// Whoever reads the rules tells the queue of the pace, also when a redirect led there; and what was read is not asked for again.
#[test]
fn a_host_that_a_redirect_met_first_is_paced_from_then_on() {
    let world = World::new(|sent| match (sent.url.as_str(), sent.path()) {
        ("https://a.example/robots.txt", _) => Reply::text("User-agent: *\nCrawl-delay: 7\n"),
        (_, "/robots.txt") => Reply::status(404),
        ("https://before.example/", _) => Reply::redirect(302, "https://a.example/x"),
        _ => Reply::html("<p>x"),
    });
    let id = scrape(&world, "https://before.example/");
    assert_eq!(world.state(id).0, State::Done);
    assert_eq!(paced(&world, "gap_ms = 7000 AND in_flight_max = 1"), 1);
    world.elapse(Duration::from_secs(7));
    let id = scrape(&world, "https://a.example/");
    assert_eq!(world.state(id).0, State::Done);
    let asked = world.ports.http.urls();
    let asked = asked
        .iter()
        .filter(|url| *url == "https://a.example/robots.txt");
    assert_eq!(asked.count(), 1);
}

/// Else a few messages, whose pages redirect through hosts with long texts, fill the memory of an instance and end it with all that is
/// in flight there.
#[test]
fn what_is_remembered_of_many_hosts_is_bounded_in_bytes() {
    let text = format!("User-agent: *\n{}", "Allow:/\n".repeat(60_000));
    let world = world(move |_, _| Reply::text(text.clone()));
    world.run(async {
        let settings = ScraperSettings::read(&world.ports).await;
        let gate = RobotsGate::new(&world.ports, &settings, Rc::new(Turns::new()));
        let mut most = 0;
        for host in 0..60 {
            let url = Url::parse(&format!("https://h{host}.example/")).unwrap();
            gate.check(&url, "a host").await.unwrap();
            gate.keep_found().await.unwrap();
            most = most.max(gate.remembered_bytes());
        }
        assert!((REMEMBERED_BYTES_MAX / 2..=REMEMBERED_BYTES_MAX).contains(&most));
        // What was forgotten is known from the database.
        let asked = world.ports.http.urls().len();
        let url = Url::parse("https://h0.example/").unwrap();
        gate.check(&url, "a.example").await.unwrap();
        assert_eq!(world.ports.http.urls().len(), asked);
    });
}

/// A chain of redirects asks slow rules on each hop: the attempts and leases of others have their turn in between.
#[test]
fn others_run_between_two_verdicts() {
    let world = world(|_, _| Reply::text("User-agent: *\nDisallow: /x\n"));
    let url = Url::parse("https://a.example/").unwrap();
    world.run(async {
        let settings = ScraperSettings::read(&world.ports).await;
        let gate = RobotsGate::new(&world.ports, &settings, Rc::new(Turns::new()));
        let clock = &world.ports.clock;
        let before = clock.yields();
        for _ in 0..10 {
            clock.advance(Duration::from_millis(YIELD_AFTER_MS));
            gate.check(&url, "a.example").await.unwrap();
        }
        assert!(clock.yields() >= before + 10);
    });
}

#[test]
fn rules_in_memory_set_the_pace_once() {
    let world = world(|_, _| Reply::text("User-agent: *\nCrawl-delay: 7\n"));
    let url = Url::parse("https://a.example/").unwrap();
    world.run(async {
        let settings = ScraperSettings::read(&world.ports).await;
        let gate = RobotsGate::new(&world.ports, &settings, Rc::new(Turns::new()));
        for _ in 0..4 {
            gate.check(&url, "a.example").await.unwrap();
        }
    });
    assert_eq!(paced(&world, "gap_ms = 7000 AND in_flight_max = 1"), 1);
    let statements = world.ports.sql.statements();
    let about_pace = statements.iter().filter(|one| one.contains("INTO hosts"));
    assert_eq!(about_pace.count(), 1);
}

/// A pace that could not be set is set by the next job: its rules were not kept before it.
#[test]
fn rules_are_kept_after_the_pace() {
    let world = world(|_, _| Reply::text("User-agent: *\nCrawl-delay: 7\n"));
    world.ports.sql.fail_when("INTO hosts (host, gap_ms", 1);
    let id = scrape(&world, "https://a.example/");
    assert_ne!(world.state(id).0, State::Done);
    assert_eq!(world.ports.sql.number("SELECT COUNT(*) FROM robots"), 0);
}

#[test]
fn a_new_host_without_a_wish_costs_no_statement_about_its_pace() {
    let world = world(|_, _| Reply::status(404));
    scrape(&world, "https://a.example/");
    let statements = world.ports.sql.statements();
    let about_pace = |one: &&&str| one.contains("UPDATE hosts") || one.contains("INTO hosts");
    assert_eq!(statements.iter().filter(about_pace).count(), 0);
}

#[test]
fn a_long_robots_txt_is_cut_at_a_line_however_its_lines_end() {
    for end in ["\n", "\r", "\r\n"] {
        let mut text = format!("User-agent: *{end}Disallow: /secret{end}");
        while text.len() <= BODY_BYTES_MAX {
            text.push_str("Disallow: /some/other/place");
            text.push_str(end);
        }
        let kept = cut_at_a_line(text.clone().into_bytes());
        assert!((BODY_BYTES_MAX - 40..=BODY_BYTES_MAX).contains(&kept.len()));
        assert!(matches!(kept.last(), Some(b'\n' | b'\r')));
        let world = world(move |_, _| Reply::text(text.clone()));
        let id = scrape(&world, "https://a.example/secret");
        assert_eq!(
            world.state(id),
            (State::Failed, Some("robots_disallowed".to_owned())),
            "{end:?}"
        );
    }
}

#[test]
fn a_redirect_to_a_broken_host_is_no_word_about_the_page() {
    for error in [
        SendError::Tls("x".to_owned()),
        SendError::AddressNotAllowed,
        SendError::Dns,
    ] {
        let world = world(move |sent, asked| match (sent.url.as_str(), asked) {
            ("https://broken.example/robots.txt", _) => Reply::failure(error.clone()),
            (_, 0) => Reply::redirect(301, "https://broken.example/robots.txt"),
            _ => Reply::status(404),
        });
        let id = scrape(&world, "https://a.example/");
        assert_eq!(world.state(id).0, State::Queued, "{:?}", world.state(id));
        world.elapse(Duration::from_secs(31));
        world.run(world.store().wake()).unwrap();
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id), (State::Done, None));
    }
}

/// One that is larger than is read of any, also packed. What comes cut off can't be unpacked.
#[test]
fn a_long_robots_txt_that_comes_packed_is_cut_after_it_was_unpacked() {
    let mut number = 1_u64;
    let mut rules = String::from("User-agent: *\nDisallow: /secret\n");
    for _ in 0..60_000 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        rules.push_str(&format!("Disallow: /{number:x}\n"));
    }
    rules.push_str("Disallow: /\n");
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(rules.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    assert!(packed.len() > BODY_BYTES_MAX);
    let world = world(move |_, _| Reply::text(packed.clone()).header("content-encoding", "gzip"));
    for (path, state) in [("/open", State::Done), ("/secret", State::Failed)] {
        let id = scrape(&world, &format!("https://a.example{path}"));
        assert_eq!(world.state(id).0, state, "{path}");
    }
}

#[test]
fn a_robots_txt_behind_the_gate_of_its_pages_is_read() {
    let world = World::new(|sent| match (sent.header("cookie"), sent.path()) {
        (Some("seen=1"), "/robots.txt") => Reply::text("User-agent: *\nDisallow: /secret"),
        (Some("seen=1"), _) => Reply::html("<p>x"),
        (_, path) => Reply::redirect(302, path).header("set-cookie", "seen=1; Path=/"),
    });
    for (path, state) in [("/open", State::Done), ("/secret", State::Failed)] {
        let id = scrape(&world, &format!("https://a.example{path}"));
        assert_eq!(world.state(id).0, state, "{path}");
    }
}

/// The same as with pages: what is whole counts, what may miss its end does not.
#[test]
fn a_packed_robots_txt_of_the_length_of_its_text_is_whole() {
    let rules = "User-agent: *\nDisallow: /secret\n".repeat(9);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(rules.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for (length, code) in [(0, "robots_disallowed"), (1, "robots_unreachable")] {
        let reply = Reply::text(packed.clone())
            .header("content-encoding", "gzip")
            .header("content-length", (rules.len() + length).to_string())
            .broken(SendError::Lost("x".to_owned()));
        let world = world(move |_, _| reply.clone());
        let id = scrape(&world, "https://a.example/secret");
        assert_eq!(world.state(id).1.as_deref(), Some(code));
    }
}

#[test]
fn a_host_that_is_broken_itself_has_no_pages_either() {
    let world = world(|_, _| Reply::failure(SendError::Tls("x".to_owned())));
    let id = scrape(&world, "https://a.example/");
    assert_eq!(world.state(id), (State::Failed, Some("tls".to_owned())));
}

/// Else what a server says to `Host: a.example.` would hold for everybody's a.example.
#[test]
fn a_host_with_a_trailing_dot_is_asked_without_it() {
    let world = World::new(|sent| match (sent.url.contains("example./"), sent.path()) {
        (true, "/robots.txt") => Reply::text("User-agent: *\nDisallow: /"),
        (_, "/robots.txt") => Reply::status(404),
        (_, "/leads") => Reply::redirect(302, "https://b.example./there"),
        _ => Reply::html("<p>x"),
    });
    let id = scrape(&world, "https://a.example./leads");
    assert_eq!(world.state(id), (State::Done, None));
    assert_eq!(
        world.ports.http.urls(),
        [
            "https://a.example/robots.txt",
            "https://a.example/leads",
            "https://b.example/robots.txt",
            "https://b.example/there"
        ]
    );
    let kept = "SELECT COUNT(*) FROM robots WHERE authority LIKE '%.:%'";
    assert_eq!(world.ports.sql.number(kept), 0);
}

/// An invocation may go on for minutes, and the jobs that were to wait for the host come back to it.
#[test]
fn a_host_that_gave_no_answer_is_asked_again_in_the_same_invocation() {
    let world = world(|_, asked| match asked {
        0 => Reply::status(503),
        _ => Reply::status(404),
    });
    let settings = world.run(ScraperSettings::read(&world.ports));
    let gate = RobotsGate::new(&world.ports, &settings, Rc::new(Turns::new()));
    let url = Url::parse("https://a.example/").unwrap();
    let check = || world.run(gate.check(&url, "a.example"));
    let wait_ms = ASKED_AGAIN_MS_MIN as u64;
    for waited_ms in [0, 1_000] {
        world.elapse(Duration::from_millis(waited_ms));
        let refused = check().unwrap_err();
        assert_eq!(refused.code, FetchCode::RobotsUnreachable);
        assert_eq!(refused.retry_after_ms, Some(wait_ms - waited_ms));
    }
    assert_eq!(world.ports.http.urls().len(), 1);
    world.elapse(Duration::from_millis(wait_ms - 1_000));
    assert!(check().is_ok());
    assert_eq!(world.ports.http.urls().len(), 2);
}

/// A host that says when to come back is left alone until then: also its robots.txt, and whoever waits for that.
#[test]
fn a_host_whose_robots_txt_asks_for_time_gets_it() {
    for (status, asked, wait_ms) in [
        (503, "120", 120_000),
        (429, "86400", RETRY_AFTER_MS_MAX),
        (429, "1", ASKED_AGAIN_MS_MIN as u64),
    ] {
        let world = world(move |_, _| Reply::status(status).header("retry-after", asked));
        let settings = world.run(ScraperSettings::read(&world.ports));
        let url = Url::parse("https://a.example/").unwrap();
        for waited_ms in [0, wait_ms - 1_000] {
            world.elapse(Duration::from_millis(waited_ms));
            // Each time another invocation, which knows what the one before has written.
            let gate = RobotsGate::new(&world.ports, &settings, Rc::new(Turns::new()));
            let refused = world.run(gate.check(&url, "a.example")).unwrap_err();
            assert_eq!(refused.code, FetchCode::RobotsUnreachable);
            let left_ms = refused.retry_after_ms.unwrap();
            assert!(left_ms.abs_diff(wait_ms - waited_ms) < 1_000, "{left_ms}");
            world.run(gate.keep_found()).unwrap();
        }
        assert_eq!(world.ports.http.urls().len(), 1, "{status} {asked}");
    }
}

#[test]
fn an_answer_that_is_too_large_to_read_says_nothing_of_the_pages() {
    for error in [SendError::HeadersTooLarge, SendError::BodyTooLarge] {
        let world = world(move |_, asked| match asked {
            0 => Reply::failure(error.clone()),
            _ => Reply::status(404),
        });
        let id = scrape(&world, "https://a.example/");
        let expected = (State::Queued, Some("robots_unreachable".to_owned()));
        assert_eq!(world.state(id), expected);
    }
}
