//! The front door goes first. While many requests that bring work wait, workers stand still for a moment: a node that posts a burst has
//! its answers nearly as soon as if nothing else were done, and what it posted is worked on right after.
//!
//! That is for bursts. Workers have their part of the time all the same, most of it when the crowd does not end, and nearly all of it
//! when the requests wait for something else, such as a database that is locked.

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
        let mut turns = self.turns();
        // Once more, since the crowd may have been told gone meanwhile.
        if !self.is_crowded() {
            return None;
        }
        let (answered, waiting) = (self.answered.load(Relaxed), self.waiting.load(Relaxed));
        turns.look(Instant::now(), answered, waiting)
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
    round: Round,
    /// For how long workers may still stand: it runs out in a crowd that does not end, and comes back with time.
    credit: Duration,
    /// Up to when that is reckoned.
    reckoned: Option<Instant>,
    stand: Duration,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Workers work; a crowd may have them stand.
    Free,
    /// The front door goes first.
    Standing { since: Instant, until: Instant },
    /// Workers work, also in a crowd. `alone`: they do not hold it up.
    Working { until: Instant, alone: bool },
}

/// Up to when workers stand before it is their turn, which may be in several parts: a crowd comes and goes with each commit.
#[derive(Clone, Copy, Default)]
struct Round {
    stood: Duration,
    ended: Option<Instant>,
    /// What had been answered when it began, and how many waited.
    answered: usize,
    waited: usize,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            phase: Phase::Free,
            round: Round::default(),
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
            Phase::Standing { until, .. } if now < until => return Some(until),
            Phase::Standing { until, .. } if now < until + self.stand => {
                self.end_stand(now);
                self.begin_work(now, answered);
                return None;
            }
            // Nobody has looked for long: that was another crowd.
            Phase::Standing { .. } => self.end_stand(now),
            Phase::Working { until, .. } if now < until => return None,
            Phase::Working { .. } | Phase::Free => {}
        }
        let before = self.reckoned.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(before);
        self.credit = (self.credit + passed / limits::STAND_PART).min(CREDIT_MAX);
        let goes_on = |ended| now.saturating_duration_since(ended) < self.stand;
        if !self.round.ended.is_some_and(goes_on) {
            self.round = Round {
                answered,
                waited: waiting,
                ..Round::default()
            };
        }
        let left = self.stand.saturating_sub(self.round.stood);
        if left.is_zero() {
            self.begin_work(now, answered);
            return None;
        }
        if self.credit < left.min(CREDIT_MAX) {
            self.phase = Phase::Free;
            return None;
        }
        let until = now + left;
        self.phase = Phase::Standing { since: now, until };
        Some(until)
    }

    fn begin_work(&mut self, now: Instant, answered: usize) {
        let round = std::mem::take(&mut self.round);
        // Hardly an answer to all those requests: they wait for something else.
        let answers = answered.wrapping_sub(round.answered);
        let alone = answers < (round.waited / limits::ANSWERED_PART).max(1);
        let works = if alone {
            limits::WORK_ALONE_MS
        } else {
            limits::WORK_MS
        };
        // From now on, not from the end of the stand: threads may come late.
        let until = now + Duration::from_millis(works);
        self.phase = Phase::Working { until, alone };
    }

    /// The crowd is gone.
    fn calm(&mut self, now: Instant) {
        match self.phase {
            Phase::Standing { .. } => self.end_stand(now),
            // The next one need not wait for what this one waited for.
            Phase::Working { alone: true, .. } => {}
            Phase::Working { alone: false, .. } | Phase::Free => return,
        }
        self.phase = Phase::Free;
    }

    fn end_stand(&mut self, now: Instant) {
        if let Phase::Standing { since, until } = self.phase {
            let stood = now.min(until).saturating_duration_since(since);
            self.credit = self.credit.saturating_sub(stood);
            self.round.stood += stood;
            self.round.ended = Some(now.min(until));
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
        let until = Instant::now() + NEVER;
        precedence.turns().phase = Phase::Standing {
            since: until,
            until,
        };
        let done = timeout(NEVER / 60, work).await;
        assert_eq!(done.expect("it has a turn"), 7);
    }

    /// Milliseconds of work in `time`, with a look in each millisecond and `answers` to five who wait.
    fn worked(turns: &mut Turns, time: Duration, answers: usize) -> Duration {
        let begun = turns.reckoned.unwrap_or_else(Instant::now) + NEVER;
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
                turns.look(now, 4_000 + ms as usize, 5).is_some()
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
    fn a_crowd_that_comes_and_goes_leaves_time_for_work_too() {
        let (mut turns, begun) = (Turns::default(), Instant::now());
        let (mut stood, mut worked) = (0, 0);
        for ms in 0..1_000 {
            let now = begun + MOMENT * ms;
            // A commit every two milliseconds answers all, who come again at once.
            if ms % 2 == 0 {
                turns.calm(now);
            }
            match turns.look(now, ms as usize * 5, 5) {
                Some(_) => stood += 1,
                None => worked += 1,
            }
        }
        let round = limits::STAND_MS + limits::WORK_MS;
        let expected = 1_000 * limits::WORK_MS / round;
        assert!(worked >= expected, "{worked} of {stood}");
    }

    #[test]
    fn a_new_burst_is_not_judged_by_the_one_before() {
        let begun = Instant::now();
        for told in [true, false] {
            let mut turns = Turns::default();
            assert!(turns.look(begun, 0, 200).is_some());
            let late = begun + turns.stand;
            if told {
                assert!(turns.look(late, 10, 200).is_none(), "they did not get on");
                turns.calm(late + MOMENT);
            }
            let next = late + turns.stand * 2;
            assert!(turns.look(next, 200, 50).is_some(), "told: {told}");
        }
    }
}
