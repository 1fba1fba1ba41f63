//! Bodies that come from the host.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap};
use spin_sdk::http::IncomingMessage;
use spin_sdk::wasip3::http::types::{ErrorCode, Trailers};
use spin_sdk::wasip3::wit_future;
use spin_sdk::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult};
use trawl_app::ports::{Body, Phase, SendError};

use crate::outgoing::into_send_error;

/// Room for one read of a body: a page of common size arrives in one or two host calls.
const READ_BYTES: usize = 64 * 1024;

/// The length that the sender of a body states.
pub(crate) fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body of a request or a response, read from the host in large pieces. Dropping it tells the host that nobody reads on.
pub struct SpinBody<M> {
    /// Bytes that are still to come, when that is known.
    left: Option<u64>,
    state: State<M>,
}

enum State<M> {
    Unread(M),
    Reading(Reading),
    Ended,
}

struct Reading {
    stream: StreamReader<u8>,
    trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
    /// Kept until the end: it tells the host how the reading ended.
    _outcome: FutureWriter<Result<(), ErrorCode>>,
}

impl Reading {
    fn of<M: IncomingMessage>(message: M) -> Self {
        let (outcome, reader) = wit_future::new(|| Ok(()));
        let (stream, trailers) = message.consume_body(reader);
        Self {
            stream,
            trailers,
            _outcome: outcome,
        }
    }
}

impl<M: IncomingMessage> SpinBody<M> {
    /// The body of `message`, of `left` bytes when that is known: the host holds a peer to the length that it states, so there is
    /// no need to ask for the end, nor for a body where none can be.
    pub(crate) const fn of(message: M, left: Option<u64>) -> Self {
        Self {
            left,
            state: State::Unread(message),
        }
    }

    /// Room for one read: no more than is still to come.
    fn room(&self) -> usize {
        let left = self.left.and_then(|left| usize::try_from(left).ok());
        left.map_or(READ_BYTES, |left| left.min(READ_BYTES))
    }
}

impl<M: IncomingMessage> Body for SpinBody<M> {
    async fn chunk(&mut self) -> Option<Result<Bytes, SendError>> {
        if self.left == Some(0) {
            self.state = State::Ended;
        }
        let room = self.room();
        let mut reading = match std::mem::replace(&mut self.state, State::Ended) {
            State::Unread(message) => Reading::of(message),
            State::Reading(reading) => reading,
            State::Ended => return None,
        };
        let (result, piece) = reading.stream.read(Vec::with_capacity(room)).await;
        if !piece.is_empty() {
            self.left = self
                .left
                .map(|left| left.saturating_sub(piece.len() as u64));
            self.state = State::Reading(reading);
            return Some(Ok(Bytes::from(piece)));
        }
        match result {
            // An empty piece is not the end: ask again at the next call.
            StreamResult::Complete(_) => {
                self.state = State::Reading(reading);
                Some(Ok(Bytes::new()))
            }
            // How the transfer ended comes with the trailers.
            StreamResult::Dropped | StreamResult::Cancelled => reading
                .trailers
                .await
                .err()
                .map(|error| Err(into_send_error(error, Phase::BetweenBytes))),
        }
    }
}
