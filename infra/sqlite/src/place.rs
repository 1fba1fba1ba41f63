//! Where the file is kept, with what lies beside it, and whether it is still there.

use crate::SqliteError;
use std::path::{Path, PathBuf};

/// The place of a file, and which file it was.
///
/// SQLite goes on writing to a file that was removed, or replaced by a backup, while it was open: all that is committed then is gone
/// with the process, and whoever was answered would have been told that it is on the disk.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: Option<Identity>,
}

impl Place {
    /// Of a file that was opened just now.
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: identity(path),
        }
    }

    /// Looks whether it is there: about a microsecond.
    ///
    /// # Errors
    /// When another file, or none, is in its place.
    pub(crate) fn check(&self) -> Result<(), SqliteError> {
        if self.file.is_none() || identity(&self.path) == self.file {
            return Ok(());
        }
        // Without the path: what goes wrong with the database is told to strangers too (`/readyz`).
        Err(SqliteError::Io(
            "unable to open database file: it was removed or replaced while it was in use; put it back, or start anew".to_owned(),
        ))
    }
}

/// What lies beside a database: its name, and behind it `ending`.
pub(crate) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Device and number of the file, which no other one has while it is open.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Nothing tells files apart here, and one that is open can't be removed.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
}
