//! The outbox: claiming callbacks, recording attempts, the state of endpoints.

use serde_json::json;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::outbox::ATTEMPTS_MAX;
use trawl_core::limits::queue::{
    CLAIM_MAX, PUT_BACK_DOUBLINGS, PUT_BACK_MS, SECRET_OVERLAP_MS, SPARE_LEASED_MAX, SPARE_LOOKS,
};
use trawl_core::state::{JobError, Kind};

use crate::rows::{error, kind, lease_list, lease_ms};
use crate::sql::{Row, Rows, Sql, Value};
use crate::text::statement;
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

/// A delivery to be recorded with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The outbox row.
    pub id: i64,
    /// The lease it was claimed under.
    pub lease: i64,
    /// The status of the endpoint: a success.
    pub status: u16,
    /// How long it took.
    pub latency_ms: u64,
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
    pub async fn claim_callbacks(
        &self,
        limit: u32,
        worker: &str,
        lease_s: u32,
    ) -> Result<Vec<CallbackJob>, StoreError> {
        let params = claim_params(limit, worker, lease_s);
        jobs(&self.run(statement!("claim_callbacks.sql"), params).await?)
    }

    /// The same for tenants that have hardly any callback in flight. For the slots that are kept free for them.
    pub async fn claim_callbacks_spare(
        &self,
        limit: u32,
        worker: &str,
        lease_s: u32,
    ) -> Result<Vec<CallbackJob>, StoreError> {
        let mut params = claim_params(limit, worker, lease_s);
        params.extend([SPARE_LOOKS.into(), SPARE_LEASED_MAX.into()]);
        jobs(
            &self
                .run(statement!("claim_callbacks_spare.sql"), params)
                .await?,
        )
    }

    /// Whether [`Self::claim_callbacks_spare`] would find something.
    pub async fn callbacks_waiting_spare(&self) -> Result<bool, StoreError> {
        let params = vec![SPARE_LOOKS.into(), SPARE_LEASED_MAX.into()];
        self.run(statement!("callbacks_waiting_spare.sql"), params)
            .await?
            .one()?
            .get(0)
    }

    /// Records a delivery; false when the lease is stale.
    pub async fn callback_done(
        &self,
        id: i64,
        lease: i64,
        attempt: &Attempt,
    ) -> Result<bool, StoreError> {
        self.deliver(id, lease, attempt, "delivered", None, None)
            .await
    }

    /// Records several deliveries in one statement; returns the ids of those whose lease still held.
    ///
    /// # Errors
    /// Also when two of them belong to one message; nothing is recorded then.
    pub async fn callbacks_done(&self, done: &[Done]) -> Result<Vec<i64>, StoreError> {
        match done {
            [] => Ok(Vec::new()),
            [one] => {
                let attempt = Attempt {
                    status: Some(one.status),
                    latency_ms: one.latency_ms,
                    error: None,
                };
                let held = self.callback_done(one.id, one.lease, &attempt).await?;
                Ok(held.then_some(one.id).into_iter().collect())
            }
            many => {
                let list: Vec<_> = many
                    .iter()
                    .map(|one| json!([one.id, one.lease, one.status, one.latency_ms]))
                    .collect();
                let list = Value::Text(serde_json::Value::Array(list).to_string());
                ids(&self.run(statement!("deliver_many.sql"), vec![list]).await?)
            }
        }
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
        let (outcome, retry_in_ms) = match next {
            // Nothing is sent while the endpoint is held back: the next try is what will be, not what the schedule alone would say.
            Next::Retry { in_ms } => ("retry", Some(in_ms.max(throttle_endpoint_ms.unwrap_or(0)))),
            Next::Exhausted => ("exhausted", None),
            Next::EndpointGone => ("gone", None),
        };
        self.deliver(
            id,
            lease,
            attempt,
            outcome,
            retry_in_ms,
            throttle_endpoint_ms,
        )
        .await
    }

    /// Extends leases; returns the ids that are still ours.
    pub async fn extend_callbacks(
        &self,
        leases: &[(i64, i64)],
        lease_s: u32,
    ) -> Result<Vec<i64>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let params = vec![lease_list(leases.iter().copied()), lease_ms(lease_s).into()];
        ids(&self.run(statement!("extend_callbacks.sql"), params).await?)
    }

    /// Gives callbacks back at a graceful stop; the attempt is not counted.
    pub async fn release_callbacks(&self, leases: &[(i64, i64)]) -> Result<(), StoreError> {
        if !leases.is_empty() {
            self.run(
                statement!("release_callbacks.sql"),
                vec![lease_list(leases.iter().copied())],
            )
            .await?;
        }
        Ok(())
    }

    /// Gives callbacks back whose outcome could not be written down, as [`put_back`](Self::put_back) does jobs: each is sent once more.
    pub async fn put_back_callbacks(&self, leases: &[(i64, i64)]) -> Result<(), StoreError> {
        let leases = lease_list(leases.iter().copied());
        let params = vec![leases, PUT_BACK_MS.into(), PUT_BACK_DOUBLINGS.into()];
        self.run(statement!("put_back_callbacks.sql"), params)
            .await
            .map(drop)
    }

    /// Puts callbacks with expired leases back.
    pub async fn rescue_callbacks(&self) -> Result<Rescued, StoreError> {
        if !self.due().await?.callback_leases {
            return Ok(Rescued::default());
        }
        self.rescue_from(statement!("rescue_callbacks.sql"), ATTEMPTS_MAX)
            .await
    }

    /// Whether a callback can be claimed now.
    pub async fn callbacks_waiting(&self) -> Result<bool, StoreError> {
        self.run(statement!("callbacks_waiting.sql"), vec![])
            .await?
            .one()?
            .get(0)
    }

    async fn deliver(
        &self,
        id: i64,
        lease: i64,
        attempt: &Attempt,
        outcome: &'static str,
        retry_in_ms: Option<u64>,
        throttle_ms: Option<u64>,
    ) -> Result<bool, StoreError> {
        let params = vec![
            id.into(),
            lease.into(),
            attempt.status.map(u32::from).into(),
            attempt.latency_ms.into(),
            attempt.error.as_deref().into(),
            outcome.into(),
            retry_in_ms.into(),
            throttle_ms.into(),
        ];
        Ok(self
            .run(statement!("deliver.sql"), params)
            .await?
            .first()
            .is_some())
    }
}

