//! Web manners: cached robots.txt, the pace of a host, and the last result of a URL.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::Kind;

use crate::sql::Sql;
use crate::{Store, StoreError};

/// A cached robots.txt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRobots {
    /// The caller's word for what it found, such as `ok`, `missing`, `unreachable`.
    pub state: String,
    /// The text, cut to its limit.
    pub body: Vec<u8>,
    /// When it was fetched, milliseconds since the epoch.
    pub fetched_ms: i64,
    /// When it should be fetched again.
    pub expires_ms: i64,
    /// The database's clock at this reading.
    pub now_ms: i64,
}

/// The last result of the same tenant, kind and URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// The message it belongs to.
    pub message_id: MessageId,
    /// For `If-None-Match`.
    pub etag: Option<String>,
    /// For `If-Modified-Since`.
    pub last_modified: Option<String>,
    /// Seconds since it was made.
    pub age_s: i64,
    /// The status of the page.
    pub http_status: u16,
    /// The URL after redirects.
    pub final_url: String,
    /// The content type of the page.
    pub content_type: String,
    /// The codec of `body`.
    pub encoding: String,
    /// JSON beside the body.
    pub meta: String,
    /// The body, encoded.
    pub body: Vec<u8>,
}

impl<S: Sql> Store<'_, S> {
    /// The cached robots.txt of an authority (`scheme://host:port`), also when it has expired.
    pub async fn robots(&self, authority: &str) -> Result<Option<CachedRobots>, StoreError> {
        todo!()
    }

    /// Caches a robots.txt for `ttl_s` seconds.
    pub async fn put_robots(&self, authority: &str, state: &str, body: &[u8], ttl_s: u32) -> Result<(), StoreError> {
        todo!()
    }

    /// Sets the pace of a host. `source` is `robots` or `operator`; an operator's word is not overridden by robots.
    pub async fn set_host_pace(
        &self,
        host: &str,
        gap_ms: u64,
        in_flight_max: u32,
        source: &str,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// The newest result of the same tenant, kind and URL.
    pub async fn last_result(
        &self,
        account: AccountId,
        kind: Kind,
        request_url: &str,
    ) -> Result<Option<Previous>, StoreError> {
        todo!()
    }
}
