//! So many at once, and the others wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A number of slots that tasks of one instance share, first come first served as far as wakers go.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<Waker>>,
}

/// A slot, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) const fn new(count: usize) -> Self {
        Self {
            free: Cell::new(count),
            waiting: RefCell::new(VecDeque::new()),
        }
    }

    /// Waits for a slot.
    pub(crate) async fn take(&self) -> Slot<'_> {
        poll_fn(|context| {
            if let Some(left) = self.free.get().checked_sub(1) {
                self.free.set(left);
                return Poll::Ready(Slot(self));
            }
            self.waiting.borrow_mut().push_back(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        // A waiter may have been dropped meanwhile, and its waker then wakes nobody who wants the slot: wake all.
        // One that was looked at again stands here once more, so there are a few for each job in flight.
        for waker in self.0.waiting.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Clock as _;
    use crate::testing::{VirtualClock, run};
    use futures::future::{join_all, select};
    use std::pin::pin;
    use std::time::Duration;

    #[test]
    fn no_more_than_the_slots_at_once_and_a_dropped_waiter_blocks_nobody() {
        let clock = VirtualClock::default();
        let (slots, inside, most) = (Slots::new(2), Cell::new(0), Cell::new(0));
        run(&clock, async {
            let gives_up = async {
                let _ = select(
                    pin!(slots.take()),
                    pin!(clock.sleep(Duration::from_millis(5))),
                )
                .await;
            };
            let works = join_all((0..6).map(|_| async {
                let _slot = slots.take().await;
                inside.set(inside.get() + 1);
                most.set(most.get().max(inside.get()));
                clock.sleep(Duration::from_millis(10)).await;
                inside.set(inside.get() - 1);
            }));
            futures::join!(works, gives_up);
        });
        assert_eq!((most.get(), inside.get(), slots.free.get()), (2, 0, 2));
        assert_eq!(clock.monotonic_ms(), 30);
    }
}
