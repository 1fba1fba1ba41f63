//! The whole way of a job, over a real store and a fake web, in virtual time.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::inbound::DRAIN_MS;
use trawl_core::limits::queue::ATTEMPTS_MAX;
use trawl_core::limits::robots::ASKED_AGAIN_MS_MIN;
use trawl_core::limits::scrape::{
    BODY_BYTES_FREE, LARGE_BODIES_MAX, LARGE_BODIES_OF_ACCOUNT_MAX, LARGE_BODY_BYTES_MIN,
    LONG_PAGE_MS,
};
use trawl_core::state::{JobError, Kind, State};
use trawl_store::sql::Sql as _;
use trawl_store::{Job, NewMessage, QueueLimits, Submitted};
use trawl_wire::result::{HtmlMeta, TextParts};

use super::{Domains, Drained, Extracted, Extractor, Html, Text, drain};
use crate::channels::{CALLBACK_QUEUE, TYPE_1_QUEUE, TYPE_2_QUEUE};
use crate::fetch::Page;
use crate::ports::{Clock as _, SendError};
use crate::testing::{LIMITS, Reply, Sent, VirtualClock, World};

const PAGE: &str = "<html><head><title>A page</title></head><body><main><p>Some words that make a paragraph, and a few more \
                    so that it is one.</p></main></body></html>";

/// The state and error of one page scraped as HTML.
#[track_caller]
fn check(
    url: &str,
    serve: impl Fn(&Sent) -> Reply + 'static,
    state: State,
    code: Option<&str>,
) -> (World, MessageId) {
    let world = World::without_robots(serve);
    let id = world.submit_url(Kind::Html, url);
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(world.state(id), (state, code.map(str::to_owned)), "{url}");
    (world, id)
}

#[track_caller]
fn fails(reply: Reply, state: State, code: &str) -> (World, MessageId) {
    check(
        "https://a.example/",
        move |_| reply.clone(),
        state,
        Some(code),
    )
}

/// How long a message took from its acceptance to its end, which was a good one.
fn took_ms(world: &World, account: AccountId, id: MessageId) -> i64 {
    let message = world.run(world.store().message(account, id));
    let message = message.unwrap().unwrap();
    assert_eq!(message.state, State::Done);
    message.date_process_complete.unwrap() - message.date_added
}

fn html(world: &World, id: MessageId) -> String {
    String::from_utf8(world.result(id).body).unwrap()
}

#[test]
fn the_three_types_make_their_results() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let [text, page, domains] = Kind::ALL.map(|kind| world.submit_url(kind, "https://a.example/x"));
    for (kind, id) in [
        (Kind::Text, text),
        (Kind::Html, page),
        (Kind::Domains, domains),
    ] {
        let drained = match kind {
            Kind::Text => world.run(drain(&world.ports, &Text)),
            Kind::Html => world.run(drain(&world.ports, &Html)),
            Kind::Domains => world.run(drain(&world.ports, &Domains)),
        };
        assert_eq!(
            drained.unwrap(),
            Drained {
                claimed: 1,
                finished: 1,
                ..Drained::default()
            }
        );
        assert_eq!(world.state(id), (State::Done, None));
    }
    let text = world.result(text);
    let parts: TextParts<'_> = serde_json::from_slice(&text.body).unwrap();
    assert!(
        parts.text.contains("words that make a paragraph"),
        "{}",
        parts.text
    );
    assert_eq!(html(&world, page), PAGE);
    let related: serde_json::Value = serde_json::from_slice(&world.result(domains).body).unwrap();
    assert_eq!(
        (&related["url"], &related["domain"]),
        (&"https://a.example/x".into(), &"a.example".into())
    );
    assert!(world.ports.bell.rings(CALLBACK_QUEUE) >= 3);
}

#[test]
fn what_stands_behind_an_element_that_ends_itself_is_found_in_xhtml() {
    let page = "<html xmlns='http://www.w3.org/1999/xhtml'><head><script src='a.js'/><title/></head>\
        <body><p>Some words that make a paragraph.</p><a href='https://e.org/'>x</a></body></html>";
    let reply = Reply::status(200)
        .header("content-type", "application/xhtml+xml")
        .body(page);
    let world = World::without_robots(move |_| reply.clone());
    let [text, _, domains] = Kind::ALL.map(|kind| world.submit_url(kind, "https://a.example/x"));
    world.run(drain(&world.ports, &Text)).unwrap();
    world.run(drain(&world.ports, &Domains)).unwrap();
    assert!(html(&world, text).contains("words that make a paragraph"));
    assert!(html(&world, domains).contains("e.org"));
}

#[test]
fn plain_text_is_kept_but_for_what_databases_refuse() {
    let words = "Some words. ".repeat(1_000);
    let reply = Reply::text(format!("{words}On kes\0trels."));
    let world = World::without_robots(move |_| reply.clone());
    let id = world.submit_url(Kind::Text, "https://a.example/x");
    world.run(drain(&world.ports, &Text)).unwrap();
    let body = world.result(id).body;
    let parts: TextParts<'_> = serde_json::from_slice(&body).unwrap();
    assert_eq!(parts.text, format!("{words}On kestrels."));
    assert_eq!(parts.markdown, parts.text);
}

#[test]
fn pages_are_decoded_and_their_head_is_kept() {
    let reply = Reply::status(200)
        .header("content-type", "text/html; charset=iso-8859-1")
        .header("x-robots-tag", "noindex")
        .body(b"<p>caf\xe9".to_vec());
    let (world, id) = check(
        "http://a.example/",
        move |_| reply.clone(),
        State::Done,
        None,
    );
    let result = world.result(id);
    assert_eq!(result.body, "<p>café".as_bytes());
    let meta: HtmlMeta<'_> = serde_json::from_str(&result.meta).unwrap();
    assert_eq!(meta.charset, "windows-1252");
    assert!(
        meta.headers
            .contains(&("x-robots-tag".into(), "noindex".into()))
    );
}

#[test]
fn redirects_are_followed_with_their_cookies_and_every_rule_on_each_hop() {
    let serve = |sent: &Sent| match sent.path() {
        "/" => Reply::redirect(302, "/b").header("set-cookie", "k=1; Path=/"),
        "/b" if sent.header("cookie") == Some("k=1") => Reply::redirect(301, "https://b.example/c"),
        "/c" if sent.header("cookie").is_none() => Reply::html("<p>there"),
        _ => Reply::status(400),
    };
    let (world, id) = check("https://a.example/", serve, State::Done, None);
    let result = world.result(id);
    assert_eq!(result.final_url, "https://b.example/c");
    let meta: HtmlMeta<'_> = serde_json::from_str(&result.meta).unwrap();
    assert_eq!(
        meta.redirects,
        ["https://a.example/", "https://a.example/b"]
    );
    assert!(
        world
            .ports
            .http
            .urls()
            .contains(&"https://b.example/robots.txt".to_owned()),
        "each host has its say"
    );

    for (location, code) in [
        ("http://a.example/", "redirect_downgrade"),
        ("https://169.254.169.254/latest", "address_not_allowed"),
        ("https://x.spin.internal/", "address_not_allowed"),
        ("https://u:p@b.example/", "userinfo_not_allowed"),
        ("https://a.example:22/", "port_not_allowed"),
        ("/", "redirect_loop"),
    ] {
        let (world, _) = fails(Reply::redirect(302, location), State::Failed, code);
        assert_eq!(
            world.ports.http.urls().len(),
            2,
            "robots.txt and the page: {location}"
        );
    }
    let step = Rc::new(Cell::new(0));
    let endless = move |_: &Sent| {
        step.set(step.get() + 1);
        Reply::redirect(302, format!("/{}", step.get()))
    };
    let (world, _) = check(
        "https://a.example/",
        endless,
        State::Failed,
        Some("too_many_redirects"),
    );
    assert_eq!(world.ports.http.urls().len(), 1 + 11);
}

