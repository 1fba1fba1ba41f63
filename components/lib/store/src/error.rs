//! What can go wrong between the store and its callers.

use crate::sql::SqlError;

/// An error of the store. Outcomes that a caller plans for (taken, stale, full) are results, not errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is locked, full or unreachable; worth trying again (503). As a rule nothing was changed. With a connection that broke
    /// before the answer something may have been, which leases and idempotency keys make harmless.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another process brings the schema up to date; the same call succeeds when it is through.
    #[error("another process is bringing the database's schema up to date")]
    Migrating,
    /// A stored value does not have the form that the schema promises.
    #[error("the database holds an unexpected value: {0}")]
    Corrupt(String),
    /// The statement itself is wrong, or a constraint refused it: a fault in this program.
    #[error("{0}")]
    Sql(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Migrating)
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Busy(text) | SqlError::Full(text) => Self::Unavailable(text),
            SqlError::Constraint(text) | SqlError::Other(text) => Self::Sql(text),
        }
    }
}
