//! A full disk: a preloaded library refuses writes to the database's files while a flag stands in the file system.

use std::path::{Path, PathBuf};

use crate::shim;

/// A disk that can be filled and emptied.
pub struct Disk {
    flag: PathBuf,
}

impl Disk {
    /// The disk of the host whose state is in `state`.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self {
            flag: state.join("disk-is-full"),
        }
    }

    /// The environment that puts a host on this disk.
    ///
    /// # Errors
    /// When the shim cannot be compiled.
    pub fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        Ok(vec![
            (
                "LD_PRELOAD".to_owned(),
                shim::compile("diskfull")?.display().to_string(),
            ),
            ("DISKFULL_WHILE".to_owned(), self.flag.display().to_string()),
        ])
    }

    /// From now on no write goes through.
    ///
    /// # Errors
    /// When the flag cannot be set.
    pub fn fill(&self) -> anyhow::Result<()> {
        std::fs::write(&self.flag, "")?;
        Ok(())
    }

    /// There is room again.
    ///
    /// # Errors
    /// When the flag cannot be taken away.
    pub fn empty(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.flag)?;
        Ok(())
    }
}
