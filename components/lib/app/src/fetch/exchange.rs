use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderName, HeaderValue, Response};
use trawl_core::fetch_policy::FetchCode;
use trawl_core::limits::outbound::{BETWEEN_BYTES_MS_MAX, CONNECT_MS_MAX, FIRST_BYTE_MS_MAX};
use url::Url;

use super::{BodyOf, FetchError};
use crate::ports::{Http as _, Ports, Purpose, Timeouts};

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
    pub(super) fn get(url: &Url, user_agent: &str) -> Result<Self, FetchError> {
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
        exchange.add(USER_AGENT, user_agent);
        Ok(exchange)
    }

    /// Adds a header; what no header may hold is left out.
    pub(super) fn add(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
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
