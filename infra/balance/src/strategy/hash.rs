//! The same replica for the same key, by weighted rendezvous hashing (Thaler and Ravishankar 1998; the logarithmic
//! weights from Schindelhauer and Schomaker 2005). Each replica scores the key; the highest wins. There is no ring to
//! keep: a replica that goes takes only its own keys with it, one that comes back by slow start takes them back bit by bit.

use super::{Candidate, Draw, Strategy};

/// Rendezvous hashing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hash;

/// The digest of a key or an id: FNV-1a, then the finalizer of splitmix64. Fixed here, because several balancers in
/// front of the same replicas have to agree, whatever compiler built them.
pub(crate) fn key_of(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits are kept on purpose; shares are far below that"
)]
fn score(candidate: &Candidate, key: u64) -> f64 {
    // Uniform in (0, 1), never 0 or 1, so that the logarithm is finite and negative.
    let uniform = ((mix(key ^ candidate.seed) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    candidate.share().max(1) as f64 / -uniform.ln()
}

impl Strategy for Hash {
    fn pick(&mut self, candidates: &[Candidate], draw: Draw) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (index, candidate) in candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.usable)
        {
            let score = score(candidate, draw.key);
            if best.is_none_or(|(_, highest)| score > highest) {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index)
    }
}
