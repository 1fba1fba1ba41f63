//! When an instance ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use trawl_core::limits::host as limits;

use crate::part::Part;
use crate::streamed::Writing;

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Nothing that matters.
    Nothing,
    /// It has requests that are not answered.
    Requests,
    /// All are answered, and it writes their rest, or has other work after them.
    AfterAnswers,
}

/// Decides when an instance ends.
pub(crate) struct Life {
    idle: Duration,
    writing: Arc<Writing>,
    sleep: Pin<Box<Sleep>>,
    busy: Busy,
}

/// Counts an instance among the busy ones, until it is dropped at the latest.
struct Busy {
    part: Arc<Part>,
    counted: bool,
}

impl Busy {
    fn set(&mut self, busy: bool) {
        if busy != self.counted {
            self.counted = busy;
            let count = &self.part.figures.busy;
            if busy {
                count.fetch_add(1, Relaxed)
            } else {
                count.fetch_sub(1, Relaxed)
            };
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl Life {
    /// It begins now; without work it ends after `idle`.
    pub(crate) fn new(part: &Arc<Part>, idle: Duration, writing: &Arc<Writing>) -> Self {
        Self {
            idle,
            writing: Arc::clone(writing),
            sleep: Box::pin(tokio::time::sleep(idle)),
            busy: Busy {
                part: Arc::clone(part),
                counted: false,
            },
        }
    }

    /// Whether it has done this for too long, since `start`; for requests, since the last of them was given to it.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        doing: Doing,
        start: Instant,
    ) -> Poll<()> {
        self.busy.set(doing != Doing::Nothing);
        // Requests have their own deadline; this is the second line, for a guest that does not even yield to it.
        let second_line = Duration::from_millis(limits::REQUEST_MS_MAX) * 2;
        let ends = match doing {
            Doing::Nothing => start + self.idle,
            Doing::Requests => start + second_line,
            // A client may take its time with a large result; the front door ends those that take nothing.
            Doing::AfterAnswers => start.max(self.writing.taken()) + second_line,
        };
        // Every request makes an instance busy and idle again. Setting the timer anew each time would cost more than letting it
        // ring for nothing once in a while: it never stands later than an idle time from when it was set, and the deadlines
        // of both states come after that.
        let deadline = tokio::time::Instant::from_std(ends);
        while self.sleep.as_mut().poll(context).is_ready() {
            let now = tokio::time::Instant::now();
            if deadline <= now {
                return Poll::Ready(());
            }
            let next = deadline.min(now + self.idle);
            self.sleep.as_mut().reset(next);
        }
        Poll::Pending
    }
}
