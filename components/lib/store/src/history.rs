//! What happened: the transitions of a message and the attempts of its callbacks.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::State;

use crate::sql::Sql;
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
    /// Why: `claimed`, `finished`, an error code, `lease_expired`, `cancelled`, ….
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
    /// The transitions of a message, oldest first; `None` when the account has no such message.
    pub async fn events(&self, account: AccountId, id: MessageId) -> Result<Option<Vec<Event>>, StoreError> {
        todo!()
    }

    /// The callback attempts of a message, oldest first; `None` when the account has no such message.
    pub async fn deliveries(&self, account: AccountId, id: MessageId) -> Result<Option<Vec<Delivery>>, StoreError> {
        todo!()
    }

    /// Sends the callback of a message again, with the same webhook id.
    pub async fn replay(&self, account: AccountId, id: MessageId) -> Result<Changed, StoreError> {
        todo!()
    }

    /// Sends the callbacks of messages that finished in `from_ms..to_ms` again; returns how many.
    pub async fn replay_range(&self, account: AccountId, from_ms: i64, to_ms: i64) -> Result<u64, StoreError> {
        todo!()
    }

    /// Enables an endpoint again; its kept callbacks go on. False when it was not disabled.
    pub async fn endpoint_enable(&self, account: AccountId, url: &str) -> Result<bool, StoreError> {
        todo!()
    }
}
