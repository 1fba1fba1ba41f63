//! An in-memory SQLite whose clock is a number that the test turns.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, StatementStatus};
use trawl_store::sql::{Rows, Sql, SqlError, Value};

use crate::Subject;

/// Milliseconds since the epoch, as the database under test sees them.
#[derive(Debug, Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that stands at `ms`.
    #[must_use]
    pub fn at(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }

    /// The time.
    #[must_use]
    pub fn ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Turns the clock, also back.
    pub fn turn(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// One connection, which is also the whole database.
pub struct Memory {
    connection: RefCell<Connection>,
    clock: Option<Clock>,
}

impl Memory {
    /// An empty database on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::over(Connection::open_in_memory().unwrap())
    }

    /// A database over a connection, such as one to a file.
    #[must_use]
    pub fn over(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(128);
        Self {
            connection: RefCell::new(connection),
            clock: None,
        }
    }

    /// An empty database whose `unixepoch` reads `clock`.
    #[must_use]
    pub fn with_clock(clock: &Clock) -> Self {
        let mut memory = Self::new();
        memory.clock = Some(clock.clone());
        let read = clock.clone();
        memory
            .connection
            .borrow()
            .create_scalar_function(
                "unixepoch",
                1,
                FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS,
                move |_| {
                    // Half a millisecond up, so that the statements' truncation gives back the same number.
                    Ok((read.ms() as f64 + 0.5) / 1000.0)
                },
            )
            .unwrap();
        memory
    }

    /// The connection, for what a test does beside the store.
    pub fn raw<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&self.connection.borrow())
    }

    /// Runs a statement at once.
    ///
    /// # Errors
    /// Those of the driver, sorted.
    pub fn execute(&self, statement: &str, params: Vec<Value>) -> Result<Rows, SqlError> {
        let connection = self.connection.borrow();
        run(&connection, statement, params).map_err(|error| SqlError::classify(&error.to_string()))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Subject for Memory {
    async fn pass(&self, ms: i64) {
        self.clock.as_ref().unwrap().turn(ms);
    }
}

impl Sql for Memory {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        self.execute(statement, params)
    }
}

fn run(connection: &Connection, statement: &str, params: Vec<Value>) -> rusqlite::Result<Rows> {
    let mut prepared = connection.prepare_cached(statement)?;
    let columns: Vec<String> = prepared
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut found = prepared.query(rusqlite::params_from_iter(params.iter().map(Bound)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(
            (0..columns.len())
                .map(|i| row.get_ref(i).map(value))
                .collect::<Result<Vec<_>, _>>()?,
        );
    }
    drop(found);
    // Once for each migration and each time these run again, since the schema grows; once per run means that a parameter forces it, which costs
    // more than the statement itself (SQLite looks at the value of a parameter that stands alone after LIMIT). What belongs to a migration is
    // compiled anew each time.
    let migrates = ["migration_lock", "schema_version"];
    if !migrates.iter().any(|table| statement.contains(table))
        && prepared.get_status(StatementStatus::RePrepare) > 20
    {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "compiled anew for its parameters: {statement}"
        )));
    }
    Ok(Rows { columns, rows })
}

struct Bound<'a>(&'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(n) => ValueRef::Integer(*n),
            Value::Real(x) => ValueRef::Real(*x),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(x) => Value::Real(x),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
