//! Requests of which all local replicas together work on only so many at once: those that cost much more than others.
//!
//! A component can't know how many instances of it there are, so it can't keep such a limit; its host can.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trawl_balance::{Body, Problem};
use trawl_core::limits::api::HASHES_RETRY_S;

use crate::manifest::CostlyRequests;

/// The answer to a request that found as many waiting as may wait.
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
}

/// Held while a costly request is worked on.
pub(crate) type Place = OwnedSemaphorePermit;

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

    /// Waits for a turn, first come, first served; `None` when too many wait already.
    pub(crate) async fn place(&self) -> Option<Place> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
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
        }))
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_more_are_told_so() {
        let gate = gate(2, 1);
        assert!(gate.is_meant("/token") && !gate.is_meant("/keys"));
        let running = [gate.place().await.unwrap(), gate.place().await.unwrap()];
        let mut third = Box::pin(gate.place());
        assert!(futures::poll!(&mut third).is_pending());
        assert_eq!(gate.waiting(), 1);
        assert!(gate.place().await.is_none(), "one waits already");
        drop(running);
        assert!(third.await.is_some());
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_trace() {
        let gate = gate(1, 1);
        let running = gate.place().await.unwrap();
        let mut waiting = Box::pin(gate.place());
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(gate.waiting(), 0);
        drop(running);
        assert!(gate.place().await.is_some());
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
