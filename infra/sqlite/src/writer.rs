//! The one thread that changes the database. It commits what waits together.

use crate::class::changes_schema;
use crate::log::Log;
use crate::place::Place;
use crate::queue::{Queue, Taken, Weigh};
use crate::session::Session;
use crate::stats::Counters;
use crate::transaction::Transaction;
use crate::{Options, Rows, SqliteError, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use trawl_core::limits::sqlite::{
    BATCH_BYTES_MAX, BATCH_EXECUTION_MS_MAX, BATCH_PARTS, BATCH_RETRIES_MAX,
    BATCH_STATEMENTS_WHOLE, GATHER_SHARE,
};

/// A statement that waits for the writer.
pub(crate) struct Write {
    pub(crate) sql: Arc<str>,
    pub(crate) params: Vec<Value>,
    pub(crate) reply: oneshot::Sender<Result<Rows, SqliteError>>,
}

impl Write {
    /// Answers. Nobody to tell means that the guest went away; the statement stands as it is.
    pub(crate) fn answer(self, outcome: Result<Rows, SqliteError>) {
        let _ = self.reply.send(outcome);
    }
}

/// Work for the writer.
pub(crate) enum Job {
    /// Joins the next batch.
    Write(Write),
    /// Runs outside of any transaction.
    Alone(Write),
    /// Wants the writer for itself.
    Begin(oneshot::Sender<Result<Transaction, SqliteError>>),
}

impl Weigh for Job {
    fn weight_bytes(&self) -> usize {
        match self {
            Self::Write(write) | Self::Alone(write) => {
                write.params.iter().map(Value::weight_bytes).sum()
            }
            Self::Begin(_) => 0,
        }
    }
}

/// How an attempt to commit a batch ended.
enum Attempt {
    /// Every statement is answered, or back in the backlog.
    Finished,
    /// One statement rolled the others back and was answered; they wait to run again.
    Again,
    /// The commit itself failed for one of them, nobody knows which.
    Apart,
}

/// The writer's thread.
pub(crate) struct Writer {
    pub(crate) session: Session,
    pub(crate) place: Place,
    /// Each commit is on the disk when it is answered.
    pub(crate) syncs: bool,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) options: Options,
    pub(crate) log: Log,
    pub(crate) backlog: VecDeque<Job>,
    /// Statements that may be there when the next batch begins.
    pub(crate) expected: usize,
    /// What the last commit took.
    pub(crate) commit_time: Duration,
}

impl Writer {
    /// Works until the queue is closed and empty, then folds the log into the database.
    pub(crate) fn serve(&mut self) {
        let batch_max = self.options.batch_statements_max.max(1);
        let mut released = self.counters.releases();
        loop {
            self.session
                .release_memory_when_asked(&self.counters, &mut released);
            if self.backlog.is_empty() {
                let time = self.log.idle_left();
                match self.queue.take_within(time, &mut self.backlog, batch_max) {
                    Taken::Jobs => {}
                    Taken::Nothing => {
                        self.log.fold(&self.session, &self.counters);
                        continue;
                    }
                    Taken::Closed => break,
                }
            }
            self.top_up(batch_max);
            let callers = self.expected.max(self.backlog.len());
            let batch = self.next_batch(share(callers).min(batch_max));
            if batch.is_empty() {
                self.serve_alone();
            } else {
                self.commit(batch);
            }
            self.log.worked(&self.session, &self.counters);
        }
        let wait = Duration::from_millis(self.options.busy_ms_max);
        self.log.end(&self.session, wait);
    }

    /// What shares its commit with nothing else.
    fn serve_alone(&mut self) {
        let prepared = self.prepare(true);
        match (self.backlog.pop_front(), prepared) {
            (Some(Job::Begin(reply)), Err(error)) => drop(reply.send(Err(error))),
            (Some(Job::Alone(write) | Job::Write(write)), Err(error)) => write.answer(Err(error)),
            (Some(Job::Begin(reply)), Ok(())) => {
                self.counters.transaction();
                let time_max = Duration::from_millis(self.options.transaction_ms_max);
                crate::transaction::serve(&self.session, reply, time_max);
            }
            (Some(Job::Alone(write)), Ok(())) if !write.reply.is_closed() => {
                let outcome = self.session.run(&write.sql, &write.params);
                write.answer(outcome.map_err(|failure| failure.error));
            }
            (Some(Job::Alone(_) | Job::Write(_)) | None, _) => {}
        }
    }

