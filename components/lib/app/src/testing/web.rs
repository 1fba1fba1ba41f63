//! The web of a test: what is answered to which request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::VirtualClock;
use crate::ports::{Body, Clock as _, Http, Phase, Purpose, SendError, Timeouts};

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Under which policy.
    pub purpose: Purpose,
    /// The URL.
    pub url: String,
    /// The method.
    pub method: http::Method,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When, in virtual milliseconds since the beginning.
    pub at_ms: u64,
}

impl Sent {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The path of the URL with its query.
    pub fn path(&self) -> &str {
        let after_scheme = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        after_scheme
            .find('/')
            .map_or("/", |slash| &after_scheme[slash..])
    }
}

/// What the fake web answers.
#[derive(Debug, Clone)]
pub struct Reply {
    error: Option<SendError>,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    head_after: Duration,
    pieces: VecDeque<(Duration, Result<Bytes, SendError>)>,
}

impl Reply {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            error: None,
            status,
            headers: Vec::new(),
            head_after: Duration::ZERO,
            pieces: VecDeque::new(),
        }
    }

    /// A page of HTML with status 200.
    pub fn html(body: impl Into<Bytes>) -> Self {
        Self::status(200)
            .header("content-type", "text/html; charset=utf-8")
            .body(body)
    }

    /// Plain text with status 200.
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::status(200)
            .header("content-type", "text/plain")
            .body(body)
    }

    /// A redirect.
    pub fn redirect(status: u16, location: impl AsRef<[u8]>) -> Self {
        Self::status(status).header("location", location)
    }

    /// No answer at all.
    pub fn failure(error: SendError) -> Self {
        Self {
            error: Some(error),
            ..Self::status(500)
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Adds a piece of the body.
    pub fn body(self, piece: impl Into<Bytes>) -> Self {
        self.body_after(Duration::ZERO, piece)
    }

    /// Adds a piece that comes after a wait.
    pub fn body_after(mut self, wait: Duration, piece: impl Into<Bytes>) -> Self {
        self.pieces.push_back((wait, Ok(piece.into())));
        self
    }

    /// The body breaks off.
    pub fn broken(mut self, error: SendError) -> Self {
        self.pieces.push_back((Duration::ZERO, Err(error)));
        self
    }

    /// Waits before the head.
    pub fn after(mut self, wait: Duration) -> Self {
        self.head_after = wait;
        self
    }
}

type Serve = Box<dyn Fn(&Sent) -> Reply>;

/// A web that answers by a closure and keeps what it was asked.
pub struct FakeHttp {
    clock: VirtualClock,
    serve: Serve,
    sent: RefCell<Vec<Sent>>,
    open: Cell<usize>,
    open_max: Cell<usize>,
}

impl FakeHttp {
    pub(super) fn new(clock: VirtualClock, serve: impl Fn(&Sent) -> Reply + 'static) -> Self {
        Self {
            clock,
            serve: Box::new(serve),
            sent: RefCell::default(),
            open: Cell::new(0),
            open_max: Cell::new(0),
        }
    }

    /// The URLs asked for, in order.
    pub fn urls(&self) -> Vec<String> {
        self.sent
            .borrow()
            .iter()
            .map(|sent| sent.url.clone())
            .collect()
    }

    /// The requests, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.borrow().clone()
    }

    /// The heads that are waited for.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// The most heads that were waited for at once.
    pub fn open_max(&self) -> usize {
        self.open_max.get()
    }
}

/// Counts an exchange as open until it is dropped, so that a cancelled one counts right too.
struct Open<'a>(&'a Cell<usize>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Http for FakeHttp {
    type Body = FakeBody;

    async fn send(
        &self,
        purpose: Purpose,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<FakeBody>, SendError> {
        let (parts, body) = request.into_parts();
        let sent = Sent {
            purpose,
            url: parts.uri.to_string(),
            method: parts.method,
            headers: parts.headers,
            body,
            at_ms: self.clock.elapsed_ms(),
        };
        let reply = (self.serve)(&sent);
        self.sent.borrow_mut().push(sent);
        self.open.set(self.open.get() + 1);
        self.open_max.set(self.open_max.get().max(self.open.get()));
        let _open = Open(&self.open);
        if reply.head_after > timeouts.first_byte {
            self.clock.sleep(timeouts.first_byte).await;
            return Err(SendError::Timeout(Phase::FirstByte));
        }
        self.clock.sleep(reply.head_after).await;
        if let Some(error) = reply.error {
            return Err(error);
        }
        let body = FakeBody {
            clock: self.clock.clone(),
            pieces: reply.pieces,
            between_bytes: timeouts.between_bytes,
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
        for (name, value) in reply.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }
}

/// The rest of a reply.
pub struct FakeBody {
    clock: VirtualClock,
    pieces: VecDeque<(Duration, Result<Bytes, SendError>)>,
    between_bytes: Duration,
}

impl Body for FakeBody {
    async fn chunk(&mut self) -> Option<Result<Bytes, SendError>> {
        let (wait, piece) = self.pieces.pop_front()?;
        if wait > self.between_bytes {
            self.clock.sleep(self.between_bytes).await;
            return Some(Err(SendError::Timeout(Phase::BetweenBytes)));
        }
        self.clock.sleep(wait).await;
        Some(piece)
    }
}
