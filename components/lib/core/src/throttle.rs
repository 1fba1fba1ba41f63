//! The throttle of log-ins and registrations: asked before a password is hashed, keyed alike whether or not the name exists.

use std::net::IpAddr;

use crate::client;
use crate::limits::login::{
    ADDRESS_FAILURES_MAX, ADDRESS_WINDOW_MS, NAME_BASE_MS, NAME_CAP_MS, NAME_FORGIVEN_MS,
    NAME_FREE, REGISTRATION_WINDOW_MS, REGISTRATIONS_MAX,
};

const ADDRESS: &str = "ip:";
const REGISTRATION: &str = "reg:";

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

/// The key of failed log-ins with this name, whether or not an account has it.
#[must_use]
pub fn name_key(name: &str) -> String {
    format!("name:{name}")
}

/// The key of failed log-ins from the network of this address; `None` when they come from this machine, and are counted by name only:
/// behind a proxy here everybody's do.
#[must_use]
pub fn address_key(address: IpAddr) -> Option<String> {
    Some(format!("{ADDRESS}{}", client::counted(address)?))
}

/// The key of registrations from the network of this address; `None` when they come from this machine, and are not counted.
#[must_use]
pub fn registration_key(address: IpAddr) -> Option<String> {
    Some(format!("{REGISTRATION}{}", client::counted(address)?))
}

/// How many in how many milliseconds, for a key that names a network; `None` for one that names an account (`name:…`).
fn window(key: &str) -> Option<(u64, i64)> {
    if key.starts_with(ADDRESS) {
        Some((ADDRESS_FAILURES_MAX, ADDRESS_WINDOW_MS))
    } else if key.starts_with(REGISTRATION) {
        Some((REGISTRATIONS_MAX, REGISTRATION_WINDOW_MS))
    } else {
        None
    }
}

/// After how many milliseconds the count starts again: since the first failure, and since the last one.
#[must_use]
pub fn forgiven_after_ms(key: &str) -> (i64, i64) {
    match window(key) {
        Some((_, window_ms)) => (window_ms, i64::MAX),
        None => (i64::MAX, NAME_FORGIVEN_MS),
    }
}

/// Seconds until another try is allowed, `None` when it is now.
#[must_use]
pub fn retry_after_s(key: &str, failures: Failures, now_ms: i64) -> Option<u64> {
    let (free, since_ms, hold_ms) = match window(key) {
        Some((max, window_ms)) => (max, failures.first_ms, window_ms),
        None => {
            let doublings = failures.count.saturating_sub(NAME_FREE).min(30) as u32;
            let hold_ms = NAME_BASE_MS.saturating_mul(1 << doublings);
            (NAME_FREE, failures.last_ms, hold_ms.min(NAME_CAP_MS))
        }
    };
    if failures.count < free {
        return None;
    }
    // The clock was set back since: nobody knows how long ago that was. Whoever waited until then would be locked out for as long as the
    // step. This try is let through, and counts from the new time.
    if since_ms > now_ms {
        return None;
    }
    let wait_ms = since_ms.saturating_add(hold_ms).saturating_sub(now_ms);
    let wait_ms = u64::try_from(wait_ms).unwrap_or(0);
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
                "ip:192.0.2.1",
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
        assert_eq!(at(10, -90_000), None, "the clock was set back");
    }

    #[test]
    fn networks_have_twenty_registrations_an_hour() {
        let key = registration_key("192.0.2.1".parse().unwrap()).unwrap();
        let at = |count, now_ms| {
            let failures = Failures {
                count,
                first_ms: 0,
                last_ms: 30_000,
            };
            retry_after_s(&key, failures, now_ms)
        };
        assert_eq!(at(19, 30_000), None);
        assert_eq!(at(20, 30_000), Some(3_570));
        assert_eq!(at(20, 3_600_000), None);
        assert_eq!(forgiven_after_ms(&key), (3_600_000, i64::MAX));
    }

    #[test]
    fn keys_are_those_of_networks() {
        let [one, same, other] =
            ["2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());
        assert_eq!(address_key(one), address_key(same));
        assert_ne!(address_key(one), address_key(other));
        assert_eq!(registration_key(one), registration_key(same));
        assert_ne!(registration_key(one), registration_key(other));
        assert_eq!(
            address_key("::ffff:192.0.2.1".parse().unwrap()).as_deref(),
            Some("ip:192.0.2.1")
        );
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let here = here.parse().unwrap();
            assert_eq!((address_key(here), registration_key(here)), (None, None));
        }
    }
}
