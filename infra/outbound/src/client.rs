//! The client: one per process, cheap to clone.

use crate::{
    AddressCheck, Class, Options, OptionsError, OutboundError, Resolve, ResponseBody,
    SystemResolver, Timeouts,
};
use bytes::Bytes;
use std::error::Error;
use std::sync::Arc;

/// Sends requests over pooled connections; a clone shares the pool.
#[derive(Clone)]
pub struct Client {
    _check: Arc<dyn AddressCheck>,
    _resolver: Arc<dyn Resolve>,
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
        _: Options,
        check: impl AddressCheck,
        resolver: impl Resolve,
    ) -> Result<Self, OptionsError> {
        Ok(Self {
            _check: Arc::new(check),
            _resolver: Arc::new(resolver),
        })
    }

    /// Sends one request and answers with the response head; the body follows as it is read.
    ///
    /// The URI must be absolute. `Host` is set from it. No redirect is followed and nothing is decoded.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub async fn send<B>(
        &self,
        _class: &Class,
        _request: http::Request<B>,
        _timeouts: Timeouts,
    ) -> Result<http::Response<ResponseBody>, OutboundError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Err(OutboundError::HttpRequestDenied("not built yet".to_owned()))
    }

    /// What the pool did so far and holds now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// Figures of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent, retries not counted.
    pub requests: u64,
    /// Connections dialled with success.
    pub connections_opened: u64,
    /// Requests that went over a connection that had carried one before.
    pub connections_reused: u64,
    /// Connections open now, idle ones included.
    pub connections_open: usize,
    /// Connections idle now.
    pub connections_idle: usize,
    /// Requests sent again because an idle connection had died.
    pub retries: u64,
    /// Names looked up (cache misses).
    pub lookups: u64,
    /// Requests refused for their address.
    pub prohibited: u64,
}
