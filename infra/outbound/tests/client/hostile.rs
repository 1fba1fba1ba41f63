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

/// The fields of an answer whose head has `line` in it, between two sound fields, and its body.
async fn with_line(line: &[u8]) -> Result<(http::HeaderMap, String), OutboundError> {
    let mut answer = b"HTTP/1.1 200 OK\r\nx-first: 1\r\n".to_vec();
    answer.extend_from_slice(line);
    answer.extend_from_slice(b"\r\nx-last: 2\r\ncontent-length: 2\r\n\r\nok");
    let server = serve(move |mut tcp| {
        let answer = answer.clone();
        async move {
            if read_head(&mut tcp).await.is_some() {
                let _ = tcp.write_all(&answer).await;
                let _ = tokio::io::AsyncReadExt::read_u8(&mut tcp).await;
            }
        }
    })
    .await;
    let answer = client()
        .send(&class(), get(&server.url("/")), Timeouts::default())
        .await?;
    let headers = answer.headers().clone();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((headers, String::from_utf8(body.to_vec()).unwrap()))
}

#[tokio::test]
async fn a_line_that_is_no_field_does_not_cost_the_page() {
    let cases: [(&[u8], Option<&str>); 9] = [
        (b"no colon here", None),
        (b": x", None),
        (b" x-odd: x", None),
        (b"x-\xe9: x", None),
        (b"x-\x01: x", None),
        (b"x-odd: a\x01b", None),
        (b"x-odd : x", Some("x")),
        (b"x-odd: a\r\n\t b", Some("a b")),
        (b"x-odd:\r\n a", Some("a")),
    ];
    for (line, odd) in cases {
        let shown = String::from_utf8_lossy(line);
        let (headers, body) = with_line(line).await.unwrap();
        let field = |name| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(field("x-odd"), odd, "{shown:?}");
        // What stands before a line that begins with a blank goes on in it.
        let first = if line.starts_with(b" ") {
            "1 x-odd: x"
        } else {
            "1"
        };
        assert_eq!(
            (field("x-first"), field("x-last"), body.as_str()),
            (Some(first), Some("2"), "ok"),
            "{shown:?}"
        );
    }
    let value = with_line(b"x-odd: \xe9").await.unwrap().0;
    assert_eq!(value.get("x-odd").unwrap().as_bytes(), b"\xe9");
    for line in [&b"x\0y: z"[..], b"x-odd: a\0b", b"x-odd: a\rb"] {
        let outcome = with_line(line).await;
        assert!(
            matches!(outcome, Err(OutboundError::HttpProtocolError(_))),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn lengths_are_strict_in_a_sloppy_head_too() {
    for length in [
        "content-length: 5\r\ncontent-length: 2",
        "content-length : 5\r\ncontent-length: 2",
        "content-length: 5\r\ncontent-length:\r\n 2",
        "content-length: +2",
        "content-length: 2 2",
        "content-length: 2\r\n 2",
    ] {
        let outcome = with_line(length.as_bytes()).await;
        assert!(
            matches!(outcome, Err(OutboundError::HttpProtocolError(_))),
            "{length:?}: {outcome:?}"
        );
    }
    // It says what it says without the blank or the fold, and counts more than a length.
    for coding in [
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: gzip,\r\n\tchunked",
    ] {
        let bytes = format!(
            "HTTP/1.1 200 OK\r\n{coding}\r\ncontent-length: 2\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"
        );
        let server = answers(bytes.leak().as_bytes()).await;
        assert_eq!(
            fetch(&client(), &server.url("/")).await.as_deref(),
            Ok("whole"),
            "{coding:?}"
        );
    }
}

#[tokio::test]
async fn what_follows_a_body_whose_length_was_left_out_answers_nobody() {
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad";
    for line in ["transfer-encoding: chunked\x01", "content-length\x01: 99"] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{line}\r\ncontent-length: 2\r\n\r\nok{second}");
        let server = answers(bytes.leak().as_bytes()).await;
        let client = client();
        for _ in 0..2 {
            assert_eq!(
                fetch(&client, &server.url("/")).await.as_deref(),
                Ok("ok"),
                "{line:?}"
            );
        }
        assert_eq!(server.connections(), 2, "{line:?}");
    }
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

/// Sends `count` chunks of `size` bytes, as quickly as they are taken.
async fn chunks(size: usize, count: usize) -> crate::support::Server {
    serve(move |mut tcp| async move {
        read_head(&mut tcp).await;
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = tcp.write_all(head).await;
        let chunk = [
            format!("{size:x}\r\n").as_bytes(),
            &vec![b'x'; size],
            b"\r\n",
        ]
        .concat();
        let many = chunk.repeat(count.min(10_000));
        for _ in 0..count.div_ceil(10_000) {
            if tcp.write_all(&many).await.is_err() {
                return;
            }
        }
        let _ = tcp.write_all(b"0\r\n\r\n").await;
        let _ = tokio::io::AsyncReadExt::read_u8(&mut tcp).await;
    })
    .await
}

#[tokio::test]
async fn small_pieces_are_joined() {
    for (size, count) in [(1, 50_000), (40, 50_000), (8_000, 50), (1, 1)] {
        let server = chunks(size, count).await;
        let client = client();
        let class = class();
        let answer = client.send(&class, get(&server.url("/")), Timeouts::default());
        let mut body = answer.await.unwrap().into_body();
        let (mut pieces, mut bytes) = (0, 0);
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().unwrap().len();
            pieces += 1;
        }
        assert_eq!(bytes, size * count);
        // How many depends on how much lies ready each time.
        assert!(pieces <= 200.max(count / 10), "{pieces} of {size}");
        assert_eq!(client.stats().connections_idle, 1, "read to its end");
    }
}

#[tokio::test]
async fn a_body_in_crumbs_is_refused() {
    let server = chunks(1, 100_000).await;
    let outcome = fetch(&client(), &server.url("/")).await;
    assert_eq!(outcome.unwrap_err(), OutboundError::ResponseBodyInCrumbs);
}
