//! What the API does with messages: submit, read, retry, cancel.

use futures::future::join_all;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::queue::LIST_MAX;
use trawl_core::state::{CallbackStatus, JobError, Kind, Mode, State};

use crate::rows::{error, kind, state, url_hash};
use crate::sql::{Row, Sql, Value};
use crate::text::statement;
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
    /// The replica that answers, kept with an idempotency key: a repeat is answered as the first time.
    pub replica: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Recorded.
    Accepted(MessageId),
    /// The same idempotency key with the same body: the first message.
    Repeat {
        /// The first message.
        id: MessageId,
        /// The replica that answered for it, where that is known.
        replica: Option<String>,
    },
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
    /// The codec of `body`: `identity`, `lz4` or `gzip`.
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
    pub async fn submit(
        &self,
        message: &NewMessage,
        limits: &QueueLimits,
    ) -> Result<Submitted, StoreError> {
        let rows = self
            .run(statement!("submit.sql"), submit_params(message, limits))
            .await?;
        let Some(row) = rows.first() else {
            return self.refused(message, limits).await;
        };
        if !row.get::<bool>(1)? {
            let params = vec![limits.host_in_flight_max.into(), limits.host_gap_ms.into()];
            // The message is recorded, whatever becomes of this; the next one tries it again.
            let _ = self.run(statement!("set_defaults.sql"), params).await;
        }
        Ok(Submitted::Accepted(MessageId(row.get(0)?)))
    }

    /// Records many requests at once; one answer each, in order.
    pub async fn submit_many(
        &self,
        messages: &[NewMessage],
        limits: &QueueLimits,
    ) -> Result<Vec<Submitted>, StoreError> {
        // Each is a statement of its own, since one that inserts many rows would compute all their places in the order from
        // the same state. Started together, they share a commit where the host groups commits.
        join_all(messages.iter().map(|message| self.submit(message, limits)))
            .await
            .into_iter()
            .collect()
    }

    /// One message of an account.
    pub async fn message(
        &self,
        account: AccountId,
        id: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        let rows = self
            .run(
                statement!("message.sql"),
                vec![id.0.into(), account.0.into()],
            )
            .await?;
        rows.first().map(message_of).transpose()
    }

    /// Messages of an account, newest first.
    pub async fn messages(
        &self,
        account: AccountId,
        filter: &Filter,
    ) -> Result<Vec<Message>, StoreError> {
        let params = vec![
            account.0.into(),
            filter.status.map(State::as_str).into(),
            filter.kind.map(Kind::number).into(),
            filter.limit.min(LIST_MAX).into(),
            filter.before.map_or(i64::MAX, |id| id.0).into(),
        ];
        self.run(statement!("messages.sql"), params)
            .await?
            .iter()
            .map(message_of)
            .collect()
    }

    /// The result of a message.
    pub async fn result(
        &self,
        account: AccountId,
        id: MessageId,
    ) -> Result<ResultLookup, StoreError> {
        let rows = self
            .run(
                statement!("result.sql"),
                vec![id.0.into(), account.0.into()],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(ResultLookup::NoMessage);
        };
        Ok(match state(row, 0)? {
            State::Done => match row.get::<Option<String>>(5)? {
                None => ResultLookup::Expired,
                Some(final_url) => ResultLookup::Ready(StoredResult {
                    kind: kind(row, 4)?,
                    final_url,
                    http_status: row.get(6)?,
                    content_type: row.get(7)?,
                    encoding: row.get(8)?,
                    meta: row.get(9)?,
                    body: row.get(10)?,
                }),
            },
            State::Failed => ResultLookup::Failed(
                error(row, 1)?
                    .ok_or_else(|| StoreError::Corrupt("a failed message has no error".into()))?,
            ),
            other => ResultLookup::NotReady(other),
        })
    }

    /// Which limit keeps an account from having one more unfinished message; `None` when there is room.
    pub async fn is_full(
        &self,
        account: AccountId,
        limits: &QueueLimits,
    ) -> Result<Option<Submitted>, StoreError> {
        let params = vec![
            account.0.into(),
            limits.tenant_max.into(),
            limits.total_max.into(),
        ];
        let rows = self.run(statement!("is_full.sql"), params).await?;
        let row = rows.one()?;
        Ok(if row.get(0)? {
            Some(Submitted::TenantFull)
        } else if row.get(1)? {
            Some(Submitted::Full)
        } else {
            None
        })
    }

    /// Queues a done, failed or cancelled message again; its result is dropped. One in such a state is a [`Changed::Conflict`] where
    /// `limits` forbid one more that is not finished ([`is_full`](Self::is_full) says which).
    pub async fn retry(
        &self,
        account: AccountId,
        id: MessageId,
        limits: &QueueLimits,
    ) -> Result<Changed, StoreError> {
        let limits = vec![limits.tenant_max.into(), limits.total_max.into()];
        self.change(statement!("retry.sql"), account, id, limits)
            .await
    }

    /// Withdraws a queued or processing message.
    pub async fn cancel(&self, account: AccountId, id: MessageId) -> Result<Changed, StoreError> {
        self.change(statement!("cancel.sql"), account, id, vec![])
            .await
    }

    async fn change(
        &self,
        statement: &'static str,
        account: AccountId,
        id: MessageId,
        more: Vec<Value>,
    ) -> Result<Changed, StoreError> {
        let params = [vec![id.0.into(), account.0.into()], more].concat();
        let rows = self.run(statement, params).await?;
        if rows.first().is_some() {
            return Ok(Changed::Yes);
        }
        let rows = self
            .run(statement!("state.sql"), vec![id.0.into(), account.0.into()])
            .await?;
        rows.first().map_or(Ok(Changed::NoMessage), |row| {
            state(row, 0).map(Changed::Conflict)
        })
    }

    async fn refused(
        &self,
        message: &NewMessage,
        limits: &QueueLimits,
    ) -> Result<Submitted, StoreError> {
        let params = vec![
            message.tenant.0.into(),
            message.idem_key.clone().into(),
            message.body_digest.as_slice().into(),
            limits.tenant_max.into(),
        ];
        let rows = self.run(statement!("submit_refused.sql"), params).await?;
        let row = rows.one()?;
        if let Some(first) = row.get::<Option<i64>>(0)? {
            return Ok(if row.get(1)? {
                Submitted::Repeat {
                    id: MessageId(first),
                    replica: row.get(2)?,
                }
            } else {
                Submitted::Conflict
            });
        }
        Ok(if row.get(3)? {
            Submitted::TenantFull
        } else {
            Submitted::Full
        })
    }
}

