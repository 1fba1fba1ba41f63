//! Answers, and the one place where a problem becomes HTTP.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use trawl_core::limits::api::DATABASE_RETRY_S;
use trawl_core::problem::{Code, Problem};
use trawl_store::StoreError;
use trawl_wire::result::JsonPieces;

/// What an answer says. As an iterator: the pieces in which it is sent.
#[derive(Debug)]
pub enum Content {
    /// It is there as a whole, and is sent as one piece.
    Whole(Bytes),
    /// It is written while it is sent, so that nobody holds all of it until its reader has taken it.
    Pieces(JsonPieces),
}

impl Content {
    /// Bytes that it has in all; asked before the first piece is taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Whole(whole) => whole.len(),
            Self::Pieces(pieces) => pieces.bytes(),
        }
    }

    /// All of it as one.
    #[must_use]
    pub fn into_whole(self) -> Bytes {
        match self {
            Self::Whole(whole) => whole,
            Self::Pieces(pieces) => pieces.collect::<Vec<_>>().concat().into(),
        }
    }
}

impl Iterator for Content {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Whole(whole) => Some(std::mem::take(whole)).filter(|whole| !whole.is_empty()),
            Self::Pieces(pieces) => pieces.next().map(Bytes::from),
        }
    }
}

/// An answer, and the channel to ring once it is on its way.
#[derive(Debug)]
pub struct Answer {
    /// What the client gets.
    pub response: Response<Content>,
    /// The doorbell to ring after the answer (see [`crate::channels`]).
    pub ring: Option<&'static str>,
}

impl Answer {
    pub(super) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self::of(status, content_type, Content::Whole(body.into()))
    }

    /// The same of any content.
    pub(super) fn of(status: StatusCode, content_type: &'static str, content: Content) -> Self {
        let mut response = Response::new(content);
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            response,
            ring: None,
        }
    }

    /// Adds a header; a value that no header can hold is left out.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Nobody but the asker may keep it, and he need not.
    pub(super) fn private(mut self) -> Self {
        self.response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self
    }

    /// Rings `channel` once the answer is on its way.
    pub(super) const fn ringing(mut self, channel: &'static str) -> Self {
        self.ring = Some(channel);
        self
    }

    /// The same to a HEAD.
    pub(super) fn without_body(mut self) -> Self {
        *self.response.body_mut() = Content::Whole(Bytes::new());
        self
    }
}

/// JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Answer::new(status, "application/json", body),
        Err(error) => problem(&internal(&error)),
    }
}

/// 204.
pub(super) fn no_content() -> Answer {
    let mut response = Response::new(Content::Whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Answer {
        response,
        ring: None,
    }
}

/// The problem document with the headers that belong to its status.
pub(super) fn problem(problem: &Problem) -> Answer {
    let status =
        StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A struct of strings and numbers always serializes.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    // What is not there yet may be there a moment later, and a cache may keep a 404 or 410 (RFC 9110, section 15.1).
    let mut answer = Answer::new(status, "application/problem+json", body).private();
    let headers = answer.response.headers_mut();
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6750, section 3.1: a request without a token is told of no error.
        let challenge = match problem.code {
            Code::InvalidToken => r#"Bearer realm="trawl", error="invalid_token""#,
            _ => r#"Bearer realm="trawl""#,
        };
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

/// What went wrong goes to the log; the client learns that it was not his fault.
pub(super) fn internal(error: &dyn std::fmt::Display) -> Problem {
    eprintln!("internal error: {error}");
    Problem::new(
        Code::Internal,
        "This is a fault of the service; it was logged. Trying again may help.",
    )
}

/// A failed store operation as a problem.
pub(super) fn unavailable(error: StoreError) -> Problem {
    unavailable_after(error, "Nothing was changed; come again in a moment.")
}

/// The same with what happened before; `detail` says so.
pub(super) fn unavailable_after(error: StoreError, detail: &'static str) -> Problem {
    if error.is_retryable() {
        eprintln!("{error}");
        return Problem::new(Code::DatabaseUnavailable, detail).retry_after(DATABASE_RETRY_S);
    }
    internal(&error)
}
