//! robots.txt (RFC 9309): what a host asks of us, and how long its word is kept.
//!
//! The reading follows Google's published parser where the RFC leaves room, forgiving spellings included. It differs
//! in one point, where the RFC is explicit (2.2.2): `%62` in a rule is the letter `b`.

mod pattern;
mod rules;
mod tags;

use serde::{Deserialize, Serialize};

pub use rules::{Rules, Verdict};
pub use tags::x_robots_tag;

use crate::limits::robots::UNREACHABLE_MS_MAX;

/// What was found at `/robots.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A text with rules.
    Rules,
    /// Nothing (4xx): everything is allowed.
    AllowAll,
    /// No answer, or one that says nothing (5xx, 429, too many redirects, a network error): nothing is allowed.
    Unreachable,
}

impl Found {
    /// What the final status of a fetch means; a redirect that is left over counts as unreachable.
    #[must_use]
    pub const fn from_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Rules,
            // 429 asks to come back later, it does not say that there are no rules.
            429 => Self::Unreachable,
            400..=499 => Self::AllowAll,
            _ => Self::Unreachable,
        }
    }

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::AllowAll => "allow_all",
            Self::Unreachable => "unreachable",
        }
    }

    /// The value with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Rules, Self::AllowAll, Self::Unreachable]
            .into_iter()
            .find(|found| found.as_str() == word)
    }
}

/// The state of one authority's robots.txt, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RobotsState {
    /// These rules hold.
    Rules(Rules),
    /// Everything is allowed.
    AllowAll,
    /// Nothing is allowed until the host answers.
    Unreachable,
}

/// The answer for one URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RobotsVerdict {
    /// It may be fetched.
    Allowed,
    /// A rule forbids it: `robots_disallowed`.
    Disallowed,
    /// Nobody knows yet: `robots_unreachable`.
    Unreachable,
}

impl RobotsState {
    /// From what was found, and the text when there is one. `product_token` is our name in robots.txt.
    #[must_use]
    pub fn new(found: Found, body: &[u8], product_token: &str) -> Self {
        match found {
            Found::Rules => Self::Rules(Rules::parse(body, product_token)),
            Found::AllowAll => Self::AllowAll,
            Found::Unreachable => Self::Unreachable,
        }
    }

    /// May this URL be fetched?
    #[must_use]
    pub fn verdict(&self, url: &url::Url) -> RobotsVerdict {
        // Asking for the rules is always allowed (RFC 9309, 2.2.2).
        if url.path() == "/robots.txt" {
            return RobotsVerdict::Allowed;
        }
        match self {
            Self::AllowAll => RobotsVerdict::Allowed,
            Self::Unreachable => RobotsVerdict::Unreachable,
            Self::Rules(rules) => match rules.verdict(url) {
                Verdict::Allowed => RobotsVerdict::Allowed,
                Verdict::Disallowed => RobotsVerdict::Disallowed,
            },
        }
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Rules(rules) => rules.bytes(),
            Self::AllowAll | Self::Unreachable => 0,
        }
    }

    /// The pause between two fetches that the host asks for, at most
    /// [`crate::limits::robots::CRAWL_DELAY_MS_MAX`].
    #[must_use]
    pub const fn crawl_delay_ms(&self) -> Option<u64> {
        match self {
            Self::Rules(rules) => rules.crawl_delay_ms(),
            Self::AllowAll | Self::Unreachable => None,
        }
    }
}

/// A host did not answer: what is to be done with the last rules it gave, if any. They stay in force (RFC 9309, 2.4
/// allows an old copy while the host is unreachable); without them nothing is allowed, and after 30 days without an
/// answer everything is (2.3.1.4). That it had no robots.txt is no copy of one: a host that is overloaded is left alone.
#[must_use]
pub fn while_unreachable(
    last_good: Option<RobotsState>,
    unreachable_since_ms: i64,
    now_ms: i64,
) -> RobotsState {
    if now_ms.saturating_sub(unreachable_since_ms) >= UNREACHABLE_MS_MAX {
        return RobotsState::AllowAll;
    }
    match last_good {
        Some(rules @ RobotsState::Rules(_)) => rules,
        _ => RobotsState::Unreachable,
    }
}

#[cfg(test)]
mod tests;