fn sent_on(target: &str) -> String {
    format!(
        "<html><head><meta http-equiv='refresh' content='{target}'></head><body>Redirecting…</body>"
    )
}

#[test]
fn a_page_that_only_sends_on_is_followed_like_a_redirect() {
    for kind in Kind::ALL {
        let world = World::without_robots(|sent| match sent.path() {
            "/" => Reply::html(sent_on("0; url=/b")).header("set-cookie", "k=1"),
            "/b" if sent.header("cookie") == Some("k=1") => {
                Reply::html("…").header("refresh", "5;URL=https://b.example/c")
            }
            "/c" => Reply::html(PAGE),
            _ => Reply::status(400),
        });
        let id = world.submit_url(kind, "https://a.example/");
        let drained = match kind {
            Kind::Text => world.run(drain(&world.ports, &Text)),
            Kind::Html => world.run(drain(&world.ports, &Html)),
            Kind::Domains => world.run(drain(&world.ports, &Domains)),
        };
        drained.unwrap();
        assert_eq!(world.state(id), (State::Done, None), "{kind:?}");
        let result = world.result(id);
        assert_eq!(result.final_url, "https://b.example/c", "{kind:?}");
        if kind == Kind::Html {
            let meta: HtmlMeta<'_> = serde_json::from_str(&result.meta).unwrap();
            assert_eq!(
                meta.redirects,
                ["https://a.example/", "https://a.example/b"]
            );
        }
        assert!(
            world
                .ports
                .http
                .urls()
                .contains(&"https://b.example/robots.txt".to_owned()),
            "each host has its say"
        );
    }
}

#[test]
fn a_page_that_may_not_send_on_stands_for_itself() {
    let long = format!("{}{}", sent_on("0;url=/b"), " ".repeat(16 * 1_024));
    for page in [
        sent_on("6;url=/b"),
        sent_on("0;url=/"),
        sent_on("0"),
        sent_on("0;url=http://a.example/b"),
        sent_on("0;url=https://10.0.0.1/"),
        sent_on("0;url=mailto:x@b.example"),
        sent_on("0;url=https://shut.example/b"),
        sent_on("0;url=https://dark.example/b"),
        sent_on("3;url=/file.zip"),
        sent_on("3;url=/nothing"),
        sent_on("3;url=/moved"),
        sent_on("0;url=/c"),
        long,
        format!("<noscript>{}</noscript>", sent_on("0;url=/b")),
    ] {
        let body = page.clone();
        // A page that sets a cookie and shows itself again would go on for ever if the cookie is another one each time.
        let cookie = if page == sent_on("0;url=/") {
            "k=1"
        } else {
            ""
        };
        let world = World::new(move |sent| match sent.url.as_str() {
            "https://shut.example/robots.txt" => Reply::text("User-agent: *\nDisallow: /\n"),
            "https://dark.example/robots.txt" => Reply::failure(SendError::AddressNotAllowed),
            "https://a.example/c" => Reply::html(sent_on("0;url=/")),
            "https://a.example/file.zip" => {
                Reply::status(200).header("content-type", "application/zip")
            }
            "https://a.example/nothing" => Reply::status(204),
            "https://a.example/moved" => Reply::redirect(302, "https://shut.example/b"),
            url if url.ends_with("/robots.txt") => Reply::status(404),
            _ => Reply::html(body.clone()).header("set-cookie", cookie),
        });
        let id = world.submit_url(Kind::Html, "https://a.example/");
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id), (State::Done, None), "{page}");
        // Of two that lead to each other the second stands.
        let (wanted, final_url) = if page == sent_on("0;url=/c") {
            (sent_on("0;url=/"), "https://a.example/c")
        } else {
            (page, "https://a.example/")
        };
        assert_eq!(
            (html(&world, id), world.result(id).final_url),
            (wanted, final_url.to_owned())
        );
    }
    let text = Reply::text(sent_on("0;url=/b"));
    let (world, _) = check(
        "https://a.example/",
        move |_| text.clone(),
        State::Done,
        None,
    );
    assert_eq!(world.ports.http.urls().len(), 2, "a text has no elements");
}

#[test]
fn where_a_page_sends_on_to_counts_like_where_a_redirect_leads_to() {
    let serve = |there: Reply| {
        move |sent: &Sent| match sent.path() {
            "/" => Reply::html(sent_on("0;url=/b")),
            _ => there.clone(),
        }
    };
    for (there, state, code) in [
        (Reply::status(404), State::Failed, "http_404"),
        (Reply::status(503), State::Queued, "http_503"),
    ] {
        check("https://a.example/", serve(there), state, Some(code));
    }
    let world = World::new(|sent| match sent.url.as_str() {
        "https://b.example/robots.txt" => Reply::status(500),
        url if url.ends_with("/robots.txt") => Reply::status(404),
        _ => Reply::html(sent_on("0;url=https://b.example/")),
    });
    let id = world.submit_url(Kind::Html, "https://a.example/");
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(
        world.state(id),
        (State::Queued, Some("robots_unreachable".to_owned())),
        "tomorrow it may be allowed"
    );
}

#[test]
fn validators_of_a_page_that_was_sent_on_to_are_for_it_alone() {
    let world = World::without_robots(|sent| match (sent.path(), sent.header("if-none-match")) {
        ("/", None) => Reply::html(sent_on("0;url=/b")).header("etag", "\"a\""),
        ("/b", Some("\"b\"")) => Reply::status(304),
        ("/b", None) => Reply::html(PAGE).header("etag", "\"b\""),
        _ => Reply::status(400),
    });
    let mut request = world.request(Kind::Html, "https://a.example/");
    request.max_age_s = Some(60);
    for _ in 0..2 {
        let id = world.submit(&request);
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id), (State::Done, None));
        assert_eq!(html(&world, id), PAGE);
        assert_eq!(world.result(id).final_url, "https://a.example/b");
        world.elapse(Duration::from_secs(300));
    }
    let asked = world.ports.http.sent();
    assert!(
        asked
            .iter()
            .any(|sent| sent.header("if-none-match") == Some("\"b\"")),
    );
}

