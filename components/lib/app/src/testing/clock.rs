//! Virtual time: a test that waits for an hour takes no time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::ports::Clock;

/// 2026-11-23T00:00:00Z: a moment like any other.
const EPOCH_MS: i64 = 1_795_392_000_000;

/// A clock that moves when [`run`] finds everybody waiting. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct VirtualClock(Rc<State>);

#[derive(Debug, Default)]
struct State {
    /// Shared, so that a database on another thread could read it too.
    elapsed_ms: Arc<AtomicU64>,
    sleeps: Cell<u64>,
    sleepers: RefCell<BTreeMap<(u64, u64), Waker>>,
    yields: Cell<u64>,
}

impl VirtualClock {
    /// Moves time by hand, without waking anybody early.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.elapsed_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// The time of day for whoever can't hold the clock itself, such as a function of a database.
    pub fn reader(&self) -> impl Fn() -> i64 + Send + Sync + 'static {
        let elapsed_ms = Arc::clone(&self.0.elapsed_ms);
        move || epoch_ms(&elapsed_ms)
    }

    /// Virtual milliseconds since the beginning.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.0.elapsed_ms.load(Ordering::Relaxed)
    }

    /// How often somebody yielded.
    #[must_use]
    pub fn yields(&self) -> u64 {
        self.0.yields.get()
    }

    /// Jumps to the next sleeper and wakes it; false when nobody sleeps.
    fn wake_next(&self) -> bool {
        let Some(((at_ms, _), waker)) = self.0.sleepers.borrow_mut().pop_first() else {
            return false;
        };
        self.0.elapsed_ms.fetch_max(at_ms, Ordering::Relaxed);
        waker.wake();
        true
    }
}

fn epoch_ms(elapsed_ms: &AtomicU64) -> i64 {
    EPOCH_MS + i64::try_from(elapsed_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> i64 {
        epoch_ms(&self.0.elapsed_ms)
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.elapsed_ms.load(Ordering::Relaxed)
    }

    async fn sleep(&self, duration: Duration) {
        let until_ms =
            self.monotonic_ms() + u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.sleeps.set(self.0.sleeps.get() + 1);
        let sleeper = Sleeper {
            clock: self,
            key: (until_ms, self.0.sleeps.get()),
        };
        poll_fn(|context| {
            if self.monotonic_ms() >= until_ms {
                return Poll::Ready(());
            }
            self.0
                .sleepers
                .borrow_mut()
                .insert(sleeper.key, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn yield_now(&self) {
        self.0.yields.set(self.0.yields.get() + 1);
        let mut yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Takes its sleep out of the clock when it is dropped half-way.
struct Sleeper<'a> {
    clock: &'a VirtualClock,
    key: (u64, u64),
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.clock.0.sleepers.borrow_mut().remove(&self.key);
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `future` to its end in virtual time.
///
/// # Panics
/// When nothing can go on and nobody sleeps: the test would hang for ever.
#[expect(clippy::panic, reason = "a test that hangs is a failed test")]
pub fn run<T>(clock: &VirtualClock, future: impl Future<Output = T>) -> T {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        if !woken.0.swap(false, Ordering::Relaxed) && !clock.wake_next() {
            panic!("nothing can go on and nobody sleeps");
        }
        woken.0.store(false, Ordering::Relaxed);
    }
}
