//! Thousands of seeds. `TRAWL_SEEDS` sets how many, `TRAWL_SEED` runs one.

use std::thread;

use trawl_conformance::simulation::{Report, run};

const SEEDS_DEFAULT: u64 = 2_000;
const THREADS: u64 = 2;

#[test]
fn store_and_auditor_agree_on_every_seed() {
    let asked = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(seed) = asked("TRAWL_SEED") {
        println!("seed {seed}: {:?}", run(std::iter::once(seed)));
        return;
    }
    let seeds = asked("TRAWL_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let workers: Vec<_> = (0..THREADS)
        .map(|first| thread::spawn(move || run((first..seeds).step_by(THREADS as usize))))
        .collect();
    let mut total = Report::default();
    for worker in workers {
        total.add(worker.join().unwrap());
    }
    println!("{seeds} seeds: {total:?}");
    assert!(
        [
            total.stale,
            total.pauses,
            total.put_off,
            total.rescued,
            total.delivered
        ]
        .iter()
        .all(|&met| met > 0),
        "the seeds met what they are for: {total:?}"
    );
}
