//! The fewest requests in flight for its weight; ties go to smooth weighted round robin, as in nginx
//! (`ngx_http_upstream_least_conn_module.c`).

use super::{Candidate, Draw, Strategy, weighted::Weighted};

/// Least connections.
#[derive(Debug, Default)]
pub(super) struct LeastConn {
    ties: Weighted,
}

/// The load of `candidate`, to be compared with that of `other` taken the same way: its requests in flight times the other's share, so
/// that nothing is divided.
fn load(candidate: &Candidate, other: &Candidate) -> u64 {
    u64::from(candidate.in_flight).saturating_mul(other.share())
}

impl Strategy for LeastConn {
    fn pick(&mut self, candidates: &[Candidate], _draw: Draw) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut tied = false;
        for (index, candidate) in candidates.iter().enumerate() {
            if !candidate.usable {
                continue;
            }
            let Some(so_far) = best else {
                best = Some(index);
                continue;
            };
            let (mine, theirs) = (
                load(candidate, &candidates[so_far]),
                load(&candidates[so_far], candidate),
            );
            if mine < theirs {
                best = Some(index);
                tied = false;
            } else if mine == theirs {
                tied = true;
            }
        }
        let least = best?;
        if !tied {
            return Some(least);
        }
        self.ties.pick_where(candidates, |index| {
            load(&candidates[index], &candidates[least])
                == load(&candidates[least], &candidates[index])
        })
    }

    fn failed(&mut self, index: usize, weight: u32, max_fails: u32) {
        self.ties.failed(index, weight, max_fails);
    }
}
