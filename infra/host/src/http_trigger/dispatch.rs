//! Which instance of a component gets which request.
//!
//! Requests wait in one queue, and instances that compute take from it. As many compute as the machine has cores: a further one would
//! only wait for a core, and each that is at work has its memory to be fetched into the caches. So whoever comes is given to the
//! instance that worked last, also while that waits for the answers of earlier ones; and a further instance is begun when all that
//! there are have as many as they may, or compute for so long that others should not wait for it.
//!
//! Nothing here waits or calls; whoever asks is told whom to call, and does it once the lock is given back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use trawl_core::limits::host as limits;

use crate::streamed::Writing;

/// The place of one instance.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// What it still writes.
    pub(crate) writing: Arc<Writing>,
    /// Wakes its task.
    waker: AtomicWaker,
    /// It takes no more, and ends with what it has.
    is_leaving: AtomicBool,
}

impl Seat {
    /// Remembers how it is called.
    pub(crate) fn listen(&self, context: &std::task::Context<'_>) {
        self.waker.register(context.waker());
    }

    /// Has it look for a request.
    pub(crate) fn call(&self) {
        self.waker.wake();
    }

    /// From now on it takes no more.
    pub(crate) fn retire(&self) {
        self.is_leaving.store(true, Relaxed);
    }

    /// Whether it takes no more.
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    fn may_take(&self) -> bool {
        !self.is_leaving() && !self.writing.is_full()
    }
}

/// What is to be done now.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Next {
    /// This one, which has nothing to compute, is to be called.
    pub(crate) call: Option<Arc<Seat>>,
    /// An instance is to be begun for this place.
    pub(crate) begin: Option<Arc<Seat>>,
    /// Somebody is to look after the queue, see [`Dispatch::look`].
    pub(crate) watch: bool,
}

/// What looking after the queue came to.
#[derive(Debug)]
pub(crate) struct Look<R> {
    /// What is to be done now.
    pub(crate) next: Next,
    /// Those that have waited too long for an instance that could not be begun.
    pub(crate) given_up: Vec<R>,
    /// Nobody waits, and nobody need look until it is asked for again.
    pub(crate) is_over: bool,
}

/// The queue of one component in one replica, and the places of its instances.
#[derive(Debug)]
pub(crate) struct Dispatch<R> {
    /// So many compute at once.
    computing_max: usize,
    state: Mutex<State<R>>,
}

#[derive(Debug)]
struct State<R> {
    waiting: VecDeque<R>,
    /// Those that have nothing to compute and may take a request; who worked last stands last.
    idle: Vec<Arc<Seat>>,
    /// Those that were called, begun, or compute.
    active: Vec<Active>,
    is_watched: bool,
    /// The last that was to be begun since the queue was looked at could not be.
    lacks: bool,
}

#[derive(Debug)]
struct Active {
    seat: Arc<Seat>,
    phase: Phase,
    /// How often it made a pause in what it computes.
    pauses: u32,
    /// It computes for so long that it is not counted.
    is_slow: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// It was called or begun, and waits for a core.
    Called,
    /// It has one since then.
    Computing(Instant),
    /// It waits for one again.
    Paused,
}

