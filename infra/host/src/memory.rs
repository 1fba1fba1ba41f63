//! Gives memory back that a burst of work has left behind: the database's page caches, and what the allocator keeps.

use std::time::Duration;

use trawl_core::limits::host as limits;
use trawl_sqlite::Database;

/// Looks from time to time how much was done, and gives memory back when a busy time is followed by a quiet one. Never while
/// there is work: what is given back then would be asked for again at once.
pub(crate) async fn give_back_when_quiet(database: Database) {
    let mut burst = Burst::default();
    loop {
        tokio::time::sleep(Duration::from_millis(limits::QUIET_LOOK_MS)).await;
        let stats = database.stats();
        if burst.is_over(stats.statements + stats.reads) {
            database.release_memory();
            // Its threads do it with their next statement, which comes with the clock.
            tokio::time::sleep(Duration::from_millis(2 * limits::TICK_MS)).await;
            trim();
        }
    }
}

/// Statements that were done, as a sign of how busy the application is.
#[derive(Debug, Default)]
struct Burst {
    done: u64,
    /// As of the last time that memory was given back.
    given_back_at: u64,
    /// The most between two looks since then.
    busiest: u64,
}

impl Burst {
    /// Whether much was done since memory was given back, but since the last look little beside it: what is left of a queue
    /// may go on for hours, and is no burst.
    fn is_over(&mut self, done: u64) -> bool {
        let lately = done.saturating_sub(self.done);
        self.done = done;
        self.busiest = self.busiest.max(lately);
        let quiet_max = limits::QUIET_STATEMENTS_MAX.max(self.busiest / limits::QUIET_PART);
        let is_over = lately <= quiet_max
            && done.saturating_sub(self.given_back_at) >= limits::BURST_STATEMENTS_MIN;
        if is_over {
            (self.given_back_at, self.busiest) = (done, 0);
        }
        is_over
    }
}

/// The C library keeps what was freed, for ever if need be; this makes it give whole pages back to the system.
#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "malloc_trim(3) has no safe form in the standard library"
)]
fn trim() {
    // SAFETY: it takes no pointers, and may be called at any time and from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_each_burst() {
        let (quiet, much) = (limits::QUIET_STATEMENTS_MAX, limits::BURST_STATEMENTS_MIN);
        let mut burst = Burst::default();
        assert!(!burst.is_over(quiet), "nothing was done yet");
        assert!(!burst.is_over(quiet + much), "it goes on");
        assert!(burst.is_over(2 * quiet + much));
        assert!(!burst.is_over(2 * quiet + much), "it was given back");
        let later = 2 * quiet + 2 * much;
        assert!(!burst.is_over(later));
        assert!(burst.is_over(later + 1));
    }

    #[test]
    fn what_goes_on_slowly_is_no_burst() {
        let much =
            limits::QUIET_PART * (limits::BURST_STATEMENTS_MIN + limits::QUIET_STATEMENTS_MAX);
        let mut burst = Burst::default();
        assert!(!burst.is_over(much));
        let slow = much / limits::QUIET_PART;
        assert!(burst.is_over(much + slow));
        assert!(
            !burst.is_over(much + 2 * slow),
            "the same pace is a busy time now"
        );
    }
}
