//! What the operator set, looked at before anything is served.
//!
//! Components take the careful side of a value that they can't read, because they run under Spin too, where nobody looks at it before.
//! Here a typing mistake is told at the start, instead of being found out weeks later by a pace or a time that nobody set.

use http::Uri;
use trawl_core::limits::queue::HOST_GAP_MS_MAX;
use trawl_core::limits::scrape::{LEASE_S, LEASE_S_MIN};
use trawl_core::url_guard::Ports;
use trawl_store::Registration;

use crate::variables::Variables;

/// A value that can't be what was meant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the variable {name} can't be {value:?}: it has to be {wanted}")]
pub(crate) struct WrongValue {
    name: &'static str,
    value: String,
    wanted: String,
}

/// Refuses what the components could not use. What is empty is not set, and what the manifest does not have is not asked for.
///
/// # Errors
/// The first wrong value, with what it has to be.
pub(crate) fn check(variables: &Variables) -> Result<(), WrongValue> {
    for (name, is_right, wanted) in rules() {
        let value = variables.get(name).unwrap_or_default();
        if !value.is_empty() && !is_right(value) {
            return Err(WrongValue {
                name,
                value: value.to_owned(),
                wanted,
            });
        }
    }
    Ok(())
}

/// A variable, whether a value of it is right, and what a right one is.
type Rule = (&'static str, fn(&str) -> bool, String);

fn rules() -> [Rule; 12] {
    let count = || "a whole number".to_owned();
    let days = || format!("a whole number of days, up to {}", u32::MAX);
    [
        (
            "registration",
            is_registration,
            "open, first or closed".to_owned(),
        ),
        (
            "robots",
            is_robots,
            "on, off, or off:host,host, without ports".to_owned(),
        ),
        (
            "ports",
            is_ports,
            "any, or port numbers with commas between".to_owned(),
        ),
        ("result_days", is_days, days()),
        ("message_days", is_days, days()),
        (
            "lease_seconds",
            is_lease,
            format!("{LEASE_S_MIN} to {LEASE_S} seconds"),
        ),
        ("queue_max_account", is_number, count()),
        ("queue_max", is_number, count()),
        (
            "host_in_flight",
            is_positive,
            "a whole number from 1 on".to_owned(),
        ),
        (
            "host_gap_ms",
            is_gap,
            format!("a whole number of milliseconds, up to {HOST_GAP_MS_MAX}"),
        ),
        (
            "public_url",
            is_base_url,
            "an http or https URL without a user name, such as https://trawl.example.org"
                .to_owned(),
        ),
        (
            "user_agent",
            is_header,
            "printable ASCII, as in a header".to_owned(),
        ),
    ]
}

fn is_registration(value: &str) -> bool {
    Registration::parse(value.trim()).is_some()
}

fn is_robots(value: &str) -> bool {
    let is_name = |host: &str| !host.contains([':', '/', ' ']) || host.starts_with('[');
    let of_hosts = |hosts: &str| {
        !hosts.trim_matches([',', ' ']).is_empty() && hosts.split(',').map(str::trim).all(is_name)
    };
    let value = value.trim();
    matches!(value, "on" | "off") || value.strip_prefix("off:").is_some_and(of_hosts)
}

fn is_ports(value: &str) -> bool {
    Ports::parse(value).is_some()
}

fn number<N: std::str::FromStr>(value: &str) -> Option<N> {
    value.trim().parse().ok()
}

fn is_days(value: &str) -> bool {
    number::<u32>(value).is_some()
}

fn is_lease(value: &str) -> bool {
    number::<u32>(value).is_some_and(|seconds| (LEASE_S_MIN..=LEASE_S).contains(&seconds))
}

fn is_number(value: &str) -> bool {
    number::<u64>(value).is_some()
}

fn is_gap(value: &str) -> bool {
    number::<u64>(value).is_some_and(|ms| ms <= HOST_GAP_MS_MAX)
}

fn is_positive(value: &str) -> bool {
    number::<u64>(value).is_some_and(|number| number > 0)
}

fn is_base_url(value: &str) -> bool {
    let Ok(uri) = value.trim().parse::<Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
        && uri.query().is_none()
}

/// As it stands: components send it so, blanks and all.
fn is_header(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn checked(name: &str, value: &str) -> Result<(), WrongValue> {
        let declared =
            BTreeMap::from([(name.to_owned(), toml::from_str("default = \"\"").unwrap())]);
        let given = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check(&Variables::resolve(&declared, &given, |_| None).unwrap())
    }

    #[test]
    fn what_the_components_read_is_right() {
        for (name, value) in [
            ("registration", "first"),
            ("robots", "off:example.org, intern.example.net"),
            ("ports", "443, 3000"),
            ("ports", "any"),
            ("result_days", "0"),
            ("lease_seconds", "3"),
            ("queue_max", " 1000 "),
            ("host_gap_ms", "0"),
            ("public_url", "https://trawl.example.org:8443/base/"),
            ("user_agent", "bot/1 (+mailto:a@example.org)"),
            ("host_in_flight", ""),
            ("of_another_application", "anything"),
        ] {
            assert_eq!(checked(name, value), Ok(()), "{name}={value}");
        }
    }

    #[test]
    fn what_they_could_not_use_is_told_with_what_it_has_to_be() {
        for (name, value) in [
            ("registration", "opne"),
            ("robots", "of"),
            ("robots", "off:"),
            ("robots", "off:example.org:8080"),
            ("robots", "off:example.org example.net"),
            ("ports", "443;3000"),
            ("result_days", "-1"),
            ("message_days", "3 weeks"),
            ("lease_seconds", "1"),
            ("queue_max_account", "1e6"),
            ("host_in_flight", "0"),
            ("host_gap_ms", "100ms"),
            ("host_gap_ms", "86400001"),
            ("public_url", "trawl.example.org"),
            ("public_url", "ftp://trawl.example.org"),
            ("public_url", "https://user:secret@trawl.example.org"),
            ("user_agent", "bot\u{7}"),
            ("user_agent", "bot/1\n"),
            ("user_agent", "büt/1"),
            ("message_days", "5000000000"),
        ] {
            let told = checked(name, value).unwrap_err().to_string();
            assert!(told.contains(name) && told.contains("has to be"), "{told}");
        }
        let told = checked("host_gap_ms", "100ms").unwrap_err().to_string();
        assert_eq!(
            told,
            "the variable host_gap_ms can't be \"100ms\": it has to be a whole number of milliseconds, up to 86400000"
        );
    }
}
