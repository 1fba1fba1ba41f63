//! Requests to a component: read, answered, sent.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use spin_sdk::wasip3::{wit_future, wit_stream};
use trawl_app::api::{Answer, BODY_BYTES_MAX, Content, body_broken, body_too_large};
use trawl_app::ports::Body as _;

use crate::body::{SpinBody, stated_length};
use crate::detached::detach;

/// Why a request's body was not read to its end.
enum BodyRefused {
    TooLarge,
    Broken,
}

/// Reads a request, has it answered by `answer` unless its body is longer than [`BODY_BYTES_MAX`] or breaks off, and hands the
/// answer to the host. Who wants the answer's ring made makes it.
///
/// Both directions go without the SDK's own forms. Each word with the host is a call of it, and those ask for what no route needs; and
/// they say that no trailers follow only after the body was taken, by a task of its own, which is turns of the instance.
///
/// # Errors
/// The host gave a head, or `answer` an answer, that is no HTTP; the host then answers by itself.
pub async fn serve(
    request: Request,
    answer: impl AsyncFnOnce(http::Request<Bytes>) -> Answer,
) -> Result<Response, ErrorCode> {
    let head = head(&request)?;
    let is_head = *head.method() == http::Method::HEAD;
    let answer = match bounded_body(&head, request).await {
        Ok(body) => answer(head.map(|()| body)).await,
        Err(BodyRefused::TooLarge) => body_too_large(),
        Err(BodyRefused::Broken) => body_broken(),
    };
    respond(answer.response, is_head)
}

fn head(request: &Request) -> Result<http::Request<()>, ErrorCode> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = request
        .get_scheme()
        .and_then(|scheme| scheme.try_into().ok());
    uri.authority = request
        .get_authority()
        .and_then(|authority| authority.try_into().ok());
    uri.path_and_query = Some(match request.get_path_with_query() {
        Some(path) => path
            .try_into()
            .map_err(|_| ErrorCode::HttpRequestUriInvalid)?,
        None => PathAndQuery::from_static("/"),
    });
    if uri.scheme.is_none() || uri.authority.is_none() {
        // One without the other is no URI.
        (uri.scheme, uri.authority) = (None, None);
    }
    let method = request
        .get_method()
        .try_into()
        .map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let mut head = http::Request::new(());
    *head.uri_mut() = http::Uri::from_parts(uri).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    *head.method_mut() = method;
    let fields = request.get_headers().copy_all();
    let headers = head.headers_mut();
    headers.reserve(fields.len());
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(Bytes::from(value)))
        else {
            return Err(ErrorCode::HttpProtocolError);
        };
        headers.append(name, value);
    }
    Ok(head)
}

/// The body when it is not too long; refused at once when the length that the client states is too large already.
async fn bounded_body(head: &http::Request<()>, request: Request) -> Result<Bytes, BodyRefused> {
    let stated = stated_length(head.headers());
    if stated.is_some_and(|length| {
        usize::try_from(length).map_or(true, |length| length > BODY_BYTES_MAX)
    }) {
        return Err(BodyRefused::TooLarge);
    }
    let no_body = *head.method() == http::Method::GET || *head.method() == http::Method::HEAD;
    let mut body = SpinBody::of(request, if no_body { stated.or(Some(0)) } else { stated });
    let mut whole = Bytes::new();
    while let Some(piece) = body.chunk().await {
        let piece = piece.map_err(|_| BodyRefused::Broken)?;
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(BodyRefused::TooLarge);
        }
        whole = joined(whole, piece);
    }
    Ok(whole)
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

/// The answer in the host's form, with its length stated: without that the host would send it in chunks. `is_head` says that the body
/// was left out, so that its length is not known to be 0.
fn respond(answer: http::Response<Content>, is_head: bool) -> Result<Response, ErrorCode> {
    let (mut parts, body) = answer.into_parts();
    let forbidden = parts.status.is_informational() || parts.status == http::StatusCode::NO_CONTENT;
    if !(forbidden || is_head) {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(body.bytes()));
    }
    let headers = parts
        .headers
        .try_into()
        .map_err(|_| ErrorCode::HttpProtocolError)?;
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (writer, contents) = if body.bytes() == 0 {
        (None, None)
    } else {
        let (writer, contents) = wit_stream::new();
        (Some(writer), Some(contents))
    };
    let (response, _sent) = Response::new(headers, contents, trailers);
    if parts.status != http::StatusCode::OK {
        response
            .set_status_code(parts.status.as_u16())
            .map_err(|()| ErrorCode::HttpProtocolError)?;
    }
    if let Some(mut writer) = writer {
        detach(async move {
            for piece in body {
                // What nobody reads any more is of no interest: the client has gone.
                if !writer.write_all(piece.into()).await.is_empty() {
                    return;
                }
            }
        });
    }
    // That there are none is said at once, beside the body and not after it.
    drop(no_trailers);
    Ok(response)
}
