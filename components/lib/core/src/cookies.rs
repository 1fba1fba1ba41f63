//! A small jar for the cookies that servers set while one job's redirects are followed; it is thrown away with the job.
//!
//! RFC 6265. A `Domain` makes a cookie one of all hosts below it, so that `example.com` may send a visitor on to
//! `www.example.com`; where names are handed out to different people it does not, which only a list can tell. Names and values are
//! octets, which go back as they came.

use url::{Host, Url};

use crate::limits::fetch::{COOKIE_BYTES_MAX, COOKIE_HEADER_BYTES_MAX, COOKIES_MAX};
use crate::retry_after::http_date_ms;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    domain: String,
    /// For the host `domain` alone, not for those below it.
    host_only: bool,
    path: String,
    secure: bool,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The cookies of one job.
#[derive(Debug, Clone)]
pub struct Jar {
    is_public_suffix: fn(&str) -> bool,
    cookies: Vec<Cookie>,
    revision: u32,
}

impl Jar {
    /// An empty jar. `is_public_suffix` tells of a name in ASCII whether everybody may have a name below it (`com`,
    /// `co.uk`): no cookie is kept for all of those.
    #[must_use]
    pub const fn new(is_public_suffix: fn(&str) -> bool) -> Self {
        Self {
            is_public_suffix,
            cookies: Vec::new(),
            revision: 0,
        }
    }

    /// Rises whenever a cookie is added, changed or removed.
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// Keeps what one `Set-Cookie` field of an answer from `url` says. What can't be read is ignored, as in browsers.
    pub fn set(&mut self, url: &Url, field: &[u8], now_ms: i64) {
        let Some((cookie, expired)) = parse(url, field, now_ms, self.is_public_suffix) else {
            return;
        };
        let same = |c: &Cookie| {
            c.domain == cookie.domain
                && c.host_only == cookie.host_only
                && c.path == cookie.path
                && c.name == cookie.name
        };
        let at = self.cookies.iter().position(same);
        match (at, expired) {
            (Some(i), true) => {
                self.cookies.remove(i);
            }
            (Some(i), false) if self.cookies[i] == cookie => return,
            (Some(i), false) => self.cookies[i] = cookie,
            (None, true) => return,
            (None, false) if self.cookies.len() >= COOKIES_MAX => return,
            (None, false) => self.cookies.push(cookie),
        }
        self.revision = self.revision.saturating_add(1);
    }

    /// The `Cookie` field for a request to `url`, or `None` when there is nothing to send.
    #[must_use]
    pub fn header(&self, url: &Url) -> Option<Vec<u8>> {
        let host = url.host_str()?;
        let mut sent: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|c| {
                (c.domain == host || (!c.host_only && is_below(host, &c.domain)))
                    && path_matches(url.path(), &c.path)
                    && (!c.secure || url.scheme() == "https")
            })
            .collect();
        // The more exact path first; the sort is stable, so older cookies stay before newer ones.
        sent.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        let mut header = Vec::new();
        for cookie in sent {
            let separator: &[u8] = if header.is_empty() { b"" } else { b"; " };
            if header.len() + separator.len() + cookie.name.len() + 1 + cookie.value.len()
                > COOKIE_HEADER_BYTES_MAX
            {
                break;
            }
            header.extend_from_slice(separator);
            header.extend_from_slice(&cookie.name);
            header.push(b'=');
            header.extend_from_slice(&cookie.value);
        }
        (!header.is_empty()).then_some(header)
    }
}

