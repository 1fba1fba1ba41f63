//! Where and when the figures were taken.

use std::process::Command;

/// One line: processor, kernel, versions and date.
pub(crate) fn describe() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let commit = said("git", &["describe", "--always", "--dirty"]);
    [
        format!("{cores} x {model}"),
        said("uname", &["-sr"]),
        said("rustc", &["--version"]),
        format!(
            "trawl {} at {commit}, profile {}",
            env!("CARGO_PKG_VERSION"),
            profile()
        ),
        format!("load before {}", load()),
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
    ]
    .join(" · ")
}

/// What the host and the native program were built with, which cargo names the folder after.
fn profile() -> String {
    let folder = trawl_kit::built_beside();
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The first line that a program prints; empty when it is not there.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(trawl_kit::workspace_root())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
