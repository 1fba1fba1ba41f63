//! How a fetch may fail, and whether trying again can help. The one table of codes is kept beside the code, where users
//! read it; a test keeps it and [`TABLE`] the same.
//!
#![doc = include_str!("../ERRORS.md")]

use std::borrow::Cow;

use crate::state::JobError;
use crate::url_guard::UrlError;

macro_rules! codes {
    ($($variant:ident = $code:literal, $permanent:ident, $meaning:literal;)+) => {
        /// Why a fetch failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FetchCode {
            $(#[doc = $meaning] $variant,)+
            /// The server answered with this status, which is not a success.
            Http(u16),
        }

        /// Every code but `http_NNN`: the code, whether it is permanent, its meaning.
        pub const TABLE: &[(FetchCode, &str, bool, &str)] =
            &[$((FetchCode::$variant, $code, codes!(@ $permanent), $meaning),)+];
    };
    (@ permanent) => { true };
    (@ transient) => { false };
}

codes! {
    InvalidUrl = "invalid_url", permanent, "the URL can't be read";
    UrlTooLong = "url_too_long", permanent, "the URL is longer than 8,000 bytes";
    SchemeNotAllowed = "scheme_not_allowed", permanent, "neither http nor https";
    UserinfoNotAllowed = "userinfo_not_allowed", permanent, "a user name or password stands in the URL";
    PortNotAllowed = "port_not_allowed", permanent, "the port is not one of the open ones";
    AddressNotAllowed = "address_not_allowed", permanent, "the address is not allowed";
    Dns = "dns", transient, "the name could not be resolved";
    Connect = "connect", transient, "no connection could be made";
    ConnectionLost = "connection_lost", transient, "the connection ended before the answer did";
    Tls = "tls", permanent, "no secure connection could be made, or the certificate is not valid";
    Protocol = "protocol", transient, "the answer is not HTTP";
    TimeoutConnect = "timeout_connect", transient, "connecting took longer than 5 s";
    TimeoutFirstByte = "timeout_first_byte", transient, "the answer did not begin within 15 s";
    TimeoutBetweenBytes = "timeout_between_bytes", transient, "the answer paused for longer than 10 s, or a large one came too slowly";
    TimeoutTotal = "timeout_total", transient, "the whole fetch took longer than 45 s";
    HeadersTooLarge = "headers_too_large", permanent, "the answer's headers are larger than 64 KiB or more than 100";
    TooLarge = "too_large", permanent, "the body is larger than 10 MiB, or than 20 MiB once decoded, or comes in tiny pieces only";
    DecodeBomb = "decode_bomb", permanent, "the body grows more than a hundredfold when decoded, or is packed in more than 2,000 pieces";
    BadEncoding = "bad_encoding", transient, "the body does not decode as its Content-Encoding says";
    UnsupportedEncoding = "unsupported_encoding", permanent, "an unknown Content-Encoding, or more than two";
    UnsupportedContentType = "unsupported_content_type", permanent, "the content is not of a type that this scraper reads";
    TooManyRedirects = "too_many_redirects", permanent, "more redirects than allowed";
    RedirectLoop = "redirect_loop", permanent, "the redirects lead back to a URL that was visited";
    RedirectDowngrade = "redirect_downgrade", permanent, "a redirect leads from https to http";
    RedirectInvalid = "redirect_invalid", permanent, "a redirect leads to something that is not a URL";
    RobotsDisallowed = "robots_disallowed", permanent, "robots.txt does not allow the URL";
    RobotsUnreachable = "robots_unreachable", transient, "robots.txt could not be fetched, which means that nothing is allowed";
    InvalidSelector = "invalid_selector", permanent, "the CSS selector can't be read";
    Internal = "internal", transient, "a fault of this service";
}

impl FetchCode {
    fn row(self) -> Option<(&'static str, bool, &'static str)> {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .map(|&(_, code, permanent, meaning)| (code, permanent, meaning))
    }

    /// Stable, for programs.
    #[must_use]
    pub fn code(self) -> Cow<'static, str> {
        match (self, self.row()) {
            (Self::Http(status), _) => Cow::Owned(format!("http_{status}")),
            (_, Some((code, ..))) => Cow::Borrowed(code),
            (_, None) => Cow::Borrowed("internal"),
        }
    }

    /// Whether trying again cannot help.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        match self {
            Self::Http(status) => classify_status(status) != StatusClass::Transient,
            _ => self.row().is_some_and(|(_, permanent, _)| permanent),
        }
    }

    /// The code as the error of a job. `detail` is for people; without one the meaning from the table is used.
    #[must_use]
    pub fn job_error(self, detail: Option<String>) -> JobError {
        JobError {
            code: self.code().into_owned(),
            detail: detail.unwrap_or_else(|| self.to_string()),
            permanent: self.is_permanent(),
        }
    }
}

impl std::fmt::Display for FetchCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(status) => write!(f, "the server answered {status}"),
            _ => f.write_str(
                self.row()
                    .map_or("a fault of this service", |(_, _, meaning)| meaning),
            ),
        }
    }
}

impl std::error::Error for FetchCode {}

impl From<UrlError> for FetchCode {
    fn from(error: UrlError) -> Self {
        match error {
            UrlError::Invalid | UrlError::NoHost => Self::InvalidUrl,
            UrlError::TooLong => Self::UrlTooLong,
            UrlError::Scheme => Self::SchemeNotAllowed,
            UrlError::Userinfo => Self::UserinfoNotAllowed,
            UrlError::Port => Self::PortNotAllowed,
            UrlError::Address => Self::AddressNotAllowed,
        }
    }
}

/// What a status means for a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// 2xx: there is a page.
    Success,
    /// 304: what we have is still good.
    NotModified,
    /// 301, 302, 303, 307, 308.
    Redirect,
    /// Trying again cannot help.
    Permanent,
    /// 408, 425, 429 and 5xx: may succeed later.
    Transient,
}

/// Sorts a status. What HTTP does not know counts as permanent, since nothing says that it will pass.
#[must_use]
pub const fn classify_status(status: u16) -> StatusClass {
    match status {
        200..=299 => StatusClass::Success,
        304 => StatusClass::NotModified,
        301 | 302 | 303 | 307 | 308 => StatusClass::Redirect,
        408 | 425 | 429 | 500..=599 => StatusClass::Transient,
        _ => StatusClass::Permanent,
    }
}

/// Whether an answer that says when to come back says so for whatever is asked of the host, not for this page alone.
#[must_use]
pub const fn speaks_for_host(status: u16) -> bool {
    matches!(status, 429 | 503)
}

#[cfg(test)]
#[path = "fetch_policy_tests.rs"]
mod tests;
