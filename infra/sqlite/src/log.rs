//! The write-ahead log, as far as SQLite's own checkpoints do not do.
//!
//! SQLite folds the log into the file when it has a thousand pages, but can begin it anew only when no reader stands in it: readers
//! that overlap without end, or one that was forgotten, let it grow. And when nobody writes any more it keeps its size.

use crate::Options;
use crate::session::Session;
use crate::stats::Counters;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use trawl_core::limits::sqlite::{WAL_ALARM_WAIT_MS, WAL_LOOK_MS};

/// What the writer knows of the log.
pub(crate) struct Log {
    path: PathBuf,
    alarm_bytes: u64,
    alarm_every: Duration,
    idle: Duration,
    /// It is ours to fold.
    is_ours: bool,
    changes: u64,
    /// When it grew last, or when it could not be folded; nothing when it is empty.
    grown: Option<Instant>,
    looked: Option<Instant>,
    alarmed: Option<Instant>,
    /// When it was told that it can't be folded.
    failed: Option<Instant>,
}

impl Log {
    /// The log at `path`. Whoever had it before us may have left something in it.
    pub(crate) fn new(path: &Path, options: &Options) -> Self {
        Self {
            path: path.to_owned(),
            alarm_bytes: options.wal_alarm_bytes,
            alarm_every: Duration::from_millis(options.wal_alarm_every_ms),
            idle: Duration::from_millis(options.checkpoint_idle_ms),
            is_ours: !options.as_found,
            changes: 0,
            grown: Some(Instant::now()),
            looked: None,
            alarmed: None,
            failed: None,
        }
    }

    /// How long nothing must come before the log is worth folding; `None` when it is empty.
    pub(crate) fn idle_left(&self) -> Option<Duration> {
        self.grown
            .map(|grown| self.idle.saturating_sub(grown.elapsed()))
    }

    /// Nothing waits, and nothing was changed for a while: the log goes into the file and becomes empty. Readers are not waited
    /// for, so a write that comes meanwhile waits for the disk alone, and for a thousand pages at most.
    pub(crate) fn fold(&mut self, session: &Session, counters: &Counters) {
        if !self.may_be_folded(session) {
            self.grown = None;
            return;
        }
        let is_empty = self.checkpoint(session, Duration::ZERO, counters);
        self.grown = (!is_empty).then(Instant::now);
    }

    /// Nothing waits any more, and nothing will. Readers are waited for as long as `wait`.
    pub(crate) fn end(&self, session: &Session, wait: Duration) {
        if !self.may_be_folded(session) {
            return;
        }
        match session.checkpoint(wait) {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                "somebody reads the database; its log stays, and will be read at the next start"
            ),
            Err(error) => {
                tracing::warn!(%error, "the last checkpoint failed; the log will be read at the next start");
            }
        }
    }

    /// A log of others' is not folded, which would hold up their writes for as long; nor one beside a file that was found damaged, which
    /// may be the whole damage.
    fn may_be_folded(&self, session: &Session) -> bool {
        self.is_ours && session.must_be_sound().is_ok()
    }

    /// After work.
    pub(crate) fn worked(&mut self, session: &Session, counters: &Counters) {
        if !self.may_be_folded(session) {
            return;
        }
        let changes = session.changes();
        // A change of the schema is no change of rows, but it is one of an empty log.
        if changes == self.changes && (self.grown.is_some() || size(&self.path) == 0) {
            return;
        }
        let now = Instant::now();
        (self.changes, self.grown) = (changes, Some(now));
        if !is_time(self.looked, Duration::from_millis(WAL_LOOK_MS)) {
            return;
        }
        self.looked = Some(now);
        let bytes = size(&self.path);
        counters.wal_is_large(bytes >= self.alarm_bytes);
        if bytes >= self.alarm_bytes && is_time(self.alarmed, self.alarm_every) {
            self.alarmed = Some(now);
            self.alarm(bytes, session, counters);
        }
    }

    /// Writes wait for this one, for as long as it takes at most: otherwise the log would grow until the disk is full.
    fn alarm(&mut self, bytes: u64, session: &Session, counters: &Counters) {
        counters.wal_alarm();
        tracing::warn!(
            bytes,
            "the database's write-ahead log has grown too large: a reader that does not end keeps it from beginning anew"
        );
        if self.checkpoint(session, Duration::from_millis(WAL_ALARM_WAIT_MS), counters) {
            tracing::warn!("the write-ahead log is empty again");
        }
    }

    /// Whether the log is empty now. Waits so long for readers. It is tried every few seconds as long as a disk is full, and told now
    /// and then.
    fn checkpoint(&mut self, session: &Session, wait: Duration, counters: &Counters) -> bool {
        match session.checkpoint(wait) {
            Ok(is_empty) => {
                counters.checkpoint(is_empty);
                if is_empty {
                    counters.wal_is_large(false);
                }
                is_empty
            }
            Err(error) => {
                if is_time(self.failed, self.alarm_every) {
                    self.failed = Some(Instant::now());
                    tracing::warn!(%error, "the write-ahead log can't be folded into the database");
                }
                false
            }
        }
    }
}

fn is_time(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// Bytes of the log.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
