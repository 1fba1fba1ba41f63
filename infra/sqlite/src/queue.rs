//! A bounded queue from async callers to a thread that may block.

use crate::SqliteError;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Something that waits, with what it weighs.
pub(crate) trait Weigh {
    /// Bytes that it keeps in memory.
    fn weight_bytes(&self) -> usize;
}

/// What came of waiting for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Some were moved over.
    Jobs,
    /// The time was up before one came.
    Nothing,
    /// None will come any more.
    Closed,
}

/// Many push, one or several threads take. Closing lets what waits be taken still.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    filled: Condvar,
    jobs_max: usize,
    bytes_max: usize,
}

struct State<J> {
    jobs: VecDeque<J>,
    bytes: usize,
    takers_idle: usize,
    /// Jobs that must wait before an idle taker is woken.
    wake_at: usize,
    closed: bool,
}

impl<J: Weigh> Queue<J> {
    pub(crate) fn new(jobs_max: usize, bytes_max: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            bytes: 0,
            takers_idle: 0,
            wake_at: 1,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            jobs_max,
            bytes_max,
        }
    }

    /// Adds a job behind those that wait.
    pub(crate) fn push(&self, job: J) -> Result<(), SqliteError> {
        let weight = job.weight_bytes();
        let mut state = self.lock();
        if state.closed {
            return Err(SqliteError::Closed);
        }
        // One job is always let in, however heavy: it could never run otherwise.
        let full = state.jobs.len() >= self.jobs_max
            || (state.bytes + weight > self.bytes_max && state.bytes > 0);
        if full {
            return Err(SqliteError::Busy(
                "database is locked: too many statements wait".to_owned(),
            ));
        }
        state.bytes += weight;
        state.jobs.push_back(job);
        let wake = state.takers_idle > 0 && state.jobs.len() >= state.wake_at;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until something is there, then moves up to `jobs_max` jobs over. False when closed and empty.
    pub(crate) fn take(&self, into: &mut VecDeque<J>, jobs_max: usize) -> bool {
        loop {
            match self.take_within(None, into, jobs_max) {
                Taken::Jobs => return true,
                Taken::Closed => return false,
                Taken::Nothing => {}
            }
        }
    }

    /// The same for at most `time`, or without end.
    pub(crate) fn take_within(
        &self,
        time: Option<Duration>,
        into: &mut VecDeque<J>,
        jobs_max: usize,
    ) -> Taken {
        let mut state = self.lock();
        let deadline = time.map(|time| Instant::now() + time);
        while state.jobs.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Taken::Nothing;
            }
            state.takers_idle += 1;
            state = match left {
                None => self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.filled
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.takers_idle -= 1;
        }
        move_over(&mut state, into, jobs_max);
        Taken::Jobs
    }

    /// Waits until `count` jobs are there, but no longer than `time`. Only for a queue with one taker.
    pub(crate) fn gather(&self, count: usize, time: Duration) {
        let mut state = self.lock();
        if state.jobs.len() >= count {
            return;
        }
        state.takers_idle += 1;
        state.wake_at = count;
        let short = |state: &mut State<J>| state.jobs.len() < count && !state.closed;
        let woken = self.filled.wait_timeout_while(state, time, short);
        let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        state.wake_at = 1;
        state.takers_idle -= 1;
    }

    /// Moves over what is there without waiting.
    pub(crate) fn take_waiting(&self, into: &mut VecDeque<J>, jobs_max: usize) {
        move_over(&mut self.lock(), into, jobs_max);
    }

    /// Takes no more jobs in. Those that wait are still handed out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Closes and drops what waits, which answers it.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn move_over<J: Weigh>(state: &mut State<J>, into: &mut VecDeque<J>, jobs_max: usize) {
    let count = state.jobs.len().min(jobs_max);
    for job in state.jobs.drain(..count) {
        state.bytes = state.bytes.saturating_sub(job.weight_bytes());
        into.push_back(job);
    }
}

/// The threads that take from a queue. When the last of them ends, however it ends, the queue is abandoned: nobody waits for an
/// answer that can't come. While another one is there it serves on.
pub(crate) struct Takers<J: Weigh> {
    queue: Arc<Queue<J>>,
    count: AtomicUsize,
    broken: Arc<watch::Sender<bool>>,
}

impl<J: Weigh> Takers<J> {
    /// Nobody takes yet; who breaks says so to `broken`.
    pub(crate) fn new(queue: &Arc<Queue<J>>, broken: &Arc<watch::Sender<bool>>) -> Arc<Self> {
        Arc::new(Self {
            queue: Arc::clone(queue),
            count: AtomicUsize::new(0),
            broken: Arc::clone(broken),
        })
    }

    /// One more takes, until the mark is dropped in its thread.
    pub(crate) fn join(self: &Arc<Self>) -> Taker<J> {
        self.count.fetch_add(1, Relaxed);
        Taker(Arc::clone(self))
    }
}

/// The mark of a thread that takes.
pub(crate) struct Taker<J: Weigh>(Arc<Takers<J>>);

impl<J: Weigh> Drop for Taker<J> {
    fn drop(&mut self) {
        let takers = &self.0;
        if takers.count.fetch_sub(1, Relaxed) == 1 {
            takers.queue.abandon();
        }
        if std::thread::panicking() {
            takers.broken.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Heavy(usize);

    impl Weigh for Heavy {
        fn weight_bytes(&self) -> usize {
            self.0
        }
    }

    /// Whoever comes faster than the writer works must not fill the memory.
    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let take = |queue: &Queue<Heavy>| {
            let mut taken = VecDeque::new();
            assert!(queue.take(&mut taken, usize::MAX));
            taken.len()
        };
        let is_full = |pushed| matches!(pushed, Err(SqliteError::Busy(_)));
        let queue = Queue::new(3, 100);
        for light in [1, 1, 1] {
            queue.push(Heavy(light)).unwrap();
        }
        assert!(is_full(queue.push(Heavy(1))), "a fourth one");
        assert_eq!(take(&queue), 3);
        queue.push(Heavy(60)).unwrap();
        queue.push(Heavy(40)).unwrap();
        assert!(is_full(queue.push(Heavy(1))), "101 bytes");
        assert_eq!(take(&queue), 2);
        // It could never run otherwise.
        queue.push(Heavy(1_000)).unwrap();
        assert!(is_full(queue.push(Heavy(1))));
        assert_eq!(take(&queue), 1);
    }
}
