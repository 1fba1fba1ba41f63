//! `trawl extract`: a scraper over files, natively and as the component.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use trawl_kit::host::Host;
use trawl_kit::pages::rust_docs;
use trawl_kit::workspace_root;

const URL: &str = "https://doc.example.org/book/ch01-01-installation.html";

fn extract(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(Host::binary())
        .current_dir(workspace_root())
        .args(["extract", "--url", URL])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may refuse its arguments and be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn results(output: &Output) -> Vec<Value> {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Says which field differs, not the whole page.
#[track_caller]
fn assert_same(native: &Value, component: &Value) {
    let (native, component) = (native.as_object().unwrap(), component.as_object().unwrap());
    assert_eq!(
        native.keys().collect::<Vec<_>>(),
        component.keys().collect::<Vec<_>>()
    );
    for (name, value) in native {
        assert!(*value == component[name], "`{name}` differs");
    }
}

fn page() -> String {
    let page = rust_docs().join("book/ch01-01-installation.html");
    page.to_str().unwrap().to_owned()
}

/// The component gives what the native code gives. The cache is empty, so that the compiler's process is started too: one
/// that started itself anew would go on for ever.
#[test]
fn the_component_gives_what_the_native_code_gives() {
    let (page, cache) = (page(), tempfile::tempdir().unwrap());
    let cache = cache.path().to_str().unwrap();
    for kind in ["1", "2", "3"] {
        let native = results(&extract(&["--type", kind, &page], b""));
        let component = results(&extract(
            &["--type", kind, "--wasm", "--code-cache-dir", cache, &page],
            b"",
        ));
        assert_eq!((native.len(), component.len()), (1, 1), "type {kind}");
        assert_same(&native[0], &component[0]);
        assert_eq!(native[0]["final_url"], URL, "type {kind}");
    }
}

#[test]
fn several_files_are_named_and_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("page.html.gz");
    let mut gzip = flate2::write::GzEncoder::new(
        std::fs::File::create(&packed).unwrap(),
        flate2::Compression::fast(),
    );
    gzip.write_all(&std::fs::read(page()).unwrap()).unwrap();
    gzip.finish().unwrap();
    let packed = packed.to_str().unwrap();

    let both = results(&extract(&[&page(), packed], b""));
    assert_eq!(
        both.iter().map(|one| &one["file"]).collect::<Vec<_>>(),
        [page().as_str(), packed]
    );
    assert_eq!(both[0]["text"], both[1]["text"], "a .gz is unpacked");

    let bytes = std::fs::read(page()).unwrap();
    let piped = results(&extract(&["-"], &bytes));
    assert_eq!(piped[0]["text"], both[0]["text"]);
    assert!(piped[0].get("file").is_none());
}

#[test]
fn wrong_use_says_what_to_do() {
    let check = |arguments: &[&str], status: i32, word: &str| {
        let output = extract(arguments, b"");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    };
    check(&[], 2, "FILE");
    check(&["--type", "4", "x.html"], 2, "4");
    check(&["no/such/file.html"], 1, "no/such/file.html");
    assert!(!Path::new("no/such/file.html").exists());
}
