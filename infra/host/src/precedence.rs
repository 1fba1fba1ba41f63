//! The front door goes first. While many requests that bring work wait, workers stand still for a moment: a node that posts a burst has
//! its answers nearly as soon as if nothing else were done, and what it posted is worked on right after.
//!
//! That is for bursts. Workers have their part of the time all the same, most of it when the crowd does not end, and all of it when
//! the requests wait for something else, such as a database that is locked.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::ready;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;
use trawl_core::limits::host as limits;

/// Who goes first: shared by the replicas, which count requests, and the lanes, whose invocations make way.
#[derive(Default)]
pub(crate) struct Precedence {
    waiting: AtomicUsize,
    answered: AtomicUsize,
    turns: Mutex<Turns>,
    calm: Notify,
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
            if standing.is_none() {
                standing = self.stands_until().map(|until| Box::pin(self.stand(until)));
            }
            if let Some(stand) = &mut standing {
                ready!(stand.as_mut().poll(context));
                // Not asked again before it had a turn: where threads come late, it would find the next stand begun each time.
                standing = None;
            }
            work.as_mut().poll(context)
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

    /// Until when workers stand still; `None` when they don't. Asked at each turn of each worker, and hardly ever true.
    fn stands_until(&self) -> Option<Instant> {
        if !self.is_crowded() {
            return None;
        }
        let (answered, waiting) = (self.answered.load(Relaxed), self.waiting.load(Relaxed));
        self.turns().look(Instant::now(), answered, waiting)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for its answer.
pub(crate) struct Request<'a>(&'a Precedence);

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Relaxed);
        // At half of what is a crowd, so that workers are not woken at each answer of one that stays at its bound.
        if self.0.waiting.fetch_sub(1, Relaxed) == limits::REQUESTS_BEFORE_WORK / 2 + 1 {
            self.0.turns().calm(Instant::now());
            self.0.calm.notify_waiters();
        }
    }
}

/// How the time of a crowd is shared.
struct Turns {
    phase: Phase,
    /// For how long workers may still stand: it runs out in a crowd that does not end, and comes back with time.
    credit: Duration,
    /// Up to when that is reckoned.
    reckoned: Option<Instant>,
    stand: Duration,
}

#[derive(Clone, Copy)]
enum Phase {
    /// There is no crowd.
    Calm,
    /// The front door goes first.
    Standing {
        since: Instant,
        /// What had been answered by then, and how many waited.
        answered: usize,
        waiting: usize,
    },
    /// There is a crowd, and workers work all the same.
    Working { until: Instant },
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            phase: Phase::Calm,
            credit: CREDIT_MAX,
            reckoned: None,
            stand: Duration::from_millis(limits::STAND_MS),
        }
    }
}

const CREDIT_MAX: Duration = Duration::from_millis(limits::STAND_IN_A_ROW_MS);

impl Turns {
    /// Until when workers stand still in a crowd, if they do.
    fn look(&mut self, now: Instant, answered: usize, waiting: usize) -> Option<Instant> {
        match self.phase {
            Phase::Standing { since, .. } if now < since + self.stand => {
                return Some(since + self.stand);
            }
            Phase::Standing {
                answered: before,
                waiting: waited,
                ..
            } => {
                self.end_stand(now);
                // Fewer answers than there were requests: they wait for something else.
                let gets_on = answered.wrapping_sub(before) >= waited;
                let works = if gets_on {
                    limits::WORK_MS
                } else {
                    limits::WORK_ALONE_MS
                };
                // From now on, not from the end of the stand: threads may come late.
                let until = now + Duration::from_millis(works);
                self.phase = Phase::Working { until };
                return None;
            }
            Phase::Working { until } if now < until => return None,
            Phase::Working { .. } | Phase::Calm => {}
        }
        let before = self.reckoned.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(before);
        self.credit = (self.credit + passed / limits::STAND_PART).min(CREDIT_MAX);
        if self.credit < self.stand.min(CREDIT_MAX) {
            self.phase = Phase::Calm;
            return None;
        }
        self.phase = Phase::Standing {
            since: now,
            answered,
            waiting,
        };
        Some(now + self.stand)
    }

