//! Redirects, followed by hand so that every rule holds on every hop.

use url::Url;

use crate::fetch_policy::{FetchCode, StatusClass, classify_status};
use crate::limits::fetch::{REDIRECTS_CALLBACK_MAX, REDIRECTS_ROBOTS_MAX, REDIRECTS_SCRAPE_MAX};
use crate::url_guard::{UrlPolicy, drop_trailing_dot};

/// What is fetched; it decides how many redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A page.
    Scrape,
    /// A robots.txt.
    Robots,
    /// A callback: never redirected.
    Callback,
}

impl Purpose {
    /// Redirects that are followed.
    #[must_use]
    pub const fn redirects_max(self) -> usize {
        match self {
            Self::Scrape => REDIRECTS_SCRAPE_MAX,
            Self::Robots => REDIRECTS_ROBOTS_MAX,
            Self::Callback => REDIRECTS_CALLBACK_MAX,
        }
    }
}

/// The methods that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Pages and robots.txt.
    Get,
    /// Nothing but headers.
    Head,
    /// Callbacks.
    Post,
}

/// A URL that redirected, and the status that it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where the redirect came from.
    pub url: Url,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// How the next request differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The method to use.
    pub method: Method,
    /// The origin (scheme, host, port) is another one.
    pub cross_origin: bool,
    /// The body, and the headers that describe it, are gone.
    pub drops_body: bool,
}

impl Next {
    /// Whether a header of the request before is sent again. `Host` and `Cookie` never are: the first follows from the
    /// URL, the second from the jar.
    #[must_use]
    pub fn keeps_header(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "host" | "cookie" | "cookie2" => false,
            // They speak for one origin. A validator of one URL says nothing about another origin's.
            "authorization" | "proxy-authorization" | "if-none-match" | "if-modified-since" => {
                !self.cross_origin
            }
            _ => {
                !(self.drops_body && (name.starts_with("content-") || name == "transfer-encoding"))
            }
        }
    }
}

/// One request's way through its redirects.
#[derive(Debug, Clone)]
pub struct Redirects<'p> {
    policy: &'p UrlPolicy,
    purpose: Purpose,
    method: Method,
    current: Url,
    chain: Vec<Hop>,
    /// The jar's revision at each hop of the chain: going back to a URL is no loop when a cookie was set in between.
    revisions: Vec<u32>,
}

impl<'p> Redirects<'p> {
    /// Begins at a URL that the policy was asked about already.
    #[must_use]
    pub const fn new(policy: &'p UrlPolicy, purpose: Purpose, method: Method, start: Url) -> Self {
        Self {
            policy,
            purpose,
            method,
            current: start,
            chain: Vec::new(),
            revisions: Vec::new(),
        }
    }

    /// The URL to fetch now; the final one when [`Self::follow`] answered `None`.
    #[must_use]
    pub const fn current(&self) -> &Url {
        &self.current
    }

    /// The URLs that redirected, in order.
    #[must_use]
    pub fn chain(&self) -> &[Hop] {
        &self.chain
    }

    /// Decides what an answer of [`Self::current`] leads to: `None` means that it is no redirect, `Some` that
    /// [`Self::current`] is now the next URL. `jar_revision` is [`crate::cookies::Jar::revision`] after the answer's
    /// cookies were kept (0 without a jar).
    ///
    /// A redirect without `Location` is no redirect.
    ///
    /// # Errors
    /// `too_many_redirects`, `redirect_loop`, `redirect_downgrade`, `redirect_invalid`, or what the policy says about
    /// the next URL.
    pub fn follow(
        &mut self,
        status: u16,
        location: Option<&str>,
        jar_revision: u32,
    ) -> Result<Option<Next>, FetchCode> {
        let (StatusClass::Redirect, Some(location)) = (classify_status(status), location) else {
            return Ok(None);
        };
        if self.chain.len() >= self.purpose.redirects_max() {
            return Err(FetchCode::TooManyRedirects);
        }
        let mut next = self
            .current
            .join(location)
            .map_err(|_| FetchCode::RedirectInvalid)?;
        next.set_fragment(None);
        self.policy
            .check(&next)
            .and_then(|()| drop_trailing_dot(&mut next))
            .map_err(|error| match FetchCode::from(error) {
                FetchCode::InvalidUrl => FetchCode::RedirectInvalid,
                code => code,
            })?;
        if self.current.scheme() == "https" && next.scheme() == "http" {
            return Err(FetchCode::RedirectDowngrade);
        }
        let previous = std::mem::replace(&mut self.current, next);
        let cross_origin = previous.origin() != self.current.origin();
        self.chain.push(Hop {
            url: previous,
            status,
        });
        self.revisions.push(jar_revision);
        if self.returns(jar_revision) {
            return Err(FetchCode::RedirectLoop);
        }
        let method = method_after(self.method, status);
        let drops_body = method != self.method;
        self.method = method;
        Ok(Some(Next {
            method,
            cross_origin,
            drops_body,
        }))
    }