/// The cookie, and whether it is already over (which removes an older one of its name).
fn parse(
    url: &Url,
    field: &[u8],
    now_ms: i64,
    is_public_suffix: fn(&str) -> bool,
) -> Option<(Cookie, bool)> {
    let mut parts = field.split(|byte| *byte == b';');
    let pair = parts.next()?;
    let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
    let (name, value) = (name.trim_ascii(), value[1..].trim_ascii());
    let is_sound = !name.is_empty()
        && name.len() + value.len() <= COOKIE_BYTES_MAX
        // Browsers let a tab pass, as does a field of HTTP.
        && !name
            .iter()
            .chain(value)
            .any(|b| b.is_ascii_control() && *b != b'\t');
    if !is_sound {
        return None;
    }
    let mut cookie = Cookie {
        domain: url.host_str()?.to_owned(),
        host_only: true,
        path: default_path(url.path()).to_owned(),
        secure: false,
        name: name.to_vec(),
        value: value.to_vec(),
    };
    let (mut domain, mut max_age_s, mut expires_ms) = (None, None, None);
    for part in parts {
        // What is no text is no attribute that we know, or has no value that we could use.
        let Ok(part) = std::str::from_utf8(part) else {
            continue;
        };
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => {
                cookie.path = if value.starts_with('/') {
                    value
                } else {
                    default_path(url.path())
                }
                .to_owned();
            }
            "secure" => cookie.secure = true,
            // The last one counts, and one without a value is none (5.2.3, 5.3).
            "domain" => {
                let name = value.strip_prefix('.').unwrap_or(value);
                domain = Some(name).filter(|name| !name.is_empty()).or(domain);
            }
            "max-age" => max_age_s = value.parse::<i64>().ok().or(max_age_s),
            "expires" => expires_ms = http_date_ms(value).or(expires_ms),
            _ => {}
        }
    }
    let over_https = url.scheme() == "https";
    let prefix_holds = match (
        starts_with(name, b"__host-"),
        starts_with(name, b"__secure-"),
    ) {
        (true, _) => cookie.secure && over_https && cookie.path == "/" && domain.is_none(),
        (_, true) => cookie.secure && over_https,
        _ => true,
    };
    if !prefix_holds || (cookie.secure && !over_https) || cookie.path.len() > COOKIE_BYTES_MAX {
        return None;
    }
    if let Some(domain) = domain {
        (cookie.domain, cookie.host_only) = scope(&cookie.domain, domain, is_public_suffix)?;
    }
    let expired = match (max_age_s, expires_ms) {
        (Some(seconds), _) => seconds <= 0,
        (None, Some(at_ms)) => at_ms <= now_ms,
        (None, None) => false,
    };
    Some((cookie, expired))
}

/// For which name a cookie with a `Domain` is, and whether for that host alone; `None` when `host` may not set it (RFC 6265, 5.3,
/// steps 5 and 6).
fn scope(host: &str, domain: &str, is_public_suffix: fn(&str) -> bool) -> Option<(String, bool)> {
    // The form that hosts of URLs have, whatever the server writes: in ASCII, in lower case.
    let (domain, is_name) = match Host::parse(domain).ok()? {
        Host::Domain(name) => (name, true),
        address => (address.to_string(), false),
    };
    if domain == host {
        // Nobody is below an address; a host that is itself such a suffix has cookies of its own.
        let host_only = !is_name || is_public_suffix(host);
        return Some((domain, host_only));
    }
    let is_shared = is_name && is_below(host, &domain) && !is_public_suffix(&domain);
    is_shared.then_some((domain, false))
}

/// RFC 6265 (5.1.3), without the name itself. No name of a URL that is read as a domain looks like an address, so no address is
/// below one.
fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|below| below.ends_with('.'))
}

fn starts_with(name: &[u8], lower: &[u8]) -> bool {
    name.get(..lower.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(lower))
}

