//! Values of the balance file that check themselves while they are read, so that an error names its line.

use std::time::Duration;

use http::{HeaderName, Uri};
use ipnet::IpNet;
use serde::Deserialize;
use trawl_core::address::parse_network;
use trawl_core::limits::balance as limits;
use trawl_core::limits::host::INSTANCE_MEMORY_MB;

/// A time as people write it: `500ms`, `10s`, `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a time; write for example \"500ms\", \"10s\" or \"2m\"");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit_ms = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => return Err(wrong()),
        };
        // An hour is far past every sensible setting, and keeps sums of times inside their type.
        match number.checked_mul(unit_ms) {
            Some(ms) if ms <= 3_600_000 => Ok(Self(Duration::from_millis(ms))),
            _ => Err(format!("{text:?} is longer than an hour")),
        }
    }
}

/// A time to wait or to repeat something in: not so short that nothing could happen in it, or that it never stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Wait(pub(crate) Duration);

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let span = Span::try_from(text)?.0;
        if span < Duration::from_millis(limits::WAIT_MS_MIN) {
            return Err(format!(
                "this time must be {} ms at least",
                limits::WAIT_MS_MIN
            ));
        }
        Ok(Self(span))
    }
}

/// Memory of one instance in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Memory(pub(crate) usize);

impl TryFrom<i64> for Memory {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let mib = usize::try_from(number).ok();
        mib.filter(|mib| INSTANCE_MEMORY_MB.contains(mib))
            .map(Self)
            .ok_or_else(|| {
                let (least, most) = INSTANCE_MEMORY_MB.into_inner();
                format!("memory_mb_max is from {least} to {most}")
            })
    }
}

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network(pub(crate) IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_network(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a network such as 10.0.0.0/8"))
    }
}

/// The share of a replica in all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Weight(pub(crate) u32);

impl TryFrom<i64> for Weight {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        u32::try_from(number)
            .ok()
            .filter(|weight| (1..=limits::WEIGHT_MAX).contains(weight))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "a weight is from 1 to {}; to give a replica nothing write drain = true",
                    limits::WEIGHT_MAX
                )
            })
    }
}

/// A count with a lower bound of one: a limit of nothing would be a standstill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Count(pub(crate) usize);

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        usize::try_from(number)
            .ok()
            .filter(|count| (1..=1_000_000).contains(count))
            .map(Self)
            .ok_or_else(|| "a limit is from 1 to 1000000".to_owned())
    }
}

/// A replica's id: it stands in answers, metrics and logs, and must need no escaping there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Id(pub(crate) String);

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is not an id: 1 to 64 of A-Z a-z 0-9 . _ -"
            ))
        }
    }
}

/// The address of a remote replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Origin {
    /// Host, as written.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// `host:port`, as a connect call wants it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not the address of a replica; write for example \"http://127.0.0.1:8001\""
            )
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some("http"), Some(authority), "/" | "") =
            (uri.scheme_str(), uri.authority(), uri.path())
        else {
            return Err(wrong());
        };
        if authority.as_str().contains('@') || uri.query().is_some() || authority.host().is_empty()
        {
            return Err(wrong());
        }
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
        })
    }
}

/// A header's name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Header(pub(crate) HeaderName);

impl TryFrom<String> for Header {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{text:?} is not a header's name"))
    }
}

/// What an active check asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CheckPath(pub(crate) String);

impl TryFrom<String> for CheckPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // A path that makes no request would fail every check, and take every replica out.
        if text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok() {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is not a path; write for example \"/readyz\""
            ))
        }
    }
}

/// A share in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Percent(pub(crate) u32);

impl TryFrom<i64> for Percent {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        u32::try_from(number)
            .ok()
            .filter(|percent| *percent <= limits::RETRY_PERCENT_MAX)
            .map(Self)
            .ok_or_else(|| format!("a share is from 0 to {}", limits::RETRY_PERCENT_MAX))
    }
}
