//! Clients that send or read slowly, and the places of a replica.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::{future::BoxFuture, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use support::{Door, PATIENCE, eventually, plain, read_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use trawl_balance::{
    BackendError, BalanceConfig, Body, BoxError, LocalBackend, LocalReplicas, ReplicaConfig,
    StrategyKind, Whole,
};
use trawl_core::limits::balance::LARGE_BODIES_PER_CLIENT_MAX;

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const PIECE: usize = 64 * 1024;
/// More than fits into the buffers of a connection.
const PIECES: usize = 256;

/// Answers with a byte, and to `/long` with much, all of which is there already.
struct Answers;

impl LocalReplicas for Answers {
    fn open(&self, _: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Ok(Arc::new(Self))
    }
}

impl LocalBackend for Answers {
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, BackendError>> {
        let (size, count) = match request.uri().path() {
            "/long" => (PIECE, PIECES),
            _ => (1, 1),
        };
        Box::pin(async move {
            let _read = request.into_body().collect().await;
            let piece = Bytes::from(vec![b'x'; size]);
            let pieces = stream::iter((0..count).map(move |_| Ok(Frame::data(piece.clone()))));
            let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
            response.extensions_mut().insert(Whole);
            Ok(response)
        })
    }
}

/// In front of one replica with one place.
async fn open(change: impl FnOnce(&mut BalanceConfig)) -> Door {
    let mut replica = ReplicaConfig::new("only", None);
    replica.concurrency_max = 1;
    let mut config = plain(StrategyKind::RoundRobin, vec![replica]);
    change(&mut config);
    Door::open(config, Arc::new(Answers)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_takes_no_place() {
    for length in [2, 70_000] {
        let door = open(|_| {}).await;
        let begun = format!(
            "POST / HTTP/1.1\r\nhost: trawl.test\r\ncontent-length: {length}\r\n\r\n{}",
            "1".repeat(length - 1)
        );
        let mut slow = door.send(ONE, &begun).await;
        eventually("it has begun", || door.balancer.snapshot().requests == 1).await;
        let answer = door.whole(OTHER, "/").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        slow.write_all(b"2").await.unwrap();
        let mut status = [0; 12];
        slow.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200", "it may come later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_counted_for_their_client() {
    let door = open(|_| {}).await;
    let begun = "POST / HTTP/1.1\r\nhost: trawl.test\r\ncontent-length: 70000\r\n\r\n1";
    let mut slow = Vec::new();
    for _ in 0..LARGE_BODIES_PER_CLIENT_MAX {
        slow.push(door.send(ONE, begun).await);
    }
    let all_begun = || door.balancer.snapshot().requests == LARGE_BODIES_PER_CLIENT_MAX as u64;
    eventually("they have begun", all_begun).await;
    let refused = read_all(&mut door.send(ONE, begun).await).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("too_many_large_bodies"), "{refused}");
    assert_eq!(door.balancer.snapshot().refused_large, 1);
    let small = door.whole(ONE, "/").await;
    assert!(small.starts_with("HTTP/1.1 200 "), "{small}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_nobody_reads_takes_no_place() {
    let door = open(|_| {}).await;
    let _unread = door.begin(ONE, "/long").await;
    let answer = door.whole(OTHER, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_count_for_their_client() {
    let door = open(|config| config.client_in_flight_max = 2).await;
    let unread = [
        door.begin(ONE, "/long").await,
        door.begin(ONE, "/long").await,
    ];
    let refused = door.whole(ONE, "/").await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    let other = door.whole(OTHER, "/").await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
    drop(unread);
    // The other end hears of it in its own time.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "never: the client is let in");
        let answer = door.whole(ONE, "/").await;
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    }
}
