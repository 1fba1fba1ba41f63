//! Faults that a test asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes commits fail, or the database full. A clone shares the switches.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    commits_to_fail: Arc<AtomicUsize>,
    /// The file may not grow beyond this many pages.
    pub pages_max: Option<u32>,
}

impl Faults {
    /// The next `count` commits fail as a broken disk would make them.
    pub fn fail_commits(&self, count: usize) {
        self.commits_to_fail.store(count, Ordering::SeqCst);
    }

    pub(crate) fn takes_commit(&self) -> bool {
        self.commits_to_fail
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}
