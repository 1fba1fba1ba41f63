//! Admission to one replica: so many run, so many wait, and a standing queue is shed. Pure; a waiter is whatever the
//! caller wants to be told with.

use std::collections::VecDeque;

/// The limits of one gate. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GateRules {
    /// Requests that run at once.
    pub running_max: usize,
    /// Requests that wait.
    pub waiting_max: usize,
    /// A wait above this is too long, if it stands.
    pub target_ms: u64,
    /// How long it must stand.
    pub interval_ms: u64,
}

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate<W> {
    rules: GateRules,
    running: usize,
    waiting: VecDeque<(u64, W)>,
    codel: Codel,
}

/// What became of the head of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<W> {
    /// It may run; the place is taken for it.
    Go(W),
    /// It has waited too long in a standing queue.
    Shed(W),
}

impl<W> Gate<W> {
    /// A gate that nobody has come to.
    pub(crate) fn new(rules: GateRules) -> Self {
        Self {
            rules,
            running: 0,
            waiting: VecDeque::new(),
            codel: Codel::default(),
        }
    }

    /// Other limits from here on, also for those that run and wait. There may be turns after that.
    pub(crate) fn set_rules(&mut self, rules: GateRules) {
        self.rules = rules;
    }

    /// Requests that run.
    #[must_use]
    pub(crate) const fn running(&self) -> usize {
        self.running
    }

    /// Requests that wait.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Is there a place at once?
    #[must_use]
    pub(crate) fn is_free(&self) -> bool {
        self.running < self.rules.running_max && self.waiting.is_empty()
    }

    /// Is there room to wait?
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < self.rules.waiting_max
    }

    /// Takes a place. Only after `is_free`, or for a probe, which may exceed the limit by one.
    pub(crate) fn enter(&mut self) {
        self.running += 1;
    }

    /// Queues up. Only after `has_room`.
    pub(crate) fn wait(&mut self, now_ms: u64, waiter: W) {
        self.waiting.push_back((now_ms, waiter));
    }

    /// Those that wait no more leave the queue.
    pub(crate) fn forget(&mut self, has_left: impl Fn(&W) -> bool) {
        self.waiting.retain(|(_, waiter)| !has_left(waiter));
    }

    /// Empties the queue; gives those that waited, in their order.
    pub(crate) fn turn_away(&mut self) -> impl Iterator<Item = W> {
        self.codel.ends();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|(_, waiter)| waiter)
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// The next decision about a waiter; `None` when nobody waits or no place is free. Call until `None`.
    pub(crate) fn next_turn(&mut self, now_ms: u64) -> Option<Turn<W>> {
        if self.running >= self.rules.running_max {
            return None;
        }
        let (since_ms, waiter) = self.waiting.pop_front()?;
        let waited_ms = now_ms.saturating_sub(since_ms);
        if self
            .codel
            .sheds(now_ms, waited_ms, !self.waiting.is_empty(), &self.rules)
        {
            return Some(Turn::Shed(waiter));
        }
        self.running += 1;
        Some(Turn::Go(waiter))
    }
}

/// `CoDel` (RFC 8289): a burst may queue, a queue that stands may not. When the wait has been above the target for a
/// whole interval, one request is shed, and then more and more often, until the wait falls under the target.
#[derive(Clone, Copy, Debug, Default)]
struct Codel {
    /// When the wait will have stood for an interval.
    first_above_ms: Option<u64>,
    shedding: bool,
    next_shed_ms: u64,
    shed_count: u32,
}

impl Codel {
    fn sheds(&mut self, now_ms: u64, waited_ms: u64, others_wait: bool, rules: &GateRules) -> bool {
        if waited_ms < rules.target_ms || !others_wait {
            self.ends();
            return false;
        }
        let stands_ms = *self
            .first_above_ms
            .get_or_insert(now_ms + rules.interval_ms);
        if now_ms < stands_ms {
            return false;
        }
        if !self.shedding {
            self.shedding = true;
            // Shed again soon after the last time: start near the rate that was needed then (RFC 8289, 5.4).
            let recent = now_ms.saturating_sub(self.next_shed_ms) < 16 * rules.interval_ms;
            self.shed_count = if recent && self.shed_count > 2 {
                self.shed_count - 2
            } else {
                1
            };
            self.next_shed_ms = now_ms + self.gap_ms(rules);
            return true;
        }
        if now_ms < self.next_shed_ms {
            return false;
        }
        self.shed_count = self.shed_count.saturating_add(1);
        self.next_shed_ms += self.gap_ms(rules);
        true
    }

    /// The queue stands no more.
    fn ends(&mut self) {
        self.first_above_ms = None;
        self.shedding = false;
    }

