//! The outbox: claiming callbacks, recording attempts, the state of endpoints.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{JobError, Kind};

use crate::sql::Sql;
use crate::{Rescued, Store, StoreError};

/// A callback to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackJob {
    /// The outbox row.
    pub id: i64,
    /// The fencing token.
    pub lease: i64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Stable per event.
    pub webhook_id: String,
    /// The account.
    pub tenant: AccountId,
    /// Where to post.
    pub endpoint_url: String,
    /// The message.
    pub message_id: MessageId,
    /// The node's label.
    pub user_label: Option<String>,
    /// What was asked.
    pub kind: Kind,
    /// The URL.
    pub request_url: String,
    /// Whether there is a result.
    pub ok: bool,
    /// Why not.
    pub error: Option<JobError>,
    /// When the message became terminal, milliseconds since the epoch.
    pub date_process_complete: i64,
    /// Signs; `None` when the account has no secret yet (make one with [`Store::webhook_secrets`]).
    pub secret_current: Option<Vec<u8>>,
    /// Signs too within 24 h of a rotation.
    pub secret_previous: Option<Vec<u8>>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The status of the endpoint, when it answered.
    pub status: Option<u16>,
    /// How long it took.
    pub latency_ms: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again.
    Retry {
        /// After so long.
        in_ms: u64,
    },
    /// The schedule is at its end.
    Exhausted,
    /// The endpoint said 410: disable it; its callbacks are kept.
    EndpointGone,
}

impl<S: Sql> Store<'_, S> {
    /// Claims up to `limit` callbacks whose endpoint has a free slot.
    pub async fn claim_callbacks(&self, limit: u32, worker: &str, lease_s: u32) -> Result<Vec<CallbackJob>, StoreError> {
        todo!()
    }

    /// Records a delivery; false when the lease is stale.
    pub async fn callback_done(&self, id: i64, lease: i64, attempt: &Attempt) -> Result<bool, StoreError> {
        todo!()
    }

    /// Records a failed attempt; false when the lease is stale. `throttle_endpoint_ms` holds back the whole endpoint.
    pub async fn callback_failed(
        &self,
        id: i64,
        lease: i64,
        attempt: &Attempt,
        next: Next,
        throttle_endpoint_ms: Option<u64>,
    ) -> Result<bool, StoreError> {
        todo!()
    }

    /// Extends leases; returns the ids that are still ours.
    pub async fn extend_callbacks(&self, leases: &[(i64, i64)], lease_s: u32) -> Result<Vec<i64>, StoreError> {
        todo!()
    }

    /// Gives callbacks back at a graceful stop; the attempt is not counted.
    pub async fn release_callbacks(&self, leases: &[(i64, i64)]) -> Result<(), StoreError> {
        todo!()
    }

    /// Puts callbacks with expired leases back.
    pub async fn rescue_callbacks(&self) -> Result<Rescued, StoreError> {
        todo!()
    }

    /// Whether a callback can be claimed now.
    pub async fn callbacks_waiting(&self) -> Result<bool, StoreError> {
        todo!()
    }
}
