//! The clock, the figures of the queues, dead requests, readiness and the purge.

use trawl_core::ids::AccountId;

use crate::sql::Sql;
use crate::{Store, StoreError};

/// The figures of one queue, read from counters (flat cost).
#[derive(Debug, Clone, PartialEq)]
pub struct QueueFigures {
    /// `type_1_queue`, `type_2_queue`, `type_3_queue` or `callback_queue`.
    pub name: String,
    /// Waiting to be claimed.
    pub ready: u64,
    /// Held by workers.
    pub leased: u64,
    /// Waiting for a retry to come due.
    pub delayed: u64,
    /// Given up.
    pub dead: u64,
    /// Finished in the last full minute.
    pub done_per_min: u64,
    /// Added in the last full minute.
    pub added_per_min: u64,
    /// Age of the oldest waiting row, seconds; 0 when none waits.
    pub oldest_age_s: u64,
}

impl<S: Sql> Store<'_, S> {
    /// The one clock: the database's, milliseconds since the epoch.
    pub async fn now_ms(&self) -> Result<i64, StoreError> {
        todo!()
    }

    /// The figures of each queue, of one account or of all.
    pub async fn queues(&self, account: Option<AccountId>) -> Result<Vec<QueueFigures>, StoreError> {
        todo!()
    }

    /// Keeps a malformed request with its reason.
    pub async fn dead_request(&self, source: &str, body: &[u8], reason: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Whether the schema is there and the database can be written.
    pub async fn ready(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Deletes results older than `result_days` and terminal messages older than `message_days`, at most `limit`
    /// of each; returns how many rows went.
    pub async fn purge(&self, result_days: u32, message_days: u32, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }
}
