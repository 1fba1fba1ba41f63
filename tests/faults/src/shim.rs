//! Compiles the libraries of `shim/`, each once per process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::ensure;

static COMPILED: Mutex<Option<HashMap<&'static str, PathBuf>>> = Mutex::new(None);

/// The path of the library made of `shim/{name}.c`.
///
/// # Errors
/// When there is no C compiler, or it refuses the source.
pub fn compile(name: &'static str) -> anyhow::Result<PathBuf> {
    let mut compiled = COMPILED.lock().unwrap();
    let known = compiled.get_or_insert_default();
    if let Some(path) = known.get(name) {
        return Ok(path.clone());
    }
    let root = trawl_kit::workspace_root();
    let (source, target) = (
        root.join(format!("tests/faults/shim/{name}.c")),
        root.join(format!("target/{name}-{}.so", std::process::id())),
    );
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .arg(&target)
        .arg(&source)
        .args(["-ldl", "-lpthread"])
        .status()?;
    ensure!(status.success(), "cc does not compile {}", source.display());
    known.insert(name, target.clone());
    Ok(target)
}
