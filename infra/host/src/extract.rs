//! `trawl extract`: a scraper's extraction over local files.

use std::process::ExitCode;

use crate::cli::Extract;

/// Prints each file's result as JSON.
///
/// # Errors
/// A file that can't be read.
pub(crate) fn run(_: &Extract) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
