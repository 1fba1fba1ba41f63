//! What the block model is trained on.

use std::path::Path;

use anyhow::Result;

use crate::corpus::Page;

pub(crate) fn write(_pages: &[Page], _file: &Path) -> Result<()> {
    Ok(())
}
