//! Answers whose reader takes nothing, where the stream below can't tell: in HTTP/2 a connection goes on while one of its answers
//! stands still, and each that stands still is held in our memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::{
    task::AbortHandle,
    time::{Duration, Instant},
};

use super::watched::Watch;

/// An answer that is looked after until it is dropped.
#[derive(Debug)]
pub(super) struct Taking {
    since: Arc<Since>,
    looks: AbortHandle,
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

/// Since when an answer waits for its reader, if it does.
#[derive(Debug)]
struct Since {
    start: Instant,
    /// Milliseconds; `NOBODY` while the reader waits for the answer.
    since_ms: AtomicU64,
}

const NOBODY: u64 = u64::MAX;

impl Taking {
    /// An answer of which nothing was taken yet. When its reader has taken nothing for `stall`, the connection ends.
    pub(super) fn new(watch: &Arc<Watch>, stall: Duration) -> Self {
        let since = Arc::new(Since {
            start: Instant::now(),
            since_ms: AtomicU64::new(0),
        });
        let (watch, answer) = (Arc::clone(watch), Arc::clone(&since));
        let looks = tokio::spawn(async move {
            loop {
                let left = stall.saturating_sub(answer.waits().unwrap_or_default());
                if left.is_zero() {
                    watch.stall();
                    return;
                }
                tokio::time::sleep(left).await;
            }
        });
        Self {
            since,
            looks: looks.abort_handle(),
        }
    }

    /// A piece of it was taken: it waits for the next to be asked for.
    pub(super) fn taken(&self) {
        let now_ms = crate::clock::millis(self.since.start.elapsed());
        self.since.since_ms.store(now_ms, Relaxed);
    }

    /// The next piece was asked for, and is not there yet.
    pub(super) fn asked(&self) {
        self.since.since_ms.store(NOBODY, Relaxed);
    }
}

impl Since {
    fn waits(&self) -> Option<Duration> {
        let since_ms = Some(self.since_ms.load(Relaxed)).filter(|since_ms| *since_ms != NOBODY)?;
        let since = Duration::from_millis(since_ms);
        Some(self.start.elapsed().saturating_sub(since))
    }
}
