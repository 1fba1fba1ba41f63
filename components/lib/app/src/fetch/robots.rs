//! The gate of robots.txt: asked on every hop, answered from memory, else from the database, else from the host.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use trawl_core::cookies::Jar;
use trawl_core::fetch_policy::{FetchCode, TABLE};
use trawl_core::limits::queue::RETRY_AFTER_MS_MAX;
use trawl_core::limits::robots::{
    ASKED_AGAIN_MS_MIN, BODY_BYTES_MAX, FRESH_MS, PACKED_BYTES_MAX, REMEMBERED_BYTES_MAX,
    REMEMBERED_MAX, UNREACHABLE_RETRY_MS,
};
use trawl_core::redirect::{Purpose as Chain, Redirects, Step};
use trawl_core::robots::{Found, RobotsState, RobotsVerdict, while_unreachable, x_robots_tag};
use trawl_core::url_guard::authority;
use trawl_extract::domains::is_public_suffix;
use trawl_store::{CachedRobots, FoundRobots, Store, StoreError};
use url::Url;

use super::body::read_beginning;
use super::exchange::{Exchange, follow, send};
use super::{FetchError, Turns, asked_ms};
use crate::decode::encodings;
use crate::patience::Breath;
use crate::ports::{Clock as _, Ports, Purpose};
use crate::settings::ScraperSettings;
use crate::slots::Slots;

/// The robots.txt of the authorities that one invocation has to do with.
pub(crate) struct RobotsGate<'a, P: Ports> {
    ports: &'a P,
    settings: &'a ScraperSettings,
    product_token: &'a str,
    remembered: RefCell<HashMap<String, Rc<Authority>>>,
    /// Found at hosts and not in the database yet.
    found: RefCell<Vec<FoundRobots>>,
    breath: Breath,
    /// In which pages are unpacked, too.
    turns: Rc<Turns>,
}

/// One authority. The slot makes sure that only one job asks and the others wait for its answer.
struct Authority {
    asking: Slots,
    answer: RefCell<Option<Rc<Answer>>>,
    /// What the database has of it, when that was looked up and not used yet.
    copy: RefCell<Option<Kept>>,
}

impl Authority {
    fn bytes(&self) -> usize {
        let answer = self.answer.borrow();
        let copy = self.copy.borrow();
        let copied = copy.as_ref().and_then(Option::as_ref);
        answer.as_ref().map_or(0, |answer| answer.state.bytes())
            + copied.map_or(0, |copied| copied.body.len())
    }
}

/// How a job comes out of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// The rules were known, or it asked for them and nobody else waited.
    AtOnce,
    /// Several waited for the rules. They must not all begin when these are there.
    Late,
    /// With it begins the pace that the rules ask for: the queue knows of this start.
    Started,
}

/// What asking for a robots.txt brings.
struct Brought {
    found: Found,
    body: Vec<u8>,
    /// For how long the host asks to be left alone, in milliseconds.
    asked_ms: Option<u64>,
}

impl Brought {
    const fn nothing(found: Found) -> Self {
        Self {
            found,
            body: Vec::new(),
            asked_ms: None,
        }
    }
}

/// The copy in the database, or that there is none.
type Kept = Option<CachedRobots>;

/// What holds for an authority.
struct Answer {
    state: RobotsState,
    /// Why a job fails while the rules are not known: the host's own failure where its pages could not be had either.
    cause: FetchCode,
    /// When a host that gives no answer is asked again; an invocation may go on for longer than that.
    again_ms: Option<u64>,
    /// Whether the queue was told of the pace that the rules ask for.
    is_paced: Cell<bool>,
}

impl<'a, P: Ports> RobotsGate<'a, P> {
    pub(super) fn new(ports: &'a P, settings: &'a ScraperSettings, turns: Rc<Turns>) -> Self {
        let product_token = product_token(&settings.user_agent);
        Self {
            ports,
            settings,
            product_token,
            remembered: RefCell::default(),
            found: RefCell::default(),
            breath: Breath::new(ports.clock()),
            turns,
        }
    }

