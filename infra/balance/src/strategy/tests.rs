//! The sequences that nginx 1.22.1 produced, and the properties that every strategy has.

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;

fn candidates(weights: &[u32]) -> Vec<Candidate> {
    weights
        .iter()
        .enumerate()
        .map(|(index, weight)| Candidate {
            usable: true,
            weight: *weight,
            ramp: RAMP_FULL,
            in_flight: 0,
            latency_us: 0.0,
            seed: key_of(&[u8::try_from(index).unwrap()]),
        })
        .collect()
}

/// The names of the first `count` picks, as in the recorded sequences.
fn sequence(kind: StrategyKind, weights: &[u32], count: usize) -> String {
    let mut strategy = strategy(kind);
    let candidates = candidates(weights);
    let picks = (0..count).map(|_| strategy.pick(&candidates, Draw::default()).unwrap());
    picks
        .map(|index| ["a", "b", "c", "d"][index])
        .collect::<Vec<_>>()
        .join(" ")
}

/// How often each is chosen in `count` picks with random draws.
fn shares(kind: StrategyKind, candidates: &[Candidate], count: u32) -> Vec<u32> {
    let mut strategy = strategy(kind);
    let mut random = SmallRng::seed_from_u64(7);
    let mut shares = vec![0; candidates.len()];
    for _ in 0..count {
        let draw = Draw {
            random: random.random(),
            key: random.random(),
        };
        shares[strategy.pick(candidates, draw).unwrap()] += 1;
    }
    shares
}

#[test]
fn weighted_gives_the_sequences_of_nginx() {
    for (weights, expected) in [
        (&[5, 1, 1][..], "a a b a c a a a a b a c a a"),
        (&[3, 2, 1], "a b a c b a a b a c b a"),
        (&[4, 3, 2, 1], "a b c a b d a c b a a b c a b d a c b a"),
        (&[1, 1, 1], "a b c a b c"),
        (&[10, 1], "a a a a a b a a a a a"),
        (&[2, 3, 5], "c b a c b c c a b c c b a c b c c a b c"),
    ] {
        let count = expected.split(' ').count();
        assert_eq!(
            sequence(StrategyKind::Weighted, weights, count),
            expected,
            "{weights:?}"
        );
    }
}

#[test]
fn idle_least_conn_gives_the_sequence_of_nginx() {
    assert_eq!(
        sequence(StrategyKind::LeastConn, &[3, 1], 8),
        "a a b a a a b a"
    );
}

#[test]
fn round_robin_ignores_weights() {
    assert_eq!(
        sequence(StrategyKind::RoundRobin, &[5, 1, 1], 6),
        "a b c a b c"
    );
}

#[test]
fn eight_one_one_is_exact_over_ten_thousand() {
    // Over whole cycles it is exactly eight tenths; of a hundred requests one cycle may be cut.
    assert_eq!(
        shares(StrategyKind::Weighted, &candidates(&[8, 1, 1]), 10_000),
        [8_000, 1_000, 1_000]
    );
}

#[test]
fn a_failure_lowers_the_share_and_picks_restore_it() {
    let mut strategy = strategy(StrategyKind::Weighted);
    let candidates = candidates(&[5, 1]);
    assert_eq!(strategy.pick(&candidates, Draw::default()), Some(0));
    strategy.failed(0, 5, 1);
    assert_eq!(
        strategy.pick(&candidates, Draw::default()),
        Some(1),
        "it would have been a's turn"
    );
    let mut of_60 = || {
        (0..60)
            .filter(|_| strategy.pick(&candidates, Draw::default()) == Some(0))
            .count()
    };
    assert!(of_60() >= 45);
    assert_eq!(of_60(), 50, "the full weight is back");
}

#[test]
fn least_conn_compares_load_for_weight() {
    let mut strategy = strategy(StrategyKind::LeastConn);
    let mut candidates = candidates(&[2, 1]);
    (candidates[0].in_flight, candidates[1].in_flight) = (3, 1);
    assert_eq!(strategy.pick(&candidates, Draw::default()), Some(1));
    (candidates[0].in_flight, candidates[1].in_flight) = (1, 1);
    assert_eq!(strategy.pick(&candidates, Draw::default()), Some(0));
}

#[test]
fn a_slow_replica_gets_less_by_load_and_by_latency() {
    let mut by_load = candidates(&[1, 1, 1]);
    by_load[2].in_flight = 5;
    assert_eq!(shares(StrategyKind::LeastConn, &by_load, 1_000)[2], 0);
    let mut by_latency = candidates(&[1, 1, 1]);
    for (candidate, latency_us) in by_latency.iter_mut().zip([1_000.0, 1_000.0, 50_000.0]) {
        candidate.latency_us = latency_us;
    }
    // Of two different ones the slow one is never the better.
    assert_eq!(shares(StrategyKind::PeakEwma, &by_latency, 1_000)[2], 0);
}

