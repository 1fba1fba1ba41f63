//! One job on an idle system, from the post to the callback.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use trawl_kit::host::Host;
use trawl_kit::receiver::Receiver;

use super::Plan;
use super::job::Pages;
use crate::requests::log_in;
use crate::table::Table;

pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (host, pages, receiver) = (
        Host::start().await,
        Pages::serve().await,
        Receiver::start().await,
    );
    let node = log_in(host.base()).await;
    let mut all = Vec::new();
    for n in 0..(20 * plan.repeats) {
        let started = Instant::now();
        let id = node.submit(&json!({"request_url": pages.url(n), "type": 1, "mode": "fast", "callback_url": receiver.url("/hook")})).await;
        let called = trawl_kit::eventually("the callback", Duration::from_secs(20), || async {
            receiver.for_message(id).into_iter().next()
        })
        .await;
        ensure!(called.body["status"] == "OK", "{}", called.body);
        all.push(called.at.duration_since(started).as_secs_f64() * 1000.0);
    }
    table.add(
        "one job on an idle system, posted to called back",
        "ms",
        all,
    );
    Ok(())
}
