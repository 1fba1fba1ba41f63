//! Active checks: each replica is asked for its `/readyz` every few seconds.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use http::{Request, header::HOST};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::{Instant, sleep, timeout};
use trawl_core::limits::balance as limits;

use crate::{
    attended::Attended, backend::FailureKind, balancer::Balancer, body::empty, config::CheckConfig,
    fleet::Slot, remote::is_own_lack, replica::Backend,
};

/// Checks all replicas again and again.
pub(crate) async fn check_forever(balancer: &Arc<Balancer>) {
    loop {
        wait(|| balancer.fleet.load().config.check.interval).await;
        let fleet = balancer.fleet.load_full();
        balancer.forget_quiet_clients();
        if !fleet.config.check.enabled {
            // They may have been switched off by a reload. What they took out, nothing else would bring back.
            for slot in &fleet.slots {
                slot.replica
                    .checks_are_off(balancer.clock.now_ms(), &slot.rules);
            }
            continue;
        }
        // A single replica is never out, so nobody would use the answer.
        if fleet.has_single() {
            continue;
        }
        let said = join_all(
            fleet
                .slots
                .iter()
                .map(|slot| check(slot, &fleet.config.check)),
        )
        .await;
        // What all of them share is out, such as their database: it refuses, or it is locked, and then their answers come
        // after the check's patience. To take them all out would win nothing, and lose the answers that they can still give.
        // Those that can't be reached give none; with all of them out, one request a second finds who is back.
        // A drained one that is ready helps nobody.
        let none_is_ready = !fleet
            .slots
            .iter()
            .zip(&said)
            .any(|(slot, said)| !slot.config.drain && *said == Said::Ready);
        for (slot, said) in fleet.slots.iter().zip(said) {
            if said == Said::Unasked || (said == Said::NotReady && none_is_ready) {
                continue;
            }
            let now_ms = balancer.clock.now_ms();
            slot.replica
                .checked(said == Said::Ready, now_ms, &slot.rules);
        }
    }
}

/// What a replica says to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Any 2xx.
    Ready,
    /// Something else, or nothing in time.
    NotReady,
    /// Nothing: it can't be reached, or breaks off.
    Nothing,
    /// It could not be asked, for want of something here.
    Unasked,
}

async fn check(slot: &Slot, config: &CheckConfig) -> Said {
    timeout(config.timeout, ask(slot, &config.path))
        .await
        .unwrap_or(Said::NotReady)
}

/// Only a head is needed; the body goes with its connection.
async fn ask(slot: &Slot, path: &str) -> Said {
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
        return Said::Nothing;
    };
    let outcome = match &slot.replica.backend {
        Backend::Local(local) => Attended::new(Arc::clone(local).call(request), ()).await,
        Backend::Remote(remote) => remote.send(request).await,
    };
    match outcome {
        Ok(response) if response.status().is_success() => Said::Ready,
        Ok(_) => Said::NotReady,
        Err(error) if is_own_lack(&error.cause) => Said::Unasked,
        Err(error) => match error.kind {
            // It is there, and can't just now: a remote one would say so with a status.
            FailureKind::Overloaded | FailureKind::Trapped | FailureKind::TimedOut => {
                Said::NotReady
            }
            FailureKind::Unreachable | FailureKind::Broken => Said::Nothing,
        },
    }
}

/// Waits for about the interval, which a reload may change meanwhile: one that was an hour is not waited for to its end.
async fn wait(interval: impl Fn() -> Duration) {
    let spread = i64::from(limits::CHECK_JITTER_PERCENT);
    let percent = 100 + SmallRng::from_os_rng().random_range(-spread..=spread);
    let percent = u32::try_from(percent).unwrap_or(100);
    let begun = Instant::now();
    loop {
        let left = (interval() * percent / 100).saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        sleep(left.min(Duration::from_millis(limits::RELOAD_INTERVAL_MS))).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_shorter_interval_is_not_waited_for() {
        let asked = Cell::new(0);
        let interval = || {
            let before = asked.replace(asked.get() + 1);
            Duration::from_secs(if before == 0 { 3_600 } else { 0 })
        };
        let waited = timeout(Duration::from_secs(60), wait(interval)).await;
        assert!(waited.is_ok());
    }
}
