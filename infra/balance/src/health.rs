//! Passive health of one replica, as a state machine without a clock.
//!
//! Like nginx: `max_fails` failures within `fail_timeout` bench a replica for `fail_timeout`; then one trial request
//! decides. Unlike nginx, where the first success of a second clears the count, failures are kept with their times, so
//! a replica that fails every other request is benched too; and a replica that comes back gets its share by slow start.

use std::collections::VecDeque;

use crate::strategy::RAMP_FULL;

/// The rules of one replica. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HealthRules {
    /// Failures that bench; 0 for never.
    pub max_fails: u32,
    /// Window of the count, and length of the bench.
    pub fail_timeout_ms: u64,
    /// Length of the ramp after a bench.
    pub slow_start_ms: u64,
    /// Failed checks in a row that take it out.
    pub check_fails: u32,
}

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes requests; its ramp began at `since_ms` if it came back from a bench.
    Up {
        /// When the ramp began.
        warming_since_ms: Option<u64>,
    },
    /// It gets nothing until then.
    Benched {
        /// When the trial is due.
        until_ms: u64,
    },
    /// One request is on its way to find out.
    Trial(Trial),
    /// The active check says no. Only a good check brings it back.
    Down,
}

/// Which of a replica's trials a request is. Requests that were under way before it, and trials that ended otherwise meanwhile, say
/// nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trial(u64);

/// Health of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    standing: Standing,
    last_trial: Trial,
    failures_ms: VecDeque<u64>,
    checks_failed: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            standing: Standing::Up {
                warming_since_ms: None,
            },
            last_trial: Trial::default(),
            failures_ms: VecDeque::new(),
            checks_failed: 0,
        }
    }
}

impl Health {
    /// Where it stands.
    #[must_use]
    pub(crate) const fn standing(&self) -> Standing {
        self.standing
    }

    /// How much of its weight it has at `now_ms`, of `RAMP_FULL`; `None` when it may not be chosen.
    #[must_use]
    pub(crate) fn ramp(&self, now_ms: u64, rules: &HealthRules) -> Option<u32> {
        match self.standing {
            Standing::Up {
                warming_since_ms: None,
            } => Some(RAMP_FULL),
            Standing::Up {
                warming_since_ms: Some(since),
            } => Some(ramp_at(now_ms.saturating_sub(since), rules.slow_start_ms)),
            // Due for its trial: one request at full weight, as nginx gives it.
            Standing::Benched { until_ms } if now_ms > until_ms => Some(RAMP_FULL),
            Standing::Benched { .. } | Standing::Trial(_) | Standing::Down => None,
        }
    }

    /// It was chosen. A benched one is on trial from here on, and the request that chose it is the trial.
    #[must_use]
    pub(crate) fn chosen(&mut self) -> Option<Trial> {
        matches!(self.standing, Standing::Benched { .. }).then(|| self.begin_trial())
    }

    fn begin_trial(&mut self) -> Trial {
        self.last_trial = Trial(self.last_trial.0 + 1);
        self.standing = Standing::Trial(self.last_trial);
        self.last_trial
    }

    /// It answered a request, which was that trial or none. True when this brought it back.
    pub(crate) fn succeeded(
        &mut self,
        trial: Option<Trial>,
        now_ms: u64,
        rules: &HealthRules,
    ) -> bool {
        match self.standing {
            Standing::Trial(current) if trial == Some(current) => {
                self.come_back(now_ms, rules);
                return true;
            }
            Standing::Up {
                warming_since_ms: Some(since),
            } if now_ms.saturating_sub(since) >= rules.slow_start_ms => {
                self.standing = Standing::Up {
                    warming_since_ms: None,
                };
            }
            // An answer that was under way when the bench began says nothing about now.
            Standing::Up { .. }
            | Standing::Benched { .. }
            | Standing::Trial(_)
            | Standing::Down => {}
        }
        false
    }

    /// It failed a request, which was that trial or none. True when this benched it.
    pub(crate) fn failed(
        &mut self,
        trial: Option<Trial>,
        now_ms: u64,
        rules: &HealthRules,
    ) -> bool {
        match self.standing {
            Standing::Trial(current) if trial == Some(current) => self.failed_trial(now_ms, rules),
            Standing::Up { .. } if rules.max_fails == 0 => false,
            Standing::Up { .. } => {
                let oldest_ms = now_ms.saturating_sub(rules.fail_timeout_ms);
                while self.failures_ms.front().is_some_and(|at| *at < oldest_ms) {
                    self.failures_ms.pop_front();
                }
                self.failures_ms.push_back(now_ms);
                if self.failures_ms.len() < rules.max_fails as usize {
                    return false;
                }
                self.bench(now_ms, rules)
            }
            Standing::Benched { .. } | Standing::Trial(_) | Standing::Down => false,
        }
    }

    fn failed_trial(&mut self, now_ms: u64, rules: &HealthRules) -> bool {
        // What checks took out, and a probe found no better, comes back by a good check.
        if self.checks_failed >= rules.check_fails {
            self.standing = Standing::Down;
            return false;
        }
        // Here failures take nobody out, so a trial that failed must not keep it out either.
        if rules.max_fails == 0 {
            self.come_back(now_ms, rules);
            return false;
        }
        self.bench(now_ms, rules)
    }

