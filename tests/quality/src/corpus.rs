//! Pages with the text that a person would want from them.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// What is known about a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Truth {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) page_type: String,
    pub(crate) title: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) publish_date: Option<String>,
    pub(crate) main_content: String,
}

/// A page with its truth.
pub(crate) struct Page {
    pub(crate) truth: Truth,
    pub(crate) html: String,
}

/// Reads `truth.jsonl` and the pages it names.
pub(crate) fn load(folder: &Path) -> Result<Vec<Page>> {
    let path = folder.join("truth.jsonl");
    let lines = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| page(folder, line))
        .collect()
}

fn page(folder: &Path, line: &str) -> Result<Page> {
    let truth: Truth = serde_json::from_str(line).context("a line of truth.jsonl")?;
    let path = folder.join("html").join(format!("{}.html.gz", truth.id));
    let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
    let mut bytes = Vec::new();
    GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    // The pages are stored in UTF-8; the charset rules have tests of their own.
    Ok(Page {
        truth,
        html: String::from_utf8_lossy(&bytes).into_owned(),
    })
}
