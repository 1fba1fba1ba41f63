//! Durable accept: 202 after the commit.

use serde_json::json;
use trawl_kit::host::{Host, HostOptions};

use super::{Plan, hello};
use crate::baseline::raw_sqlite;
use crate::load::closed_loop;
use crate::requests::{authority, log_in, post};
use crate::table::Table;

/// The figure that the targets are about.
pub(crate) const ACCEPT: &str = "accept, 64 connections";
/// What it is compared with: the two alternate.
pub(crate) const BESIDE: &str = "hello in turns with accept, 64 connections";
/// One row, one commit.
pub(crate) const RAW: &str = "raw SQLite, one commit a row";

pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    for (name, rows) in [(RAW, 1), ("raw SQLite, 100 rows a commit", 100)] {
        let rates = (0..plan.repeats).map(|_| raw_sqlite(rows, 1.0));
        table.add(name, "rows/s", rates.collect::<anyhow::Result<_>>()?);
    }
    let constant = hello::host().await;
    let levels: &[usize] = if plan.short { &[64] } else { &[1, 16, 64, 256] };
    let mut beside = Vec::new();
    for &connections in levels {
        let (mut rates, mut p99) = (Vec::new(), Vec::new());
        for _ in 0..plan.repeats {
            if connections == hello::CONNECTIONS {
                beside.push(hello::rate(&authority(constant.base()), "/", plan.seconds).await?);
            }
            let (rate, tail) = once(plan, connections).await?;
            rates.push(rate);
            p99.push(tail);
        }
        let name = format!("accept, {connections} connections");
        table.add(format!("{name}, p99"), "ms", p99);
        table.add(name, "accepted/s", rates);
    }
    table.add(BESIDE, "requests/s", beside);
    Ok(())
}

/// Nothing is fetched meanwhile: accepting is what is measured, not how it shares two cores with the workers.
async fn once(plan: &Plan, connections: usize) -> anyhow::Result<(f64, f64)> {
    let quiet = HostOptions::default()
        .variable("stopping", "1")
        .with(&["--doorbell", "off"]);
    let host = Host::start_with(quiet).await;
    let node = log_in(host.base()).await;
    let outcome = closed_loop(
        &authority(host.base()),
        connections,
        plan.seconds,
        202,
        move |n| {
            let url = format!("http://127.0.{}.{}:9/{n}", n / 250 % 250, 1 + n % 250);
            post(
                &node,
                json!({"user_Id": "bench", "request_url": url, "type": 1}).to_string(),
            )
        },
    )
    .await?;
    Ok((outcome.rate(), outcome.percentile(0.99)))
}
