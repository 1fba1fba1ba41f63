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

/// Pages that are read of a folder without a truth; more of one kind tell nothing new about speed.
const UNTOLD_PAGES_MAX: usize = 300;
/// Files smaller than this are redirects.
const UNTOLD_BYTES_MIN: u64 = 2_000;

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

/// Pages whose speed can be measured: those of a truth, else the HTML files of the folder.
pub(crate) fn load_any(folder: &Path) -> Result<Vec<Page>> {
    if folder.join("truth.jsonl").exists() {
        return load(folder);
    }
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let is_page = entry.path().extension().is_some_and(|end| end == "html");
        // The page with the whole book in it is as long as all the others together.
        if is_page
            && entry.file_name() != "print.html"
            && entry.metadata()?.len() >= UNTOLD_BYTES_MIN
        {
            files.push(entry.path());
        }
    }
    files.sort();
    files.truncate(UNTOLD_PAGES_MAX);
    anyhow::ensure!(!files.is_empty(), "no pages in {}", folder.display());
    files.iter().map(|file| untold_page(file)).collect()
}

fn untold_page(file: &Path) -> Result<Page> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Page {
        truth: Truth {
            id: name.to_string(),
            url: format!("https://www.example.org/{name}"),
            page_type: String::new(),
            title: None,
            author: None,
            publish_date: None,
            main_content: String::new(),
        },
        html: String::from_utf8_lossy(&bytes).into_owned(),
    })
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
