//! What a guest's `Connection::open` gives it.

use crate::class::Class;
use crate::database::Shared;
use crate::reader::{Answer, Read};
use crate::transaction::{Ending, Sent, Transaction};
use crate::writer::{Job, Write};
use crate::{Rows, SqliteError, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// One guest's view of the database, with its explicit transaction.
///
/// There is no count of changes and no last row id: `RETURNING` gives both, in the statement they belong to.
///
/// Dropping it rolls an open transaction back.
pub struct Connection {
    shared: Arc<Shared>,
    transaction: Mutex<Option<Arc<Transaction>>>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            transaction: Mutex::new(None),
        }
    }

    /// Runs one statement. `Ok` of a statement that writes means that it is on the disk, unless this connection has a
    /// transaction open; then its `COMMIT` means that. What changes only the schema may get there with the next write.
    ///
    /// # Errors
    /// See [`SqliteError`].
    pub async fn execute(&self, sql: &str, params: Vec<Value>) -> Result<Rows, SqliteError> {
        let (sql, class) = self.shared.classes.of(sql);
        match class {
            Some(Class::Refused(error)) => return Err(error),
            Some(Class::Answered(rows)) => return Ok(rows),
            _ => {}
        }
        if let Some(transaction) = self.open_transaction()? {
            return self.in_transaction(&transaction, sql, params).await;
        }
        match class {
            Some(Class::Begin) => self.begin().await,
            Some(Class::Transaction(text)) => Err(SqliteError::Sql(text.to_owned())),
            Some(Class::Write) => self.write(sql, params, Job::Write).await,
            Some(Class::Alone) => self.write(sql, params, Job::Alone).await,
            known => self.read(sql, params, known.is_some()).await,
        }
    }

    /// Reads, or finds out that the statement writes and has it written.
    async fn read(
        &self,
        sql: Arc<str>,
        params: Vec<Value>,
        known: bool,
    ) -> Result<Rows, SqliteError> {
        let (reply, answer) = oneshot::channel();
        self.shared.reads.push(Read {
            sql: Arc::clone(&sql),
            params,
            reply,
        })?;
        match answer.await.map_err(|_| SqliteError::Closed)? {
            Answer::Done(outcome) => {
                let rows = outcome?;
                if !known {
                    self.shared.classes.remember(&sql, Class::Read);
                }
                Ok(rows)
            }
            Answer::Writes(params) => {
                self.shared.classes.remember(&sql, Class::Write);
                self.write(sql, params, Job::Write).await
            }
        }
    }

    async fn write(
        &self,
        sql: Arc<str>,
        params: Vec<Value>,
        job: fn(Write) -> Job,
    ) -> Result<Rows, SqliteError> {
        let (reply, outcome) = oneshot::channel();
        self.shared.writes.push(job(Write { sql, params, reply }))?;
        outcome.await.map_err(|_| SqliteError::Closed)?
    }

    async fn begin(&self) -> Result<Rows, SqliteError> {
        let (reply, begun) = oneshot::channel();
        self.shared.writes.push(Job::Begin(reply))?;
        let transaction = begun.await.map_err(|_| SqliteError::Closed)??;
        *self.lock_transaction() = Some(Arc::new(transaction));
        Ok(Rows::none())
    }

    async fn in_transaction(
        &self,
        transaction: &Transaction,
        sql: Arc<str>,
        params: Vec<Value>,
    ) -> Result<Rows, SqliteError> {
        let (reply, outcome) = oneshot::channel();
        let answer = match transaction.send(Write { sql, params, reply }) {
            Sent::Waits => outcome.await.ok(),
            Sent::TooMany => return Err(too_many()),
            Sent::HasEnded => None,
        };
        if transaction.ending().is_some() {
            *self.lock_transaction() = None;
        }
        match answer {
            Some(outcome) => outcome,
            None if transaction.ending() == Some(Ending::TimedOut) => Err(timed_out()),
            None => Err(SqliteError::Closed),
        }
    }

    /// The transaction that this connection has open. One that timed out is reported once.
    fn open_transaction(&self) -> Result<Option<Arc<Transaction>>, SqliteError> {
        let mut open = self.lock_transaction();
        let ending = open.as_ref().and_then(|transaction| transaction.ending());
        if ending.is_some() {
            *open = None;
        }
        match ending {
            Some(Ending::TimedOut) => Err(timed_out()),
            _ => Ok(open.clone()),
        }
    }

    fn lock_transaction(&self) -> MutexGuard<'_, Option<Arc<Transaction>>> {
        self.transaction
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many() -> SqliteError {
    SqliteError::Busy("too many statements of the transaction wait already".to_owned())
}

fn timed_out() -> SqliteError {
    SqliteError::Busy("the transaction was open for too long and was rolled back".to_owned())
}