    /// Adds what waits to the backlog, after a moment for those who were answered last and are about to come back.
    ///
    /// The wait ends as soon as there are as many as share a commit, is at most a fraction of what a commit takes, and does not
    /// happen for a lone caller.
    fn top_up(&mut self, batch_max: usize) {
        let expected = share(self.expected)
            .min(batch_max)
            .saturating_sub(self.backlog.len());
        if expected > 0 {
            let time_max = Duration::from_micros(self.options.gather_us_max);
            self.queue
                .gather(expected, time_max.min(self.commit_time / GATHER_SHARE));
        }
        if let Some(room) = batch_max.checked_sub(self.backlog.len()) {
            self.queue.take_waiting(&mut self.backlog, room);
        }
    }

    /// The statements at the head of the backlog that may share a commit. Those whose guest has gone are left out:
    /// they were never begun.
    fn next_batch(&mut self, batch_max: usize) -> VecDeque<Write> {
        let mut batch = VecDeque::new();
        let mut bytes = 0;
        while batch.len() < batch_max && bytes < BATCH_BYTES_MAX {
            let Some(job) = self.backlog.pop_front() else {
                break;
            };
            let weight = job.weight_bytes();
            match job {
                Job::Write(write) => {
                    if !write.reply.is_closed() {
                        bytes += weight;
                        batch.push_back(write);
                    }
                }
                other => {
                    self.backlog.push_front(other);
                    break;
                }
            }
        }
        batch
    }

    /// Commits a batch, however many of its statements stand in the way of the others.
    fn commit(&mut self, mut batch: VecDeque<Write>) {
        for _ in 0..BATCH_RETRIES_MAX {
            match self.attempt(&mut batch) {
                Attempt::Finished => return,
                Attempt::Again => self.counters.repeated(batch.len()),
                Attempt::Apart => break,
            }
        }
        self.counters.repeated(batch.len());
        while let Some(write) = batch.pop_front() {
            let mut alone = VecDeque::from([write]);
            if let Attempt::Apart = self.attempt(&mut alone) {
                tracing::error!("a batch of one can't be split");
            }
        }
    }

    /// Runs the batch in one transaction and answers when it is on the disk, or in the log when it is mere schema.
    fn attempt(&mut self, batch: &mut VecDeque<Write>) -> Attempt {
        if batch.is_empty() {
            return Attempt::Finished;
        }
        let only_schema = batch.iter().all(|write| changes_schema(&write.sql));
        if let Err(error) = self.prepare(!only_schema) {
            answer_all(batch, &error);
            return Attempt::Finished;
        }
        if let Err(error) = self.session.control("BEGIN IMMEDIATE") {
            answer_all(batch, &error);
            return Attempt::Finished;
        }
        let Some(outcomes) = self.execute(batch) else {
            return Attempt::Again;
        };
        let begun = Instant::now();
        let sound = self.session.must_be_sound();
        if let Err(error) = sound.and_then(|()| self.end_transaction()) {
            self.session.roll_back();
            // A deferred constraint fails at the commit: it is one statement's fault, not everybody's.
            if matches!(error, SqliteError::Constraint(_)) && batch.len() > 1 {
                return Attempt::Apart;
            }
            answer_all(batch, &error);
            return Attempt::Finished;
        }
        self.commit_time = begun.elapsed();
        self.counters.batch(outcomes.len(), self.commit_time);
        // Whoever is answered now may come again, beside those that wait already.
        self.expected = outcomes.len() + self.backlog.len() + self.queue.waiting();
        for (write, outcome) in batch.drain(..).zip(outcomes) {
            write.answer(outcome);
        }
        Attempt::Finished
    }

    /// Looks whether the file is sound and in its place, and says whether the next commit is to be on the disk when it is answered. One
    /// that only changes the schema may get there with the next one: after a power loss the log is read in order, up to where it is
    /// whole, so nothing that needs the schema is ever there without it. A new database takes a hundred such commits, about a fifth of
    /// the time of a first start on a slow disk.
    fn prepare(&mut self, each: bool) -> Result<(), SqliteError> {
        self.session.must_be_sound()?;
        self.place.check()?;
        if each && !self.syncs {
            self.session.control("PRAGMA synchronous=FULL")?;
            self.syncs = true;
        } else if !each && self.syncs {
            // Before it is asked for: where the answer is an error it may have been done.
            self.syncs = false;
            if let Err(error) = self.session.control("PRAGMA synchronous=NORMAL") {
                tracing::debug!(%error, "the schema is synced at each step");
            }
        }
        Ok(())
    }

