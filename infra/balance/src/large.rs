//! Large bodies on their way. As long as its reader takes none of it, an answer is held where it is made; so the readers decide how
//! much memory is taken, and the number of answers that they may do that with is what bounds it. The same goes for whoever sends the
//! body of a request, which is held here until all of it has come.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_LENGTH};
use http_body::Body as _;
use http_body_util::BodyExt;
use trawl_core::limits::balance as limits;

use crate::{
    body::{Body, Polled, Seen, Watch},
    problem::Problem,
    tally::{Counted, Tally, TooMany},
};

const TOO_MANY: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "too_many_large_answers",
    "The service is sending too many large answers.",
)
.retry_after(Duration::from_secs(1));
const TOO_MANY_OF_CLIENT: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_large_answers",
    "This address is reading too many large answers.",
)
.retry_after(Duration::from_secs(1));

const TOO_MANY_BODIES: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "too_many_large_bodies",
    "The service is receiving too many large requests.",
)
.retry_after(Duration::from_secs(1));
const TOO_MANY_BODIES_OF_CLIENT: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_large_bodies",
    "This address is sending too many large requests.",
)
.retry_after(Duration::from_secs(1));

/// The large bodies of requests that are being read, or are at work.
#[derive(Debug, Default)]
pub(crate) struct LargeBodies {
    read: Arc<Tally>,
    refused: AtomicU64,
}

impl LargeBodies {
    /// Counts one in, for the network of its client; an exempt client has none.
    ///
    /// # Errors
    /// It would be one too many.
    pub(crate) fn enter(&self, network: Option<IpAddr>) -> Result<Counted, Problem> {
        let bounds = (
            limits::LARGE_BODIES_MAX,
            limits::LARGE_BODIES_PER_CLIENT_MAX,
        );
        self.read.enter(network, bounds).map_err(|too_many| {
            self.refused.fetch_add(1, Relaxed);
            match too_many {
                TooMany::InAll => TOO_MANY_BODIES,
                TooMany::OfNetwork => TOO_MANY_BODIES_OF_CLIENT,
            }
        })
    }

    /// Requests that were refused because there were too many.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// The large answers that are being sent.
#[derive(Debug, Default)]
pub(crate) struct LargeAnswers {
    sent: Arc<Tally>,
    refused: Arc<AtomicU64>,
}

impl LargeAnswers {
    /// The answer, counted until its last byte is gone if it is a large one; in its place a problem if there are too many. One whose
    /// length nobody states is counted from where it becomes large, and breaks off there if there are too many. One to an exempt
    /// client counts among all, not for its network.
    pub(crate) fn pass(&self, response: Response<Body>, network: Option<IpAddr>) -> Response<Body> {
        if response.body().is_end_stream() {
            return response;
        }
        let length = response.body().size_hint().exact().or_else(|| {
            let stated = response.headers().get(CONTENT_LENGTH)?;
            stated.to_str().ok()?.parse().ok()
        });
        if length.is_some_and(|bytes| bytes <= limits::LARGE_ANSWER_BYTES) {
            return response;
        }
        let door = Door {
            sent: Arc::clone(&self.sent),
            refused: Arc::clone(&self.refused),
            network,
        };
        let counted = match length {
            Some(_) => match door.enter() {
                Ok(counted) => Some(counted),
                Err(TooMany::InAll) => return TOO_MANY.response(),
                Err(TooMany::OfNetwork) => return TOO_MANY_OF_CLIENT.response(),
            },
            None => None,
        };
        response.map(|body| {
            let sent = Sent {
                bytes: 0,
                door,
                counted,
            };
            Seen::new(body, sent).boxed_unsync()
        })
    }

    /// Answers that were refused, or broken off, because there were too many.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// Where an answer is counted, as soon as it is known to be large.
struct Door {
    sent: Arc<Tally>,
    refused: Arc<AtomicU64>,
    network: Option<IpAddr>,
}

impl Door {
    fn enter(&self) -> Result<Counted, TooMany> {
        let bounds = (
            limits::LARGE_ANSWERS_MAX,
            limits::LARGE_ANSWERS_PER_CLIENT_MAX,
        );
        let entered = self.sent.enter(self.network, bounds);
        if entered.is_err() {
            self.refused.fetch_add(1, Relaxed);
        }
        entered
    }
}

/// An answer that is large, or may become so.
struct Sent {
    /// What has passed, while it was not counted.
    bytes: u64,
    door: Door,
    counted: Option<Counted>,
}

impl Watch for Sent {
    fn seen(&mut self, polled: Polled, _body: &Body) -> Polled {
        match &polled {
            Poll::Ready(Some(Ok(frame))) if self.counted.is_none() => {
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if self.bytes > limits::LARGE_ANSWER_BYTES {
                    match self.door.enter() {
                        Ok(counted) => self.counted = Some(counted),
                        Err(_) => {
                            return Poll::Ready(Some(Err("too many large answers".into())));
                        }
                    }
                }
            }
            Poll::Ready(None | Some(Err(_))) => self.counted = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}
