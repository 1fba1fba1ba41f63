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

/// Paths (relative, with `/`) of the chapters of the Rust book, sorted: some hundred pages of 10 to 100 KB.
#[must_use]
pub fn book_pages(docs: &Path) -> Vec<String> {
    let mut pages = pages_of(docs, "book");
    pages.retain(|page| page.starts_with("book/ch"));
    pages
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
