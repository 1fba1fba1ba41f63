//! One at a time, and accounts take turns.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use trawl_core::limits::scrape::SERVED_MAX;

/// What one task at a time may have. Of those that wait, the holder comes next that was served least lately, and of its tasks the first:
/// so whoever waits for one small thing waits for one of each other holder's, however many they have.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    taken: Cell<bool>,
    waiting: RefCell<VecDeque<Waiting<K>>>,
    /// The ticket whose turn it is, until its task takes it.
    called: Cell<Option<u64>>,
    /// The last one last.
    served: RefCell<VecDeque<K>>,
    next_ticket: Cell<u64>,
}

#[derive(Debug)]
struct Waiting<K> {
    ticket: u64,
    holder: K,
    waker: Waker,
}

/// A turn, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a, K: Copy + PartialEq> {
    turns: &'a Turns<K>,
}

impl<K: Copy + PartialEq> Turns<K> {
    pub(crate) const fn new() -> Self {
        Self {
            taken: Cell::new(false),
            waiting: RefCell::new(VecDeque::new()),
            called: Cell::new(None),
            served: RefCell::new(VecDeque::new()),
            next_ticket: Cell::new(0),
        }
    }

    /// Waits for the turn.
    pub(crate) const fn take(&self, holder: K) -> Wait<'_, K> {
        Wait {
            turns: self,
            holder,
            ticket: None,
        }
    }

    /// The turn is free: the next one is called.
    fn call(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let served = self.served.borrow();
        let last_served = |one: &Waiting<K>| served.iter().position(|who| *who == one.holder);
        // Of the same place the first.
        let next = waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, one)| last_served(one));
        let next = next.map(|(index, _)| index);
        drop(served);
        match next.and_then(|index| waiting.remove(index)) {
            Some(next) => {
                self.called.set(Some(next.ticket));
                next.waker.wake();
            }
            None => self.taken.set(false),
        }
    }

    fn serve(&self, holder: K) -> Turn<'_, K> {
        let mut served = self.served.borrow_mut();
        served.retain(|who| *who != holder);
        if served.len() == SERVED_MAX {
            served.pop_front();
        }
        served.push_back(holder);
        Turn { turns: self }
    }
}

impl<K: Copy + PartialEq> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.turns.call();
    }
}

/// Waits for a turn; dropped, it waits no longer.
#[derive(Debug)]
pub(crate) struct Wait<'a, K: Copy + PartialEq> {
    turns: &'a Turns<K>,
    holder: K,
    /// Once it stands among those that wait.
    ticket: Option<u64>,
}

impl<'a, K: Copy + PartialEq + Unpin> Future for Wait<'a, K> {
    type Output = Turn<'a, K>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn<'a, K>> {
        let turns = self.turns;
        let Some(ticket) = self.ticket else {
            if !turns.taken.replace(true) {
                return Poll::Ready(turns.serve(self.holder));
            }
            let ticket = turns.next_ticket.get();
            turns.next_ticket.set(ticket + 1);
            turns.waiting.borrow_mut().push_back(Waiting {
                ticket,
                holder: self.holder,
                waker: context.waker().clone(),
            });
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        if turns.called.get() == Some(ticket) {
            turns.called.set(None);
            self.ticket = None;
            return Poll::Ready(turns.serve(self.holder));
        }
        let mut waiting = turns.waiting.borrow_mut();
        if let Some(own) = waiting.iter_mut().find(|one| one.ticket == ticket) {
            own.waker.clone_from(context.waker());
        }
        Poll::Pending
    }
}

impl<K: Copy + PartialEq> Drop for Wait<'_, K> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        if self.turns.called.get() == Some(ticket) {
            self.turns.called.set(None);
            self.turns.call();
        } else {
            self.turns
                .waiting
                .borrow_mut()
                .retain(|one| one.ticket != ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::join_all;
    use futures::poll;
    use std::pin::pin;

    #[test]
    fn holders_take_turns_and_each_of_their_tasks_in_order() {
        let (turns, order) = (Turns::new(), RefCell::new(Vec::new()));
        let work = async |name: &'static str| {
            let _turn = turns.take(name.as_bytes()[0]).await;
            order.borrow_mut().push(name);
            // So that all others come to wait.
            futures::pending!();
        };
        let mut tasks = ["a1", "a2", "a3", "b1", "a4", "c1", "b2"].map(|name| Box::pin(work(name)));
        block_on(async {
            // Whoever was polled twice since its turn came has ended.
            let mut left: Vec<_> = tasks.iter_mut().collect();
            while !left.is_empty() {
                let mut still = Vec::new();
                for task in left {
                    if poll!(task.as_mut()).is_pending() {
                        still.push(task);
                    }
                }
                left = still;
            }
        });
        assert_eq!(*order.borrow(), ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
    }

    #[test]
    fn who_waits_no_longer_is_passed_over() {
        let turns = Turns::new();
        block_on(async {
            let first = turns.take('a').await;
            let mut gone = Box::pin(turns.take('b'));
            let mut called = Box::pin(turns.take('c'));
            let mut last = pin!(turns.take('d'));
            assert!(poll!(gone.as_mut()).is_pending());
            assert!(poll!(called.as_mut()).is_pending());
            assert!(poll!(last.as_mut()).is_pending());
            drop(gone);
            drop(first);
            // It was called, and does not come.
            drop(called);
            drop(last.await);
            drop(turns.take('e').await);
        });
        assert!(!turns.taken.get() && turns.waiting.borrow().is_empty());
    }

    #[test]
    fn only_so_many_holders_are_remembered() {
        let turns = Turns::new();
        block_on(join_all((0..1_000).map(async |holder: u32| {
            drop(turns.take(holder).await);
        })));
        assert_eq!(turns.served.borrow().len(), SERVED_MAX);
    }
}