    /// Looks up in one read what the database has of these URLs' hosts. What can't be looked up now is asked for one by one.
    pub(crate) async fn look_up(&self, urls: impl Iterator<Item = &Url>) {
        let mut asked = Vec::new();
        for url in urls {
            if !self.applies_to(url) {
                continue;
            }
            let key = authority(url);
            let known = self.authority(key.clone());
            if known.answer.borrow().is_none()
                && known.copy.borrow().is_none()
                && !asked.contains(&key)
            {
                asked.push(key);
            }
        }
        // One alone costs the same later.
        if asked.len() < 2 {
            return;
        }
        let Ok(copies) = self.store().robots_of(&asked).await else {
            return;
        };
        let mut copies: HashMap<String, CachedRobots> = copies.into_iter().collect();
        for key in asked {
            let copy = copies.remove(&key);
            self.authority(key).copy.replace(Some(copy));
        }
    }

    /// How many were found at hosts and are not in the database yet.
    pub(crate) fn found(&self) -> usize {
        self.found.borrow().len()
    }

    /// Writes them down for other workers. Whoever finds none there asks the host, so what can't be kept harms no job.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn keep_found(&self) -> Result<(), StoreError> {
        let found = self.found.take();
        if found.is_empty() {
            return Ok(());
        }
        self.store().put_robots(&found).await
    }

    fn applies_to(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        self.settings.robots.applies_to(host)
    }

    /// Whether `url` may be fetched. `pace_key` names its host to the queue.
    ///
    /// # Errors
    /// `robots_disallowed`, or why nobody can know: `robots_unreachable`, `dns`, `connect`, `address_not_allowed`, `tls`.
    pub(super) async fn check(&self, url: &Url, pace_key: &str) -> Result<Passed, FetchError> {
        if !self.applies_to(url) {
            return Ok(Passed::AtOnce);
        }
        let authority = self.authority(authority(url));
        let (answer, passed) = match self.known_of(&authority) {
            Some(answer) => (answer, Passed::AtOnce),
            None => self.ask_once(&authority, url, pace_key).await?,
        };
        let passed = if self.keep_pace(pace_key, &answer).await? {
            Passed::Started
        } else {
            passed
        };
        // Rules made to be slow take long to read and to ask, and a chain of redirects asks some on each hop.
        self.breath.take(self.ports.clock()).await;
        match answer.state.verdict(url) {
            RobotsVerdict::Allowed => Ok(passed),
            RobotsVerdict::Disallowed => Err(FetchCode::RobotsDisallowed.into()),
            RobotsVerdict::Unreachable => Err(self.unreachable(&answer)),
        }
    }

    /// What holds for an authority, as far as it is known.
    fn known_of(&self, authority: &Authority) -> Option<Rc<Answer>> {
        let answer = authority.answer.borrow().clone()?;
        let is_over = answer
            .again_ms
            .is_some_and(|again_ms| again_ms <= self.ports.clock().monotonic_ms());
        (!is_over).then_some(answer)
    }

    /// The error of a job while the rules are not known: it is tried again when the host is asked again.
    fn unreachable(&self, answer: &Answer) -> FetchError {
        let retry_after_ms = answer
            .again_ms
            .map(|again_ms| again_ms.saturating_sub(self.ports.clock().monotonic_ms()));
        FetchError {
            retry_after_ms,
            ..FetchError::from(answer.cause)
        }
    }

    /// What an answer's `X-Robots-Tag` says to us.
    pub(super) fn tags(&self, headers: &http::HeaderMap) -> Vec<String> {
        let fields = headers.get_all("x-robots-tag").iter();
        x_robots_tag(
            fields.filter_map(|value| value.to_str().ok()),
            self.product_token,
        )
    }

    fn authority(&self, key: String) -> Rc<Authority> {
        let mut remembered = self.remembered.borrow_mut();
        if remembered.len() >= REMEMBERED_MAX && !remembered.contains_key(&key) {
            remembered.clear();
        }
        let new = || {
            Rc::new(Authority {
                asking: Slots::new(1),
                answer: RefCell::default(),
                copy: RefCell::default(),
            })
        };
        Rc::clone(remembered.entry(key).or_insert_with(new))
    }

    async fn ask_once(
        &self,
        authority: &Authority,
        url: &Url,
        pace_key: &str,
    ) -> Result<(Rc<Answer>, Passed), FetchError> {
        let _turn = authority.asking.take().await;
        if let Some(answer) = self.known_of(authority) {
            return Ok((answer, Passed::Late));
        }
        let copy = authority.copy.take();
        let (answer, has_started) = self.answer(url, pace_key, copy).await?;
        let passed = if has_started {
            Passed::Started
        } else if authority.asking.are_waited_for() {
            Passed::Late
        } else {
            Passed::AtOnce
        };
        let answer = Rc::new(answer);
        authority.answer.replace(Some(Rc::clone(&answer)));
        if self.remembered_bytes() > REMEMBERED_BYTES_MAX {
            self.remembered.borrow_mut().clear();
        }
        Ok((answer, passed))
    }

    /// What the remembered rules, and the copies that nobody needed yet, take of the instance's memory.
    fn remembered_bytes(&self) -> usize {
        let remembered = self.remembered.borrow();
        remembered.values().map(|known| known.bytes()).sum()
    }

    /// From the database while the copy there is fresh, else from the host; and whether the pace that it asks for began with it.
    async fn answer(
        &self,
        url: &Url,
        pace_key: &str,
        copy: Option<Kept>,
    ) -> Result<(Answer, bool), FetchError> {
        let key = authority(url);
        let cached = match copy {
            Some(copy) => copy,
            None => self.store().robots(&key).await?,
        };
        let (known, body) = match &cached {
            Some(cached) => (Known::read(cached), cached.body.as_slice()),
            None => (Known::default(), &[][..]),
        };
        if let Some(cached) = &cached
            && (cached.fetched_ms..cached.expires_ms).contains(&cached.now_ms)
        {
            let answer = self.stored_answer(&known, body, cached.now_ms, cached.expires_ms);
            return Ok((answer, false));
        }
        match self.fetch(url).await {
            Ok(Brought { found, body, .. }) if found != Found::Unreachable => {
                let state = RobotsState::new(found, &body, self.product_token);
                let known = Known {
                    found: Some(found),
                    ..Known::default()
                };
                // First the pace: once the text is kept, nobody asks for a day.
                let has_started = self.set_pace(pace_key, &state, cached.is_some()).await?;
                self.keep(key, &known, &body, FRESH_MS);
                let answer = Answer {
                    state,
                    cause: FetchCode::RobotsUnreachable,
                    again_ms: None,
                    is_paced: Cell::new(true),
                };
                Ok((answer, has_started))
            }
            // The page can't be had either, and no later answer of robots.txt will change that.
            Err(error) if error.code.is_permanent() => Err(error),
            // The host was not even asked: it must not be left alone for it.
            Err(error) if error.code == FetchCode::Internal => Err(error),
            outcome => {
                let (code, asked_ms) = match outcome {
                    Ok(brought) => (FetchCode::RobotsUnreachable, brought.asked_ms),
                    Err(error) => (error.code, None),
                };
                let now_ms = cached
                    .as_ref()
                    .map_or_else(|| self.ports.clock().now_ms(), |cached| cached.now_ms);
                let (known, wait_ms) = known.unreachable(told_as(code), now_ms, asked_ms);
                self.keep(key, &known, body, wait_ms);
                let until_ms = now_ms.saturating_add(wait_ms);
                let answer = self.stored_answer(&known, body, now_ms, until_ms);
                Ok((answer, false))
            }
        }
    }

    fn stored_answer(&self, known: &Known, body: &[u8], now_ms: i64, expires_ms: i64) -> Answer {
        let last_good = known
            .found
            .map(|found| RobotsState::new(found, body, self.product_token));
        let state = match (known.unreachable_since_ms, last_good) {
            (Some(since_ms), last_good) => while_unreachable(last_good, since_ms, now_ms),
            (None, last_good) => last_good.unwrap_or(RobotsState::Unreachable),
        };
        let again_ms = known.unreachable_since_ms.map(|_| {
            let wait_ms = u64::try_from(expires_ms.saturating_sub(now_ms)).unwrap_or(0);
            self.ports.clock().monotonic_ms().saturating_add(wait_ms)
        });
        Answer {
            state,
            cause: known.cause,
            again_ms,
            is_paced: Cell::new(false),
        }
    }

    fn keep(&self, key: String, known: &Known, body: &[u8], ttl_ms: i64) {
        self.found.borrow_mut().push(FoundRobots {
            authority: key,
            state: known.written(),
            body: body.to_vec(),
            ttl_s: u32::try_from(ttl_ms / 1_000).unwrap_or(u32::MAX),
        });
    }

    fn store(&self) -> Store<'a, P::Sql> {
        Store::new(self.ports.sql())
    }

    /// A host that asks for pauses gets them, from every replica: the queue keeps the pace, until the host asks no more. Whether the first
    /// pause began with it.
    async fn set_pace(
        &self,
        host: &str,
        state: &RobotsState,
        was_known: bool,
    ) -> Result<bool, StoreError> {
        match state.crawl_delay_ms() {
            Some(gap_ms) => self.store().set_host_pace(host, gap_ms, 1, "robots").await,
            None if was_known => self.store().clear_host_pace(host).await.map(|()| false),
            // A new host has no pace of ours, and for each a statement would be spent on nothing.
            None => Ok(false),
        }
    }

    /// The same for rules that were kept when the pace was forgotten. Only a host whose rules ask for pauses costs a statement, and that
    /// once in an invocation.
    async fn keep_pace(&self, host: &str, answer: &Answer) -> Result<bool, StoreError> {
        if answer.state.crawl_delay_ms().is_none() || answer.is_paced.replace(true) {
            return Ok(false);
        }
        let set = self.set_pace(host, &answer.state, false).await;
        answer.is_paced.set(set.is_ok());
        set
    }

    /// Asks the host. Redirects may lead to other hosts; what is found there holds for the authority that was asked.
    async fn fetch(&self, url: &Url) -> Result<Brought, FetchError> {
        let mut start = url.clone();
        start.set_path("/robots.txt");
        start.set_query(None);
        let mut redirects = Redirects::new(&self.settings.urls, Chain::Robots, start);
        match self.fetch_along(&mut redirects).await {
            // The host itself answered. That it leads to one that can't be had, or that this answer can't be read, says nothing about
            // its pages (RFC 9309, 2.3.1.4).
            Err(error)
                if error.code.is_permanent()
                    && (!redirects.chain().is_empty() || is_of_an_answer(error.code)) =>
            {
                Ok(Brought::nothing(Found::Unreachable))
            }
            outcome => outcome,
        }
    }

    async fn fetch_along(&self, redirects: &mut Redirects<'_>) -> Result<Brought, FetchError> {
        // A host that shows nothing before a cookie was set does not except its robots.txt.
        let mut jar = Jar::new(is_public_suffix);
        let response = loop {
            let request = Exchange::get(redirects.current(), &self.settings.user_agent, &jar)?;
            let response = send(self.ports, Purpose::Robots, request).await?;
            match follow(self.ports, redirects, &mut jar, &response) {
                Ok(Step::Onward) => {}
                Ok(Step::Arrived) => break response,
                Err(_) => return Ok(Brought::nothing(Found::Unreachable)),
            }
        };
        let found = Found::from_status(response.status().as_u16());
        if found != Found::Rules {
            return Ok(Brought {
                asked_ms: asked_ms(response.headers(), self.ports.clock().now_ms()),
                ..Brought::nothing(found)
            });
        }
        let (parts, body) = response.into_parts();
        let Ok(encodings) = encodings(&parts.headers) else {
            return Ok(Brought::nothing(Found::Unreachable));
        };
        let bytes_max = if encodings.is_empty() {
            BODY_BYTES_MAX
        } else {
            PACKED_BYTES_MAX
        };
        let packed = read_beginning(self.ports.clock(), &parts, body, bytes_max).await?;
        let _turn = self.turns.take(None).await;
        match packed.unpack(self.ports.clock(), &encodings).await {
            Ok(unpacked) => Ok(Brought {
                body: cut_at_a_line(unpacked.body),
                ..Brought::nothing(Found::Rules)
            }),
            Err(_) => Ok(Brought::nothing(Found::Unreachable)),
        }
    }
}

