//! Who uses the state directory. Several hosts may, since they only meet in the database; whoever starts one by mistake should
//! see it.

use std::fs::{File, TryLockError};
use std::path::Path;

/// The file that is locked while a host runs; the lock goes with its process, however that ends.
const FILE: &str = "in-use";

/// A mark on the state directory, until it is dropped.
pub(crate) struct StateUse {
    _mark: Option<File>,
    /// Whether another host ran there at the start.
    pub(crate) is_shared: bool,
    /// Whether none did, for certain.
    pub(crate) was_free: bool,
}

impl StateUse {
    /// Marks a directory. Where that can't be done nothing is known, which keeps nobody from serving.
    pub(crate) fn mark(directory: &Path) -> Self {
        let Ok(file) = File::create(directory.join(FILE)) else {
            return Self {
                _mark: None,
                is_shared: false,
                was_free: false,
            };
        };
        let locked = file.try_lock();
        let is_shared = matches!(locked, Err(TryLockError::WouldBlock));
        // From here on the next one sees that somebody is here, and neither waits for the other.
        let marked = file.try_lock_shared().is_ok();
        Self {
            _mark: marked.then_some(file),
            is_shared,
            was_free: locked.is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_sees_the_first_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateUse::mark(directory.path());
        assert!(!first.is_shared && first.was_free);
        let second = StateUse::mark(directory.path());
        assert!(second.is_shared && !second.was_free);
        drop(first);
        assert!(
            StateUse::mark(directory.path()).is_shared,
            "the second is there"
        );
        drop(second);
        assert!(!StateUse::mark(directory.path()).is_shared);
        let unknown = StateUse::mark(&directory.path().join("nowhere"));
        assert!(!unknown.is_shared && !unknown.was_free);
    }
}
