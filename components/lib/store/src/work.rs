//! What workers do: claim, extend, release, finish, fail; and what the clock does: rescue, wake.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::queue::{
    CLAIM_MAX, CLAIMS_FORGIVEN_MAX, CRASHES_MAX, JOB_MS_MAX, PUT_BACK_DOUBLINGS, PUT_BACK_MS,
    RETRY_AFTER_MS_MAX, SOON_MS, SPARE_ACCOUNTS, SPARE_LEASED_MAX, SWEEP_ROWS_MAX, SWEEPS_MAX,
};
use trawl_core::limits::scrape::{GATHERED_MAX, POSTPONED_DOUBLINGS, POSTPONED_MS};
use trawl_core::state::{JobError, Kind, Mode};

use crate::rows::{kind, lease_list, lease_ms, message_ids};
use crate::sql::{Row, Rows, Sql, Value};
use crate::text::statement;
use crate::{Store, StoreError};

/// Jobs that the greatest of the finishing statements takes, and the parameters of each.
const FINISHED_MAX: usize = 16;
const FINISHED_PARAMS: usize = 11;

const _: () = assert!(
    GATHERED_MAX <= FINISHED_MAX,
    "what is gathered is recorded by one statement"
);

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

/// Which kinds have something to claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Now.
    pub now: Vec<Kind>,
    /// Those of them of which some was in flight when a worker died, so that it has to run alone.
    pub alone: Vec<Kind>,
    /// Not now, but within [`SOON_MS`], when the gap of a host is over.
    pub soon: Vec<Kind>,
}

/// Work that can be claimed and that nobody is known to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unattended {
    /// Kinds with claimable messages of which none is being worked on.
    pub kinds: Vec<Kind>,
    /// A callback can be claimed.
    pub callbacks: bool,
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
    /// The codec of `body`: `identity`, `lz4` or `gzip`.
    pub encoding: String,
    /// JSON beside the body.
    pub meta: String,
    /// The body, encoded.
    pub body: Vec<u8>,
    /// The page's `ETag`, for conditional requests.
    pub etag: Option<String>,
    /// The page's `Last-Modified`.
    pub last_modified: Option<String>,
    /// An earlier result once more, without asking the server: no later job takes it for the last result of its URL, or
    /// a page that is handed on would never grow old.
    pub is_copy: bool,
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
    /// A host that asked to be left alone.
    pub pause: Option<HostPause>,
}