    /// The interval over the square root of the count: the control law of RFC 8289.
    fn gap_ms(&self, rules: &GateRules) -> u64 {
        rules.interval_ms / u64::from(self.shed_count.isqrt().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: GateRules = GateRules {
        running_max: 1,
        waiting_max: 1_000,
        target_ms: 50,
        interval_ms: 100,
    };

    /// One request arrives each `arrival_ms` and takes `service_ms`; how many of `count` are shed, and the longest wait of
    /// those that ran in the second half.
    fn run(arrival_ms: u64, service_ms: u64, count: u64) -> (u64, u64) {
        let mut gate: Gate<u64> = Gate::new(RULES);
        let (mut shed, mut wait_ms_max, mut busy_until) = (0, 0, 0);
        for now in 0..count * arrival_ms {
            if gate.running() == 1 && now >= busy_until {
                gate.leave();
            }
            if now % arrival_ms == 0 {
                gate.wait(now, now);
            }
            while let Some(turn) = gate.next_turn(now) {
                match turn {
                    Turn::Go(since) => {
                        busy_until = now + service_ms;
                        if now > count * arrival_ms / 2 {
                            wait_ms_max = wait_ms_max.max(now - since);
                        }
                    }
                    Turn::Shed(_) => shed += 1,
                }
            }
        }
        (shed, wait_ms_max)
    }

    #[test]
    fn nothing_is_shed_while_the_replica_keeps_up() {
        assert_eq!(run(10, 9, 5_000), (0, 0));
    }

    #[test]
    fn a_standing_queue_is_shed_until_the_wait_is_bounded() {
        // A tenth more arrives than is served: without shedding the wait would grow to 5 s.
        let (shed, wait_ms_max) = run(10, 11, 5_000);
        assert!(shed > 100, "{shed}");
        assert!(wait_ms_max < 1_000, "{wait_ms_max}");
    }

    #[test]
    fn a_burst_is_queued_and_not_shed() {
        let mut gate: Gate<u64> = Gate::new(RULES);
        for waiter in 0..40 {
            gate.wait(0, waiter);
        }
        let mut served = 0;
        for now in (0..).step_by(3).take(40) {
            if gate.running() == 1 {
                gate.leave();
            }
            assert!(matches!(gate.next_turn(now), Some(Turn::Go(_))), "at {now}");
            served += 1;
        }
        assert_eq!((served, gate.waiting()), (40, 0));
    }

    /// Each takes long, but the queue is empty whenever one goes: nobody's wait would become shorter.
    #[test]
    fn who_waits_alone_is_not_shed_however_long() {
        let mut gate: Gate<u64> = Gate::new(RULES);
        for now in (1_000..10_000).step_by(200) {
            gate.wait(now - 100, now);
            assert_eq!(gate.next_turn(now), Some(Turn::Go(now)));
            gate.leave();
        }
    }

    #[test]
    fn other_limits_hold_for_those_that_run_and_wait() {
        let limits = |running_max| GateRules {
            running_max,
            ..RULES
        };
        let mut gate: Gate<u64> = Gate::new(RULES);
        gate.enter();
        for waiter in 0..3 {
            gate.wait(0, waiter);
        }
        assert_eq!(gate.next_turn(0), None);
        gate.set_rules(limits(3));
        assert_eq!(gate.next_turn(0), Some(Turn::Go(0)));
        assert_eq!(gate.next_turn(0), Some(Turn::Go(1)));
        assert_eq!(gate.next_turn(0), None);
        gate.set_rules(limits(2));
        gate.leave();
        assert_eq!(gate.next_turn(0), None, "two run still");
        gate.leave();
        assert_eq!(gate.next_turn(0), Some(Turn::Go(2)));
    }

    #[test]
    fn who_is_turned_away_leaves_in_order_and_no_trace_of_the_queue() {
        let mut gate: Gate<u64> = Gate::new(RULES);
        for waiter in 0..4 {
            gate.wait(0, waiter);
        }
        // The queue has stood for a while when it is emptied.
        assert_eq!(gate.next_turn(60), Some(Turn::Go(0)));
        assert_eq!(gate.turn_away().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((gate.running(), gate.waiting()), (1, 0));
        gate.leave();
        for waiter in 4..6 {
            gate.wait(200, waiter);
        }
        assert_eq!(
            gate.next_turn(260),
            Some(Turn::Go(4)),
            "a new queue has an interval of its own"
        );
    }

    #[test]
    fn a_place_is_given_only_when_one_is_free() {
        let mut gate: Gate<u64> = Gate::new(RULES);
        assert!(gate.is_free());
        gate.enter();
        assert!(!gate.is_free());
        gate.wait(0, 7);
        assert_eq!(gate.next_turn(1), None);
        gate.leave();
        assert!(
            !gate.is_free(),
            "a newcomer does not overtake the one that waits"
        );
        assert_eq!(gate.next_turn(1), Some(Turn::Go(7)));
        assert_eq!(gate.running(), 1);
    }
}
