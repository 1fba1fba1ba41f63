//! wasmtime's settings, and compiled code kept on disk so that a start takes no compiler.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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
#[derive(Debug)]
pub(crate) struct CodeCache {
    directory: PathBuf,
    /// It was said that nothing can be kept there.
    is_told: AtomicBool,
}

impl CodeCache {
    /// A cache in `directory`, which is made when something is to be kept.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            is_told: AtomicBool::new(false),
        }
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
                    "the component {} is missing: put it there, or run `make build` in a checkout",
                    file.display()
                )
            }
            Err(error) => anyhow::bail!("can't read the component {}: {error}", file.display()),
        };
        let kept = self.directory.join(key(engine, &wasm));
        Ok(Code {
            is_kept: is_sound(&kept),
            kept,
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
        // Another process may have compiled it since it was looked for.
        if code.is_kept || is_sound(kept) {
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
            self.tell(&error);
            return load_compiled(engine, &compiled);
        }
        load_kept(engine, kept)
    }

    /// Tries whether code can be kept.
    ///
    /// # Errors
    /// As of the system.
    pub(crate) fn try_keeping(&self) -> std::io::Result<()> {
        self.temporary_file().map(drop)
    }

    /// Says once why nothing is kept: the next start takes as long as this one.
    pub(crate) fn tell(&self, error: &std::io::Error) {
        if !self.is_told.swap(true, Relaxed) {
            tracing::warn!(directory = %self.directory.display(), "compiled code can't be kept: {error}; every start compiles the components, unless --code-cache-dir names a directory that can be written");
        }
    }

    fn temporary_file(&self) -> std::io::Result<tempfile::NamedTempFile> {
        // It usually lies in the state directory, which must be private whoever makes it first.
        private::make_directory(&self.directory)?;
        tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(&self.directory)
    }

    /// Under a name of its own first: another host may write the same file at the same time, and nobody may see half a file.
    /// Nor may the name be on the disk before the bytes are, when the power fails.
    fn keep(&self, kept: &Path, code: &[u8]) -> std::io::Result<()> {
        let mut file = self.temporary_file()?;
        file.write_all(code)?;
        let mut checksum = DefaultHasher::new();
        checksum.write(code);
        file.write_all(&seal(&checksum))?;
        file.as_file().sync_all()?;
        file.persist(kept).map_err(|error| error.error)?;
        // What can't be removed is in nobody's way.
        if let Err(error) = self.remove_unused() {
            tracing::debug!(directory = %self.directory.display(), "old compiled code stays: {error}");
        }
        Ok(())
    }

    /// Removes code that no start has used for long, and what killed hosts left half written. A host that runs such code has its
    /// file open; one that wants it once more compiles it.
    fn remove_unused(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if !name.ends_with(SUFFIX.as_bytes()) && !name.starts_with(TEMPORARY.as_bytes()) {
                continue;
            }
            // A clock that was set back makes nothing older.
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > Duration::from_secs(limits::CODE_UNUSED_S_MAX) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A component's file and the place of its compiled code.
pub(crate) struct Code {
    file: PathBuf,
    wasm: Vec<u8>,
    kept: PathBuf,
    is_kept: bool,
}

impl Code {
    /// Whether it was compiled before, and is as it was written.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }
}

/// How the names of files end that hold compiled code, and how they begin while they are written.
const SUFFIX: &str = ".sealed.cwasm";
const TEMPORARY: &str = ".tmp";

/// Stands behind the code in its file: a mark and the checksum. The code is found from the front, so that nobody minds.
///
/// It has to tell damage, not malice, and is in the way of every start: the hasher of the standard library is quicker at that than
/// SHA-256.
fn seal(checksum: &DefaultHasher) -> [u8; SEAL_BYTES] {
    let mut seal = [0; SEAL_BYTES];
    seal[..8].copy_from_slice(b"checksum");
    seal[8..].copy_from_slice(&checksum.finish().to_le_bytes());
    seal
}

const SEAL_BYTES: usize = 16;

/// Whether the file is there and as it was written. Damaged code would be run, and end this process with a signal.
fn is_sound(kept: &Path) -> bool {
    match has_its_seal(kept) {
        Ok(true) => true,
        Ok(false) => {
            tracing::warn!(file = %kept.display(), "compiled code is damaged, compiling again");
            false
        }
        // Mostly it is not there; what stands in the way of reading it is told when it is to be written.
        Err(error) => {
            tracing::debug!(file = %kept.display(), "no compiled code: {error}");
            false
        }
    }
}

fn has_its_seal(kept: &Path) -> std::io::Result<bool> {
    let mut file = File::open(kept)?;
    let Some(length) = file.metadata()?.len().checked_sub(SEAL_BYTES as u64) else {
        return Ok(false);
    };
    let mut checksum = DefaultHasher::new();
    let mut code = Read::take(&mut file, length);
    let mut buffer = vec![0; 128 * 1024];
    while let size @ 1.. = code.read(&mut buffer)? {
        checksum.write(&buffer[..size]);
    }
    let mut found = [0; SEAL_BYTES];
    file.read_exact(&mut found)?;
    Ok(found == seal(&checksum))
}

/// Names the code by the file that it was made of and by the compiler and settings that made it.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    let mut compiler = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compiler);
    let digest = Sha256::digest(wasm);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}-{:016x}{SUFFIX}", compiler.finish())
}

