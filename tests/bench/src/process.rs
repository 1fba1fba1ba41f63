//! Other people's servers as child processes.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::bail;
use trawl_core::limits::host::USER_HZ;

/// How long a server may take until it listens.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// A server that listens on loopback, ended on drop.
pub(crate) struct Process {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Process {
    /// Starts `command`, which is to listen on `port`; `None` when there is no such program. `directory` lives as long as it.
    pub(crate) fn start(
        mut command: Command,
        port: u16,
        directory: tempfile::TempDir,
    ) -> Option<Self> {
        let child = command.spawn().ok()?;
        Some(Self {
            child,
            port,
            _directory: directory,
        })
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it takes connections.
    pub(crate) async fn listens(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(self.authority())
            .await
            .is_err()
        {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} instead of listening");
            }
            if begun.elapsed() > STARTED_WITHIN {
                bail!("it did not listen within {STARTED_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        trawl_kit::host::signal(self.child.id(), 15);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > Duration::from_secs(5) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Seconds that a process has spent on processors, in itself and in the system.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in brackets and may hold anything; behind it come the state and, as 12th and 13th, the times.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let times = after.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = times.map(str::parse).collect::<Result<_, _>>()?;
    anyhow::ensure!(ticks.len() == 2, "/proc/{pid}/stat has no times");
    Ok(ticks.iter().sum::<f64>() / USER_HZ)
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// Whether a program is on PATH.
pub(crate) fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}
