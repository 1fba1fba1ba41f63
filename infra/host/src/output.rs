//! What commands print.

use std::io::ErrorKind;

use anyhow::Context as _;

/// Whether more may be written. A reader that has seen enough closes the pipe; that is no failure.
///
/// # Errors
/// Whatever else keeps it from being written, such as a full disk.
pub(crate) fn goes_on(written: std::io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("the results can't be written"),
    }
}
