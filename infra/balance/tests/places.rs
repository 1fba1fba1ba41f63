//! Clients that send or read slowly, and the places of a replica.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use support::{Door, PATIENCE, eventually, plain, read_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use trawl_balance::{
    BalanceConfig, Body, BoxError, Call, LocalBackend, LocalReplicas, ReplicaConfig, StrategyKind,
    Whole,
};
use trawl_core::limits::balance::LARGE_BODIES_PER_CLIENT_MAX;

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const PIECE: usize = 64 * 1024;
/// More than fits into the buffers of a connection.
const PIECES: usize = 256;

/// Answers with a byte, and to `/long` with much, all of which is there already; to `/held` when it may.
#[derive(Clone)]
struct Answers {
    may_answer: Arc<Semaphore>,
}

impl LocalReplicas for Answers {
    fn open(&self, _: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Ok(Arc::new(self.clone()))
    }
}

impl LocalBackend for Answers {
    fn call(self: Arc<Self>, request: Request<Body>) -> Call {
        let (size, count) = match request.uri().path() {
            "/long" => (PIECE, PIECES),
            _ => (1, 1),
        };
        let is_held = request.uri().path() == "/held";
        Box::pin(async move {
            if is_held {
                self.may_answer.acquire().await.unwrap().forget();
            }
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
    let may_answer = Arc::new(Semaphore::new(0));
    open_over(Answers { may_answer }, change).await
}

async fn open_over(answers: Answers, change: impl FnOnce(&mut BalanceConfig)) -> Door {
    let mut replica = ReplicaConfig::new("only", None);
    replica.concurrency_max = 1;
    let mut config = plain(StrategyKind::RoundRobin, vec![replica]);
    change(&mut config);
    Door::open(config, Arc::new(answers)).await
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

/// A component that works for somebody who has left works on: what it takes is counted for him until it ends.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_keeps_the_place_until_the_work_ends() {
    let answers = Answers {
        may_answer: Arc::new(Semaphore::new(0)),
    };
    let door = open_over(answers.clone(), |config| config.client_in_flight_max = 1).await;
    let begun = door.send(ONE, "GET /held HTTP/1.1\r\nhost: trawl.test\r\n\r\n");
    let begun = begun.await;
    let only = || door.balancer.snapshot().replicas.remove(0);
    eventually("it is under way", || only().in_flight == 1).await;
    drop(begun);
    eventually("it is known that he has left", || only().abandoned == 1).await;
    assert_eq!(only().in_flight, 1);
    let refused = door.whole(ONE, "/").await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    let mut waits = door
        .send(OTHER, "GET / HTTP/1.1\r\nhost: trawl.test\r\n\r\n")
        .await;
    eventually("another one waits for the place", || only().queued == 1).await;
    answers.may_answer.add_permits(1);
    let mut status = [0; 12];
    waits.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    let again = door.whole(ONE, "/").await;
    assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
}
