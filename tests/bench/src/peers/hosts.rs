//! Other hosts of components, with the component that answers a constant.

use std::process::{Command, Stdio};

use crate::process::{Process, free_port};

/// `wasmtime serve`; `None` when it is not on PATH.
pub(crate) fn wasmtime_serve() -> anyhow::Result<Option<Process>> {
    let port = free_port()?;
    let mut command = Command::new("wasmtime");
    command
        .args(["serve", "-Scli,p3", "-Wcomponent-model-async", "--addr"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("target/wasm32-wasip2/release/trawl_bench_hello.wasm");
    Ok(started(command, port, tempfile::tempdir()?))
}

/// `spin up`; `None` when it is not on PATH.
pub(crate) fn spin_up() -> anyhow::Result<Option<Process>> {
    let (port, folder) = (free_port()?, tempfile::tempdir()?);
    let mut command = Command::new("spin");
    command
        .args([
            "up",
            "--quiet",
            "--from",
            "tests/bench/hello/spin.toml",
            "--listen",
        ])
        .arg(format!("127.0.0.1:{port}"))
        // Else it keeps both beside the manifest.
        .arg("--log-dir")
        .arg(folder.path())
        .arg("--state-dir")
        .arg(folder.path());
    Ok(started(command, port, folder))
}

fn started(mut command: Command, port: u16, folder: tempfile::TempDir) -> Option<Process> {
    command
        .current_dir(trawl_kit::workspace_root())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(command, port, folder)
}
