//! A thread that runs reading statements on a connection of its own.

use crate::queue::{Queue, Weigh};
use crate::session::Session;
use crate::stats::Counters;
use crate::{Rows, SqliteError, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A statement that only reads, or that nobody has prepared yet.
pub(crate) struct Read {
    pub(crate) sql: Arc<str>,
    pub(crate) params: Vec<Value>,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// What a reader says.
pub(crate) enum Answer {
    Done(Result<Rows, SqliteError>),
    /// The statement writes: here are its parameters back.
    Writes(Vec<Value>),
}

impl Weigh for Read {
    fn weight_bytes(&self) -> usize {
        self.params.iter().map(Value::weight_bytes).sum()
    }
}

/// Runs statements until the queue is closed and empty. Each is a read transaction of its own, so it sees whatever was
/// committed before it began.
pub(crate) fn serve(session: &Session, queue: &Queue<Read>, counters: &Counters) {
    let (mut taken, mut released) = (VecDeque::new(), counters.releases());
    while queue.take(&mut taken, 1) {
        for Read { sql, params, reply } in taken.drain(..) {
            if reply.is_closed() {
                continue;
            }
            counters.read();
            let answer = match session.read(&sql, &params) {
                Some(outcome) => Answer::Done(outcome.map_err(|failure| failure.error)),
                None => Answer::Writes(params),
            };
            // Nobody to tell is nobody harmed: the statement only read.
            let _ = reply.send(answer);
            session.release_memory_when_asked(counters, &mut released);
        }
    }
}
