//! Compiles the libraries of `shim/`, each once: its file is named by what it was made of.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;

const FLAGS: [&str; 5] = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror"];
const LIBRARIES: [&str; 2] = ["-ldl", "-lpthread"];

/// The path of the library made of `shim/{name}.c`.
///
/// # Errors
/// When there is no C compiler, or it refuses the source.
pub fn compile(name: &str) -> anyhow::Result<PathBuf> {
    let root = trawl_kit::workspace_root();
    let source = root.join(format!("tests/faults/shim/{name}.c"));
    let mut hasher = DefaultHasher::new();
    (std::fs::read(&source)?, FLAGS, LIBRARIES).hash(&mut hasher);
    let folder = root.join("target");
    let library = folder.join(format!("{name}-{:016x}.so", hasher.finish()));
    if library.exists() {
        return Ok(library);
    }
    // Tests run side by side: whoever finds the file finds it whole.
    let unfinished = tempfile::NamedTempFile::new_in(&folder)?;
    let status = Command::new("cc")
        .args(FLAGS)
        .arg("-o")
        .arg(unfinished.path())
        .arg(&source)
        .args(LIBRARIES)
        .status()?;
    ensure!(status.success(), "cc does not compile {}", source.display());
    unfinished.persist(&library)?;
    Ok(library)
}
