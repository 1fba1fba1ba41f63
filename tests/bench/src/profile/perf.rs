//! Sampling with `perf`, which sees the host, its libraries, the kernel and, through the map that wasmtime writes, the guests.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Samples a second: a prime, so as not to march in step with timers.
const RATE: &str = "997";

/// Whether `perf` is here and may sample a process of ours.
pub(super) fn is_allowed() -> bool {
    let own = std::process::id().to_string();
    let tried = Command::new("perf")
        .args([
            "record",
            "-q",
            "-e",
            "cpu-clock",
            "-o",
            "/dev/null",
            "-p",
            &own,
            "--",
            "true",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// Samples `pid` for `time`.
pub(super) async fn record(pid: u32, time: Duration, data: &Path) -> anyhow::Result<()> {
    let (data, pid) = (data.to_owned(), pid.to_string());
    let status = tokio::task::spawn_blocking(move || {
        Command::new("perf")
            .args([
                "record",
                "-q",
                "-e",
                "cpu-clock",
                "-F",
                RATE,
                "--call-graph",
                "fp",
                "-p",
                &pid,
                "-o",
            ])
            .arg(&data)
            .args(["--", "sleep", &time.as_secs().to_string()])
            .stdout(Stdio::null())
            .status()
    });
    ensure!(status.await??.success(), "perf record failed");
    Ok(())
}

/// The stacks of the samples, from the outermost frame inwards, under the thread's name.
pub(super) fn stacks(data: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let output = Command::new("perf")
        .args(["script", "-F", "comm,ip,sym,dso", "-i"])
        .arg(data)
        .stderr(Stdio::null())
        .output()
        .context("perf script")?;
    ensure!(output.status.success(), "perf script failed");
    let mut stacks = BTreeMap::new();
    let text = String::from_utf8_lossy(&output.stdout);
    for sample in text.split("\n\n") {
        let mut lines = sample.lines();
        let Some(thread) = lines.next() else { continue };
        let mut frames: Vec<String> = lines.filter_map(frame).collect();
        // The callers of code without frame pointers are noise.
        if let Some(known) = frames.iter().rposition(|frame| frame != UNKNOWN) {
            frames.truncate(known + 1);
        }
        frames.push(thread.trim().to_owned());
        frames.reverse();
        *stacks.entry(frames.join(";")).or_insert(0) += 1;
    }
    Ok(stacks)
}

const UNKNOWN: &str = "[unknown]";

/// `  7f0c3a symbol (file)`, as a name without what changes from build to build.
fn frame(line: &str) -> Option<String> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (symbol, file) = rest.rsplit_once(" (").unwrap_or((rest, ""));
    let name = symbol
        .split("+0x")
        .next()
        .unwrap_or(symbol)
        .replace(';', ",");
    let file = file.trim_end_matches(')');
    Some(if name.starts_with("wasm[") || file.contains("/perf-") {
        super::guest(&name)
    } else if file.starts_with('[') && name != UNKNOWN {
        format!("{name}_[k]")
    } else {
        name
    })
}
