//! The better of two drawn at random, by observed latency times load, for their weight: "give more to who can take it".
//! Two choices come from Mitzenmacher, "The power of two choices in randomized load balancing" (1996); the latency is
//! Finagle's peak EWMA, which believes a slow answer at once and forgets it slowly.

use super::{Candidate, Draw, Strategy};

/// A difference in cost under a fifth is noise: without this the one that happened to be measured a little slower would
/// get nothing until its measurement is forgotten.
const NOISE: f64 = 0.8;

/// Two choices by peak EWMA.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeakEwma;

/// A replica that has work and has never answered is taken for this slow: one request finds out, not all of them.
const UNKNOWN_LATENCY_US: f64 = 1_000_000.0;

/// What one more request would wait, in proportion. The place that the request itself takes is not weighed: idle replicas
/// of one speed then cost the same whatever their weights, and the draw alone gives each its share.
fn cost(candidate: &Candidate, share_mean: f64) -> f64 {
    let latency_us = if candidate.latency_us == 0.0 && candidate.in_flight > 0 {
        UNKNOWN_LATENCY_US
    } else {
        candidate.latency_us
    };
    latency_us * (f64::from(candidate.in_flight) * share_mean / share(candidate) + 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "shares are far below 2^52")]
fn share(candidate: &Candidate) -> f64 {
    candidate.share().max(1) as f64
}

/// One of the usable candidates but `except`, each as likely as its share is large; `uniform` is in [0, 1).
fn draw(candidates: &[Candidate], except: Option<usize>, uniform: f64) -> Option<usize> {
    let eligible = || {
        candidates
            .iter()
            .enumerate()
            .filter(|(index, candidate)| candidate.usable && Some(*index) != except)
    };
    let total: f64 = eligible().map(|(_, candidate)| share(candidate)).sum();
    let mut left = uniform * total;
    let mut last = None;
    for (index, candidate) in eligible() {
        last = Some(index);
        left -= share(candidate);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The 32 bits as a number in [0, 1).
fn uniform(bits: u64) -> f64 {
    f64::from(u32::try_from(bits & 0xffff_ffff).unwrap_or(0)) / 4_294_967_296.0
}

impl Strategy for PeakEwma {
    fn pick(&mut self, candidates: &[Candidate], random: Draw) -> Option<usize> {
        // Two different ones out of one draw: its halves are independent. Heavy ones are drawn more often: of evenly drawn
        // pairs of three, no replica could ever get more than two thirds.
        let first = draw(candidates, None, uniform(random.random >> 32))?;
        let Some(second) = draw(candidates, Some(first), uniform(random.random)) else {
            return Some(first);
        };
        let share_mean = f64::midpoint(share(&candidates[first]), share(&candidates[second]));
        let cost = |index: usize| cost(&candidates[index], share_mean);
        if cost(second) < NOISE * cost(first) {
            Some(second)
        } else {
            Some(first)
        }
    }
}
