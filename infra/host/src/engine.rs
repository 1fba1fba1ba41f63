//! wasmtime's settings, and compiled code kept on disk so that a start takes no compiler.

use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use trawl_core::limits::host as limits;
use wasmtime::component::Component;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ProfilingStrategy,
};

use crate::{guest_stacks, private};

/// How the engine is set up.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    /// Instances that may exist at once.
    pub(crate) instances_max: u32,
    /// Memory of the largest instance in bytes.
    pub(crate) memory_bytes_max: usize,
    /// Symbols for a profiler.
    pub(crate) profile: Profile,
}

/// What a profiler is told about compiled code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Nothing.
    #[default]
    Off,
    /// Names, in the file that Linux `perf` reads.
    Perfmap,
    /// Names and code, for `perf inject`.
    Jitdump,
    /// Nothing, but the host takes its guests' stacks by itself and writes them down at the end.
    Guests,
}

/// An engine with its clock started.
///
/// # Errors
/// When the machine can't reserve the address space.
pub(crate) fn engine(options: &EngineOptions) -> anyhow::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    config.profiler(match options.profile {
        Profile::Off | Profile::Guests => ProfilingStrategy::None,
        Profile::Perfmap => ProfilingStrategy::PerfMap,
        Profile::Jitdump => ProfilingStrategy::JitDump,
    });
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options)));
    let engine = Engine::new(&config)
        .map_err(anyhow::Error::from)
        .context("the WebAssembly engine can't be set up; a smaller --instances-max needs less address space")?;
    let every_ms = match options.profile {
        Profile::Guests => guest_stacks::EVERY_MS,
        _ => limits::YIELD_MS,
    };
    start_clock(&engine, Duration::from_millis(every_ms))?;
    Ok(engine)
}

/// The slots are address space; after use a slot keeps nothing.
fn pool(options: &EngineOptions) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let instances = options.instances_max;
    // A component holds its module, and small ones for shims: four in what the SDK builds.
    let modules = instances.saturating_mul(4);
    pool.total_component_instances(instances)
        .total_core_instances(modules)
        .total_memories(instances)
        .total_tables(modules)
        .total_stacks(instances.saturating_mul(4))
        .max_memory_size(options.memory_bytes_max)
        .max_unused_warm_slots(limits::WARM_SLOTS_MAX)
        .linear_memory_keep_resident(limits::KEPT_BYTES)
        .table_keep_resident(limits::KEPT_BYTES);
    pool
}

/// Raises the epoch, at which a busy guest yields. A thread of its own: the runtime's timers stand still when guests are
/// busy on all of its threads, which is just when this is needed.
fn start_clock(engine: &Engine, every: Duration) -> anyhow::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(every);
            }
        })
        .context("can't start the engine's clock")?;
    Ok(())
}

/// Compiled components in a directory.
#[derive(Debug, Clone)]
pub(crate) struct CodeCache {
    directory: PathBuf,
}

impl CodeCache {
    /// A cache in `directory`, which is made when something is to be kept.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Reads a `.wasm` file, and finds out where its compiled code is or will be.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(crate) fn locate(&self, engine: &Engine, file: &Path) -> anyhow::Result<Code> {
        let wasm = match std::fs::read(file) {
            Ok(wasm) => wasm,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                anyhow::bail!(
                    "the component {} is missing: run `make build`",
                    file.display()
                )
            }
            Err(error) => anyhow::bail!("can't read the component {}: {error}", file.display()),
        };
        Ok(Code {
            kept: self.directory.join(key(engine, &wasm)),
            file: file.to_owned(),
            wasm,
        })
    }

    /// The component, compiled now when no code for exactly this file and engine is at hand.
    ///
    /// # Errors
    /// A file that is not a component.
    pub(crate) fn load(&self, engine: &Engine, code: &Code) -> anyhow::Result<Component> {
        let kept = &code.kept;
        if code.is_kept() {
            match load_kept(engine, kept) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(file = %kept.display(), "compiled code is not usable, compiling again: {error:#}")
                }
            }
        }
        let compiled = engine.precompile_component(&code.wasm).map_err(|error| {
            anyhow::anyhow!("{} is not a usable component: {error}", code.file.display())
        })?;
        if let Err(error) = self.keep(kept, &compiled) {
            tracing::warn!(file = %kept.display(), "compiled code can't be kept: {error}");
            return Component::new(engine, &code.wasm).map_err(anyhow::Error::from);
        }
        load_kept(engine, kept)
    }

    /// Under a name of its own first: another host may write the same file at the same time, and nobody may see half a file.
    fn keep(&self, kept: &Path, code: &[u8]) -> std::io::Result<()> {
        // It usually lies in the state directory, which must be private whoever makes it first.
        private::make_directory(&self.directory)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        std::io::Write::write_all(&mut file, code)?;
        file.persist(kept).map_err(|error| error.error)?;
        Ok(())
    }
}

/// A component's file and the place of its compiled code.
pub(crate) struct Code {
    file: PathBuf,
    wasm: Vec<u8>,
    kept: PathBuf,
}

impl Code {
    /// Whether it was compiled before.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_file()
    }
}

/// Names the code by the file that it was made of and by the compiler and settings that made it.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    let mut compiler = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compiler);
    let digest = Sha256::digest(wasm);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}-{:016x}.cwasm", compiler.finish())
}

#[expect(
    unsafe_code,
    reason = "mapping our own compiled code is what makes a start take milliseconds; see below"
)]
fn load_kept(engine: &Engine, kept: &Path) -> anyhow::Result<Component> {
    // SAFETY: the file was written whole by `keep` in a directory of the operator's own, which nobody else writes to, under a
    // name that holds the digest of its source and of the compiler's settings. Whoever can change it can change this program.
    let component = unsafe { Component::deserialize_file(engine, kept) };
    component.map_err(anyhow::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The binary form of a component without anything in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn small() -> Engine {
        let options = EngineOptions {
            instances_max: 2,
            memory_bytes_max: 1 << 20,
            profile: Profile::Off,
        };
        engine(&options).unwrap()
    }

    #[test]
    fn code_is_kept_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.wasm");
        std::fs::write(&file, EMPTY).unwrap();
        let cache = CodeCache::new(directory.path().join("state/code"));
        let load = || {
            let engine = small();
            let code = cache.locate(&engine, &file).unwrap();
            let was_kept = code.is_kept();
            cache.load(&engine, &code).unwrap();
            was_kept
        };
        assert!(!load());
        for made in ["state", "state/code"] {
            let made = std::fs::metadata(directory.path().join(made)).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&made.permissions());
            assert_eq!(mode & 0o777, 0o700);
        }
        let kept: Vec<_> = std::fs::read_dir(directory.path().join("state/code"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert_eq!(kept.len(), 1, "one file, no temporary one left: {kept:?}");
        assert!(load());
        // What can't be used is made again.
        std::fs::write(&kept[0], "damaged").unwrap();
        assert!(load());
        assert_ne!(std::fs::read(&kept[0]).unwrap(), b"damaged");
    }

    #[test]
    fn a_missing_component_says_what_to_do() {
        let cache = CodeCache::new(PathBuf::new());
        let error = cache
            .locate(&small(), Path::new("no/such/auth.wasm"))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("auth.wasm") && error.contains("make build"),
            "{error}"
        );
    }
}
