//! `make faults` and `make soak`: kills, power losses, and the table of what they did.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use trawl_faults::harness::{Plan, Report, run};

#[derive(Parser)]
#[command(about = "Kills the host while it works, and audits what is left")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 200 kills, 67 power losses, 67 kills with a real Redis.
    Faults {
        /// Kills of the first run; the others make a third of it each.
        #[arg(long, default_value_t = 200)]
        kills: u32,
        /// Repeat a run with the seed that it printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kills for as long as it is told.
    Soak {
        /// How long: 90s, 30m, 8h.
        #[arg(long, default_value = "1h", value_parser = duration)]
        duration: Duration,
        /// Repeat a run with the seed that it printed.
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a duration such as 90s, 30m or 8h"))?;
    match unit {
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3600)),
        _ => Err(format!("`{unit}` is not a unit: use s, m or h")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut clean = true;
    println!("{}", Report::heading());
    match Arguments::parse().command {
        Command::Faults { kills, seed } => {
            clean &= show("kill -9", with_seed(Plan::kills(kills), seed)).await?;
            clean &= show(
                "power loss",
                with_seed(
                    Plan {
                        power_loss: true,
                        ..Plan::kills(kills.div_ceil(3))
                    },
                    seed,
                ),
            )
            .await?;
            let redis = trawl_kit::redis::RedisServer::start().await;
            let mut plan = with_seed(Plan::kills(kills.div_ceil(3)), seed);
            plan.options = plan.options.with(&["--redis", &redis.url()]);
            clean &= show("kill -9, real Redis", plan).await?;
        }
        Command::Soak { duration, seed } => {
            let plan = Plan {
                kills: u32::MAX,
                duration_max: duration,
                life_max: Duration::from_secs(6),
                ..Plan::kills(0)
            };
            clean &= show("soak", with_seed(plan, seed)).await?;
        }
    }
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn with_seed(mut plan: Plan, seed: Option<u64>) -> Plan {
    plan.seed = seed.unwrap_or(plan.seed);
    plan
}

async fn show(name: &str, plan: Plan) -> anyhow::Result<bool> {
    let report = run(&plan).await?;
    println!("{}", report.row(name));
    if !report.findings.is_clean() {
        eprintln!("{:#?}", report.findings);
    }
    Ok(report.findings.is_clean())
}
