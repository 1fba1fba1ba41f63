//! Faults that a test asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Makes commits fail, threads panic, or the database full. A clone shares the switches.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    commits_to_fail: Arc<AtomicUsize>,
    panics: Arc<AtomicBool>,
    /// The file may not grow beyond this many pages.
    pub pages_max: Option<u32>,
}

impl Faults {
    /// The next `count` commits fail as a broken disk would make them.
    pub fn fail_commits(&self, count: usize) {
        self.commits_to_fail.store(count, Ordering::SeqCst);
    }

    /// The thread that runs the next statement panics in the middle of it, as a defect of ours would make it.
    pub fn panic_once(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    #[expect(clippy::panic, reason = "that is what the test asks for")]
    pub(crate) fn panic_when_asked(&self) {
        if self.panics.swap(false, Ordering::SeqCst) {
            panic!("a test asked for it");
        }
    }

    pub(crate) fn takes_commit(&self) -> bool {
        self.commits_to_fail
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}
