//! Waiting, with a limit.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::{Either, select};

use trawl_core::limits::queue::PATIENCE_MS;
use trawl_core::limits::scrape::{LEASE_S, YIELD_AFTER_MS};
use trawl_store::StoreError;

use crate::ports::{Clock, Random};

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

/// How long the other tasks of an instance have been waiting for one that computes, or for several one after the other.
#[derive(Debug)]
pub(crate) struct Breath {
    yielded_ms: Cell<u64>,
}

impl Breath {
    pub(crate) fn new(clock: &impl Clock) -> Self {
        Self {
            yielded_ms: Cell::new(clock.monotonic_ms()),
        }
    }

    /// Lets the others run if it is time.
    pub(crate) async fn take(&self, clock: &impl Clock) {
        if clock.monotonic_ms() >= self.yielded_ms.get() + YIELD_AFTER_MS {
            clock.yield_now().await;
            self.yielded_ms.set(clock.monotonic_ms());
        }
    }
}

/// A limit on waits of which many begin and end, nearly all of them long before it. A timer is several calls of the host, so only a
/// wait that is still going on at the next [`Limit::beat`] gets one.
#[derive(Debug)]
pub(crate) struct Limit {
    of: Duration,
    beats: Cell<u64>,
    begun: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

impl Limit {
    pub(crate) const fn new(of: Duration) -> Self {
        Self {
            of,
            beats: Cell::new(0),
            begun: Cell::new(0),
            waiting: RefCell::new(BTreeMap::new()),
        }
    }

    /// To be called again and again, after less than the limit.
    pub(crate) fn beat(&self) {
        self.beats.set(self.beats.get() + 1);
        for waker in self.waiting.take().into_values() {
            waker.wake();
        }
    }

    /// What `work` gives, which begins at `began_ms`, or `None` when it takes longer than the limit; it is dropped then, which cancels
    /// what it waits for.
    pub(crate) async fn within<T>(
        &self,
        clock: &impl Clock,
        began_ms: u64,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        let place = Place::of(self);
        let beats = self.beats.get();
        let soon = poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.beats.get() > beats => Poll::Ready(None),
            Poll::Pending => {
                place.wait(context.waker());
                Poll::Pending
            }
        })
        .await;
        if soon.is_some() {
            return soon;
        }
        let waited = Duration::from_millis(clock.monotonic_ms().saturating_sub(began_ms));
        within(clock, self.of.saturating_sub(waited), work).await
    }
}

/// One wait's place among those that a beat wakes.
struct Place<'l> {
    limit: &'l Limit,
    number: u64,
}

impl<'l> Place<'l> {
    fn of(limit: &'l Limit) -> Self {
        let number = limit.begun.get();
        limit.begun.set(number + 1);
        Self { limit, number }
    }

    fn wait(&self, waker: &Waker) {
        let mut waiting = self.limit.waiting.borrow_mut();
        waiting
            .entry(self.number)
            .and_modify(|known| known.clone_from(waker))
            .or_insert_with(|| waker.clone());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limit.waiting.borrow_mut().remove(&self.number);
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
    patiently_under(LEASE_S, clock, work).await
}

/// The same under a lease of so many seconds, which has to outlast it.
pub(crate) async fn patiently_under<T>(
    lease_s: u32,
    clock: &impl Clock,
    work: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let third_ms = u64::from(lease_s) * 1_000 / 3;
    let mut sum_ms = 0;
    let waits = PATIENCE_MS.into_iter().take_while(|wait_ms| {
        sum_ms += wait_ms;
        sum_ms <= third_ms
    });
    for wait_ms in waits {
        match work().await {
            Err(StoreError::Unavailable(_)) => clock.sleep(Duration::from_millis(wait_ms)).await,
            other => return other,
        }
    }
    work().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{VirtualClock, run};
    use futures::future::{join, pending};

    const LIMIT: Duration = Duration::from_millis(45_000);

    /// Beats once a second, for ever.
    async fn beating(limit: &Limit, clock: &VirtualClock) {
        loop {
            clock.sleep(Duration::from_secs(1)).await;
            limit.beat();
        }
    }

    #[test]
    fn a_limit_holds_to_the_millisecond_and_leaves_nothing_behind() {
        let (clock, limit) = (VirtualClock::default(), Limit::new(LIMIT));
        let waits = async {
            clock.sleep(Duration::from_millis(350)).await;
            let began_ms = clock.monotonic_ms();
            let (never, quick) = join(
                limit.within(&clock, began_ms, pending::<()>()),
                limit.within(&clock, began_ms, clock.sleep(Duration::from_millis(100))),
            )
            .await;
            assert_eq!((never, quick), (None, Some(())));
            assert_eq!(clock.monotonic_ms() - began_ms, 45_000);
            let slow = limit.within(
                &clock,
                clock.monotonic_ms(),
                clock.sleep(Duration::from_millis(44_999)),
            );
            assert_eq!(slow.await, Some(()));
        };
        run(&clock, async {
            select(pin!(waits), pin!(beating(&limit, &clock))).await;
        });
        assert!(limit.waiting.borrow().is_empty());
    }

    #[test]
    fn a_wait_between_two_beats_has_no_timer() {
        let (clock, limit) = (VirtualClock::default(), Limit::new(LIMIT));
        run(&clock, async {
            let mut waiting = pin!(limit.within(&clock, 0, pending::<()>()));
            for beats in 0..2 {
                assert!(futures::poll!(&mut waiting).is_pending());
                assert_eq!(limit.waiting.borrow().len(), 1 - beats);
                limit.beat();
            }
        });
    }
}
