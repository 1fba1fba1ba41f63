//! `allowed_outbound_hosts`: where a component may connect to, by name. Addresses are checked when they are dialled.

/// Why an entry is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "allowed_outbound_hosts: {0:?} is not of the form scheme://host:port, each of which may be *"
)]
pub(crate) struct BadEntry(String);

/// The entries of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AllowedHosts(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    scheme: Option<String>,
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Under(String),
    Exactly(String),
}

impl AllowedHosts {
    /// Reads the entries, their templates filled in. One that came out empty allows nothing, as on Spin.
    ///
    /// # Errors
    /// An entry of another form.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, BadEntry> {
        let entries = entries.iter().filter(|entry| !entry.is_empty());
        entries
            .map(|entry| parse(entry).ok_or_else(|| BadEntry(entry.clone())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a connection of this kind may be made. `host` is as in a URL, an IPv6 address in brackets.
    pub(crate) fn permits(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| {
            entry
                .scheme
                .as_deref()
                .is_none_or(|allowed| allowed.eq_ignore_ascii_case(scheme))
                && entry.port.is_none_or(|allowed| allowed == port)
                && match &entry.host {
                    Host::Any => true,
                    Host::Exactly(allowed) => allowed.eq_ignore_ascii_case(host),
                    Host::Under(domain) => host
                        .len()
                        .checked_sub(domain.len() + 1)
                        .and_then(|dot| host.get(dot..))
                        .is_some_and(|end| {
                            end.starts_with('.') && end[1..].eq_ignore_ascii_case(domain)
                        }),
                }
        })
    }
}

fn parse(entry: &str) -> Option<Entry> {
    let (scheme, rest) = entry.split_once("://")?;
    // Credentials and what follows the port do not take part, so that a Redis address can be given as it is.
    let authority = rest.split(['/', '?']).next()?;
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, after)| after);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        Some("*") => None,
        Some(number) => Some(number.parse().ok()?),
        None if host == "*" && scheme == "*" => None,
        None => Some(default_port(scheme)?),
    };
    let host = match host.strip_prefix("*.") {
        _ if host == "*" => Host::Any,
        Some(domain) if !domain.is_empty() && !domain.contains('*') => {
            Host::Under(domain.to_owned())
        }
        None if !host.is_empty() && !host.contains('*') => Host::Exactly(host.to_owned()),
        _ => return None,
    };
    Some(Entry {
        scheme: (scheme != "*").then(|| scheme.to_owned()),
        host,
        port,
    })
}

/// The port that a URL means when it names none.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(80),
        "https" => Some(443),
        "redis" | "rediss" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> AllowedHosts {
        AllowedHosts::parse(
            &entries
                .iter()
                .map(|entry| (*entry).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap()
    }

    #[test]
    fn nothing_is_allowed_that_is_not_written() {
        assert!(!hosts(&[]).permits("http", "example.org", 80));
        assert!(!hosts(&[""]).permits("http", "example.org", 80));
    }

    #[test]
    fn a_star_stands_for_one_part() {
        let web = hosts(&["http://*:*", "https://*:*"]);
        assert!(web.permits("http", "example.org", 8080) && web.permits("https", "[::1]", 1));
        assert!(!web.permits("redis", "example.org", 6379));
        let secure = hosts(&["https://*"]);
        assert!(secure.permits("https", "a", 443) && !secure.permits("https", "a", 8443));
        let under = hosts(&["http://*.example.org"]);
        assert!(
            under.permits("http", "a.EXAMPLE.org", 80)
                && under.permits("http", "a.b.example.org", 80)
        );
        assert!(
            !under.permits("http", "example.org", 80)
                && !under.permits("http", "notexample.org", 80)
        );
    }

    #[test]
    fn a_redis_address_allows_its_server_only() {
        let redis = hosts(&["redis://user:pass@redis.example:6380/2?lane=1"]);
        assert!(redis.permits("redis", "redis.example", 6380));
        assert!(
            !redis.permits("redis", "redis.example", 6379)
                && !redis.permits("http", "redis.example", 6380)
        );
        assert!(hosts(&["redis://127.0.0.1"]).permits("redis", "127.0.0.1", 6379));
    }

    #[test]
    fn other_forms_are_refused() {
        for entry in [
            "example.org",
            "http://",
            "http://a:b",
            "foo://a",
            "http://*.",
            "http://a*b",
        ] {
            assert!(AllowedHosts::parse(&[entry.to_owned()]).is_err(), "{entry}");
        }
    }
}
