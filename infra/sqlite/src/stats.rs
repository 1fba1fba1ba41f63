//! Figures of the database.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the batch sizes that are counted apart; the last bucket holds what is larger.
pub(crate) const BATCH_BUCKETS: usize = 10;

/// What the database did so far and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits of batches.
    pub batches: u64,
    /// Writing statements in these batches.
    pub statements: u64,
    /// Batches of 1, 2, up to 4, 8, 16, 32, 64, 128, 256, and more statements.
    pub batch_sizes: [u64; BATCH_BUCKETS],
    /// Time that commits took, mostly the disk's.
    pub commit_us_total: u64,
    /// The longest commit.
    pub commit_us_max: u64,
    /// Statements that were run again because another one rolled their batch back.
    pub statements_repeated: u64,
    /// Explicit transactions.
    pub transactions: u64,
    /// Statements done by readers.
    pub reads: u64,
    /// Statements that wait for a reader now.
    pub reads_waiting: usize,
    /// Statements that wait for the writer now.
    pub writes_waiting: usize,
    /// Whether the file was found to be damaged, so that nothing is written to it.
    pub is_damaged: bool,
    /// Bytes of the database file now, without its log.
    pub file_bytes: u64,
    /// Bytes of the write-ahead log now.
    pub wal_bytes: u64,
    /// Whether that was too much when it was looked at last.
    pub wal_is_large: bool,
    /// Times that it was found too large.
    pub wal_alarms: u64,
    /// Checkpoints after which the log was empty.
    pub checkpoints: u64,
    /// Checkpoints that a reader kept from it.
    pub checkpoints_blocked: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    statements: AtomicU64,
    batch_sizes: [AtomicU64; BATCH_BUCKETS],
    commit_us_total: AtomicU64,
    commit_us_max: AtomicU64,
    statements_repeated: AtomicU64,
    transactions: AtomicU64,
    reads: AtomicU64,
    wal_is_large: AtomicBool,
    wal_alarms: AtomicU64,
    checkpoints: AtomicU64,
    checkpoints_blocked: AtomicU64,
    /// How often memory was asked back.
    releases: AtomicU64,
}

impl Counters {
    /// Asks every thread to give its memory back.
    pub(crate) fn release_memory(&self) {
        self.releases.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was asked.
    pub(crate) fn releases(&self) -> u64 {
        self.releases.load(Ordering::Relaxed)
    }

    pub(crate) fn batch(&self, statements: usize, commit: Duration) {
        let commit_us = u64::try_from(commit.as_micros()).unwrap_or(u64::MAX);
        let bucket = statements.next_power_of_two().trailing_zeros() as usize;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.statements
            .fetch_add(statements as u64, Ordering::Relaxed);
        self.batch_sizes[bucket.min(BATCH_BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.commit_us_total.fetch_add(commit_us, Ordering::Relaxed);
        self.commit_us_max.fetch_max(commit_us, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self, statements: usize) {
        self.statements_repeated
            .fetch_add(statements as u64, Ordering::Relaxed);
    }

    pub(crate) fn transaction(&self) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wal_is_large(&self, is_large: bool) {
        self.wal_is_large.store(is_large, Ordering::Relaxed);
    }

    pub(crate) fn wal_alarm(&self) {
        self.wal_alarms.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn checkpoint(&self, is_empty: bool) {
        let counter = if is_empty {
            &self.checkpoints
        } else {
            &self.checkpoints_blocked
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            batches: get(&self.batches),
            statements: get(&self.statements),
            batch_sizes: std::array::from_fn(|bucket| get(&self.batch_sizes[bucket])),
            commit_us_total: get(&self.commit_us_total),
            commit_us_max: get(&self.commit_us_max),
            statements_repeated: get(&self.statements_repeated),
            transactions: get(&self.transactions),
            reads: get(&self.reads),
            wal_is_large: self.wal_is_large.load(Ordering::Relaxed),
            wal_alarms: get(&self.wal_alarms),
            checkpoints: get(&self.checkpoints),
            checkpoints_blocked: get(&self.checkpoints_blocked),
            ..Stats::default()
        }
    }
}
