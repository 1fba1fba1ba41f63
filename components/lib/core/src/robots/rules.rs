//! The rules of a robots.txt that are meant for us.

use url::Url;

use super::pattern::{Pattern, normalised};
use crate::limits::robots::{
    BODY_BYTES_MAX, CRAWL_DELAY_MS_MAX, LINE_BYTES_MAX, VERDICT_BYTES_MAX,
};

/// What the rules say about a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No rule forbids it, or a rule that is at least as specific allows it.
    Allowed,
    /// A rule forbids it.
    Disallowed,
}

/// What the allocator adds to an allocation, rounding included.
const ALLOCATION_BYTES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allows: bool,
    pattern: Pattern,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    rules: Vec<Rule>,
    crawl_delay_ms: Option<u64>,
}

/// The rules for one product token: those of every group that names it, else those of every group for `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    group: Group,
    bytes: usize,
}

/// What a name in a `User-agent` line is made of (RFC 9309, 2.2.1).
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-')
}

impl Rules {
    /// Reads the text of a robots.txt. There is no text that can't be read: lines that say nothing are skipped.
    #[must_use]
    pub fn parse(body: &[u8], product_token: &str) -> Self {
        let mut reader = Reader {
            token: product_token.as_bytes(),
            ..Reader::default()
        };
        for line in lines(without_mark(cut(body))) {
            reader.line(line);
        }
        let mut group = if reader.seen_specific {
            reader.specific
        } else {
            reader.global
        };
        // They are kept for long.
        group.rules.shrink_to_fit();
        let rules = group.rules.iter();
        let bytes = rules
            .map(|rule| rule.pattern.bytes() + size_of::<Rule>() + ALLOCATION_BYTES)
            .sum();
        Self { group, bytes }
    }

    /// May this URL be fetched?
    #[must_use]
    pub fn verdict(&self, url: &Url) -> Verdict {
        let mut path = url.path().to_owned();
        if let Some(query) = url.query() {
            path.push('?');
            path.push_str(query);
        }
        self.verdict_of_path(path.as_bytes())
    }

    /// The same for a path with its query, escaped or not; no path at all is the root. Rules that take more work than
    /// [`VERDICT_BYTES_MAX`] forbid: who writes such wants our time, and only that host's pages are lost by it.
    #[must_use]
    pub fn verdict_of_path(&self, path: &[u8]) -> Verdict {
        let path = normalised(if path.is_empty() { b"/" } else { path });
        let (mut longest, mut searched) = ((0, true), 0);
        for rule in &self.group.rules {
            let candidate = (rule.pattern.octets(), rule.allows);
            // On equal length `true` is greater: Allow wins ties. A shorter rule need not be tried at all.
            if candidate > longest && rule.pattern.matches(&path, &mut searched) {
                longest = candidate;
            }
            if searched > VERDICT_BYTES_MAX {
                return Verdict::Disallowed;
            }
        }
        if longest.1 {
            Verdict::Allowed
        } else {
            Verdict::Disallowed
        }
    }

    /// The pause between two fetches that is asked for, within the cap.
    #[must_use]
    pub const fn crawl_delay_ms(&self) -> Option<u64> {
        self.group.crawl_delay_ms
    }

    /// How many rules hold for us.
    #[must_use]
    pub fn len(&self) -> usize {
        self.group.rules.len()
    }

    /// Bytes of memory that the rules take, about: each has an allocation of its own.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no rule holds for us.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group.rules.is_empty()
    }
}

/// At most [`BODY_BYTES_MAX`], ending at a whole line, so that half a rule never counts.
fn cut(body: &[u8]) -> &[u8] {
    if body.len() <= BODY_BYTES_MAX {
        return body;
    }
    let head = &body[..BODY_BYTES_MAX];
    memchr::memrchr2(b'\n', b'\r', head).map_or(&[], |at| &head[..at])
}

/// Without a byte order mark, whole or in part.
fn without_mark(body: &[u8]) -> &[u8] {
    let shared = body
        .iter()
        .zip(b"\xEF\xBB\xBF")
        .take_while(|(a, b)| a == b)
        .count();
    &body[shared..]
}

/// Lines end with CR, LF or both; an empty line in between says nothing, so the pair needs no care.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|&b| b == b'\n' || b == b'\r')
        .map(|line| &line[..line.len().min(LINE_BYTES_MAX - 1)])
}

/// For whom the lines being read are meant.
#[derive(Debug, Clone, Copy, Default)]
struct Audience {
    global: bool,
    specific: bool,
    /// A line of the group's own was seen: the next `User-agent` begins a new group.
    closed: bool,
}

impl Audience {
    const fn name(&mut self, global: bool, specific: bool) {
        if self.closed {
            *self = Self {
                global: false,
                specific: false,
                closed: false,
            };
        }
        self.global |= global;
        self.specific |= specific;
    }
}

