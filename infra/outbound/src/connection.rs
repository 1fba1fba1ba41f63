//! An open connection, and one exchange over it.

use crate::OutboundError;
use crate::dial::{Dialled, Stream};
use crate::request::{Outgoing, RequestBody};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use trawl_core::limits::outbound::{
    GOODBYE_MS_MAX, H2_CONNECTION_WINDOW_BYTES, H2_STREAM_WINDOW_BYTES, RESPONSE_HEAD_BYTES_MAX,
};

/// An HTTP/1.1 connection. Nobody but its present user drives it: no task, no wake-up between tasks per request.
pub(crate) struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<Stream>, RequestBody>,
    ended: bool,
    received: Arc<AtomicU64>,
    pub(crate) peer: SocketAddr,
    _open: OwnedSemaphorePermit,
}

/// An HTTP/2 connection, shared by the requests of one class to one origin and driven by its own task.
pub(crate) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    pub(crate) peer: SocketAddr,
    begun: Instant,
    used_ms: AtomicU64,
    /// Requests that are under way. Changed only under the pool's lock, so that it sees which one is the last.
    uses: AtomicUsize,
}

/// Why an exchange failed, and the request again if none of it was sent.
pub(crate) struct Failed {
    pub(crate) error: OutboundError,
    pub(crate) unsent: Option<Request<RequestBody>>,
    /// The peer closed the connection without a byte of an answer.
    pub(crate) silent: bool,
}

impl Http1 {
    pub(crate) async fn open(
        dialled: Dialled,
        open: OwnedSemaphorePermit,
    ) -> Result<Box<Self>, OutboundError> {
        let received = dialled.stream.received();
        // No `max_headers`: hyper's own limit is 100 fields too, and setting it moves the list from the stack to the heap.
        // The web sends heads that are not quite HTTP, and browsers take them: a folded line is joined, a blank in front of the
        // colon is no part of the name, and any other line that is no field is left out. Lengths stay strict. Bytes behind the
        // body that is left without such a line end the connection, as bytes that nobody asked for always do, and what is sent
        // later can harm its own origin alone, with which the connection is shared.
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .ignore_invalid_headers_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(TokioIo::new(dialled.stream))
            .await
            .map_err(|error| hyper_error(&error))?;
        Ok(Box::new(Self {
            sender,
            driver,
            ended: false,
            received,
            peer: dialled.peer,
            _open: open,
        }))
    }

    /// Sends a request and waits for the response head.
    pub(crate) async fn exchange(
        &mut self,
        request: Outgoing,
    ) -> Result<Response<Incoming>, Failed> {
        let request = request.into_http1().map_err(|error| Failed {
            error,
            unsent: None,
            silent: false,
        })?;
        let received_before = self.received.load(Ordering::Relaxed);
        let Self {
            sender,
            driver,
            ended,
            ..
        } = self;
        let mut response = pin!(sender.try_send_request(request));
        let outcome = std::future::poll_fn(|context| {
            if let Poll::Ready(outcome) = response.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            drive(driver, ended, context);
            response.as_mut().poll(context)
        })
        .await;
        outcome.map_err(|failed| {
            let silent = self.received.load(Ordering::Relaxed) == received_before;
            into_failed(failed, silent)
        })
    }

    /// Moves bytes while a body is read.
    pub(crate) fn poll_drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.ended, context);
    }

    /// True when the connection could take a request now. Notices a peer that has closed.
    pub(crate) fn is_fit(&mut self) -> bool {
        self.poll_drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }
}

fn drive(
    driver: &mut http1::Connection<TokioIo<Stream>, RequestBody>,
    ended: &mut bool,
    context: &mut Context<'_>,
) {
    if !*ended && Pin::new(driver).poll(context).is_ready() {
        // Its error, if any, reaches whoever waits for the response or reads the body.
        *ended = true;
    }
}

/// What hyper spawns for one HTTP/2 connection. The future that it gives is only a part of it: when nobody uses the connection any more
/// that one ends, while another task, which has the socket, still says goodbye. To a peer that does not read it does so for ever.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a moment for their end, and makes one.
    async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.lock());
        let limit = Duration::from_millis(GOODBYE_MS_MAX);
        let said = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, said).await;
        tasks.shutdown().await;
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl Http2 {
    pub(crate) async fn open(
        dialled: Dialled,
        open: OwnedSemaphorePermit,
    ) -> Result<Self, OutboundError> {
        let peer = dialled.peer;
        let tasks = Tasks::default();
        let (sender, driver) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            // Not `adaptive_window`: it gives the whole connection no more than each response.
            .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(RESPONSE_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(dialled.stream))
            .await
            .map_err(|error| hyper_error(&error))?;
        tokio::spawn(async move {
            let _open = open;
            if let Err(error) = driver.await {
                tracing::debug!(%error, "an HTTP/2 connection ended");
            }
            tasks.end().await;
        });
        Ok(Self {
            sender,
            peer,
            begun: Instant::now(),
            used_ms: AtomicU64::new(0),
            uses: AtomicUsize::new(0),
        })
    }

    pub(crate) async fn exchange(&self, request: Outgoing) -> Result<Response<Incoming>, Failed> {
        let mut sender = self.sender.clone();
        if let Err(error) = sender.ready().await {
            let unsent = Some(request.into_http2());
            return Err(Failed {
                error: hyper_error(&error),
                unsent,
                silent: true,
            });
        }
        sender
            .try_send_request(request.into_http2())
            .await
            .map_err(|failed| into_failed(failed, false))
    }

    pub(crate) fn is_fit(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) fn begin_use(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end_use(&self) {
        self.uses.fetch_sub(1, Ordering::Relaxed);
        self.used_ms.store(
            u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn is_used(&self) -> bool {
        self.uses.load(Ordering::Relaxed) > 0
    }

    /// How long ago the last use ended.
    pub(crate) fn unused_for(&self) -> Duration {
        self.begun
            .elapsed()
            .saturating_sub(Duration::from_millis(self.used_ms.load(Ordering::Relaxed)))
    }
}

fn into_failed(mut failed: TrySendError<Request<RequestBody>>, silent: bool) -> Failed {
    let unsent = failed.take_message();
    let error = failed.error();
    let silent = silent
        && (error.is_incomplete_message()
            || error.is_closed()
            || error.is_canceled()
            || is_reset(error));
    Failed {
        error: hyper_error(error),
        unsent,
        silent,
    }
}

fn is_reset(error: &hyper::Error) -> bool {
    let inner =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    inner.is_some_and(|error| {
        matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
        )
    })
}

/// hyper's error as one of ours.
pub(crate) fn hyper_error(error: &hyper::Error) -> OutboundError {
    let source = std::error::Error::source(error);
    let text = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if error.is_parse_too_large() {
        OutboundError::ResponseHeadTooLarge
    } else if error.is_user() {
        OutboundError::RequestBody(text)
    } else if error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || is_io(error)
    {
        OutboundError::ConnectionTerminated(text)
    } else {
        OutboundError::HttpProtocolError(text)
    }
}

fn is_io(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Polls a body, driving its connection when that is nobody else's work.
pub(crate) fn poll_body(
    incoming: &mut Incoming,
    http1: Option<&mut Http1>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, hyper::Error>>> {
    let first = http_body::Body::poll_frame(Pin::new(incoming), context);
    let Some(http1) = http1 else { return first };
    if first.is_ready() {
        return first;
    }
    http1.poll_drive(context);
    Poll::Ready(ready!(http_body::Body::poll_frame(
        Pin::new(incoming),
        context
    )))
}
