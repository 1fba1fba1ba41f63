//! Answers whose reader takes nothing, where the stream below can't tell: in HTTP/2 a connection goes on while one of its answers
//! stands still, and each that stands still is held in our memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::{Duration, Instant};

use super::watched::Watch;

/// Since when an answer waits for its reader, if it does.
#[derive(Debug)]
pub(super) struct Taking {
    start: Instant,
    /// Milliseconds; `NOBODY` while the reader waits for the answer.
    since_ms: AtomicU64,
}

const NOBODY: u64 = u64::MAX;

impl Taking {
    /// An answer of which nothing was taken yet. When its reader has taken nothing for `stall`, the connection ends.
    pub(super) fn new(watch: &Arc<Watch>, stall: Duration) -> Arc<Self> {
        let taking = Arc::new(Self {
            start: Instant::now(),
            since_ms: AtomicU64::new(0),
        });
        let (watch, answer) = (Arc::clone(watch), Arc::downgrade(&taking));
        tokio::spawn(async move {
            while let Some(waits) = answer.upgrade().map(|answer| answer.waits()) {
                let left = stall.saturating_sub(waits.unwrap_or_default());
                if left.is_zero() {
                    watch.stall();
                    return;
                }
                tokio::time::sleep(left).await;
            }
        });
        taking
    }

    /// A piece of it was taken: it waits for the next to be asked for.
    pub(super) fn taken(&self) {
        let now_ms = crate::clock::millis(self.start.elapsed());
        self.since_ms.store(now_ms, Relaxed);
    }

    /// The next piece was asked for, and is not there yet.
    pub(super) fn asked(&self) {
        self.since_ms.store(NOBODY, Relaxed);
    }

    fn waits(&self) -> Option<Duration> {
        let since_ms = Some(self.since_ms.load(Relaxed)).filter(|since_ms| *since_ms != NOBODY)?;
        let since = Duration::from_millis(since_ms);
        Some(self.start.elapsed().saturating_sub(since))
    }
}
