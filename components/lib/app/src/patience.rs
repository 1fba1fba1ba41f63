//! Waiting, with a limit.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use trawl_store::StoreError;

use crate::ports::{Clock, Random};

/// Waits between tries while the database is busy: 6 s in all, a tenth of a lease.
const PATIENCE_MS: [u64; 6] = [100, 200, 400, 800, 1_600, 3_200];

/// What `work` gives, or `None` when it takes longer than `limit`; it is dropped then, which cancels what it waits for.
pub(crate) async fn within<T>(
    clock: &impl Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Between three quarters of `duration_ms` and all of it, so that workers that began together do not end together.
pub(crate) fn some_of(duration_ms: u64, random: &impl Random) -> u64 {
    let mut draw = [0; 1];
    random.fill(&mut draw);
    duration_ms - duration_ms / 4 * u64::from(draw[0]) / 255
}

/// Tries `work` again while the database is unavailable, as long as [`PATIENCE_MS`] allows.
pub(crate) async fn patiently<T>(
    clock: &impl Clock,
    work: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    for wait_ms in PATIENCE_MS {
        match work().await {
            Err(StoreError::Unavailable(_)) => clock.sleep(Duration::from_millis(wait_ms)).await,
            other => return other,
        }
    }
    work().await
}
