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
        let found = look(&file).await;
        if seen.as_ref() != Some(&found) {
            let is_seen = match &found {
                Ok(_) => reload(balancer, &file).await,
                // A file that is back, be it the old one, is something new again.
                Err(error) => {
                    refused(balancer, error.clone());
                    true
                }
            };
            seen = is_seen.then_some(found);
        }
        sleep(Duration::from_millis(limits::RELOAD_INTERVAL_MS)).await;
    }
}

/// Time and size (a file that is written twice in one tick of the clock mostly has another size), or why there is none.
async fn look(file: &Path) -> Result<(SystemTime, u64), String> {
    let found = async {
        let metadata = tokio::fs::metadata(file).await?;
        Ok((metadata.modified()?, metadata.len()))
    };
    found
        .await
        .map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}

/// Says why the file is not in force, to the log and to whoever looks at the figures.
fn refused(balancer: &Balancer, error: String) {
    tracing::error!(error, "balance file refused; the old one stays in force");
    *balancer.reload_error() = Some(error);
}

/// Applies the file, if there is something new in it. False when it could not be read, as without a file descriptor to spare: that
/// passes, and leaves no mark on the file by which it would be seen.
async fn reload(balancer: &Arc<Balancer>, file: &Path) -> bool {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || BalanceConfig::read_text(&path)).await;
    let read = read
        .map_err(|error| error.to_string())
        .and_then(|text| text.map_err(|error| error.to_string()));
    let text = match read {
        Ok(text) => text,
        Err(error) => {
            // It is tried every second, and said once.
            if balancer.reload_error().as_ref() != Some(&error) {
                refused(balancer, error);
            }
            return false;
        }
    };
    let outcome = match BalanceConfig::parse(&text, &file.display().to_string()) {
        Ok(config) if config == balancer.config() => Ok(false),
        Ok(config) => balancer
            .apply(config)
            .map(|()| true)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(is_new) => {
            let was_refused = balancer.reload_error().take().is_some();
            if was_refused {
                tracing::warn!(file = %file.display(), "the balance file is good again");
            } else if is_new {
                tracing::info!(file = %file.display(), "balance file applied");
            }
        }
        Err(error) => refused(balancer, error),
    }
    true
}
