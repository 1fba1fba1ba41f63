//! Requests of which all local replicas together work on only so many at once: those that cost much more than others.
//!
//! A component can't know how many instances of it there are, so it can't keep such a limit; its host can.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trawl_balance::tally::{Counted, Tally};
use trawl_balance::{Body, Problem};
use trawl_core::client;
use trawl_core::limits::api::HASHES_RETRY_S;

use crate::manifest::CostlyRequests;

/// The answer to a request that found as many waiting as may wait, or as many of its network.
pub(crate) const TOO_MANY: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "busy",
    "Too many requests of this kind at once.",
)
.retry_after(Duration::from_secs(HASHES_RETRY_S));

/// The gate of one component, shared by its replicas.
pub(crate) struct Costly {
    routes: Vec<String>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    /// Those that run or wait, of each network.
    places_of: Arc<Tally>,
    network_max: usize,
}

/// Held while a costly request is worked on.
#[derive(Debug)]
pub(crate) struct Place {
    _turn: OwnedSemaphorePermit,
    _counted: Counted,
}

/// Counts one that waits, until it has its place or went away.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Costly {
    /// As the manifest has it.
    pub(crate) fn new(rules: &CostlyRequests) -> Self {
        Self {
            routes: rules.routes.clone(),
            places: Arc::new(Semaphore::new(rules.running_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: rules.waiting_max,
            places_of: Arc::default(),
            network_max: rules.network_max,
        }
    }

    /// Whether requests by this route are meant.
    pub(crate) fn is_meant(&self, route: &str) -> bool {
        self.routes.iter().any(|one| one == route)
    }

    /// Requests that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Waits for a turn, first come, first served; `None` when too many wait already, or the client's network has its part of the
    /// places: whoever else comes must find one. This machine has no part of its own, and neither has who is not known.
    pub(crate) async fn place(&self, client: Option<IpAddr>) -> Option<Place> {
        let network = client.and_then(client::counted);
        let bounds = (usize::MAX, self.network_max);
        let counted = self.places_of.enter(network, bounds).ok()?;
        let turn = self.turn().await?;
        Some(Place {
            _turn: turn,
            _counted: counted,
        })
    }

    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(turn);
        }
        let before = self.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return None;
        }
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

/// The whole body, read before a place is asked for: a client that sends slowly must not hold one. The front door has bounded
/// it in bytes and time. One that breaks off is handed on so, for the component to answer.
pub(crate) async fn read_whole(mut body: Body) -> Body {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            // Trailers; no component reads them.
            Ok(Err(_)) => {}
            Err(error) => {
                let frames = [Ok(Frame::data(Bytes::from(read))), Err(error)];
                return StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
            }
        }
    }
    Full::new(Bytes::from(read))
        .map_err(|never| match never {})
        .boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(running_max: usize, waiting_max: usize) -> Arc<Costly> {
        Arc::new(Costly::new(&CostlyRequests {
            routes: vec!["/token".to_owned()],
            running_max,
            waiting_max,
            network_max: 2,
        }))
    }

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_more_are_told_so() {
        let gate = gate(2, 1);
        assert!(gate.is_meant("/token") && !gate.is_meant("/keys"));
        let running = [
            gate.place(None).await.unwrap(),
            gate.place(None).await.unwrap(),
        ];
        let mut third = Box::pin(gate.place(None));
        assert!(futures::poll!(&mut third).is_pending());
        assert_eq!(gate.waiting(), 1);
        assert!(gate.place(None).await.is_none(), "one waits already");
        drop(running);
        assert!(third.await.is_some());
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_trace() {
        let gate = gate(1, 1);
        let running = gate.place(None).await.unwrap();
        let mut waiting = Box::pin(gate.place(None));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(gate.waiting(), 0);
        drop(running);
        assert!(gate.place(None).await.is_some());
    }

    #[tokio::test]
    async fn no_network_takes_the_places_of_the_others() {
        let gate = gate(1, 4);
        let (one, same) = (client("2001:db8::1"), client("2001:db8::2"));
        let running = gate.place(one).await.unwrap();
        let mut second = Box::pin(gate.place(same));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(gate.place(one).await.is_none(), "it has its part");
        let mut other = Box::pin(gate.place(client("192.0.2.1")));
        assert!(futures::poll!(&mut other).is_pending(), "it has a place");
        // One that went away while it waited gives its part back, and so does one that is done.
        drop(second);
        let mut again = Box::pin(gate.place(one));
        assert!(futures::poll!(&mut again).is_pending());
        drop(running);
        drop(other.await.unwrap());
        drop(again.await.unwrap());
        // All of it is there again.
        let running = gate.place(one).await.unwrap();
        let mut second = Box::pin(gate.place(same));
        assert!(futures::poll!(&mut second).is_pending());
        drop(running);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn one_that_finds_all_places_taken_uses_nothing_up() {
        let gate = gate(1, 0);
        let running = gate.place(client("192.0.2.1")).await.unwrap();
        for _ in 0..4 {
            assert!(gate.place(client("192.0.2.2")).await.is_none());
        }
        drop(running);
        assert!(gate.place(client("192.0.2.2")).await.is_some());
    }

    #[tokio::test]
    async fn this_machine_has_no_part_of_its_own() {
        let gate = gate(4, 0);
        let here = ["127.0.0.1", "::1", "127.0.0.1", "::1"];
        let mut held = Vec::new();
        for address in here {
            held.push(gate.place(client(address)).await.unwrap());
        }
        assert!(gate.place(client("127.0.0.1")).await.is_none());
    }

    #[tokio::test]
    async fn a_body_is_the_same_after_it_was_read() {
        let whole = read_whole(trawl_balance::body::full("username=a")).await;
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "username=a");
        let frames = [
            Ok(Frame::data(Bytes::from("user"))),
            Err("it broke off".into()),
        ];
        let broken = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
        let mut broken = read_whole(broken).await;
        let first = broken.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "user");
        assert!(broken.frame().await.unwrap().is_err());
    }
}
