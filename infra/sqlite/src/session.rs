//! One SQLite connection as the threads use it: set up, guarded, with its statements kept prepared.

use crate::class::changes_schema;
use crate::damage::Damage;
use crate::stats::Counters;
use crate::{Options, Rows, SqliteError, Value};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{OpenFlags, Statement};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trawl_core::limits::sqlite::{
    PREPARED_MAX, READER_CACHE_PART, SCHEMA_STATEMENT_MS_MAX, WAL_BYTES_KEPT, WAL_CHECKPOINT_PAGES,
};

/// Virtual machine steps between two looks at the clock: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 5_000;
/// How long a change of the schema may take.
const SCHEMA_STATEMENT_TIME_MAX: Duration = Duration::from_millis(SCHEMA_STATEMENT_MS_MAX);

/// Why a statement failed, and whether it has left its changes behind.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: SqliteError,
    /// The changes were made before the failure: the result could not be handed out.
    pub(crate) took_effect: bool,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self {
            error: error.into(),
            took_effect: false,
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Reader,
    Writer,
}

/// A connection with its limits.
pub(crate) struct Session {
    connection: rusqlite::Connection,
    clock: Clock,
    result_bytes_max: usize,
    statement_time_max: Duration,
    lock_time_max: Duration,
    /// Shared with the other connections to the file.
    damage: Arc<Damage>,
    #[cfg(feature = "test-support")]
    faults: crate::Faults,
}

impl Session {
    pub(crate) fn open(
        path: &Path,
        role: Role,
        options: &Options,
        damage: &Arc<Damage>,
    ) -> Result<Self, SqliteError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, !options.as_found);
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        let lock_time_max = Duration::from_millis(options.busy_ms_max);
        connection.busy_timeout(lock_time_max)?;
        set_up(&connection, role, options)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
        connection.authorizer(Some(authorize));
        let clock = Clock::default();
        let watch = clock.clone();
        connection.progress_handler(STEPS_PER_LOOK, Some(move || watch.is_over()));
        Ok(Self {
            connection,
            clock,
            result_bytes_max: options.result_bytes_max,
            statement_time_max: Duration::from_millis(options.statement_ms_max),
            lock_time_max,
            damage: Arc::clone(damage),
            #[cfg(feature = "test-support")]
            faults: options.faults.clone(),
        })
    }

    /// Runs one statement within its usual time, or that of one which changes the schema.
    pub(crate) fn run(&self, sql: &str, params: &[Value]) -> Result<Rows, Failure> {
        let time_max = if changes_schema(sql) {
            SCHEMA_STATEMENT_TIME_MAX
        } else {
            self.statement_time_max
        };
        self.run_in(time_max, sql, params)
    }

    /// Runs one statement within `time`, if that is less than usual.
    pub(crate) fn run_within(
        &self,
        time: Duration,
        sql: &str,
        params: &[Value],
    ) -> Result<Rows, Failure> {
        self.run_in(time.min(self.statement_time_max), sql, params)
    }

    fn run_in(&self, time: Duration, sql: &str, params: &[Value]) -> Result<Rows, Failure> {
        // In the middle of a transaction too, which must not be committed any more.
        self.must_be_sound().map_err(|error| Failure {
            error,
            took_effect: false,
        })?;
        self.clock.start(time);
        let prepared = self.connection.prepare_cached(sql);
        let outcome = prepared
            .map_err(Failure::from)
            .and_then(|mut statement| self.step_through(&mut statement, params));
        self.noted(outcome)
    }

    /// Runs one statement if it only reads; `None` says that it writes.
    pub(crate) fn read(&self, sql: &str, params: &[Value]) -> Option<Result<Rows, Failure>> {
        self.clock.start(self.statement_time_max);
        match self.connection.prepare_cached(sql) {
            Ok(statement) if !statement.readonly() => None,
            Ok(mut statement) => Some(self.noted(self.step_through(&mut statement, params))),
            Err(error) => Some(self.noted(Err(error.into()))),
        }
    }

    /// Whether a statement can fail after it took effect: it changes something and returns rows.
    pub(crate) fn may_fail_late(&self, sql: &str) -> bool {
        let statement = self.connection.prepare_cached(sql);
        statement.is_ok_and(|statement| !statement.readonly() && statement.column_count() > 0)
    }

    /// Runs a statement of our own, such as `BEGIN IMMEDIATE`.
    pub(crate) fn control(&self, sql: &str) -> Result<(), SqliteError> {
        self.clock.stop();
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            Ok(())
        };
        run().map_err(|error: rusqlite::Error| self.told(error))
    }

    /// Looks whether the file may be written to.
    ///
    /// # Errors
    /// When a statement found it damaged, on whichever connection.
    pub(crate) fn must_be_sound(&self) -> Result<(), SqliteError> {
        self.damage.check()
    }

    fn told(&self, error: rusqlite::Error) -> SqliteError {
        let error = error.into();
        self.damage.note(&error);
        error
    }

    fn noted(&self, outcome: Result<Rows, Failure>) -> Result<Rows, Failure> {
        if let Err(failure) = &outcome {
            self.damage.note(&failure.error);
        }
        outcome
    }

    /// Folds the log into the file and cuts it to nothing, if no reader stands in it after `wait`; says whether it is empty.
    pub(crate) fn checkpoint(&self, wait: Duration) -> Result<bool, SqliteError> {
        self.clock.stop();
        self.connection.busy_timeout(wait)?;
        // The first column says that somebody was in the way; as much as was possible is done then.
        let blocked = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
        self.connection.busy_timeout(self.lock_time_max)?;
        let blocked = blocked.map_err(|error| self.told(error))?;
        Ok(blocked == 0)
    }

    /// Rows changed since it was opened, those by triggers too.
    pub(crate) fn changes(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Undoes the open transaction, if SQLite has not done so already.
    pub(crate) fn roll_back(&self) {
        if self.in_transaction()
            && let Err(error) = self.control("ROLLBACK")
        {
            tracing::error!(%error, "the rollback failed");
        }
    }

    /// Frees what it keeps to be quick, if that was asked since the last time.
    pub(crate) fn release_memory_when_asked(&self, counters: &Counters, released: &mut u64) {
        let asked = counters.releases();
        if asked == *released {
            return;
        }
        *released = asked;
        self.connection.flush_prepared_statement_cache();
        if let Err(error) = self.control("PRAGMA shrink_memory") {
            tracing::debug!(%error, "the page cache can't be freed");
        }
    }

    pub(crate) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    fn step_through(
        &self,
        statement: &mut Statement<'_>,
        params: &[Value],
    ) -> Result<Rows, Failure> {
        #[cfg(feature = "test-support")]
        self.faults.panic_when_asked();
        let writes = !statement.readonly();
        let columns: Arc<[String]> = statement
            .column_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            let row = copy_row(row, columns.len()).map_err(|error| Failure {
                error,
                took_effect: writes,
            })?;
            bytes += row.iter().map(Value::weight_bytes).sum::<usize>();
            if bytes > self.result_bytes_max {
                let error = SqliteError::Limit(format!(
                    "the result is larger than {} bytes",
                    self.result_bytes_max
                ));
                return Err(Failure {
                    error,
                    took_effect: writes,
                });
            }
            found.push(row);
        }
        drop(rows);
        Ok(Rows {
            columns,
            rows: found,
        })
    }
}

