//! Smooth weighted round robin, as nginx does it (`ngx_http_upstream_round_robin.c`; the sequences that the real one
//! produced are in the tests). At every pick each usable replica gains its effective weight, the one that has gained most
//! is chosen and pays the sum of all gains. So 5:1:1 gives a a b a c a a and not a a a a a b c.

use super::{Candidate, Draw, Strategy};

/// The gains so far.
#[derive(Debug, Default)]
pub(super) struct Weighted {
    standings: Vec<Standing>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Gains minus payments.
    current: i64,
    /// The weight, lowered by failures; it recovers by one at each pick. `None` until the replica was first seen.
    effective: Option<i64>,
}

impl Weighted {
    /// Chooses among those for which `eligible` is true, too.
    pub(super) fn pick_where(
        &mut self,
        candidates: &[Candidate],
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        self.standings.resize(
            candidates.len(),
            Standing {
                current: 0,
                effective: None,
            },
        );
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (index, candidate) in candidates.iter().enumerate() {
            if !candidate.usable || !eligible(index) {
                continue;
            }
            let weight = i64::from(candidate.weight);
            let standing = &mut self.standings[index];
            let effective = standing.effective.unwrap_or(weight).min(weight);
            let gain = effective * i64::from(candidate.ramp);
            standing.current += gain;
            standing.effective = Some((effective + 1).min(weight));
            total += gain;
            // Strictly more: the first of equals wins.
            if best.is_none_or(|best| self.standings[index].current > self.standings[best].current)
            {
                best = Some(index);
            }
        }
        if let Some(best) = best {
            self.standings[best].current -= total;
        }
        best
    }
}

impl Strategy for Weighted {
    fn pick(&mut self, candidates: &[Candidate], _draw: Draw) -> Option<usize> {
        self.pick_where(candidates, |_| true)
    }

    fn failed(&mut self, index: usize, weight: u32, max_fails: u32) {
        let Some(standing) = self.standings.get_mut(index) else {
            return;
        };
        // With max_fails 0 failures are not counted, and the weight stays.
        if let Some(loss) = weight.checked_div(max_fails) {
            let effective = standing.effective.unwrap_or(i64::from(weight));
            standing.effective = Some((effective - i64::from(loss)).max(0));
        }
    }
}
