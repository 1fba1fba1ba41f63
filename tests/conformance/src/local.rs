//! The local host's database, on the system's clock. Time passes by making everything that is written down older.

use trawl_sqlite::{Connection, Database, SqliteError};
use trawl_store::sql::{Rows, Sql, SqlError, Value};

use crate::Subject;

/// One guest's connection to a local database in its own folder.
pub struct Local {
    connection: Connection,
    _database: Database,
    _folder: tempfile::TempDir,
}

impl Local {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(
            &folder.path().join("trawl.db"),
            trawl_sqlite::Options::default(),
        )
        .unwrap();
        Self {
            connection: database.connection(),
            _database: database,
            _folder: folder,
        }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

/// Every column that holds a time which the clock is compared with.
const OLDER: [&str; 11] = [
    "UPDATE dead_requests SET at_ms = at_ms - ?1",
    "UPDATE Messages SET added_ms = added_ms - ?1, run_at = run_at - ?1, lease_until = lease_until - ?1, deadline_at = deadline_at - ?1, finished_ms = finished_ms - ?1",
    "UPDATE hosts SET next_at = next_at - ?1, paused_until = paused_until - ?1",
    "UPDATE results SET stored_ms = stored_ms - ?1",
    "UPDATE callbacks SET run_at = run_at - ?1, lease_until = lease_until - ?1, finished_ms = finished_ms - ?1, ended_ms = ended_ms - ?1",
    "UPDATE endpoints SET disabled_ms = disabled_ms - ?1, throttled_until = throttled_until - ?1, first_failure_ms = first_failure_ms - ?1, last_failure_day = last_failure_day - ?1 / 86400000",
    "UPDATE login_failures SET first_ms = first_ms - ?1, last_ms = last_ms - ?1",
    "UPDATE robots SET fetched_ms = fetched_ms - ?1, expires_ms = expires_ms - ?1",
    "UPDATE flows SET minute = minute - ?1 / 60000",
    "UPDATE queues SET minute = minute - ?1 / 60000",
    "UPDATE accounts SET webhook_rotated_ms = webhook_rotated_ms - ?1",
];

impl Subject for Local {
    async fn pass(&self, ms: i64) {
        for statement in OLDER {
            self.run(statement, vec![Value::Integer(ms)]).await.unwrap();
        }
    }
}

impl Sql for Local {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        let params = params.into_iter().map(into_local).collect::<Vec<_>>();
        let found =
            self.connection
                .execute(statement, params)
                .await
                .map_err(|error| match error {
                    SqliteError::Busy(text) => SqlError::Busy(text),
                    other => SqlError::classify(&other.to_string()),
                })?;
        let rows = found
            .rows
            .into_iter()
            .map(|row| row.into_iter().map(from_local).collect())
            .collect();
        Ok(Rows {
            columns: found.columns.to_vec(),
            rows,
        })
    }
}

fn into_local(value: Value) -> trawl_sqlite::Value {
    match value {
        Value::Integer(n) => trawl_sqlite::Value::Integer(n),
        Value::Real(x) => trawl_sqlite::Value::Real(x),
        Value::Text(text) => trawl_sqlite::Value::Text(text),
        Value::Blob(bytes) => trawl_sqlite::Value::Blob(bytes),
        Value::Null => trawl_sqlite::Value::Null,
    }
}

fn from_local(value: trawl_sqlite::Value) -> Value {
    match value {
        trawl_sqlite::Value::Integer(n) => Value::Integer(n),
        trawl_sqlite::Value::Real(x) => Value::Real(x),
        trawl_sqlite::Value::Text(text) => Value::Text(text),
        trawl_sqlite::Value::Blob(bytes) => Value::Blob(bytes),
        trawl_sqlite::Value::Null => Value::Null,
    }
}
