//! Fails when a crate depends on one that it must not: the table in `components/ARCHITECTURE.md`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use trawl_architecture::{programs, root};

const ROLES: [&str; 7] = [
    "trawl-auth",
    "trawl-ingest",
    "trawl-dispatcher",
    "trawl-scraper-text",
    "trawl-scraper-html",
    "trawl-scraper-domains",
    "trawl-callback",
];

/// What each of our crates may use of ours, in its ordinary dependencies.
fn allowed(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "trawl-core" | "trawl-nodes" | "trawl-kit" => &[],
        "trawl-extract" | "trawl-wire" | "trawl-store" => &["trawl-core"],
        "trawl-sqlite" | "trawl-outbound" | "trawl-balance" => &["trawl-core"],
        "trawl-app" => &["trawl-core", "trawl-extract", "trawl-wire", "trawl-store"],
        "trawl-spin" => &["trawl-core", "trawl-store", "trawl-app"],
        "trawl" => &[
            "trawl-core",
            "trawl-wire",
            "trawl-store",
            "trawl-extract",
            "trawl-sqlite",
            "trawl-outbound",
            "trawl-balance",
            "trawl-nodes",
        ],
        role if ROLES.contains(&role) => &["trawl-app", "trawl-spin"],
        _ => return None,
    })
}

/// Crates that only one of ours (or the roles, for their entry macro) may name.
const ONLY: [(&str, &[&str]); 4] = [
    ("spin-sdk", &["trawl-spin"]),
    ("wasmtime", &["trawl", "trawl-quality"]),
    ("rusqlite", &["trawl-sqlite"]),
    ("redis", &["trawl"]),
];

/// The pure crates: nothing that does I/O, tells time, or draws random numbers.
const PURE: [&str; 4] = ["trawl-core", "trawl-extract", "trawl-wire", "trawl-store"];
const IMPURE: [&str; 10] = [
    "tokio",
    "hyper",
    "spin-sdk",
    "wasmtime",
    "rusqlite",
    "redis",
    "rand",
    "getrandom",
    "reqwest",
    "wasip3",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Name of each crate of the workspace, with the names of its ordinary dependencies.
fn ordinary_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ordinary = dependencies
                .filter(|d| d["kind"].is_null())
                .map(|d| d["name"].as_str().unwrap().to_owned());
            (
                package["name"].as_str().unwrap().to_owned(),
                ordinary.collect(),
            )
        })
        .collect()
}

/// What of the standard library their programs do not name either; their tests may.
const IMPURE_NAMES: [&[&str]; 8] = [
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["TcpStream"],
    &["UdpSocket"],
    &["SystemTime"],
    &["Instant"],
];

fn is_test_crate(name: &str) -> bool {
    [
        "trawl-kit",
        "trawl-architecture",
        "trawl-conformance",
        "trawl-e2e",
        "trawl-faults",
        "trawl-bench",
        "trawl-bench-hello",
        "trawl-quality",
    ]
    .contains(&name)
}

#[test]
fn our_crates_use_only_what_they_may() {
    for (name, dependencies) in ordinary_dependencies() {
        let Some(allowed) = allowed(&name) else {
            assert!(
                is_test_crate(&name),
                "{name} is in no rule: add it to the table here and in components/ARCHITECTURE.md"
            );
            continue;
        };
        for ours in dependencies
            .iter()
            .filter(|d| *d == "trawl" || d.starts_with("trawl-"))
        {
            assert!(
                allowed.contains(&ours.as_str()),
                "{name} must not depend on {ours}"
            );
        }
    }
}

#[test]
fn each_technology_is_named_by_one_crate() {
    for (name, dependencies) in ordinary_dependencies() {
        for (technology, owners) in ONLY {
            let entry_macro = technology == "spin-sdk" && ROLES.contains(&name.as_str());
            let named = dependencies.contains(technology);
            assert!(
                !named
                    || entry_macro
                    || owners.contains(&name.as_str())
                    || (is_test_crate(&name) && technology != "wasmtime"),
                "{name} must not depend on {technology}"
            );
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let all = ordinary_dependencies();
    for name in PURE {
        for impure in IMPURE {
            assert!(
                !all[name].contains(impure),
                "{name} is pure and must not depend on {impure}"
            );
        }
        let folder = root()
            .join("components/lib")
            .join(name.trim_start_matches("trawl-"));
        let files = programs(&folder.join("src"));
        assert!(!files.is_empty(), "{} holds none", folder.display());
        for (file, impure) in files
            .iter()
            .flat_map(|file| IMPURE_NAMES.map(|name| (file, name)))
        {
            assert!(
                !file.windows(impure.len()).any(|words| words == impure),
                "{name} is pure and must not name {}",
                impure.join("::")
            );
        }
    }
}

#[test]
fn the_top_level_has_only_the_agreed_folders() {
    let tracked = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files"])
        .output()
        .unwrap();
    assert!(
        tracked.status.success(),
        "git lists what belongs to the project"
    );
    let listing = String::from_utf8_lossy(&tracked.stdout).into_owned();
    let folders: BTreeSet<&str> = listing
        .lines()
        .filter_map(|l| l.split_once('/').map(|(folder, _)| folder))
        .filter(|f| !f.starts_with('.'))
        .collect();
    let agreed = BTreeSet::from(["components", "infra", "tests", "wit"]);
    assert_eq!(folders, agreed);
}
