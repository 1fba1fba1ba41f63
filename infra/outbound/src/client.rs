//! The client: one per process, cheap to clone.

use crate::body::{Held, Lease};
use crate::connection::{Failed, Http1, Http2};
use crate::dial::Dialler;
use crate::names::Names;
use crate::pool::{Key, Pool};
use crate::request::{Origin, Outgoing};
use crate::{
    AddressCheck, Class, Options, OptionsError, OutboundError, Resolve, ResponseBody,
    SystemResolver, Timeouts,
};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, Uri};
use hyper::body::Incoming;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use trawl_core::limits::outbound::{RESPONSE_HEAD_BYTES_MAX, RESPONSE_HEADERS_MAX};

/// Sends requests over pooled connections; a clone shares the pool.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    dialler: Dialler,
    pool: Arc<Pool>,
    sweeping: Once,
    requests: AtomicU64,
    opened: AtomicU64,
    reused: AtomicU64,
    retries: AtomicU64,
}

/// What one request carries through its attempts.
struct Attempt<'a> {
    key: Arc<Key>,
    timeouts: Timeouts,
    deadline: Instant,
    uri: &'a Uri,
}

impl Client {
    /// A client that dials only what `check` permits, with the system's resolver.
    ///
    /// # Errors
    /// When a CA file can't be used.
    pub fn new(options: Options, check: impl AddressCheck) -> Result<Self, OptionsError> {
        Self::with_resolver(options, check, SystemResolver)
    }

    /// The same with another resolver.
    ///
    /// # Errors
    /// When a CA file can't be used.
    pub fn with_resolver(
        options: Options,
        check: impl AddressCheck,
        resolver: impl Resolve,
    ) -> Result<Self, OptionsError> {
        let check: Arc<dyn AddressCheck> = Arc::new(check);
        let dialler = Dialler {
            names: Names::new(Arc::new(resolver), &options),
            check: Arc::clone(&check),
            tls: crate::tls::connector(&options)?,
            prohibited: AtomicU64::new(0),
        };
        let shared = Shared {
            dialler,
            pool: Arc::new(Pool::new(options, check)),
            sweeping: Once::new(),
            requests: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Sends one request and answers with the response head; the body follows as it is read.
    ///
    /// The URI must be absolute. `Host` is set from it. No redirect is followed and nothing is decoded. It must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub async fn send<B>(
        &self,
        class: &Class,
        request: Request<B>,
        timeouts: Timeouts,
    ) -> Result<Response<ResponseBody>, OutboundError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let uri = request.uri().clone();
        let key = Arc::new(Key {
            class: class.clone(),
            origin: Origin::of(&uri)?,
        });
        let attempt = Attempt {
            key,
            timeouts,
            deadline: Instant::now() + timeouts.connect,
            uri: &uri,
        };
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        self.shared.sweep_from_now_on();
        self.shared.attempts(&attempt, Outgoing::new(request)).await
    }

