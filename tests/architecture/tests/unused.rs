//! Nothing is kept that nobody uses: public items that the compiler says nothing about, and dependencies. And no test stands where
//! cargo was told that there are none.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use trawl_architecture::{programs, root, sources};

/// Public items that our programs do not name, and why they stand.
const KEPT: [(&str, &str); 8] = [
    (
        "HASHES_AT_ONCE_MAX",
        "stands in spin.toml too; the host's tests compare the two",
    ),
    (
        "HASHES_OF_NETWORK_MAX",
        "stands in spin.toml too; the host's tests compare the two",
    ),
    (
        "ENDPOINT_IN_FLIGHT_MAX",
        "stands in the triggers too; the conformance suite compares the two",
    ),
    (
        "disables",
        "is done by a trigger; the conformance suite compares the two",
    ),
    ("fail_commits", "is how tests make commits fail"),
    ("panic_once", "is how tests make a thread panic"),
    (
        "into_whole",
        "is how the native program of tests/bench answers",
    ),
    (
        "extract_text_by",
        "is what tests/quality trains the block model with",
    ),
];

/// Files with tests in a crate one of whose targets is said to have none: they belong to the other target.
const TESTED: [&str; 2] = [
    "tests/bench/src/profile/flame.rs",
    "tests/faults/src/audit.rs",
];

/// The name of each public item. One that is public in its crate alone is the compiler's business.
fn public_items(words: &[String]) -> impl Iterator<Item = &str> {
    words.windows(4).filter_map(|w| {
        let w: Vec<&str> = w.iter().map(String::as_str).collect();
        match w[..] {
            ["pub", "const" | "async", "fn", name]
            | [
                "pub",
                "fn" | "const" | "struct" | "enum" | "trait" | "type" | "static",
                name,
                _,
            ] => Some(name),
            _ => None,
        }
    })
}

#[test]
fn public_items_are_used() {
    let mut all = programs(&root().join("components"));
    all.extend(programs(&root().join("infra")));
    let libraries = [
        "components/lib/core",
        "components/lib/wire",
        "components/lib/store",
        "components/lib/extract",
        "components/lib/app",
        "components/lib/spin",
        "infra/sqlite",
        "infra/outbound",
        "infra/balance",
        "infra/nodes",
    ];
    let libraries = libraries.map(|folder| root().join(folder).join("src"));
    let ours: Vec<Vec<String>> = libraries
        .iter()
        .flat_map(|folder| programs(folder))
        .collect();
    assert!(all.len() > 200, "{} files were found", all.len());
    let mut counts: BTreeMap<&str, isize> = BTreeMap::new();
    for word in all.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    let defined: Vec<&str> = ours.iter().flat_map(|file| public_items(file)).collect();
    for name in &defined {
        *counts.get_mut(name).expect("it is among all words") -= 1;
    }
    let unused: BTreeSet<&str> = { defined.into_iter() }
        .filter(|name| counts[name] <= 0)
        .collect();
    let kept = KEPT.map(|(name, _reason)| name);
    assert_eq!(unused, BTreeSet::from(kept), "used by tests alone, or kept");
}

/// What a manifest calls its dependencies: of every kind and for every target.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(toml::Table::values);
    let tables = targets.filter_map(toml::Value::as_table).chain([manifest]);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let kinds = tables.flat_map(|table| kinds.map(|kind| table.get(kind)));
    let named = kinds.flatten().flat_map(|of| of.as_table().unwrap().keys());
    named.cloned().collect()
}

fn manifest(folder: &Path) -> toml::Table {
    let text = std::fs::read_to_string(folder.join("Cargo.toml"));
    text.unwrap().parse().expect("it is TOML")
}

#[test]
fn dependencies_are_used() {
    let workspace = manifest(&root());
    let (mut unused, mut wanted) = (Vec::new(), BTreeSet::new());
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let folder = root().join(member.as_str().unwrap());
        let files = sources(&folder);
        for dependency in dependencies(&manifest(&folder)) {
            let name = dependency.replace('-', "_");
            // Not the bare name, which a variable may have too.
            let uses = ["::", "!", ";", " as "].map(|behind| format!("{name}{behind}"));
            let is_used = { files.iter() }.any(|(_, text)| uses.iter().any(|u| text.contains(u)));
            if !is_used {
                unused.push(format!("{dependency} of {member}"));
            }
            wanted.insert(dependency);
        }
    }
    let listed = workspace["workspace"]["dependencies"].as_table().unwrap();
    unused.extend({ listed.keys() }.filter(|d| !wanted.contains(*d)).cloned());
    assert!(unused.is_empty(), "named nowhere: {unused:?}");
}

#[test]
fn no_test_is_left_out() {
    let workspace = manifest(&root());
    let mut left_out = BTreeSet::new();
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let folder = root().join(member.as_str().unwrap());
        let said = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let no_tests = said.lines().any(|line| line == "test = false");
        let no_examples = said.lines().any(|line| line == "doctest = false");
        for (path, text) in sources(&folder.join("src")) {
            let mut lines = text.lines().map(str::trim);
            if lines.any(|line| {
                let is = |starts: [&str; 2]| starts.iter().any(|start| line.starts_with(start));
                no_tests && is(["#[test]", "#[tokio::test"])
                    || no_examples && is(["/// ```", "//! ```"])
            }) {
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap();
                left_out.insert(path.to_owned());
            }
        }
    }
    assert_eq!(left_out, BTreeSet::from(TESTED.map(str::to_owned)));
}
