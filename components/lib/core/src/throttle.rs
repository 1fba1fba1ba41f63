//! The login throttle: asked before a password is hashed, keyed alike whether or not the name exists.

use crate::limits::login::{
    ADDRESS_FAILURES_MAX, ADDRESS_WINDOW_MS, NAME_BASE_MS, NAME_CAP_MS, NAME_FORGIVEN_MS, NAME_FREE,
};

/// What is known about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many, since the count began.
    pub count: u64,
    /// When the count began, milliseconds since the epoch.
    pub first_ms: i64,
    /// The latest.
    pub last_ms: i64,
}

/// Whether `key` names an address (`ip:…`) rather than an account (`name:…`).
#[must_use]
pub fn is_address(key: &str) -> bool {
    key.starts_with("ip:")
}

/// After how many milliseconds the count starts again: since the first failure, and since the last one.
#[must_use]
pub fn forgiven_after_ms(key: &str) -> (i64, i64) {
    if is_address(key) {
        (ADDRESS_WINDOW_MS, i64::MAX)
    } else {
        (i64::MAX, NAME_FORGIVEN_MS)
    }
}

/// Seconds until another try is allowed, `None` when it is now.
#[must_use]
pub fn retry_after_s(key: &str, failures: Failures, now_ms: i64) -> Option<u64> {
    let wait_ms = if is_address(key) {
        if failures.count < ADDRESS_FAILURES_MAX {
            0
        } else {
            failures
                .first_ms
                .saturating_add(ADDRESS_WINDOW_MS)
                .saturating_sub(now_ms)
        }
    } else if failures.count < NAME_FREE {
        0
    } else {
        let doublings = (failures.count - NAME_FREE).min(30) as u32;
        let hold_ms = NAME_BASE_MS.saturating_mul(1 << doublings).min(NAME_CAP_MS);
        failures
            .last_ms
            .saturating_add(hold_ms)
            .saturating_sub(now_ms)
    };
    // A clock that was set back must not lock anybody out for longer than the rule itself would.
    let wait_ms = u64::try_from(wait_ms.min(NAME_CAP_MS)).unwrap_or(0);
    (wait_ms > 0).then(|| wait_ms.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(count: u64, now_ms: i64) -> Option<u64> {
        retry_after_s(
            "name:a",
            Failures {
                count,
                first_ms: 0,
                last_ms: 1_000_000,
            },
            now_ms,
        )
    }

    #[test]
    fn names_have_five_free_then_doubling() {
        assert_eq!(name(4, 1_000_000), None);
        assert_eq!(name(5, 1_000_000), Some(1));
        assert_eq!(name(6, 1_000_000), Some(2));
        assert_eq!(name(7, 1_001_500), Some(3));
        assert_eq!(name(60, 1_000_000), Some(900));
        assert_eq!(name(60, 1_900_000), None);
    }

    #[test]
    fn addresses_have_ten_a_minute() {
        let at = |count, now_ms| {
            retry_after_s(
                "ip:::1",
                Failures {
                    count,
                    first_ms: 0,
                    last_ms: 30_000,
                },
                now_ms,
            )
        };
        assert_eq!(at(9, 30_000), None);
        assert_eq!(at(10, 30_000), Some(30));
        assert_eq!(at(10, 60_000), None);
    }
}
