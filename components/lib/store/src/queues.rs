//! The clock, the figures of the queues, dead requests, readiness and the purge.

use trawl_core::ids::AccountId;
use trawl_core::limits::api::READY_WRITE_MS;
use trawl_core::limits::login::NAME_FORGIVEN_MS;
use trawl_core::limits::outbox::KEPT_MS;
use trawl_core::limits::queue::{
    DEAD_REQUEST_DAYS, ENDPOINT_FORGOTTEN_MS, HOST_FORGOTTEN_MS, PURGE_LOOKS,
};
use trawl_core::limits::robots::UNREACHABLE_MS_MAX;
use trawl_core::limits::sweep::PURGE_BYTES_MAX;

use crate::sql::{Row, Sql, Value};
use crate::text::statement;
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
    /// Finished in the last sixty seconds, about: those of the minute before count by the share of it that lies in them.
    pub done_per_min: u64,
    /// Added in them.
    pub added_per_min: u64,
    /// Age of the oldest waiting row, seconds; 0 when none waits.
    pub oldest_age_s: u64,
}

/// What became of what was in one queue, in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueTotals {
    /// As in [`QueueFigures`].
    pub name: String,
    /// Messages that were done, callbacks that were delivered.
    pub done: u64,
    /// Those that were given up.
    pub failed: u64,
}

/// A purge that goes on where the one before ended.
struct Purge {
    statement: &'static str,
    params: Vec<Value>,
    /// Takes the mark behind so many rows.
    mark: &'static str,
    /// Its other parameters.
    mark_params: Vec<Value>,
    /// Rows that may go at once.
    most: u32,
    /// Rows that are looked at.
    looks: u32,
    /// Bytes that may go at once, where each row that went tells how many it had.
    bytes_max: Option<u64>,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Rows that went.
    pub rows: u64,
    /// Whether as much went as may at once, so that more may be there.
    pub goes_on: bool,
}

impl Purged {
    fn of(rows: usize, most: u32) -> Self {
        let rows = rows as u64;
        Self {
            rows,
            goes_on: rows >= u64::from(most),
        }
    }

    /// Adds what became of one table, and says whether there is more of it; the first error is kept.
    fn add(&mut self, failed: &mut Option<StoreError>, part: Result<Self, StoreError>) -> bool {
        let part = part.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Self::default()
        });
        self.rows += part.rows;
        self.goes_on |= part.goes_on;
        part.goes_on
    }
}

