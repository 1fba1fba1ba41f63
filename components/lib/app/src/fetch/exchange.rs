//! One request to a site, up to the head of its answer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, COOKIE, LOCATION, SET_COOKIE, USER_AGENT};
use http::{HeaderName, HeaderValue, Response};
use trawl_core::cookies::Jar;
use trawl_core::fetch_policy::FetchCode;
use trawl_core::limits::outbound::{BETWEEN_BYTES_MS_MAX, CONNECT_MS_MAX, FIRST_BYTE_MS_MAX};
use trawl_core::redirect::{Redirects, Step};
use url::Url;

use super::{BodyOf, FetchError, location_text};
use crate::ports::{Clock as _, Http as _, Ports, Purpose, Timeouts};

/// Pages before anything else; the rest is still better than a refusal, which only our own check of the type would tell.
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

/// The timeouts of every exchange.
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(CONNECT_MS_MAX),
    first_byte: Duration::from_millis(FIRST_BYTE_MS_MAX),
    between_bytes: Duration::from_millis(BETWEEN_BYTES_MS_MAX),
};

/// A request under construction.
pub(super) struct Exchange(http::Request<Bytes>);

impl Exchange {
    pub(super) fn get(url: &Url, user_agent: &str, jar: &Jar) -> Result<Self, FetchError> {
        // The two crates agree on nearly every URL; where they do not, it can't be sent.
        let uri = http::Uri::try_from(url.as_str()).map_err(|_| FetchCode::InvalidUrl)?;
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let mut exchange = Self(request);
        exchange.0.headers_mut().insert(ACCEPT, ACCEPTED);
        exchange.0.headers_mut().insert(
            ACCEPT_ENCODING,
            HeaderValue::from_static(crate::decode::ACCEPT_ENCODING),
        );
        exchange.add(USER_AGENT, user_agent.as_bytes());
        if let Some(cookies) = jar.header(url) {
            exchange.add(COOKIE, &cookies);
        }
        Ok(exchange)
    }

    /// Adds a header; what no header may hold is left out.
    pub(super) fn add(&mut self, name: HeaderName, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.0.headers_mut().insert(name, value);
        }
    }
}

/// Sends it and waits for the head of the answer.
pub(super) async fn send<P: Ports>(
    ports: &P,
    purpose: Purpose,
    exchange: Exchange,
) -> Result<Response<BodyOf<P>>, FetchError> {
    let sent = ports.http().send(purpose, exchange.0, TIMEOUTS).await;
    sent.map_err(|error| FetchError::of_exchange(&error, false))
}

/// Keeps the cookies of an answer and decides what it leads to.
pub(super) fn follow<P: Ports>(
    ports: &P,
    redirects: &mut Redirects<'_>,
    jar: &mut Jar,
    answer: &Response<BodyOf<P>>,
) -> Result<Step, FetchCode> {
    for cookie in answer.headers().get_all(SET_COOKIE) {
        let now_ms = ports.clock().now_ms();
        jar.set(redirects.current(), cookie.as_bytes(), now_ms);
    }
    let location = answer.headers().get(LOCATION).map(location_text);
    let status = answer.status().as_u16();
    redirects.follow(status, location.as_deref(), jar.revision())
}
