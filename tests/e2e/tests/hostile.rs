//! Origins that mean harm: each costs its own job at most, ends with its code in bounded time, and the service goes on.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trawl_e2e::Scene;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::hostile::{Hostile, LARGE_MIB};

/// The longest attempt takes 45 s; machines are shared and slow.
const DEADLINE: Duration = Duration::from_secs(150);

/// How a job is to end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// With a result that holds these words.
    Done(&'static str),
    /// For good, with one of these codes.
    Failed(&'static [&'static str]),
    /// For now, with one of these codes.
    Again(&'static [&'static str]),
}
use End::{Again, Done, Failed};

const BOMB: End = Failed(&["decode_bomb", "too_large"]);

/// Path, type, end.
const CASES: &[(&str, u8, End)] = &[
    ("bomb/gzip", 1, BOMB),
    ("bomb/deflate", 2, BOMB),
    ("bomb/raw-deflate", 3, BOMB),
    ("bomb/br", 1, BOMB),
    ("bomb/br-window", 2, Again(&["bad_encoding"])),
    ("bomb/zstd", 2, BOMB),
    ("bomb/gzip,gzip", 3, BOMB),
    ("bomb/gzip,gzip,gzip", 1, Failed(&["unsupported_encoding"])),
    ("headers/many", 1, Failed(&["headers_too_large"])),
    ("headers/large", 2, Failed(&["headers_too_large"])),
    ("headers/cookies", 3, Failed(&["headers_too_large"])),
    ("headers/endless", 1, Failed(&["headers_too_large"])),
    ("headers/large-cookies", 2, Done("fine")),
    ("endless/plain", 1, Failed(&["too_large"])),
    ("endless/chunks", 2, Failed(&["too_large"])),
    ("length/long", 1, Again(&["connection_lost"])),
    ("length/short", 2, Done("<p>fine</p>.")),
    ("length/huge", 3, Failed(&["too_large"])),
    ("length/negative", 1, Again(&["protocol"])),
    ("length/twice", 2, Again(&["protocol"])),
    ("length/both", 3, Again(&["connection_lost", "protocol"])),
    ("redirect/endless/0", 1, Failed(&["too_many_redirects"])),
    ("redirect/cookies/0", 2, Failed(&["too_many_redirects"])),
    ("redirect/two/0", 3, Failed(&["redirect_loop"])),
    ("redirect/long/0", 1, Failed(&["url_too_long"])),
    ("redirect/fragment/0", 2, Failed(&["redirect_loop"])),
    ("redirect/empty/0", 3, Failed(&["redirect_loop"])),
    ("broken/closed", 1, Again(&["connection_lost"])),
    ("broken/reset", 2, Again(&["connection_lost"])),
    ("broken/garbage", 3, Again(&["protocol"])),
    ("broken/status", 1, Again(&["protocol"])),
    // What says that it is a page and can't be one.
    ("broken/binary", 2, Failed(&["unsupported_content_type"])),
    ("broken/packed", 3, Again(&["bad_encoding"])),
    ("broken/cut", 1, Again(&["bad_encoding"])),
    ("broken/unknown", 2, Failed(&["unsupported_encoding"])),
];

const PAGES: &[&str] = &[
    "deep",
    "deep-mixed",
    "deep-svg",
    "wide",
    "attributes",
    "one-tag",
    "opened",
    "comments",
    "entities",
    "formatting",
    "tables",
    "nul",
];

/// Pages that fit one by one and not together: one at a time is unpacked, so none ends its instance.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_pages_do_not_add_up() {
    const PAGES: usize = 24;
    const MEMORY_MIB: usize = 128;
    const { assert!(PAGES * LARGE_MIB > 2 * MEMORY_MIB) };
    let options = HostOptions::default()
        .with(&["--instance-memory-mb", &MEMORY_MIB.to_string()])
        .with(&["--workers", "scraper-html=1"])
        .variable("host_in_flight", "40")
        .variable("host_gap_ms", "0");
    let host = Host::start_with(options).await;
    let scene = Scene::set(host.base()).await;
    let hostile = Hostile::start().await;
    let mut ids = Vec::new();
    for n in 0..PAGES {
        ids.push(submit(&scene, &hostile, &format!("large/{n}"), 2).await);
    }
    for id in ids {
        let message = scene.node.wait_finished(id, DEADLINE).await;
        assert_eq!(
            (&message["status"], &message["attempts"]),
            (&json!("done"), &json!(1)),
            "{message}"
        );
    }
    let metrics = scene.node.get("/metrics").await.text();
    let traps = "trawl_component_traps_total{component=\"scraper-html\"} 0";
    assert!(metrics.lines().any(|line| line == traps), "{metrics}");
}

