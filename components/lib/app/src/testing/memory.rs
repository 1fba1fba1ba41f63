//! The database of a test, with the real schema.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value as Stored, ValueRef};
use trawl_core::limits::sqlite::BUSY_MS_MAX;
use trawl_store::sql::{Rows, Sql, SqlError, Value};

use super::VirtualClock;
use crate::ports::Clock as _;

/// A SQLite database in memory whose clock is the virtual one.
pub(crate) struct Memory {
    connection: Connection,
    clock: VirtualClock,
    statements: RefCell<Vec<&'static str>>,
    passing: Cell<u32>,
    failures: Cell<u32>,
    failing: Cell<&'static str>,
    refused: Cell<Option<&'static str>>,
    locked: Cell<Option<&'static str>>,
}

impl Memory {
    pub(crate) fn new(clock: &VirtualClock) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        let now_ms = clock.reader();
        connection
            .create_scalar_function(
                "unixepoch",
                1,
                FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS,
                move |_| {
                    // Half a millisecond up, so that cutting to milliseconds gives back the same number.
                    #[expect(clippy::cast_precision_loss, reason = "times of this century fit")]
                    Ok((now_ms() as f64 + 0.5) / 1_000.0)
                },
            )
            .unwrap();
        Self {
            connection,
            clock: clock.clone(),
            statements: RefCell::default(),
            passing: Cell::new(0),
            failures: Cell::new(0),
            failing: Cell::new(""),
            refused: Cell::new(None),
            locked: Cell::new(None),
        }
    }

    /// The statements run since the last call.
    pub(crate) fn statements(&self) -> Vec<&'static str> {
        self.statements.take()
    }

    /// The next `count` statements find the database locked.
    pub(crate) fn fail_next(&self, count: u32) {
        self.fail_when("", count);
    }

    /// The next `count` statements with this text in them find the database locked.
    pub(crate) fn fail_when(&self, text: &'static str, count: u32) {
        self.fail_after(0, text, count);
    }

    /// The same after `passing` of them.
    pub(crate) fn fail_after(&self, passing: u32, text: &'static str, count: u32) {
        self.passing.set(passing);
        self.failing.set(text);
        self.failures.set(count);
    }

    /// From now on there is no room for what statements with this text in them would write; `None` ends it.
    pub(crate) fn refuse(&self, text: Option<&'static str>) {
        self.refused.set(text);
    }

    /// From now on statements with this text in them wait for a lock as long as they may, and don't get it; `None` ends it.
    pub(crate) fn lock(&self, text: Option<&'static str>) {
        self.locked.set(text);
    }

    /// One number out of the database.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        self.connection
            .query_row(statement, [], |row| row.get(0))
            .unwrap()
    }

    fn done(&self, statement: &str, params: Vec<Value>) -> Result<Rows, SqlError> {
        self.execute(statement, params)
            .map_err(|error| SqlError::classify(&error.to_string()))
    }

    fn execute(&self, statement: &str, params: Vec<Value>) -> rusqlite::Result<Rows> {
        let mut prepared = self.connection.prepare_cached(statement)?;
        let columns: Vec<String> = prepared
            .column_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut found =
            prepared.query(rusqlite::params_from_iter(params.into_iter().map(stored)))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(
                (0..columns.len())
                    .map(|at| row.get_ref(at).map(value))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(Rows { columns, rows })
    }
}

impl Sql for Memory {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        self.statements.borrow_mut().push(statement);
        // A real database answers later, and other tasks run meanwhile.
        self.clock.yield_now().await;
        if statement.contains(self.failing.get())
            && let Some(left) = self.failures.get().checked_sub(1)
        {
            if let Some(passing) = self.passing.get().checked_sub(1) {
                self.passing.set(passing);
                return self.done(statement, params);
            }
            self.failures.set(left);
            return Err(SqlError::Busy("database is locked".to_owned()));
        }
        if self
            .locked
            .get()
            .is_some_and(|text| statement.contains(text))
        {
            let waits = Duration::from_millis(BUSY_MS_MAX);
            self.clock.sleep(waits).await;
            return Err(SqlError::Busy("database is locked".to_owned()));
        }
        if self
            .refused
            .get()
            .is_some_and(|text| statement.contains(text))
        {
            return Err(SqlError::Full("database or disk is full".to_owned()));
        }
        self.done(statement, params)
    }
}

fn stored(value: Value) -> Stored {
    match value {
        Value::Integer(number) => Stored::Integer(number),
        Value::Real(number) => Stored::Real(number),
        Value::Text(text) => Stored::Text(text),
        Value::Blob(bytes) => Stored::Blob(bytes),
        Value::Null => Stored::Null,
    }
}

fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
