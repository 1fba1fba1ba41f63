//! The replicas of one configuration, and the choice among them.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::oneshot;
use trawl_core::limits::balance as limits;

use crate::{
    clock::{Clock, millis},
    config::{BalanceConfig, ReplicaConfig},
    gate::GateRules,
    health::{HealthRules, Trial},
    replica::{Backend, Lease, Queued, Replica},
    strategy::{Candidate, Draw, RAMP_FULL, Strategy, strategy},
};

/// One replica with what the present configuration says of it.
pub(crate) struct Slot {
    pub(crate) config: ReplicaConfig,
    pub(crate) rules: HealthRules,
    pub(crate) replica: Arc<Replica>,
}

/// The replicas of one configuration.
pub(crate) struct Fleet {
    pub(crate) config: BalanceConfig,
    pub(crate) slots: Vec<Slot>,
    /// Slots that are not drained.
    active: usize,
    chooser: Mutex<Chooser>,
    clock: Clock,
}

struct Chooser {
    strategy: Box<dyn Strategy>,
    random: SmallRng,
    /// Kept between picks, so that a pick allocates nothing.
    candidates: Vec<Candidate>,
    probed_ms: u64,
}

/// The set of replicas that a request has tried, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried(u64);

const _: () = assert!(limits::REPLICAS_MAX <= u64::BITS as usize);

impl Tried {
    pub(crate) fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The outcome of a choice.
pub(crate) enum Choice {
    /// This one, at once.
    Go(usize, Lease),
    /// This one, when a place is free.
    Wait(usize, Queued),
    /// All that are left are out; the first may be back in so many milliseconds.
    Out { retry_after_ms: u64 },
    /// All that are left are full.
    Full,
    /// This request has tried all that could be tried.
    Exhausted,
}

/// Who may be chosen in one round of the choice.
#[derive(Clone, Copy)]
struct Round {
    backup: bool,
    waiting: bool,
}

/// Own replicas first, even if the request has to wait; then the backups.
const ROUNDS: [Round; 4] = [
    Round {
        backup: false,
        waiting: false,
    },
    Round {
        backup: false,
        waiting: true,
    },
    Round {
        backup: true,
        waiting: false,
    },
    Round {
        backup: true,
        waiting: true,
    },
];

impl Fleet {
    /// The `replicas` of `config`, one for each that it names. From here on they go by its limits.
    pub(crate) fn new(config: BalanceConfig, replicas: Vec<Arc<Replica>>, clock: Clock) -> Self {
        let active = config.replicas.iter().filter(|replica| !replica.drain);
        let active = active.count();
        let slots: Vec<Slot> = config
            .replicas
            .iter()
            .zip(replicas)
            .map(|(replica_config, replica)| Slot {
                rules: health_rules(&config, replica_config, active == 1),
                config: replica_config.clone(),
                replica,
            })
            .collect();
        for slot in &slots {
            slot.replica
                .regulate(gate_rules(&config, &slot.config), clock.now_ms());
        }
        let chooser = Chooser {
            strategy: strategy(config.strategy),
            random: SmallRng::from_os_rng(),
            candidates: Vec::new(),
            probed_ms: 0,
        };
        Self {
            active,
            slots,
            config,
            chooser: Mutex::new(chooser),
            clock,
        }
    }

    /// Chooses for a request that has tried `tried` already; `key` is what `hash` goes by. One that may not wait is never queued.
    pub(crate) fn choose(&self, tried: Tried, key: u64, may_wait: bool) -> Choice {
        let now_ms = self.clock.now_ms();
        let mut chooser = self.chooser.lock().unwrap_or_else(PoisonError::into_inner);
        let random = chooser.random.random();
        let has_backups = self.slots.iter().any(|slot| slot.config.backup);
        let is_open =
            |round: &&Round| (has_backups || !round.backup) && (may_wait || !round.waiting);
        for round in ROUNDS.iter().filter(is_open) {
            let mut candidates = std::mem::take(&mut chooser.candidates);
            candidates.clear();
            candidates.extend(
                (0..self.slots.len()).map(|index| self.candidate(index, tried, *round, now_ms)),
            );
            let picked = chooser.strategy.pick(&candidates, Draw { random, key });
            chooser.candidates = candidates;
            if let Some(index) = picked {
                return self.take(index, round.waiting, now_ms);
            }
        }
        self.refuse(&mut chooser, tried, now_ms)
    }

