//! The sequences that nginx 1.22.1 produced, and the properties that every strategy has.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;
use crate::replica::Peak;

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

/// One request finds out how quick a replica is that has never answered: were that nothing, all would go to one that never does.
#[test]
fn a_replica_that_has_never_answered_gets_one_request() {
    let mut candidates = candidates(&[1, 1]);
    candidates[0].latency_us = 1_000.0;
    assert_eq!(shares(StrategyKind::PeakEwma, &candidates, 1_000)[0], 0);
    candidates[1].in_flight = 1;
    assert_eq!(shares(StrategyKind::PeakEwma, &candidates, 1_000)[1], 0);
}

/// So many requests in all, `parallel` of them always under way; each takes `service_us` of its replica, give or take a
/// fifth. How often each replica was chosen.
fn closed_loop(
    kind: StrategyKind,
    weights: &[u32],
    service_us: impl Fn(usize) -> u64,
    parallel: usize,
) -> Vec<u32> {
    let mut strategy = strategy(kind);
    let mut random = SmallRng::seed_from_u64(11);
    let mut candidates = candidates(weights);
    let mut peaks = vec![Peak::default(); weights.len()];
    let mut shares = vec![0; weights.len()];
    // When each request that is under way ends, the earliest first; the second number makes the order total.
    let mut under_way = BinaryHeap::<Reverse<(u64, u32, usize, u64)>>::new();
    let mut now_us = 0;
    for number in 0..REQUESTS {
        if under_way.len() == parallel {
            let Reverse((ends_us, _, index, began_us)) = under_way.pop().unwrap();
            now_us = ends_us;
            candidates[index].in_flight -= 1;
            peaks[index].observe((ends_us - began_us) as f64, now_us / 1_000);
        }
        for (candidate, peak) in candidates.iter_mut().zip(&peaks) {
            candidate.latency_us = peak.us(now_us / 1_000);
        }
        let draw = Draw {
            random: random.random(),
            key: random.random(),
        };
        let index = strategy.pick(&candidates, draw).unwrap();
        shares[index] += 1;
        candidates[index].in_flight += 1;
        let service_us = service_us(index) * random.random_range(80..120) / 100;
        under_way.push(Reverse((now_us + service_us, number, index, now_us)));
    }
    shares
}

const REQUESTS: u32 = 10_000;
const WEIGHTS: [&[u32]; 6] = [
    &[1, 1, 1],
    &[8, 1, 1],
    &[5, 3, 2],
    &[1, 10],
    &[4, 3, 2, 1],
    &[7],
];

/// What a share may be off: five standard deviations of a binomial distribution, as if each choice were a draw of its own,
/// and `skew` of it for what the strategy itself adds.
#[track_caller]
fn is_near(shares: &[u32], weights: &[u32], skew: f64, what: &str) {
    let total: u32 = weights.iter().sum();
    let requests = f64::from(REQUESTS);
    for (share, weight) in shares.iter().zip(weights) {
        let expected = f64::from(*weight) / f64::from(total);
        let deviation = (requests * expected * (1.0 - expected)).sqrt();
        let bound = 5.0 * deviation + skew * requests * expected + 1.0;
        let off = (f64::from(*share) - requests * expected).abs();
        assert!(off <= bound, "{what} {weights:?}: {shares:?}");
    }
}

#[test]
fn shares_follow_the_weights_within_statistical_bounds() {
    for weights in WEIGHTS {
        for parallel in [1, 64] {
            for (kind, skew) in [
                (StrategyKind::Weighted, 0.0),
                (StrategyKind::Hash, 0.0),
                (StrategyKind::LeastConn, 0.02),
                (StrategyKind::PeakEwma, 0.05),
            ] {
                let shares = closed_loop(kind, weights, |_| 5_000, parallel);
                is_near(
                    &shares,
                    weights,
                    skew,
                    &format!("{kind:?}, {parallel} at once,"),
                );
            }
            let shares = closed_loop(StrategyKind::RoundRobin, weights, |_| 5_000, parallel);
            assert!(
                shares
                    .iter()
                    .all(|share| share.abs_diff(REQUESTS / weights.len() as u32) <= 1),
                "{weights:?}: {shares:?}"
            );
        }
    }
}

#[test]
fn whoever_is_slower_gets_less_in_proportion() {
    // Four times as slow: the loads even out when it gets a quarter of what another one gets.
    let slow_third = |index| if index == 2 { 20_000 } else { 5_000 };
    for kind in [StrategyKind::LeastConn, StrategyKind::PeakEwma] {
        let shares = closed_loop(kind, &[1, 1, 1], slow_third, 64);
        let others = shares[0].min(shares[1]);
        assert!(shares[2] * 3 < others, "{kind:?}: {shares:?}");
        assert!(shares[2] > 0, "{kind:?}: {shares:?}");
    }
    let blind = closed_loop(StrategyKind::RoundRobin, &[1, 1, 1], slow_third, 64);
    assert!(blind[2] * 10 > blind[0] * 9, "{blind:?}");
}

#[test]
fn a_replica_that_was_slow_once_is_asked_again() {
    // Of two replicas both are always drawn: what was observed has to fade by itself.
    let mut strategy = strategy(StrategyKind::PeakEwma);
    let mut candidates = candidates(&[1, 1]);
    let (mut slow, mut quick) = (Peak::default(), Peak::default());
    slow.observe(500_000.0, 0);
    let mut random = SmallRng::seed_from_u64(3);
    let mut asked_ms = None;
    for now_ms in (0..300_000).step_by(10) {
        quick.observe(1_000.0, now_ms);
        candidates[0].latency_us = slow.us(now_ms);
        candidates[1].latency_us = quick.us(now_ms);
        let draw = Draw {
            random: random.random(),
            key: 0,
        };
        if strategy.pick(&candidates, draw) == Some(0) {
            asked_ms = Some(now_ms);
            break;
        }
    }
    let asked_ms = asked_ms.expect("it is asked again");
    assert!((5_000..120_000).contains(&asked_ms), "{asked_ms}");
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
