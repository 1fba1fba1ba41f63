//! The one body type that passes through the front door.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// Any error, as it crosses the seam between the balancer and a backend.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streaming body. It is `Send` but not `Sync`, because guests' bodies are not.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body without a byte.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is already there as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// What a body gives when it is asked for its next frame.
pub type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

/// Whoever wants to know what passes of a body.
pub trait Watch: Unpin {
    /// Called each time that `body` was asked; what it returns is handed on.
    fn seen(&mut self, polled: Polled, body: &Body) -> Polled;
}

/// A body of which somebody sees what passes.
pub struct Seen<W> {
    body: Body,
    watch: W,
}

impl<W: Watch> Seen<W> {
    /// `body`, with `watch` beside it.
    pub const fn new(body: Body, watch: W) -> Self {
        Self { body, watch }
    }
}

impl<W: Watch> http_body::Body for Seen<W> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.watch.seen(polled, &this.body)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
