//! Errors as RFC 9457 problems, in the shape of the contract.

use std::time::Duration;

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};

use crate::body::{Body, full};

/// The answer to a body that took too long: its own time was up, or that of the whole request.
pub(crate) const SLOW_BODY: Problem = Problem::new(
    StatusCode::REQUEST_TIMEOUT,
    "request_timeout",
    "The body of the request did not arrive in time.",
);

/// The answer when whoever was to answer failed.
pub const FAILED: Problem = Problem::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "internal",
    "The service failed on this request. It is logged; sent again it may fare better.",
);

/// An answer that the front door gives itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The stable code that clients may compare.
    pub code: &'static str,
    /// One sentence for people.
    pub detail: &'static str,
    /// When it is worth asking again.
    pub retry_after: Option<Duration>,
    /// The methods that the target has: a 405 must name them (RFC 9110, 15.5.6).
    pub allow: Option<&'static str>,
}

impl Problem {
    /// A problem without `Retry-After`.
    #[must_use]
    pub const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            code,
            detail,
            retry_after: None,
            allow: None,
        }
    }

    /// The same, naming the methods that the target has.
    #[must_use]
    pub const fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// The same, telling the client when to come back.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> String {
        // Every part is ours and needs no escaping, so no serializer is asked.
        format!(
            r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{}","success":false,"code":"{}"}}"#,
            self.status.canonical_reason().unwrap_or("Error"),
            self.status.as_u16(),
            self.detail,
            self.code
        )
    }

    /// The response.
    #[must_use]
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(full(self.json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds_up(after)));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        response
    }

    /// The response as bytes on the wire, for a connection that never reached the HTTP layer. It closes the connection.
    #[must_use]
    pub fn wire(&self) -> String {
        let body = self.json();
        let retry = self
            .retry_after
            .map(|after| format!("retry-after: {}\r\n", seconds_up(after)))
            .unwrap_or_default();
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\n{retry}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.status.as_u16(),
            self.status.canonical_reason().unwrap_or("Error"),
            body.len()
        )
    }
}

/// Whole seconds, rounded up and at least one: `Retry-After: 0` would invite a storm.
fn seconds_up(after: Duration) -> u64 {
    let whole = after.as_secs();
    (whole + u64::from(after.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_every_member_of_the_contract() {
        let problem = Problem::new(
            StatusCode::BAD_GATEWAY,
            "bad_gateway",
            "No replica answered.",
        )
        .retry_after(Duration::from_millis(1_200));
        let json: serde_json::Value = serde_json::from_str(&problem.json()).unwrap();
        assert_eq!(json["status"], 502);
        assert_eq!(json["success"], false);
        assert_eq!(json["code"], "bad_gateway");
        assert_eq!(json["title"], "Bad Gateway");
        assert!(json["type"].is_string() && json["detail"].is_string());
        let response = problem.response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert!(problem.wire().contains("retry-after: 2\r\n"));
    }
}
