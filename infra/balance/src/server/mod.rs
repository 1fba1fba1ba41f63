//! Inbound HTTP: what is accepted, and for how long.

mod connections;
mod framing;
mod grammar;
mod inbound_body;
mod pieces;
mod seldom;
mod taking;
mod watched;

use std::{
    convert::Infallible,
    future::Future,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH},
};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use ipnet::IpNet;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, Sleep, sleep, sleep_until},
};
use trawl_core::client::network;
use trawl_core::limits::inbound as limits;

pub use self::connections::ConnectionCounts;
use self::{
    connections::{Admitted, Connections},
    inbound_body::{Guarded, TOO_LARGE, answering},
    seldom::Seldom,
    watched::{HEAD_TOO_LARGE, Watch, Watched},
};
use crate::{
    body::{Body, empty},
    problem::Problem,
};

/// Whatever answers requests behind the server.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request from the client at `peer`.
    fn handle(
        &self,
        request: Request<Body>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Is `peer` a proxy that speaks for many clients? Its connections are then not counted for its address.
    fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        let _ = peer;
        false
    }

    /// Where the connections are counted, if anybody wants to know.
    fn connection_counts(&self) -> Arc<ConnectionCounts> {
        Arc::default()
    }
}

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// From the first byte of a head to its end.
    pub header_read: Duration,
    /// From the head to the last byte of the body; and how long a client may take nothing of its answer.
    pub body_read: Duration,
    /// A kept-alive connection without a request.
    pub idle: Duration,
    /// Bytes of a head.
    pub header_bytes_max: usize,
    /// Fields of a head.
    pub headers_max: usize,
    /// Bytes of a request body.
    pub body_bytes_max: u64,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one address.
    pub connections_per_address_max: usize,
    /// Addresses that `connections_per_address_max` does not count, besides the proxies that the handler trusts.
    pub exempt: Vec<IpNet>,
    /// HTTP/2 streams of one connection.
    pub h2_streams_max: u32,
    /// What running requests get after the signal to stop.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_millis(limits::HEADER_READ_MS),
            body_read: Duration::from_millis(limits::BODY_READ_MS),
            idle: Duration::from_millis(limits::IDLE_MS),
            header_bytes_max: limits::HEADER_BYTES_MAX,
            headers_max: limits::HEADERS_MAX,
            body_bytes_max: limits::BODY_BYTES_MAX,
            connections_max: limits::CONNECTIONS_MAX,
            connections_per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            exempt: trawl_core::client::THIS_MACHINE.map(IpNet::from).to_vec(),
            h2_streams_max: limits::H2_STREAMS_MAX,
            drain: Duration::from_millis(limits::DRAIN_MS),
        }
    }
}

/// What the connections are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Run,
    /// Finish what runs and what is on its way, then end.
    Drain,
    /// End at once.
    End,
}

const BAD_FRAMING: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "bad_framing",
    "The request states the length of its body in more than one way.",
);

/// Serves HTTP/1.1 and HTTP/2 (prior knowledge) on `listener` until `stop` completes; then no connection is accepted any
/// more, running requests finish for at most `limits.drain`, and the rest is closed. A kept-alive connection gets one more
/// answer, which says that it is the last, or ends after a second without a request.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: ServerLimits,
    stop: impl Future<Output = ()> + Send,
) {
    let (phase, _) = watch::channel(Phase::Run);
    // Each connection holds a sender; when all are gone, `recv` ends.
    let (alive, mut ended) = mpsc::channel::<()>(1);
    let door = Arc::new(Door {
        connections: Connections::new(handler.connection_counts()),
        handler,
        limits,
        phase: phase.subscribe(),
        alive,
    });
    let drain = door.limits.drain;
    tokio::select! {
        () = stop => {}
        () = accept_forever(&listener, &door) => {}
    }
    phase.send_replace(Phase::Drain);
    accept_waiting(listener, &door);
    drop(door);
    if tokio::time::timeout(drain, ended.recv()).await.is_err() {
        tracing::warn!("requests that did not finish in time are closed");
        phase.send_replace(Phase::End);
        ended.recv().await;
    }
}

/// What every connection needs.
struct Door<H> {
    handler: Arc<H>,
    connections: Connections,
    limits: ServerLimits,
    phase: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
}

impl<H: Handler> Door<H> {
    fn admit(&self, peer: IpAddr) -> Result<Admitted, Problem> {
        let peer = peer.to_canonical();
        let is_exempt = self.limits.exempt.iter().any(|net| net.contains(&peer))
            || self.handler.is_trusted_proxy(peer);
        let network = (!is_exempt).then(|| network(peer));
        self.connections.admit(network, &self.limits)
    }

    /// Serves a new connection, or says why not.
    fn open(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        match self.admit(peer.ip()) {
            Ok(admitted) => {
                tokio::spawn(connection(stream, peer, admitted, Arc::clone(self)));
            }
            Err(problem) => {
                // As much as fits into the socket's buffer, without waiting for the client.
                let _ = stream
                    .into_std()
                    .map(|mut stream| stream.write(problem.wire().as_bytes()));
            }
        }
    }
}