#[expect(
    unsafe_code,
    reason = "mapping our own compiled code is what makes a start take milliseconds; see below"
)]
fn load_kept(engine: &Engine, kept: &Path) -> anyhow::Result<Component> {
    // SAFETY: the file was written whole by `keep` in a directory of the operator's own, which nobody else writes to, under a
    // name that holds the digest of its source and of the compiler's settings, and had its checksum a moment ago. Whoever can
    // change it can change this program.
    let component = unsafe { Component::deserialize_file(engine, kept) };
    // Its time says when it was used last. In a directory that can only be read nothing is removed either.
    if component.is_ok()
        && let Ok(file) = File::open(kept)
    {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
    component.map_err(anyhow::Error::from)
}

#[expect(
    unsafe_code,
    reason = "the compiler's own output, which would have to be made once more otherwise"
)]
fn load_compiled(engine: &Engine, compiled: &[u8]) -> anyhow::Result<Component> {
    // SAFETY: `compiled` is what this engine's compiler gave a moment ago.
    let component = unsafe { Component::deserialize(engine, compiled) };
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
        // What is damaged is made again, wherever that is, and never run.
        let sound = std::fs::read(&kept[0]).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        let half = sound[..sound.len() / 2].to_vec();
        for damaged in [Vec::new(), vec![0; sound.len()], flipped, half] {
            std::fs::write(&kept[0], damaged).unwrap();
            assert!(!load());
            assert!(load());
        }
    }

    #[test]
    fn only_code_that_no_start_has_used_for_long_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let code = directory.path().join("code");
        let cache = CodeCache::new(code.clone());
        let engine = small();
        let load = |name: &str, wasm: &[u8]| {
            let file = directory.path().join(name);
            std::fs::write(&file, wasm).unwrap();
            let found = cache.locate(&engine, &file).unwrap();
            cache.load(&engine, &found).unwrap();
            found.kept
        };
        let age = |file: &Path| {
            let long = Duration::from_secs(limits::CODE_UNUSED_S_MAX + 60);
            let file = File::options().append(true).open(file).unwrap();
            file.set_modified(std::time::SystemTime::now() - long)
                .unwrap();
        };
        // An empty custom section without a name makes another component of it.
        let with_section = |name: u8| [EMPTY, &[0, 2, 1, name]].concat();
        let (used, unused) = (load("used", EMPTY), load("unused", &with_section(b'a')));
        let (half, foreign) = (code.join(".tmpx"), code.join("notes.txt"));
        for file in [&half, &foreign] {
            std::fs::write(file, "x").unwrap();
        }
        for file in [&used, &unused, &half, &foreign] {
            age(file);
        }
        load("used", EMPTY);
        assert!(unused.exists(), "as long as nothing is added all stays");
        let added = load("added", &with_section(b'b'));
        let left = [&used, &added, &foreign, &unused, &half].map(|file| file.exists());
        assert_eq!(left, [true, true, true, false, false]);
    }

    #[test]
    fn code_that_can_not_be_kept_is_used_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.wasm");
        std::fs::write(&file, EMPTY).unwrap();
        // Not even root makes a directory in a file.
        let cache = CodeCache::new(file.join("code"));
        assert!(cache.try_keeping().is_err());
        let engine = small();
        let code = cache.locate(&engine, &file).unwrap();
        assert!(!code.is_kept());
        cache.load(&engine, &code).unwrap();
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
