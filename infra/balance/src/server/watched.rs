//! A connection with its clocks: how long a head may take, how long it may be idle, how long a reader may stall.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::{Duration, Instant, Sleep, sleep_until},
};

use trawl_core::limits::inbound as limits;

use super::{
    BAD_FRAMING, ServerLimits,
    framing::{Fault, Framing},
};
use crate::problem::Problem;

/// The answer to a head that took too long.
const SLOW_HEAD: Problem = Problem::new(
    StatusCode::REQUEST_TIMEOUT,
    "request_timeout",
    "The request did not arrive in time.",
);

/// The answer to a head that is too large.
pub(super) const HEAD_TOO_LARGE: Problem = Problem::new(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    "The head of the request is too large.",
);

/// The answer to what is no request.
const MALFORMED: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "bad_request",
    "The request is not well-formed.",
);

impl Fault {
    /// The answer to it.
    const fn problem(self) -> &'static Problem {
        match self {
            Self::TooLarge => &HEAD_TOO_LARGE,
            Self::Malformed => &MALFORMED,
            Self::Length => &BAD_FRAMING,
        }
    }
}

/// The times of one connection.
#[derive(Clone, Copy, Debug)]
struct Times {
    header_read: Duration,
    idle: Duration,
    write_stall: Duration,
}

/// What the connection and its requests tell each other.
#[derive(Debug)]
pub(super) struct Watch {
    start: Instant,
    active: AtomicUsize,
    idle_since_ms: AtomicU64,
    begun: AtomicU64,
    refused: AtomicU64,
    stalled: Notify,
    /// A head has begun to arrive that has not ended.
    in_head: AtomicBool,
    http2: AtomicBool,
    draining: AtomicBool,
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            active: AtomicUsize::new(0),
            idle_since_ms: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            refused: AtomicU64::new(u64::MAX),
            stalled: Notify::new(),
            in_head: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// Somebody has found out that the reader takes nothing.
    pub(super) fn stall(&self) {
        self.stalled.notify_one();
    }

    /// Completes when somebody has found out that the reader takes nothing.
    pub(super) async fn stalled(&self) {
        self.stalled.notified().await;
    }

    /// From here on each answer is the last one of its connection.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Is the next answer the last one?
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Does the connection speak HTTP/2?
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// When it is worth looking again whether the connection has been without a request for `pause`; `None` when it has.
    pub(super) fn busy_until(&self, pause: Duration) -> Option<Instant> {
        let now = Instant::now();
        if self.active.load(Relaxed) > 0 || self.in_head.load(Relaxed) {
            return Some(now + pause);
        }
        Some(self.idle_since() + pause).filter(|until| *until > now)
    }

    /// A request begins. The flag says whether it must be refused for its framing.
    pub(super) fn begin(self: &Arc<Self>) -> (Active, bool) {
        self.active.fetch_add(1, Relaxed);
        let number = self.begun.fetch_add(1, Relaxed) + 1;
        let is_refused = number >= self.refused.load(Relaxed);
        (
            Active {
                watch: Arc::clone(self),
            },
            is_refused,
        )
    }

    /// Is this request the next one, with all before it answered?
    fn is_next(&self, number: u64) -> bool {
        self.active.load(Relaxed) == 0 && self.begun.load(Relaxed) + 1 == number
    }

    fn idle_since(&self) -> Instant {
        self.start + Duration::from_millis(self.idle_since_ms.load(Relaxed))
    }
}

/// A request at work on its connection, until its answer is written.
#[derive(Debug)]
pub(super) struct Active {
    watch: Arc<Watch>,
}

impl Active {
    /// Its connection.
    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let since = crate::clock::millis(self.watch.start.elapsed());
        self.watch.idle_since_ms.store(since, Relaxed);
        self.watch.active.fetch_sub(1, Relaxed);
    }
}

/// The stream.
pub(super) struct Watched {
    stream: TcpStream,
    watch: Arc<Watch>,
    times: Times,
    framing: Framing,
    head_since: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    write_alarm: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
    /// Nothing more is read for hyper.
    ended: bool,
    /// We have answered what hyper will never see.
    answered: bool,
}