#[test]
fn not_modified_says_nothing_where_nobody_asked() {
    let world = World::without_robots(|sent| match (sent.path(), sent.header("if-none-match")) {
        ("/", None) => Reply::html(PAGE).header("etag", "\"a\""),
        ("/", _) => Reply::redirect(302, "/b"),
        _ => Reply::status(304),
    });
    let mut request = world.request(Kind::Html, "https://a.example/");
    request.max_age_s = Some(60);
    for wanted in [
        (State::Done, None),
        (State::Failed, Some("http_304".to_owned())),
    ] {
        let id = world.submit(&request);
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id), wanted);
        world.elapse(Duration::from_secs(300));
    }
}

#[test]
fn a_cookie_for_a_domain_goes_along_to_its_other_hosts() {
    for (domain, state) in [
        ("Domain=.trawl-test.com", State::Done),
        ("Domain=com", State::Failed),
        ("Path=/", State::Failed),
    ] {
        let serve = move |sent: &Sent| match (sent.url.as_str(), sent.header("cookie")) {
            ("https://www.trawl-test.com/", Some("c=1")) => Reply::html("<p>there"),
            ("https://www.trawl-test.com/", _) => Reply::redirect(302, "https://trawl-test.com/"),
            _ => Reply::redirect(302, "https://www.trawl-test.com/")
                .header("set-cookie", format!("c=1; {domain}")),
        };
        let world = World::without_robots(serve);
        let id = world.submit_url(Kind::Html, "https://trawl-test.com/");
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id).0, state, "{domain}");
    }
}

#[test]
fn a_page_that_wants_its_cookie_back_gets_the_bytes_that_it_set() {
    for cookie in [
        &b"city=Ulm"[..],
        "city=München".as_bytes(),
        b"city=M\xfcnchen",
        b"city=a\tb",
    ] {
        let serve = move |sent: &Sent| match sent.headers.get("cookie") {
            Some(came) if came.as_bytes() == cookie => Reply::html("<p>there"),
            _ => Reply::redirect(302, "/").header("set-cookie", cookie),
        };
        check("https://a.example/", serve, State::Done, None);
    }
}

/// Some servers pack a page and state the length that it had before.
#[test]
fn a_packed_body_of_the_length_of_its_page_is_whole() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(PAGE.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let reply = |encoding: &str, body: &[u8], length: usize| {
        Reply::html(body.to_vec())
            .header("content-encoding", encoding)
            .header("content-length", length.to_string())
            .broken(SendError::Lost("x".to_owned()))
    };
    let whole = reply("gzip", &packed, PAGE.len());
    let serve = move |_: &Sent| whole.clone();
    let (world, id) = check("https://a.example/", serve, State::Done, None);
    assert_eq!(html(&world, id), PAGE);
    for lost in [
        reply("gzip", &packed, PAGE.len() + 1),
        reply("gzip", &packed[..packed.len() - 9], PAGE.len()),
        reply("", PAGE.as_bytes(), PAGE.len() + 1),
        reply("", b"", PAGE.len()),
    ] {
        fails(lost, State::Queued, "connection_lost");
    }
}

#[test]
fn a_status_without_a_body_has_none_whatever_it_states() {
    let reply = Reply::status(204).header("content-length", "653");
    let serve = move |_: &Sent| reply.clone();
    check("https://a.example/", serve, State::Done, None);
}

#[test]
fn a_location_that_is_no_utf_8_leads_to_its_bytes() {
    for (location, wanted) in [
        (&b"/caf\xe9?q=\xfc"[..], "https://a.example/caf%E9?q=%FC"),
        ("/café".as_bytes(), "https://a.example/caf%C3%A9"),
    ] {
        let serve = move |sent: &Sent| match sent.path() {
            "/" => Reply::redirect(302, location),
            _ => Reply::html("<p>there"),
        };
        let (world, id) = check("https://a.example/", serve, State::Done, None);
        assert_eq!(world.result(id).final_url, wanted);
    }
    fails(
        Reply::redirect(302, b"https://\xff\xfe/"),
        State::Failed,
        "redirect_invalid",
    );
}

#[test]
fn of_two_content_types_the_last_counts() {
    let of = |first: &str, last: &str| {
        Reply::status(200)
            .header("content-type", first)
            .header("content-type", last)
            .body(PAGE)
    };
    let page = of("application/zip", "text/html; charset=utf-8");
    let serve = move |_: &Sent| page.clone();
    check("https://a.example/", serve, State::Done, None);
    fails(
        of("text/html", "application/zip"),
        State::Failed,
        "unsupported_content_type",
    );
}

#[test]
fn what_goes_wrong_has_a_code_and_is_tried_again_when_that_can_help() {
    use State::{Failed, Queued};
    fails(Reply::status(404), Failed, "http_404");
    fails(Reply::status(503), Queued, "http_503");
    fails(
        Reply::failure(SendError::Tls("x".to_owned())),
        Failed,
        "tls",
    );
    fails(
        Reply::status(200).header("content-type", "image/png"),
        Failed,
        "unsupported_content_type",
    );
    fails(
        Reply::html("x").header("content-length", "99999999999"),
        Failed,
        "too_large",
    );
    fails(
        Reply::html("x").header("content-length", "2"),
        Queued,
        "connection_lost",
    );
    fails(
        Reply::html("x").broken(SendError::Protocol("x".to_owned())),
        Queued,
        "connection_lost",
    );
    fails(
        Reply::html("x").header("content-encoding", "gzip"),
        Queued,
        "bad_encoding",
    );
    fails(
        Reply::html("x").header("content-encoding", "lzma"),
        Failed,
        "unsupported_encoding",
    );
    fails(
        Reply::status(200).after(Duration::from_secs(16)),
        Queued,
        "timeout_first_byte",
    );
    fails(
        Reply::html("x").body_after(Duration::from_secs(11), "y"),
        Queued,
        "timeout_between_bytes",
    );
    let huge = (0..11).fold(Reply::html(""), |reply, _| reply.body(vec![b'x'; 1 << 20]));
    fails(huge, Failed, "too_large");
    let drip = (0..20).fold(Reply::html(""), |reply, _| {
        reply.body_after(Duration::from_secs(9), "x")
    });
    let (world, _) = fails(drip, Queued, "timeout_total");
    assert!(
        (45_000..47_000).contains(&world.ports.clock.elapsed_ms()),
        "{}",
        world.ports.clock.elapsed_ms()
    );
    check(
        "http://127.0.0.1/",
        |_| Reply::html("x"),
        Failed,
        Some("address_not_allowed"),
    );
}

#[test]
fn retries_wait_as_the_server_asks_and_end_after_six() {
    let (world, id) = fails(
        Reply::status(429).header("retry-after", "90"),
        State::Queued,
        "http_429",
    );
    let next_ms = world.message(id).next_try_at.unwrap();
    assert!((89_000..=90_000).contains(&(next_ms - world.ports.clock.now_ms())));
    for _ in 0..10 {
        world.elapse(Duration::from_secs(91));
        world.run(world.store().wake()).unwrap();
        world.run(drain(&world.ports, &Html)).unwrap();
    }
    assert_eq!(
        world.state(id),
        (State::Failed, Some("http_429".to_owned()))
    );
    assert_eq!(world.message(id).attempts, 6);
}

