//! The better of two drawn at random, by observed latency times load, for their weight: "give more to who can take it".
//! Two choices come from Mitzenmacher, "The power of two choices in randomized load balancing" (1996); the latency is
//! Finagle's peak EWMA, which believes a slow answer at once and forgets it slowly.

use super::{Candidate, Draw, Strategy};

/// Two choices by peak EWMA.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeakEwma;

/// A replica that has work and has never answered is taken for this slow: one request finds out, not all of them.
const UNKNOWN_LATENCY_US: f64 = 1_000_000.0;

fn cost(candidate: &Candidate) -> f64 {
    let latency_us = if candidate.latency_us == 0.0 && candidate.in_flight > 0 {
        UNKNOWN_LATENCY_US
    } else {
        candidate.latency_us
    };
    #[expect(clippy::cast_precision_loss, reason = "shares are far below 2^52")]
    let share = candidate.share().max(1) as f64;
    latency_us * f64::from(candidate.in_flight + 1) / share
}

/// The `nth` usable candidate.
fn usable(candidates: &[Candidate], nth: u64) -> Option<usize> {
    let nth = usize::try_from(nth).ok()?;
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.usable)
        .map(|(index, _)| index)
        .nth(nth)
}

impl Strategy for PeakEwma {
    fn pick(&mut self, candidates: &[Candidate], draw: Draw) -> Option<usize> {
        let count = candidates
            .iter()
            .filter(|candidate| candidate.usable)
            .count() as u64;
        if count < 2 {
            return usable(candidates, 0);
        }
        // Two different ones out of one draw: its halves are independent.
        let first = (draw.random >> 32) % count;
        let second = (first + 1 + (draw.random & 0xffff_ffff) % (count - 1)) % count;
        let (first, second) = (usable(candidates, first)?, usable(candidates, second)?);
        if cost(&candidates[second]) < cost(&candidates[first]) {
            Some(second)
        } else {
            Some(first)
        }
    }
}
