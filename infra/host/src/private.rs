//! Directories for their owner only.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes a directory, and those above it that are missing. What is there already stays as it is.
///
/// # Errors
/// As of the system.
pub(crate) fn make_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(directory)
}
