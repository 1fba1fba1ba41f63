//! Accepts at a steady 500 a second while jobs run.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use trawl_kit::api::Node;
use trawl_kit::host::Host;

use super::Plan;
use super::job::Pages;
use crate::load::{connect, once};
use crate::requests::{authority, log_in, post};
use crate::table::Table;

/// Connections, each of which posts every 20 ms: 500 a second together.
const LANES: usize = 10;
const EVERY_MS: u64 = 20;

pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (host, pages) = (Host::start().await, Pages::serve().await);
    let node = log_in(host.base()).await;
    let mut p99 = Vec::new();
    let each = usize::try_from(plan.seconds * 1_000 / EVERY_MS)?;
    for round in 0..plan.repeats {
        let (started, fetched) = (Instant::now(), pages.robots_asked());
        let mut tasks = Vec::new();
        for lane in 0..LANES {
            let first = (round * LANES + lane) * each;
            let urls = (first..first + each).map(|n| pages.url(n)).collect();
            let ahead = Duration::from_millis(2 * lane as u64);
            tasks.push(tokio::spawn(steady(node.clone(), started + ahead, urls)));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        // Half of them at least, so that it is measured beside the work and not before it.
        ensure!(
            pages.robots_asked() - fetched >= all.len() / 2,
            "the jobs did not keep up"
        );
        all.sort_by(f64::total_cmp);
        p99.push(all[all.len() * 99 / 100]);
    }
    table.add_under(15.0, "accept at 500/s beside running jobs, p99", "ms", p99);
    Ok(())
}

/// An open loop: the next request is due whether or not the last was answered in time.
async fn steady(node: Node, started: Instant, urls: Vec<String>) -> anyhow::Result<Vec<f64>> {
    let mut sender = connect(&authority(&node.base), 0).await?;
    let mut latencies = Vec::new();
    for (n, url) in urls.into_iter().enumerate() {
        let due = started + Duration::from_millis(EVERY_MS * n as u64);
        tokio::time::sleep_until(due.into()).await;
        let body = json!({"request_url": url, "type": 1, "mode": "fast"}).to_string();
        let status = once(&mut sender, post(&node, body)).await?;
        ensure!(status == 202, "answered {status}");
        latencies.push(due.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(latencies)
}
