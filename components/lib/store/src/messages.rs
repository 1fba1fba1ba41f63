//! What the API does with messages: submit, read, retry, cancel.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{CallbackStatus, JobError, Kind, Mode, State};

use crate::sql::Sql;
use crate::{Store, StoreError};

/// A request to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The account.
    pub tenant: AccountId,
    /// The node's own label (`user_Id`).
    pub user_label: Option<String>,
    /// The URL, normalised and checked.
    pub request_url: String,
    /// The authority for politeness: lower-case ASCII host, with the port when it is not the default.
    pub host: String,
    /// What to do.
    pub kind: Kind,
    /// Where to call back.
    pub callback_url: Option<String>,
    /// 0 (last) to 9 (first), within the tenant.
    pub priority: u8,
    /// Effort of the extraction.
    pub mode: Mode,
    /// A CSS selector.
    pub selector: Option<String>,
    /// A result of the same URL not older than this will do.
    pub max_age_s: Option<i64>,
    /// The `Idempotency-Key`.
    pub idem_key: Option<String>,
    /// SHA-256 of the canonical body, to tell a repeat from a conflict.
    pub body_digest: [u8; 32],
}

/// Limits that a submission is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Unfinished messages (queued or processing) of one tenant.
    pub tenant_max: u64,
    /// Unfinished messages of all tenants.
    pub total_max: u64,
    /// Jobs of one host at once, unless [`Store::set_host_pace`] said otherwise.
    pub host_in_flight_max: u32,
    /// Least time between two starts on one host, unless [`Store::set_host_pace`] said otherwise.
    pub host_gap_ms: u64,
}

/// The outcome of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// Recorded.
    Accepted(MessageId),
    /// The same idempotency key with the same body: the first message.
    Repeat(MessageId),
    /// The same idempotency key with another body.
    Conflict,
    /// The tenant has too many unfinished messages.
    TenantFull,
    /// The queue has too many unfinished messages.
    Full,
}

/// A message as its owner sees it. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The node's label.
    pub user_label: Option<String>,
    /// The URL.
    pub request_url: String,
    /// What was asked.
    pub kind: Kind,
    /// 0 to 9.
    pub priority: u8,
    /// Where it stands.
    pub state: State,
    /// Claims so far that were not released.
    pub attempts: u32,
    /// When it was recorded.
    pub date_added: i64,
    /// When it became terminal.
    pub date_process_complete: Option<i64>,
    /// The last error, also while a retry waits.
    pub error: Option<JobError>,
    /// Where to call back.
    pub callback_url: Option<String>,
    /// Where the callback stands.
    pub callback_status: CallbackStatus,
    /// When a delayed retry is due.
    pub next_try_at: Option<i64>,
    /// How many workers died holding it.
    pub crash_count: u32,
}

/// Which messages to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only this state.
    pub status: Option<State>,
    /// Only this kind.
    pub kind: Option<Kind>,
    /// At most so many.
    pub limit: u32,
    /// Only older than this (cursor).
    pub before: Option<MessageId>,
}

/// A stored result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// What it is.
    pub kind: Kind,
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
}

/// The outcome of asking for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultLookup {
    /// No such message of this account.
    NoMessage,
    /// Not finished, or cancelled.
    NotReady(State),
    /// Given up.
    Failed(JobError),
    /// It was there, and was purged.
    Expired,
    /// Here it is.
    Ready(StoredResult),
}

/// The outcome of a change that an owner asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Done.
    Yes,
    /// Not possible in this state.
    Conflict(State),
    /// No such message of this account.
    NoMessage,
}

impl<S: Sql> Store<'_, S> {
    /// Records a request.
    pub async fn submit(&self, message: &NewMessage, limits: &QueueLimits) -> Result<Submitted, StoreError> {
        todo!()
    }

    /// Records many requests at once; one answer each, in order.
    pub async fn submit_many(&self, messages: &[NewMessage], limits: &QueueLimits) -> Result<Vec<Submitted>, StoreError> {
        todo!()
    }

    /// One message of an account.
    pub async fn message(&self, account: AccountId, id: MessageId) -> Result<Option<Message>, StoreError> {
        todo!()
    }

    /// Messages of an account, newest first.
    pub async fn messages(&self, account: AccountId, filter: &Filter) -> Result<Vec<Message>, StoreError> {
        todo!()
    }

    /// The result of a message.
    pub async fn result(&self, account: AccountId, id: MessageId) -> Result<ResultLookup, StoreError> {
        todo!()
    }

    /// Queues a done, failed or cancelled message again; its result is dropped.
    pub async fn retry(&self, account: AccountId, id: MessageId) -> Result<Changed, StoreError> {
        todo!()
    }

    /// Withdraws a queued or processing message.
    pub async fn cancel(&self, account: AccountId, id: MessageId) -> Result<Changed, StoreError> {
        todo!()
    }
}