#[test]
fn a_host_that_says_not_now_is_left_alone_by_all_jobs() {
    let calm = Rc::new(Cell::new(false));
    let is_calm = Rc::clone(&calm);
    let world = World::without_robots(move |sent| match sent.path() {
        "/onward" => Reply::redirect(302, "https://a.example/first"),
        "/first" if !is_calm.get() => Reply::status(503).header("retry-after", "60"),
        _ => Reply::html(PAGE),
    });
    let submit = |path: &str| world.submit_url(Kind::Html, &format!("https://{path}"));
    // Whoever came to it by another host's redirect learns it as well, and not of that host.
    let onward = submit("b.example/onward");
    world.run(drain(&world.ports, &Html)).unwrap();
    let (second, other) = (submit("a.example/second"), submit("b.example/other"));
    world.run(drain(&world.ports, &Html)).unwrap();
    let stands = |id| world.state(id).0;
    assert_eq!(
        (stands(onward), stands(second), stands(other)),
        (State::Queued, State::Queued, State::Done)
    );
    assert_eq!(world.message(second).attempts, 0, "it has lost none");
    calm.set(true);
    world.elapse(Duration::from_secs(61));
    world.run(world.store().wake()).unwrap();
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!((stands(onward), stands(second)), (State::Done, State::Done));
}

#[test]
fn robots_txt_is_asked_once_and_obeyed() {
    let world = World::new(|sent| match sent.path() {
        "/robots.txt" => Reply::text("User-agent: trawl\nDisallow: /secret\nCrawl-delay: 7\n"),
        _ => Reply::html(PAGE),
    });
    let open = world.submit_url(Kind::Html, "https://a.example/open");
    let secret = world.submit_url(Kind::Html, "https://a.example/secret/x");
    world.run(drain(&world.ports, &Html)).unwrap();
    for _ in 0..5 {
        world.elapse(Duration::from_secs(10));
        world.run(world.store().wake()).unwrap();
        world.run(drain(&world.ports, &Html)).unwrap();
    }
    assert_eq!(world.state(open).0, State::Done);
    assert_eq!(
        world.state(secret),
        (State::Failed, Some("robots_disallowed".to_owned()))
    );
    let asked = world
        .ports
        .http
        .urls()
        .iter()
        .filter(|url| url.ends_with("/robots.txt"))
        .count();
    assert_eq!(asked, 1, "the answer is kept in the database");
    assert_eq!(
        world
            .ports
            .sql
            .number("SELECT gap_ms FROM hosts WHERE host = 'a.example'"),
        7_000
    );
}

#[test]
fn an_unreachable_robots_txt_forbids_until_it_answers() {
    let answers = Rc::new(Cell::new(false));
    let now_answers = Rc::clone(&answers);
    let world = World::new(move |sent| match sent.path() {
        "/robots.txt" if answers.get() => Reply::status(404),
        "/robots.txt" => Reply::status(500),
        _ => Reply::html(PAGE),
    });
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let asked_ms = world.ports.clock.now_ms();
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(
        world.state(id),
        (State::Queued, Some("robots_unreachable".to_owned()))
    );
    assert_eq!(world.ports.http.urls(), ["https://a.example/robots.txt"]);
    assert!(
        world.message(id).next_try_at.unwrap() >= asked_ms + ASKED_AGAIN_MS_MIN,
        "asked again then, not before"
    );
    now_answers.set(true);
    world.elapse(Duration::from_millis(ASKED_AGAIN_MS_MIN as u64));
    world.run(world.store().wake()).unwrap();
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(world.state(id).0, State::Done);
}

/// A name that was mistyped, or a host that is gone.
#[test]
fn a_host_that_can_not_be_reached_is_given_up_within_two_minutes() {
    let world = World::new(|_| Reply::failure(SendError::Connect("refused".to_owned())));
    let fails_within_s = |path: &str| {
        let begun_ms = world.ports.clock.elapsed_ms();
        let id = world.submit_url(Kind::Html, &format!("https://a.example/{path}"));
        while world.state(id).0 != State::Failed {
            world.run(drain(&world.ports, &Html)).unwrap();
            world.elapse(Duration::from_millis(250));
            world.run(world.store().wake()).unwrap();
        }
        assert_eq!(world.message(id).attempts, ATTEMPTS_MAX);
        (world.ports.clock.elapsed_ms() - begun_ms) / 1_000
    };
    let first_s = fails_within_s("first");
    assert!((30..60).contains(&first_s), "{first_s}");
    world.elapse(Duration::from_secs(3_600));
    let again_s = fails_within_s("again");
    assert!(again_s < 120, "silent for long: {again_s}");
}

/// No connection was free: that is our limit, and says nothing about the host, which was not even asked.
#[test]
fn a_limit_of_ours_is_not_held_against_the_host() {
    let was_full = Rc::new(Cell::new(false));
    let world = World::new(move |sent| match sent.path() {
        "/robots.txt" if !was_full.replace(true) => Reply::failure(SendError::Busy),
        "/robots.txt" => Reply::status(404),
        _ => Reply::html(PAGE),
    });
    let id = world.submit_url(Kind::Html, "https://a.example/");
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(
        world.state(id),
        (State::Queued, Some("internal".to_owned()))
    );
    world.elapse(Duration::from_secs(3));
    world.run(world.store().wake()).unwrap();
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(world.state(id).0, State::Done);
}

#[test]
fn the_operator_may_switch_robots_off_per_host() {
    let world = World::new(|sent| {
        if sent.path() == "/robots.txt" {
            Reply::text("User-agent: *\nDisallow: /")
        } else {
            Reply::html(PAGE)
        }
    });
    world.ports.variables.set("robots", "off:own.example");
    let own = world.submit_url(Kind::Html, "https://www.own.example/");
    let other = world.submit_url(Kind::Html, "https://other.example/");
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(
        (world.state(own).0, world.state(other).0),
        (State::Done, State::Failed)
    );
    assert!(
        !world
            .ports
            .http
            .urls()
            .contains(&"https://www.own.example/robots.txt".to_owned())
    );
}

#[test]
fn a_dead_host_is_called_by_its_name() {
    let world = World::new(|_| Reply::failure(SendError::Dns));
    let ids = [1, 2, 3].map(|n| world.submit_url(Kind::Html, &format!("https://gone.example/{n}")));
    world.run(drain(&world.ports, &Html)).unwrap();
    for id in ids {
        assert_eq!(world.state(id), (State::Queued, Some("dns".to_owned())));
    }
    assert_eq!(world.ports.http.urls().len(), 1, "one asked for all");
}

