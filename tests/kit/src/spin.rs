//! The same application under the real `spin up`, with what Spin does not bring: a Redis and a clock.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::eventually;
use crate::host::HostOptions;
use crate::redis::{RedisServer, command_at};
use crate::workspace_root;

/// Names the `spin` binary (4.1 or newer).
pub const SPIN: &str = "SPIN";
/// Set to `1`, it runs every host of a test program under `spin up`, so that one suite serves both.
pub const UNDER_SPIN: &str = "TRAWL_TESTS_UNDER_SPIN";
/// Signs the tokens when the test gives no key; our own host would make one.
const JWT_SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// How long a first start may compile, on machines that are shared.
const LANES_MAX: Duration = Duration::from_secs(180);
/// As long as the one second that our own host ticks in.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// The binary that [`SPIN`] names.
///
/// # Panics
/// With a sentence when the variable is not set: a suite that was asked for must not pass by doing nothing.
#[must_use]
pub fn binary() -> PathBuf {
    std::env::var_os(SPIN)
        .map(PathBuf::from)
        .expect("SPIN names a spin binary, 4.1 or newer")
}

/// What stands beside a `spin up`; dropped with it.
pub(crate) struct Beside {
    redis_url: String,
    _redis: Option<RedisServer>,
    clock: Option<JoinHandle<()>>,
}

impl Beside {
    /// The HTTP trigger may answer before the process of the Redis triggers has compiled its components.
    pub(crate) async fn wait_for_lanes(&self) {
        eventually("the Redis triggers listen", LANES_MAX, || async {
            let answer = command_at(&self.redis_url, &[b"PUBSUB", b"NUMSUB", b"tick"])
                .await
                .ok()?;
            (!String::from_utf8_lossy(&answer).contains(":0\r\n")).then_some(())
        })
        .await;
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.take() {
            clock.abort();
        }
    }
}

/// The command that starts Spin over `options`, meant for our own host, and what it needs beside it.
pub(crate) async fn prepare(state: &Path, options: &HostOptions) -> (Command, Beside) {
    let mut translated = Translated::of(options);
    let mut own = None;
    if translated.redis_url.is_none() {
        let redis = RedisServer::start().await;
        translated.redis_url = Some(redis.url());
        own = Some(redis);
    }
    let redis_url = translated.redis_url.clone().unwrap_or_default();
    let clock = (!options.no_clock).then(|| tokio::spawn(tick(redis_url.clone())));
    let beside = Beside {
        redis_url,
        _redis: own,
        clock,
    };
    (translated.command(state, options), beside)
}

/// Spin has no clock of its own; outside, a loop, a sidecar or a timer does this.
async fn tick(redis_url: String) {
    loop {
        let _ = command_at(&redis_url, &[b"PUBLISH", b"tick", b""]).await;
        tokio::time::sleep(TICK_EVERY).await;
    }
}

/// The flags of `trawl up` in the words of `spin up`.
#[derive(Default)]
struct Translated {
    redis_url: Option<String>,
    variables: Vec<String>,
    others: Vec<String>,
}

impl Translated {
    fn of(options: &HostOptions) -> Self {
        let mut translated = Self::default();
        if !options.no_private {
            translated
                .variables
                .push("allow_private=127.0.0.0/8".to_owned());
        }
        let mut arguments = options.arguments.iter();
        while let Some(flag) = arguments.next() {
            let value = arguments.next().cloned();
            match (flag.as_str(), value) {
                ("--redis", Some(url)) => translated.redis_url = Some(url),
                ("--variable", Some(pair)) => translated.variables.push(pair),
                ("--allow-private", Some(network)) => {
                    translated
                        .variables
                        .push(format!("allow_private={network}"));
                }
                ("--runtime-config-file", Some(path)) => {
                    translated.others.extend([flag.clone(), path]);
                }
                _ => panic!("{flag} is a flag of our own host: this test can't run under Spin"),
            }
        }
        translated
    }

    fn command(&self, state: &Path, options: &HostOptions) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(binary());
        command
            .current_dir(workspace_root())
            .arg("up")
            .arg("--from")
            .arg(workspace_root().join("spin.toml"))
            .arg("--listen")
            .arg(options.listen.as_deref().unwrap_or("127.0.0.1:0"))
            .arg("--state-dir")
            .arg(state);
        let redis_url = self.redis_url.as_deref().unwrap_or_default();
        // Later ones win, so what a test says stands behind what all get.
        command
            .args(["--variable", &format!("redis_url={redis_url}")])
            .args(["--variable", &format!("jwt_secret={JWT_SECRET}")]);
        for pair in &self.variables {
            command.args(["--variable", pair]);
        }
        command
            .args(&self.others)
            .envs(options.environment.iter().cloned())
            .stdin(Stdio::null())
            // `spin up` starts a process for each kind of trigger: a SIGKILL has to reach them all.
            .process_group(0);
        command
    }
}
