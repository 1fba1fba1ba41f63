//! How a replica is chosen: one small trait, one file each. All are pure; time and random draws are arguments.

mod hash;
mod least_conn;
mod peak_ewma;
mod round_robin;
#[cfg(test)]
mod tests;
mod weighted;

pub(crate) use hash::key_of;

use crate::config::StrategyKind;

/// Full ramp: a replica that is not coming back from a bench. Weights are multiplied by it, so that a slow start can give
/// a replica of weight 1 less than one share without fractions.
pub(crate) const RAMP_FULL: u32 = 1_000;

/// One replica as a strategy sees it at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// May it be chosen for this request?
    pub usable: bool,
    /// Its configured weight, at least 1.
    pub weight: u32,
    /// How far its slow start has come, 1 to `RAMP_FULL`.
    pub ramp: u32,
    /// Requests that run in it or wait for it.
    pub in_flight: u32,
    /// Observed latency (peak EWMA) in microseconds; 0 before the first answer.
    pub latency_us: f64,
    /// Fixed for its id, the same in every process.
    pub seed: u64,
}

impl Candidate {
    /// The weight at this moment.
    fn share(&self) -> u64 {
        u64::from(self.weight) * u64::from(self.ramp)
    }
}

/// What may steer one choice besides the replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draw {
    /// A random number.
    pub random: u64,
    /// The digest of what `hash` goes by.
    pub key: u64,
}

/// A way to choose.
pub(crate) trait Strategy: Send {
    /// The index of the chosen one; `None` only when none is usable.
    fn pick(&mut self, candidates: &[Candidate], draw: Draw) -> Option<usize>;

    /// The replica at `index` failed; it has `weight` and is benched after `max_fails` failures.
    fn failed(&mut self, index: usize, weight: u32, max_fails: u32) {
        let _ = (index, weight, max_fails);
    }
}

/// Makes the strategy that `kind` names.
#[must_use]
pub(crate) fn strategy(kind: StrategyKind) -> Box<dyn Strategy> {
    match kind {
        StrategyKind::RoundRobin => Box::new(round_robin::RoundRobin::default()),
        StrategyKind::Weighted => Box::new(weighted::Weighted::default()),
        StrategyKind::LeastConn => Box::new(least_conn::LeastConn::default()),
        StrategyKind::PeakEwma => Box::new(peak_ewma::PeakEwma),
        StrategyKind::Hash => Box::new(hash::Hash),
    }
}
