//! What an embedder may choose.

use trawl_core::limits::sqlite;

/// Settings of a [`Database`](crate::Database); the defaults are the limits of trawl.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file has to be there, and stays as it was found: it is neither made, nor closed to others, nor given a write-ahead log; one
    /// that it has is not folded, which would hold up the writes of whoever else uses it. For a short visit to a file that others may
    /// have made, and may be using.
    pub as_found: bool,
    /// Reader connections, each with a thread.
    pub readers: usize,
    /// How long a lock of another process is waited for.
    pub busy_ms_max: u64,
    /// How long an explicit transaction may hold the writer.
    pub transaction_ms_max: u64,
    /// How long one statement may run.
    pub statement_ms_max: u64,
    /// Bytes of one result.
    pub result_bytes_max: usize,
    /// Statements in one commit. 1 gives each its own commit, which only serves as a comparison.
    pub batch_statements_max: usize,
    /// How long the writer waits, at most, for callers it has just answered; 0 never waits.
    pub gather_us_max: u64,
    /// Nothing may be changed for so long before the log is folded into the file.
    pub checkpoint_idle_ms: u64,
    /// The log is too large from here on.
    pub wal_alarm_bytes: u64,
    /// So long the same alarm is not raised again.
    pub wal_alarm_every_ms: u64,
    /// Page cache of the writer; each reader has a quarter of it.
    pub cache_kib: i64,
    /// Bytes of the file that are mapped into memory; 0 reads through the page cache alone.
    pub mmap_bytes: i64,
    /// How commits can be made to fail.
    #[cfg(feature = "test-support")]
    pub faults: crate::Faults,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            as_found: false,
            readers: cores.min(sqlite::READERS_MAX),
            busy_ms_max: sqlite::BUSY_MS_MAX,
            transaction_ms_max: sqlite::TRANSACTION_MS_MAX,
            statement_ms_max: sqlite::STATEMENT_MS_MAX,
            result_bytes_max: sqlite::RESULT_BYTES_MAX,
            batch_statements_max: sqlite::BATCH_STATEMENTS_MAX,
            gather_us_max: sqlite::GATHER_US_MAX,
            checkpoint_idle_ms: sqlite::CHECKPOINT_IDLE_MS,
            wal_alarm_bytes: sqlite::WAL_ALARM_BYTES,
            wal_alarm_every_ms: sqlite::WAL_ALARM_EVERY_MS,
            cache_kib: sqlite::CACHE_KIB,
            mmap_bytes: 0,
            #[cfg(feature = "test-support")]
            faults: crate::Faults::default(),
        }
    }
}
