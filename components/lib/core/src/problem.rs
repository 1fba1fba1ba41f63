//! Every error answer of the API: one table of stable codes, and the RFC 9457 document.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A stable error code; clients may branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the table in `entry` says what each means, in words that the client sees"
)]
pub enum Code {
    InvalidJson,
    InvalidRequest,
    EmailTaken,
    UnsupportedGrantType,
    InvalidCredentials,
    MissingToken,
    InvalidToken,
    RegistrationClosed,
    NotFound,
    NotReady,
    Failed,
    Cancelled,
    MethodNotAllowed,
    NotAcceptable,
    IdempotencyConflict,
    WrongState,
    Expired,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidField,
    InvalidUrl,
    InvalidCallbackUrl,
    InvalidEmail,
    WeakPassword,
    TooManyAttempts,
    Busy,
    QueueFull,
    TenantQueueFull,
    KeyLimit,
    Internal,
    DatabaseUnavailable,
    NotConfigured,
}

impl Code {
    /// All codes, in the order of their statuses.
    pub const ALL: [Self; 32] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::EmailTaken,
        Self::UnsupportedGrantType,
        Self::InvalidCredentials,
        Self::MissingToken,
        Self::InvalidToken,
        Self::RegistrationClosed,
        Self::NotFound,
        Self::NotReady,
        Self::Failed,
        Self::Cancelled,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::IdempotencyConflict,
        Self::WrongState,
        Self::KeyLimit,
        Self::Expired,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidField,
        Self::InvalidUrl,
        Self::InvalidCallbackUrl,
        Self::InvalidEmail,
        Self::WeakPassword,
        Self::TooManyAttempts,
        Self::Busy,
        Self::QueueFull,
        Self::TenantQueueFull,
        Self::Internal,
        Self::DatabaseUnavailable,
        Self::NotConfigured,
    ];

    /// HTTP status, code, title.
    #[expect(
        clippy::too_many_lines,
        reason = "a table: one line for each code, kept in one place"
    )]
    const fn entry(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidJson => (400, "invalid_json", "The body is not valid JSON"),
            Self::InvalidRequest => (400, "invalid_request", "The request is not valid"),
            Self::EmailTaken => (400, "email_taken", "The e-mail is already registered"),
            Self::UnsupportedGrantType => (
                400,
                "unsupported_grant_type",
                "Only the password grant is supported",
            ),
            Self::InvalidCredentials => (
                401,
                "invalid_credentials",
                "The name or the password is wrong",
            ),
            Self::MissingToken => (401, "missing_token", "A Bearer token is needed"),
            Self::InvalidToken => (401, "invalid_token", "The Bearer token is not valid"),
            Self::RegistrationClosed => (403, "registration_closed", "Registration is closed"),
            Self::NotFound => (404, "not_found", "There is nothing here"),
            Self::NotReady => (404, "not_ready", "The result is not ready yet"),
            Self::Failed => (404, "failed", "The message failed and has no result"),
            Self::Cancelled => (
                404,
                "cancelled",
                "The message was cancelled and has no result",
            ),
            Self::MethodNotAllowed => (
                405,
                "method_not_allowed",
                "The route does not know this method",
            ),
            Self::NotAcceptable => (
                406,
                "not_acceptable",
                "The result cannot be had in this form",
            ),
            Self::IdempotencyConflict => (
                409,
                "idempotency_conflict",
                "The Idempotency-Key was used with another body",
            ),
            Self::WrongState => (
                409,
                "wrong_state",
                "The message's state does not allow this",
            ),
            Self::KeyLimit => (
                409,
                "key_limit",
                "The account has as many API keys as it may have",
            ),
            Self::Expired => (
                410,
                "expired",
                "The result was kept for its time and is gone",
            ),
            Self::BodyTooLarge => (413, "body_too_large", "The body is too large"),
            Self::UnsupportedMediaType => (
                415,
                "unsupported_media_type",
                "The body's content type is not supported",
            ),
            Self::InvalidField => (
                422,
                "invalid_field",
                "A field is missing or has a wrong value",
            ),
            Self::InvalidUrl => (422, "invalid_url", "The URL cannot be scraped"),
            Self::InvalidCallbackUrl => (
                422,
                "invalid_callback_url",
                "The callback URL cannot be used",
            ),
            Self::InvalidEmail => (422, "invalid_email", "The e-mail address is not valid"),
            Self::WeakPassword => (422, "weak_password", "The password is too weak"),
            Self::TooManyAttempts => (
                429,
                "too_many_attempts",
                "Too many attempts to log in or to register",
            ),
            Self::Busy => (429, "busy", "Too many requests at once"),
            Self::QueueFull => (429, "queue_full", "The queue is full"),
            Self::TenantQueueFull => (
                429,
                "tenant_queue_full",
                "The account has too many messages waiting",
            ),
            Self::Internal => (500, "internal", "Something went wrong here"),
            Self::DatabaseUnavailable => (
                503,
                "database_unavailable",
                "The database cannot be used now",
            ),
            Self::NotConfigured => (503, "not_configured", "The deployment is not configured"),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.entry().0
    }

    /// The code as sent.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.entry().1
    }

    /// The title, the same for every occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.entry().2
    }
}

/// One error answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.text())]
pub struct Problem {
    /// What happened.
    pub code: Code,
    /// What happened here, and what to do about it.
    pub detail: String,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// When to come again, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem; `detail` says what to do.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            field: None,
            retry_after_s: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub const fn at(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Says when to come again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A reference to the page for people, where each code has its paragraph (RFC 9457 3.1.1 allows relative ones).
        map.serialize_entry("type", &format_args!("/#{}", self.code.text()))?;
        map.serialize_entry("title", self.code.title())?;
        map.serialize_entry("status", &self.code.status())?;
        map.serialize_entry("detail", &self.detail)?;
        map.serialize_entry("success", &false)?;
        map.serialize_entry("code", self.code.text())?;
        if let Some(field) = self.field {
            map.serialize_entry("field", field)?;
        }
        if let Some(seconds) = self.retry_after_s {
            map.serialize_entry("retry_after", &seconds)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_ordered() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(
            Code::ALL
                .windows(2)
                .all(|pair| pair[0].status() <= pair[1].status())
        );
    }

    #[test]
    fn the_document() {
        let problem = Problem::new(Code::TooManyAttempts, "wait")
            .at("username")
            .retry_after(7);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({"type": "/#too_many_attempts", "title": "Too many attempts to log in or to register", "status": 429, "detail": "wait",
                "success": false, "code": "too_many_attempts", "field": "username", "retry_after": 7})
        );
    }
}