/// RFC 6265 (5.1.4): the directory of the request's path.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// RFC 6265 (5.1.4).
fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// A list with three suffixes.
    fn is_suffix(name: &str) -> bool {
        matches!(name, "example" | "com" | "co.uk")
    }

    fn jar(from: &str, fields: &[&str]) -> Jar {
        let mut jar = Jar::new(is_suffix);
        for field in fields {
            jar.set(&url(from), field.as_bytes(), NOW_MS);
        }
        jar
    }

    fn sent(from: &str, field: &str, to: &str) -> Option<String> {
        header(&jar(from, &[field]), to)
    }

    fn header(jar: &Jar, to: &str) -> Option<String> {
        let header = jar.header(&url(to))?;
        Some(String::from_utf8(header).unwrap())
    }

    #[test]
    fn cookies_go_back_to_their_host_path_and_scheme_alone() {
        let from = "https://a.example/dir/page";
        for (field, to, goes) in [
            ("n=v", "https://a.example/dir/other", true),
            ("n=v", "https://a.example/dir", true),
            ("n=v", "https://a.example/dirty", false),
            ("n=v", "https://a.example/", false),
            ("n=v; Path=/", "https://a.example/x", true),
            ("n=v; path=relative", "https://a.example/dir/x", true),
            ("n=v; Path=/dir/", "https://a.example/dir/x", true),
            ("n=v; Path=/", "http://a.example:8080/x", true),
            ("n=v; Path=/; Secure", "http://a.example/x", false),
            ("n=v; Path=/; secure", "https://a.example/x", true),
            ("n=v; Path=/; Domain=example", "https://b.example/", false),
            ("n=v; Path=/; Domain=a.example", "https://a.example/", true),
            ("n=v; Path=/; Max-Age=0", "https://a.example/", false),
            ("n=v; Path=/; Max-Age=-1", "https://a.example/", false),
            ("n=v; Path=/; Max-Age=60", "https://a.example/", true),
            (
                "n=v; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT",
                "https://a.example/",
                false,
            ),
            (
                "n=v; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT",
                "https://a.example/",
                true,
            ),
            (
                "n=v; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=9",
                "https://a.example/",
                true,
            ),
            ("__Host-n=v; Path=/; Secure", "https://a.example/", true),
            (
                "__Host-n=v; Path=/dir; Secure",
                "https://a.example/dir",
                false,
            ),
            ("__HOST-n=v; Path=/", "https://a.example/", false),
            ("__Secure-n=v; Path=/", "https://a.example/", false),
        ] {
            assert_eq!(sent(from, field, to).is_some(), goes, "{field} -> {to}");
        }
        assert_eq!(
            sent("http://a.example/", "n=v; Secure", "https://a.example/"),
            None,
            "secure, set in the clear"
        );
    }

    #[test]
    fn a_domain_is_for_all_hosts_below_it_and_for_no_others() {
        for (from, domain, to, goes) in [
            ("a.com", "a.com", "a.com", true),
            ("a.com", "a.com", "www.a.com", true),
            ("a.com", ".A.Com", "x.www.a.com", true),
            ("www.a.com", "a.com", "a.com", true),
            ("www.a.com", "a.com", "shop.a.com", true),
            ("www.a.com", "a.com", "ba.com", false),
            ("www.a.com", "a.com", "b.com", false),
            ("www.a.com", "www.a.com", "a.com", false),
            ("a.com", "", "a.com", true),
            ("a.com", "", "www.a.com", false),
            ("a.com", ".", "www.a.com", false),
            ("www.a.com", "a.com; Domain=", "shop.a.com", true),
            ("www.a.com", "b.com; Domain=a.com", "shop.a.com", true),
            ("bücher.com", "bücher.com", "www.bücher.com", true),
            // Who may not speak for a name sets nothing at all.
            ("a.com", "b.com", "a.com", false),
            ("a.com", "www.a.com", "a.com", false),
            ("ba.com", "a.com", "a.com", false),
            ("a.com", "a.com.", "a.com", false),
            ("a.com", "a..com", "a.com", false),
            ("a.com", "a com", "a.com", false),
            // Super-cookies.
            ("a.com", "com", "b.com", false),
            ("a.com", "com", "a.com", false),
            ("a.com", ".com", "a.com", false),
            ("a.com", "com.", "b.com", false),
            ("a.co.uk", "co.uk", "b.co.uk", false),
            ("a.co.uk", "co.uk", "a.co.uk", false),
            ("a.co.uk", "a.co.uk", "www.a.co.uk", true),
            ("co.uk", "co.uk", "co.uk", true),
            ("co.uk", "co.uk", "a.co.uk", false),
            // Addresses.
            ("192.0.2.1", "192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "2.1", "192.0.2.1", false),
            ("192.0.2.1", "0.2.1", "192.0.2.1", false),
            ("[2001:db8::1]", "[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]", "1]", "[2001:db8::1]", false),
        ] {
            let field = format!("n=v; Path=/; Domain={domain}");
            assert_eq!(
                sent(
                    &format!("https://{from}/"),
                    &field,
                    &format!("https://{to}/")
                )
                .is_some(),
                goes,
                "{domain:?} of {from} for {to}"
            );
        }
        for (field, to, goes) in [
            ("n=v; Domain=a.com; Secure", "http://www.a.com/", false),
            ("n=v; Domain=a.com; Secure", "https://www.a.com/", true),
            ("n=v; Domain=a.com; Path=/x", "https://www.a.com/", false),
            (
                "__Host-n=v; Domain=a.com; Path=/; Secure",
                "https://a.com/",
                false,
            ),
            (
                "__Secure-n=v; Domain=a.com; Path=/; Secure",
                "https://www.a.com/",
                true,
            ),
        ] {
            assert_eq!(
                sent("https://a.com/", field, to).is_some(),
                goes,
                "{field} for {to}"
            );
        }
    }

    #[test]
    fn a_cookie_for_a_domain_replaces_none_of_a_host() {
        let mut jar = jar("https://a.com/", &["n=1", "n=2; Domain=a.com"]);
        assert_eq!(header(&jar, "https://a.com/").as_deref(), Some("n=1; n=2"));
        jar.set(
            &url("https://www.a.com/"),
            b"n=3; Domain=a.com; Max-Age=0",
            NOW_MS,
        );
        assert_eq!(header(&jar, "https://a.com/").as_deref(), Some("n=1"));
    }

    #[test]
    fn what_is_no_cookie_is_ignored() {
        for field in [
            "",
            "n",
            "=v",
            ";n=v",
            "n=\u{7}",
            "n=a\r\nX: y",
            &format!("n={}", "v".repeat(COOKIE_BYTES_MAX)),
        ] {
            assert_eq!(jar("https://a.example/", &[field]).cookies, [], "{field:?}");
        }
    }

    #[test]
    fn names_and_values_go_back_as_they_came() {
        for (field, wanted) in [
            (
                "stadt=München; Path=/".as_bytes(),
                "stadt=München".as_bytes(),
            ),
            (b"stadt=M\xfcnchen; Path=/", b"stadt=M\xfcnchen"),
            (b" \xff = a\tb ;Comment=\xff;Path=/;", b"\xff=a\tb"),
            (b"n=a=b", b"n=a=b"),
        ] {
            let mut jar = Jar::new(is_suffix);
            jar.set(&url("https://a.example/"), field, NOW_MS);
            let header = jar.header(&url("https://a.example/"));
            assert_eq!(header.as_deref(), Some(wanted), "{field:?}");
        }
    }

    #[test]
    fn order_replacement_removal_and_revision() {
        let mut jar = jar(
            "https://a.example/x/",
            &["a=1; Path=/", "b=2", "a=3; Path=/"],
        );
        assert_eq!(
            header(&jar, "https://a.example/x/").as_deref(),
            Some("b=2; a=3")
        );
        assert_eq!(jar.revision(), 3);
        jar.set(&url("https://a.example/x/"), b"b=2", NOW_MS);
        assert_eq!(jar.revision(), 3, "nothing changed");
        jar.set(&url("https://a.example/x/"), b"b=; Max-Age=0", NOW_MS);
        assert_eq!(header(&jar, "https://a.example/x/").as_deref(), Some("a=3"));
        assert_eq!(jar.revision(), 4);
    }

    #[test]
    fn the_jar_and_its_header_are_bounded() {
        let mut jar = Jar::new(is_suffix);
        let value = "v".repeat(1_000);
        for i in 0..COOKIES_MAX * 2 {
            let field = format!("n{i}={value}");
            jar.set(&url("https://a.example/"), field.as_bytes(), NOW_MS);
        }
        assert_eq!(jar.cookies.len(), COOKIES_MAX);
        assert!(jar.header(&url("https://a.example/")).unwrap().len() <= COOKIE_HEADER_BYTES_MAX);
    }
}