/// A robots.txt longer than is read ends with the last whole line that fits (RFC 9309, 2.5). Lines end as where they are read,
/// also with a CR alone: else such a text would be cut to nothing, which allows everything.
fn cut_at_a_line(mut body: Vec<u8>) -> Vec<u8> {
    if body.len() >= BODY_BYTES_MAX {
        body.truncate(BODY_BYTES_MAX);
        let end = body
            .iter()
            .rposition(|byte| matches!(byte, b'\n' | b'\r'))
            .map_or(0, |at| at + 1);
        body.truncate(end);
    }
    body
}

/// The name by which robots.txt calls us: what stands before the version in our User-Agent (RFC 9309, 2.2.1). A crawler that calls itself a
/// browser gives its own name in the comment behind: `Mozilla/5.0 (compatible; Name/1.0; …)`.
fn product_token(user_agent: &str) -> &str {
    let first = leading_token(user_agent);
    let behind = user_agent
        .split_once("compatible;")
        .map_or("", |(_, name)| leading_token(name.trim_start()));
    match (first, behind) {
        ("", _) => "trawl",
        ("Mozilla", name) if !name.is_empty() => name,
        (first, _) => first,
    }
}

fn leading_token(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphabetic() && c != '_' && c != '-');
    &text[..end.unwrap_or(text.len())]
}