#[derive(Debug, Default)]
struct Reader<'a> {
    token: &'a [u8],
    global: Group,
    specific: Group,
    seen_specific: bool,
    /// For Allow and Disallow, which alone end the head of a group (RFC 9309, 2.2.1).
    rules_for: Audience,
    /// For Crawl-delay, which ends it too for its own purpose: a delay holds for the agents named just above it.
    delay_for: Audience,
}

impl Reader<'_> {
    fn line(&mut self, line: &[u8]) {
        let Some((key, value)) = key_and_value(line) else {
            return;
        };
        match key {
            Key::UserAgent => self.user_agent(value),
            Key::Allow => self.rule(true, value),
            Key::Disallow => self.rule(false, value),
            Key::CrawlDelay => self.crawl_delay(value),
        }
    }

    fn user_agent(&mut self, value: &[u8]) {
        // `*` may be followed by blanks and a remark; a name ends where its letters end ("Foo/1.2", "Foo Bar").
        let global =
            value.first() == Some(&b'*') && value.get(1).is_none_or(u8::is_ascii_whitespace);
        let end = value
            .iter()
            .position(|&b| !is_token_byte(b))
            .unwrap_or(value.len());
        let specific = !global && end > 0 && value[..end].eq_ignore_ascii_case(self.token);
        self.seen_specific |= specific;
        self.rules_for.name(global, specific);
        self.delay_for.name(global, specific);
    }

    fn rule(&mut self, allows: bool, value: &[u8]) {
        self.rules_for.closed = true;
        self.delay_for.closed = true;
        // "index.html" at the end of an Allow stands for its directory too, as Google reads it.
        let directory = allows.then(|| directory_of_index(value)).flatten();
        for pattern in [
            Pattern::parse(value),
            directory.and_then(|text| Pattern::parse(&text)),
        ]
        .into_iter()
        .flatten()
        {
            let rule = Rule { allows, pattern };
            if self.rules_for.global {
                self.global.rules.push(rule.clone());
            }
            if self.rules_for.specific {
                self.specific.rules.push(rule);
            }
        }
    }

    fn crawl_delay(&mut self, value: &[u8]) {
        self.delay_for.closed = true;
        let Some(delay_ms) = std::str::from_utf8(value).ok().and_then(seconds_as_ms) else {
            return;
        };
        let keep =
            |group: &mut Group| group.crawl_delay_ms = group.crawl_delay_ms.max(Some(delay_ms));
        if self.delay_for.global {
            keep(&mut self.global);
        }
        if self.delay_for.specific {
            keep(&mut self.specific);
        }
    }
}

/// "/a/index.html" and "/a/index.htm" as "/a/$".
fn directory_of_index(value: &[u8]) -> Option<Vec<u8>> {
    let slash = memchr::memrchr(b'/', value)?;
    let (directory, file) = value.split_at(slash + 1);
    file.starts_with(b"index.htm")
        .then(|| [directory, b"$"].concat())
}

/// Seconds with a fraction, never negative, within the cap.
fn seconds_as_ms(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let delay_ms = (text.parse::<f64>().ok()? * 1_000.0).min(CRAWL_DELAY_MS_MAX as f64);
    Some(delay_ms as u64)
}

#[derive(Debug, Clone, Copy)]
enum Key {
    UserAgent,
    Allow,
    Disallow,
    CrawlDelay,
}

/// Beginnings of keys, misspellings included that Google's parser found often enough to accept.
const KEYS: &[(&[u8], Key)] = &[
    (b"user-agent", Key::UserAgent),
    (b"useragent", Key::UserAgent),
    (b"user agent", Key::UserAgent),
    (b"allow", Key::Allow),
    (b"disallow", Key::Disallow),
    (b"dissallow", Key::Disallow),
    (b"dissalow", Key::Disallow),
    (b"disalow", Key::Disallow),
    (b"diasllow", Key::Disallow),
    (b"disallaw", Key::Disallow),
    (b"crawl-delay", Key::CrawlDelay),
    (b"crawldelay", Key::CrawlDelay),
];

/// A line without its comment, split at the colon; a forgotten colon is forgiven when there are just two words.
fn key_and_value(line: &[u8]) -> Option<(Key, &[u8])> {
    let line = memchr::memchr(b'#', line)
        .map_or(line, |at| &line[..at])
        .trim_ascii();
    let (key, value) = match memchr::memchr(b':', line) {
        Some(at) => (line[..at].trim_ascii(), line[at + 1..].trim_ascii()),
        None => {
            let blank = line.iter().position(u8::is_ascii_whitespace)?;
            let value = line[blank..].trim_ascii();
            if value.iter().any(u8::is_ascii_whitespace) {
                return None;
            }
            (&line[..blank], value)
        }
    };
    let (_, key) = KEYS.iter().find(|(start, _)| {
        key.get(..start.len())
            .is_some_and(|k| k.eq_ignore_ascii_case(start))
    })?;
    Some((*key, value))
}
