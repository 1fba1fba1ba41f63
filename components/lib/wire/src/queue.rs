//! `GET /queues`.

use serde::Serialize;

/// The figures of one queue.
#[derive(Debug, Clone, Serialize)]
pub struct QueueView<'a> {
    /// `type_1_queue` … or `callback_queue`.
    pub name: &'a str,
    /// Waiting to be claimed.
    pub ready: i64,
    /// Being worked on.
    pub leased: i64,
    /// Waiting for a retry.
    pub delayed: i64,
    /// Given up.
    pub dead: i64,
    /// Finished in the last minute.
    pub done_per_min: f64,
    /// Added in the last minute.
    pub added_per_min: f64,
    /// Age of the oldest that waits, in seconds.
    pub oldest_age_s: Option<f64>,
}
