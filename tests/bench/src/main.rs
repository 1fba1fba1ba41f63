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

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::table::Table;

/// A ratio that falls under this share of the recorded one fails.
const KEPT_SHARE: f64 = 0.7;

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
}

#[derive(Subcommand)]
enum Command {
    /// Leaves a flame graph of the host under one scenario.
    Profile(profile::Profile),
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
    let table = runtime.block_on(scenario::run(&scenario::Plan {
        only: arguments.scenario.clone(),
        repeats: arguments.repeats.max(1),
        seconds: arguments.seconds.max(1),
        short: arguments.check.is_some(),
    }))?;
    report(&table, &folder)?;
    Ok(match arguments.check {
        Some(recorded) => check(&table, &recorded)?,
        None => ExitCode::SUCCESS,
    })
}

/// The table on the standard output, and everything into `target/bench`.
fn report(table: &Table, folder: &Path) -> anyhow::Result<()> {
    let machine = machine::describe();
    println!("{machine}\n\n{}", table.markdown());
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

/// Machines differ, ratios on one machine hardly.
fn check(table: &Table, recorded: &Path) -> anyhow::Result<ExitCode> {
    let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(recorded)?)?;
    let Some(recorded) = recorded["ratios"].as_object() else {
        anyhow::bail!("no \"ratios\" in the recorded values");
    };
    let mut fell = false;
    for (name, wanted) in recorded {
        let wanted = wanted.as_f64().unwrap_or(f64::INFINITY);
        let measured = table.ratios().iter().find(|ratio| ratio.name == *name);
        // One that is not measured any more must not pass unseen.
        let value = measured.map_or(f64::NAN, |ratio| ratio.value);
        let held = value >= KEPT_SHARE * wanted;
        println!(
            "{} {name}: {value:.3}, recorded {wanted:.3}",
            if held { "ok  " } else { "FELL" }
        );
        fell |= !held;
    }
    Ok(if fell {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
