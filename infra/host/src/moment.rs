//! When something happened last, for one side to note and another to read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A point in time that only moves forward, to the millisecond; at first when it was made.
#[derive(Debug)]
pub(crate) struct Moment {
    born: Instant,
    /// Milliseconds from `born`.
    ms: AtomicU64,
}

impl Default for Moment {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            ms: AtomicU64::new(0),
        }
    }
}

impl Moment {
    /// It happens now.
    pub(crate) fn note(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ms.store(ms, Relaxed);
    }

    /// When it was noted last.
    pub(crate) fn last(&self) -> Instant {
        self.born + Duration::from_millis(self.ms.load(Relaxed))
    }
}