/// Whether the code says something of one answer only.
const fn is_of_an_answer(code: FetchCode) -> bool {
    matches!(code, FetchCode::HeadersTooLarge | FetchCode::TooLarge)
}

/// A host without a name or a listener has no pages either: saying so helps more than naming robots.txt.
const fn told_as(code: FetchCode) -> FetchCode {
    match code {
        FetchCode::Dns | FetchCode::Connect => code,
        _ => FetchCode::RobotsUnreachable,
    }
}

/// The word in the database's column `state`: what was last found, and since when the host gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    found: Option<Found>,
    unreachable_since_ms: Option<i64>,
    cause: FetchCode,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            found: None,
            unreachable_since_ms: None,
            cause: FetchCode::RobotsUnreachable,
        }
    }
}

impl Known {
    /// `rules`, `allow_all`, or `unreachable <since_ms> <last found or -> <code>`. What can't be read is nothing known.
    fn read(cached: &CachedRobots) -> Self {
        let mut words = cached.state.split(' ');
        let found = words.next().and_then(Found::parse);
        if found != Some(Found::Unreachable) {
            return Self {
                found,
                ..Self::default()
            };
        }
        let since_ms = words
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(cached.fetched_ms);
        let last = words.next().and_then(Found::parse);
        let code = words
            .next()
            .and_then(|word| TABLE.iter().find(|row| row.1 == word))
            .map(|row| row.0);
        Self {
            found: last,
            unreachable_since_ms: Some(since_ms),
            cause: code.unwrap_or(FetchCode::RobotsUnreachable),
        }
    }

    fn written(&self) -> String {
        let last = self.found.map_or("-", Found::as_str);
        match self.unreachable_since_ms {
            Some(since_ms) => format!(
                "{} {since_ms} {last} {}",
                Found::Unreachable.as_str(),
                self.cause.code()
            ),
            None => last.to_owned(),
        }
    }

    /// The same with the host silent from now on, or for longer already; and for how long it is left alone, which is no less than it
    /// asked for.
    fn unreachable(self, cause: FetchCode, now_ms: i64, asked_ms: Option<u64>) -> (Self, i64) {
        let since_ms = self.unreachable_since_ms.unwrap_or(now_ms);
        let asked_ms = asked_ms.map_or(0, |ms| ms.min(RETRY_AFTER_MS_MAX));
        let wait_ms = now_ms
            .saturating_sub(since_ms)
            .clamp(ASKED_AGAIN_MS_MIN, UNREACHABLE_RETRY_MS)
            .max(asked_ms.cast_signed());
        (
            Self {
                unreachable_since_ms: Some(since_ms),
                cause,
                ..self
            },
            wait_ms,
        )
    }
}

#[cfg(test)]
#[path = "robots_tests.rs"]
mod tests;
