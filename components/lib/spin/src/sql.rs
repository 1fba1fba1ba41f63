//! The database, by `spin:sqlite`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::sqlite::{Connection, Error, Value as SpinValue};
use trawl_core::limits::schema::{BETWEEN_LOOKS_MS, WAIT_MS};
use trawl_store::sql::{Rows, Sql, SqlError, Value};
use trawl_store::{Store, StoreError};

use crate::time::monotonic_ms;

/// The default database, by one connection of this instance. The schema is brought up to date before the first statement.
#[derive(Default)]
pub struct SpinSql {
    raw: RawSql,
    migrated: Cell<bool>,
}

impl Sql for SpinSql {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        if !self.migrated.get() {
            // Readers and the writer then don't wait for each other, and a commit costs a fifth. It stays in the file; a database
            // that has no such mode, or has it already, loses nothing by being asked.
            let _ = self.raw.run("PRAGMA journal_mode=WAL", Vec::new()).await;
            self.migrate().await.map_err(as_sql_error)?;
            self.migrated.set(true);
        }
        self.raw.run(statement, params).await
    }
}

impl SpinSql {
    /// Several requests of a new instance may do this at once, and several instances: one migrates, the others wait for it.
    async fn migrate(&self) -> Result<(), StoreError> {
        let begun_ms = monotonic_ms();
        loop {
            match Store::new(&self.raw).migrate().await {
                Err(StoreError::Migrating) if monotonic_ms() < begun_ms + WAIT_MS => {
                    spin_sdk::time::sleep(Duration::from_millis(BETWEEN_LOOKS_MS)).await;
                }
                outcome => return outcome,
            }
        }
    }
}

fn as_sql_error(error: StoreError) -> SqlError {
    match error {
        StoreError::Unavailable(why) => SqlError::Busy(why),
        StoreError::Migrating => SqlError::Busy(error.to_string()),
        StoreError::Corrupt(why) | StoreError::Sql(why) => SqlError::Other(why),
    }
}

/// The connection without the care for the schema, which migrations themselves run on.
#[derive(Default)]
struct RawSql {
    connection: RefCell<Option<Rc<Connection>>>,
}

impl Sql for RawSql {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        let connection = self.connection().await?;
        match execute(&connection, statement, params).await {
            Ok(rows) => Ok(rows),
            Err(error) => {
                // A statement that was refused leaves its connection sound; anything else may have broken it.
                let is_gone = matches!(error, Error::InvalidConnection);
                let error = classify(error);
                if is_gone || matches!(error, SqlError::Other(_)) {
                    self.connection.borrow_mut().take();
                }
                Err(error)
            }
        }
    }
}

impl RawSql {
    async fn connection(&self) -> Result<Rc<Connection>, SqlError> {
        let kept = self.connection.borrow().clone();
        if let Some(connection) = kept {
            return Ok(connection);
        }
        let opened = Rc::new(Connection::open_default().await.map_err(classify)?);
        self.connection.borrow_mut().replace(Rc::clone(&opened));
        Ok(opened)
    }
}

/// Always reads to the end: errors come with the end of the rows, and a half-read result blocks its connection.
async fn execute(
    connection: &Connection,
    statement: &str,
    params: Vec<Value>,
) -> Result<Rows, Error> {
    let result = connection
        .execute(statement, params.into_iter().map(into_spin))
        .await?;
    let (columns, rows, outcome) = result.into_inner();
    // Asked for together, so that the answer to one question is not another turn of the instance after the other's.
    let (rows, outcome) = futures::join!(rows.collect(), outcome.into_future());
    outcome?;
    let rows = rows
        .into_iter()
        .map(|row| row.values.into_iter().map(from_spin).collect())
        .collect();
    Ok(Rows { columns, rows })
}

fn into_spin(value: Value) -> SpinValue {
    match value {
        Value::Integer(number) => SpinValue::Integer(number),
        Value::Real(number) => SpinValue::Real(number),
        Value::Text(text) => SpinValue::Text(text),
        Value::Blob(bytes) => SpinValue::Blob(bytes),
        Value::Null => SpinValue::Null,
    }
}

fn from_spin(value: SpinValue) -> Value {
    match value {
        SpinValue::Integer(number) => Value::Integer(number),
        SpinValue::Real(number) => Value::Real(number),
        SpinValue::Text(text) => Value::Text(text),
        SpinValue::Blob(bytes) => Value::Blob(bytes),
        SpinValue::Null => Value::Null,
    }
}

fn classify(error: Error) -> SqlError {
    match error {
        Error::DatabaseFull => SqlError::Full("database or disk is full".to_owned()),
        Error::Io(message) => SqlError::classify(&message),
        Error::NoSuchDatabase => {
            SqlError::Other("the manifest gives this component no database".to_owned())
        }
        Error::AccessDenied => SqlError::Other("access to the database is denied".to_owned()),
        // So says Spin when a database behind the network can't be reached: it may come back, and nothing was changed.
        Error::InvalidConnection => SqlError::Busy("the database can't be reached".to_owned()),
    }
}
