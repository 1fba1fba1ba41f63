//! One after the other: weighted round robin with all weights alike. A slow start still gives less to the one that
//! comes back.

use super::{Candidate, Draw, Strategy, weighted::Weighted};

/// Round robin.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    turns: Weighted,
    alike: Vec<Candidate>,
}

impl Strategy for RoundRobin {
    fn pick(&mut self, candidates: &[Candidate], draw: Draw) -> Option<usize> {
        self.alike.clear();
        self.alike
            .extend(candidates.iter().map(|candidate| Candidate {
                weight: 1,
                ..*candidate
            }));
        self.turns.pick(&self.alike, draw)
    }

    fn failed(&mut self, index: usize, _weight: u32, max_fails: u32) {
        self.turns.failed(index, 1, max_fails);
    }
}
