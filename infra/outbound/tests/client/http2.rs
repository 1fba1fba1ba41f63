//! HTTP/2 connections: how they share the places of the pool with others, and what becomes of one whose peer falls silent.

use crate::pooling::eventually;
use crate::support::{Server, class, get, serve, short, text};
use crate::tls::{LONG, authority, serve_with};
use http::Version;
use hyper::Response;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use trawl_kit::tls::Authority;
use trawl_outbound::{
    Class, Client, Options, OutboundError, Resolve, Resolving, ResponseBody, Timeouts,
};

/// Every name is this machine.
struct Here;

impl Resolve for Here {
    fn resolve(&self, _: &str, port: u16) -> Resolving {
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
    }
}

fn client(authority: &Authority, connections_max: usize) -> Client {
    let options = Options {
        extra_ca_files: vec![authority.file()],
        connections_max,
        ..Options::default()
    };
    Client::with_resolver(options, |_: &Class, _: SocketAddr| true, Here).unwrap()
}

fn url(server: &Server, path: &str) -> String {
    format!("https://site.test:{}{path}", server.address.port())
}

/// Long enough for a loaded machine, and shorter than a test that fails should take.
fn patient() -> Timeouts {
    let time = Duration::from_secs(5);
    Timeouts {
        connect: time,
        first_byte: time,
        between_bytes: time,
    }
}

async fn send(client: &Client, url: &str) -> Result<Response<ResponseBody>, OutboundError> {
    let response = client.send(&class(), get(url), patient()).await?;
    assert_eq!(response.version(), Version::HTTP_2);
    Ok(response)
}

async fn fetch(client: &Client, url: &str) -> Result<String, OutboundError> {
    text(send(client, url).await?).await
}

/// As one of HTTP/1.1 is (`addresses.rs`): what may be dialled can change while it is open.
#[tokio::test]
async fn a_shared_connection_is_checked_again_before_it_is_used() {
    let authority = authority();
    let server = serve_with(&authority).await;
    let options = Options {
        extra_ca_files: vec![authority.file()],
        ..Options::default()
    };
    let allowed = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&allowed);
    let check = move |_: &Class, _: SocketAddr| switch.load(SeqCst);
    let client = Client::with_resolver(options, check, Here).unwrap();
    fetch(&client, &url(&server, "/")).await.unwrap();
    allowed.store(false, SeqCst);
    assert_eq!(
        fetch(&client, &url(&server, "/")).await.unwrap_err(),
        OutboundError::DestinationIpProhibited
    );
}

#[tokio::test]
async fn an_unused_connection_makes_room_for_another_host() {
    let authority = authority();
    let (first, second) = (serve_with(&authority).await, serve_with(&authority).await);
    let client = client(&authority, 1);
    for server in [&first, &second, &first] {
        assert_eq!(fetch(&client, &url(server, "/")).await.unwrap(), "secret");
    }
    let stats = client.stats();
    assert_eq!(
        (
            first.connections(),
            second.connections(),
            stats.connections_open,
            stats.connections_idle
        ),
        (2, 1, 1, 1)
    );
}