#[test]
fn shares_follow_the_weights_within_statistical_bounds() {
    for weights in [&[1, 1, 1][..], &[8, 1, 1], &[5, 3, 2], &[1, 10], &[7]] {
        let candidates = candidates(weights);
        let total: u32 = weights.iter().sum();
        for kind in [
            StrategyKind::Weighted,
            StrategyKind::Hash,
            StrategyKind::LeastConn,
        ] {
            for (share, weight) in shares(kind, &candidates, 10_000).iter().zip(weights) {
                let expected = f64::from(*weight) / f64::from(total);
                // Five standard deviations of a binomial distribution.
                let bound = 5.0 * (10_000.0 * expected * (1.0 - expected)).sqrt() + 1.0;
                let off = (f64::from(*share) - 10_000.0 * expected).abs();
                assert!(off <= bound, "{kind:?} {weights:?}: {share}");
            }
        }
    }
    for share in shares(StrategyKind::PeakEwma, &candidates(&[1, 1, 1]), 9_000) {
        assert!((2_700..=3_300).contains(&share), "{share}");
    }
}

#[test]
fn a_slow_start_gives_a_growing_share() {
    let mut candidates = candidates(&[1, 1]);
    let mut before = 0;
    for ramp in [10, 100, 500, RAMP_FULL] {
        candidates[1].ramp = ramp;
        let share = shares(StrategyKind::RoundRobin, &candidates, 10_000)[1];
        assert!(share > before, "{ramp}: {share}");
        before = share;
    }
    assert_eq!(before, 5_000);
}

#[test]
fn hash_moves_only_the_keys_of_the_replica_that_goes() {
    let all = candidates(&[1, 1, 1, 1]);
    let mut without = all.clone();
    without[2].usable = false;
    let mut strategy = strategy(StrategyKind::Hash);
    for number in 0_u64..2_000 {
        let draw = Draw {
            random: 0,
            key: key_of(&number.to_le_bytes()),
        };
        let before = strategy.pick(&all, draw).unwrap();
        let after = strategy.pick(&without, draw).unwrap();
        assert!(before == after || before == 2, "{number}");
        assert_ne!(after, 2);
    }
}

const KINDS: [StrategyKind; 5] = [
    StrategyKind::RoundRobin,
    StrategyKind::Weighted,
    StrategyKind::LeastConn,
    StrategyKind::PeakEwma,
    StrategyKind::Hash,
];

prop_compose! {
    fn any_candidate()(
        usable in any::<bool>(),
        weight in 1_u32..=10_000,
        ramp in 1_u32..=RAMP_FULL,
        in_flight in 0_u32..2_000,
        latency_us in 0.0_f64..1e9,
        seed in any::<u64>(),
    ) -> Candidate {
        Candidate { usable, weight, ramp, in_flight, latency_us, seed }
    }
}

proptest! {
    #[test]
    fn a_usable_one_is_chosen_if_there_is_one_and_nothing_else(
        rounds in prop::collection::vec(
            (prop::collection::vec(any_candidate(), 0..8), any::<u64>(), any::<u64>(), any::<Option<u8>>()),
            1..40,
        ),
        kind in 0..KINDS.len(),
    ) {
        let mut strategy = strategy(KINDS[kind]);
        for (candidates, random, key, failed) in rounds {
            let picked = strategy.pick(&candidates, Draw { random, key });
            prop_assert_eq!(picked.is_some(), candidates.iter().any(|candidate| candidate.usable));
            if let Some(index) = picked {
                prop_assert!(candidates[index].usable);
            }
            if let Some(failed) = failed {
                strategy.failed(usize::from(failed), 10, u32::from(failed % 4));
            }
        }
    }

    #[test]
    fn weighted_is_exact_over_one_cycle(weights in prop::collection::vec(1_u32..20, 1..6)) {
        let total = weights.iter().sum();
        prop_assert_eq!(shares(StrategyKind::Weighted, &candidates(&weights), total), weights);
    }

    #[test]
    fn hash_is_the_same_in_every_process(key in any::<u64>(), weights in prop::collection::vec(1_u32..20, 1..6)) {
        let candidates = candidates(&weights);
        let draw = Draw { random: 0, key };
        prop_assert_eq!(strategy(StrategyKind::Hash).pick(&candidates, draw), strategy(StrategyKind::Hash).pick(&candidates, draw));
    }
}
