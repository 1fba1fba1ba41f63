//! A real receiver of callbacks: verifies each signature with the `standardwebhooks` crate and writes down what came.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::serve::{Body, serve};

/// One callback as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The path that was called.
    pub path: String,
    /// `webhook-id`.
    pub webhook_id: String,
    /// The body.
    pub body: Value,
    /// Whether a known secret verified the signature; `None` when no secret was known.
    pub verified: Option<bool>,
    /// The signature header as sent.
    pub signature: String,
    /// What we answered.
    pub answered: u16,
    /// When it came.
    pub at: Instant,
}

/// How the receiver answers on a path.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// How long to wait before.
    pub delay: Duration,
    /// Headers to add.
    pub headers: Vec<(String, String)>,
}

impl Reply {
    /// An immediate status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            delay: Duration::ZERO,
            headers: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Inner {
    secrets: Vec<String>,
    received: Vec<Received>,
    scripts: HashMap<String, VecDeque<Reply>>,
    defaults: HashMap<String, Reply>,
    in_flight: HashMap<String, (usize, usize)>,
}

/// A running receiver.
pub struct Receiver {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts on a free port of 127.0.0.1.
    pub fn start() -> BoxFuture<'static, Self> {
        Box::pin(Self::start_now())
    }

    async fn start_now() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let shared = Arc::clone(&inner);
        let (address, task) = serve(([127, 0, 0, 1], 0).into(), move |request| {
            answer(Arc::clone(&shared), request)
        })
        .await;
        Self {
            inner,
            address,
            task,
        }
    }

    /// The URL of `path` (with its `/`).
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Teaches the receiver a `whsec_…` secret to verify with.
    pub fn add_secret(&self, secret: &str) {
        self.lock().secrets.push(secret.to_owned());
    }

    /// The next answers on `path`, in order; afterwards the default (204).
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.lock()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .extend(replies);
    }

    /// The answer on `path` when no script is left.
    pub fn always(&self, path: &str, reply: Reply) {
        self.lock().defaults.insert(path.to_owned(), reply);
    }

    /// Everything that came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// How many came so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().received.len()
    }

    /// What came for a message.
    #[must_use]
    pub fn for_message(&self, id: i64) -> Vec<Received> {
        self.lock()
            .received
            .iter()
            .filter(|r| r.body["message_id"].as_i64() == Some(id))
            .cloned()
            .collect()
    }

    /// The greatest number of callbacks that were in flight at once on `path`.
    #[must_use]
    pub fn most_in_flight(&self, path: &str) -> usize {
        self.lock().in_flight.get(path).map_or(0, |(_, most)| *most)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(inner: Arc<Mutex<Inner>>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    // A sender that was killed in the middle has called nobody: only a whole request is a callback.
    let Ok(body) = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
    else {
        return plain(400);
    };
    let reply = {
        let mut inner = inner.lock().unwrap();
        let slot = inner.in_flight.entry(path.clone()).or_default();
        slot.0 += 1;
        slot.1 = slot.1.max(slot.0);
        inner
            .scripts
            .get_mut(&path)
            .and_then(VecDeque::pop_front)
            .or_else(|| inner.defaults.get(&path).cloned())
            .unwrap_or(Reply::status(204))
    };
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut inner = inner.lock().unwrap();
    let verified = (!inner.secrets.is_empty()).then(|| {
        inner
            .secrets
            .iter()
            .any(|secret| verifies(secret, &parts.headers, &body))
    });
    inner.received.push(Received {
        path: path.clone(),
        webhook_id: header("webhook-id"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        verified,
        signature: header("webhook-signature"),
        answered: reply.status,
        at: Instant::now(),
    });
    if let Some(slot) = inner.in_flight.get_mut(&path) {
        slot.0 -= 1;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response
        .body(Full::new(Bytes::new()).map_err(|e| match e {}).boxed())
        .unwrap()
}

fn plain(status: u16) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|e| match e {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

fn verifies(secret: &str, headers: &http::HeaderMap, body: &[u8]) -> bool {
    standardwebhooks::Webhook::new(secret)
        .is_ok_and(|webhook| webhook.verify(body, headers).is_ok())
}
