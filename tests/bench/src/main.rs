//! `make bench`: one command, no hands. See `README.md` in this folder.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on fails with a sentence"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are small enough for what is done with them"
)]

mod baseline;
mod load;
mod machine;
mod native;
mod peers;
mod plot;
mod process;
mod profile;
mod requests;
mod scenario;
mod table;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::table::Table;

/// The host's own: the native program is measured beside it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A ratio that falls under this share of the recorded one fails.
const KEPT_SHARE: f64 = 0.7;
/// How often it may fall before it counts.
const ATTEMPTS: u32 = 3;
/// The ratios that are recorded.
const RECORDED: [&str; 4] = [
    "accept / hello",
    "job / native, type 1 fast",
    // The one that other work on the machine moves least.
    "processor time, native / job, type 1 fast",
    scenario::FLATNESS,
];

/// Figures against baselines measured in the same run.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run one scenario only.
    #[arg(long, value_parser = scenario::ALL)]
    scenario: Option<String>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Seconds of load per measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The short version, which fails when a ratio falls under 0.7 of the one recorded in this file.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// The short version, whose ratios are written into this file as the recorded ones.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    record: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Leaves a flame graph of the host under one scenario.
    Profile(profile::Profile),
    /// The work that `make dist` counts under, with the host and the native program.
    #[command(hide = true)]
    Train,
    /// The native program, which `job` starts by itself.
    #[command(hide = true)]
    Native(native::Native),
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(Command::Native(options)) = &arguments.command {
        native::run(options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let folder = trawl_kit::workspace_root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    if let Some(Command::Profile(options)) = &arguments.command {
        runtime.block_on(profile::run(options, &folder))?;
        return Ok(ExitCode::SUCCESS);
    }
    if matches!(arguments.command, Some(Command::Train)) {
        runtime.block_on(train::run())?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = scenario::Plan {
        only: arguments.scenario.clone(),
        repeats: arguments.repeats.max(1),
        seconds: arguments.seconds.max(1),
        short: arguments.check.is_some() || arguments.record.is_some(),
    };
    let measure = || -> anyhow::Result<Table> {
        let (table, failed) = runtime.block_on(scenario::run(&plan));
        report(&table, &folder)?;
        failed.map_or(Ok(table), Err)
    };
    if let Some(recorded) = &arguments.check {
        return check(measure, recorded);
    }
    let table = measure()?;
    if let Some(file) = &arguments.record {
        record(&table, file)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The table on the standard output, and everything into `target/bench`.
fn report(table: &Table, folder: &Path) -> anyhow::Result<()> {
    let machine = machine::describe();
    let markdown = format!("{machine}\n\n{}", table.markdown());
    println!("{markdown}");
    std::fs::write(folder.join("table.md"), markdown)?;
    let mut json = table.json();
    json["machine"] = machine.into();
    std::fs::write(folder.join("figures.json"), format!("{json:#}"))?;
    plot::write(table, folder)?;
    println!(
        "{} and figures-*.svg beside it",
        folder.join("figures.json").display()
    );
    Ok(())
}

/// Machines differ, ratios on one machine hardly. What else the machine does moves them all the same, so only a ratio that
/// falls in every attempt fails.
fn check(measure: impl Fn() -> anyhow::Result<Table>, recorded: &Path) -> anyhow::Result<ExitCode> {
    let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(recorded)?)?;
    let Some(recorded) = recorded["ratios"].as_object() else {
        anyhow::bail!("no \"ratios\" in the recorded values");
    };
    let mut fell: Vec<&String> = recorded.keys().collect();
    for attempt in 1..=ATTEMPTS {
        let table = measure()?;
        fell.retain(|name| {
            let wanted = recorded[*name].as_f64().unwrap_or(f64::INFINITY);
            // One that is not measured any more must not pass unseen.
            let value = table.value(name).unwrap_or(f64::NAN);
            let held = value >= KEPT_SHARE * wanted;
            let verdict = if held { "ok  " } else { "FELL" };
            println!("{verdict} {name}: {value:.3}, recorded {wanted:.3} (attempt {attempt})");
            !held
        });
        if fell.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Ok(ExitCode::FAILURE)
}

/// Writes down the ratios that depend on no peer.
fn record(table: &Table, file: &Path) -> anyhow::Result<()> {
    let kept = table
        .ratios()
        .iter()
        .filter(|ratio| RECORDED.contains(&ratio.name.as_str()));
    let ratios: serde_json::Map<_, _> = kept
        .map(|ratio| (ratio.name.clone(), ratio.value.into()))
        .collect();
    let json = serde_json::json!({"machine": machine::describe(), "ratios": ratios});
    std::fs::write(file, format!("{json:#}\n"))?;
    Ok(())
}