    /// What the pool did so far and holds now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            requests: shared.requests.load(Ordering::Relaxed),
            connections_opened: shared.opened.load(Ordering::Relaxed),
            connections_reused: shared.reused.load(Ordering::Relaxed),
            connections_open: shared.pool.open_count(),
            connections_idle: shared.pool.idle_count(),
            retries: shared.retries.load(Ordering::Relaxed),
            lookups: shared.dialler.names.lookups(),
            prohibited: shared.dialler.prohibited.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Over a pooled connection first; over a new one if there is none, or if it turns out to have died unused.
    async fn attempts(
        &self,
        attempt: &Attempt<'_>,
        mut request: Outgoing,
    ) -> Result<Response<ResponseBody>, OutboundError> {
        let slot = self.pool.slot(&attempt.key, attempt.deadline).await?;
        if let Some(held) = self.pooled(&attempt.key) {
            let spare = request.spare();
            self.reused.fetch_add(1, Ordering::Relaxed);
            match exchange(held, request, attempt).await {
                Ok((response, held)) => return self.respond(response, held, slot, attempt),
                Err(failed) => request = second_try(failed, spare, attempt.uri)?,
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            // The one before may have been silent for longer than connecting may take.
            let again = Attempt {
                key: Arc::clone(&attempt.key),
                deadline: Instant::now() + attempt.timeouts.connect,
                ..*attempt
            };
            return self.over_a_new_one(&again, request, slot).await;
        }
        self.over_a_new_one(attempt, request, slot).await
    }

    async fn over_a_new_one(
        &self,
        attempt: &Attempt<'_>,
        request: Outgoing,
        slot: OwnedSemaphorePermit,
    ) -> Result<Response<ResponseBody>, OutboundError> {
        let held = self.open(attempt).await?;
        match exchange(held, request, attempt).await {
            Ok((response, held)) => self.respond(response, held, slot, attempt),
            Err(failed) => Err(failed.error),
        }
    }

    fn pooled(&self, key: &Arc<Key>) -> Option<Held> {
        if let Some(http1) = self.pool.take_idle(key) {
            return Some(Held::Http1(http1));
        }
        self.pool.http2(key).map(Held::Http2)
    }

    async fn open(&self, attempt: &Attempt<'_>) -> Result<Held, OutboundError> {
        let Key { class, origin } = &*attempt.key;
        // Before a place for a connection is taken: names that nobody answers must not hold those of the ones that are dialled.
        let resolving = self.dialler.resolve(class, origin);
        let addresses = tokio::time::timeout_at(attempt.deadline.into(), resolving)
            .await
            .map_err(|_| OutboundError::ConnectionTimeout)??;
        let open = self.pool.opening(attempt.deadline).await?;
        let opening = async {
            let dialled = self.dialler.dial(origin, addresses).await?;
            if dialled.http2 {
                let http2 = Http2::open(dialled, open).await?;
                return Ok(Held::Http2(self.pool.put_http2(&attempt.key, http2)));
            }
            Ok(Held::Http1(Http1::open(dialled, open).await?))
        };
        let held = tokio::time::timeout_at(attempt.deadline.into(), opening)
            .await
            .map_err(|_| OutboundError::ConnectionTimeout)??;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(held)
    }

    fn respond(
        &self,
        mut response: Response<Incoming>,
        connection: Held,
        slot: OwnedSemaphorePermit,
        attempt: &Attempt<'_>,
    ) -> Result<Response<ResponseBody>, OutboundError> {
        if head_is_too_large(response.headers()) {
            return Err(OutboundError::ResponseHeadTooLarge);
        }
        // RFC 9112, section 6.3: beside a transfer coding a stated length says nothing, and whoever passes the message on takes
        // it out.
        if response.headers().contains_key(TRANSFER_ENCODING) {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let lease = Lease {
            pool: Arc::clone(&self.pool),
            key: Arc::clone(&attempt.key),
            connection,
            _slot: slot,
        };
        Ok(response
            .map(|incoming| ResponseBody::new(incoming, lease, attempt.timeouts.between_bytes)))
    }

    /// The sweeper needs a runtime, which the first request brings.
    fn sweep_from_now_on(&self) {
        self.sweeping.call_once(|| {
            let every = (self.pool.idle_max() / 4).max(Duration::from_millis(50));
            tokio::spawn(Pool::keep_swept(Arc::downgrade(&self.pool), every));
        });
    }
}

async fn exchange(
    mut held: Held,
    request: Outgoing,
    attempt: &Attempt<'_>,
) -> Result<(Response<Incoming>, Held), Failed> {
    let answering = async {
        match &mut held {
            Held::Http1(http1) => http1.exchange(request).await,
            Held::Http2(shared) => shared.exchange(request).await,
        }
    };
    match tokio::time::timeout(attempt.timeouts.first_byte, answering).await {
        Ok(outcome) => outcome.map(|response| (response, held)),
        Err(_) => {
            held.fell_silent();
            Err(Failed {
                error: OutboundError::ConnectionReadTimeout,
                unsent: None,
                silent: false,
            })
        }
    }
}

/// The connection bounds what it buffers, which may be a little more than the limit; this is the limit itself.
fn head_is_too_large(headers: &HeaderMap) -> bool {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    headers.len() > RESPONSE_HEADERS_MAX || bytes > RESPONSE_HEAD_BYTES_MAX
}

/// The request once more: if none of it was sent, or if it is safe to repeat and the peer never began to answer.
fn second_try(
    failed: Failed,
    spare: Option<Outgoing>,
    uri: &Uri,
) -> Result<Outgoing, OutboundError> {
    if let Some(unsent) = failed.unsent {
        let (mut parts, body) = unsent.into_parts();
        parts.uri = uri.clone();
        return Ok(Outgoing::new(Request::from_parts(parts, body)));
    }
    match spare {
        Some(spare) if failed.silent => Ok(spare),
        _ => Err(failed.error),
    }
}

/// Figures of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent, retries not counted.
    pub requests: u64,
    /// Connections dialled with success.
    pub connections_opened: u64,
    /// Requests that were tried over a connection that had carried one before.
    pub connections_reused: u64,
    /// Connections open now, idle ones included.
    pub connections_open: usize,
    /// Connections idle now: HTTP/1.1 ones, and HTTP/2 ones over which no request is under way.
    pub connections_idle: usize,
    /// Requests sent again because an idle connection had died.
    pub retries: u64,
    /// Names looked up (cache misses).
    pub lookups: u64,
    /// Requests refused for their address.
    pub prohibited: u64,
}