/// The rest of a request that nobody reads any more. Closing over it would reset the connection, and the client would lose
/// our answer; so it is thrown away for a moment (RFC 9112, 9.6).
struct Linger {
    alarm: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>, limits: &ServerLimits) -> Self {
        let times = Times {
            header_read: limits.header_read,
            idle: limits.idle,
            write_stall: limits.body_read,
        };
        Self {
            stream,
            watch,
            alarm: Box::pin(sleep_until(Instant::now() + times.idle)),
            times,
            framing: Framing::new(limits),
            head_since: None,
            write_alarm: None,
            linger: None,
            ended: false,
            answered: false,
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.framing.feed(bytes);
        if let Some(number) = self.framing.refused() {
            self.watch.refused.store(number, Relaxed);
        }
        let is_in_head = self.framing.is_in_head();
        self.watch.in_head.store(is_in_head, Relaxed);
        if self.framing.is_http2() {
            self.watch.http2.store(true, Relaxed);
        }
        if !is_in_head {
            self.head_since = None;
        } else if self.head_since.is_none() {
            let now = Instant::now();
            self.head_since = Some(now);
            // The alarm stands at the end of the idle time; a head that came whole never gets here.
            self.alarm.as_mut().reset(now + self.times.header_read);
        }
    }

    /// Is there something left to write? A request is at work until its answer has been handed to hyper, which may be long before the
    /// last byte fits into the socket's buffer. hyper writes what it can before it reads on; whatever did not fit then has its alarm.
    fn is_writing(&self) -> bool {
        self.write_alarm.is_some()
    }

    /// Waits for the alarm. Ready when the connection's time is up.
    fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let now = Instant::now();
            let deadline = match self.head_since {
                Some(since) => since + self.times.header_read,
                // While a request is at work nothing has to arrive; its body has a time of its own, and so has what is left to write.
                None if self.watch.active.load(Relaxed) > 0 || self.is_writing() => {
                    now + self.times.header_read
                }
                None => self.watch.idle_since() + self.times.idle,
            };
            if deadline <= now {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(deadline);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ended {
            return this.poll_end(context).map(Ok);
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            this.read(bytes);
        }
        // While an answer is being written, ours would end up in the middle of it, and the rest of it would be lost. Then hyper's own
        // has to do; or ours after all, when hyper has written it and waits for the rest of this head, though nothing more comes.
        if let Some((number, fault)) = this.framing.fault()
            && this.watch.is_next(number)
            && !this.is_writing()
        {
            buffer.set_filled(before);
            this.end_with(fault.problem());
            return this.poll_end(context).map(Ok);
        }
        if polled.is_ready() {
            return polled;
        }
        ready!(this.poll_expired(context));
        this.ended = true;
        if this.head_since.is_some() {
            this.end_with(&SLOW_HEAD);
        }
        this.poll_end(context).map(Ok)
    }
}

impl Watched {
    /// Answers in hyper's place, which would close without a word or with a bare status. Whatever does not fit into the
    /// socket's buffer is lost with the rest.
    fn end_with(&mut self, problem: &Problem) {
        let _ = self.stream.try_write(problem.wire().as_bytes());
        (self.ended, self.answered) = (true, true);
    }

    /// The end of the stream, as hyper sees it. An answer of ours has to get through to the client first.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.answered {
            self.poll_linger(context)
        } else {
            Poll::Ready(())
        }
    }

    /// Closes our side, and throws away what still comes for a moment.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.linger.is_none()
            && ready!(Pin::new(&mut self.stream).poll_shutdown(context)).is_err()
        {
            return Poll::Ready(());
        }
        let linger = self.linger.get_or_insert_with(|| Linger {
            alarm: Box::pin(sleep_until(
                Instant::now() + Duration::from_millis(limits::LINGER_MS),
            )),
            bytes_left: limits::LINGER_BYTES_MAX,
        });
        while linger.bytes_left > 0 && linger.alarm.as_mut().poll(context).is_pending() {
            let mut thrown_away = [0; 4096];
            let mut buffer = ReadBuf::new(&mut thrown_away);
            let outcome = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if outcome.is_err() || buffer.filled().is_empty() {
                break;
            }
            linger.bytes_left = linger.bytes_left.saturating_sub(buffer.filled().len());
        }
        Poll::Ready(())
    }

    /// A reader that takes nothing for too long is let go: it would hold its answer in our memory.
    fn stall<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_alarm = None;
            return written;
        }
        let stall = self.times.write_stall;
        let alarm = self
            .write_alarm
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.stall(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.stall(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() && self.framing.is_between_requests() {
            return Pin::new(&mut self.stream).poll_shutdown(context);
        }
        self.poll_linger(context).map(Ok)
    }
}
