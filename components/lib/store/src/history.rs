//! What happened: the transitions of a message and the attempts of its callbacks.

use std::collections::BTreeSet;

use serde_json::json;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::queue::{LIST_MAX, REPLAY_ROWS_MAX};
use trawl_core::state::State;

use crate::rows::state;
use crate::sql::{Row, Sql, Value};
use crate::text::statement;
use crate::{Store, StoreError};

/// One transition of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// From; `None` for the insertion.
    pub from: Option<State>,
    /// To.
    pub to: State,
    /// The lease it was made under.
    pub lease: i64,
    /// The worker, when one was involved.
    pub worker: Option<String>,
    /// Why: `accepted`, `claimed`, `finished`, an error code, `lease_expired`, `cancelled`, ….
    pub reason: String,
}

/// One attempt of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Stable per event.
    pub webhook_id: String,
    /// From 1.
    pub attempt: u32,
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// The status of the endpoint, when it answered.
    pub status: Option<u16>,
    /// How long it took.
    pub latency_ms: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When the next try is due; `None` when there is none.
    pub next_try_at: Option<i64>,
}

/// An endpoint that fails, asked for a pause, or was disabled. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where callbacks go.
    pub url: String,
    /// Since when nothing is sent to it until its owner enables it.
    pub disabled_at: Option<i64>,
    /// Until when it asked to be left alone.
    pub paused_until: Option<i64>,
    /// The first failure since the last success.
    pub failing_since: Option<i64>,
}

/// How far a replay of a time range has come: the callbacks up to this one, of the messages up to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplayPoint {
    /// The message.
    pub message: MessageId,
    /// Its callback; 0 when it has none.
    pub callback: i64,
}

impl ReplayPoint {
    /// Nothing was looked at.
    pub const START: Self = Self {
        message: MessageId(0),
        callback: 0,
    };
}

/// What one step of a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Callbacks that will be sent again.
    pub count: u64,
    /// Where the next step goes on; `None` when all is done.
    pub next: Option<ReplayPoint>,
}

/// What became of the wish to send a callback again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It will be sent.
    WillBeSent,
    /// Nothing is sent to its endpoint until that is enabled.
    EndpointDisabled,
    /// The message, which stands so, has no callback.
    NoCallback(State),
    /// No such message of this account.
    NoMessage,
}

