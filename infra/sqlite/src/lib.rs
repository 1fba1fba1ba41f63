//! The local host's database: one SQLite file, one writer that commits many callers' statements together, several
//! readers.
//!
//! ```no_run
//! # async fn example() -> Result<(), trawl_sqlite::SqliteError> {
//! use trawl_sqlite::{Database, Options, Value};
//! let database = Database::open("trawl.db".as_ref(), Options::default())?;
//! let connection = database.connection();
//! connection.execute("INSERT INTO seen (url) VALUES (?1)", vec![Value::from("https://example.org/")]).await?;
//! # Ok(()) }
//! ```
//!
//! **Promises.** A write is answered `Ok` only after the commit that holds it is on the disk (WAL, `synchronous=FULL`). One that changes
//! only the schema (`CREATE`, `DROP`, `ALTER`) is there at the latest with the next write that does more; what needs the schema is never
//! there without it. Once the file is no longer where it was opened, or was found to be damaged, writes fail.
//! A read sees every write that was answered before it began. A statement that fails leaves no trace and harms no other.
//! Dropping the future of a statement means that it either happened whole or not at all.
//!
//! **How a batch works.** The writer takes the statements that wait, or half of them when they are many, runs them in one
//! `BEGIN IMMEDIATE … COMMIT`, and answers afterwards; while it waits for the disk the next batch gathers. SQLite undoes a failing
//! statement by itself and keeps the transaction, so no savepoint is needed for it. The exceptions (`OR ROLLBACK`,
//! `RAISE(ROLLBACK)`, a full disk, a result that can't be handed out, a deferred constraint that fails at the commit) undo
//! the whole batch: the culprit is answered, and the others, which nobody was told about, run again without it.
//!
//! **The write-ahead log.** When nothing was changed for a while, the writer folds it into the file and makes it empty; when it
//! has grown beyond [`Options::wal_alarm_bytes`], it says so, counts it, and tries to begin it anew.
//!
//! **Explicit transactions.** After `BEGIN` a [`Connection`] has the writer for itself, for at most
//! [`Options::transaction_ms_max`]; dropping it rolls back.

mod class;
mod connection;
mod damage;
mod database;
mod error;
#[cfg(feature = "test-support")]
mod faults;
mod log;
mod options;
mod place;
mod private;
mod queue;
mod reader;
mod session;
mod stats;
mod transaction;
mod value;
mod writer;

pub use connection::Connection;
pub use database::Database;
pub use error::SqliteError;
#[cfg(feature = "test-support")]
pub use faults::Faults;
pub use options::Options;
pub use stats::Stats;
pub use value::{Rows, Value};
