//! A server that nobody may reach sees not one connection: by the URL of a job, by redirects of pages and of robots.txt, by
//! names, by callback URLs, and by what a page lures to, in every spelling that we know. The host is the real one with its
//! defaults, in a network where every address of the Internet is this machine and the test answers all names, so that a
//! request that should not have been sent arrives, whatever its address.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

mod connector;
mod site;
#[path = "../../../data/ssrf.rs"]
mod spellings;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value, json};
use site::{PUBLIC_V4, PUBLIC_V6, Site};
use spellings::{BYPASSES, OTHERWISE_REFUSED};
use tokio::net::TcpStream;
use trawl_kit::api::Node;
use trawl_kit::dns::Dns;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};

/// Some two hundred jobs wait for their turn.
const DEADLINE: Duration = Duration::from_secs(120);

/// Addresses behind names, as a guard that sees only the URL can't know them.
const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "240.0.0.1",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "2606:4700::5efe:127.0.0.1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "fd00:ec2::254",
    "fec0::1",
];

/// The names of this network: the site's, `a<N>` for each address alone, `m<N>` for it beside a public one, and for
/// whatever else is asked the canary, so that a name that should not have been looked up leads there.
fn resolve(name: &str) -> Vec<IpAddr> {
    let public = [IpAddr::V4(PUBLIC_V4), IpAddr::V6(PUBLIC_V6)];
    let numbered = |prefix: &str| {
        name.strip_suffix(".names.example")?
            .strip_prefix(prefix)?
            .parse::<usize>()
            .ok()
    };
    let address = |number: usize| ADDRESSES[number].parse::<IpAddr>().unwrap();
    if name == "site.example" || name.ends_with(".site.example") {
        public.to_vec()
    } else if let Some(number) = numbered("a") {
        vec![address(number)]
    } else if let Some(number) = numbered("m") {
        [&public[..], &[address(number)]].concat()
    } else if name == "nowhere.example" {
        Vec::new()
    } else {
        vec![Ipv4Addr::LOCALHOST.into()]
    }
}

#[test]
fn no_spelling_reaches_the_canary() {
    trawl_kit::network::run_inside("no_spelling_reaches_the_canary", inside);
}

async fn inside() {
    let _dns = Dns::start(([127, 0, 0, 1], 53).into(), resolve).await;
    let site = Site::start(targets()).await;
    the_canary_sings(&site).await;
    let host = Host::start_with(HostOptions {
        no_private: true,
        ..HostOptions::default()
    })
    .await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let mut told = Told::default();
    by_url(&node, &mut told).await;
    let jobs = [
        by_redirect(&node).await,
        by_name(&node).await,
        by_lure(&node).await,
    ];
    let robots = by_robots(&node).await;
    let callbacks = by_callback(&node).await;
    for (what, id, wanted) in jobs.concat() {
        let message = node.wait_finished(id, DEADLINE).await;
        check(&what, &message, wanted, &mut told);
    }
    for (what, id) in robots {
        let tried = eventually(&what, DEADLINE, || async {
            let message = node.message(id).await;
            (message["attempts"].as_i64() >= Some(1) && message["status"] != "processing")
                .then_some(message)
        });
        assert_ne!(tried.await["status"], "done", "{what}");
    }
    for (what, id) in callbacks {
        told.add(&first_delivery(&node, &what, id).await["error"]);
    }
    let hits = site.take_hits();
    assert!(hits.is_empty(), "the canary was reached: {hits:?}");
    told.says_nothing();
    assert!(
        site.requests()
            .iter()
            .any(|request| request == "GET page.site.example/page"),
        "the site itself is served: {:?}",
        site.requests()
    );
    drop(host);
    what_is_opened_can_be_reached(&site).await;
}