    /// The outcome of each statement, or `None` when one undid the others: it has been answered and taken out.
    /// Statements beyond the time of a batch go back to the backlog.
    fn execute(&mut self, batch: &mut VecDeque<Write>) -> Option<Vec<Result<Rows, SqliteError>>> {
        let begun = Instant::now();
        let time_max = Duration::from_millis(BATCH_EXECUTION_MS_MAX);
        let mut outcomes = Vec::with_capacity(batch.len());
        for (index, write) in batch.iter().enumerate() {
            match self.session.run(&write.sql, &write.params) {
                Ok(rows) => outcomes.push(Ok(rows)),
                Err(failure) if failure.took_effect || !self.session.in_transaction() => {
                    self.session.roll_back();
                    if let Some(culprit) = batch.remove(index) {
                        culprit.answer(Err(failure.error));
                    }
                    return None;
                }
                Err(failure) => outcomes.push(Err(failure.error)),
            }
            if begun.elapsed() > time_max {
                break;
            }
        }
        for late in batch.drain(outcomes.len()..).rev() {
            self.backlog.push_front(Job::Write(late));
        }
        Some(outcomes)
    }

    fn end_transaction(&self) -> Result<(), SqliteError> {
        #[cfg(feature = "test-support")]
        if self.options.faults.takes_commit() {
            return Err(SqliteError::Io("disk I/O error".to_owned()));
        }
        self.session.control("COMMIT")
    }
}

/// How many of so many callers share a commit.
///
/// A few do all, since their statements take less time than the disk does. Many are halved: if all of them shared one, the front door
/// would have nothing to do while it is made, and the writer nothing while the front door answers and reads what comes next.
fn share(callers: usize) -> usize {
    let part = callers.div_ceil(BATCH_PARTS);
    part.max(BATCH_STATEMENTS_WHOLE).min(callers)
}

fn answer_all(batch: &mut VecDeque<Write>, error: &SqliteError) {
    for write in batch.drain(..) {
        write.answer(Err(error.clone()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]
mod tests {
    use super::*;
    use crate::damage::Damage;
    use crate::session::Role;
    use std::path::Path;

    fn writer(path: &Path) -> Writer {
        let options = Options::default();
        Writer {
            session: Session::open(
                path,
                Role::Writer,
                &options,
                &Arc::new(Damage::of(path, false)),
            )
            .unwrap(),
            place: Place::of(path),
            syncs: true,
            queue: Arc::new(Queue::new(1, 1)),
            counters: Arc::default(),
            log: Log::new(path, &options),
            options,
            backlog: VecDeque::new(),
            expected: 0,
            commit_time: Duration::ZERO,
        }
    }

    /// Commits these together, and says how it was done: 2 is FULL, 1 is NORMAL.
    fn synced(writer: &mut Writer, statements: &[&str]) -> Value {
        let (batch, answers): (VecDeque<_>, Vec<_>) = statements
            .iter()
            .map(|sql| {
                let (reply, answer) = oneshot::channel();
                let write = Write {
                    sql: Arc::from(*sql),
                    params: Vec::new(),
                    reply,
                };
                (write, answer)
            })
            .unzip();
        writer.commit(batch);
        for mut answer in answers {
            answer.try_recv().unwrap().unwrap();
        }
        level(writer)
    }

    fn level(writer: &Writer) -> Value {
        let level = writer.session.run("PRAGMA synchronous", &[]).unwrap();
        level.rows[0][0].clone()
    }

    #[test]
    fn only_a_commit_that_changes_nothing_but_the_schema_is_not_synced() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(&directory.path().join("a.db"));
        let create = |name| format!("-- made\nCREATE TABLE {name} (id)");
        let (full, normal) = (Value::Integer(2), Value::Integer(1));
        assert_eq!(synced(&mut writer, &[&create("a"), &create("b")]), normal);
        assert_eq!(synced(&mut writer, &["INSERT INTO a VALUES (1)"]), full);
        let mixed = [&*create("c"), "INSERT INTO a VALUES (2)"];
        assert_eq!(synced(&mut writer, &mixed), full);
        assert_eq!(synced(&mut writer, &["DROP TABLE c"]), normal);
        let (reply, mut answer) = oneshot::channel();
        writer.backlog.push_back(Job::Alone(Write {
            sql: Arc::from("PRAGMA wal_checkpoint"),
            params: Vec::new(),
            reply,
        }));
        writer.serve_alone();
        answer.try_recv().unwrap().unwrap();
        assert_eq!(level(&writer), full, "nor does what runs alone find it so");
        assert_eq!(synced(&mut writer, &["DROP TABLE b"]), normal);
        assert_eq!(synced(&mut writer, &["INSERT INTO a VALUES (3)"]), full);
    }
}
