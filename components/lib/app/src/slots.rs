//! So many at once, and the others wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A number of slots that tasks of one instance share, first come first served as far as wakers go. Whoever `K` names has no more than
/// its share of them.
#[derive(Debug)]
pub(crate) struct Slots<K = ()> {
    count: Cell<usize>,
    taken: Cell<usize>,
    share: Cell<usize>,
    /// Who has some, and how many.
    held: RefCell<Vec<(K, usize)>>,
    waiting: RefCell<VecDeque<Waker>>,
}

/// A slot, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a, K: Copy + PartialEq = ()> {
    slots: &'a Slots<K>,
    holder: K,
}

impl Slots {
    /// So many for everybody.
    pub(crate) const fn new(count: usize) -> Self {
        Self::shared(count, count)
    }

    /// So many from now on. Who has one keeps it, also when there are fewer.
    pub(crate) fn resize(&self, count: usize) {
        self.share.set(count);
        if self.count.replace(count) < count {
            self.wake_all();
        }
    }

    /// Waits for a slot.
    pub(crate) async fn take(&self) -> Slot<'_> {
        self.take_for(()).await
    }
}

impl<K> Slots<K> {
    /// `count` slots, of which nobody has more than `share`.
    pub(crate) const fn shared(count: usize, share: usize) -> Self {
        Self {
            count: Cell::new(count),
            taken: Cell::new(0),
            share: Cell::new(share),
            held: RefCell::new(Vec::new()),
            waiting: RefCell::new(VecDeque::new()),
        }
    }

    /// A waiter may have been dropped meanwhile, and its waker then wakes nobody who wants the slot: hence all of them. One that was looked
    /// at again stands here once more, so there are a few for each job in flight.
    fn wake_all(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

impl<K: Copy + PartialEq> Slots<K> {
    /// Waits until there is a slot that `holder` may have.
    pub(crate) async fn take_for(&self, holder: K) -> Slot<'_, K> {
        poll_fn(|context| {
            if self.hand_out(holder) {
                return Poll::Ready(Slot {
                    slots: self,
                    holder,
                });
            }
            self.waiting.borrow_mut().push_back(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether others wait; also for a while after they have given up.
    pub(crate) fn are_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn hand_out(&self, holder: K) -> bool {
        if self.taken.get() >= self.count.get() {
            return false;
        }
        let mut held = self.held.borrow_mut();
        match held.iter_mut().find(|(who, _)| *who == holder) {
            Some((_, count)) if *count >= self.share.get() => return false,
            Some((_, count)) => *count += 1,
            None => held.push((holder, 1)),
        }
        self.taken.set(self.taken.get() + 1);
        true
    }

    fn give_back(&self, holder: K) {
        self.taken.set(self.taken.get() - 1);
        let mut held = self.held.borrow_mut();
        for (_, count) in held.iter_mut().filter(|(who, _)| *who == holder) {
            *count -= 1;
        }
        held.retain(|(_, count)| *count > 0);
    }
}

impl<K: Copy + PartialEq> Drop for Slot<'_, K> {
    fn drop(&mut self) {
        self.slots.give_back(self.holder);
        self.slots.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Clock as _;
    use crate::testing::{VirtualClock, run};
    use futures::FutureExt as _;
    use futures::future::{join_all, select};
    use std::pin::pin;
    use std::time::Duration;

    #[test]
    fn fewer_slots_take_none_away_and_more_let_others_in() {
        run(&VirtualClock::default(), async {
            let slots = Slots::new(2);
            let held = (slots.take().await, slots.take().await);
            slots.resize(1);
            drop(held.0);
            assert!(slots.take().now_or_never().is_none(), "one is held");
            let third = async {
                let (_third, ()) = futures::join!(slots.take(), async { slots.resize(2) });
            };
            third.await;
            drop(held.1);
        });
    }

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
        assert_eq!((most.get(), inside.get(), slots.taken.get()), (2, 0, 0));
        assert_eq!(clock.monotonic_ms(), 30);
    }

    #[test]
    fn nobody_has_more_than_its_share() {
        let clock = VirtualClock::default();
        let slots = Slots::shared(3, 2);
        run(&clock, async {
            let (first, _second) = (slots.take_for('a').await, slots.take_for('a').await);
            let other = slots.take_for('b').await;
            let mut third = pin!(slots.take_for('a'));
            assert!(futures::poll!(third.as_mut()).is_pending(), "none is free");
            drop(other);
            assert!(
                futures::poll!(third.as_mut()).is_pending(),
                "it has its share"
            );
            drop(first);
            drop(third.await);
        });
        assert_eq!(slots.taken.get(), 0);
        assert!(slots.held.borrow().is_empty());
    }
}
