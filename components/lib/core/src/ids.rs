//! Identifiers, each its own type so that a tenant is never mistaken for a message.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

/// By what name a worker of a replica claims. 48 of the `random` bits are used, so that no two workers are called the same.
#[must_use]
pub fn worker_name(replica: &str, random: u64) -> String {
    format!("{replica}/{:012x}", random >> 16)
}

id! {
    /// An account, which is the tenant of everything it requests.
    AccountId
}
id! {
    /// A request as recorded in the table `Messages`.
    MessageId
}