fn submit_params(message: &NewMessage, limits: &QueueLimits) -> Vec<Value> {
    vec![
        message.user_label.as_deref().into(),
        message.request_url.as_str().into(),
        message.kind.number().into(),
        message.callback_url.as_deref().into(),
        message.tenant.0.into(),
        message.host.as_str().into(),
        u32::from(message.priority.min(9)).into(),
        message.mode.as_str().into(),
        message.selector.as_deref().into(),
        message.max_age_s.into(),
        message.idem_key.as_deref().into(),
        message.body_digest.as_slice().into(),
        url_hash(
            message.tenant,
            message.kind,
            &message.request_url,
            message.mode,
            message.selector.as_deref(),
        )
        .into(),
        limits.tenant_max.into(),
        limits.total_max.into(),
        limits.host_in_flight_max.max(1).into(),
        limits.host_gap_ms.into(),
        message.replica.as_deref().into(),
    ]
}

fn message_of(row: Row<'_>) -> Result<Message, StoreError> {
    let callback_status: &str = row.get(13)?;
    Ok(Message {
        id: MessageId(row.get(0)?),
        user_label: row.get(1)?,
        request_url: row.get(2)?,
        kind: kind(row, 3)?,
        priority: row.get(4)?,
        state: state(row, 5)?,
        attempts: row.get(6)?,
        date_added: row.get(7)?,
        date_process_complete: row.get(8)?,
        error: error(row, 9)?,
        callback_url: row.get(12)?,
        callback_status: CallbackStatus::parse(callback_status).ok_or_else(|| {
            StoreError::Corrupt(format!("unknown callback status {callback_status}"))
        })?,
        next_try_at: row.get(14)?,
        crash_count: row.get(15)?,
    })
}
