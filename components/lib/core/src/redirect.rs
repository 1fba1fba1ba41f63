//! Redirects, followed by hand so that every rule holds on every hop. What is fetched is fetched with GET, and each hop's request
//! is made anew, so a redirect changes nothing but the URL; a callback goes where its owner said, nowhere else.

use url::Url;

use crate::fetch_policy::{FetchCode, StatusClass, classify_status};
use crate::limits::fetch::{REDIRECTS_ROBOTS_MAX, REDIRECTS_SCRAPE_MAX};
use crate::url_guard::{UrlPolicy, drop_trailing_dot, join};

/// What is fetched; it decides how many redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A page.
    Scrape,
    /// A robots.txt.
    Robots,
}

impl Purpose {
    /// Redirects that are followed.
    #[must_use]
    pub const fn redirects_max(self) -> usize {
        match self {
            Self::Scrape => REDIRECTS_SCRAPE_MAX,
            Self::Robots => REDIRECTS_ROBOTS_MAX,
        }
    }
}

/// What an answer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// It is no redirect: this is the end of the way.
    Arrived,
    /// [`Redirects::current`] is now the next URL.
    Onward,
}

/// One request's way through its redirects.
#[derive(Debug, Clone)]
pub struct Redirects<'p> {
    policy: &'p UrlPolicy,
    purpose: Purpose,
    current: Url,
    chain: Vec<Url>,
    /// The jar's revision at each hop of the chain: going back to a URL is no loop when a cookie was set in between.
    revisions: Vec<u32>,
}

impl<'p> Redirects<'p> {
    /// Begins at a URL that the policy was asked about already.
    #[must_use]
    pub const fn new(policy: &'p UrlPolicy, purpose: Purpose, start: Url) -> Self {
        Self {
            policy,
            purpose,
            current: start,
            chain: Vec::new(),
            revisions: Vec::new(),
        }
    }

    /// The URL to fetch now; the final one when [`Self::follow`] answered [`Step::Arrived`].
    #[must_use]
    pub const fn current(&self) -> &Url {
        &self.current
    }

    /// The URLs that redirected, in order.
    #[must_use]
    pub fn chain(&self) -> &[Url] {
        &self.chain
    }

