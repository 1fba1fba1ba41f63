//! The real host, as a child process, or the same application under `spin up`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::{built_beside, spin, workspace_root};

/// How long a host may take until it listens; a first start compiles the components, on machines that are shared.
const ADDRESS_MAX: Duration = Duration::from_secs(180);

/// How to start a host.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Further arguments of `trawl up`.
    pub arguments: Vec<String>,
    /// Environment of the process.
    pub environment: Vec<(String, String)>,
    /// Where to keep the state; a temporary directory when absent.
    pub state_directory: Option<PathBuf>,
    /// The address to listen on; a free port of 127.0.0.1 when absent.
    pub listen: Option<String>,
    /// Another application than ours: its manifest, from the root of the workspace.
    pub manifest: Option<PathBuf>,
    /// Leave out `--allow-private 127.0.0.0/8`.
    pub no_private: bool,
    /// Run the application under the real `spin up` instead; see [`crate::spin`].
    pub under_spin: bool,
    /// Under Spin, let no clock tick beside it.
    pub no_clock: bool,
}

impl HostOptions {
    /// The defaults, for a host under the real `spin up`.
    #[must_use]
    pub fn under_spin() -> Self {
        Self {
            under_spin: true,
            ..Self::default()
        }
    }

    /// Asked for here, or by the environment for the whole test program.
    fn is_under_spin(&self) -> bool {
        self.under_spin || std::env::var(spin::UNDER_SPIN).is_ok_and(|value| value == "1")
    }

    /// Adds arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// Sets an application variable.
    #[must_use]
    pub fn variable(self, name: &str, value: &str) -> Self {
        self.with(&["--variable", &format!("{name}={value}")])
    }
}

/// A running host, killed on drop.
pub struct Host {
    child: Child,
    base: String,
    state: PathBuf,
    beside_spin: Option<spin::Beside>,
    _temporary: Option<tempfile::TempDir>,
}

impl Host {
    /// The path of the host's binary: the one that was built with the profile of the running program.
    ///
    /// # Panics
    /// With a sentence when it was not built.
    #[must_use]
    pub fn binary() -> PathBuf {
        let path = built_beside().join("trawl");
        assert!(
            path.is_file(),
            "{} is missing: run `make build`, with the same PROFILE",
            path.display()
        );
        path
    }

    /// Starts a host with default options and waits until it listens.
    pub async fn start() -> Self {
        Self::start_with(HostOptions::default()).await
    }

