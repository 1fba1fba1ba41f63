//! Whether the file was found to be damaged.

use crate::SqliteError;
use crate::place::beside;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What stands behind the database's name in that of the file which keeps it in mind.
const MARK: &str = "-damaged";

/// What SQLite said when it came upon a part of the file that makes no sense, if it did.
///
/// The rest of the file may look well, and SQLite would go on writing to it: what is committed then may lie in a page that nothing leads
/// to, or be written over by what the damage points at, and whoever was answered was told that it is kept. So nothing is written any more,
/// and the log is left beside the file, for it may be the log alone that is wrong. What can be read is still read.
///
/// It is kept in mind beside the file, so that a process that is started again does not begin anew with a file that is known to be
/// damaged; until the file is another one, or was written to, or its log is gone. Another process that has the file open finds out by
/// itself.
///
/// A commit that was on its way when a reader came upon the damage may still be answered as done, and is.
#[derive(Debug)]
pub(crate) struct Damage {
    found: OnceLock<String>,
    database: PathBuf,
    log: PathBuf,
    mark: PathBuf,
    /// Nothing is made or taken away beside the file.
    as_found: bool,
}

impl Damage {
    /// Of the file at `database`, with what is kept in mind of it. A visitor ([`Options::as_found`](crate::Options::as_found)) keeps
    /// nothing.
    pub(crate) fn of(database: &Path, as_found: bool) -> Self {
        let damage = Self {
            found: OnceLock::new(),
            database: database.to_owned(),
            log: beside(database, "-wal"),
            mark: beside(database, MARK),
            as_found,
        };
        if let Some(text) = damage.kept() {
            damage.tell(&text);
            let _ = damage.found.set(text);
        }
        damage
    }

    /// Keeps in mind what a statement came upon, and tells of it the first time.
    pub(crate) fn note(&self, error: &SqliteError) {
        if let SqliteError::Damaged(text) = error
            && self.found.set(text.clone()).is_ok()
        {
            self.tell(text);
            self.keep(text);
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

    fn tell(&self, text: &str) {
        tracing::error!(
            "the database {} is damaged ({text}): nothing is written to it any more. Stop this host and restore a backup, as the README says",
            self.database.display()
        );
    }

    fn keep(&self, text: &str) {
        if self.as_found {
            return;
        }
        let kept = self
            .stamp()
            .and_then(|stamp| std::fs::write(&self.mark, format!("{stamp}\n{text}\n")));
        if let Err(error) = kept {
            tracing::warn!(%error, "that the database is damaged can't be kept in mind for the next start");
        }
    }

    /// What was found by a process before this one, unless the file is another by now.
    fn kept(&self) -> Option<String> {
        let kept = std::fs::read_to_string(&self.mark).ok()?;
        let (stamp, text) = kept.split_once('\n')?;
        if self.stamp().is_ok_and(|now| now == stamp) {
            return Some(text.trim_end().to_owned());
        }
        if !self.as_found {
            // A mark that can't be taken away says nothing about this file either.
            let _ = std::fs::remove_file(&self.mark);
        }
        None
    }

    /// What the file and its log look like from outside: nobody writes to them once the damage is known.
    fn stamp(&self) -> std::io::Result<String> {
        let found = std::fs::metadata(&self.database)?;
        let (bytes, changed) = (found.len(), found.modified()?);
        let of_log = crate::log::size(&self.log);
        Ok(format!("{bytes} bytes, {of_log} in the log, {changed:?}"))
    }
}