/// A host that no job starts on for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPause {
    /// The name under which the queue keeps its pace.
    pub host: String,
    /// For how long, at most [`RETRY_AFTER_MS_MAX`].
    pub ms: u64,
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
    pub async fn claim(
        &self,
        kind: Kind,
        limit: u32,
        worker: &str,
        lease_s: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let mut params = claim_params(kind, worker, lease_s);
        params.push(limit.min(CLAIM_MAX).into());
        jobs(&self.run(statement!("claim.sql"), params).await?)
    }

    /// Claims up to `limit` messages of tenants that have hardly any of this kind in flight, best first. For the slots that are
    /// kept free for them. Where there are many such tenants, `draw` decides with which the search begins.
    pub async fn claim_spare(
        &self,
        kind: Kind,
        limit: u32,
        worker: &str,
        lease_s: u32,
        draw: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let mut params = claim_params(kind, worker, lease_s);
        params.extend([
            limit.min(CLAIM_MAX).into(),
            SPARE_ACCOUNTS.into(),
            SPARE_LEASED_MAX.into(),
            draw.into(),
        ]);
        jobs(&self.run(statement!("claim_spare.sql"), params).await?)
    }

    /// Claims one message that was in flight when a worker died, to be run alone.
    pub async fn claim_alone(
        &self,
        kind: Kind,
        worker: &str,
        lease_s: u32,
    ) -> Result<Option<Job>, StoreError> {
        let params = claim_params(kind, worker, lease_s);
        Ok(jobs(&self.run(statement!("claim_alone.sql"), params).await?)?.pop())
    }

    /// Extends leases, never past a job's deadline; returns those that are still ours.
    pub async fn extend(
        &self,
        leases: &[(MessageId, i64)],
        lease_s: u32,
    ) -> Result<Vec<MessageId>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let params = vec![
            lease_list(leases.iter().map(|(id, lease)| (id.0, *lease))),
            lease_ms(lease_s).into(),
        ];
        message_ids(&self.run(statement!("extend.sql"), params).await?)
    }

    /// Those of these leases that are still ours. A read; it extends none.
    pub async fn held(&self, leases: &[(MessageId, i64)]) -> Result<Vec<MessageId>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let params = vec![lease_list(leases.iter().map(|(id, lease)| (id.0, *lease)))];
        message_ids(&self.run(statement!("held.sql"), params).await?)
    }

    /// Gives jobs back at a graceful stop; the attempt is not counted.
    pub async fn release(&self, leases: &[(MessageId, i64)]) -> Result<(), StoreError> {
        if !leases.is_empty() {
            let params = vec![lease_list(leases.iter().map(|(id, lease)| (id.0, *lease)))];
            self.run(statement!("release.sql"), params).await?;
        }
        Ok(())
    }

    /// Gives jobs back whose outcome could not be written down; the attempt is not counted. They come back after a second, and after twice
    /// as long each time: for each, its page is fetched once more.
    pub async fn put_back(&self, leases: &[(MessageId, i64)]) -> Result<(), StoreError> {
        let leases = lease_list(leases.iter().map(|(id, lease)| (id.0, *lease)));
        let params = vec![leases, PUT_BACK_MS.into(), PUT_BACK_DOUBLINGS.into()];
        self.run(statement!("put_back.sql"), params).await.map(drop)
    }

    /// Gives a job back, because a host that it was led to may not be asked for `wait_ms` milliseconds; the attempt is not counted. It
    /// comes back at some time after that, by `draw`: each time its own host is asked for the redirect once more, so the time doubles, as
    /// the backoff of a retry does. `false` when the lease was stale.
    pub async fn postpone(
        &self,
        id: MessageId,
        lease: i64,
        wait_ms: u64,
        draw: u32,
    ) -> Result<bool, StoreError> {
        let params = vec![
            id.0.into(),
            lease.into(),
            wait_ms.into(),
            POSTPONED_MS.into(),
            POSTPONED_DOUBLINGS.into(),
            draw.into(),
        ];
        let given_back = self.run(statement!("postpone.sql"), params).await?;
        Ok(given_back.first().is_some())
    }

    /// Records results; returns the accepted ones. A missing id was stale: its work is to be thrown away. More than 16 take several
    /// statements, each atomic by itself: when one fails, those before it stand, and are stale if they are tried again.
    pub async fn finish(&self, finished: &[Finished]) -> Result<Vec<MessageId>, StoreError> {
        let mut accepted = Vec::new();
        // Seldom more than one: a worker gathers 16, and beside them what ends while the statement before is under way.
        for some in finished.chunks(FINISHED_MAX) {
            let (statement, rows) = match some.len() {
                1 => (statement!("finish_one.sql"), 1),
                2..=4 => (statement!("finish_4.sql"), 4),
                _ => (statement!("finish_16.sql"), FINISHED_MAX),
            };
            let recorded = self.run(statement, finish_params(some, rows)).await?;
            accepted.extend(message_ids(&recorded)?);
        }
        Ok(accepted)
    }

    /// Records a failure; false when the lease is stale. A host that asked for a pause is left alone first, by a statement of its own.
    pub async fn fail(&self, failure: &Failure) -> Result<bool, StoreError> {
        if let Some(pause) = &failure.pause {
            let params = vec![
                failure.id.0.into(),
                failure.lease.into(),
                pause.host.as_str().into(),
                pause.ms.into(),
            ];
            self.run(statement!("pause_host.sql"), params).await?;
        }
        let params = vec![
            failure.id.0.into(),
            failure.lease.into(),
            failure.error.code.as_str().into(),
            failure.error.detail.as_str().into(),
            failure.error.permanent.into(),
            failure.retry_in_ms.into(),
        ];
        Ok(self
            .run(statement!("fail.sql"), params)
            .await?
            .first()
            .is_some())
    }

    /// Puts messages with expired leases back, or gives them up after three crashes.
    pub async fn rescue(&self) -> Result<Rescued, StoreError> {
        if !self.due().await?.leases {
            return Ok(Rescued::default());
        }
        self.rescue_from(statement!("rescue.sql"), CRASHES_MAX)
            .await
    }

    /// Ends all leases at once, of messages and of callbacks, so that the next rescue finds them: for a process that knows that it is
    /// the first one on this database after others have died. A worker that lives after all loses nothing but its work: it is fenced,
    /// and what it did is done again.
    ///
    /// Returns how many leases ended so.
    pub async fn expire_leases(&self) -> Result<u64, StoreError> {
        let jobs = self.expire(0, Value::Null).await?;
        let callbacks = self.run(statement!("expire_callbacks.sql"), vec![]).await?;
        Ok(jobs + callbacks.rows.len() as u64)
    }

    /// Ends the leases of the messages that one worker holds, by the name that it claimed under, since it has died. The next rescue
    /// counts it as a crash. A message whose next attempt would be the last one keeps its lease: what kills one worker after the other
    /// for some seconds, such as a shortage of memory, is not to make poison of it.
    ///
    /// Returns how many leases were still running.
    pub async fn expire_leases_of(&self, worker: &str) -> Result<u64, StoreError> {
        self.expire(1, worker.into()).await
    }

    async fn expire(&self, at_ms: i64, worker: Value) -> Result<u64, StoreError> {
        let params = vec![at_ms.into(), worker, (CRASHES_MAX - 2).into()];
        let ended = self.run(statement!("expire.sql"), params).await?;
        Ok(ended.rows.len() as u64)
    }

    /// Moves delayed retries that came due into the queue, and does what else has come due; returns how many retries. One step
    /// that fails keeps no other from its turn; the first error is told.
    pub async fn wake(&self) -> Result<u64, StoreError> {
        let due = self.due().await?;
        let mut outcome = Ok(());
        let rows = vec![SWEEP_ROWS_MAX.into()];
        let mut pauses = rows.clone();
        pauses.push(RETRY_AFTER_MS_MAX.into());
        for (is_due, statement, params) in [
            (due.paced, statement!("wake_paced.sql"), &rows),
            (due.hosts, statement!("wake_hosts.sql"), &pauses),
            (due.endpoints, statement!("wake_endpoints.sql"), &rows),
            (due.callbacks, statement!("wake_callbacks.sql"), &rows),
        ] {
            if is_due {
                outcome = outcome.and(self.sweep(statement, params).await.map(drop));
            }
        }
        let woken = if due.delayed {
            self.sweep(statement!("wake_delayed.sql"), &rows).await
        } else {
            Ok(0)
        };
        outcome.and(woken)
    }

    /// The kinds that have claimable work.
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        let rows = self
            .run(statement!("waiting.sql"), vec![SOON_MS.into()])
            .await?;
        let mut waiting = Waiting::default();
        for row in rows.iter() {
            let kinds = if row.get(1)? {
                &mut waiting.now
            } else {
                &mut waiting.soon
            };
            kinds.push(kind(row, 0)?);
            if row.get(2)? {
                waiting.alone.push(kind(row, 0)?);
            }
        }
        Ok(waiting)
    }

    /// Whether [`Self::claim_spare`] would find something with the same `draw`.
    pub async fn waiting_spare(&self, kind: Kind, draw: u32) -> Result<bool, StoreError> {
        let params = vec![
            kind.number().into(),
            SPARE_ACCOUNTS.into(),
            SPARE_LEASED_MAX.into(),
            draw.into(),
        ];
        self.run(statement!("waiting_spare.sql"), params)
            .await?
            .one()?
            .get(0)
    }

    /// What waits for a worker that nobody has woken: for whoever ends a job to ring for.
    pub async fn unattended(&self) -> Result<Unattended, StoreError> {
        const CALLBACKS: i64 = 4;
        let rows = self.run(statement!("unattended.sql"), vec![]).await?;
        let mut unattended = Unattended::default();
        for row in rows.iter() {
            match row.get::<i64>(0)? {
                CALLBACKS => unattended.callbacks = true,
                _ => unattended.kinds.push(kind(row, 0)?),
            }
        }
        Ok(unattended)
    }

    pub(crate) async fn due(&self) -> Result<Due, StoreError> {
        let rows = self
            .run(
                statement!("due.sql"),
                vec![SWEEP_ROWS_MAX.into(), RETRY_AFTER_MS_MAX.into()],
            )
            .await?;
        let row = rows.one()?;
        Ok(Due {
            delayed: row.get(0)?,
            paced: row.get(1)?,
            hosts: row.get(2)?,
            callbacks: row.get(3)?,
            endpoints: row.get(4)?,
            leases: row.get(5)?,
            callback_leases: row.get(6)?,
        })
    }

    /// Runs a sweeping statement until it finds less than it may move; returns how many rows moved.
    async fn sweep(&self, statement: &'static str, params: &[Value]) -> Result<u64, StoreError> {
        let mut moved = 0;
        for _ in 0..SWEEPS_MAX {
            let rows = self.run(statement, params.to_vec()).await?.rows.len();
            moved += rows as u64;
            if rows < SWEEP_ROWS_MAX as usize {
                break;
            }
        }
        Ok(moved)
    }

    pub(crate) async fn rescue_from(
        &self,
        statement: &'static str,
        tries_max: u32,
    ) -> Result<Rescued, StoreError> {
        let mut rescued = Rescued::default();
        let params = vec![
            tries_max.into(),
            SWEEP_ROWS_MAX.into(),
            CLAIMS_FORGIVEN_MAX.into(),
        ];
        for _ in 0..SWEEPS_MAX {
            let rows = self.run(statement, params.clone()).await?;
            for row in rows.iter() {
                if row.get::<&str>(0)? == "failed" {
                    rescued.poisoned += 1;
                } else {
                    rescued.requeued += 1;
                }
            }
            if rows.rows.len() < SWEEP_ROWS_MAX as usize {
                break;
            }
        }
        Ok(rescued)
    }
}