#[test]
fn an_earlier_result_serves_while_it_is_young_and_by_its_validators_afterwards() {
    let world = World::without_robots(|sent| match sent.header("if-none-match") {
        Some("\"v1\"") => Reply::status(304),
        _ => Reply::html(PAGE).header("etag", "\"v1\""),
    });
    let mut request = world.request(Kind::Html, "https://a.example/");
    request.max_age_s = Some(60);
    let mut bodies = Vec::new();
    for wait_s in [0, 30, 300] {
        world.elapse(Duration::from_secs(wait_s));
        let id = world.submit(&request);
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id), (State::Done, None));
        bodies.push(html(&world, id));
    }
    assert!(bodies.iter().all(|body| body == PAGE));
    let pages = world
        .ports
        .http
        .sent()
        .into_iter()
        .filter(|sent| sent.path() == "/")
        .collect::<Vec<_>>();
    assert_eq!(pages.len(), 2, "the second needed no request");
    assert_eq!(
        (
            pages[0].header("if-none-match"),
            pages[1].header("if-none-match")
        ),
        (None, Some("\"v1\""))
    );
}

#[test]
fn handing_a_result_on_does_not_make_it_young_again() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let mut request = world.request(Kind::Html, "https://a.example/");
    request.max_age_s = Some(60);
    // One alone, and several that finish in one statement: the two are written by different ones.
    for (wait_s, together) in [(0, 1), (40, 3), (40, 1)] {
        world.elapse(Duration::from_secs(wait_s));
        let ids: Vec<_> = (0..together).map(|_| world.submit(&request)).collect();
        world.run(drain(&world.ports, &Html)).unwrap();
        for id in ids {
            assert_eq!(world.state(id), (State::Done, None));
        }
    }
    let pages = world.ports.http.urls();
    assert_eq!(
        pages
            .iter()
            .filter(|url| !url.ends_with("robots.txt"))
            .count(),
        2,
        "after 80 s the page is asked for again, though a copy was made of it after 40 s"
    );
}

/// A place among the large bodies is for those that come: the ones that drip lose it, and the page that waits for it is read.
#[test]
fn large_bodies_that_drip_keep_nobody_out() {
    let world = World::without_robots(|sent| {
        let beginning = || vec![b'x'; BODY_BYTES_FREE + 1];
        if sent.url.contains("good") {
            (0..3).fold(
                Reply::html(beginning()).after(Duration::from_secs(1)),
                |reply, _| {
                    reply.body_after(Duration::from_secs(5), vec![b'x'; LARGE_BODY_BYTES_MIN])
                },
            )
        } else {
            (0..12).fold(Reply::html(beginning()), |reply, _| {
                reply.body_after(Duration::from_secs(4), "x")
            })
        }
    });
    let drips: Vec<_> = (0..LARGE_BODIES_OF_ACCOUNT_MAX)
        .map(|n| world.submit_url(Kind::Html, &format!("https://drip{n}.example/")))
        .collect();
    let good = world.submit_url(Kind::Html, "https://good.example/");
    world.run(drain(&world.ports, &Html)).unwrap();
    let took_ms = took_ms(&world, world.account, good);
    assert!((15_000..25_000).contains(&took_ms), "{took_ms}");
    for drip in drips {
        let error = world.state(drip).1;
        assert_eq!(error.as_deref(), Some("timeout_between_bytes"));
    }
}

/// Nor do those that come just fast enough: one account has no more than half of the places.
#[test]
fn large_bodies_of_one_account_leave_places_for_others() {
    let world = World::without_robots(|sent| {
        let beginning = Reply::html(vec![b'x'; BODY_BYTES_FREE + 1]);
        if sent.url.contains("good") {
            return beginning;
        }
        (0..10).fold(beginning, |reply, _| {
            reply.body_after(Duration::from_secs(4), vec![b'x'; LARGE_BODY_BYTES_MIN])
        })
    });
    for n in 0..LARGE_BODIES_MAX {
        world.submit_url(Kind::Html, &format!("https://slow{n}.example/"));
    }
    let other = AccountId(world.account.0 + 1);
    let good = world.submit(&NewMessage {
        tenant: other,
        ..world.request(Kind::Html, "https://good.example/")
    });
    world.run(drain(&world.ports, &Html)).unwrap();
    let took_ms = took_ms(&world, other, good);
    assert!(took_ms < 2_000, "{took_ms}");
}

/// Reads pages whose path is not `/light` as if each were a long one.
struct Long(VirtualClock);

impl Extractor for Long {
    fn kind(&self) -> Kind {
        Html.kind()
    }

    fn is_same_request(&self, job: &Job, meta: &str) -> bool {
        Html.is_same_request(job, meta)
    }

    fn extract(&self, job: &Job, page: Page) -> Result<Extracted, JobError> {
        if page.final_url.path() != "/light" {
            self.0.advance(Duration::from_millis(3 * LONG_PAGE_MS));
        }
        Html.extract(job, page)
    }
}

/// Each step of a light page comes between two long ones, and it is read before the other account's next one.
#[test]
fn long_pages_of_one_account_hold_up_nobody_elses_light_one() {
    const STEPS: u64 = 4;
    let world = World::without_robots(|sent| match sent.path().strip_prefix("/step") {
        Some("0") => Reply::redirect(302, "/light").after(Duration::from_millis(1)),
        Some(step) => Reply::redirect(302, format!("/step{}", step.parse::<u64>().unwrap() - 1))
            .after(Duration::from_millis(1)),
        None => Reply::html(PAGE).after(Duration::from_millis(1)),
    });
    for n in 0..30 {
        world.submit_url(Kind::Html, &format!("https://long{n}.example/"));
    }
    let other = AccountId(world.account.0 + 1);
    let light = world.submit(&NewMessage {
        tenant: other,
        ..world.request(Kind::Html, &format!("https://light.example/step{STEPS}"))
    });
    let extractor = Long(world.ports.clock.clone());
    let drained = world.run(drain(&world.ports, &extractor)).unwrap();
    assert_eq!(drained.finished, 31);
    let took_ms = took_ms(&world, other, light);
    assert!(took_ms < 3 * 3 * LONG_PAGE_MS as i64, "{took_ms}");
}

/// A clock that was ahead and is set back leaves results of times to come.
#[test]
fn a_result_from_the_future_is_no_young_one() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let mut request = world.request(Kind::Html, "https://a.example/");
    request.max_age_s = Some(60);
    let scrape = || {
        let id = world.submit(&request);
        world.run(drain(&world.ports, &Html)).unwrap();
        assert_eq!(world.state(id), (State::Done, None));
    };
    scrape();
    let ahead = "UPDATE results SET stored_ms = stored_ms + 3600000";
    world.run(world.ports.sql.run(ahead, vec![])).unwrap();
    scrape();
    let pages = world.ports.http.urls();
    let pages = pages.iter().filter(|url| !url.ends_with("robots.txt"));
    assert_eq!(pages.count(), 2);
}

