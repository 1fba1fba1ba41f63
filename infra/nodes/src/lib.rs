#![doc = include_str!("../README.md")]

mod args;
mod connection;
mod node;
mod progress;
mod report;
mod session;

use std::io::{ErrorKind, Write as _};
use std::{process::ExitCode, sync::Arc, time::Instant};

use anyhow::Context as _;

pub use args::Args;
pub use report::Report;

use self::{node::Plan, progress::Progress, session::Session};

/// Plays the nodes, prints the report, and says how it went: success when every request was accepted.
///
/// # Errors
/// The server can't be reached, or refuses the account; the message is one line.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let report = play(args).await?;
    let text = if json {
        format!("{}\n", serde_json::to_string(&report)?)
    } else {
        report.to_string()
    };
    // A reader that has gone does not change how the requests went; a full disk is told, since the report is lost with it.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error).context("the report can't be written");
        }
        _ => {}
    }
    Ok(if report.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays the nodes and gives the report.
///
/// # Errors
/// As `run`.
pub async fn play(args: Args) -> anyhow::Result<Report> {
    let session = Arc::new(Session::open(&args).await?);
    let plan = Arc::new(Plan::new(&args));
    let progress = Progress::new(args.requests, args.quiet);
    let begun = Instant::now();
    let nodes: Vec<_> = (0..args.parallel.min(args.requests))
        .map(|_| {
            tokio::spawn(node::work(
                Arc::clone(&plan),
                Arc::clone(&session),
                progress.clone(),
            ))
        })
        .collect();
    let mut tallies = Vec::with_capacity(nodes.len());
    for node in nodes {
        tallies.push(node.await?);
    }
    progress.finish();
    Ok(Report::new(args.requests, begun.elapsed(), tallies))
}
