//! How many connections it takes.

use crate::support::{answers, class, client, fetch, get, hello, post, serve, short, text};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trawl_outbound::{Class, Client, Options, OutboundError, Timeouts};

fn limited(options: Options) -> Client {
    Client::new(options, |_: &Class, _: SocketAddr| true).unwrap()
}

pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_thousand_requests_one_after_another_take_one_connection() {
    let server = hello().await;
    let client = client();
    for number in 0..1_000 {
        let path = format!("/{number}");
        let expected = format!("GET {path} {}", server.address);
        assert_eq!(fetch(&client, &server.url(&path)).await.unwrap(), expected);
    }
    assert_eq!(
        (server.connections(), client.stats().connections_reused),
        (1, 999)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_keep_to_the_limit_of_the_host() {
    let server = hello().await;
    let client = limited(Options {
        requests_per_host_max: 8,
        ..Options::default()
    });
    let mut tasks = Vec::new();
    for _ in 0..1_000 {
        let (client, url) = (client.clone(), server.url("/"));
        tasks.push(tokio::spawn(
            async move { fetch(&client, &url).await.unwrap() },
        ));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(
        server.connections() <= 8,
        "{} connections",
        server.connections()
    );
    assert!(client.stats().connections_idle <= 8);
}

#[tokio::test]
async fn a_short_body_that_nobody_reads_keeps_its_connection() {
    let server = hello().await;
    let client = client();
    for _ in 0..10 {
        let response = client
            .send(
                &class(),
                post(&server.url("/"), "body"),
                Timeouts::default(),
            )
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
    }
    assert!(
        server.connections() <= 2,
        "{} connections",
        server.connections()
    );
}

#[tokio::test]
async fn a_long_body_that_nobody_reads_closes_its_connection() {
    let server = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nstart").await;
    let client = client();
    drop(
        client
            .send(&class(), get(&server.url("/")), Timeouts::default())
            .await
            .unwrap(),
    );
    assert_eq!(client.stats().connections_open, 0);
}

#[tokio::test]
async fn the_limit_of_the_host_is_waited_for_and_then_refused() {
    let server = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let client = limited(Options {
        requests_per_host_max: 1,
        ..Options::default()
    });
    let held = client
        .send(&class(), get(&server.url("/")), short())
        .await
        .unwrap();
    let outcome = client.send(&class(), get(&server.url("/")), short()).await;
    assert_eq!(outcome.unwrap_err(), OutboundError::ConnectionLimitReached);
    drop(held);
}

/// It came while every connection was in use, so there was no idle one to close.
#[tokio::test]
async fn who_waits_gets_the_place_of_the_next_connection_that_becomes_idle() {
    let (first, second) = (hello().await, hello().await);
    let client = limited(Options {
        connections_max: 1,
        ..Options::default()
    });
    let held = client
        .send(&class(), get(&first.url("/")), Timeouts::default())
        .await
        .unwrap();
    let (other, url) = (client.clone(), second.url("/"));
    let waiting = tokio::spawn(async move { fetch(&other, &url).await });
    eventually("the second request begins", || client.stats().requests == 2).await;
    // One turn more: it has counted itself, and now waits.
    tokio::task::yield_now().await;
    text(held).await.unwrap();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another_host() {
    let (first, second) = (hello().await, hello().await);
    let client = limited(Options {
        connections_max: 1,
        ..Options::default()
    });
    for server in [&first, &second, &first] {
        fetch(&client, &server.url("/")).await.unwrap();
    }
    assert_eq!(
        (
            first.connections(),
            second.connections(),
            client.stats().connections_open
        ),
        (2, 1, 1)
    );
}

/// Also when that one was used again since it first became idle, more often than the list of them remembers.
#[tokio::test]
async fn room_is_made_by_the_connection_that_has_been_idle_for_longest() {
    let (first, second, third) = (hello().await, hello().await, hello().await);
    let client = limited(Options {
        connections_max: 2,
        ..Options::default()
    });
    for server in [&first, &second] {
        fetch(&client, &server.url("/")).await.unwrap();
    }
    for _ in 0..20 {
        fetch(&client, &first.url("/")).await.unwrap();
    }
    // Here the second one's goes.
    fetch(&client, &third.url("/")).await.unwrap();
    fetch(&client, &first.url("/")).await.unwrap();
    assert_eq!(
        (
            first.connections(),
            second.connections(),
            third.connections()
        ),
        (1, 1, 1)
    );
    fetch(&client, &second.url("/")).await.unwrap();
    fetch(&client, &first.url("/")).await.unwrap();
    assert_eq!(
        (
            first.connections(),
            second.connections(),
            third.connections()
        ),
        (1, 2, 1)
    );
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let server = hello().await;
    let client = limited(Options {
        idle_ms_max: 100,
        ..Options::default()
    });
    fetch(&client, &server.url("/")).await.unwrap();
    assert_eq!(client.stats().connections_idle, 1);
    eventually("the idle connection stays open", || {
        client.stats().connections_open == 0
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_not_used() {
    let closed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let server = serve(move |mut tcp| {
        let count = Arc::clone(&count);
        async move {
            crate::support::read_head(&mut tcp).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut tcp, answer).await;
            drop(tcp);
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    })
    .await;
    let client = client();
    for number in 1..=5 {
        // A POST is never repeated, so it fails if it goes over the closed connection.
        let response = client
            .send(&class(), post(&server.url("/"), ""), Timeouts::default())
            .await
            .unwrap();
        assert_eq!(text(response).await.unwrap(), "ok");
        let closed = Arc::clone(&closed);
        eventually("the server keeps it open", move || {
            closed.load(std::sync::atomic::Ordering::SeqCst) == number
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_streams_in_both_directions() {
    let server = hello().await;
    let response = client()
        .send(
            &class(),
            post(&server.url("/up"), "payload"),
            Timeouts::default(),
        )
        .await
        .unwrap();
    assert_eq!(
        http_body::Body::size_hint(response.body()).exact(),
        Some(
            response.headers()["content-length"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        )
    );
    let collected = response.into_body().collect().await.unwrap().to_bytes();
    assert!(collected.starts_with(b"POST /up"));
}