    /// Is it the address of a proxy whose word is taken?
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.config
            .trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    /// A replica failed: strategies may lower its share.
    pub(crate) fn failed(&self, index: usize) {
        let config = &self.slots[index].config;
        let mut chooser = self.chooser.lock().unwrap_or_else(PoisonError::into_inner);
        chooser
            .strategy
            .failed(index, config.weight, config.max_fails);
    }

    /// Replicas that may be chosen now.
    pub(crate) fn usable(&self) -> usize {
        let now_ms = self.clock.now_ms();
        let usable = |slot: &&Slot| {
            !slot.config.drain
                && self
                    .ramp(slot, &slot.replica.state().health, now_ms)
                    .is_some()
        };
        self.slots.iter().filter(usable).count()
    }

    /// Is there a replica that a request has not tried and that may be chosen now; if it may wait, also one to wait for?
    pub(crate) fn has_other(&self, tried: Tried, may_wait: bool) -> bool {
        let now_ms = self.clock.now_ms();
        self.slots.iter().enumerate().any(|(index, slot)| {
            if tried.has(index) || slot.config.drain {
                return false;
            }
            let state = slot.replica.state();
            self.ramp(slot, &state.health, now_ms).is_some()
                && (state.gate.is_free() || may_wait && state.gate.has_room())
        })
    }

    /// The same, of those that share nothing with a local one: local replicas have the process and its database in common.
    pub(crate) fn has_other_remote(&self, tried: Tried) -> bool {
        let locals = self.slots.iter().enumerate();
        let locals = locals.filter(|(_, slot)| matches!(slot.replica.backend, Backend::Local(_)));
        self.has_other(
            locals.fold(tried, |tried, (index, _)| tried.with(index)),
            true,
        )
    }

    /// A request has just tried all that it could: should they all be out, the next probe is due a second from now.
    pub(crate) fn asked_all(&self) {
        let mut chooser = self.chooser.lock().unwrap_or_else(PoisonError::into_inner);
        chooser.probed_ms = self.clock.now_ms();
    }

    fn candidate(&self, index: usize, tried: Tried, round: Round, now_ms: u64) -> Candidate {
        let slot = &self.slots[index];
        let state = slot.replica.state();
        let ramp = self.ramp(slot, &state.health, now_ms);
        let has_place = if round.waiting {
            state.gate.has_room()
        } else {
            state.gate.is_free()
        };
        Candidate {
            usable: has_place
                && ramp.is_some()
                && slot.config.backup == round.backup
                && !slot.config.drain
                && !tried.has(index),
            weight: slot.config.weight,
            ramp: ramp.unwrap_or(RAMP_FULL),
            in_flight: u32::try_from(state.gate.running() + state.gate.waiting())
                .unwrap_or(u32::MAX),
            latency_us: state.peak.us(now_ms),
            seed: slot.replica.seed,
        }
    }

    /// Is there only one that may get requests? Drained ones do not count.
    pub(crate) const fn has_single(&self) -> bool {
        self.active == 1
    }

    /// A single replica is never out: there is nothing better to do than to ask it.
    pub(crate) fn ramp(
        &self,
        slot: &Slot,
        health: &crate::health::Health,
        now_ms: u64,
    ) -> Option<u32> {
        if self.has_single() && !slot.config.drain {
            Some(RAMP_FULL)
        } else {
            health.ramp(now_ms, &slot.rules)
        }
    }

    fn take(&self, index: usize, waiting: bool, now_ms: u64) -> Choice {
        let slot = &self.slots[index];
        let mut state = slot.replica.state();
        let trial = state.health.chosen();
        // Looked at once more under this lock: the last one that ran may have left since, and found nobody who waits. Nobody
        // would ever call one that waits in front of an empty replica.
        if waiting && !state.gate.is_free() {
            let (sender, word) = oneshot::channel();
            state.gate.wait(now_ms, sender);
            drop(state);
            Choice::Wait(
                index,
                Queued::new(
                    Arc::clone(&slot.replica),
                    slot.rules,
                    self.clock,
                    trial,
                    word,
                ),
            )
        } else {
            state.gate.enter();
            drop(state);
            Choice::Go(index, self.lease(slot, trial))
        }
    }

    fn lease(&self, slot: &Slot, trial: Option<Trial>) -> Lease {
        Lease::new(Arc::clone(&slot.replica), slot.rules, self.clock, trial)
    }