    /// Decides what an answer of [`Self::current`] leads to. `jar_revision` is [`crate::cookies::Jar::revision`] after the
    /// answer's cookies were kept (0 without a jar).
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
    ) -> Result<Step, FetchCode> {
        let (StatusClass::Redirect, Some(location)) = (classify_status(status), location) else {
            return Ok(Step::Arrived);
        };
        if self.chain.len() >= self.purpose.redirects_max() {
            return Err(FetchCode::TooManyRedirects);
        }
        let mut next = join(&self.current, location).map_err(|_| FetchCode::RedirectInvalid)?;
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
        self.chain.push(previous);
        self.revisions.push(jar_revision);
        if self.returns(jar_revision) {
            return Err(FetchCode::RedirectLoop);
        }
        Ok(Step::Onward)
    }

    /// The way on when the page at [`Self::current`], which is no redirect, sends its visitor to `target` itself. `None` when that is
    /// the page again, or when a redirect would not be followed there: then the page stands for itself. The other arguments are
    /// those of [`Self::follow`].
    #[must_use]
    pub fn refreshed(&self, target: &str, jar_revision: u32) -> Option<Self> {
        let mut next = self.clone();
        // It is sent on to for this time, so 302 says it best.
        let step = next.follow(302, Some(target), jar_revision).ok()?;
        (step == Step::Onward && next.current != self.current).then_some(next)
    }

    /// Whether the next URL was fetched before with the cookies that it would be fetched with now.
    fn returns(&self, jar_revision: u32) -> bool {
        let before = self.revisions.iter().zip(&self.chain).enumerate();
        // A hop was fetched with the cookies that stood after the hop before it.
        before.into_iter().any(|(i, (_, url))| {
            let fetched_with = i.checked_sub(1).map_or(0, |before| self.revisions[before]);
            fetched_with == jar_revision && *url == self.current
        })
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
        let mut redirects = Redirects::new(&policy, Purpose::Scrape, url(start));
        let step = redirects.follow(status, location, 0)?;
        Ok((step == Step::Onward).then(|| redirects.current().to_string()))
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
    fn a_host_may_stand_behind_any_number_of_slashes() {
        for (location, wanted) in [
            ("///b.example/z", Ok("https://b.example/z")),
            (" \\/\\b.example/z", Ok("https://b.example/z")),
            ("////10.0.0.1/", Err(FetchCode::AddressNotAllowed)),
            ("///", Err(FetchCode::RedirectInvalid)),
        ] {
            let wanted = wanted.map(|url| Some(url.to_owned()));
            let read = first("https://a.example/", 302, Some(location));
            assert_eq!(read, wanted, "{location}");
        }
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
        for (purpose, limit) in [(Purpose::Scrape, 10), (Purpose::Robots, 5)] {
            let mut redirects = Redirects::new(&policy, purpose, url("https://a.example/0"));
            for hop in 1..=limit {
                let step = redirects.follow(302, Some(&format!("/{hop}")), 0);
                assert_eq!(step, Ok(Step::Onward));
            }
            assert_eq!(
                redirects.follow(302, Some("/last"), 0),
                Err(FetchCode::TooManyRedirects)
            );
            assert_eq!(redirects.follow(200, None, 0), Ok(Step::Arrived));
            assert_eq!(redirects.chain().len(), limit);
            assert_eq!(redirects.current().path(), format!("/{limit}"));
            assert!(
                redirects
                    .chain()
                    .iter()
                    .enumerate()
                    .all(|(i, url)| url.path() == format!("/{i}"))
            );
        }
    }

    #[test]
    fn a_way_back_is_a_loop_unless_a_cookie_was_set() {
        let policy = UrlPolicy::default();
        let mut plain = Redirects::new(&policy, Purpose::Scrape, url("https://a.example/"));
        assert_eq!(plain.follow(302, Some("/b"), 0), Ok(Step::Onward));
        assert_eq!(
            plain.follow(302, Some("/"), 0),
            Err(FetchCode::RedirectLoop)
        );

        let mut cookie = Redirects::new(&policy, Purpose::Scrape, url("https://a.example/"));
        assert_eq!(
            cookie.follow(302, Some("/"), 1),
            Ok(Step::Onward),
            "the page sets a cookie and asks again"
        );
        assert_eq!(
            cookie.follow(302, Some("/"), 1),
            Err(FetchCode::RedirectLoop),
            "nothing changed this time"
        );
    }

    #[test]
    fn a_page_that_sends_on_is_followed_where_a_redirect_is() {
        let policy = UrlPolicy::default();
        let page = Redirects::new(&policy, Purpose::Scrape, url("https://a.example/x?y"));
        for (target, wanted) in [
            ("/b#c", Some("https://a.example/b")),
            ("?z", Some("https://a.example/x?z")),
            ("http://b.example/", None),
            ("https://10.0.0.1/", None),
            ("https://u:p@b.example/", None),
            ("mailto:a@b.example", None),
            ("https://[", None),
            ("", None),
            ("?y#again", None),
        ] {
            for revision in [0, 1] {
                let next = page.refreshed(target, revision);
                assert_eq!(
                    next.as_ref().map(|next| next.current().as_str()),
                    wanted,
                    "{target}"
                );
                assert!(next.is_none_or(|next| next.chain().len() == 1));
            }
        }
        let mut on = page.refreshed("/1", 0).unwrap();
        assert!(on.refreshed("/x?y", 0).is_none(), "the way back is a loop");
        for hop in 2..=10 {
            on = on.refreshed(&format!("/{hop}"), 0).unwrap();
        }
        assert!(on.refreshed("/11", 0).is_none(), "one too many");
    }
}