impl<S: Sql> Store<'_, S> {
    /// The insertion of a message and its transitions, the newest [`LIST_MAX`] of them, oldest first; `None` when the account has no
    /// such message.
    pub async fn events(
        &self,
        account: AccountId,
        id: MessageId,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let rows = self
            .run(
                statement!("events.sql"),
                vec![id.0.into(), account.0.into(), LIST_MAX.into()],
            )
            .await?;
        let happened: Vec<_> = rows.iter().map(event).collect::<Result<_, _>>()?;
        Ok((!happened.is_empty()).then_some(happened))
    }

    /// The callback attempts of a message, the newest [`LIST_MAX`] of them, oldest first; `None` when the account has no such message.
    pub async fn deliveries(
        &self,
        account: AccountId,
        id: MessageId,
    ) -> Result<Option<Vec<Delivery>>, StoreError> {
        let rows = self
            .run(
                statement!("deliveries.sql"),
                vec![id.0.into(), account.0.into(), LIST_MAX.into()],
            )
            .await?;
        if rows.first().is_none() {
            return Ok(None);
        }
        let mut tried = Vec::new();
        for row in rows.iter() {
            // The row of nulls of a message that was never called back.
            if row.get::<Option<&str>>(0)?.is_some() {
                tried.push(delivery(row)?);
            }
        }
        Ok(Some(tried))
    }

    /// Sends the callback of a message again, with the same webhook id.
    pub async fn replay(&self, account: AccountId, id: MessageId) -> Result<Replay, StoreError> {
        let params = || -> Vec<Value> { vec![id.0.into(), account.0.into()] };
        // First while it is being sent: that may end as failed between the two, and is found failed by the second then.
        for statement in [statement!("replay_under_way.sql"), statement!("replay.sql")] {
            if self.run(statement, params()).await?.first().is_some() {
                return Ok(Replay::WillBeSent);
            }
        }
        let rows = self.run(statement!("replay_state.sql"), params()).await?;
        let Some(row) = rows.first() else {
            return Ok(Replay::NoMessage);
        };
        let (has_callback, is_disabled) = (row.get(1)?, row.get(2)?);
        Ok(match (has_callback, is_disabled) {
            (false, _) => Replay::NoCallback(state(row, 0)?),
            (true, true) => Replay::EndpointDisabled,
            // It is waiting or on its way: what was asked for happens.
            (true, false) => Replay::WillBeSent,
        })
    }

    /// Sends the callbacks of what finished in `from_ms..to_ms` again: one step over the account's messages, which looks at
    /// [`REPLAY_ROWS_MAX`] of them at most, however many there are and whoever owns the others. `after` is where the step
    /// before ended.
    pub async fn replay_range(
        &self,
        account: AccountId,
        from_ms: i64,
        to_ms: i64,
        after: ReplayPoint,
    ) -> Result<Replayed, StoreError> {
        let params = vec![
            account.0.into(),
            from_ms.into(),
            to_ms.into(),
            after.message.0.into(),
            after.callback.into(),
            REPLAY_ROWS_MAX.into(),
        ];
        let looked_at = self.run(statement!("replay_find.sql"), params).await?;
        let (mut resting, mut under_way, mut last) = (Vec::new(), Vec::new(), after);
        for row in looked_at.iter() {
            let callback = row.get::<Option<i64>>(1)?;
            match (callback, row.get::<i64>(2)?) {
                (Some(callback), 1) => resting.push(callback),
                (Some(callback), 2) => under_way.push(callback),
                _ => {}
            }
            last = ReplayPoint {
                message: MessageId(row.get(0)?),
                callback: callback.unwrap_or(0),
            };
        }
        let mut sent = BTreeSet::new();
        // First what is under way: it may come to rest between the two, and is found resting by the second then.
        let of_all = [&under_way[..], &resting[..]].concat();
        for (statement, meant) in [
            (statement!("replay_many_under_way.sql"), &under_way[..]),
            (statement!("replay_many.sql"), &of_all[..]),
        ] {
            if !meant.is_empty() {
                let params = vec![Value::Text(json!(meant).to_string())];
                for row in self.run(statement, params).await?.iter() {
                    sent.insert(row.get::<i64>(0)?);
                }
            }
        }
        let is_full = looked_at.rows.len() >= REPLAY_ROWS_MAX as usize;
        Ok(Replayed {
            count: sent.len() as u64,
            // A step that came no further would do the same for ever.
            next: (is_full && last > after).then_some(last),
        })
    }

    /// The account's endpoints that are disabled, paused or failing, by URL: at most `limit`, without the first `skip`.
    pub async fn endpoints(
        &self,
        account: AccountId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let params = vec![account.0.into(), skip.into(), limit.into()];
        let statement = statement!("endpoints.sql");
        let rows = self.run(statement, params).await?;
        rows.iter().map(endpoint).collect()
    }

    /// Enables an endpoint again; its kept callbacks go on. False when it was not disabled.
    pub async fn endpoint_enable(&self, account: AccountId, url: &str) -> Result<bool, StoreError> {
        let params = vec![account.0.into(), url.into()];
        Ok(self
            .run(statement!("endpoint_enable.sql"), params)
            .await?
            .first()
            .is_some())
    }
}

fn event(row: Row<'_>) -> Result<Event, StoreError> {
    Ok(Event {
        at_ms: row.get(1)?,
        from: match row.get::<Option<&str>>(2)? {
            Some(_) => Some(state(row, 2)?),
            None => None,
        },
        to: state(row, 3)?,
        lease: row.get(4)?,
        worker: row.get(5)?,
        reason: row.get(6)?,
    })
}

fn endpoint(row: Row<'_>) -> Result<Endpoint, StoreError> {
    Ok(Endpoint {
        url: row.get(0)?,
        disabled_at: row.get(1)?,
        paused_until: row.get(2)?,
        failing_since: row.get(3)?,
    })
}

fn delivery(row: Row<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        webhook_id: row.get(0)?,
        attempt: row.get(1)?,
        at_ms: row.get(2)?,
        status: row.get(3)?,
        latency_ms: row.get(4)?,
        error: row.get(5)?,
        next_try_at: row.get(6)?,
    })
}
