//! Large answers and readers that take none of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::{net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response, header::CONTENT_LENGTH};
use http_body_util::{BodyExt as _, StreamBody};
use support::{Door, eventually, plain};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use trawl_balance::{
    Body, BoxError, Call, LocalBackend, LocalReplicas, ReplicaConfig, StrategyKind,
};
use trawl_core::limits::balance::{
    LARGE_ANSWER_BYTES, LARGE_ANSWERS_MAX, LARGE_ANSWERS_PER_CLIENT_MAX,
};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const PIECE: usize = 64 * 1024;
/// More than fits into the buffers of a connection.
const PIECES: usize = 256;

/// Answers in pieces: `/stated` with their length, `/chunked` without, `/broken` with it and an error at the end, `/just` with as
/// much as is not large.
#[derive(Default)]
struct Pages {
    /// Each answer that is being written holds it too.
    held: Arc<()>,
}

impl LocalReplicas for Pages {
    fn open(&self, _: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Ok(Arc::new(Self {
            held: Arc::clone(&self.held),
        }))
    }
}

impl LocalBackend for Pages {
    fn call(self: Arc<Self>, request: Request<Body>) -> Call {
        let path = request.uri().path().to_owned();
        let count = match path.as_str() {
            "/just" => usize::try_from(LARGE_ANSWER_BYTES).unwrap() / PIECE,
            _ => PIECES,
        };
        let held = Arc::clone(&self.held);
        let piece = Bytes::from(vec![b'x'; PIECE]);
        let is_broken = path == "/broken";
        let pieces = stream::iter(0..count).map(move |number| {
            let _held = &held;
            if is_broken && number + 1 == count {
                return Err("broken".into());
            }
            Ok(http_body::Frame::data(piece.clone()))
        });
        let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
        if path != "/chunked" {
            let bytes = (count * PIECE).into();
            response.headers_mut().insert(CONTENT_LENGTH, bytes);
        }
        Box::pin(async move { Ok(response) })
    }
}

struct Front {
    door: Door,
    held: Arc<()>,
}

impl Front {
    async fn start() -> Self {
        let pages = Pages::default();
        let held = Arc::clone(&pages.held);
        let replicas = vec![ReplicaConfig::new("pages", None)];
        let config = plain(StrategyKind::RoundRobin, replicas);
        let door = Door::open(config, Arc::new(pages)).await;
        Self { door, held }
    }

    async fn begin_many(&self, client: Ipv4Addr, path: &str, count: usize) -> Vec<TcpStream> {
        let streams = (0..count).map(|_| self.door.begin(client, path));
        futures::future::join_all(streams).await
    }

    /// Waits until so many answers are being written.
    async fn held(&self, count: usize) {
        // The test, the maker of replicas and the replica hold it too.
        eventually("answers end", || Arc::strong_count(&self.held) - 3 == count).await;
    }
}

fn assert_refused(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{:.300}",
        answer
    );
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(
        answer.contains(r#""code":"too_many_large_answers""#),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_holds_few_large_answers_and_others_go_on() {
    let front = Front::start().await;
    let unread = front
        .begin_many(ONE, "/stated", LARGE_ANSWERS_PER_CLIENT_MAX)
        .await;
    assert_refused(&front.door.whole(ONE, "/stated").await, 429);
    front.held(LARGE_ANSWERS_PER_CLIENT_MAX).await;
    assert_eq!(front.door.balancer.snapshot().refused_large, 1);
    assert!(
        front
            .door
            .whole(ONE, "/just")
            .await
            .starts_with("HTTP/1.1 200 "),
        "it is not large"
    );
    let other = front.door.whole(OTHER, "/stated").await;
    assert!(other.len() > PIECE * PIECES, "{} bytes", other.len());
    drop(unread);
    front.held(0).await;
    drop(front.door.begin(ONE, "/stated").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_or_breaks_off_makes_room() {
    let front = Front::start().await;
    let mut unread = front
        .begin_many(ONE, "/stated", LARGE_ANSWERS_PER_CLIENT_MAX - 1)
        .await;
    for path in ["/stated", "/broken", "/chunked"].repeat(3) {
        let answer = front.door.whole(ONE, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path} {answer:.300}");
        // What breaks off may lose what was under way.
        let least = match path {
            "/broken" => PIECE * PIECES / 2,
            _ => PIECE * (PIECES - 1),
        };
        assert!(answer.len() > least, "{path} {}", answer.len());
    }
    unread.push(front.door.begin(ONE, "/stated").await);
    assert_refused(&front.door.whole(ONE, "/stated").await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_unknown_length_counts_from_where_it_becomes_large() {
    let front = Front::start().await;
    let mut unread = front
        .begin_many(ONE, "/chunked", LARGE_ANSWERS_PER_CLIENT_MAX)
        .await;
    // Each is counted only once so much of it was written, which may be more than the system's buffers take.
    let mut begun = vec![0; usize::try_from(LARGE_ANSWER_BYTES).unwrap() + 2 * PIECE];
    for stream in &mut unread {
        stream.read_exact(&mut begun).await.unwrap();
    }
    assert_refused(&front.door.whole(ONE, "/stated").await, 429);
    let cut = front.door.whole(ONE, "/chunked").await;
    assert!(cut.starts_with("HTTP/1.1 200 "), "{cut:.300}");
    assert!(cut.len() < 2 * PIECE * 16, "{} bytes", cut.len());
    assert!(
        !cut.ends_with("0\r\n\r\n"),
        "it can be told from a whole one"
    );
    drop(unread);
    front.held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_together_hold_few_large_answers() {
    let front = Front::start().await;
    let unread = front
        .begin_many(Ipv4Addr::LOCALHOST, "/stated", LARGE_ANSWERS_MAX)
        .await;
    for client in [Ipv4Addr::LOCALHOST, ONE] {
        assert_refused(&front.door.whole(client, "/stated").await, 503);
    }
    drop(unread);
    front.held(0).await;
    assert!(
        front
            .door
            .whole(ONE, "/stated")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}
