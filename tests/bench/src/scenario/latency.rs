//! One job on an idle system, from the post to the callback.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use trawl_core::limits::{bell, scrape};
use trawl_kit::host::Host;
use trawl_kit::receiver::Receiver;

use super::Plan;
use super::job::Pages;
use crate::requests::log_in;
use crate::table::Table;

/// So long after a callback its workers have returned, and the next ring is not put off.
const IDLE_AFTER: Duration = Duration::from_millis(scrape::LINGER_MS + bell::COALESCED_MS);

pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (host, pages, receiver) = (
        Host::start().await,
        Pages::serve().await,
        Receiver::start().await,
    );
    let node = log_in(host.base()).await;
    let mut page = 0..;
    for (name, pause) in [
        (
            "one job on an idle system, posted to called back",
            Some(IDLE_AFTER),
        ),
        (
            "one job after another, each posted when the one before was called back",
            None,
        ),
    ] {
        let mut all = Vec::new();
        for n in page.by_ref().take(20 * plan.repeats) {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let started = Instant::now();
            let id = node.submit(&json!({"request_url": pages.url(n), "type": 1, "mode": "fast", "callback_url": receiver.url("/hook")})).await;
            let called = trawl_kit::eventually("the callback", Duration::from_secs(20), || async {
                receiver.for_message(id).into_iter().next()
            })
            .await;
            ensure!(called.body["status"] == "OK", "{}", called.body);
            all.push(called.at.duration_since(started).as_secs_f64() * 1000.0);
        }
        table.add(name, "ms", all);
    }
    Ok(())
}
