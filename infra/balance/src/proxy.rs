//! One request on its way: choose, send, perhaps send elsewhere, and hand the answer back.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use http::{
    Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    attended::Attended,
    backend::{BackendError, Causes, FailureKind},
    balancer::{Balancer, Ticket},
    body::{Body, Polled, Seen, Watch},
    fleet::{Choice, Fleet, Tried},
    headers,
    problem::{FAILED, Problem},
    replica::{Backend, Lease, Waited},
    retry::{Upload, is_repeatable, is_worth_another},
    strategy::key_of,
    tally::Counted,
};

const BAD_GATEWAY: Problem = Problem::new(
    StatusCode::BAD_GATEWAY,
    "bad_gateway",
    "The replica gave no answer. What was asked may have been done: look before you send it again.",
);
const TIMED_OUT: Problem = Problem::new(
    StatusCode::GATEWAY_TIMEOUT,
    "gateway_timeout",
    "No replica answered in time. What was asked may have been done: look before you send it again.",
);
const OUT: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "no_replica",
    "No replica can take requests at the moment; try again after the time in Retry-After.",
);
const FULL: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "overloaded",
    "The service has more work than it can take; try again after the time in Retry-After.",
)
.retry_after(Duration::from_secs(1));
const TOO_MANY: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_requests",
    "This address has sent too many requests; try again after the time in Retry-After.",
);

/// The client, as far as it is known: the peer, or whom a trusted proxy names. It stands in the extensions of the requests
/// that local replicas get, so that they need not read `Forwarded` again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// In the extensions of a request that its client sent over TLS, as a trusted proxy says: local replicas take it for an https one.
#[derive(Clone, Copy, Debug)]
pub struct OverTls;

/// Marks a request whose `Forwarded` fields are written.
#[derive(Clone, Copy)]
struct Travelled;

/// A request between its tries.
struct Journey<'a> {
    balancer: &'a Balancer,
    fleet: &'a Arc<Fleet>,
    client: IpAddr,
    /// Who sent it to us: the client, or a proxy.
    peer: IpAddr,
    key: u64,
    deadline: Instant,
    ticket: Option<Arc<Ticket>>,
    tried: Tried,
    tries: u32,
    repeatable: bool,
    /// The head, until it was sent for the last time.
    parts: Option<Parts>,
    upload: Upload,
    /// A replica's own answer, if nothing better comes. It keeps its place in that replica, so whoever has one waits for no
    /// other: two requests that each wait for the place of the other would do so until their deadline.
    last: Option<Response<Body>>,
    /// How the last try failed that got no answer.
    problem: Option<Problem>,
}

/// What counts a request: the client's ticket, and its body, if it is large.
type Held = (Option<Arc<Ticket>>, Option<Arc<Counted>>);

/// What one try came to.
enum Step {
    Done(Response<Body>),
    Again,
}

impl Balancer {
    /// Answers one request from the client at `peer`. The request reaches the replica with its target as a path and its
    /// `Host`; a local one finds the [`ClientAddress`] in its extensions, a remote one the `Forwarded` fields.
    pub async fn handle(&self, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        self.totals.requests.fetch_add(1, Relaxed);
        let fleet = self.fleet.load_full();
        let client = match headers::prepare(&mut request, peer, &fleet.config.trusted_proxies) {
            Ok(client) => client,
            Err(problem) => return problem.response(),
        };
        request.extensions_mut().insert(ClientAddress(client));
        if headers::is_https(request.headers()) {
            request.extensions_mut().insert(OverTls);
        }
        let network = Self::counted(&fleet, client);
        let ticket = match self.admit_client(&fleet, network) {
            Ok(ticket) => ticket,
            Err(too_many) => {
                self.totals.refused_client.fetch_add(1, Relaxed);
                return TOO_MANY
                    .retry_after(Duration::from_millis(too_many.retry_after_ms))
                    .response();
            }
        };
        self.budget().request(self.clock.now_ms());
        let response = self
            .pass_on(
                &fleet,
                request,
                (client, peer.ip()),
                network,
                ticket.clone(),
            )
            .await;
        let response = self.large.pass(response, network);
        // An answer that is not taken is in flight too.
        match ticket {
            Some(ticket) if !response.body().is_end_stream() => {
                response.map(|body| Seen::new(body, Answering(Some(ticket))).boxed_unsync())
            }
            _ => response,
        }
    }

    async fn pass_on(
        &self,
        fleet: &Arc<Fleet>,
        request: Request<Body>,
        (client, peer): (IpAddr, IpAddr),
        network: Option<IpAddr>,
        ticket: Option<Arc<Ticket>>,
    ) -> Response<Body> {
        let key = key(fleet, &request, client);
        let (parts, body) = request.into_parts();
        let repeatable = fleet.slots.len() > 1
            && fleet.config.tries_max > 1
            && is_repeatable(&parts.method, parts.uri.path(), &parts.headers);
        // Read before a place is taken, whether or not it may be sent again.
        let upload = match Upload::read(body, &self.large_bodies, network).await {
            Ok(upload) => upload,
            Err(problem) => return problem.response(),
        };
        let mut journey = Journey {
            balancer: self,
            fleet,
            client,
            peer,
            key,
            deadline: Instant::now() + fleet.config.deadline,
            ticket,
            tried: Tried::default(),
            tries: 0,
            repeatable,
            parts: Some(parts),
            upload,
            last: None,
            problem: None,
        };
        loop {
            if let Step::Done(response) = journey.step().await {
                return response;
            }
        }
    }
}

