//! Brings the schema up to date.

use trawl_core::limits::schema::LOCK_MS;

use crate::sql::{Sql, SqlError};
use crate::text::statement;
use crate::{Store, StoreError};

/// The migrations, in order; the first is version 1.
const MIGRATIONS: [&str; 21] = [
    include_str!("../../../../infra/migrations/0001_accounts.sql"),
    include_str!("../../../../infra/migrations/0002_messages.sql"),
    include_str!("../../../../infra/migrations/0003_message_triggers.sql"),
    include_str!("../../../../infra/migrations/0004_callbacks.sql"),
    include_str!("../../../../infra/migrations/0005_priority.sql"),
    include_str!("../../../../infra/migrations/0006_ready_order.sql"),
    include_str!("../../../../infra/migrations/0007_last_write.sql"),
    include_str!("../../../../infra/migrations/0008_count_once.sql"),
    include_str!("../../../../infra/migrations/0009_first_answer.sql"),
    include_str!("../../../../infra/migrations/0010_dates.sql"),
    include_str!("../../../../infra/migrations/0011_purge_marks.sql"),
    include_str!("../../../../infra/migrations/0012_fair_backlog.sql"),
    include_str!("../../../../infra/migrations/0013_host_pauses.sql"),
    include_str!("../../../../infra/migrations/0014_delayed_flows.sql"),
    include_str!("../../../../infra/migrations/0015_closed_by_type.sql"),
    include_str!("../../../../infra/migrations/0016_host_starts.sql"),
    include_str!("../../../../infra/migrations/0017_visits_take_turns.sql"),
    include_str!("../../../../infra/migrations/0018_returns_take_turns.sql"),
    include_str!("../../../../infra/migrations/0019_shorter_gaps.sql"),
    include_str!("../../../../infra/migrations/0020_totals.sql"),
    include_str!("../../../../infra/migrations/0021_bounded_history.sql"),
];

/// Stands between the statements of a migration; a semicolon would not do, since triggers hold several.
const SEPARATOR: &str = "\n-- ;;\n";

impl<S: Sql> Store<'_, S> {
    /// Applies the migrations that are missing. Cheap when there are none.
    ///
    /// One process at a time: a statement is a transaction, and what one drops and makes anew must not be dropped once more by another
    /// that lags behind. Each statement is harmless when it runs again, and the version is raised when all of a migration ran; so whoever
    /// comes after one that was killed begins with the migration that it was at. A schema that lacks a trigger all the same is migrated
    /// from the beginning.
    ///
    /// # Errors
    /// `Migrating` while another process is at it, `Unavailable` when the database cannot be written; then it is to be called again.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if self.schema_version().await? >= MIGRATIONS.len() {
            return Ok(());
        }
        self.run(statement!("migration_lock.sql"), vec![]).await?;
        let begun = self
            .run(statement!("migration_begin.sql"), vec![LOCK_MS.into()])
            .await?;
        let Some(row) = begun.first() else {
            return Err(StoreError::Migrating);
        };
        let holder: String = row.get(0)?;
        let outcome = self.migrate_as(&holder).await;
        // A lock that cannot be given back is over by itself.
        let _ = self
            .run(statement!("migration_over.sql"), vec![holder.into()])
            .await;
        outcome
    }

    async fn migrate_as(&self, holder: &str) -> Result<(), StoreError> {
        // Read again: whoever held the lock before may have been through.
        let version = self.schema_version().await?;
        for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
            for statement in migration.split(SEPARATOR) {
                if takes_away(statement) {
                    self.go_on(holder).await?;
                }
                self.apply(statement).await?;
            }
            self.go_on(holder).await?;
            let reached = i64::try_from(index + 1).unwrap_or(i64::MAX);
            self.run(statement!("schema_versioned.sql"), vec![reached.into()])
                .await?;
        }
        Ok(())
    }

    /// Keeps the lock for a while longer; `Migrating` when another process has it by now.
    async fn go_on(&self, holder: &str) -> Result<(), StoreError> {
        let held = self
            .run(
                statement!("migration_goes_on.sql"),
                vec![holder.into(), LOCK_MS.into()],
            )
            .await?;
        held.first().map(drop).ok_or(StoreError::Migrating)
    }

    /// The version of the schema, when a newer program than this one made it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn newer_schema(&self) -> Result<Option<usize>, StoreError> {
        let version = self.schema_version().await?;
        Ok((version > MIGRATIONS.len()).then_some(version))
    }

    /// SQLite knows no `ADD COLUMN IF NOT EXISTS`, nor `DROP COLUMN IF EXISTS`: that it is there, or gone, is what was wanted.
    async fn apply(&self, statement: &'static str) -> Result<(), StoreError> {
        match self.sql.run(statement, vec![]).await {
            Err(SqlError::Other(text))
                if text.contains("duplicate column name")
                    || (statement.contains(" DROP COLUMN ") && text.contains("no such column")) =>
            {
                Ok(())
            }
            outcome => outcome.map(drop).map_err(StoreError::from),
        }
    }

    /// How many migrations the schema has seen; 0 for one that has seen all of these and lacks a trigger. What a newer program made is
    /// that program's.
    async fn schema_version(&self) -> Result<usize, StoreError> {
        match self.sql.run(statement!("schema_version.sql"), vec![]).await {
            Ok(rows) => {
                let Some(row) = rows.first() else {
                    return Ok(0);
                };
                let (version, is_whole): (u32, bool) = (row.get(0)?, row.get(1)?);
                let version = version as usize;
                Ok(if version == MIGRATIONS.len() && !is_whole {
                    0
                } else {
                    version
                })
            }
            Err(SqlError::Other(text)) if text.contains("no such table") => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a statement undoes what another process may have made: it must not run without the lock.
fn takes_away(statement: &str) -> bool {
    let lines = statement.lines().map(str::trim_start);
    lines.filter(|line| !line.starts_with("--")).any(|line| {
        line.starts_with("DROP ") || line.starts_with("ALTER ") || line.starts_with("DELETE ")
    })
}