    /// Nobody can take it. With all replicas out, one request a second is let through as a probe.
    fn refuse(&self, chooser: &mut Chooser, tried: Tried, now_ms: u64) -> Choice {
        let mut first_due: Option<(u64, usize)> = None;
        for (index, slot) in self.slots.iter().enumerate() {
            if slot.config.drain || tried.has(index) {
                continue;
            }
            let state = slot.replica.state();
            if self.ramp(slot, &state.health, now_ms).is_some() {
                return Choice::Full;
            }
            let due_ms = state
                .health
                .due_ms()
                .unwrap_or(now_ms + limits::CHECK_INTERVAL_MS);
            if first_due.is_none_or(|(earliest, _)| due_ms < earliest) {
                first_due = Some((due_ms, index));
            }
        }
        if !tried.is_empty() {
            // This request has just asked them: the next probe is due a second from now.
            chooser.probed_ms = now_ms;
            return Choice::Exhausted;
        }
        let Some((due_ms, index)) = first_due else {
            return Choice::Out {
                retry_after_ms: limits::PROBE_ALL_BENCHED_MS,
            };
        };
        if now_ms.saturating_sub(chooser.probed_ms) < limits::PROBE_ALL_BENCHED_MS {
            return Choice::Out {
                retry_after_ms: due_ms.saturating_sub(now_ms),
            };
        }
        chooser.probed_ms = now_ms;
        let slot = &self.slots[index];
        let mut state = slot.replica.state();
        let trial = state.health.probe();
        state.gate.enter();
        drop(state);
        Choice::Go(index, self.lease(slot, trial))
    }
}

/// A replica that is the only one is asked whatever it did, so it is not benched either.
fn health_rules(config: &BalanceConfig, replica: &ReplicaConfig, is_single: bool) -> HealthRules {
    HealthRules {
        max_fails: if is_single { 0 } else { replica.max_fails },
        fail_timeout_ms: millis(replica.fail_timeout),
        slow_start_ms: millis(replica.slow_start),
        check_fails: config.check.fails,
    }
}

/// Who may run in this replica, and wait for it.
pub(crate) fn gate_rules(config: &BalanceConfig, replica: &ReplicaConfig) -> GateRules {
    GateRules {
        running_max: replica.concurrency_max,
        waiting_max: replica.queue_max,
        target_ms: millis(config.queue_target),
        interval_ms: millis(config.queue_interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::StrategyKind,
        remote::Remote,
        replica::{Backend, Waited},
    };

    /// Chooses the only replica there is, and ends the request that runs in it between two rounds of the choice.
    struct LeavesBetweenRounds(Arc<Mutex<Option<Lease>>>);

    impl Strategy for LeavesBetweenRounds {
        fn pick(&mut self, candidates: &[Candidate], _: Draw) -> Option<usize> {
            self.0.lock().unwrap().take();
            candidates.iter().position(|candidate| candidate.usable)
        }
    }

    fn one_place() -> Fleet {
        let origin: crate::config::Origin = "http://127.0.0.1:1".to_owned().try_into().unwrap();
        let mut replica = ReplicaConfig::new("a", Some(origin.clone()));
        replica.concurrency_max = 1;
        let backend = Backend::Remote(Arc::new(Remote::new(origin)));
        let config = BalanceConfig::new(StrategyKind::RoundRobin, vec![replica]);
        let gate = gate_rules(&config, &config.replicas[0]);
        let replicas = vec![Arc::new(Replica::new("a".to_owned(), backend, gate))];
        Fleet::new(config, replicas, Clock::new())
    }

    #[test]
    fn nobody_waits_for_a_replica_that_became_free_during_the_choice() {
        let fleet = one_place();
        let Choice::Go(0, first) = fleet.choose(Tried::default(), 0, true) else {
            panic!("an idle replica was not chosen");
        };
        let running = Arc::new(Mutex::new(Some(first)));
        fleet.chooser.lock().unwrap().strategy =
            Box::new(LeavesBetweenRounds(Arc::clone(&running)));
        let second = fleet.choose(Tried::default(), 0, true);
        assert!(matches!(second, Choice::Go(0, _)), "it waits for nobody");
        let state = fleet.slots[0].replica.state();
        assert_eq!((state.gate.running(), state.gate.waiting()), (1, 0));
    }

    #[test]
    fn one_that_waits_gets_the_place_of_the_one_that_leaves() {
        let fleet = one_place();
        let Choice::Go(0, first) = fleet.choose(Tried::default(), 0, true) else {
            panic!("an idle replica was not chosen");
        };
        let at_once = fleet.choose(Tried::default(), 0, false);
        assert!(matches!(at_once, Choice::Full), "it may not wait");
        let Choice::Wait(0, queued) = fleet.choose(Tried::default(), 0, true) else {
            panic!("a busy replica was given to two");
        };
        drop(first);
        let waited = futures::executor::block_on(queued.admitted());
        assert!(matches!(waited, Waited::Admitted(_)));
    }
}
