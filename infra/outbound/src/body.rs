//! The body of a response, with its limit on silence.

use crate::OutboundError;
use crate::connection::{Http1, hyper_error, poll_body};
use crate::pool::{Key, Pool};
use crate::shared_use::SharedUse;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use trawl_core::limits::outbound::{
    DRAIN_BYTES_MAX, JOINED_BYTES_MAX, JOINED_MAX, PIECE_BYTES_MEAN_MIN, PIECE_BYTES_SMALL,
    PIECES_FREE,
};

/// What a response still holds while its body is read.
pub(crate) struct Lease {
    pub(crate) pool: Arc<Pool>,
    pub(crate) key: Arc<Key>,
    pub(crate) connection: Held,
    pub(crate) _slot: OwnedSemaphorePermit,
}

/// The connection behind a body.
pub(crate) enum Held {
    Http1(Box<Http1>),
    Http2(SharedUse),
}

impl Held {
    /// Its peer said nothing for too long. It may be gone without a word, and then it would swallow all requests to come: an
    /// HTTP/1.1 connection closes with its request, a shared one must get no more.
    pub(crate) fn fell_silent(&self) {
        if let Self::Http2(shared) = self {
            shared.forget();
        }
    }
}

impl Lease {
    fn http1(&mut self) -> Option<&mut Http1> {
        match &mut self.connection {
            Held::Http1(http1) => Some(http1),
            Held::Http2(_) => None,
        }
    }

    /// Gives the connection back after a complete body. A use of an HTTP/2 connection gives itself back.
    fn give_back(self) {
        if let Held::Http1(http1) = self.connection {
            self.pool.put_idle(&self.key, http1);
        }
    }
}

/// A response body. Read it to its end, or drop it: when the rest is short and already here, the connection is kept all
/// the same; otherwise it is closed.
pub struct ResponseBody {
    incoming: Incoming,
    lease: Option<Lease>,
    between_bytes: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    silent: bool,
    /// Pieces and bytes so far.
    pieces: u64,
    bytes: u64,
    /// What came behind pieces that were joined, and is not one.
    behind: Option<Behind>,
}

/// The end of a body, or what can't be joined.
type Behind = Option<Result<Frame<Bytes>, hyper::Error>>;

impl ResponseBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease, between_bytes: Duration) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
            between_bytes,
            silence: None,
            silent: false,
            pieces: 0,
            bytes: 0,
            behind: None,
        };
        if body.incoming.is_end_stream() {
            body.complete();
        }
        body
    }

    fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Behind> {
        if let Some(behind) = self.behind.take() {
            return Poll::Ready(behind);
        }
        let http1 = self.lease.as_mut().and_then(Lease::http1);
        let polled = poll_body(&mut self.incoming, http1, context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.pieces += 1;
            self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    /// A small piece with those behind it that are here already.
    fn joined(&mut self, first: Frame<Bytes>, context: &mut Context<'_>) -> Frame<Bytes> {
        let first = match first.into_data() {
            Ok(first) if first.len() < PIECE_BYTES_SMALL => first,
            Ok(first) => return Frame::data(first),
            Err(trailers) => return trailers,
        };
        let mut joined = BytesMut::new();
        for _ in 0..JOINED_MAX {
            let next = match self.poll_piece(context) {
                Poll::Ready(Some(Ok(next))) => next.into_data().map_err(|next| Some(Ok(next))),
                Poll::Ready(behind) => Err(behind),
                Poll::Pending => break,
            };
            match next {
                Ok(next) => {
                    if joined.is_empty() {
                        joined.extend_from_slice(&first);
                    }
                    joined.extend_from_slice(&next);
                    if joined.len() >= JOINED_BYTES_MAX {
                        break;
                    }
                }
                Err(behind) => {
                    self.behind = Some(behind);
                    break;
                }
            }
        }
        Frame::data(if joined.is_empty() {
            first
        } else {
            joined.freeze()
        })
    }

    fn is_in_crumbs(&self) -> bool {
        self.pieces > PIECES_FREE && self.bytes < self.pieces * PIECE_BYTES_MEAN_MIN
    }

    /// Time runs only while nothing comes.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.between_bytes;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.silent {
            self.silent = true;
            silence.as_mut().reset(deadline);
        }
        silence.as_mut().poll(context)
    }

    /// Reads what is already here, to keep the connection; gives up when more would have to be waited for.
    fn drain(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut bytes = 0;
        while self.lease.is_some() {
            match self.poll_piece(&mut context) {
                Poll::Ready(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(None) => self.complete(),
                Poll::Ready(Some(Err(_))) | Poll::Pending => return,
            }
            if bytes > DRAIN_BYTES_MAX {
                return;
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = OutboundError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OutboundError>>> {
        let this = &mut *self;
        if this.lease.is_none() {
            return Poll::Ready(None);
        }
        match this.poll_piece(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.silent = false;
                let frame = if this.incoming.is_end_stream() {
                    frame
                } else {
                    this.joined(frame, context)
                };
                if this.is_in_crumbs() {
                    this.lease = None;
                    return Poll::Ready(Some(Err(OutboundError::ResponseBodyInCrumbs)));
                }
                if this.behind.is_none() && this.incoming.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.lease = None;
                Poll::Ready(Some(Err(hyper_error(&error))))
            }
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Pending => match this.poll_silence(context) {
                Poll::Ready(()) => {
                    if let Some(lease) = this.lease.take() {
                        lease.connection.fell_silent();
                    }
                    Poll::Ready(Some(Err(OutboundError::ConnectionReadTimeout)))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.lease {
            Some(_) => self.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if matches!(&self.lease, Some(lease) if matches!(lease.connection, Held::Http1(_))) {
            self.drain();
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseBody")
            .field("complete", &self.lease.is_none())
            .finish_non_exhaustive()
    }
}
