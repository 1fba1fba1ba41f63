//! The balance file is looked at every second, and applied when it has changed. A file that is wrong changes nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;
use trawl_core::limits::balance as limits;

use crate::{balancer::Balancer, config::BalanceConfig};

/// Watches `file`; without one, forever does nothing.
pub(crate) async fn watch_forever(balancer: &Arc<Balancer>, file: Option<PathBuf>) {
    let Some(file) = file else {
        return std::future::pending().await;
    };
    // Nothing is taken as seen: a change between the host's own reading and this first look is applied as well.
    let mut seen = None;
    loop {
        let stamp = stamp(&file).await;
        if stamp.is_some() && stamp != seen {
            seen = stamp;
            reload(balancer, &file).await;
        }
        sleep(Duration::from_millis(limits::RELOAD_INTERVAL_MS)).await;
    }
}

/// Time and size: a file that is written twice in one tick of the clock mostly has another size.
async fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = tokio::fs::metadata(file).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

async fn reload(balancer: &Arc<Balancer>, file: &Path) {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || BalanceConfig::read(&path)).await;
    let outcome = match read {
        Ok(Ok(config)) if config == balancer.config() => Ok(false),
        Ok(Ok(config)) => balancer
            .apply(config)
            .map(|()| true)
            .map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match &outcome {
        Ok(true) => tracing::info!(file = %file.display(), "balance file applied"),
        Ok(false) => {}
        Err(error) => tracing::error!(error, "balance file refused; the old one stays in force"),
    }
    *balancer.reload_error() = outcome.err();
}