    /// The crowd is gone.
    fn calm(&mut self, now: Instant) {
        self.end_stand(now);
        self.phase = Phase::Calm;
    }

    fn end_stand(&mut self, now: Instant) {
        if let Phase::Standing { since, .. } = self.phase {
            let stood = now.saturating_duration_since(since).min(self.stand);
            self.credit = self.credit.saturating_sub(stood);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);
    /// No test takes so long.
    const NEVER: Duration = Duration::from_secs(3_600);

    /// Its workers stand still for longer than any test lasts.
    fn endless() -> Precedence {
        let precedence = Precedence::default();
        precedence.turns().stand = NEVER;
        precedence
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
        let both = async {
            tokio::join!(work, async {
                yield_now().await;
                many.truncate(limits::REQUESTS_BEFORE_WORK / 2);
            })
        };
        let (done, ()) = timeout(NEVER / 60, both).await.expect("it is woken");
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
    async fn who_stood_has_a_turn_although_the_next_stand_has_begun() {
        let precedence = Precedence::default();
        precedence.turns().stand = MOMENT;
        let _many = crowd(&precedence);
        let mut work = pin!(precedence.give_way(async { 7 }));
        assert!(poll!(&mut work).is_pending());
        // Its thread comes so late that others have stood, worked and stand again.
        std::thread::sleep(MOMENT * 2);
        precedence.turns().phase = Phase::Standing {
            since: Instant::now() + NEVER,
            answered: 0,
            waiting: 0,
        };
        let done = timeout(NEVER / 60, work).await;
        assert_eq!(done.expect("it has a turn"), 7);
    }

    /// Milliseconds of work in `time`, with a look in each millisecond and `answers` to five who wait.
    fn worked(turns: &mut Turns, time: Duration, answers: usize) -> Duration {
        let begun = turns.reckoned.unwrap_or_else(Instant::now) + NEVER;
        turns.phase = Phase::Calm;
        let count = u32::try_from(time.as_millis()).unwrap();
        let worked = (0..count)
            .filter(|&ms| {
                let answered = ms as usize * answers;
                turns.look(begun + MOMENT * ms, answered, 5).is_none()
            })
            .count();
        MOMENT * u32::try_from(worked).unwrap()
    }

    #[test]
    fn in_a_burst_a_part_of_the_time_is_for_work() {
        let (stand, work) = (limits::STAND_MS, limits::WORK_MS);
        let round = Duration::from_millis(stand + work);
        let worked = worked(&mut Turns::default(), round * 10, 1);
        assert_eq!(worked, Duration::from_millis(work * 10));
    }

    #[test]
    fn in_a_crowd_without_end_most_of_the_time_is_for_work() {
        let mut turns = Turns::default();
        worked(&mut turns, CREDIT_MAX * 2, 1);
        let begun = turns.reckoned.unwrap();
        let time = CREDIT_MAX * 20;
        let stood = (0..u32::try_from(time.as_millis()).unwrap())
            .filter(|&ms| {
                let now = begun + MOMENT * ms;
                turns.look(now, ms as usize, 5).is_some()
            })
            .count();
        let expected = time.as_millis() as usize / limits::STAND_PART as usize;
        assert!(stood.abs_diff(expected) < expected / 10, "{stood} ms");
    }

    #[test]
    fn requests_that_wait_for_something_else_stop_nobody_for_long() {
        let alone = limits::WORK_ALONE_MS;
        let round = Duration::from_millis(limits::STAND_MS + alone);
        let worked = worked(&mut Turns::default(), round * 2, 0);
        assert_eq!(worked, Duration::from_millis(alone * 2));
    }

    #[test]
    fn a_new_burst_is_not_judged_by_the_one_before() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        assert!(turns.look(now, 0, 200).is_some());
        let late = now + turns.stand;
        assert!(turns.look(late, 10, 200).is_none(), "they did not get on");
        turns.calm(late + MOMENT);
        assert!(turns.look(late + MOMENT * 2, 200, 50).is_some());
    }
}
