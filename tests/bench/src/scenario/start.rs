//! From the start of the process to `/readyz`, with nothing compiled yet and with the code cache.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use trawl_kit::host::{Host, HostOptions};

use super::Plan;
use crate::load::{connect, once};
use crate::requests::{authority, get};
use crate::table::Table;

pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let cold = ready_ms(cache.path()).await?;
    table.add("start to ready, nothing cached", "ms", vec![cold]);
    let mut warm = Vec::new();
    for _ in 0..plan.repeats.max(5) {
        warm.push(ready_ms(cache.path()).await?);
    }
    table.add_under(300.0, "start to ready, compiled code cached", "ms", warm);
    Ok(())
}

async fn ready_ms(cache: &Path) -> anyhow::Result<f64> {
    let options = HostOptions {
        environment: vec![(
            "TRAWL_CODE_CACHE_DIR".to_owned(),
            cache.display().to_string(),
        )],
        ..HostOptions::default()
    };
    let started = Instant::now();
    let host = Host::start_with(options).await;
    let at = authority(host.base());
    let status = once(&mut connect(&at, 0).await?, get(&at, "/readyz")).await?;
    ensure!(status == 200, "/readyz answers {status}");
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}
