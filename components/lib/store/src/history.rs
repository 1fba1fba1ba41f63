//! What happened: the transitions of a message and the attempts of its callbacks.

use serde_json::json;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::queue::{LIST_MAX, SWEEP_ROWS_MAX};
use trawl_core::state::State;

use crate::callbacks::ids;
use crate::rows::state;
use crate::sql::{Row, Sql, Value};
use crate::{Changed, Store, StoreError};

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
                include_str!("../sql/events.sql"),
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
                include_str!("../sql/deliveries.sql"),
                vec![id.0.into(), account.0.into(), LIST_MAX.into()],
            )
            .await?;
        if rows.first().is_none() {
            return Ok(None);
        }
        let tried = rows.iter().filter(|row| row.get::<&str>(0).is_ok());
        tried.map(delivery).collect::<Result<_, _>>().map(Some)
    }

    /// Sends the callback of a message again, with the same webhook id.
    pub async fn replay(&self, account: AccountId, id: MessageId) -> Result<Changed, StoreError> {
        let params = || -> Vec<Value> { vec![id.0.into(), account.0.into()] };
        if self
            .run(include_str!("../sql/replay.sql"), params())
            .await?
            .first()
            .is_some()
        {
            return Ok(Changed::Yes);
        }
        let rows = self
            .run(include_str!("../sql/replay_state.sql"), params())
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Changed::NoMessage);
        };
        // A callback that is waiting or on its way will arrive: what was asked for happens.
        if row.get(1)? {
            Ok(Changed::Yes)
        } else {
            Ok(Changed::Conflict(state(row, 0)?))
        }
    }

    /// Sends the callbacks of messages that finished in `from_ms..to_ms` again; returns how many.
    pub async fn replay_range(
        &self,
        account: AccountId,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        let (mut replayed, mut after) = (0, 0);
        loop {
            let params = vec![
                account.0.into(),
                from_ms.into(),
                to_ms.into(),
                after.into(),
                SWEEP_ROWS_MAX.into(),
            ];
            let found = ids(&self
                .run(include_str!("../sql/replay_find.sql"), params)
                .await?)?;
            let Some(&last) = found.last() else {
                return Ok(replayed);
            };
            let params = vec![Value::Text(json!(found).to_string())];
            replayed += self
                .run(include_str!("../sql/replay_many.sql"), params)
                .await?
                .rows
                .len() as u64;
            after = last;
        }
    }

    /// Enables an endpoint again; its kept callbacks go on. False when it was not disabled.
    pub async fn endpoint_enable(&self, account: AccountId, url: &str) -> Result<bool, StoreError> {
        let params = vec![account.0.into(), url.into()];
        Ok(self
            .run(include_str!("../sql/endpoint_enable.sql"), params)
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