    /// The client left before there was an answer: nothing was learned, and if this was the trial, it is due again.
    pub(crate) fn abandoned(&mut self, trial: Option<Trial>, now_ms: u64) {
        if let Some(trial) = trial
            && self.standing == Standing::Trial(trial)
        {
            self.standing = Standing::Benched {
                until_ms: now_ms.saturating_sub(1),
            };
        }
    }

    /// An active check ended. True when this changed where it stands.
    pub(crate) fn checked(&mut self, good: bool, now_ms: u64, rules: &HealthRules) -> bool {
        if good {
            self.checks_failed = 0;
            let was_down = self.standing == Standing::Down;
            if was_down {
                self.come_back(now_ms, rules);
            }
            return was_down;
        }
        self.checks_failed = self.checks_failed.saturating_add(1);
        let goes_down = self.checks_failed >= rules.check_fails && self.standing != Standing::Down;
        if goes_down {
            self.standing = Standing::Down;
        }
        goes_down
    }

    /// When it may be chosen again, as far as is known.
    #[must_use]
    pub(crate) const fn due_ms(&self) -> Option<u64> {
        match self.standing {
            Standing::Benched { until_ms } => Some(until_ms),
            _ => None,
        }
    }

    /// A probe while every replica is out: whatever its answer, it counts as a trial.
    #[must_use]
    pub(crate) fn probe(&mut self) -> Option<Trial> {
        (!matches!(self.standing, Standing::Up { .. })).then(|| self.begin_trial())
    }

    fn bench(&mut self, now_ms: u64, rules: &HealthRules) -> bool {
        self.failures_ms.clear();
        self.standing = Standing::Benched {
            until_ms: now_ms + rules.fail_timeout_ms,
        };
        true
    }

    fn come_back(&mut self, now_ms: u64, rules: &HealthRules) {
        self.failures_ms.clear();
        self.checks_failed = 0;
        self.standing = Standing::Up {
            warming_since_ms: (rules.slow_start_ms > 0).then_some(now_ms),
        };
    }
}

/// Linear, and never nothing: a replica that gets no request can't warm up.
fn ramp_at(age_ms: u64, slow_start_ms: u64) -> u32 {
    if age_ms >= slow_start_ms {
        return RAMP_FULL;
    }
    let ramp = age_ms * u64::from(RAMP_FULL) / slow_start_ms;
    u32::try_from(ramp)
        .unwrap_or(RAMP_FULL)
        .max(RAMP_FULL / 100)
}