#[tokio::test]
async fn room_is_made_by_the_connection_that_was_not_used_for_longest() {
    let authority = authority();
    let servers = [
        serve_with(&authority).await,
        serve_with(&authority).await,
        serve_with(&authority).await,
    ];
    let client = client(&authority, 2);
    for server in [&servers[0], &servers[1], &servers[0], &servers[2]] {
        fetch(&client, &url(server, "/")).await.unwrap();
        // Uses are told apart by the millisecond.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One that is in use is left alone, however long ago its use began.
    let held = send(&client, &url(&servers[0], "/")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    fetch(&client, &url(&servers[2], "/")).await.unwrap();
    fetch(&client, &url(&servers[1], "/")).await.unwrap();
    assert_eq!(text(held).await.unwrap(), "secret");
    assert_eq!(servers.each_ref().map(Server::connections), [1, 2, 1]);
}

/// It came while every connection was in use, so there was none to close.
#[tokio::test]
async fn who_waits_gets_the_place_when_the_last_use_ends() {
    for is_read in [true, false] {
        let authority = authority();
        let (first, second) = (serve_with(&authority).await, serve_with(&authority).await);
        let client = client(&authority, 1);
        let held = send(&client, &url(&first, "/")).await.unwrap();
        let last = send(&client, &url(&first, "/half")).await.unwrap();
        let (other, second_url) = (client.clone(), url(&second, "/"));
        let waiting = tokio::spawn(async move { fetch(&other, &second_url).await });
        eventually("the third request begins", || client.stats().requests == 3).await;
        // One turn more: it has counted itself, and now waits.
        tokio::task::yield_now().await;
        let (first_end, last_end) = if is_read { (last, held) } else { (held, last) };
        drop(first_end);
        assert_eq!(client.stats().connections_idle, 0, "another use goes on");
        if is_read {
            assert_eq!(text(last_end).await.unwrap(), "secret");
        } else {
            drop(last_end);
        }
        assert_eq!(waiting.await.unwrap().unwrap(), "secret");
        assert_eq!((first.connections(), second.connections()), (1, 1));
    }
}

#[tokio::test]
async fn a_connection_whose_peer_falls_silent_gets_no_new_requests() {
    let authority = authority();
    let server = serve_with(&authority).await;
    let client = client(&authority, 8);
    let under_way = send(&client, &url(&server, "/")).await.unwrap();
    let outcome = client
        .send(&class(), get(&url(&server, "/silent")), short())
        .await;
    assert_eq!(outcome.unwrap_err(), OutboundError::ConnectionReadTimeout);
    assert_eq!(fetch(&client, &url(&server, "/")).await.unwrap(), "secret");
    assert_eq!(server.connections(), 2, "a new one");
    assert_eq!(
        text(under_way).await.unwrap(),
        "secret",
        "what was under way goes on"
    );
    // In the midst of a body as well.
    let times = Timeouts {
        between_bytes: short().between_bytes,
        ..patient()
    };
    let half = client
        .send(&class(), get(&url(&server, "/half")), times)
        .await
        .unwrap();
    assert_eq!(
        text(half).await.unwrap_err(),
        OutboundError::ConnectionReadTimeout
    );
    assert_eq!(fetch(&client, &url(&server, "/")).await.unwrap(), "secret");
    assert_eq!(server.connections(), 3, "a new one");
    eventually("those that were forgotten close", || {
        client.stats().connections_open == 1
    })
    .await;
}

/// Their readers may wait for what the others hold.
#[tokio::test]
async fn responses_that_are_not_read_hold_up_no_other_one() {
    let authority = authority();
    let server = serve_with(&authority).await;
    let client = client(&authority, 1);
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(send(&client, &url(&server, "/long")).await.unwrap());
    }
    let read = fetch(&client, &url(&server, "/long")).await.unwrap();
    assert_eq!(read.len(), LONG);
    for late in unread {
        assert_eq!(text(late).await.unwrap().len(), LONG);
    }
    assert_eq!(server.connections(), 1);
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 0], payload].concat()
}

/// A peer that asks for answers to its pings and reads none: what is to be sent to it, the goodbye as well, stays unsent.
#[tokio::test]
async fn a_connection_whose_peer_does_not_read_counts_until_it_is_closed() {
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    let authority = authority();
    let acceptor = authority.acceptor();
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    let server = serve(move |tcp| {
        let (acceptor, open) = (acceptor.clone(), Arc::clone(&counted));
        async move {
            let mut tls = acceptor.accept(tcp).await.unwrap();
            open.fetch_add(1, SeqCst);
            let pings = frame(PING, 0, b"12345678").repeat(10_000);
            let _ = tls.write_all(&frame(SETTINGS, 0, &[])).await;
            // Until nothing more fits, and then until the other side has gone.
            while tls.write_all(&pings).await.is_ok() {}
            open.fetch_sub(1, SeqCst);
        }
    })
    .await;
    let client = client(&authority, 1);
    for _ in 0..3 {
        let times = Timeouts {
            first_byte: Duration::from_millis(500),
            ..patient()
        };
        let outcome = client.send(&class(), get(&url(&server, "/")), times).await;
        assert_eq!(outcome.unwrap_err(), OutboundError::ConnectionReadTimeout);
        // The other side hears of the last one's end in its own time.
        eventually("one is open at most", || open.load(SeqCst) <= 1).await;
    }
    eventually("the last one is closed", || {
        client.stats().connections_open == 0 && open.load(SeqCst) == 0
    })
    .await;
}
