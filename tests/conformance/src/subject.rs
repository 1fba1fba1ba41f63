//! What a case needs from a database beside the port: letting time pass.

use trawl_store::sql::Sql;

/// A database under test.
#[allow(async_fn_in_trait, reason = "cases run on one thread")]
pub trait Subject: Sql {
    /// Lets `ms` milliseconds pass.
    async fn pass(&self, ms: i64);
}
