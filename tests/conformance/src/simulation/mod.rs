//! A seeded simulation: workers that crash, rings that are lost, doubled or late, stale answers, clock steps, owners that
//! cancel and ask again at any moment. An auditor that knows nothing of the store's statements says what each answer had to be.
//! One thread, one virtual clock: a seed repeats exactly.

mod auditor;
mod outbox;
mod world;

use futures::executor::block_on;
use trawl_store::Store;
use trawl_store::sql::Sql;

use crate::{Clock, Memory, check_invariants};
use world::World;

/// Where each seed's clock starts.
const START_MS: i64 = 1_800_000_000_000;

/// What a run of seeds went through.
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    /// Messages accepted; all of them ended.
    pub accepted: u64,
    /// Jobs claimed.
    pub claims: u64,
    /// Answers that came under a lease that was no longer theirs.
    pub stale: u64,
    /// Times that a host asked to be left alone.
    pub pauses: u64,
    /// Starts at a host that came too early.
    pub put_off: u64,
    /// Leases that expired.
    pub rescued: u64,
    /// Callbacks delivered.
    pub delivered: u64,
}

impl Report {
    /// Adds another's figures.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.claims += other.claims;
        self.stale += other.stale;
        self.pauses += other.pauses;
        self.put_off += other.put_off;
        self.rescued += other.rescued;
        self.delivered += other.delivered;
    }
}

/// Runs `seeds`, one after another, over one database that is rolled back between them.
///
/// Panics with the seed in the message when the store and the auditor disagree.
#[must_use]
pub fn run(seeds: impl Iterator<Item = u64>) -> Report {
    let clock = Clock::at(START_MS);
    let memory = Memory::with_clock(&clock);
    let mut total = Report::default();
    block_on(async {
        Store::new(&memory).migrate().await.unwrap();
        for seed in seeds {
            clock.turn(START_MS - clock.ms());
            memory.run("BEGIN", vec![]).await.unwrap();
            let guard = Named(seed);
            total.add(World::new(&memory, &clock, seed).live().await);
            check_invariants(&memory).await;
            std::mem::forget(guard);
            memory.run("ROLLBACK", vec![]).await.unwrap();
        }
    });
    total
}

/// Says which seed it was when a check fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        eprintln!(
            "the simulation failed with seed {}: TRAWL_SEED={} repeats it",
            self.0, self.0
        );
    }
}
