//! Whether the file was found to be damaged.

use crate::SqliteError;
use std::sync::OnceLock;

/// What SQLite said when it came upon a part of the file that makes no sense, if it did.
///
/// The rest of the file may look well, and SQLite would go on writing to it: what is committed then may lie in a page that nothing leads
/// to, or be written over by what the damage points at, and whoever was answered was told that it is kept. So nothing is written any more.
/// What can be read is still read.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    found: OnceLock<String>,
}

impl Damage {
    /// Keeps in mind what a statement came upon, and tells of it the first time.
    pub(crate) fn note(&self, error: &SqliteError) {
        if let SqliteError::Damaged(text) = error
            && self.found.set(text.clone()).is_ok()
        {
            tracing::error!(
                "the database is damaged ({text}): nothing is written to it any more. Stop this host and restore a backup, as the README says"
            );
        }
    }

    /// Whether it was found.
    pub(crate) fn is_found(&self) -> bool {
        self.found.get().is_some()
    }

    /// Looks whether the file may be written to.
    ///
    /// # Errors
    /// When damage was found.
    pub(crate) fn check(&self) -> Result<(), SqliteError> {
        match self.found.get() {
            None => Ok(()),
            Some(text) => Err(SqliteError::Damaged(format!(
                "{text}; nothing is written to it until it is restored"
            ))),
        }
    }
}