    /// Whether the next URL was fetched before with the cookies that it would be fetched with now.
    fn returns(&self, jar_revision: u32) -> bool {
        let before = self.revisions.iter().zip(&self.chain).enumerate();
        // A hop was fetched with the cookies that stood after the hop before it.
        before.into_iter().any(|(i, (_, hop))| {
            let fetched_with = i.checked_sub(1).map_or(0, |before| self.revisions[before]);
            fetched_with == jar_revision && hop.url == self.current
        })
    }
}

/// RFC 9110 (15.4) and what browsers do: 301 and 302 turn a POST into a GET, 303 everything but HEAD.
const fn method_after(method: Method, status: u16) -> Method {
    match (status, method) {
        (301 | 302, Method::Post) => Method::Get,
        (303, Method::Post | Method::Get) => Method::Get,
        (_, method) => method,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn first(
        start: &str,
        status: u16,
        location: Option<&str>,
    ) -> Result<Option<String>, FetchCode> {
        let policy = UrlPolicy::default();
        let mut redirects = Redirects::new(&policy, Purpose::Scrape, Method::Get, url(start));
        let next = redirects.follow(status, location, 0)?;
        Ok(next.map(|_| redirects.current().to_string()))
    }

    #[test]
    fn each_status_and_location_is_decided() {
        let a = "https://a.example/x/y?q";
        for (status, location, wanted) in [
            (302, Some("/z"), Ok(Some("https://a.example/z"))),
            (301, Some("../odd"), Ok(Some("https://a.example/odd"))),
            (307, Some("?p#f"), Ok(Some("https://a.example/x/y?p"))),
            (
                308,
                Some("//b.example/ü"),
                Ok(Some("https://b.example/%C3%BC")),
            ),
            (
                303,
                Some("https://b.example:8443"),
                Ok(Some("https://b.example:8443/")),
            ),
            (302, None, Ok(None)),
            (200, Some("/z"), Ok(None)),
            (300, Some("/z"), Ok(None)),
            (304, Some("/z"), Ok(None)),
            (
                302,
                Some("http://b.example/"),
                Err(FetchCode::RedirectDowngrade),
            ),
            (302, Some("https://[::1"), Err(FetchCode::RedirectInvalid)),
            (
                302,
                Some("file:///etc/passwd"),
                Err(FetchCode::SchemeNotAllowed),
            ),
            (
                302,
                Some("https://169.254.169.254/"),
                Err(FetchCode::AddressNotAllowed),
            ),
            (
                302,
                Some("//ingest.spin.internal/"),
                Err(FetchCode::AddressNotAllowed),
            ),
            (
                302,
                Some("https://0x7f.1/"),
                Err(FetchCode::AddressNotAllowed),
            ),
            (
                302,
                Some("https://u:p@b.example/"),
                Err(FetchCode::UserinfoNotAllowed),
            ),
            (
                302,
                Some("https://b.example:22/"),
                Err(FetchCode::PortNotAllowed),
            ),
            (302, Some(""), Err(FetchCode::RedirectLoop)),
            (302, Some("#top"), Err(FetchCode::RedirectLoop)),
        ] {
            let wanted = wanted.map(|url| url.map(str::to_owned));
            assert_eq!(first(a, status, location), wanted, "{status} {location:?}");
        }
        assert_eq!(
            first("http://a.example/", 302, Some("https://a.example/"))
                .unwrap()
                .as_deref(),
            Some("https://a.example/")
        );
    }

    #[test]
    fn a_hop_is_dialled_without_its_trailing_dot() {
        for (location, wanted) in [
            ("//B.example.:8080/z", Ok("https://b.example:8080/z")),
            ("//b.example../", Err(FetchCode::RedirectInvalid)),
            ("https://localhost./", Err(FetchCode::AddressNotAllowed)),
            ("https://a.example./", Err(FetchCode::RedirectLoop)),
        ] {
            let wanted = wanted.map(|url| Some(url.to_owned()));
            let read = first("https://a.example/", 302, Some(location));
            assert_eq!(read, wanted, "{location}");
        }
    }

    #[test]
    fn every_bypass_spelling_is_refused_on_a_hop() {
        // Relative ones become paths of the page's own host, which is what a browser makes of them.
        for raw in crate::url_guard::tests::BYPASSES
            .iter()
            .filter(|raw| raw.starts_with("http://"))
        {
            assert_eq!(
                first("http://a.example/", 302, Some(raw)),
                Err(FetchCode::AddressNotAllowed),
                "{raw}"
            );
        }
    }

    #[test]
    fn chains_are_recorded_and_end_at_their_limit() {
        let policy = UrlPolicy::default();
        for (purpose, limit) in [
            (Purpose::Scrape, 10),
            (Purpose::Robots, 5),
            (Purpose::Callback, 0),
        ] {
            let mut redirects =
                Redirects::new(&policy, purpose, Method::Get, url("https://a.example/0"));
            for hop in 1..=limit {
                redirects.follow(302, Some(&format!("/{hop}")), 0).unwrap();
            }
            assert_eq!(
                redirects.follow(302, Some("/last"), 0),
                Err(FetchCode::TooManyRedirects)
            );
            assert_eq!(redirects.follow(200, None, 0), Ok(None));
            assert_eq!(redirects.chain().len(), limit);
            assert_eq!(redirects.current().path(), format!("/{limit}"));
            assert!(
                redirects
                    .chain()
                    .iter()
                    .enumerate()
                    .all(|(i, hop)| hop.url.path() == format!("/{i}") && hop.status == 302)
            );
        }
    }

    #[test]
    fn a_way_back_is_a_loop_unless_a_cookie_was_set() {
        let policy = UrlPolicy::default();
        let mut plain = Redirects::new(
            &policy,
            Purpose::Scrape,
            Method::Get,
            url("https://a.example/"),
        );
        plain.follow(302, Some("/b"), 0).unwrap();
        assert_eq!(
            plain.follow(302, Some("/"), 0),
            Err(FetchCode::RedirectLoop)
        );

        let mut cookie = Redirects::new(
            &policy,
            Purpose::Scrape,
            Method::Get,
            url("https://a.example/"),
        );
        assert!(
            cookie.follow(302, Some("/"), 1).unwrap().is_some(),
            "the page sets a cookie and asks again"
        );
        assert_eq!(
            cookie.follow(302, Some("/"), 1),
            Err(FetchCode::RedirectLoop),
            "nothing changed this time"
        );
    }

    #[test]
    fn methods_and_headers_follow_the_status_and_the_origin() {
        for (method, status, wanted) in [
            (Method::Post, 301, Method::Get),
            (Method::Post, 302, Method::Get),
            (Method::Post, 303, Method::Get),
            (Method::Post, 307, Method::Post),
            (Method::Post, 308, Method::Post),
            (Method::Head, 303, Method::Head),
            (Method::Get, 303, Method::Get),
            (Method::Head, 302, Method::Head),
        ] {
            assert_eq!(method_after(method, status), wanted, "{method:?} {status}");
        }
        let policy = UrlPolicy::default();
        let mut redirects = Redirects::new(
            &policy,
            Purpose::Scrape,
            Method::Get,
            url("http://a.example/"),
        );
        let same = redirects.follow(302, Some("/b"), 0).unwrap().unwrap();
        assert!(
            same.keeps_header("Authorization")
                && same.keeps_header("accept")
                && !same.keeps_header("Cookie")
        );
        let other = redirects
            .follow(302, Some("https://a.example/b"), 0)
            .unwrap()
            .unwrap();
        assert!(other.cross_origin, "another scheme is another origin");
        assert!(
            !other.keeps_header("Authorization")
                && !other.keeps_header("If-None-Match")
                && other.keeps_header("User-Agent")
        );
        assert!(!other.keeps_header("Host"));
        let dropped = Next {
            method: Method::Get,
            cross_origin: false,
            drops_body: true,
        };
        assert!(!dropped.keeps_header("Content-Type") && dropped.keeps_header("Accept"));
    }
}