/// What the clock has to do.
pub(crate) struct Due {
    delayed: bool,
    paced: bool,
    hosts: bool,
    callbacks: bool,
    endpoints: bool,
    leases: bool,
    pub(crate) callback_leases: bool,
}

fn claim_params(kind: Kind, worker: &str, lease_s: u32) -> Vec<Value> {
    vec![
        kind.number().into(),
        worker.into(),
        lease_ms(lease_s).into(),
        JOB_MS_MAX.into(),
    ]
}

/// The jobs in the order of the queue: `RETURNING` has none.
fn jobs(rows: &Rows) -> Result<Vec<Job>, StoreError> {
    let mut jobs = rows
        .iter()
        .map(|row| Ok((row.get(13)?, job(row)?)))
        .collect::<Result<Vec<(f64, Job)>, StoreError>>()?;
    jobs.sort_by(|(a, x), (b, y)| a.total_cmp(b).then(x.id.cmp(&y.id)));
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

fn job(row: Row<'_>) -> Result<Job, StoreError> {
    let mode: &str = row.get(8)?;
    Ok(Job {
        id: MessageId(row.get(0)?),
        lease: row.get(1)?,
        attempt: row.get(2)?,
        tenant: AccountId(row.get(3)?),
        user_label: row.get(4)?,
        request_url: row.get(5)?,
        host: row.get(6)?,
        kind: kind(row, 7)?,
        mode: Mode::parse(mode)
            .ok_or_else(|| StoreError::Corrupt(format!("unknown mode {mode}")))?,
        selector: row.get(9)?,
        max_age_s: row.get(10)?,
        crash_count: row.get(11)?,
        deadline_ms: row.get(12)?,
    })
}

/// A row for each job, and rows of NULL up to `rows`.
fn finish_params(finished: &[Finished], rows: usize) -> Vec<Value> {
    let mut params = Vec::with_capacity(rows * FINISHED_PARAMS);
    for one in finished {
        params.extend([
            one.id.0.into(),
            one.lease.into(),
            u32::from(one.http_status).into(),
            one.final_url.as_str().into(),
            one.content_type.as_str().into(),
            one.encoding.as_str().into(),
            one.etag.as_deref().into(),
            one.last_modified.as_deref().into(),
            one.meta.as_str().into(),
            one.body.as_slice().into(),
            one.is_copy.into(),
        ]);
    }
    params.resize(rows * FINISHED_PARAMS, Value::Null);
    params
}
