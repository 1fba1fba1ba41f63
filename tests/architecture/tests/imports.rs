//! Each component imports nothing but what Spin 4.1's world offers, and exports what its triggers need.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::path::PathBuf;

use wasmparser::{Parser, Payload};

/// Interfaces of Spin 4.1 that ours may import; a host matches versions by semver, so those below count.
/// Source: `wit/world.wit` of Spin 4.1 (`spin:up`), and what Rust's standard library for wasm32-wasip2 always brings.
const OFFERED: [&str; 13] = [
    "wasi:http/types@0.3.0",
    "wasi:http/client@0.3.0",
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:clocks/types@0.3.0",
    "wasi:cli/",
    "wasi:io/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:filesystem/",
    "spin:redis/redis@3.0.0",
    "spin:sqlite/sqlite@3.1.0",
    "spin:variables/variables@3.0.0",
    "wasi:http/",
];

/// The generation that the standard library uses; other versions of these packages are not offered by name alone.
const PREVIEW_2: &str = "@0.2.";

const COMPONENTS: [(&str, &[&str]); 7] = [
    ("auth", &["wasi:http/handler@0.3.0"]),
    (
        "ingest",
        &["wasi:http/handler@0.3.0", "spin:redis/inbound-redis@3.0.0"],
    ),
    ("dispatcher", &["spin:redis/inbound-redis@3.0.0"]),
    ("scraper_text", &["spin:redis/inbound-redis@3.0.0"]),
    ("scraper_html", &["spin:redis/inbound-redis@3.0.0"]),
    ("scraper_domains", &["spin:redis/inbound-redis@3.0.0"]),
    ("callback", &["spin:redis/inbound-redis@3.0.0"]),
];

fn component(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/wasm32-wasip2/release")
        .join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| {
        panic!(
            "{} cannot be read ({e}): run `make components`",
            path.display()
        )
    })
}

/// The names of the imports and exports of the outermost component.
fn interfaces(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.expect("the component is well-formed") {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(
                    section
                        .into_iter()
                        .map(|i| i.expect("an import").name.name.to_owned()),
                );
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(
                    section
                        .into_iter()
                        .map(|e| e.expect("an export").name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    (imports, exports)
}

fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|offered| {
        if offered.ends_with('/') {
            import.starts_with(offered) && import.contains(PREVIEW_2)
        } else {
            import == *offered
        }
    })
}

#[test]
fn components_import_only_what_spin_offers_and_export_what_their_triggers_need() {
    for (name, wanted) in COMPONENTS {
        let (imports, exports) = interfaces(&component(name));
        assert!(
            !imports.is_empty() && !exports.is_empty(),
            "{name} is a component"
        );
        let foreign: Vec<&String> = imports.iter().filter(|i| !is_offered(i)).collect();
        assert!(
            foreign.is_empty(),
            "{name} imports what Spin 4.1 does not offer: {foreign:?}"
        );
        for export in wanted {
            assert!(
                exports.iter().any(|e| e == export),
                "{name} must export {export}, and exports {exports:?}"
            );
        }
    }
}

/// The filesystem is offered by Spin but empty; nothing of ours may come to rely on sockets at all.
#[test]
fn components_have_no_sockets() {
    for (name, _) in COMPONENTS {
        let (imports, _) = interfaces(&component(name));
        assert!(
            !imports.iter().any(|i| i.starts_with("wasi:sockets")),
            "{name} imports sockets: {imports:?}"
        );
    }
}
