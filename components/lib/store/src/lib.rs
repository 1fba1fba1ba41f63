#![doc = include_str!("../README.md")]
#![allow(
    clippy::missing_errors_doc,
    reason = "all methods fail alike, which `Store` says once"
)]

pub mod accounts;
pub mod callbacks;
mod error;
pub mod history;
pub mod manners;
pub mod messages;
mod migrate;
pub mod queues;
mod rows;
pub mod sql;
mod text;
pub mod work;

pub use accounts::{Account, ApiKey, Created, KeyOwner, ListedAccount, Registration, Secrets};
pub use callbacks::{Attempt, CallbackJob, Done, Next};
pub use error::StoreError;
pub use history::{Delivery, Endpoint, Event, Replay, ReplayPoint, Replayed};
pub use manners::{Bodies, CachedRobots, FoundRobots, Previous, SameRequest, Start};
pub use messages::{
    Changed, Filter, Message, NewMessage, QueueLimits, ResultLookup, StoredResult, Submitted,
};
pub use queues::{QueueFigures, QueueTotals};
use sql::{Rows, Sql, Value};
pub use work::{Failure, Finished, HostPause, Job, Rescued, Unattended, Waiting};

/// The store over a database port. Each change of state is one statement, hence atomic; an operation that needs several may be cut
/// off between any two of them.
///
/// # Errors
/// Every method fails with a [`StoreError`] and with nothing else, see its variants. What a caller plans for, such as a lease that is
/// stale or an address that is taken, stands in what the method gives.
#[derive(Debug)]
pub struct Store<'a, S: Sql> {
    sql: &'a S,
}

impl<S: Sql> Clone for Store<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Sql> Copy for Store<'_, S> {}

impl<'a, S: Sql> Store<'a, S> {
    /// A store over `sql`.
    pub const fn new(sql: &'a S) -> Self {
        Self { sql }
    }

    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, StoreError> {
        Ok(self.sql.run(statement, params).await?)
    }
}
