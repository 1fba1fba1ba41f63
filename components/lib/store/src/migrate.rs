//! Brings the schema up to date.

use crate::sql::{Sql, SqlError};
use crate::{Store, StoreError};

/// The migrations, in order; the first is version 1.
const MIGRATIONS: [&str; 9] = [
    include_str!("../../../../infra/migrations/0001_accounts.sql"),
    include_str!("../../../../infra/migrations/0002_messages.sql"),
    include_str!("../../../../infra/migrations/0003_message_triggers.sql"),
    include_str!("../../../../infra/migrations/0004_callbacks.sql"),
    include_str!("../../../../infra/migrations/0005_priority.sql"),
    include_str!("../../../../infra/migrations/0006_ready_order.sql"),
    include_str!("../../../../infra/migrations/0007_last_write.sql"),
    include_str!("../../../../infra/migrations/0008_count_once.sql"),
    include_str!("../../../../infra/migrations/0009_first_answer.sql"),
];

/// Stands between the statements of a migration; a semicolon would not do, since triggers hold several.
const SEPARATOR: &str = "\n-- ;;\n";

impl<S: Sql> Store<'_, S> {
    /// Applies the migrations that are missing. Cheap when there are none; safe when several processes start together,
    /// since each statement is harmless when it runs again, and the version is only raised when all of them ran.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be written; then it is to be called again.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let version = self.schema_version().await?;
        for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
            for statement in migration.split(SEPARATOR) {
                self.apply(statement).await?;
            }
            let reached = i64::try_from(index + 1).unwrap_or(i64::MAX);
            self.run(
                include_str!("../sql/schema_versioned.sql"),
                vec![reached.into()],
            )
            .await?;
        }
        Ok(())
    }

    /// SQLite knows no `ADD COLUMN IF NOT EXISTS`: that it is there is what was wanted.
    async fn apply(&self, statement: &'static str) -> Result<(), StoreError> {
        match self.sql.run(statement, vec![]).await {
            Err(SqlError::Other(text)) if text.contains("duplicate column name") => Ok(()),
            outcome => outcome.map(drop).map_err(StoreError::from),
        }
    }

    async fn schema_version(&self) -> Result<usize, StoreError> {
        match self
            .sql
            .run(include_str!("../sql/schema_version.sql"), vec![])
            .await
        {
            Ok(rows) => rows
                .first()
                .map_or(Ok(0), |row| row.get::<u32>(0))
                .map(|version| version as usize),
            Err(SqlError::Other(text)) if text.contains("no such table") => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
