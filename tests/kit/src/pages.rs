//! Real pages: the HTML documentation that comes with the Rust toolchain.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the toolchain's documentation.
///
/// # Panics
/// With a sentence when the toolchain has no documentation (`rustup component add rust-docs`).
#[must_use]
pub fn rust_docs() -> PathBuf {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .expect("rustc runs");
    let root =
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("share/doc/rust/html");
    assert!(
        root.join("book/index.html").is_file(),
        "the tests serve the Rust documentation: run `rustup component add rust-docs`"
    );
    root
}

/// What a page that leads elsewhere says in its head.
const REDIRECT: &str = r#"<meta http-equiv="refresh""#;

/// Paths (relative, with `/`) of the chapters of the Rust book, sorted: some hundred pages, most of them 20 to 50 KB. Old names of
/// chapters, a kilobyte that leads to the new one, are no pages.
///
/// # Panics
/// With a sentence when there are none, or one can't be read.
#[must_use]
pub fn book_pages(docs: &Path) -> Vec<String> {
    let mut pages = pages_of(docs, "book");
    pages.retain(|page| page.starts_with("book/ch") && !is_redirect(&docs.join(page)));
    assert!(!pages.is_empty(), "the book holds no chapters");
    pages
}

fn is_redirect(page: &Path) -> bool {
    let html = std::fs::read_to_string(page)
        .unwrap_or_else(|e| panic!("{} can't be read: {e}", page.display()));
    html.contains(REDIRECT)
}

/// Paths of the pages right in one folder of the documentation, sorted.
///
/// # Panics
/// With a sentence when there are none.
#[must_use]
pub fn pages_of(docs: &Path, folder: &str) -> Vec<String> {
    let mut pages: Vec<String> = std::fs::read_dir(docs.join(folder))
        .unwrap_or_else(|e| panic!("{folder} is no folder of the documentation: {e}"))
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".html"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    assert!(!pages.is_empty(), "{folder} holds no pages");
    pages.sort();
    pages
}
