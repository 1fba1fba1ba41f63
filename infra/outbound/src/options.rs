//! What an embedder may choose, with defaults that fit a scraper on one machine.

use std::path::PathBuf;
use std::time::Duration;
use trawl_core::limits::outbound;

/// How long each step of one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a free slot, resolving, dialling and the TLS handshake together.
    pub connect: Duration,
    /// From the first byte sent to the complete response head.
    pub first_byte: Duration,
    /// The longest silence inside a body.
    pub between_bytes: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(outbound::CONNECT_MS_MAX),
            first_byte: Duration::from_millis(outbound::FIRST_BYTE_MS_MAX),
            between_bytes: Duration::from_millis(outbound::BETWEEN_BYTES_MS_MAX),
        }
    }
}

/// Settings of a [`Client`](crate::Client), shared by all its classes.
#[derive(Clone, Debug)]
pub struct Options {
    /// PEM files with certificate authorities to trust besides the web's.
    pub extra_ca_files: Vec<PathBuf>,
    /// How long an idle connection is kept.
    pub idle_ms_max: u64,
    /// Idle connections kept per class and origin.
    pub idle_per_host_max: usize,
    /// Requests in flight per class and origin; more wait for `Timeouts::connect`.
    pub requests_per_host_max: usize,
    /// Open connections in all, idle ones included.
    pub connections_max: usize,
    /// How long a resolved name is remembered; 0 asks each time.
    pub dns_ttl_ms: u64,
    /// A look-up that takes longer counts as unanswered, whoever waits for it.
    pub lookup_ms_max: u64,
    /// A name whose look-up was not answered is refused for so long after the look-up's end.
    pub unanswered_ms: u64,
    /// Offer HTTP/2 in the TLS handshake.
    pub http2: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extra_ca_files: Vec::new(),
            idle_ms_max: outbound::IDLE_MS_MAX,
            idle_per_host_max: outbound::IDLE_PER_HOST_MAX,
            requests_per_host_max: outbound::REQUESTS_PER_HOST_MAX,
            connections_max: outbound::CONNECTIONS_MAX,
            dns_ttl_ms: outbound::DNS_TTL_MS,
            lookup_ms_max: outbound::LOOKUP_MS_MAX,
            unanswered_ms: outbound::UNANSWERED_MS,
            http2: true,
        }
    }
}

/// The options can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// A file of certificate authorities can't be read or holds none.
    #[error("can't use the CA file {path}: {reason}")]
    CaFile {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS library refuses the configuration.
    #[error("can't set up TLS: {0}")]
    Tls(String),
}
