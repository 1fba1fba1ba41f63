//! The clocks, by WASI; and work that ends in time or is cancelled.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trawl_app::ports::Clock;

/// The instance's clocks, by WASI.
#[derive(Default)]
pub struct SpinClock(());

impl Clock for SpinClock {
    fn now_ms(&self) -> i64 {
        // A clock before 1970 reads as 1970; one past the year 292 million saturates.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        monotonic_ms()
    }

    async fn sleep(&self, duration: Duration) {
        spin_sdk::time::sleep(duration).await;
    }

    async fn yield_now(&self) {
        spin_sdk::wit_bindgen::yield_async().await;
    }
}

/// Milliseconds since the instance first asked.
pub(crate) fn monotonic_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// `work`, or `None` when it takes longer than `limit`; what was under way is then cancelled.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    use futures::future::{Either, select};
    match select(
        std::pin::pin!(work),
        std::pin::pin!(spin_sdk::time::sleep(limit)),
    )
    .await
    {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
