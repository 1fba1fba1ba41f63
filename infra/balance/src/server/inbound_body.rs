//! Bodies at the front door: a request's is bounded in bytes and time, an answer's keeps its connection from being idle.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::{pieces::Pieces, taking::Taking, watched::Active};
use crate::{
    body::{Body, BoxError, Polled, Seen, Watch},
    problem::{Problem, SLOW_BODY},
};

pub(super) const TOO_LARGE: Problem = Problem::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "body_too_large",
    "The body of the request is too large.",
);

/// What went wrong with a request's body, if anything. It outranks whatever the replica made of the half body.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict(Arc<AtomicU8>);

const LARGE: u8 = 1;
const SLOW: u8 = 2;

impl Verdict {
    pub(super) fn problem(&self) -> Option<Problem> {
        match self.0.load(Relaxed) {
            LARGE => Some(TOO_LARGE),
            SLOW => Some(SLOW_BODY),
            _ => None,
        }
    }
}

/// The body of a request.
pub(super) struct Guarded {
    body: Incoming,
    left: u64,
    deadline: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    verdict: Verdict,
}

impl Guarded {
    pub(super) fn new(body: Incoming, bytes_max: u64, deadline: Instant) -> (Self, Verdict) {
        let verdict = Verdict::default();
        let guarded = Self {
            body,
            left: bytes_max,
            deadline,
            alarm: None,
            verdict: verdict.clone(),
        };
        (guarded, verdict)
    }

    fn give_up(
        &self,
        verdict: u8,
        why: &'static str,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.verdict.0.store(verdict, Relaxed);
        Poll::Ready(Some(Err(why.into())))
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                let Some(left) = this.left.checked_sub(size) else {
                    return this.give_up(LARGE, "the body is too large");
                };
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|outcome| outcome.map_err(Into::into))),
            Poll::Pending => {
                // Only a body that has to be waited for costs a timer.
                let deadline = this.deadline;
                let alarm = this
                    .alarm
                    .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                match alarm.as_mut().poll(context) {
                    Poll::Ready(()) => this.give_up(SLOW, "the body is too slow"),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. `stall` is how long its reader may take nothing, where the stream below can't tell: in HTTP/2 the connection
/// goes on when one answer stands still.
pub(super) fn answering(body: Body, active: Active, stall: Option<Duration>) -> Seen<Answering> {
    let active = (!body.is_end_stream()).then_some(active);
    let body = if active.is_some() && stall.is_some() {
        Pieces::of(body).boxed_unsync()
    } else {
        body
    };
    let guarded = active.as_ref().zip(stall);
    let taking = guarded.map(|(active, stall)| Taking::new(active.watch(), stall));
    Seen::new(body, Answering { active, taking })
}

/// What an answer keeps of its connection until its end.
pub(super) struct Answering {
    active: Option<Active>,
    taking: Option<Taking>,
}

impl Watch for Answering {
    fn seen(&mut self, polled: Polled, _body: &Body) -> Polled {
        match &polled {
            Poll::Ready(None | Some(Err(_))) => (self.active, self.taking) = (None, None),
            Poll::Ready(Some(Ok(_))) => self.taking.iter().for_each(|taking| taking.taken()),
            Poll::Pending => self.taking.iter().for_each(|taking| taking.asked()),
        }
        polled
    }
}
