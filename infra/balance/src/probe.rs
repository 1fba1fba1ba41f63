//! Active checks: each replica is asked for its `/readyz` every few seconds.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use http::{Request, header::HOST};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::{sleep, timeout};
use trawl_core::limits::balance as limits;

use crate::{balancer::Balancer, body::empty, config::CheckConfig, fleet::Slot, replica::Backend};

/// Checks all replicas again and again.
pub(crate) async fn check_forever(balancer: &Arc<Balancer>) {
    loop {
        let fleet = balancer.fleet.load_full();
        sleep(jittered(fleet.config.check.interval)).await;
        balancer.forget_quiet_clients();
        // A single replica is never out, so nobody would use the answer.
        if !fleet.config.check.enabled || fleet.slots.len() == 1 {
            continue;
        }
        join_all(
            fleet
                .slots
                .iter()
                .map(|slot| check(balancer, slot, &fleet.config.check)),
        )
        .await;
    }
}

async fn check(balancer: &Balancer, slot: &Slot, config: &CheckConfig) {
    let good = timeout(config.timeout, ask(slot, &config.path))
        .await
        .unwrap_or(false);
    slot.replica
        .checked(good, balancer.clock.now_ms(), &slot.rules);
}

/// True for any 2xx. Only a head is needed; the body goes with its connection.
async fn ask(slot: &Slot, path: &str) -> bool {
    let host = slot
        .config
        .url
        .as_ref()
        .map_or_else(|| "localhost".to_owned(), crate::config::Origin::address);
    let request = Request::get(path)
        .header(HOST, host)
        .header("user-agent", "trawl-balance")
        .body(empty());
    let Ok(request) = request else {
        return false;
    };
    let outcome = match &slot.replica.backend {
        Backend::Local(local) => local.call(request).await,
        Backend::Remote(remote) => remote.send(request).await,
    };
    outcome.is_ok_and(|response| response.status().is_success())
}

fn jittered(interval: Duration) -> Duration {
    let spread = i64::from(limits::CHECK_JITTER_PERCENT);
    let percent = 100 + SmallRng::from_os_rng().random_range(-spread..=spread);
    interval * u32::try_from(percent).unwrap_or(100) / 100
}
