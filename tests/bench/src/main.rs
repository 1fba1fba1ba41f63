//! `make bench`: one command, no hands. See `README.md` in this folder.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on fails with a sentence"
)]

mod baseline;
mod load;
mod scenario;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::table::Table;

/// Figures against baselines measured in the same run.
#[derive(Parser)]
struct Arguments {
    /// Run one scenario: hello, accept, job, latency, mixed, memory or start.
    #[arg(long)]
    scenario: Option<String>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Seconds of load per measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// The short version, which fails when a ratio falls under 0.7 of the recorded one.
    #[arg(long)]
    check: Option<std::path::PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let table = runtime.block_on(scenario::run(&scenario::Plan {
        only: arguments.scenario,
        repeats: arguments.repeats.max(1),
        seconds: arguments.seconds.max(1),
        short: arguments.check.is_some(),
    }))?;
    println!("{}", table.markdown());
    let out = trawl_kit::workspace_root().join("target/bench");
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("figures.json"), table.json().to_string())?;
    Ok(match arguments.check {
        Some(recorded) => check(&table, &recorded)?,
        None => ExitCode::SUCCESS,
    })
}

/// A ratio may not fall under 0.7 of the recorded one: machines differ, ratios on one machine hardly.
fn check(table: &Table, recorded: &std::path::Path) -> anyhow::Result<ExitCode> {
    let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(recorded)?)?;
    let mut failed = false;
    for (name, ratio) in table.ratios() {
        let Some(wanted) = recorded[name.as_str()].as_f64() else {
            continue;
        };
        let fell = *ratio < 0.7 * wanted;
        println!(
            "{} {name}: {ratio:.3}, recorded {wanted:.3}",
            if fell { "FELL" } else { "ok  " }
        );
        failed |= fell;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
