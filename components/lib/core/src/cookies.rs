//! A small jar for the cookies that servers set while one job's redirects are followed; it is thrown away with the job.
//!
//! Every cookie is kept for the host that set it alone: `Domain` is not honoured, so no list of public suffixes is
//! needed and one site can't set cookies for another. Otherwise RFC 6265.

use url::Url;

use crate::limits::fetch::{COOKIE_BYTES_MAX, COOKIE_HEADER_BYTES_MAX, COOKIES_MAX};
use crate::retry_after::http_date_ms;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    host: String,
    path: String,
    secure: bool,
    name: String,
    value: String,
}

/// The cookies of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jar {
    cookies: Vec<Cookie>,
    revision: u32,
}

impl Jar {
    /// Rises whenever a cookie is added, changed or removed.
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// Keeps what one `Set-Cookie` field of an answer from `url` says. What can't be read is ignored, as in browsers.
    pub fn set(&mut self, url: &Url, field: &str, now_ms: i64) {
        let Some((cookie, expired)) = parse(url, field, now_ms) else {
            return;
        };
        let same =
            |c: &Cookie| c.host == cookie.host && c.path == cookie.path && c.name == cookie.name;
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
    pub fn header(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let mut sent: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|c| {
                c.host == host
                    && path_matches(url.path(), &c.path)
                    && (!c.secure || url.scheme() == "https")
            })
            .collect();
        // The more exact path first; the sort is stable, so older cookies stay before newer ones.
        sent.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        let mut header = String::new();
        for cookie in sent {
            let separator = if header.is_empty() { "" } else { "; " };
            if header.len() + separator.len() + cookie.name.len() + 1 + cookie.value.len()
                > COOKIE_HEADER_BYTES_MAX
            {
                break;
            }
            header.push_str(separator);
            header.push_str(&cookie.name);
            header.push('=');
            header.push_str(&cookie.value);
        }
        (!header.is_empty()).then_some(header)
    }
}

/// The cookie, and whether it is already over (which removes an older one of its name).
fn parse(url: &Url, field: &str, now_ms: i64) -> Option<(Cookie, bool)> {
    let mut parts = field.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_sound = !name.is_empty()
        && name.len() + value.len() <= COOKIE_BYTES_MAX
        && !name
            .bytes()
            .chain(value.bytes())
            .any(|b| b.is_ascii_control());
    if !is_sound {
        return None;
    }
    let mut cookie = Cookie {
        host: url.host_str()?.to_owned(),
        path: default_path(url.path()).to_owned(),
        secure: false,
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let (mut has_domain, mut max_age_s, mut expires_ms) = (false, None, None);
    for part in parts {
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
            "domain" => has_domain = !value.is_empty(),
            "max-age" => max_age_s = value.parse::<i64>().ok().or(max_age_s),
            "expires" => expires_ms = http_date_ms(value).or(expires_ms),
            _ => {}
        }
    }
    let over_https = url.scheme() == "https";
    let prefix_holds = match (starts_with(name, "__host-"), starts_with(name, "__secure-")) {
        (true, _) => cookie.secure && over_https && cookie.path == "/" && !has_domain,
        (_, true) => cookie.secure && over_https,
        _ => true,
    };
    if !prefix_holds || (cookie.secure && !over_https) || cookie.path.len() > COOKIE_BYTES_MAX {
        return None;
    }
    let expired = match (max_age_s, expires_ms) {
        (Some(seconds), _) => seconds <= 0,
        (None, Some(at_ms)) => at_ms <= now_ms,
        (None, None) => false,
    };
    Some((cookie, expired))
}

fn starts_with(name: &str, lower: &str) -> bool {
    name.as_bytes()
        .get(..lower.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(lower.as_bytes()))
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

    fn jar(from: &str, fields: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for field in fields {
            jar.set(&url(from), field, NOW_MS);
        }
        jar
    }

    fn sent(from: &str, field: &str, to: &str) -> Option<String> {
        jar(from, &[field]).header(&url(to))
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
            (
                "n=v; Path=/; Domain=a.example",
                "https://www.a.example/",
                false,
            ),
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
            assert_eq!(
                jar("https://a.example/", &[field]),
                Jar::default(),
                "{field:?}"
            );
        }
    }

    #[test]
    fn order_replacement_removal_and_revision() {
        let mut jar = jar(
            "https://a.example/x/",
            &["a=1; Path=/", "b=2", "a=3; Path=/"],
        );
        assert_eq!(
            jar.header(&url("https://a.example/x/")).as_deref(),
            Some("b=2; a=3")
        );
        assert_eq!(jar.revision(), 3);
        jar.set(&url("https://a.example/x/"), "b=2", NOW_MS);
        assert_eq!(jar.revision(), 3, "nothing changed");
        jar.set(&url("https://a.example/x/"), "b=; Max-Age=0", NOW_MS);
        assert_eq!(
            jar.header(&url("https://a.example/x/")).as_deref(),
            Some("a=3")
        );
        assert_eq!(jar.revision(), 4);
    }

    #[test]
    fn the_jar_and_its_header_are_bounded() {
        let mut jar = Jar::default();
        let value = "v".repeat(1_000);
        for i in 0..COOKIES_MAX * 2 {
            jar.set(&url("https://a.example/"), &format!("n{i}={value}"), NOW_MS);
        }
        assert_eq!(jar.cookies.len(), COOKIES_MAX);
        assert!(jar.header(&url("https://a.example/")).unwrap().len() <= COOKIE_HEADER_BYTES_MAX);
    }
}