#[test]
fn a_result_made_with_other_options_does_not_serve() {
    let world =
        World::without_robots(|_| Reply::html("<p id=a>one one one</p><p id=b>two two two</p>"));
    let texts = ["#a", "#b", "#b", "#a"].map(|selector| {
        let mut request = world.request(Kind::Text, "https://a.example/");
        (request.max_age_s, request.selector) = (Some(1_000), Some(selector.to_owned()));
        let id = world.submit(&request);
        world.run(drain(&world.ports, &Text)).unwrap();
        let body = world.result(id).body;
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["text"]
            .as_str()
            .unwrap()
            .trim()
            .to_owned()
    });
    let (one, two) = ("one one one", "two two two");
    assert_eq!(texts, [one, two, two, one]);
    assert_eq!(
        world
            .ports
            .http
            .urls()
            .iter()
            .filter(|url| !url.ends_with("robots.txt"))
            .count(),
        2,
        "those who ask with the same options share, whoever asked with others meanwhile"
    );
}

#[test]
fn many_jobs_run_at_once_within_the_bound_and_share_statements() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_millis(200)));
    for n in 0..200 {
        world.submit_url(Kind::Html, &format!("https://h{n}.example/"));
    }
    let _ = world.ports.sql.statements();
    let drained = world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(
        (drained.claimed, drained.finished, drained.stale),
        (200, 200, 0)
    );
    assert!(
        (20..=32).contains(&world.ports.http.open_max()),
        "{}",
        world.ports.http.open_max()
    );
    let statements = world.ports.sql.statements();
    let count = |part: &str| {
        let with_it = statements.iter().filter(|one| one.contains(part));
        with_it.count()
    };
    let finishing = count("INTO results");
    assert!((13..=60).contains(&finishing), "{finishing}");
    // Every page is of a host of its own.
    let looking_up = count("FROM robots");
    assert!((1..=60).contains(&looking_up), "{looking_up}");
    let keeping = count("INTO robots");
    assert!((1..=60).contains(&keeping), "{keeping}");
    assert_eq!(world.ports.sql.number("SELECT COUNT(*) FROM robots"), 200);
    assert!(
        world.ports.clock.elapsed_ms() < 5_000,
        "{}",
        world.ports.clock.elapsed_ms()
    );
}

/// A host's slots are shared by the types, and with a gap only one row is armed at a time: the worker of one type rings for
/// the other when its turn comes, since the clock would make of ten pages a second one.
#[test]
fn a_hosts_next_page_of_another_type_is_rung_for() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let paced = QueueLimits {
        tenant_max: 10_000,
        total_max: 10_000,
        host_in_flight_max: 4,
        host_gap_ms: 100,
    };
    for kind in [Kind::Html, Kind::Text, Kind::Html] {
        let message = world.request(kind, "https://a.example/");
        let submitted = world.run(world.store().submit(&message, &paced)).unwrap();
        assert!(matches!(submitted, Submitted::Accepted(_)), "{submitted:?}");
    }
    assert_eq!(world.run(drain(&world.ports, &Html)).unwrap().finished, 1);
    assert!(world.ports.bell.rings(TYPE_1_QUEUE) >= 1);
    let rings = world.ports.bell.rings(TYPE_2_QUEUE);
    assert_eq!(world.run(drain(&world.ports, &Text)).unwrap().finished, 1);
    assert!(world.ports.bell.rings(TYPE_2_QUEUE) > rings);
}

/// A worker waits for a host whose gap is over within a moment. Left to the clock, which beats once a second, a gap of a second
/// would become one of two.
#[test]
fn a_host_with_a_gap_of_a_second_gives_a_page_a_second() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let paced = QueueLimits {
        tenant_max: 10_000,
        total_max: 10_000,
        host_in_flight_max: 4,
        host_gap_ms: 1_000,
    };
    for _ in 0..4 {
        let message = world.request(Kind::Html, "https://a.example/");
        let submitted = world.run(world.store().submit(&message, &paced)).unwrap();
        assert!(matches!(submitted, Submitted::Accepted(_)), "{submitted:?}");
    }
    let started_ms = world.ports.clock.monotonic_ms();
    assert_eq!(world.run(drain(&world.ports, &Html)).unwrap().finished, 4);
    let took_ms = world.ports.clock.monotonic_ms() - started_ms;
    assert!((3_000..3_600).contains(&took_ms), "{took_ms} ms");
    // One that comes when the gap is nearly over finds it worth waiting for, too.
    let message = world.request(Kind::Html, "https://a.example/");
    world.run(world.store().submit(&message, &paced)).unwrap();
    assert_eq!(world.run(drain(&world.ports, &Html)).unwrap().finished, 1);
}

#[test]
fn nothing_to_do_costs_one_read() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    world.submit_url(Kind::Text, "https://a.example/");
    let _ = world.ports.sql.statements();
    assert_eq!(
        world.run(drain(&world.ports, &Html)).unwrap(),
        Drained::default()
    );
    assert_eq!(world.ports.sql.statements().len(), 1);
    assert_eq!(world.ports.bell.rings_in_all(), 0);
}

#[test]
fn work_that_arrives_while_lingering_is_taken() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let first = world.submit_url(Kind::Html, "https://a.example/");
    let request = world.request(Kind::Html, "https://b.example/");
    let limits = QueueLimits {
        tenant_max: 10,
        total_max: 10,
        host_in_flight_max: 4,
        host_gap_ms: 0,
    };
    let late = async {
        world.ports.clock.sleep(Duration::from_millis(100)).await;
        world.store().submit(&request, &limits).await.unwrap();
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), late) });
    assert_eq!(drained.unwrap().finished, 2);
    assert_eq!(world.state(first).0, State::Done);
}

#[test]
fn a_cancelled_job_is_thrown_away_and_tells_nobody() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(5)));
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let cancel = async {
        world.ports.clock.sleep(Duration::from_secs(2)).await;
        world.store().cancel(world.account, id).await.unwrap();
    };
    let (drained, _) = world.run(async { futures::join!(drain(&world.ports, &Html), cancel) });
    assert_eq!(
        drained.unwrap(),
        Drained {
            claimed: 1,
            stale: 1,
            ..Drained::default()
        }
    );
    assert_eq!(world.state(id).0, State::Cancelled);
    assert_eq!(world.ports.bell.rings(CALLBACK_QUEUE), 0);
}

#[test]
fn a_cancelled_job_gives_its_place_back_within_a_beat() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(14)));
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let kept = world.submit_url(Kind::Html, "https://b.example/");
    let cancel = async {
        world.ports.clock.sleep(Duration::from_millis(2_300)).await;
        assert_eq!(world.ports.http.open(), 2);
        world.store().cancel(world.account, id).await.unwrap();
        world.ports.clock.sleep(Duration::from_millis(1_000)).await;
        assert_eq!(world.ports.http.open(), 1, "the connection is free");
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), cancel) });
    let drained = drained.unwrap();
    assert_eq!((drained.stale, drained.finished), (1, 1));
    assert_eq!(world.state(kept).0, State::Done);
    let statements = world.ports.sql.statements();
    let looks = statements
        .iter()
        .filter(|statement| statement.contains("CROSS JOIN Messages"));
    assert!((10..=16).contains(&looks.count()), "one a second");
    assert!(
        statements
            .iter()
            .all(|statement| !statement.contains("MIN(deadline_at")),
        "renewals stay as seldom as they were"
    );
}