impl Journey<'_> {
    async fn step(&mut self) -> Step {
        let may_wait = self.last.is_none();
        let (index, mut lease) = match self.fleet.choose(self.tried, self.key, may_wait) {
            Choice::Go(index, lease) => (index, lease),
            Choice::Wait(index, queued) => match timeout_at(self.deadline, queued.admitted()).await
            {
                Ok(Waited::Admitted(lease)) => (index, lease),
                // Nothing was tried there, so nothing is marked, counted or paid for.
                Ok(Waited::Elsewhere) => return Step::Again,
                Ok(Waited::Shed) | Err(_) => return self.refused(FULL),
            },
            Choice::Full => return self.refused(FULL),
            Choice::Out { retry_after_ms } => {
                return self.refused(OUT.retry_after(Duration::from_millis(retry_after_ms)));
            }
            Choice::Exhausted => return Step::Done(self.give_up(BAD_GATEWAY)),
        };
        self.tried = self.tried.with(index);
        self.tries += 1;
        let Some(request) = self.request() else {
            return Step::Done(self.give_up(BAD_GATEWAY));
        };
        let until = self.try_until(&lease);
        let held = (self.ticket.clone(), self.upload.large());
        let outcome =
            match timeout_at(until, call(&lease, request, (self.client, self.peer), held)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(BackendError::new(
                    FailureKind::TimedOut,
                    "there was no answer in time",
                )),
            };
        match outcome {
            Ok(response) => self.answered(index, lease, response),
            Err(error) => self.failed(index, &mut lease, error),
        }
    }

    /// How long this try may take. The last one, and one that can't be repeated, has all that is left; and so has a local one with
    /// only local ones beside it: what it waits for, such as a lock on the database, the others would wait for too.
    fn try_until(&self, lease: &Lease) -> Instant {
        let config = &self.fleet.config;
        if self.repeatable && self.tries < config.tries_max && self.has_better(lease) {
            self.deadline.min(Instant::now() + config.try_timeout)
        } else {
            self.deadline
        }
    }

    /// Whether there is another replica that may do what this one can't.
    fn has_better(&self, lease: &Lease) -> bool {
        match lease.replica.backend {
            Backend::Local(_) => self.fleet.has_other_remote(self.tried),
            Backend::Remote(_) => self.fleet.has_other(self.tried, true),
        }
    }

    fn refused(&mut self, problem: Problem) -> Step {
        if self.last.is_none() && self.problem.is_none() {
            let totals = &self.balancer.totals;
            let total = if problem.code == OUT.code {
                &totals.refused_out
            } else {
                &totals.refused_full
            };
            total.fetch_add(1, Relaxed);
        }
        Step::Done(self.give_up(problem))
    }

    /// The request for the next try: a copy while it may be needed again, the original otherwise.
    fn request(&mut self) -> Option<Request<Body>> {
        let parts = if self.repeatable {
            self.parts.clone()
        } else {
            self.parts.take()
        };
        Some(Request::from_parts(parts?, self.upload.body()))
    }

    fn answered(&mut self, index: usize, mut lease: Lease, response: Response<Body>) -> Step {
        let status = response.status();
        lease.replica.counts.responded(status);
        if !is_worth_another(status) {
            lease.answered();
            return Step::Done(leased(response, lease));
        }
        // A 503 is a replica that takes care of itself; benching it would push its load on to the others.
        let is_shed = status == StatusCode::SERVICE_UNAVAILABLE;
        if is_shed {
            lease.failed(FailureKind::Overloaded, &status);
        } else {
            lease.failed(FailureKind::Broken, &status);
            self.fleet.failed(index);
        }
        let is_futile = is_shed && !self.has_better(&lease);
        if self.repeatable && !is_futile && self.may_try_again(false) {
            self.last = Some(leased(response, lease));
            return Step::Again;
        }
        Step::Done(leased(response, lease))
    }

    fn failed(&mut self, index: usize, lease: &mut Lease, error: BackendError) -> Step {
        let cause = Causes(error.cause.as_ref());
        tracing::debug!(replica = lease.replica.id, kind = ?error.kind, %cause, "no answer");
        lease.failed(error.kind, &cause);
        let counts = !matches!(error.kind, FailureKind::Overloaded | FailureKind::Trapped);
        if counts {
            self.fleet.failed(index);
        }
        if let Some(unsent) = error.unsent
            && !self.repeatable
        {
            self.parts = Some(unsent.into_parts().0);
        }
        let problem = match error.kind {
            FailureKind::TimedOut => TIMED_OUT,
            FailureKind::Trapped => FAILED,
            FailureKind::Overloaded => {
                FULL.retry_after(error.retry_after.unwrap_or(Duration::from_secs(1)))
            }
            FailureKind::Unreachable | FailureKind::Broken => BAD_GATEWAY,
        };
        let is_futile = error.kind == FailureKind::Trapped;
        self.problem = Some(problem);
        let can_be_sent = !is_futile && self.parts.is_some();
        if can_be_sent && self.may_try_again(self.last.is_none()) {
            return Step::Again;
        }
        Step::Done(self.give_up(problem))
    }

    /// Whether it is tried again; `may_wait` as for the choice.
    fn may_try_again(&self, may_wait: bool) -> bool {
        let config = &self.fleet.config;
        if self.tries >= config.tries_max || Instant::now() >= self.deadline {
            return false;
        }
        // What never happens must not be counted, nor paid for by requests that could be sent elsewhere.
        if !self.fleet.has_other(self.tried, may_wait) {
            self.fleet.asked_all();
            return false;
        }
        let allowed = self
            .balancer
            .budget()
            .retry(self.balancer.clock.now_ms(), config.retry_percent);
        let totals = &self.balancer.totals;
        let total = if allowed {
            &totals.retries
        } else {
            &totals.retries_refused
        };
        total.fetch_add(1, Relaxed);
        allowed
    }

    /// The last replica's word, if there is one; else how the last try failed, if there was one; else `problem`.
    fn give_up(&mut self, problem: Problem) -> Response<Body> {
        if let Some(answer) = self.last.take() {
            return answer;
        }
        self.balancer.totals.failed.fetch_add(1, Relaxed);
        self.problem.take().unwrap_or(problem).response()
    }
}

