//! When a failed job is tried again.
//!
//! Full jitter (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): a uniform draw from zero
//! to the exponential bound, which spreads the retries of many jobs that failed together.

use crate::limits::queue::{ATTEMPTS_MAX, RETRY_AFTER_MS_MAX, RETRY_BASE_MS, RETRY_CAP_MS};

/// A page's `Retry-After` as far as it counts: of a longer one an hour, since who asks to be left alone for a day is not to be asked
/// again within seconds. One that is over already (0, or the date of a clock that is behind) is no reason to use up all attempts.
#[must_use]
pub fn honoured_ms(retry_after_ms: Option<u64>) -> Option<u64> {
    retry_after_ms
        .filter(|ms| *ms > 0)
        .map(|ms| ms.min(RETRY_AFTER_MS_MAX))
}

/// The wait before the next attempt, `None` when the job is given up.
///
/// `attempt` is the one that just failed, from 1. `draw` is a uniform random number of 32 bits. A page's `Retry-After`
/// wins over the draw when it counts ([`honoured_ms`]).
#[must_use]
pub fn retry_in_ms(
    attempt: u32,
    permanent: bool,
    retry_after_ms: Option<u64>,
    draw: u32,
) -> Option<u64> {
    if permanent || attempt >= ATTEMPTS_MAX {
        return None;
    }
    if let Some(after_ms) = honoured_ms(retry_after_ms) {
        return Some(after_ms);
    }
    Some(((u128::from(bound_ms(attempt)) * u128::from(draw)) >> 32) as u64)
}

/// The longest wait that may be drawn after this attempt.
fn bound_ms(attempt: u32) -> u64 {
    let doublings = attempt.saturating_sub(1).min(32);
    RETRY_BASE_MS
        .saturating_mul(1 << doublings)
        .min(RETRY_CAP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry_after::retry_after_ms;

    #[test]
    fn the_bound_doubles_to_its_cap() {
        let longest = |attempt| retry_in_ms(attempt, false, None, u32::MAX).unwrap();
        assert_eq!(
            (1..=5).map(longest).collect::<Vec<_>>(),
            [1999, 3999, 7999, 15_999, 31_999]
        );
        assert_eq!(retry_in_ms(1, false, None, 0), Some(0));
        assert_eq!(retry_in_ms(1, false, None, 1 << 31), Some(1000));
        for many in [20, u32::MAX] {
            assert_eq!(bound_ms(many), RETRY_CAP_MS);
        }
    }

    #[test]
    fn the_last_attempt_and_permanent_errors_end_it() {
        assert_eq!(retry_in_ms(ATTEMPTS_MAX, false, Some(1), 7), None);
        assert_eq!(retry_in_ms(1, true, Some(1), 7), None);
    }

    #[test]
    fn retry_after_wins_and_is_an_hour_at_most() {
        assert_eq!(retry_in_ms(1, false, Some(3_600_000), 0), Some(3_600_000));
        assert_eq!(retry_in_ms(1, false, Some(u64::MAX), 0), Some(3_600_000));
        assert_eq!(retry_in_ms(1, false, Some(0), 1 << 31), Some(1_000));
        let asked = |field| retry_in_ms(1, false, retry_after_ms(field, 0), 0);
        assert_eq!(asked("1800"), Some(1_800_000));
        assert_eq!(asked("7200"), Some(3_600_000));
    }
}
