//! Peers that stall, die or send too much.

use crate::support::{answers, class, client, fetch, get, post, read_head, serve, short};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use trawl_outbound::{OutboundError, Timeouts};

#[tokio::test]
async fn a_head_that_does_not_come_ends_at_first_byte() {
    let server = answers(b"HTTP/1.1 200 OK\r\nx-slow: ").await;
    let begun = Instant::now();
    let outcome = client()
        .send(&class(), get(&server.url("/")), short())
        .await;
    assert_eq!(outcome.unwrap_err(), OutboundError::ConnectionReadTimeout);
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_body_that_stalls_ends_between_bytes() {
    let server = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let client = client();
    let mut body = client
        .send(&class(), get(&server.url("/")), short())
        .await
        .unwrap()
        .into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "half"
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap_err(),
        OutboundError::ConnectionReadTimeout
    );
    assert!(body.frame().await.is_none());
    assert_eq!(client.stats().connections_open, 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let server = serve(|mut tcp| async move {
        read_head(&mut tcp).await;
        let _ = tcp
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
    })
    .await;
    let outcome = fetch(&client(), &server.url("/")).await;
    assert!(
        matches!(outcome, Err(OutboundError::ConnectionTerminated(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_is_taken_out() {
    let server = answers(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
    )
    .await;
    let answer = client()
        .send(&class(), get(&server.url("/")), Timeouts::default())
        .await
        .unwrap();
    assert!(!answer.headers().contains_key("content-length"));
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "whole"
    );
}

#[tokio::test]
async fn too_many_fields_or_bytes_in_a_head_are_refused() {
    for (fields, length) in [(101, 1), (9, 8_000)] {
        let server = serve(move |mut tcp| async move {
            read_head(&mut tcp).await;
            let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
            for number in 0..fields {
                head.push_str(&format!("x-{number}: {}\r\n", "a".repeat(length)));
            }
            head.push_str("\r\n");
            let _ = tcp.write_all(head.as_bytes()).await;
        })
        .await;
        let outcome = fetch(&client(), &server.url("/")).await;
        assert_eq!(
            outcome,
            Err(OutboundError::ResponseHeadTooLarge),
            "{fields} fields of {length} bytes"
        );
    }
}

#[tokio::test]
async fn what_is_not_http_is_an_error_of_the_protocol() {
    let server = answers(b"220 mail.test ESMTP\r\n\r\n").await;
    let outcome = fetch(&client(), &server.url("/")).await;
    assert!(
        matches!(outcome, Err(OutboundError::HttpProtocolError(_))),
        "{outcome:?}"
    );
}

/// Answers one request per connection as one that stays open, and closes it when the second request has come.
async fn closes_on_second_request() -> (crate::support::Server, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let server = serve(move |mut tcp| {
        let count = Arc::clone(&count);
        async move {
            while let Some(head) = read_head(&mut tcp).await {
                let second = count.fetch_add(1, Ordering::SeqCst) == 1;
                if second {
                    return;
                }
                if head.starts_with(b"POST") {
                    let _ = tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut [0; 2]).await;
                }
                let _ = tcp
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            }
        }
    })
    .await;
    (server, requests)
}

#[tokio::test]
async fn a_get_that_meets_a_dying_connection_is_sent_once_more() {
    let (server, requests) = closes_on_second_request().await;
    let client = client();
    fetch(&client, &server.url("/")).await.unwrap();
    assert_eq!(fetch(&client, &server.url("/")).await.unwrap(), "ok");
    assert_eq!(
        (
            requests.load(Ordering::SeqCst),
            client.stats().retries,
            server.connections()
        ),
        (3, 1, 2)
    );
}

#[tokio::test]
async fn a_post_that_was_sent_is_never_sent_again() {
    let (server, requests) = closes_on_second_request().await;
    let client = client();
    fetch(&client, &server.url("/")).await.unwrap();
    let outcome = client
        .send(&class(), post(&server.url("/"), "hi"), Timeouts::default())
        .await;
    assert!(matches!(
        outcome.unwrap_err(),
        OutboundError::ConnectionTerminated(_)
    ));
    assert_eq!(
        (requests.load(Ordering::SeqCst), client.stats().retries),
        (2, 0)
    );
}
