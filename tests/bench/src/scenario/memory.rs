//! Resident memory of the host: idle, at its highest under load, and a minute later.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;
use trawl_kit::host::Host;

use super::Plan;
use super::job::{CONNECTIONS, Pages, WORK, pass};
use crate::load::closed_loop;
use crate::requests::{authority, log_in, post};
use crate::table::Table;

/// Before anything was asked.
pub(crate) const IDLE: &str = "memory, idle";
/// When the work is a minute past.
pub(crate) const AFTER: &str = "memory, a minute later";

pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let host = Host::start().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    table.add_under(64.0, IDLE, "MiB", vec![mib(&host)]);
    let (node, pages) = (log_in(host.base()).await, Pages::serve().await);
    let done = AtomicBool::new(false);
    let watch = async {
        let mut peak: f64 = 0.0;
        while !done.load(Relaxed) {
            peak = peak.max(mib(&host));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peak
    };
    let work = async {
        let mut outcome = Ok(());
        for kind in WORK {
            outcome = outcome.and(pass(&node, &pages, kind, 0..1_000).await.map(|_| ()));
        }
        let posting = node.clone();
        let load = closed_loop(
            &authority(host.base()),
            CONNECTIONS,
            plan.seconds,
            202,
            move |n| {
                let body = json!({"request_url": format!("http://127.0.0.1:9/{n}"), "type": 2});
                post(&posting, body.to_string())
            },
        )
        .await;
        done.store(true, Relaxed);
        outcome.and(load.map(|_| ()))
    };
    let (peak, worked) = tokio::join!(watch, work);
    worked?;
    table.add_under(
        300.0,
        "memory, peak at 64 connections and all kinds of jobs",
        "MiB",
        vec![peak],
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    table.add(AFTER, "MiB", vec![mib(&host)]);
    Ok(())
}

fn mib(host: &Host) -> f64 {
    host.resident_bytes() as f64 / 1_048_576.0
}
