//! Fetching a page: the part of a scraper that all three types share.
//!
//! One `Fetcher` serves one invocation. Each hop of a chain of redirects, those that pages ask for included, passes the same gates: the URL's text, the
//! host's robots.txt, and the address list of the host we run on. The body is counted while it arrives and again while
//! it is unpacked.

mod body;
mod conditional;
mod error;
mod exchange;
mod refresh;
mod robots;
mod starts;

use std::rc::Rc;

use http::header::{CONTENT_TYPE, IF_MODIFIED_SINCE, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use trawl_core::content_type::{self, ContentType, Form};
use trawl_core::cookies::Jar;
use trawl_core::fetch_policy::{FetchCode, StatusClass, classify_status, speaks_for_host};
use trawl_core::ids::AccountId;
use trawl_core::limits::scrape::{LARGE_BODIES_MAX, LARGE_BODIES_OF_ACCOUNT_MAX};
use trawl_core::redirect::{Purpose as Chain, Redirects, Step};
use trawl_core::retry_after::retry_after_ms;
use trawl_core::state::Kind;
use trawl_core::url_guard::pace_key;
use trawl_extract::charset::{self, Decoded, Hints};
use trawl_extract::domains::is_public_suffix;
use url::Url;

pub(crate) use conditional::Validators;
pub use error::{FetchError, TooEarly};
pub(crate) use exchange::TIMEOUTS;

use crate::decode::{Unpacked, encodings};
use crate::ports::{Clock as _, Http, Ports, Purpose};
use crate::settings::ScraperSettings;
use crate::slots::Slots;
use crate::turns;
use body::read_body;
use exchange::{Exchange, follow, send};
use robots::{Passed, RobotsGate};
use starts::Starts;

/// A page as the server sent it, unpacked.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where the redirects ended.
    pub final_url: Url,
    /// A success.
    pub status: u16,
    /// Of the last answer.
    pub headers: HeaderMap,
    /// Unpacked, not decoded to text.
    pub body: Vec<u8>,
    /// What the body is.
    pub form: Form,
    /// The same as it came, when that was plain gzip.
    pub gzip: Option<Vec<u8>>,
    /// The URLs that redirected, in order.
    pub redirects: Vec<Url>,
    /// The directives of `X-Robots-Tag` that are for everybody, or for us by the name in our User-Agent.
    pub robots_tags: Vec<String>,
}

impl Page {
    /// A header's value, when it is text.
    #[must_use]
    pub fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `Content-Type` as sent, empty when there is none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE).unwrap_or_default()
    }

    /// The charset that the server declares.
    pub(crate) fn declared_charset(&self) -> Option<String> {
        ContentType::parse(self.content_type())?.charset
    }

    /// What is known about the encoding beside the bytes.
    pub(crate) fn hints<'a>(&'a self, http_charset: Option<&'a str>) -> Hints<'a> {
        Hints {
            http_charset,
            tld: charset::tld(&self.final_url),
            form: self.form,
        }
    }

    /// The body as text, as a browser would read it.
    pub(crate) fn decode(&self) -> Decoded<'_> {
        let declared = self.declared_charset();
        charset::decode(&self.body, &self.hints(declared.as_deref()))
    }
}

/// What a page is fetched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand<'j> {
    /// The type of the job.
    pub(crate) kind: Kind,
    /// Whose job it is.
    pub(crate) account: AccountId,
    /// The name under which the queue keeps the pace of the job's host.
    pub(crate) pace_key: &'j str,
    /// What the page is known by.
    pub(crate) validators: Option<&'j Validators>,
}

/// The turn to work on a page: one at a time is unpacked and parsed. That is CPU work on one thread, so it costs nothing, and keeps one
/// page's memory instead of thirty's. A robots.txt is nobody's.
pub(crate) type Turn<'f> = turns::Turn<'f, Option<AccountId>>;
type Turns = turns::Turns<Option<AccountId>>;

/// What a fetch brings.
#[derive(Debug)]
pub(crate) enum Fetched<'f> {
    /// A page, and the turn in which it was unpacked. None is held for a small page that led nowhere.
    Page(Box<Page>, Option<Turn<'f>>),
    /// The page is still what the validators stand for.
    NotModified,
}

