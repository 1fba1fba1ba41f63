//! The native program as a process of its own, so that both sides share the machine in the same way.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// A running native program, ended on drop.
pub(crate) struct Child {
    process: std::process::Child,
    base: String,
    _state: tempfile::TempDir,
}

impl Child {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let state = tempfile::tempdir()?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("native")
            .arg("--state")
            .arg(state.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let base = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let mut child = Self {
            process,
            base: String::new(),
            _state: state,
        };
        child.base = base.context("the native program did not start")?;
        Ok(child)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It goes on until its input ends.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