#[test]
fn a_job_asked_for_again_is_held_although_its_first_attempt_ends_later() {
    let asked = Rc::new(Cell::new(0));
    let page = move |_: &Sent| {
        asked.set(asked.get() + 1);
        // The first page would be there in the middle of the second attempt.
        Reply::html(PAGE).after(Duration::from_secs(if asked.get() == 1 { 3 } else { 14 }))
    };
    let world = World::without_robots(page);
    world.ports.variables.set("lease_seconds", "6");
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let beside = async {
        world.ports.clock.sleep(Duration::from_millis(1_100)).await;
        world.store().cancel(world.account, id).await.unwrap();
        world
            .store()
            .retry(world.account, id, &LIMITS)
            .await
            .unwrap();
        for _ in 0..20 {
            world.ports.clock.sleep(Duration::from_secs(1)).await;
            world.store().rescue().await.unwrap();
        }
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), beside) });
    assert_eq!(
        drained.unwrap(),
        Drained {
            claimed: 2,
            finished: 1,
            stale: 1,
            ..Drained::default()
        }
    );
    assert_eq!(
        (world.state(id).0, world.message(id).crash_count),
        (State::Done, 0)
    );
}

#[test]
fn a_short_lease_is_renewed_while_the_page_is_slow() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(14)));
    world.ports.variables.set("lease_seconds", "3");
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let sweeps = async {
        for _ in 0..15 {
            world.ports.clock.sleep(Duration::from_secs(1)).await;
            world.store().rescue().await.unwrap();
        }
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), sweeps) });
    assert_eq!(
        drained.unwrap(),
        Drained {
            claimed: 1,
            finished: 1,
            ..Drained::default()
        }
    );
    assert_eq!(
        (world.state(id).0, world.message(id).crash_count),
        (State::Done, 0)
    );
}

/// A renewal may fail: each comes when a third of the lease has passed, and not at its end.
#[test]
fn a_lease_outlasts_a_renewal_that_fails() {
    let world = World::without_robots(|_| {
        let pieces = 0..4;
        pieces.fold(Reply::html(PAGE), |reply, _| {
            reply.body_after(Duration::from_secs(9), "<p>more</p>")
        })
    });
    world.ports.variables.set("lease_seconds", "30");
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let sweeps = async {
        for second in 0..36 {
            let fails = (28..35).contains(&second);
            world
                .ports
                .sql
                .refuse(fails.then_some("SET lease_until = MIN(deadline_at"));
            world.ports.clock.sleep(Duration::from_secs(1)).await;
            world.store().rescue().await.unwrap();
        }
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), sweeps) });
    assert_eq!(drained.unwrap().finished, 1);
    assert_eq!(world.message(id).crash_count, 0);
}

#[test]
fn what_was_in_flight_in_a_crash_runs_alone_and_first() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_millis(100)));
    let crashed =
        [0, 1, 2].map(|n| world.submit_url(Kind::Html, &format!("https://c{n}.example/")));
    assert_eq!(
        world
            .run(world.store().claim(Kind::Html, 10, "dies", 60))
            .unwrap()
            .len(),
        3
    );
    world.elapse(Duration::from_secs(61));
    assert_eq!(world.run(world.store().rescue()).unwrap().requeued, 3);
    for n in 0..5 {
        world.submit_url(Kind::Html, &format!("https://n{n}.example/"));
    }
    world.run(drain(&world.ports, &Html)).unwrap();
    let urls: Vec<_> = world
        .ports
        .http
        .urls()
        .into_iter()
        .filter(|url| !url.ends_with("robots.txt"))
        .collect();
    assert!(
        urls[..3].iter().all(|url| url.starts_with("https://c")),
        "{urls:?}"
    );
    assert_eq!(urls.len(), 8);
    assert!(crashed.iter().all(|id| world.state(*id).0 == State::Done));
}

#[test]
fn who_works_gives_way_to_what_must_run_alone() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(2)));
    let crashed = world.submit_url(Kind::Html, "https://c.example/");
    world
        .run(world.store().claim(Kind::Html, 1, "dies", 3))
        .unwrap();
    for n in 0..1_500 {
        world.submit_url(Kind::Html, &format!("https://n{n}.example/"));
    }
    let begun_ms = world.ports.clock.now_ms();
    let rescue = async {
        world.ports.clock.sleep(Duration::from_secs(4)).await;
        world.store().rescue().await.unwrap();
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), rescue) });
    assert!(
        drained.unwrap().finished < 500,
        "it ends although there is more to claim"
    );
    assert!(world.ports.bell.rings(TYPE_2_QUEUE) > 0, "and says so");
    world.run(drain(&world.ports, &Html)).unwrap();
    let finished_ms = world
        .ports
        .sql
        .number("SELECT finished_ms FROM Messages WHERE request_url = 'https://c.example/'");
    assert_eq!(world.state(crashed).0, State::Done);
    assert!(
        finished_ms - begun_ms < 20_000,
        "after {} ms",
        finished_ms - begun_ms
    );
}

#[test]
fn a_stop_gives_unfinished_jobs_back_without_counting_the_attempt() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(14)));
    let ids = [0, 1].map(|n| world.submit_url(Kind::Html, &format!("https://h{n}.example/")));
    let stop = async {
        world.ports.clock.sleep(Duration::from_secs(1)).await;
        world.ports.variables.set("stopping", "1");
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), stop) });
    assert_eq!(
        drained.unwrap(),
        Drained {
            claimed: 2,
            released: 2,
            ..Drained::default()
        }
    );
    for id in ids {
        assert_eq!(
            (world.state(id).0, world.message(id).attempts),
            (State::Queued, 0)
        );
    }
    let waited_ms = world.ports.clock.elapsed_ms() - 1_000;
    assert!((9_500..DRAIN_MS).contains(&waited_ms), "{waited_ms}");
    assert_eq!(
        world.run(drain(&world.ports, &Html)).unwrap(),
        Drained::default(),
        "nothing is claimed any more"
    );
}

/// A stop waits for what will end in time: given back at once, each page under way would be fetched twice.
#[test]
fn what_ends_soon_after_a_stop_is_recorded() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(5)));
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let stop = async {
        world.ports.clock.sleep(Duration::from_secs(1)).await;
        world.ports.variables.set("stopping", "1");
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), stop) });
    assert_eq!(
        (drained.unwrap().finished, world.state(id).0),
        (1, State::Done)
    );
}

/// What ends leaves a callback: its worker is rung for at once, and not at the next tick.
#[test]
fn the_end_of_a_job_rings_for_its_callback() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    world.submit_url(Kind::Html, "https://a.example/");
    assert_eq!(world.run(drain(&world.ports, &Html)).unwrap().finished, 1);
    assert!(world.ports.bell.rings(CALLBACK_QUEUE) >= 1);
}

#[test]
fn results_outlast_a_locked_database() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(1)));
    let id = world.submit_url(Kind::Html, "https://a.example/");
    let lock = async {
        world.ports.clock.sleep(Duration::from_millis(900)).await;
        world.ports.sql.fail_next(3);
    };
    let (drained, ()) = world.run(async { futures::join!(drain(&world.ports, &Html), lock) });
    drop(drained);
    assert_eq!(world.state(id), (State::Done, None));
    assert_eq!(
        world.ports.http.urls().len(),
        2,
        "the page was fetched once"
    );
}

