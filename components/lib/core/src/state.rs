//! The words of the lifecycle: kinds, states, the state of a callback, and the error of a job.

use serde::{Deserialize, Serialize};

/// What a request asks for. The number is the `type` of the HTTP API and of the table `Messages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Readable text with Markdown and metadata.
    Text = 1,
    /// The page, decoded to UTF-8.
    Html = 2,
    /// The domains that the page relates to.
    Domains = 3,
}

impl Kind {
    /// All kinds, by number.
    pub const ALL: [Self; 3] = [Self::Text, Self::Html, Self::Domains];

    /// The number in the API and the database.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Text),
            2 => Some(Self::Html),
            3 => Some(Self::Domains),
            _ => None,
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// All values, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the API and the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The value with this word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where a message stands in its life.
    State {
        /// Waits to be claimed, or for a retry that is not due yet.
        Queued = "queued",
        /// Claimed by a worker that holds a lease.
        Processing = "processing",
        /// Has a result.
        Done = "done",
        /// Given up, with an error.
        Failed = "failed",
        /// Withdrawn by its owner.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether nothing more happens unless the owner asks for it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

words! {
    /// Where the callback of a message stands.
    CallbackStatus {
        /// No callback was asked for, or the message is not finished.
        None = "none",
        /// Waits to be sent, or to be tried again.
        Pending = "pending",
        /// The endpoint answered 2xx.
        Delivered = "delivered",
        /// Every try of the schedule failed.
        Failed = "failed",
        /// The endpoint was disabled (410, or days of failures).
        Disabled = "disabled",
    }
}

words! {
    /// How much effort extraction makes.
    Mode {
        /// The best text that the engine can find.
        Best = "best",
        /// The fast path.
        Fast = "fast",
    }
}

/// Why a job did not succeed; `permanent` says that trying again cannot help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
    /// Whether trying again cannot help.
    pub permanent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_round_trip() {
        for &state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        for &status in CallbackStatus::ALL {
            assert_eq!(CallbackStatus::parse(status.as_str()), Some(status));
        }
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(State::parse("leased"), None);
        assert_eq!(Kind::from_number(4), None);
    }
}
