//! What a replica is to the balancer: something that answers a request, or says how it could not.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{Request, Response};

use crate::{
    body::{Body, BoxError},
    config::{Origin, ReplicaConfig},
};

/// Why a replica gave no answer. The kind decides what may be tried elsewhere and what counts against the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing was sent: any request may go to another replica. Counts against this one.
    Unreachable,
    /// The request was sent and no answer came. Only what may be repeated goes elsewhere. Counts against this one.
    Broken,
    /// No answer in time. Treated like `Broken`, answered as 504.
    TimedOut,
    /// The request killed its own instance. It is not repeated (it would kill the next one too), and it does not count
    /// against the replica: otherwise one hostile request could bench them all.
    Trapped,
    /// The replica refuses for the moment. The request was not begun, may go elsewhere, and nothing is counted.
    Overloaded,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct BackendError {
    /// What the failure means for retry and health.
    pub kind: FailureKind,
    /// What happened, for the log; never shown to the client.
    #[source]
    pub cause: BoxError,
    /// The request, given back untouched when it was never begun, so that it can go elsewhere without having been copied.
    pub unsent: Option<Box<Request<Body>>>,
    /// When it is worth asking again (only with `Overloaded`).
    pub retry_after: Option<Duration>,
}

impl BackendError {
    /// A failure that keeps the request.
    pub fn new(kind: FailureKind, cause: impl Into<BoxError>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            unsent: None,
            retry_after: None,
        }
    }

    /// The same, with the request given back because it was never begun.
    #[must_use]
    pub fn unsent(mut self, request: Request<Body>) -> Self {
        self.unsent = Some(Box::new(request));
        self
    }
}

/// An error with all that caused it, for the log: many say little themselves.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(out, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A call of a local replica.
pub type Call = BoxFuture<'static, Result<Response<Body>, BackendError>>;

/// A replica inside this process. The host implements it over a set of instances.
pub trait LocalBackend: Send + Sync + 'static {
    /// Answers one request. To be called through [`crate::Attended`], which sees it to its end when nobody waits for the answer any more:
    /// what works on it counts, and holds what it has, until then.
    fn call(self: Arc<Self>, request: Request<Body>) -> Call;
}

/// Makes local replicas when the balance file names one that does not exist yet.
pub trait LocalReplicas: Send + Sync + 'static {
    /// Makes the replica that `replica` describes.
    ///
    /// # Errors
    /// Whatever the host can't provide; the balance file is then not applied, and the old state goes on.
    fn open(&self, replica: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError>;

    /// Whether this address is the front door's own: a remote replica there would be sent its own requests, again and again.
    fn is_own(&self, _address: &Origin) -> bool {
        false
    }
}

/// For a front door that has remote replicas only: refuses every local one.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoteOnly;

impl LocalReplicas for RemoteOnly {
    fn open(&self, replica: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Err(format!(
            "replica {} has no url, and there are no local replicas here",
            replica.id
        )
        .into())
    }
}
