use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::header::CONTENT_LENGTH;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, Request};

/// Why a request's body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    /// Longer than allowed: 413.
    #[error("the body is too large")]
    TooLarge,
    /// The client broke off or broke the protocol: 400.
    #[error("the body could not be read")]
    Broken,
}

/// The request's head, and its body when it has no more than `bytes_max` bytes.
///
/// # Errors
/// [`BodyRefused`], at once when the length that the client states is too large already.
pub async fn bounded_body(
    request: Request,
    bytes_max: usize,
) -> Result<http::Request<Bytes>, BodyRefused> {
    let (parts, body) = request.into_parts();
    let stated = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated
        .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max))
    {
        return Err(BodyRefused::TooLarge);
    }
    let no_body = parts.method == http::Method::GET || parts.method == http::Method::HEAD;
    if stated == Some(0) || (no_body && stated.is_none()) {
        return Ok(http::Request::from_parts(parts, Bytes::new()));
    }
    let mut pieces = body.stream();
    let mut whole = Bytes::new();
    // The host holds a client to the length that he states. Asking it for the end as well would be two more turns of the instance.
    while stated.is_none_or(|length| (whole.len() as u64) < length) {
        let Some(piece) = pieces.next().await else {
            break;
        };
        let piece = piece.map_err(|_| BodyRefused::Broken)?;
        if whole.len() + piece.len() > bytes_max {
            return Err(BodyRefused::TooLarge);
        }
        whole = joined(whole, piece);
    }
    Ok(http::Request::from_parts(parts, whole))
}

/// Both in one; a body that came in one piece, as nearly all do, is not copied.
fn joined(whole: Bytes, piece: Bytes) -> Bytes {
    if whole.is_empty() {
        return piece;
    }
    let mut whole = BytesMut::from(whole);
    whole.extend_from_slice(&piece);
    whole.freeze()
}

/// The answer in the SDK's form, with its length stated: without that the host would send it in chunks.
pub fn respond(response: http::Response<Bytes>) -> http::Response<FullBody<Bytes>> {
    let (mut parts, body) = response.into_parts();
    let forbidden = parts.status.is_informational() || parts.status == http::StatusCode::NO_CONTENT;
    if !forbidden {
        parts
            .headers
            .insert(CONTENT_LENGTH, http::HeaderValue::from(body.len()));
    }
    http::Response::from_parts(parts, FullBody::new(body))
}

/// The client's address as the host saw it. The host appends its header after the client's own, so only the last value counts.
pub fn client_address(headers: &http::HeaderMap) -> Option<IpAddr> {
    let value = headers
        .get_all("spin-client-addr")
        .iter()
        .next_back()?
        .to_str()
        .ok()?;
    value
        .parse::<std::net::SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| value.parse())
        .ok()
}