/// Where one request of a chain leads.
enum Hop<'f> {
    Onward,
    Page(Box<Page>, Turn<'f>),
    NotModified,
}

/// Whether there is nothing that could be read, today or ever: a download, or what may not be fetched. A status is an answer.
fn is_no_page(code: FetchCode) -> bool {
    code.is_permanent() && !matches!(code, FetchCode::Http(_))
}

/// Fetches pages for one invocation.
pub(crate) struct Fetcher<'a, P: Ports> {
    ports: &'a P,
    settings: &'a ScraperSettings,
    robots: RobotsGate<'a, P>,
    starts: Starts<'a, P>,
    large_bodies: Slots<AccountId>,
    turns: Rc<Turns>,
}

impl<'a, P: Ports> Fetcher<'a, P> {
    /// A fetcher with nothing remembered.
    pub(crate) fn new(ports: &'a P, settings: &'a ScraperSettings) -> Self {
        let turns = Rc::new(Turns::new());
        Self {
            ports,
            settings,
            robots: RobotsGate::new(ports, settings, Rc::clone(&turns)),
            starts: Starts::new(ports),
            large_bodies: Slots::shared(LARGE_BODIES_MAX, LARGE_BODIES_OF_ACCOUNT_MAX),
            turns,
        }
    }

    /// Waits for the turn to work on a page of `account`.
    pub(crate) async fn turn(&self, account: AccountId) -> Turn<'_> {
        self.turns.take(Some(account)).await
    }

    /// The robots.txt that this invocation has to do with.
    pub(crate) fn robots(&self) -> &RobotsGate<'a, P> {
        &self.robots
    }

    /// Fetches the page at `start`.
    ///
    /// # Errors
    /// [`FetchError`]. The caller holds the deadline.
    pub(crate) async fn page(
        &self,
        errand: Errand<'_>,
        start: Url,
    ) -> Result<Fetched<'_>, FetchError> {
        let mut redirects = Redirects::new(&self.settings.urls, Chain::Scrape, start);
        let mut jar = Jar::new(is_public_suffix);
        // Where this chain started, beside its own host.
        let mut begun = Vec::new();
        // A page that sends its visitor on, until what it leads to was read.
        let mut sent_on_by: Option<Box<Page>> = None;
        loop {
            let hop = self.hop(errand, &mut redirects, &mut jar, &mut begun).await;
            let (page, turn) = match (hop, sent_on_by.take()) {
                (Ok(Hop::Onward), before) => {
                    sent_on_by = before;
                    continue;
                }
                // To a download, or to what may not be fetched, today or ever: then what was read is all there is, as it is in a browser.
                (Err(error), Some(page)) if is_no_page(error.code) => {
                    return Ok(Fetched::Page(page, None));
                }
                (Ok(Hop::Page(nothing, _)), Some(page)) if nothing.body.is_empty() => {
                    return Ok(Fetched::Page(page, None));
                }
                (Err(error), _) => return Err(error),
                (Ok(Hop::NotModified), _) => return Ok(Fetched::NotModified),
                (Ok(Hop::Page(page, turn)), _) => (page, turn),
            };
            let next = refresh::target(&page)
                .and_then(|target| redirects.refreshed(&target, jar.revision()));
            let Some(next) = next else {
                return Ok(Fetched::Page(page, Some(turn)));
            };
            (redirects, sent_on_by) = (next, Some(page));
        }
    }

    /// One request of a chain, and what its answer leads to.
    async fn hop(
        &self,
        errand: Errand<'_>,
        redirects: &mut Redirects<'_>,
        jar: &mut Jar,
        begun: &mut Vec<String>,
    ) -> Result<Hop<'_>, FetchError> {
        let url = redirects.current();
        let host = pace_key(url);
        let passed = self.robots.check(url, &host).await?;
        // The claim of a job is its start at its own host, if it did not have to wait since.
        let is_elsewhere = host != errand.pace_key;
        let there = (is_elsewhere || passed == Passed::Late).then(|| self.starts.at(&host));
        let _visit = match &there {
            // One start is for all that a chain asks of a host, there as at its own. Else a host that leads from one of its pages to
            // another, and asks for long pauses, could never be had: with the first the second would be too early, each time.
            Some(there) if begun.contains(&host) => {
                Some(self.starts.visit_again(there, passed).await?)
            }
            Some(there) if is_elsewhere => {
                let visit = self.starts.visit(there, passed).await?;
                begun.push(host);
                Some(visit)
            }
            Some(there) => {
                self.starts.start_late(there).await?;
                None
            }
            None => None,
        };
        let conditional = errand
            .validators
            .filter(|validators| validators.stands_for(url));
        let response = self.ask(url, jar, conditional).await?;
        if follow(self.ports, redirects, jar, &response)? == Step::Onward {
            return Ok(Hop::Onward);
        }
        let status = response.status().as_u16();
        match classify_status(status) {
            StatusClass::Success => {
                let (page, turn) = self.read(errand, redirects, response).await?;
                Ok(Hop::Page(Box::new(page), turn))
            }
            StatusClass::NotModified if conditional.is_some() => Ok(Hop::NotModified),
            _ => Err(self.refusal(redirects.current(), status, response.headers())),
        }
    }

    async fn ask(
        &self,
        url: &Url,
        jar: &Jar,
        conditional: Option<&Validators>,
    ) -> Result<http::Response<BodyOf<P>>, FetchError> {
        let mut request = Exchange::get(url, &self.settings.user_agent, jar)?;
        if let Some(validators) = conditional {
            if let Some(etag) = &validators.etag {
                request.add(IF_NONE_MATCH, etag.as_bytes());
            }
            if let Some(since) = &validators.last_modified {
                request.add(IF_MODIFIED_SINCE, since.as_bytes());
            }
        }
        send(self.ports, Purpose::Page, request).await
    }

    /// What can be refused by the head is refused before a byte of the body is read.
    async fn read(
        &self,
        errand: Errand<'_>,
        redirects: &Redirects<'_>,
        response: http::Response<BodyOf<P>>,
    ) -> Result<(Page, Turn<'_>), FetchError> {
        let (mut parts, body) = response.into_parts();
        join_content_types(&mut parts.headers);
        let content_type = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        content_type::accept_header(errand.kind, content_type)?;
        let encodings = encodings(&parts.headers)?;
        let clock = self.ports.clock();
        let packed = read_body(clock, &parts, body, errand.account, &self.large_bodies).await?;
        let turn = self.turn(errand.account).await;
        let Unpacked { body, gzip } = packed.unpack(clock, &encodings).await?;
        let form = content_type::accept(errand.kind, content_type, &body)?;
        let page = Page {
            final_url: redirects.current().clone(),
            status: parts.status.as_u16(),
            robots_tags: self.robots.tags(&parts.headers),
            headers: parts.headers,
            body,
            form,
            gzip,
            redirects: redirects.chain().to_vec(),
        };
        Ok((page, turn))
    }

    fn refusal(&self, url: &Url, status: u16, headers: &HeaderMap) -> FetchError {
        FetchError {
            retry_after_ms: asked_ms(headers, self.ports.clock().now_ms()),
            // Not the job's host, when that redirects to another one.
            paused_host: speaks_for_host(status).then(|| pace_key(url)),
            ..FetchError::from(FetchCode::Http(status))
        }
    }
}

/// For how many milliseconds an answer asks that the host be left alone.
fn asked_ms(headers: &HeaderMap, now_ms: i64) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after_ms(value, now_ms)
}

/// The body type of these ports.
type BodyOf<P> = <<P as Ports>::Http as Http>::Body;

/// Several `Content-Type` fields count as one with commas, of which the last valid part counts (Fetch Standard, "extract a MIME type").
fn join_content_types(headers: &mut HeaderMap) {
    let fields = headers.get_all(CONTENT_TYPE).iter();
    let joined = fields.map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if joined.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&joined.join(&b", "[..]))
    {
        headers.insert(CONTENT_TYPE, joined);
    }
}

/// Browsers read a `Location` that is not ASCII as UTF-8. The bytes of one that is not UTF-8 either go back to the server as they
/// are, in the escaped form.
fn location_text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut escaped = String::new();
    for &byte in bytes {
        if byte.is_ascii() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