/// The proof that the canary works: whoever does connect is seen.
async fn the_canary_sings(site: &Site) {
    let reached = [
        "127.0.0.1:80",
        "10.0.0.1:8080",
        "169.254.169.254:80",
        "[::1]:80",
        "[64:ff9b::7f00:1]:443",
        "[fd00:ec2::254]:80",
    ];
    for address in reached {
        TcpStream::connect(address)
            .await
            .unwrap_or_else(|e| panic!("{address} is not local here: {e}"));
    }
    let mut hits = Vec::new();
    eventually("the canary sees who connects", DEADLINE, || {
        hits.extend(site.take_hits());
        let all = hits.len() == reached.len();
        async move { all.then_some(()) }
    })
    .await;
}

/// Where `/to/N` and the robots.txt of `robots-N` lead: what a header can hold of all spellings, then the names.
fn targets() -> Vec<String> {
    let spelt = BYPASSES
        .iter()
        .copied()
        .chain(OTHERWISE_REFUSED.iter().map(|(raw, _)| *raw));
    spelt
        .filter(|raw| !raw.contains(|c: char| c < ' ' && c != '\t'))
        .map(str::to_owned)
        .chain((0..ADDRESSES.len()).map(|number| format!("http://a{number}.names.example/")))
        .collect()
}

