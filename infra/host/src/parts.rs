//! The code of all components, compiled before if possible.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum as _;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::application::engine_options;
use crate::cli::Up;
use crate::engine::{Code, CodeCache, engine};
use crate::links;
use crate::manifest::Manifest;
use crate::part::Part;

/// Loads the components of the manifest.
///
/// # Errors
/// A component that is missing, or that imports what is not offered here.
pub(crate) fn parts(
    options: &Up,
    manifest: &Manifest,
    engine: &Engine,
) -> anyhow::Result<BTreeMap<String, Arc<Part>>> {
    let cache = cache(options);
    let codes = locate(&cache, manifest, engine)?;
    if codes.values().any(|code| !code.is_kept()) {
        match cache.try_keeping() {
            Ok(()) => {
                if !options.quiet {
                    let _ = writeln!(
                        std::io::stderr(),
                        "trawl: compiling the components, once; this takes some seconds"
                    );
                }
                compile_apart(options);
            }
            // What another process compiled would be lost with it.
            Err(error) => cache.tell(&error),
        }
    }
    let linker = links::linker(engine)?;
    let loaded = load(&cache, engine, &codes)?;
    let components = manifest.component.iter();
    components
        .map(|(id, component)| {
            let code = loaded.get(component.source.as_path());
            let code = code.context("the code of each component is loaded")?;
            let ready = linker.instantiate_pre(code).map_err(|error| {
                anyhow::anyhow!("{id} needs something that this host does not offer: {error:#}")
            })?;
            let part = Part::new(id, component.local.clone(), &ready);
            Ok((id.clone(), Arc::new(part)))
        })
        .collect()
}

/// What each file holds.
fn load<'a>(
    cache: &CodeCache,
    engine: &Engine,
    codes: &BTreeMap<&'a Path, Code>,
) -> anyhow::Result<BTreeMap<&'a Path, Component>> {
    codes
        .iter()
        .map(|(source, code)| Ok((*source, cache.load(engine, code)?)))
        .collect()
}

/// Compiles what is not compiled yet, and does nothing else.
///
/// # Errors
/// As [`parts`], and a directory that nothing can be kept in.
pub(crate) fn precompile(options: &Up) -> anyhow::Result<()> {
    let manifest = Manifest::read(&options.from)?;
    let engine = engine(&engine_options(options, &manifest))?;
    let cache = cache(options);
    let codes = locate(&cache, &manifest, &engine)?;
    if codes.values().any(|code| !code.is_kept()) {
        cache.try_keeping().with_context(|| {
            let directory = cache_directory(options);
            format!(
                "compiled code can't be kept in {}; name another directory with --code-cache-dir",
                directory.display()
            )
        })?;
    }
    load(&cache, &engine, &codes).map(drop)
}

fn cache(options: &Up) -> CodeCache {
    CodeCache::new(cache_directory(options))
}

fn cache_directory(options: &Up) -> PathBuf {
    options
        .code_cache_dir
        .clone()
        .unwrap_or_else(|| options.state_dir.join("code"))
}

/// The code of each file that components are made of; some are made of one.
fn locate<'a>(
    cache: &CodeCache,
    manifest: &'a Manifest,
    engine: &Engine,
) -> anyhow::Result<BTreeMap<&'a Path, Code>> {
    let mut codes = BTreeMap::new();
    for component in manifest.component.values() {
        if let Entry::Vacant(entry) = codes.entry(component.source.as_path()) {
            let file = manifest.directory.join(&component.source);
            entry.insert(cache.locate(engine, &file)?);
        }
    }
    Ok(codes)
}

/// Has a process of its own compile. The compiler leaves well over 100 MB behind, which would stay with a host that runs for
/// months. If this fails in any way the code is compiled in here.
///
/// Its command line is written out rather than our own repeated: another command that loads components, such as `extract`,
/// would otherwise start itself, and that one itself, without end.
fn compile_apart(options: &Up) {
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let tuning = &options.tuning;
    let profile = tuning.profile.to_possible_value();
    let mut command = Command::new(program);
    command
        .args(["up", "--precompile", "--from"])
        .arg(&options.from)
        .arg("--code-cache-dir")
        .arg(cache_directory(options))
        .args(["--instances-max", &tuning.instances_max.to_string()])
        .args([
            "--instance-memory-mb",
            &tuning.instance_memory_mb.to_string(),
        ])
        .args(
            profile
                .iter()
                .flat_map(|value| ["--profile", value.get_name()]),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Err(error) = command.status() {
        tracing::debug!("no process to compile in: {error}");
    }
}