impl Drop for Session {
    /// The last connection that is closed would fold the log into the file.
    fn drop(&mut self) {
        if self.damage.is_found() {
            let stays = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            if let Err(error) = self.connection.set_db_config(stays, true) {
                tracing::warn!(%error, "the log of a damaged database may be folded into it");
            }
        }
    }
}

fn set_up(
    connection: &rusqlite::Connection,
    role: Role,
    options: &Options,
) -> Result<(), SqliteError> {
    let set = |name: &str, value: i64| connection.pragma_update(None, name, value);
    if role == Role::Writer {
        if !options.as_found {
            connection.pragma_update(None, "journal_mode", "WAL")?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        set("journal_size_limit", WAL_BYTES_KEPT)?;
        set("wal_autocheckpoint", WAL_CHECKPOINT_PAGES)?;
        #[cfg(feature = "test-support")]
        if let Some(pages) = options.faults.pages_max {
            set("max_page_count", i64::from(pages))?;
        }
    } else {
        set("query_only", 1)?;
    }
    set("foreign_keys", 1)?;
    set("trusted_schema", 0)?;
    let cache_kib = match role {
        Role::Writer => options.cache_kib,
        Role::Reader => options.cache_kib / READER_CACHE_PART,
    };
    set("cache_size", -cache_kib)?;
    set("mmap_size", options.mmap_bytes)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // No guest statement may write the schema table or the shadow tables of an index.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

/// Keeps a guest inside its one database, also where the first words of a statement do not show what it does.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        AuthAction::Function { function_name }
            if function_name.eq_ignore_ascii_case("load_extension") =>
        {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}

fn copy_row(row: &rusqlite::Row<'_>, columns: usize) -> Result<Vec<Value>, SqliteError> {
    let mut values = Vec::with_capacity(columns);
    for index in 0..columns {
        values.push(match row.get_ref(index)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(integer) => Value::Integer(integer),
            ValueRef::Real(real) => Value::Real(real),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => {
                    return Err(SqliteError::Sql(format!(
                        "column {} of a row is not UTF-8",
                        index + 1
                    )));
                }
            },
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        });
    }
    Ok(values)
}

/// When the running statement is to be interrupted, in microseconds since the session was opened; 0 is never.
#[derive(Clone)]
struct Clock {
    opened: Instant,
    deadline_us: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            deadline_us: Arc::default(),
        }
    }
}

impl Clock {
    fn start(&self, time: Duration) {
        let deadline = self.opened.elapsed() + time;
        self.deadline_us.store(
            u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    fn stop(&self) {
        self.deadline_us.store(0, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        let deadline_us = self.deadline_us.load(Ordering::Relaxed);
        deadline_us != 0 && self.opened.elapsed().as_micros() > u128::from(deadline_us)
    }
}
