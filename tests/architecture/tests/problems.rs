//! Fails when the host answers with an error that the page at `/` does not tell of.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../components/lib/app/src/api/home.html");

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("its entries").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The codes in `Problem::new(status, "code", …)`.
fn codes(source: &str) -> Vec<&str> {
    let made = source.split("Problem::new(").skip(1);
    made.filter_map(|arguments| {
        let code = arguments.split_once('"')?.1.split_once('"')?.0;
        code.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            .then_some(code)
    })
    .collect()
}

#[test]
fn the_page_tells_of_every_error_of_the_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["infra/balance/src", "infra/host/src"] {
        sources(&root.join(folder), &mut files);
    }
    let mut all = 0;
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source can be read");
        for code in codes(&source) {
            all += 1;
            assert!(
                PAGE.contains(&format!("<code>{code}</code>")),
                "{}: {code} stands in no table of home.html",
                file.display()
            );
        }
    }
    assert!(
        all > 15,
        "only {all} were found: are they made in another way now?"
    );
}
