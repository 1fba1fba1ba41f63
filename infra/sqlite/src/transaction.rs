//! An explicit transaction: one connection has the writer for itself for a while.

use crate::session::{Failure, Session};
use crate::writer::Write;
use crate::{Rows, SqliteError, Value};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use trawl_core::limits::sqlite::TRANSACTION_STATEMENTS_MAX;

/// The caller's end. Dropping it rolls back.
pub(crate) struct Transaction {
    statements: SyncSender<Write>,
    ending: Arc<OnceLock<Ending>>,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a statement of the guest: COMMIT, ROLLBACK, or one that failed so badly that SQLite rolled back.
    Statement,
    /// It was open for too long and was rolled back.
    TimedOut,
}

/// What became of a statement that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is answered when it was run.
    Waits,
    /// As many wait as may.
    TooMany,
    /// The transaction has ended.
    HasEnded,
}

impl Transaction {
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Hands a statement over.
    pub(crate) fn send(&self, write: Write) -> Sent {
        match self.statements.try_send(write) {
            Ok(()) => Sent::Waits,
            Err(TrySendError::Full(_)) => Sent::TooMany,
            Err(TrySendError::Disconnected(_)) => Sent::HasEnded,
        }
    }
}

/// Opens a transaction, answers, and runs the guest's statements until it ends, the guest goes away or time is up.
pub(crate) fn serve(
    session: &Session,
    reply: oneshot::Sender<Result<Transaction, SqliteError>>,
    time_max: Duration,
) {
    if reply.is_closed() {
        return;
    }
    if let Err(error) = session.control("BEGIN IMMEDIATE") {
        let _ = reply.send(Err(error));
        return;
    }
    let (statements, received) = sync_channel(TRANSACTION_STATEMENTS_MAX);
    let ending = Arc::new(OnceLock::new());
    let transaction = Transaction {
        statements,
        ending: Arc::clone(&ending),
    };
    if reply.send(Ok(transaction)).is_err() {
        session.roll_back();
        return;
    }
    let end = run_statements(session, &received, &ending, Instant::now() + time_max);
    session.roll_back();
    // Set before the channel closes, so that whoever finds it closed learns why.
    let _ = ending.set(end);
}

fn run_statements(
    session: &Session,
    received: &Receiver<Write>,
    ending: &OnceLock<Ending>,
    deadline: Instant,
) -> Ending {
    loop {
        let left = || deadline.saturating_duration_since(Instant::now());
        let write = match received.recv_timeout(left()) {
            Ok(write) => write,
            Err(RecvTimeoutError::Timeout) => return Ending::TimedOut,
            Err(RecvTimeoutError::Disconnected) => return Ending::Statement,
        };
        if write.reply.is_closed() {
            continue;
        }
        let outcome = run_whole(session, left(), &write.sql, &write.params);
        // On a file that was found damaged it can't be committed, and whoever else writes need not wait for that.
        let ended = !session.in_transaction() || session.must_be_sound().is_err();
        if ended {
            let _ = ending.set(Ending::Statement);
        }
        write.answer(outcome.map_err(|failure| failure.error));
        if ended {
            return Ending::Statement;
        }
    }
}

/// A statement that changes something and returns rows can fail after the change; a savepoint takes it back.
fn run_whole(
    session: &Session,
    time: Duration,
    sql: &str,
    params: &[Value],
) -> Result<Rows, Failure> {
    if !session.may_fail_late(sql) {
        return session.run_within(time, sql, params);
    }
    session
        .control("SAVEPOINT trawl_statement")
        .map_err(|error| Failure {
            error,
            took_effect: false,
        })?;
    let outcome = session.run_within(time, sql, params);
    let undone = match &outcome {
        Err(failure) if failure.took_effect => session.control("ROLLBACK TO trawl_statement"),
        _ => Ok(()),
    };
    if session.in_transaction() {
        undone
            .and_then(|()| session.control("RELEASE trawl_statement"))
            .map_err(|error| Failure {
                error,
                took_effect: true,
            })?;
    }
    outcome
}