/// A job, and the code that it must fail with; none where a relative reference stays on the site.
type Posted = (String, i64, Option<&'static str>);

async fn submit(node: &Node, url: &str, number: usize) -> i64 {
    node.submit(&json!({"request_url": url, "type": 1 + number % 3}))
        .await
}

/// The URL of a job and of a callback, as written: refused before there is a job.
async fn by_url(node: &Node, told: &mut Told) {
    let spelt = BYPASSES
        .iter()
        .chain(OTHERWISE_REFUSED.iter().map(|(raw, _)| raw));
    for (number, raw) in spelt.enumerate() {
        for (field, body) in [
            (
                "request_url",
                json!({"request_url": raw, "type": 1 + number % 3}),
            ),
            (
                "callback_url",
                json!({"request_url": "http://page.site.example/page", "type": 2, "callback_url": raw}),
            ),
        ] {
            let answer = node.post("/receive_data", &body).await;
            assert_eq!(answer.status, 422, "{field} {raw:?}: {}", answer.text());
            if number < BYPASSES.len() {
                told.add(&json!(
                    answer.json()["detail"]
                        .as_str()
                        .unwrap()
                        .replace(field, "url")
                ));
            }
        }
    }
}

async fn by_redirect(node: &Node) -> Vec<Posted> {
    let mut posted = Vec::new();
    for (number, target) in targets().into_iter().enumerate() {
        // Each from a host of its own: the usual pause between pages of one host would take longer than the test.
        let id = submit(
            node,
            &format!("http://h{number}.site.example/to/{number}"),
            number,
        )
        .await;
        // Without the slashes it would be a relative reference, which stays on the site.
        let is_absolute = BYPASSES.contains(&target.as_str()) && target.starts_with("http://");
        posted.push((
            format!("redirect to {target:?}"),
            id,
            is_absolute.then_some("address_not_allowed"),
        ));
    }
    posted
}

async fn by_name(node: &Node) -> Vec<Posted> {
    let mut posted = Vec::new();
    for (number, address) in ADDRESSES.iter().enumerate() {
        for kind in ["a", "m"] {
            let id = submit(
                node,
                &format!("http://{kind}{number}.names.example/"),
                number,
            )
            .await;
            posted.push((
                format!("{kind} name for {address}"),
                id,
                Some("address_not_allowed"),
            ));
        }
    }
    posted
}

/// What a page asks a browser to load is not loaded.
async fn by_lure(node: &Node) -> Vec<Posted> {
    let mut posted = Vec::new();
    for number in 0..3 {
        let id = submit(
            node,
            &format!("http://lures{number}.site.example/lures"),
            number,
        )
        .await;
        posted.push(("a page that lures".to_owned(), id, None));
    }
    posted
}

/// A robots.txt that leads there can't be read, so nothing is allowed.
async fn by_robots(node: &Node) -> Vec<(String, i64)> {
    let mut posted = Vec::new();
    for (number, target) in targets()
        .into_iter()
        .enumerate()
        .filter(|(_, url)| url.starts_with("http://"))
        .step_by(5)
    {
        let id = submit(
            node,
            &format!("http://robots-{number}.site.example/page"),
            number,
        )
        .await;
        posted.push((format!("robots.txt at {target:?}"), id));
    }
    posted
}

/// Callbacks to names, and to a public receiver that sends them on.
async fn by_callback(node: &Node) -> Vec<(String, i64)> {
    let names = (0..ADDRESSES.len()).map(|number| format!("http://a{number}.names.example/hook"));
    let moved = (0..targets().len())
        .step_by(25)
        .map(|number| format!("http://hook{number}.site.example/to/{number}"));
    let mut posted = Vec::new();
    for callback in names.chain(moved) {
        let body = json!({"request_url": "http://page.site.example/page", "type": 2, "callback_url": callback, "max_age": 3_600});
        posted.push((format!("callback to {callback}"), node.submit(&body).await));
    }
    posted
}

async fn first_delivery(node: &Node, what: &str, id: i64) -> Value {
    let delivery = eventually(what, DEADLINE, || async {
        let list = node.get(&format!("/messages/{id}/deliveries")).await.json();
        list["data"].get(0).cloned()
    })
    .await;
    let status = &delivery["status"];
    assert!(status.is_null() || status == 308, "{what}: {delivery}");
    if status.is_null() {
        delivery
    } else {
        json!({})
    }
}

#[track_caller]
fn check(what: &str, message: &Value, wanted: Option<&str>, told: &mut Told) {
    if let Some(code) = wanted {
        assert_eq!(message["status"], "failed", "{what}: {message}");
        assert_eq!(message["error"]["code"], code, "{what}: {message}");
        told.add(&message["error"]["detail"]);
    }
}

/// What tenants were told about refused addresses.
#[derive(Default)]
struct Told(BTreeSet<String>);

impl Told {
    fn add(&mut self, text: &Value) {
        if let Some(text) = text.as_str() {
            self.0.insert(
                text.trim_start_matches("`url`: ")
                    .trim_end_matches('.')
                    .to_owned(),
            );
        }
    }

    /// One and the same sentence for all, so that it can't be told a private network from a metadata service, nor a name
    /// from what stands behind it.
    fn says_nothing(&self) {
        assert_eq!(self.0.len(), 1, "{:?}", self.0);
    }
}

/// What the operator opens is reached by the same ways, so it is the guard that held and no accident; all but the service's
/// own address.
async fn what_is_opened_can_be_reached(site: &Site) {
    let host = Host::start_with(HostOptions {
        listen: Some("127.0.0.1:8443".to_owned()),
        ..HostOptions::default().with(&["--allow-private", "::1/128"])
    })
    .await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    for (number, url) in [
        "http://2130706433/x",
        "http://a0.names.example/",
        "http://h1.site.example/to/0",
        "http://LOCALHOST./x",
    ]
    .into_iter()
    .enumerate()
    {
        let id = submit(&node, url, number).await;
        let message = node.wait_finished(id, DEADLINE).await;
        assert_eq!(message["status"], "done", "{url}: {message}");
        let hits = site.take_hits();
        assert!(!hits.is_empty(), "{url} was reached");
    }
    for url in [
        "http://127.0.0.1:8443/livez",
        "http://0x7f.1:8443/",
        "http://localhost:8443/",
        "http://a0.names.example:8443/livez",
        "http://[::ffff:127.0.0.1]:8443/",
    ] {
        let id = node
            .post("/receive_data", &json!({"request_url": url, "type": 2}))
            .await;
        if id.status == 422 {
            continue;
        }
        let id = id.json()["data"]["message_id"].as_i64().unwrap();
        let message = node.wait_finished(id, DEADLINE).await;
        assert_eq!(
            message["error"]["code"], "address_not_allowed",
            "{url}: {message}"
        );
    }
}