async fn accept_forever<H: Handler>(listener: &TcpListener, door: &Arc<Door<H>>) {
    let mut failures = Seldom::new(Duration::from_millis(limits::ACCEPT_WARNING_MS));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => door.open(stream, peer),
            Err(error) => {
                if let Some(times) = failures.count(Instant::now()) {
                    tracing::warn!(%error, times, "no connection could be accepted");
                }
                // Out of file descriptors, as a rule: others have to end first.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Takes the connections that are made and not accepted yet. Closing the listener would reset them, with the requests that may
/// lie in them already.
fn accept_waiting<H: Handler>(listener: TcpListener, door: &Arc<Door<H>>) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    // No more than there could be at once, so that it ends however many come.
    for _ in 0..door.limits.connections_max {
        let Ok((stream, peer)) = listener.accept() else {
            return;
        };
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            door.open(stream, peer);
        }
    }
}

async fn connection<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    admitted: Admitted,
    door: Arc<Door<H>>,
) {
    let _admitted = admitted;
    let _alive = door.alive.clone();
    let mut phase = door.phase.clone();
    // Without either it is served more slowly, or a slow reader let go too soon, and that is all.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(limits::SEND_BUFFER_BYTES);
    let watch = Watch::new();
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&watch), &door.limits));
    let builder = protocol(&door.limits);
    // Only the handler and the limits: a connection that held the door would keep `recv` from ending.
    let (handler, limits) = (Arc::clone(&door.handler), door.limits.clone());
    drop(door);
    let pause = Duration::from_millis(limits::DRAIN_IDLE_MS).min(limits.drain / 2);
    let service = service_fn(|request| {
        let (active, is_refused) = watch.begin();
        let is_http2 = request.version() == Version::HTTP_2;
        let stall = is_http2.then_some(limits.body_read);
        let is_head = request.method() == Method::HEAD;
        let handler = Arc::clone(&handler);
        let bounds = (limits.body_bytes_max, limits.body_read);
        // In HTTP/1 they are counted while they come.
        let has_too_many = is_http2 && request.headers().len() > limits.headers_max;
        async move {
            let response = match (is_refused, has_too_many) {
                (true, _) => closing(BAD_FRAMING.response()),
                (false, true) => HEAD_TOO_LARGE.response(),
                (false, false) => answer(handler.as_ref(), request, peer, bounds).await,
            };
            let response = match is_http2 {
                // In HTTP/1 hyper leaves it out.
                true if is_head => without_body(response),
                false if active.watch().is_draining() => closing(response),
                _ => response,
            };
            Ok::<_, Infallible>(response.map(|body| answering(body, active, stall)))
        }
    });
    let mut serving = pin!(builder.serve_connection(io, service));
    let mut alarm = None;
    loop {
        tokio::select! {
            biased;
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow_and_update() == Phase::End {
                    return;
                }
                watch.drain();
                if watch.is_http2() {
                    // It tells the client first, and answers what was sent until the client has heard it.
                    serving.as_mut().graceful_shutdown();
                } else {
                    // A request may lie in the socket already, and closing would reset it. Its answer is the last one.
                    alarm = Some(Box::pin(sleep(pause)));
                }
            }
            outcome = serving.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%peer, error, "connection ended");
                }
                return;
            }
            () = watch.stalled() => {
                tracing::debug!(%peer, "an answer was not taken");
                return;
            }
            // After `serving`, which has then read what there is.
            () = rings(&mut alarm) => {
                alarm = watch.busy_until(pause).map(|until| Box::pin(sleep_until(until)));
                if alarm.is_none() {
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// The answer to HEAD: as long as it would be, and nothing of it.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && length > 0
    {
        head.headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    Response::from_parts(head, empty())
}

/// Waits for the alarm; for ever, when none is set.
async fn rings(alarm: &mut Option<Pin<Box<Sleep>>>) {
    match alarm {
        Some(alarm) => alarm.await,
        None => std::future::pending().await,
    }
}

/// hyper's own limit. Stating it again would make hyper allocate the list of fields for every request.
const HYPER_HEADERS_MAX: usize = 100;

fn protocol(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1
        .timer(TokioTimer::new())
        // Answers are small, mostly: one copy costs less than a vectored write.
        .writev(false)
        // `Watched` tells a slow head from an idle connection, which one timeout can't.
        .header_read_timeout(None)
        // Not `half_close`: it takes the end of what a client sends for nothing, and the work for clients that left goes on.
        // Not `pipeline_flush`: it would lose answers to requests that are refused before they were read to their end.
        // A little more than a head may have: `Watched` then sees it grow too large before hyper does, and says why.
        .max_buf_size(limits.header_bytes_max + 8 * 1024);
    if limits.headers_max != HYPER_HEADERS_MAX {
        http1.max_headers(limits.headers_max);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(limits.idle / 3))
        .keep_alive_timeout(limits.header_read)
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits::H2_RESETS_MAX)
        .max_local_error_reset_streams(limits::H2_RESETS_MAX);
    builder
}

async fn answer<H: Handler>(
    handler: &H,
    request: Request<Incoming>,
    peer: SocketAddr,
    (bytes_max, body_read): (u64, Duration),
) -> Response<Body> {
    if request.body().is_end_stream() {
        return handler.handle(request.map(|_| empty()), peer).await;
    }
    if request.body().size_hint().lower() > bytes_max {
        return closing(TOO_LARGE.response());
    }
    let (parts, body) = request.into_parts();
    let (body, verdict) = Guarded::new(body, bytes_max, Instant::now() + body_read);
    let response = handler
        .handle(Request::from_parts(parts, body.boxed_unsync()), peer)
        .await;
    match verdict.problem() {
        Some(problem) => closing(problem.response()),
        // The request's deadline came before that of its body.
        None if response.status() == StatusCode::REQUEST_TIMEOUT => closing(response),
        None => response,
    }
}

/// What is left of the request on the wire can't be trusted, or is not worth reading.
fn closing(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
