//! When a callback is tried again, and when an endpoint is held back or disabled.

use crate::limits::outbox::{
    ATTEMPTS_MAX, DISABLE_AFTER_MS, DISABLE_DAYS_MIN, JITTER_PERCENT, SCHEDULE_MS, THROTTLE_MS,
};
use crate::limits::queue::RETRY_AFTER_MS_MAX;

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// Try again.
    Retry {
        /// After so long.
        in_ms: u64,
    },
    /// The schedule is at its end.
    Exhausted,
    /// 410: the endpoint wants no more.
    EndpointGone,
}

/// What follows from attempt number `attempt` (from 1) that was answered with `status` (`None`: not at all).
/// `draw` gives a uniform random number of 32 bits; it is asked only when there is something to choose. `Retry-After` makes the
/// wait longer, up to an hour.
#[must_use]
pub fn judge(
    attempt: u32,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    draw: impl FnOnce() -> u32,
) -> Verdict {
    match status {
        Some(200..=299) => Verdict::Delivered,
        Some(410) => Verdict::EndpointGone,
        _ if attempt >= ATTEMPTS_MAX => Verdict::Exhausted,
        _ => {
            let asked_ms = retry_after_ms.map_or(0, |ms| ms.min(RETRY_AFTER_MS_MAX));
            Verdict::Retry {
                in_ms: scheduled_ms(attempt, draw()).max(asked_ms),
            }
        }
    }
}

/// The wait before attempt `attempt + 1`, within ±10 % of the schedule.
fn scheduled_ms(attempt: u32, draw: u32) -> u64 {
    let index = usize::try_from(attempt)
        .unwrap_or(usize::MAX)
        .min(SCHEDULE_MS.len() - 1);
    let base_ms = SCHEDULE_MS[index];
    let spread_ms = base_ms * JITTER_PERCENT * 2 / 100;
    base_ms - spread_ms / 2 + ((u128::from(spread_ms) * u128::from(draw)) >> 32) as u64
}

/// For how long the whole endpoint is held back after this answer: it said "not now", so its other callbacks wait too.
#[must_use]
pub fn throttle_ms(status: Option<u16>, retry_after_ms: Option<u64>) -> Option<u64> {
    matches!(status, Some(429 | 502 | 503 | 504)).then(|| {
        retry_after_ms
            .unwrap_or(THROTTLE_MS)
            .min(RETRY_AFTER_MS_MAX)
    })
}

/// Whether an endpoint is disabled: no success for five days, and failures on at least two separate days
/// (one bad evening after a quiet week does not count).
#[must_use]
pub const fn disables(first_failure_ms: i64, failing_days: u32, now_ms: i64) -> bool {
    now_ms - first_failure_ms >= DISABLE_AFTER_MS && failing_days >= DISABLE_DAYS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry_after::retry_after_ms;

    #[test]
    fn the_schedule_is_that_of_the_rules() {
        let total: u64 = SCHEDULE_MS.iter().sum();
        assert_eq!(SCHEDULE_MS.len(), 10);
        assert_eq!(total, (75 * 3600 + 35 * 60 + 5) * 1000);
        assert_eq!(
            judge(1, None, None, || 1 << 31),
            Verdict::Retry { in_ms: 5_000 }
        );
        assert_eq!(
            judge(9, Some(500), None, || 1 << 31),
            Verdict::Retry {
                in_ms: 24 * 3_600_000
            }
        );
        assert_eq!(judge(10, Some(500), None, || 0), Verdict::Exhausted);
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        assert_eq!(judge(1, None, None, || 0), Verdict::Retry { in_ms: 4_500 });
        assert_eq!(
            judge(1, None, None, || u32::MAX),
            Verdict::Retry { in_ms: 5_499 }
        );
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(judge(1, Some(204), None, || 0), Verdict::Delivered);
        assert_eq!(judge(1, Some(410), None, || 0), Verdict::EndpointGone);
        assert!(matches!(
            judge(1, Some(302), None, || 0),
            Verdict::Retry { .. }
        ));
        assert_eq!(
            judge(1, Some(429), Some(60_000), || 0),
            Verdict::Retry { in_ms: 60_000 }
        );
        assert_eq!(
            judge(1, Some(429), retry_after_ms("7200", 0), || 0),
            Verdict::Retry { in_ms: 3_600_000 },
            "a longer wish counts as an hour"
        );
        for busy in [429, 502, 503, 504] {
            assert_eq!(throttle_ms(Some(busy), Some(9_000)), Some(9_000), "{busy}");
        }
        assert_eq!(throttle_ms(Some(503), Some(u64::MAX)), Some(3_600_000));
        assert_eq!(throttle_ms(Some(503), None), Some(THROTTLE_MS));
        assert_eq!(throttle_ms(Some(500), Some(9_000)), None);
    }

    #[test]
    fn disabling_needs_time_and_days() {
        assert!(disables(0, 2, DISABLE_AFTER_MS));
        assert!(!disables(0, 1, DISABLE_AFTER_MS));
        assert!(!disables(0, 5, DISABLE_AFTER_MS - 1));
    }
}