const _: () = assert!(RAMP_FULL >= 100, "a hundredth of the ramp is something");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: HealthRules = HealthRules {
        max_fails: 2,
        fail_timeout_ms: 10_000,
        slow_start_ms: 1_000,
        check_fails: 2,
    };

    #[test]
    fn benched_after_max_fails_then_one_trial_then_slow_start() {
        let mut health = Health::default();
        assert!(!health.failed(None, 0, &RULES));
        assert_eq!(health.ramp(0, &RULES), Some(RAMP_FULL));
        assert!(health.failed(None, 1, &RULES));
        assert_eq!(health.ramp(10_001, &RULES), None);
        assert_eq!(health.ramp(10_002, &RULES), Some(RAMP_FULL));
        let trial = health.chosen();
        assert_eq!(health.ramp(10_002, &RULES), None, "one trial, not two");
        assert!(
            health.succeeded(trial, 10_003, &RULES),
            "the trial brought it back"
        );
        assert_eq!(health.ramp(10_003, &RULES), Some(RAMP_FULL / 100));
        assert_eq!(health.ramp(10_503, &RULES), Some(RAMP_FULL / 2));
        assert_eq!(health.ramp(11_003, &RULES), Some(RAMP_FULL));
    }

    #[test]
    fn a_failed_trial_benches_again_at_once() {
        let mut health = Health::default();
        health.failed(None, 0, &RULES);
        health.failed(None, 0, &RULES);
        let trial = health.chosen();
        assert!(health.failed(trial, 20_000, &RULES));
        assert_eq!(health.ramp(30_000, &RULES), None);
        assert_eq!(health.ramp(30_001, &RULES), Some(RAMP_FULL));
    }

    #[test]
    fn successes_in_between_do_not_clear_the_count() {
        // nginx forgets the failures here: its counter is reset by the first success of a second.
        let mut health = Health::default();
        health.failed(None, 0, &RULES);
        for now in 1_000..1_050 {
            health.succeeded(None, now, &RULES);
        }
        assert!(health.failed(None, 2_000, &RULES));
    }

    #[test]
    fn failures_outside_the_window_do_not_count() {
        let mut health = Health::default();
        assert!(!health.failed(None, 0, &RULES));
        assert!(!health.failed(None, 10_001, &RULES));
        assert!(health.failed(None, 10_002, &RULES));
    }

    #[test]
    fn with_max_fails_0_it_is_never_benched() {
        let rules = HealthRules {
            max_fails: 0,
            ..RULES
        };
        let mut health = Health::default();
        for now in 0..100 {
            assert!(!health.failed(None, now, &rules));
        }
        assert_eq!(health.ramp(100, &rules), Some(RAMP_FULL));
    }

    #[test]
    fn an_abandoned_trial_is_due_again() {
        let mut health = Health::default();
        health.failed(None, 0, &RULES);
        health.failed(None, 0, &RULES);
        let trial = health.chosen();
        health.abandoned(trial, 12_000);
        assert_eq!(health.ramp(12_000, &RULES), Some(RAMP_FULL));
    }

    #[test]
    fn only_the_trial_itself_ends_a_trial() {
        let mut health = Health::default();
        health.failed(None, 0, &RULES);
        health.failed(None, 0, &RULES);
        let first = health.chosen();
        // The first trial is still under way when checks take the replica out, and a probe begins another.
        health.checked(false, 11_000, &RULES);
        health.checked(false, 11_000, &RULES);
        let second = health.probe();
        assert!(first.is_some() && second.is_some() && first != second);
        for other in [None, first] {
            assert!(!health.succeeded(other, 12_000, &RULES));
            assert!(!health.failed(other, 12_000, &RULES));
            health.abandoned(other, 12_000);
            assert_eq!(health.ramp(12_000, &RULES), None, "still on trial");
        }
        assert!(health.succeeded(second, 12_000, &RULES));
    }

    #[test]
    fn checks_take_it_out_and_bring_it_back() {
        let mut health = Health::default();
        assert!(!health.checked(false, 0, &RULES));
        assert!(!health.checked(true, 1, &RULES));
        assert!(!health.checked(false, 2, &RULES));
        assert!(health.checked(false, 3, &RULES));
        assert_eq!(health.ramp(1_000_000, &RULES), None);
        health.succeeded(None, 4, &RULES);
        assert_eq!(
            health.standing(),
            Standing::Down,
            "an old answer does not bring it back"
        );
        assert!(health.checked(true, 5, &RULES));
        assert!(health.ramp(5, &RULES).is_some());
    }

    /// A reload while it is benched: the bench runs out, and its trial may fail.
    #[test]
    fn a_trial_that_fails_after_failures_ceased_to_count_brings_it_back() {
        let mut health = Health::default();
        health.failed(None, 0, &RULES);
        assert!(health.failed(None, 0, &RULES));
        let rules = HealthRules {
            max_fails: 0,
            ..RULES
        };
        let trial = health.chosen();
        assert!(!health.failed(trial, 10_001, &rules));
        assert!(health.ramp(10_001, &rules).is_some());
    }

    #[test]
    fn with_max_fails_0_a_failed_probe_leaves_it_to_the_checks() {
        let rules = HealthRules {
            max_fails: 0,
            ..RULES
        };
        let mut health = Health::default();
        health.checked(false, 0, &rules);
        assert!(health.checked(false, 0, &rules));
        let probe = health.probe();
        health.failed(probe, 1, &rules);
        assert_eq!(health.standing(), Standing::Down, "the checks still say no");
        assert!(health.checked(true, 2, &rules));
        assert!(health.ramp(2, &rules).is_some());
        // A check that was good while the probe was on its way has the last word too.
        health.checked(false, 3, &rules);
        health.checked(false, 3, &rules);
        let probe = health.probe();
        health.checked(true, 4, &rules);
        health.failed(probe, 5, &rules);
        assert!(health.ramp(5, &rules).is_some());
    }

    proptest! {
        #[test]
        fn whatever_happens_memory_is_bounded_and_it_can_come_back(
            // Each event under rules of its own, as after a reload.
            events in prop::collection::vec((0_u8..7, 0_u64..20_000, 0_u32..4), 0..200),
            max_fails in 0_u32..4,
            ends_well in any::<bool>(),
        ) {
            let mut health = Health::default();
            let mut now = 0;
            let mut trial = None;
            for (event, later, max_fails) in events {
                let rules = HealthRules { max_fails, ..RULES };
                now += later;
                match event {
                    0 => { health.failed(trial, now, &rules); }
                    1 => { health.succeeded(trial, now, &rules); }
                    2 => health.abandoned(trial, now),
                    3 => { health.checked(false, now, &rules); }
                    4 => { health.checked(true, now, &rules); }
                    5 => trial = health.probe().or(trial),
                    _ => if health.ramp(now, &rules).is_some() { trial = health.chosen().or(trial) },
                }
                prop_assert!(health.failures_ms.len() <= 3);
                prop_assert!(health.ramp(now, &rules).is_none_or(|ramp| (1..=RAMP_FULL).contains(&ramp)));
                prop_assert!(event > 2 || !matches!(health.standing(), Standing::Trial(_)), "its trial has ended");
            }
            // A good check and, if a trial is on its way, its end always bring it back; a bad end no later than a bench.
            let rules = HealthRules { max_fails, ..RULES };
            if ends_well {
                health.succeeded(trial, now, &rules);
            } else {
                health.failed(trial, now, &rules);
            }
            health.checked(true, now, &rules);
            prop_assert!(health.ramp(now + 10_001, &rules).is_some());
        }
    }
}