impl<R> Dispatch<R> {
    /// Nobody waits, and there is no instance.
    pub(crate) fn new(computing_max: usize) -> Self {
        Self {
            computing_max,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                idle: Vec::new(),
                active: Vec::new(),
                is_watched: false,
                lacks: false,
            }),
        }
    }

    /// One more request.
    pub(crate) fn ask(&self, request: R) -> Next {
        let mut state = self.lock();
        state.waiting.push_back(request);
        state.next(self.computing_max)
    }

    /// An instance is about to compute, whoever woke it, or goes on with it after a pause.
    pub(crate) fn begin_turn(&self, seat: &Arc<Seat>, now: Instant) {
        self.lock().activate(seat).phase = Phase::Computing(now);
    }

    /// An instance makes a pause in what it computes.
    pub(crate) fn pause(&self, seat: &Arc<Seat>) -> Next {
        let mut state = self.lock();
        let active = state.activate(seat);
        active.phase = Phase::Paused;
        active.pauses += 1;
        if active.pauses < limits::PAUSES_LONG {
            return Next::default();
        }
        // Said here and not only by a look: while guests compute on all threads, timers stand still.
        active.is_slow = true;
        state.next(self.computing_max)
    }

    /// An instance can take a request.
    pub(crate) fn take(&self, seat: &Arc<Seat>, now: Instant) -> (Option<R>, Next) {
        let mut state = self.lock();
        let request = seat.may_take().then(|| state.waiting.pop_front()).flatten();
        if request.is_none() {
            return (None, Next::default());
        }
        let active = state.activate(seat);
        // What it computed before is done.
        active.phase = Phase::Computing(now);
        active.pauses = 0;
        active.is_slow = false;
        (request, state.next(self.computing_max))
    }

    /// An instance has nothing to compute, and has taken what it can: its turn is over. `None` when a request has come meanwhile.
    pub(crate) fn end_turn(&self, seat: &Arc<Seat>) -> Option<Next> {
        let mut state = self.lock();
        if seat.may_take() {
            if !state.waiting.is_empty() {
                return None;
            }
            state.deactivate(seat);
            state.idle.push(Arc::clone(seat));
            return Some(Next::default());
        }
        state.deactivate(seat);
        if !seat.is_leaving() {
            // It may be called once what it has written is read.
            state.idle.insert(0, Arc::clone(seat));
        }
        Some(state.next(self.computing_max))
    }

    /// An instance has as many as it may, or is gone: its turn is over, and it is not called.
    pub(crate) fn rest(&self, seat: &Arc<Seat>) -> Next {
        self.lock().rest(seat, self.computing_max)
    }

    /// The task of an instance was dropped before it ran, since the host ends: nobody is called for it.
    pub(crate) fn drop_unbegun(&self, seat: &Arc<Seat>) {
        self.lock().deactivate(seat);
    }

    /// An instance could not be begun since there are as many as there may be: those that wait do so for one that has room, or for a
    /// place, which is looked for with the next look.
    pub(crate) fn lack(&self) {
        let mut state = self.lock();
        state.lacks = !state.waiting.is_empty();
    }

    /// The request that waits longest, when an instance can't be begun for another reason.
    pub(crate) fn give_up(&self) -> Option<R> {
        self.lock().waiting.pop_front()
    }

    /// To be called time and again while somebody waits: who computes for long is not counted any more, and those that
    /// `waits_too_long` come back when no instance can be begun.
    pub(crate) fn look(&self, now: Instant, waits_too_long: impl Fn(&R) -> bool) -> Look<R> {
        let mut state = self.lock();
        let long = Duration::from_millis(limits::COMPUTES_LONG_MS);
        for active in &mut state.active {
            if let Phase::Computing(since) = active.phase {
                active.is_slow |= now.saturating_duration_since(since) >= long;
            }
        }
        let mut given_up = Vec::new();
        if std::mem::take(&mut state.lacks) {
            while state.waiting.front().is_some_and(&waits_too_long) {
                given_up.extend(state.waiting.pop_front());
            }
        }
        let next = state.next(self.computing_max);
        let is_over = state.waiting.is_empty();
        state.is_watched = !is_over;
        Look {
            next,
            given_up,
            is_over,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        // Nothing here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> State<R> {
    /// Whom those that wait need, if nobody is on its way to them and there is a core for one more.
    fn next(&mut self, computing_max: usize) -> Next {
        let mut next = Next::default();
        if self.waiting.is_empty() {
            return next;
        }
        next.watch = !std::mem::replace(&mut self.is_watched, true);
        let coming = self.active.iter();
        let coming = coming.filter(|one| matches!(one.phase, Phase::Called));
        let counted = self.active.iter().filter(|one| !one.is_slow);
        if coming.count() >= self.waiting.len() || counted.count() >= computing_max {
            return next;
        }
        if let Some(place) = self.idle.iter().rposition(|seat| seat.may_take()) {
            let seat = self.idle.remove(place);
            next.call = Some(Arc::clone(&seat));
            self.activate(&seat);
        } else if !self.lacks {
            let seat = Arc::<Seat>::default();
            next.begin = Some(Arc::clone(&seat));
            self.activate(&seat);
        }
        next
    }

    fn rest(&mut self, seat: &Arc<Seat>, computing_max: usize) -> Next {
        self.deactivate(seat);
        self.idle.retain(|idle| !Arc::ptr_eq(idle, seat));
        self.next(computing_max)
    }

    fn activate(&mut self, seat: &Arc<Seat>) -> &mut Active {
        let place = self
            .active
            .iter()
            .position(|active| Arc::ptr_eq(&active.seat, seat));
        let place = place.unwrap_or_else(|| {
            if let Some(place) = self.idle.iter().rposition(|idle| Arc::ptr_eq(idle, seat)) {
                self.idle.remove(place);
            }
            self.active.push(Active {
                seat: Arc::clone(seat),
                phase: Phase::Called,
                pauses: 0,
                is_slow: false,
            });
            self.active.len() - 1
        });
        &mut self.active[place]
    }

    fn deactivate(&mut self, seat: &Arc<Seat>) {
        self.active
            .retain(|active| !Arc::ptr_eq(&active.seat, seat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORES: usize = 2;

    fn dispatch() -> Dispatch<u32> {
        Dispatch::new(CORES)
    }

    /// A time so many milliseconds later.
    fn at(ms: u64) -> Instant {
        static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *BEGIN + Duration::from_millis(ms)
    }

    fn begins_turn(dispatch: &Dispatch<u32>, seat: &Arc<Seat>) {
        dispatch.begin_turn(seat, at(0));
    }

    fn takes(dispatch: &Dispatch<u32>, seat: &Arc<Seat>) -> Option<u32> {
        dispatch.take(seat, at(0)).0
    }

    /// All that it can take, one after the other.
    fn works(dispatch: &Dispatch<u32>, seat: &Arc<Seat>) {
        begins_turn(dispatch, seat);
        while takes(dispatch, seat).is_some() {}
        assert!(is_nobody(&dispatch.end_turn(seat).unwrap()));
    }

    /// An instance that was begun for this request and has nothing to compute any more.
    fn idle(dispatch: &Dispatch<u32>, request: u32) -> Arc<Seat> {
        let seat = dispatch.ask(request).begin.expect("an instance is begun");
        works(dispatch, &seat);
        seat
    }

    fn is_nobody(next: &Next) -> bool {
        next.call.is_none() && next.begin.is_none()
    }

    fn calls(next: &Next, seat: &Arc<Seat>) -> bool {
        next.begin.is_none() && next.call.as_ref().is_some_and(|one| Arc::ptr_eq(one, seat))
    }

    #[test]
    fn as_many_are_begun_as_there_are_cores_and_they_take_the_rest() {
        let dispatch = dispatch();
        let first = dispatch.ask(1).begin.unwrap();
        let second = dispatch.ask(2).begin.unwrap();
        assert!(is_nobody(&dispatch.ask(3)));
        begins_turn(&dispatch, &first);
        assert_eq!(takes(&dispatch, &first), Some(1));
        assert_eq!(
            takes(&dispatch, &first),
            Some(2),
            "whoever is quicker takes"
        );
        begins_turn(&dispatch, &second);
        assert_eq!(takes(&dispatch, &second), Some(3));
        assert_eq!(takes(&dispatch, &first), None);
        assert_eq!(takes(&dispatch, &second), None);
        assert!(dispatch.look(at(0), |_| true).is_over);
    }

    #[test]
    fn who_worked_last_is_called_first_also_while_it_waits_for_something_else() {
        let dispatch = dispatch();
        let first = dispatch.ask(1).begin.unwrap();
        let second = dispatch.ask(2).begin.unwrap();
        for seat in [&second, &first, &second] {
            works(&dispatch, seat);
        }
        assert!(calls(&dispatch.ask(3), &second));
        assert!(calls(&dispatch.ask(4), &first));
        assert!(is_nobody(&dispatch.ask(5)), "both are called");
    }

    #[test]
    fn who_computes_what_it_was_woken_for_counts_as_well() {
        let dispatch = dispatch();
        let seats = [1, 2].map(|request| dispatch.ask(request).begin.unwrap());
        for seat in &seats {
            works(&dispatch, seat);
        }
        for seat in &seats {
            begins_turn(&dispatch, seat);
        }
        assert!(is_nobody(&dispatch.ask(3)));
        assert_eq!(takes(&dispatch, &seats[0]), Some(3));
    }

    #[test]
    fn when_all_have_as_many_as_they_may_one_more_is_begun() {
        let dispatch = dispatch();
        let full = idle(&dispatch, 1);
        assert!(calls(&dispatch.ask(2), &full));
        begins_turn(&dispatch, &full);
        let other = dispatch.rest(&full).begin.expect("for the one that waits");
        begins_turn(&dispatch, &other);
        assert_eq!(takes(&dispatch, &other), Some(2));
    }

    /// One that was told to take no more; another one is begun instead of it, and called first.
    fn one_that_takes_no_more(dispatch: &Dispatch<u32>, tell: impl FnOnce(&Seat)) -> Arc<Seat> {
        let seat = idle(dispatch, 1);
        tell(&seat);
        let other = dispatch.ask(2).begin.expect("another one");
        begins_turn(dispatch, &seat);
        assert_eq!(takes(dispatch, &seat), None);
        assert!(is_nobody(&dispatch.end_turn(&seat).unwrap()));
        works(dispatch, &other);
        assert!(calls(&dispatch.ask(3), &other));
        seat
    }

    #[test]
    fn who_leaves_is_given_no_more() {
        let dispatch = dispatch();
        one_that_takes_no_more(&dispatch, Seat::retire);
        assert!(dispatch.ask(4).begin.is_some());
    }

    #[test]
    fn who_writes_much_is_given_no_more_until_that_is_read() {
        let dispatch = dispatch();
        let seat = one_that_takes_no_more(&dispatch, |seat| seat.writing.fill(true));
        seat.writing.fill(false);
        assert!(calls(&dispatch.ask(4), &seat));
    }

    #[test]
    fn a_turn_is_not_over_when_a_request_has_come() {
        let dispatch = dispatch();
        let seats = [1, 2].map(|request| dispatch.ask(request).begin.unwrap());
        begins_turn(&dispatch, &seats[0]);
        while takes(&dispatch, &seats[0]).is_some() {}
        assert!(is_nobody(&dispatch.ask(3)), "both are at it");
        assert!(dispatch.end_turn(&seats[0]).is_none());
        assert_eq!(takes(&dispatch, &seats[0]), Some(3));
    }

    /// One that computes, while a second one was begun and has had no core yet, which is no fault of its; two requests wait.
    fn one_that_computes(dispatch: &Dispatch<u32>) -> Arc<Seat> {
        let [seat, _] = [1, 2].map(|request| dispatch.ask(request).begin.unwrap());
        begins_turn(dispatch, &seat);
        assert_eq!(takes(dispatch, &seat), Some(1));
        assert!(is_nobody(&dispatch.ask(3)));
        seat
    }

    #[test]
    fn nobody_waits_for_one_that_computes_for_long() {
        const LONG: u64 = limits::COMPUTES_LONG_MS;
        let dispatch = dispatch();
        let seat = one_that_computes(&dispatch);
        let look = |ms| dispatch.look(at(ms), |_| true).next;
        assert!(is_nobody(&look(LONG - 1)));
        assert!(look(LONG).begin.is_some());
        assert!(is_nobody(&look(LONG + 1)), "the new one is still to come");
        // Once it is done it counts again.
        let (request, next) = dispatch.take(&seat, at(LONG + 1));
        assert!(request == Some(2) && is_nobody(&next));
        assert!(is_nobody(&dispatch.ask(4)));
        assert!(is_nobody(&look(2 * LONG)));
    }

    #[test]
    fn pauses_tell_that_one_computes_for_long_and_waiting_for_a_core_does_not() {
        const LONG: u64 = limits::COMPUTES_LONG_MS;
        let dispatch = dispatch();
        let seat = one_that_computes(&dispatch);
        for pause in 1..limits::PAUSES_LONG {
            assert!(is_nobody(&dispatch.pause(&seat)));
            let later = u64::from(pause) * 3 * LONG;
            assert!(is_nobody(&dispatch.look(at(later), |_| true).next));
            dispatch.begin_turn(&seat, at(later));
        }
        assert!(dispatch.pause(&seat).begin.is_some());
    }

    #[test]
    fn who_can_not_be_begun_is_tried_again_until_those_that_wait_have_waited_too_long() {
        let dispatch = dispatch();
        let next = dispatch.ask(1);
        assert!(next.watch);
        let seat = next.begin.unwrap();
        dispatch.lack();
        assert!(is_nobody(&dispatch.rest(&seat)), "not at once");
        assert!(is_nobody(&dispatch.ask(2)), "nor for another");
        let look = dispatch.look(at(0), |_| false);
        assert!(look.given_up.is_empty() && !look.is_over);
        let seat = look.next.begin.expect("there may be a place now");
        dispatch.lack();
        assert!(is_nobody(&dispatch.rest(&seat)));
        let look = dispatch.look(at(0), |request| *request == 1);
        assert_eq!(look.given_up, [1]);
        let seat = look.next.begin.expect("for the other one");
        begins_turn(&dispatch, &seat);
        assert_eq!(takes(&dispatch, &seat), Some(2));
    }

    #[test]
    fn the_queue_is_looked_after_while_somebody_waits_and_by_one() {
        let dispatch = dispatch();
        assert!(dispatch.ask(1).watch);
        assert!(!dispatch.ask(2).watch);
        assert!(!dispatch.look(at(0), |_| true).is_over);
        assert_eq!([dispatch.give_up(), dispatch.give_up()], [Some(1), Some(2)]);
        assert_eq!(dispatch.give_up(), None);
        assert!(dispatch.look(at(0), |_| true).is_over);
        assert!(dispatch.ask(3).watch);
    }

    #[test]
    fn who_is_gone_while_it_was_called_leaves_the_request_to_the_next() {
        let dispatch = dispatch();
        let seats = [1, 2].map(|request| dispatch.ask(request).begin.unwrap());
        seats.iter().for_each(|seat| works(&dispatch, seat));
        assert!(calls(&dispatch.ask(3), &seats[1]));
        // One that ends for another reason calls nobody for it.
        begins_turn(&dispatch, &seats[0]);
        assert!(is_nobody(&dispatch.rest(&seats[0])));
        assert!(dispatch.rest(&seats[1]).begin.is_some());
    }

    #[test]
    fn what_is_dropped_with_the_host_begins_nothing() {
        let dispatch = dispatch();
        let seat = dispatch.ask(1).begin.unwrap();
        dispatch.drop_unbegun(&seat);
        assert!(dispatch.look(at(0), |_| false).next.begin.is_some());
    }
}