impl<S: Sql> Store<'_, S> {
    /// The one clock: the database's, milliseconds since the epoch.
    pub async fn now_ms(&self) -> Result<i64, StoreError> {
        self.run(statement!("now.sql"), vec![]).await?.one()?.get(0)
    }

    /// The figures of each queue, of one account or of all.
    pub async fn queues(
        &self,
        account: Option<AccountId>,
    ) -> Result<Vec<QueueFigures>, StoreError> {
        let rows = match account {
            Some(account) => {
                let statement = statement!("queues_of.sql");
                self.run(statement, vec![account.0.into()]).await?
            }
            None => self.run(statement!("queues.sql"), vec![]).await?,
        };
        rows.iter().map(figures).collect()
    }

    /// What was done and failed in each queue, of all accounts.
    pub async fn totals(&self) -> Result<Vec<QueueTotals>, StoreError> {
        let rows = self.run(statement!("totals.sql"), vec![]).await?;
        let totals = rows.iter().map(|row| {
            Ok(QueueTotals {
                name: queue_name(row.get(0)?),
                done: row.get(1)?,
                failed: row.get(2)?,
            })
        });
        totals.collect()
    }

    /// Keeps a malformed request with its reason.
    pub async fn dead_request(
        &self,
        source: &str,
        body: &[u8],
        reason: &str,
    ) -> Result<(), StoreError> {
        let params = vec![source.into(), reason.into(), body.into()];
        self.run(statement!("dead_request.sql"), params).await?;
        Ok(())
    }

    /// Whether the schema is there and the database can be written: not locked at the moment, and a disk that took something within
    /// [`READY_WRITE_MS`].
    pub async fn ready(&self) -> Result<(), StoreError> {
        let params = vec![READY_WRITE_MS.into()];
        self.run(statement!("ready.sql"), params).await?;
        Ok(())
    }

    /// Deletes results older than `result_days` and terminal messages older than `message_days`, and what else is old: at most `limit`
    /// rows of each table, and [`PURGE_BYTES_MAX`] of results or one of them.
    ///
    /// # Errors
    /// The first one; each table has its turn nevertheless.
    pub async fn purge(
        &self,
        result_days: u32,
        message_days: u32,
        limit: u32,
    ) -> Result<Purged, StoreError> {
        let mut sum = Purged::default();
        let mut failed = None;
        // A message takes its result with it, however long that is; so a result is never kept for longer, and goes first.
        let results = self.purge_results(result_days.min(message_days), limit);
        let more_results = sum.add(&mut failed, results.await);
        if !more_results {
            sum.add(&mut failed, self.purge_messages(message_days, limit).await);
        }
        for (statement, age_ms) in [
            (statement!("purge_login_failures.sql"), NAME_FORGIVEN_MS),
            (statement!("purge_robots.sql"), UNREACHABLE_MS_MAX),
            (
                statement!("purge_dead_requests.sql"),
                days_ms(DEAD_REQUEST_DAYS),
            ),
        ] {
            let gone = self.run(statement, vec![age_ms.into(), limit.into()]);
            let purged = gone.await.map(|gone| Purged::of(gone.rows.len(), limit));
            sum.add(&mut failed, purged);
        }
        let hosts = self.purge_by_marks(Purge {
            statement: statement!("purge_hosts.sql"),
            params: vec![HOST_FORGOTTEN_MS.into(), limit.into()],
            mark: statement!("purge_hosts_mark.sql"),
            mark_params: vec![],
            most: limit,
            looks: limit,
            bytes_max: None,
        });
        sum.add(&mut failed, hosts.await);
        let endpoints = self.purge_by_marks(Purge {
            statement: statement!("purge_endpoints.sql"),
            params: vec![
                ENDPOINT_FORGOTTEN_MS.into(),
                limit.into(),
                days_ms(message_days).into(),
            ],
            mark: statement!("purge_endpoints_mark.sql"),
            mark_params: vec![],
            most: limit,
            looks: limit,
            bytes_max: None,
        });
        sum.add(&mut failed, endpoints.await);
        failed.map_or(Ok(sum), Err)
    }

    async fn purge_results(&self, days: u32, limit: u32) -> Result<Purged, StoreError> {
        let looks = limit.saturating_mul(PURGE_LOOKS);
        self.purge_by_marks(Purge {
            statement: statement!("purge_results.sql"),
            params: vec![
                days_ms(days).into(),
                limit.into(),
                looks.into(),
                PURGE_BYTES_MAX.into(),
            ],
            mark: statement!("purge_results_mark.sql"),
            mark_params: vec![days_ms(days).into()],
            most: limit,
            looks,
            bytes_max: Some(PURGE_BYTES_MAX),
        })
        .await
    }

    async fn purge_messages(&self, days: u32, limit: u32) -> Result<Purged, StoreError> {
        let looks = limit.saturating_mul(PURGE_LOOKS);
        self.purge_by_marks(Purge {
            statement: statement!("purge_messages.sql"),
            params: vec![
                days_ms(days).into(),
                limit.into(),
                looks.into(),
                KEPT_MS.into(),
            ],
            mark: statement!("purge_messages_mark.sql"),
            mark_params: vec![days_ms(days).into()],
            most: limit,
            looks,
            bytes_max: None,
        })
        .await
    }

    /// Whether the last purge left something behind. It stands in the database, since an instance may end with its round.
    pub async fn purge_goes_on(&self) -> Result<bool, StoreError> {
        self.run(statement!("purge_goes_on.sql"), vec![])
            .await?
            .one()?
            .get(0)
    }

    /// Remembers whether a purge left something behind.
    pub async fn set_purge_goes_on(&self, goes_on: bool) -> Result<(), StoreError> {
        let statement = if goes_on {
            statement!("purge_goes_on_begin.sql")
        } else {
            statement!("purge_goes_on_end.sql")
        };
        self.run(statement, vec![]).await?;
        Ok(())
    }

    /// Looks at rows from where the last purge ended; the next one begins behind those that stay, unless some could still go.
    async fn purge_by_marks(&self, purge: Purge) -> Result<Purged, StoreError> {
        let gone = self.run(purge.statement, purge.params).await?;
        let mut purged = Purged::of(gone.rows.len(), purge.most);
        if let Some(bytes_max) = purge.bytes_max {
            let mut bytes: u64 = 0;
            for row in gone.iter() {
                bytes = bytes.saturating_add(row.get(0)?);
            }
            purged.goes_on |= bytes >= bytes_max;
        }
        if !purged.goes_on {
            let stay = u64::from(purge.looks).saturating_sub(purged.rows);
            let mut params = vec![stay.into()];
            params.extend(purge.mark_params);
            self.run(purge.mark, params).await?;
        }
        Ok(purged)
    }
}

fn days_ms(days: u32) -> i64 {
    i64::from(days) * 86_400_000
}

fn queue_name(kind: i64) -> String {
    match kind {
        4 => "callback_queue".to_owned(),
        kind => format!("type_{kind}_queue"),
    }
}

fn figures(row: Row<'_>) -> Result<QueueFigures, StoreError> {
    let count = |column| {
        row.get::<Option<u64>>(column)
            .map(Option::unwrap_or_default)
    };
    Ok(QueueFigures {
        name: queue_name(row.get(0)?),
        ready: count(1)?,
        leased: count(2)?,
        delayed: count(3)?,
        dead: count(4)?,
        done_per_min: count(5)?,
        added_per_min: count(6)?,
        // A clock that was set back makes no negative age.
        oldest_age_s: row
            .get::<Option<i64>>(7)?
            .map_or(0, |age_s| u64::try_from(age_s).unwrap_or(0)),
    })
}
