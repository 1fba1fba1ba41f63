//! The rules between crates are held by `tests/dependencies.rs`, `tests/unused.rs` and `tests/imports.rs`; `tests/problems.rs` holds
//! documents to the code.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::path::{Path, PathBuf};

/// The root of the project.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file of Rust below `folder`: its path and what it says.
///
/// # Panics
/// When one can't be read.
#[must_use]
pub fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// The words of a text, without comments. A `//` after a colon is that of a URL.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().map(|line| {
        let mut slashes = line.match_indices("//").map(|(at, _)| at);
        let comment = slashes.find(|at| !line[..*at].ends_with(':'));
        &line[..comment.unwrap_or(line.len())]
    });
    let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter(|word| !word.is_empty())
}

/// What programs are made of below `folder`: the words of each file, without tests, and without what only passes a name on.
#[must_use]
pub fn programs(folder: &Path) -> Vec<Vec<String>> {
    let is_test = |path: &Path| {
        let mut names = path.iter().map(|name| name.to_str().unwrap());
        names.any(|name| {
            name.trim_end_matches(".rs").ends_with("tests")
                || ["testing", "examples"].contains(&name)
        })
    };
    let mut files = sources(folder);
    files.retain(|(path, _)| !is_test(path.strip_prefix(folder).unwrap()));
    let made_of = |text: &str| {
        // Tests stand last in their file; clippy sees to it.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
        let statements = code.split_inclusive(';').map(|one| {
            let passed_on = one.find("pub use ").unwrap_or(one.len());
            &one[..passed_on]
        });
        statements.flat_map(words).map(str::to_owned).collect()
    };
    { files.iter() }.map(|(_, text)| made_of(text)).collect()
}