/// Sends the request. `held` is what counts it beside its place, as long as anybody works on it.
async fn call(
    lease: &Lease,
    mut request: Request<Body>,
    (client, peer): (IpAddr, IpAddr),
    held: Held,
) -> Result<Response<Body>, BackendError> {
    match &lease.replica.backend {
        Backend::Local(local) => {
            let held = (lease.place(), held);
            Attended::new(Arc::clone(local).call(request), held).await
        }
        Backend::Remote(remote) => {
            // A request that comes back unsent and goes elsewhere has them already.
            if request.extensions_mut().insert(Travelled).is_none() {
                headers::add_forwarded(request.headers_mut(), client, peer);
            }
            let mut response = remote.send(request).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                // `Upgrade` ends here, so nobody asked for it, and what follows on that connection is no HTTP.
                return Err(BackendError::new(
                    FailureKind::Broken,
                    "the replica changed the protocol unasked",
                ));
            }
            *response.version_mut() = Version::HTTP_11;
            // RFC 9112, section 6.3: beside a transfer coding a stated length says nothing. Left alone it would be believed
            // once the coding is gone, and cut the body.
            if response.headers().contains_key(TRANSFER_ENCODING) {
                response.headers_mut().remove(CONTENT_LENGTH);
            }
            headers::strip_hop_by_hop(response.headers_mut());
            Ok(response)
        }
    }
}

fn key(fleet: &Fleet, request: &Request<Body>, client: IpAddr) -> u64 {
    if fleet.config.strategy != crate::config::StrategyKind::Hash {
        return 0;
    }
    let header = fleet
        .config
        .hash_header
        .as_ref()
        .and_then(|name| request.headers().get(name));
    match (header, client) {
        (Some(value), _) => key_of(value.as_bytes()),
        (None, IpAddr::V4(v4)) => key_of(&v4.octets()),
        (None, IpAddr::V6(v6)) => key_of(&v6.octets()),
    }
}

/// The answer, holding its place in the replica until its last byte is gone. One that is whole asks no more of the replica, however
/// slowly it is read.
fn leased(response: Response<Body>, lease: Lease) -> Response<Body> {
    if response.body().is_end_stream() || response.extensions().get::<Whole>().is_some() {
        return response;
    }
    response.map(|body| Seen::new(body, Leased(Some(lease))).boxed_unsync())
}

/// In the extensions of a local replica's answer: all of it is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Whole;

/// The client's ticket, until the answer has come to its end.
struct Answering(Option<Arc<Ticket>>);

impl Watch for Answering {
    fn seen(&mut self, polled: Polled, _body: &Body) -> Polled {
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }
}

/// The lease, until the answer has come to its end.
struct Leased(Option<Lease>);

impl Watch for Leased {
    fn seen(&mut self, polled: Polled, _body: &Body) -> Polled {
        match &polled {
            Poll::Ready(None) => self.0 = None,
            Poll::Ready(Some(Err(error))) => {
                // The head went out long ago; all that can be done is to remember it.
                if let Some(mut lease) = self.0.take() {
                    let kind = match lease.replica.backend {
                        // The request killed the instance that was answering it, as it could have done before the head.
                        Backend::Local(_) => FailureKind::Trapped,
                        Backend::Remote(_) => FailureKind::Broken,
                    };
                    lease.failed(kind, &Causes(error.as_ref()));
                }
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}