async fn submit(scene: &Scene, origin: &Hostile, path: &str, kind: u8) -> i64 {
    let body = json!({"request_url": origin.url(&format!("/{path}")), "type": kind});
    scene.node.submit(&body).await
}

/// The message once its first attempt is over.
async fn tried(scene: &Scene, what: &str, id: i64) -> Value {
    eventually(what, DEADLINE, || async {
        let message = scene.node.message(id).await;
        let is_over = match message["status"].as_str() {
            Some("done" | "failed") => true,
            Some("queued") => message["attempts"].as_i64() >= Some(1),
            _ => false,
        };
        is_over.then_some(message)
    })
    .await
}

async fn check(scene: &Scene, what: &str, id: i64, end: End) {
    let message = tried(scene, what, id).await;
    let code = message["error"]["code"].as_str().unwrap_or_default();
    let (codes, is_permanent) = match end {
        Done(words) => {
            assert_eq!(message["status"], "done", "{what}: {message}");
            let result = scene.node.get(&format!("/messages/{id}/result")).await;
            assert!(result.text().contains(words), "{what}: {}", result.text());
            return;
        }
        Failed(codes) => (codes, true),
        Again(codes) => (codes, false),
    };
    assert!(codes.contains(&code), "{what}: {message}");
    assert_eq!(
        message["error"]["permanent"], is_permanent,
        "{what}: {message}"
    );
    // Whoever looks late finds all its attempts used.
    if is_permanent {
        assert_eq!(message["status"], "failed", "{what}: {message}");
    } else {
        scene.node.cancel(id).await;
    }
}

/// The service answers and scrapes as before.
async fn goes_on(scene: &Scene) {
    let started = Instant::now();
    assert_eq!(scene.scrape(1, "/odd/plain").await["status"], "done");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "a good page took {:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_harm_ends_with_its_code() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    let origin = Hostile::start().await;
    let mut jobs = Vec::new();
    for (path, kind, end) in CASES {
        jobs.push((*path, submit(&scene, &origin, path, *kind).await, *end));
    }
    goes_on(&scene).await;
    for (what, id, end) in jobs {
        check(&scene, what, id, end).await;
    }
    goes_on(&scene).await;
}

/// For each type: markup that makes careless parsers recurse, copy, or search without end. It is cut, and never refused.
#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_page_ends_in_bounded_time() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    let origin = Hostile::start().await;
    for page in PAGES {
        let mut jobs = Vec::new();
        for kind in 1..=3 {
            jobs.push((
                kind,
                submit(&scene, &origin, &format!("page/{page}"), kind).await,
            ));
        }
        for (kind, id) in jobs {
            let what = format!("{page} as type {kind}");
            let message = tried(&scene, &what, id).await;
            assert_eq!(message["status"], "done", "{what}: {message}");
            let result = scene.node.get(&format!("/messages/{id}/result")).await;
            assert_eq!(result.status, 200, "{what}: {}", result.text());
            assert_eq!(
                message["attempts"], 1,
                "no instance died of {what}: {message}"
            );
        }
    }
    goes_on(&scene).await;
}

/// A head or a body that trickles keeps its slot for a bounded time, and nobody else waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_trickles_is_given_up() {
    let host = Host::start().await;
    let scene = Scene::set(host.base()).await;
    let mut jobs = Vec::new();
    for (path, end, least_s, most_s) in [
        ("slow/head", Again(&["timeout_first_byte"]), 14, 40),
        ("slow/body", Again(&["timeout_total"]), 44, 90),
    ] {
        // Each on an origin of its own: jobs of one host share four slots.
        let origin = Hostile::start().await;
        let id = submit(&scene, &origin, path, 1).await;
        jobs.push((origin, path, id, end, least_s..most_s));
    }
    let started = Instant::now();
    goes_on(&scene).await;
    for (_origin, what, id, end, seconds) in jobs {
        check(&scene, what, id, end).await;
        assert!(
            seconds.contains(&started.elapsed().as_secs()),
            "{what} took {:?}",
            started.elapsed()
        );
    }
}
