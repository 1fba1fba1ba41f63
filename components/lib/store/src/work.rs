//! What workers do: claim, extend, release, finish, fail; and what the clock does: rescue, wake.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{JobError, Kind, Mode};

use crate::sql::Sql;
use crate::{Store, StoreError};

/// A claimed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: MessageId,
    /// The fencing token: every later statement names it.
    pub lease: i64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The account.
    pub tenant: AccountId,
    /// The node's label.
    pub user_label: Option<String>,
    /// The URL.
    pub request_url: String,
    /// The authority for politeness.
    pub host: String,
    /// What to do.
    pub kind: Kind,
    /// Effort of the extraction.
    pub mode: Mode,
    /// A CSS selector.
    pub selector: Option<String>,
    /// A result not older than this will do.
    pub max_age_s: Option<i64>,
    /// How many workers died holding it.
    pub crash_count: u32,
    /// Leases are not extended past this, milliseconds since the epoch.
    pub deadline_ms: i64,
}

/// The result of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The message.
    pub id: MessageId,
    /// The lease it was claimed under.
    pub lease: i64,
    /// The URL after redirects.
    pub final_url: String,
    /// The status of the page.
    pub http_status: u16,
    /// The content type of the page.
    pub content_type: String,
    /// The codec of `body`: `identity` or `lz4`.
    pub encoding: String,
    /// JSON beside the body.
    pub meta: String,
    /// The body, encoded.
    pub body: Vec<u8>,
    /// The page's `ETag`, for conditional requests.
    pub etag: Option<String>,
    /// The page's `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A job that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The message.
    pub id: MessageId,
    /// The lease it was claimed under.
    pub lease: i64,
    /// Why.
    pub error: JobError,
    /// When to try again; `None` gives up.
    pub retry_in_ms: Option<u64>,
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rescued {
    /// Put back into the queue.
    pub requeued: u64,
    /// Given up after too many crashes.
    pub poisoned: u64,
}

impl<S: Sql> Store<'_, S> {
    /// Claims up to `limit` messages, best first. Messages that were in flight when a worker died are not among them.
    pub async fn claim(&self, kind: Kind, limit: u32, worker: &str, lease_s: u32) -> Result<Vec<Job>, StoreError> {
        todo!()
    }

    /// Claims one message that was in flight when a worker died, to be run alone.
    pub async fn claim_alone(&self, kind: Kind, worker: &str, lease_s: u32) -> Result<Option<Job>, StoreError> {
        todo!()
    }

    /// Extends leases, never past a job's deadline; returns those that are still ours.
    pub async fn extend(&self, leases: &[(MessageId, i64)], lease_s: u32) -> Result<Vec<MessageId>, StoreError> {
        todo!()
    }

    /// Gives jobs back at a graceful stop; the attempt is not counted.
    pub async fn release(&self, leases: &[(MessageId, i64)]) -> Result<(), StoreError> {
        todo!()
    }

    /// Records results; returns the accepted ones. A missing id was stale: its work is to be thrown away.
    pub async fn finish(&self, finished: &[Finished]) -> Result<Vec<MessageId>, StoreError> {
        todo!()
    }

    /// Records a failure; false when the lease is stale.
    pub async fn fail(&self, failure: &Failure) -> Result<bool, StoreError> {
        todo!()
    }

    /// Puts messages with expired leases back, or gives them up after three crashes.
    pub async fn rescue(&self) -> Result<Rescued, StoreError> {
        todo!()
    }

    /// Moves delayed retries that came due into the queue; returns how many.
    pub async fn wake(&self) -> Result<u64, StoreError> {
        todo!()
    }

    /// The kinds that have claimable work now.
    pub async fn waiting(&self) -> Result<Vec<Kind>, StoreError> {
        todo!()
    }
}