#[test]
fn a_result_without_room_costs_its_job_nothing() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    let id = world.submit_url(Kind::Html, "https://a.example/");
    world.ports.sql.refuse(Some("INSERT INTO results"));
    assert!(world.run(drain(&world.ports, &Html)).is_err());
    // Four times: a dead worker would have made it poison after three.
    for _ in 0..3 {
        world.elapse(Duration::from_secs(70));
        world.run(world.store().rescue()).unwrap();
        world.run(world.store().wake()).unwrap();
        assert!(world.run(drain(&world.ports, &Html)).is_err());
    }
    let message = world.message(id);
    assert_eq!(
        (message.state, message.attempts, message.crash_count),
        (State::Queued, 0, 0)
    );
    world.ports.sql.refuse(None);
    // After 1, 2 and 4 s before, and now after 8.
    world.elapse(Duration::from_secs(8));
    world.run(world.store().wake()).unwrap();
    world.run(drain(&world.ports, &Html)).unwrap();
    assert_eq!(world.state(id), (State::Done, None));
}

/// The shortest lease that may be set ends before a busy database is given up as usual. It must be given back before that.
#[test]
fn a_result_without_room_costs_its_job_nothing_under_a_short_lease_either() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    world.ports.variables.set("lease_seconds", "3");
    let id = world.submit_url(Kind::Html, "https://a.example/");
    world.ports.sql.refuse(Some("INSERT INTO results"));
    for _ in 0..4 {
        let (drained, ()) = world.run(async {
            let rescue = async {
                // The clock's, every second.
                for _ in 0..8 {
                    world.ports.clock.sleep(Duration::from_secs(1)).await;
                    world.store().rescue().await.unwrap();
                }
            };
            futures::join!(drain(&world.ports, &Html), rescue)
        });
        assert!(drained.is_err());
        world.elapse(Duration::from_secs(70));
        world.run(world.store().wake()).unwrap();
    }
    let message = world.message(id);
    let told = (message.state, message.attempts, message.crash_count);
    assert_eq!(told, (State::Queued, 0, 0));
}

#[test]
fn what_the_database_refuses_for_good_is_not_tried_for_ever() {
    let world = World::without_robots(|_| Reply::html(PAGE));
    for refuse in [
        "CREATE TRIGGER no_result BEFORE INSERT ON results BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER no_failure BEFORE UPDATE ON Messages WHEN NEW.error_code = 'result_not_storable'
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    ] {
        world.run(world.ports.sql.run(refuse, Vec::new())).unwrap();
    }
    let id = world.submit_url(Kind::Html, "https://a.example/");
    for _ in 0..3 {
        assert!(world.run(drain(&world.ports, &Html)).is_err());
        world.elapse(Duration::from_secs(70));
        world.run(world.store().rescue()).unwrap();
    }
    assert_eq!(world.state(id), (State::Failed, Some("poison".to_owned())));
}

#[test]
fn an_invocation_hands_over_when_its_time_is_used() {
    let world = World::without_robots(|_| Reply::html(PAGE).after(Duration::from_secs(10)));
    for n in 0..1_000 {
        world.submit_url(Kind::Html, &format!("https://h{n}.example/"));
    }
    let drained = world.run(drain(&world.ports, &Html)).unwrap();
    assert!(
        (320..1_000).contains(&drained.finished),
        "{}",
        drained.finished
    );
    assert_eq!(drained.finished, drained.claimed);
    assert!(world.ports.clock.elapsed_ms() < 161_000);
    assert_eq!(world.ports.bell.rings(TYPE_2_QUEUE), 1);
}

/// How long after it was submitted, `after_ms` into the invocation, the page of another account is done, while this account's
/// `slow` pages take `slow_s` seconds each.
fn wait_beside_slow_pages_ms(slow: usize, slow_s: u64, after_ms: u64) -> i64 {
    let world = World::without_robots(move |sent| {
        if sent.url.contains("slow") {
            // Sent drop by drop: an answer that does not begin in time would end the attempt.
            (0..slow_s / 5).fold(Reply::html("<p>"), |reply, _| {
                reply.body_after(Duration::from_secs(5), "word ")
            })
        } else {
            Reply::html(PAGE)
        }
    });
    for n in 0..slow {
        world.submit_url(Kind::Html, &format!("https://slow{n}.example/"));
    }
    let mut request = world.request(Kind::Html, "https://quiet.example/");
    request.tenant = AccountId(world.account.0 + 1);
    let late = async {
        let clock = &world.ports.clock;
        clock.sleep(Duration::from_millis(after_ms)).await;
        let limits = QueueLimits {
            tenant_max: 10,
            total_max: 10_000,
            host_in_flight_max: 4,
            host_gap_ms: 0,
        };
        match world.store().submit(&request, &limits).await.unwrap() {
            Submitted::Accepted(id) => id,
            other => panic!("{other:?}"),
        }
    };
    let (drained, id) = world.run(async { futures::join!(drain(&world.ports, &Html), late) });
    drained.unwrap();
    took_ms(&world, request.tenant, id)
}

#[test]
fn slow_pages_of_one_account_keep_no_place_from_another() {
    // In every slot; in so many that a large claim does not fit; and one that outlasts the invocation's usual time.
    for (slow, slow_s, after_ms) in [(500, 40, 5_000), (20, 40, 5_000), (1, 40, 30_000)] {
        let wait_ms = wait_beside_slow_pages_ms(slow, slow_s, after_ms);
        assert!(
            wait_ms <= 150,
            "{slow} slow pages kept another account waiting for {wait_ms} ms"
        );
    }
}

#[test]
fn nothing_runs_beside_a_suspect_however_slow_it_is() {
    let world = World::without_robots(|sent| {
        if sent.url.contains("suspect") {
            (0..6).fold(Reply::html("<p>"), |reply, _| {
                reply.body_after(Duration::from_secs(5), "word ")
            })
        } else {
            Reply::html(PAGE)
        }
    });
    let suspect = world.submit_url(Kind::Html, "https://suspect.example/");
    world
        .run(world.store().claim(Kind::Html, 10, "dies", 60))
        .unwrap();
    world.elapse(Duration::from_secs(61));
    assert_eq!(world.run(world.store().rescue()).unwrap().requeued, 1);
    let other = world.submit_url(Kind::Html, "https://other.example/");
    let started_ms = world.ports.clock.now_ms();
    world.run(drain(&world.ports, &Html)).unwrap();
    let ended_ms = |id| world.message(id).date_process_complete.unwrap() - started_ms;
    assert!(ended_ms(suspect) >= 30_000, "{}", ended_ms(suspect));
    assert!(
        (ended_ms(suspect)..ended_ms(suspect) + 500).contains(&ended_ms(other)),
        "the other waits, and then runs in the same invocation: {}",
        ended_ms(other)
    );
}
