//! Who uses the state directory. Several hosts may, since they only meet in the database; whoever starts one by mistake should
//! see it.

use std::fs::{File, TryLockError};
use std::path::Path;

/// The file that is locked while a host runs; the lock goes with its process, however that ends.
const FILE: &str = "in-use";

/// A mark on the state directory, until it is dropped.
pub(crate) struct StateUse {
    _mark: Option<File>,
    /// Who was there at the start.
    pub(crate) found: Found,
}

/// Who uses a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// No host, for certain.
    Nobody,
    /// Another host.
    Another,
    /// The directory can't be marked, so that it says nothing.
    Unknown,
}

impl StateUse {
    /// Marks a directory. Where that can't be done nothing is known, which keeps nobody from serving.
    pub(crate) fn mark(directory: &Path) -> Self {
        let Ok(file) = File::create(directory.join(FILE)) else {
            return Self {
                _mark: None,
                found: Found::Unknown,
            };
        };
        let found = match file.try_lock() {
            Ok(()) => Found::Nobody,
            Err(TryLockError::WouldBlock) => Found::Another,
            Err(TryLockError::Error(_)) => Found::Unknown,
        };
        // From here on the next one sees that somebody is here, and neither waits for the other.
        let marked = file.try_lock_shared().is_ok();
        Self {
            _mark: marked.then_some(file),
            found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_sees_the_first_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mark = || StateUse::mark(directory.path());
        let first = mark();
        assert_eq!(first.found, Found::Nobody);
        let second = mark();
        assert_eq!(second.found, Found::Another);
        drop(first);
        assert_eq!(mark().found, Found::Another, "the second is there");
        drop(second);
        assert_eq!(mark().found, Found::Nobody);
        let unknown = StateUse::mark(&directory.path().join("nowhere"));
        assert_eq!(unknown.found, Found::Unknown);
    }
}
