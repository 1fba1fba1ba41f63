//! The statements that the host runs by itself, beside those of the components.

use trawl_sqlite::Database;
use trawl_store::sql::{Rows, Sql, SqlError};
use trawl_store::{Registration, Store, StoreError};

/// One statement at a time over a connection of the host's own.
pub(crate) struct Connection(trawl_sqlite::Connection);

impl Connection {
    /// To the database of the application.
    pub(crate) fn to(database: &Database) -> Self {
        Self(database.connection())
    }
}

impl Sql for Connection {
    async fn run(
        &self,
        statement: &'static str,
        params: Vec<trawl_store::sql::Value>,
    ) -> Result<Rows, SqlError> {
        let params = params.into_iter().map(into_sqlite).collect();
        let found = self
            .0
            .execute(statement, params)
            .await
            .map_err(|error| SqlError::classify(&error.to_string()))?;
        Ok(Rows {
            columns: found.columns.to_vec(),
            rows: found
                .rows
                .into_iter()
                .map(|row| row.into_iter().map(from_sqlite).collect())
                .collect(),
        })
    }
}

fn into_sqlite(value: trawl_store::sql::Value) -> trawl_sqlite::Value {
    use trawl_store::sql::Value as V;
    match value {
        V::Integer(number) => trawl_sqlite::Value::Integer(number),
        V::Real(number) => trawl_sqlite::Value::Real(number),
        V::Text(text) => trawl_sqlite::Value::Text(text),
        V::Blob(bytes) => trawl_sqlite::Value::Blob(bytes),
        V::Null => trawl_sqlite::Value::Null,
    }
}

fn from_sqlite(value: trawl_sqlite::Value) -> trawl_store::sql::Value {
    use trawl_sqlite::Value as V;
    match value {
        V::Integer(number) => trawl_store::sql::Value::Integer(number),
        V::Real(number) => trawl_store::sql::Value::Real(number),
        V::Text(text) => trawl_store::sql::Value::Text(text),
        V::Blob(bytes) => trawl_store::sql::Value::Blob(bytes),
        V::Null => trawl_store::sql::Value::Null,
    }
}

/// Tells of tables that a newer program made. They serve the version before it too, which a migration leaves what it needs; but
/// whoever went back without meaning to should see it.
pub(crate) async fn warn_of_newer_schema(database: &Database) {
    let connection = Connection::to(database);
    if let Ok(Some(version)) = Store::new(&connection).newer_schema().await {
        tracing::warn!(
            "the tables in the database are of version {version}, made by a newer trawl than this one"
        );
    }
}

/// Tells of a service that nobody can enter: registration is closed, and there is no account.
pub(crate) async fn warn_when_nobody_can_enter(database: &Database, registration: Option<&str>) {
    if registration.and_then(|word| Registration::parse(word.trim())) != Some(Registration::Closed)
    {
        return;
    }
    let connection = Connection::to(database);
    let is_empty = match Store::new(&connection).has_accounts().await {
        Ok(has_accounts) => !has_accounts,
        // No component has made the tables yet.
        Err(error) => error.to_string().contains("no such table"),
    };
    if is_empty {
        tracing::warn!(
            "registration is closed and nobody has an account: start with registration=first until yours is made"
        );
    }
}

/// Takes back what an earlier host held when it died, instead of when its leases run out. Only for who is alone on the database and
/// has no worker yet. It is worth an attempt: before a component has made the tables, and in an application that has others, there
/// is nothing to take back, and what fails here the dispatcher does, a minute later.
pub(crate) async fn take_back(database: &Database) {
    let connection = Connection::to(database);
    let store = Store::new(&connection);
    let taken = async {
        let held = store.expire_leases().await?;
        if held > 0 {
            store.rescue().await?;
            store.rescue_callbacks().await?;
        }
        Ok::<_, StoreError>(held)
    };
    match taken.await {
        Ok(0) => {}
        Ok(held) => {
            tracing::info!("{held} jobs and callbacks that a dead host held are taken back")
        }
        Err(error) => tracing::debug!("nothing is taken back from a host before this one: {error}"),
    }
}

/// Takes back the jobs that a worker's instance held when it died. The dispatcher, which the clock calls, puts them back some seconds
/// later. Not the callbacks: those are not tried alone, so that one which is deadly would use up the attempts of its companions within
/// a minute.
pub(crate) async fn take_back_of(database: &Database, worker: &str) {
    let connection = Connection::to(database);
    match Store::new(&connection).expire_leases_of(worker).await {
        Ok(0) => {}
        Ok(held) => tracing::info!(
            worker,
            "{held} jobs are taken back from an instance that died"
        ),
        Err(error) => {
            tracing::info!(
                worker,
                "what an instance held that died waits for its leases: {error}"
            );
        }
    }
}