    /// Starts a host and waits until it says where it listens.
    ///
    /// # Panics
    /// With the host's output when it does not come up within 3 minutes (a first start compiles the components).
    pub fn start_with(options: HostOptions) -> BoxFuture<'static, Self> {
        static WARM: OnceCell<()> = OnceCell::const_new();
        Box::pin(async move {
            WARM.get_or_init(|| warm_code_cache(options.is_under_spin()))
                .await;
            Self::start_now(options).await
        })
    }

    async fn start_now(options: HostOptions) -> Self {
        let temporary = options
            .state_directory
            .is_none()
            .then(|| tempfile::tempdir().expect("a temporary directory"));
        let state = options
            .state_directory
            .clone()
            .or_else(|| temporary.as_ref().map(|t| t.path().to_owned()))
            .expect("one of both");
        let (mut command, beside_spin) = if options.is_under_spin() {
            let (command, beside) = spin::prepare(&state, &options).await;
            (command, Some(beside))
        } else {
            (Self::command(&state, &options), None)
        };
        let (child, base) = tokio::task::spawn_blocking(move || {
            let mut child = command
                .stdout(Stdio::piped())
                .spawn()
                .expect("the host starts");
            let base = wait_for_address(&mut child);
            (child, base)
        })
        .await
        .expect("the starter does not panic");
        let host = Self {
            child,
            base,
            state,
            beside_spin,
            _temporary: temporary,
        };
        if let Some(beside) = &host.beside_spin {
            beside.wait_for_lanes().await;
        }
        host
    }

    /// The command that starts a host, for tests of its output.
    #[must_use]
    pub fn command(state: &Path, options: &HostOptions) -> Command {
        let root = workspace_root();
        let manifest = options.manifest.as_deref();
        let manifest = manifest.unwrap_or(Path::new("spin.toml"));
        let mut command = Command::new(Self::binary());
        command
            .current_dir(&root)
            .arg("up")
            .arg("--from")
            .arg(root.join(manifest));
        command
            .arg("--listen")
            .arg(options.listen.as_deref().unwrap_or("127.0.0.1:0"))
            .arg("--state-dir")
            .arg(state);
        // The code cache is shared between the tests: compiling the components anew for each costs seconds.
        command.env("TRAWL_CODE_CACHE_DIR", root.join("target/trawl-code-cache"));
        if !options.no_private {
            command.args(["--allow-private", "127.0.0.0/8"]);
        }
        command
            .args(&options.arguments)
            .envs(options.environment.iter().cloned())
            .stdin(Stdio::null());
        hear_signals(&mut command);
        command
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The state directory.
    #[must_use]
    pub fn state_directory(&self) -> &Path {
        &self.state
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds the database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        let name = if self.beside_spin.is_some() {
            "sqlite_db.db"
        } else {
            "trawl.db"
        };
        self.state.join(name)
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        if self.beside_spin.is_some() {
            signal_group(self.child.id(), libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; gives back the exit status, or `None` when it still runs after `deadline`.
    pub async fn terminate(&mut self, deadline: Duration) -> Option<ExitStatus> {
        signal(self.child.id(), libc::SIGTERM);
        self.ended(deadline).await
    }

    /// Waits until the process ends by itself; `None` when it still runs after `deadline`.
    pub async fn ended(&mut self, deadline: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Resident memory in bytes, from `/proc`; under Spin, of the first of its processes only.
    ///
    /// # Panics
    /// When it can't be read, for instance because the host has ended: nothing would look like the best of figures.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("the memory of the host can't be read from {path}: {e}"));
        let resident_kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{path} says nothing of memory: has the host ended?"));
        resident_kib * 1024
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends `number` to `pid`.
pub fn signal(pid: u32, number: i32) {
    // 0 would mean the group of whoever calls.
    if let Ok(pid @ 1..) = i32::try_from(pid) {
        send_signal(pid, number);
    }
}

#[allow(
    unsafe_code,
    reason = "kill(2) has no safe form in the standard library; it only takes numbers"
)]
fn send_signal(target: i32, number: i32) {
    // SAFETY: plain integers go in, no memory is shared.
    unsafe { libc::kill(target, number) };
}

/// Lets the process hear signals that this one ignores, as tests that run under `nohup` do.
#[allow(
    unsafe_code,
    reason = "only between fork and exec can a child be told what its parent ignores"
)]
fn hear_signals(command: &mut Command) {
    let hear = || {
        for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: plain integers go in, no memory is shared.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: signal(2) may be called between fork and exec, and nothing else is.
    unsafe { command.pre_exec(hear) };
}

/// Sends `number` to the process group that `pid` leads.
fn signal_group(pid: u32, number: i32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    // 0 and 1 would mean other groups than the one meant.
    if pid > 1 {
        send_signal(-pid, number);
    }
}

/// Starts and stops one host while no other does, so that the components are compiled once and not by every test at once.
async fn warm_code_cache(under_spin: bool) {
    let lock = tokio::task::spawn_blocking(|| {
        let lock = std::fs::File::create(workspace_root().join("target/trawl-code-cache.lock"))
            .expect("target/ can be written");
        lock.lock().expect("the lock is to be had");
        lock
    })
    .await
    .expect("locking does not panic");
    drop(
        Host::start_now(HostOptions {
            under_spin,
            ..HostOptions::default()
        })
        .await,
    );
    drop(lock);
}

fn wait_for_address(child: &mut Child) -> String {
    let stdout = child.stdout.take().expect("stdout is piped");
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = String::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line) {
                let _ = found.send(Ok(address));
            }
            if seen.len() < 65536 {
                seen.push_str(&line);
                seen.push('\n');
            }
        }
        let _ = found.send(Err(seen));
    });
    match address.recv_timeout(ADDRESS_MAX) {
        Ok(Ok(base)) => base,
        Ok(Err(output)) => panic!("the host ended before it listened:\n{output}"),
        Err(_) => panic!("the host did not say `listening on …` within {ADDRESS_MAX:?}"),
    }
}

/// What stands after our own host's `listening on`, or after Spin's `Serving`.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line
        .split_once("listening on ")
        .or_else(|| line.split_once("Serving "))?;
    let address = rest.split_whitespace().next()?.trim_end_matches('/');
    address.starts_with("http://").then(|| address.to_owned())
}