fn claim_params(limit: u32, worker: &str, lease_s: u32) -> Vec<Value> {
    vec![
        worker.into(),
        lease_ms(lease_s).into(),
        limit.min(CLAIM_MAX).into(),
        SECRET_OVERLAP_MS.into(),
    ]
}

/// The callbacks in the order of the queue: `RETURNING` has none.
fn jobs(rows: &Rows) -> Result<Vec<CallbackJob>, StoreError> {
    let mut jobs = rows
        .iter()
        .map(|row| Ok((row.get(12)?, job(row)?)))
        .collect::<Result<Vec<(f64, _)>, StoreError>>()?;
    jobs.sort_by(|(a, x), (b, y): &(f64, CallbackJob)| a.total_cmp(b).then(x.id.cmp(&y.id)));
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

pub(crate) fn ids(rows: &Rows) -> Result<Vec<i64>, StoreError> {
    rows.iter().map(|row| row.get(0)).collect()
}

fn job(row: Row<'_>) -> Result<CallbackJob, StoreError> {
    Ok(CallbackJob {
        id: row.get(0)?,
        lease: row.get(1)?,
        attempt: row.get(2)?,
        webhook_id: row.get(3)?,
        tenant: AccountId(row.get(4)?),
        endpoint_url: row.get(5)?,
        message_id: MessageId(row.get(6)?),
        ok: row.get(7)?,
        error: error(row, 8)?,
        date_process_complete: row.get(11)?,
        user_label: row.get(13)?,
        kind: kind(row, 14)?,
        request_url: row.get(15)?,
        secret_current: row.get(16)?,
        secret_previous: row.get(17)?,
    })
}
