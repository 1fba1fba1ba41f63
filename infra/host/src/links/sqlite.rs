//! `spin:sqlite` over the one writer and the readers of `trawl-sqlite`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use trawl_core::limits::host::CONNECTIONS_PER_INSTANCE_MAX;
use trawl_sqlite::SqliteError;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, FutureReader, HasSelf, Resource, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};

use super::bindings::spin::sqlite::sqlite::{
    Connection, Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};
use crate::state::Guest;

/// A connection that a guest holds.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Open(Arc<trawl_sqlite::Connection>);

/// What comes back from `execute-async`.
type Answer = (
    Vec<String>,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

const USE_ASYNC: &str =
    "this host offers the asynchronous functions of spin:sqlite only, which SDK 7 calls";

impl Host for Guest {}

impl HostConnection for Guest {
    fn open(&mut self, _: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        Ok(Err(Error::Io(USE_ASYNC.to_owned())))
    }

    fn execute(
        &mut self,
        _: Resource<Connection>,
        _: String,
        _: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        Ok(Err(Error::Io(USE_ASYNC.to_owned())))
    }

    fn last_insert_rowid(&mut self, _: Resource<Connection>) -> wasmtime::Result<i64> {
        Err(no_counts())
    }

    fn changes(&mut self, _: Resource<Connection>) -> wasmtime::Result<u64> {
        Err(no_counts())
    }

    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

/// With one writer for everybody these would speak of somebody else's statement, so there is no honest number to give.
fn no_counts() -> wasmtime::Error {
    wasmtime::format_err!("spin:sqlite: use RETURNING instead of last-insert-rowid and changes")
}

impl<T: 'static> HostConnectionWithStore<T> for HasSelf<Guest> {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        accessor.with(|mut access| {
            let guest = access.get();
            if !guest.rights.database_names.contains(&name) {
                return Ok(Err(Error::AccessDenied));
            }
            let Some(database) = &guest.rights.database else {
                return Ok(Err(Error::NoSuchDatabase));
            };
            let connection = Open(Arc::new(database.connection()));
            if guest.table.iter_mut().count() >= CONNECTIONS_PER_INSTANCE_MAX {
                return Ok(Err(Error::Io("too many connections opened".to_owned())));
            }
            Ok(Ok(guest.table.push(connection)?))
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        let connection = accessor.with(|mut access| {
            access
                .get()
                .table
                .get(&connection)
                .map(|open| Arc::clone(&open.0))
        })?;
        let parameters = parameters.into_iter().map(into_sqlite).collect();
        let (columns, rows, outcome) = match connection.execute(&statement, parameters).await {
            Ok(answer) => (answer.columns.to_vec(), answer.rows, Ok(())),
            // As on Spin, the guest hears of it at the end of the rows.
            Err(error) => (Vec::new(), Vec::new(), Err(into_spin_error(error))),
        };
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, RowsProducer { rows })?;
            let outcome =
                FutureReader::new(&mut access, async move { wasmtime::error::Ok(outcome) })?;
            Ok(Ok((columns, rows, outcome)))
        })
    }

    async fn last_insert_rowid_async(
        _: &Accessor<T, Self>,
        _: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        Err(no_counts())
    }

    async fn changes_async(
        _: &Accessor<T, Self>,
        _: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        Err(no_counts())
    }
}

/// All rows are there already: the guest gets as many at once as it has room for.
struct RowsProducer {
    rows: Vec<Vec<trawl_sqlite::Value>>,
}

impl<D> StreamProducer<D> for RowsProducer {
    type Item = RowResult;
    type Buffer = VecBuffer<RowResult>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, RowResult, VecBuffer<RowResult>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let rows = std::mem::take(&mut self.rows);
        let rows: Vec<RowResult> = rows
            .into_iter()
            .map(|row| RowResult {
                values: row.into_iter().map(into_spin).collect(),
            })
            .collect();
        destination.set_buffer(rows.into());
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

fn into_sqlite(value: Value) -> trawl_sqlite::Value {
    match value {
        Value::Integer(number) => trawl_sqlite::Value::Integer(number),
        Value::Real(number) => trawl_sqlite::Value::Real(number),
        Value::Text(text) => trawl_sqlite::Value::Text(text),
        Value::Blob(bytes) => trawl_sqlite::Value::Blob(bytes),
        Value::Null => trawl_sqlite::Value::Null,
    }
}

fn into_spin(value: trawl_sqlite::Value) -> Value {
    match value {
        trawl_sqlite::Value::Integer(number) => Value::Integer(number),
        trawl_sqlite::Value::Real(number) => Value::Real(number),
        trawl_sqlite::Value::Text(text) => Value::Text(text),
        trawl_sqlite::Value::Blob(bytes) => Value::Blob(bytes),
        trawl_sqlite::Value::Null => Value::Null,
    }
}

fn into_spin_error(error: SqliteError) -> Error {
    match error {
        SqliteError::Full => Error::DatabaseFull,
        other => Error::Io(other.to_string()),
    }
}
