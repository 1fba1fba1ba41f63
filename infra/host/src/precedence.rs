//! The front door goes first. While many requests that bring work wait, workers stand still for a moment: a node that posts a burst has
//! its answers nearly as soon as if nothing else were done, and what it posted is worked on right after.
//!
//! Workers have their part of the time all the same, and all of it when the front door does not get on, whatever holds it up.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::task::ready;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;
use trawl_core::limits::host as limits;

/// Who goes first: shared by the replicas, which count requests, and the lanes, whose invocations make way.
#[derive(Default)]
pub(crate) struct Precedence {
    rhythm: Rhythm,
    waiting: AtomicUsize,
    answered: AtomicUsize,
    turn: Mutex<Option<Turn>>,
    calm: Notify,
}

/// How the time is shared while many requests wait.
#[derive(Clone, Copy)]
struct Rhythm {
    /// Workers stand still for this long at most.
    stand: Duration,
    /// Then they work for this long.
    work: Duration,
    /// The same when fewer requests were answered while they stood still than wait.
    work_alone: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            stand: Duration::from_millis(limits::STAND_MS),
            work: Duration::from_millis(limits::WORK_MS),
            work_alone: Duration::from_millis(limits::WORK_ALONE_MS),
        }
    }
}

/// A time in which workers stand still, and after it one in which they don't.
#[derive(Clone, Copy)]
struct Turn {
    began: Instant,
    /// What had been answered by then.
    answered: usize,
}

impl Precedence {
    /// Counts a request as waiting until what is given back is dropped.
    pub(crate) fn request(&self) -> Request<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Request(self)
    }

    /// Does a worker's `work`, but stands still between its turns while the front door goes first.
    pub(crate) async fn give_way<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut standing = None;
        poll_fn(|context| {
            loop {
                if standing.is_none() {
                    standing = self.stands_until().map(|until| Box::pin(self.stand(until)));
                }
                match &mut standing {
                    None => return work.as_mut().poll(context),
                    Some(wait) => ready!(wait.as_mut().poll(context)),
                }
                standing = None;
            }
        })
        .await
    }

    async fn stand(&self, until: Instant) {
        // Before the look, so that a calm which comes between the two is not missed.
        let calm = self.calm.notified();
        if self.is_crowded() {
            let _ = timeout_at(until.into(), calm).await;
        }
    }

    fn is_crowded(&self) -> bool {
        self.waiting.load(Relaxed) > limits::REQUESTS_BEFORE_WORK
    }

    /// Until when workers stand still; `None` when they don't.
    fn stands_until(&self) -> Option<Instant> {
        // Asked at each turn of each worker, and hardly ever true.
        self.is_crowded()
            .then(|| self.crowded_until(Instant::now()))
            .flatten()
    }

    /// The same while many requests wait.
    fn crowded_until(&self, now: Instant) -> Option<Instant> {
        let answered = self.answered.load(Relaxed);
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = *turn {
            let stands_until = turn.began + self.rhythm.stand;
            if now < stands_until {
                return Some(stands_until);
            }
            // Not for those who wait for something else, such as a client that trickles: then fewer end than wait.
            let gets_on = answered.wrapping_sub(turn.answered) >= self.waiting.load(Relaxed);
            let works = if gets_on {
                self.rhythm.work
            } else {
                self.rhythm.work_alone
            };
            if now < stands_until + works {
                return None;
            }
        }
        *turn = Some(Turn {
            began: now,
            answered,
        });
        Some(now + self.rhythm.stand)
    }
}

/// A request that waits for its answer.
pub(crate) struct Request<'a>(&'a Precedence);

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Relaxed);
        if self.0.waiting.fetch_sub(1, Relaxed) == limits::REQUESTS_BEFORE_WORK + 1 {
            self.0.calm.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::task::yield_now;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Its workers stand still for longer than any test lasts.
    fn endless() -> Precedence {
        let rhythm = Rhythm {
            stand: Duration::from_secs(3_600),
            ..Rhythm::default()
        };
        Precedence {
            rhythm,
            ..Precedence::default()
        }
    }

    /// One more than may wait beside working workers.
    fn crowd(precedence: &Precedence) -> Vec<Request<'_>> {
        (0..=limits::REQUESTS_BEFORE_WORK)
            .map(|_| precedence.request())
            .collect()
    }

    #[tokio::test]
    async fn beside_a_few_requests_workers_work() {
        let precedence = endless();
        let mut few = crowd(&precedence);
        few.pop();
        assert_eq!(precedence.give_way(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn many_requests_go_first_and_work_goes_on_as_soon_as_few_are_left() {
        let precedence = endless();
        let mut many = crowd(&precedence);
        let mut work = pin!(precedence.give_way(async { 7 }));
        for _ in 0..3 {
            assert!(poll!(&mut work).is_pending());
            yield_now().await;
        }
        let (done, ()) = tokio::join!(work, async {
            yield_now().await;
            many.pop();
        });
        assert_eq!(done, 7);
    }

    #[tokio::test]
    async fn a_worker_in_the_middle_stands_still_too() {
        let precedence = endless();
        let turns = AtomicUsize::new(0);
        let mut work = pin!(precedence.give_way(async {
            loop {
                turns.fetch_add(1, Relaxed);
                yield_now().await;
            }
        }));
        assert!(poll!(&mut work).is_pending());
        let many = crowd(&precedence);
        assert!(poll!(&mut work).is_pending());
        assert_eq!(turns.load(Relaxed), 1);
        drop(many);
        let _: std::task::Poll<()> = poll!(&mut work);
        assert_eq!(turns.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn without_an_end_of_the_crowd_workers_stand_still_no_longer_than_that() {
        let precedence = Precedence::default();
        let _many = crowd(&precedence);
        let began = Instant::now();
        precedence.give_way(async {}).await;
        assert!(began.elapsed() >= precedence.rhythm.stand);
    }

    /// Milliseconds of work in `time`, with a turn in each millisecond. `gets_on`: requests are answered.
    fn worked_ms(time: Duration, gets_on: bool) -> u64 {
        let precedence = Precedence::default();
        let _many = crowd(&precedence);
        let began = Instant::now();
        let mut worked = 0;
        for ms in 0..time.as_millis() as u32 {
            if gets_on {
                drop(precedence.request());
            }
            worked += u64::from(precedence.crowded_until(began + MOMENT * ms).is_none());
        }
        worked
    }

    #[test]
    fn a_crowd_without_end_leaves_a_part_of_the_time_to_work() {
        let round = Duration::from_millis(limits::STAND_MS + limits::WORK_MS);
        assert_eq!(worked_ms(round * 10, true), 10 * limits::WORK_MS);
    }

    #[test]
    fn a_front_door_that_does_not_get_on_stops_nobody_for_long() {
        let round = Duration::from_millis(limits::STAND_MS + limits::WORK_ALONE_MS);
        assert_eq!(worked_ms(round * 2, false), 2 * limits::WORK_ALONE_MS);
    }
}
