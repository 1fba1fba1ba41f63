//! Requests of a component to the web.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, RequestOptions, Response, Trailers};
use spin_sdk::wasip3::{wit_future, wit_stream};
use spin_sdk::wit_bindgen::{FutureReader, StreamReader};
use trawl_app::ports::{Http, Phase, Purpose, SendError, Timeouts};

use crate::body::{SpinBody, stated_length};

/// Outbound HTTP by the host's client.
#[derive(Default)]
pub struct SpinHttp {
    /// The timeouts used last, in the host's form: nearly all requests have the same, and a copy is one call instead of four.
    options: RefCell<Option<(Timeouts, RequestOptions)>>,
}

impl SpinHttp {
    fn options(&self, timeouts: Timeouts) -> RequestOptions {
        if let Some((known, options)) = &*self.options.borrow()
            && *known == timeouts
        {
            return options.clone();
        }
        let options = request_options(timeouts);
        self.options.replace(Some((timeouts, options.clone())));
        options
    }
}

impl Http for SpinHttp {
    type Body = SpinBody<Response>;

    /// The host knows which component asks, so `_purpose` needs no telling: callbacks and pages are different components.
    async fn send(
        &self,
        _purpose: Purpose,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<SpinBody<Response>>, SendError> {
        let sent = exchange(request, self.options(timeouts)).await;
        read_head(sent.map_err(before_the_body)?)
    }
}

async fn exchange(
    request: http::Request<Bytes>,
    options: RequestOptions,
) -> Result<Response, ErrorCode> {
    let (mut parts, body) = request.into_parts();
    let (mut writer, mut contents) = (None, None);
    if !body.is_empty() {
        // With the length stated: some servers refuse a POST in chunks.
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let (writes, reads) = wit_stream::new();
        (writer, contents) = (Some(writes), Some(reads));
    }
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let request = into_wasi(parts, contents, trailers, options)?;
    let mut writing = pin!(async move {
        if let Some(mut writer) = writer {
            // What nobody reads any more is of no interest: the answer tells why.
            let _unread = writer.write_all(body.into()).await;
        }
        drop(no_trailers);
    });
    let mut sending = pin!(client::send(request));
    let mut is_written = false;
    // In this order: of a request that it knows already the host takes all at once, without another turn of this instance. And no more
    // often than needed: each look at what is under way is a call of the host.
    poll_fn(|context| {
        let sent = sending.as_mut().poll(context);
        if sent.is_pending() && !is_written {
            is_written = writing.as_mut().poll(context).is_ready();
        }
        sent
    })
    .await
}

fn request_options(timeouts: Timeouts) -> RequestOptions {
    let options = RequestOptions::new();
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).ok();
    // A host that supports none of these refuses the call; the caller's own deadline still holds.
    let _ = options.set_connect_timeout(ns(timeouts.connect));
    let _ = options.set_first_byte_timeout(ns(timeouts.first_byte));
    let _ = options.set_between_bytes_timeout(ns(timeouts.between_bytes));
    options
}

/// Built by hand: the SDK would open a stream for every request, and start a task that writes to it. What is the default already is
/// not said once more: each word is a call of the host.
fn into_wasi(
    parts: http::request::Parts,
    contents: Option<StreamReader<u8>>,
    trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
    options: RequestOptions,
) -> Result<Request, ErrorCode> {
    let headers = parts
        .headers
        .try_into()
        .map_err(|_| ErrorCode::HttpProtocolError)?;
    let (request, _sent) = Request::new(headers, contents, trailers, Some(options));
    if parts.method != http::Method::GET {
        request
            .set_method(&parts.method.into())
            .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    }
    request
        .set_scheme(parts.uri.scheme().map(Into::into).as_ref())
        .map_err(|()| ErrorCode::HttpProtocolError)?;
    request
        .set_authority(parts.uri.authority().map(http::uri::Authority::as_str))
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    request
        .set_path_with_query(
            parts
                .uri
                .path_and_query()
                .map(http::uri::PathAndQuery::as_str),
        )
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    Ok(request)
}

fn read_head(response: Response) -> Result<http::Response<SpinBody<Response>>, SendError> {
    let status = http::StatusCode::from_u16(response.get_status_code())
        .map_err(|_| SendError::Protocol("the status code is not valid".to_owned()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in response.get_headers().copy_all() {
        // A header that HTTP does not allow is left out; the page may still be good.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(&value),
        ) {
            headers.append(name, value);
        }
    }
    let left = body_length(status, &headers);
    let mut head = http::Response::new(SpinBody::of(response, left));
    *head.status_mut() = status;
    *head.headers_mut() = headers;
    Ok(head)
}

/// How long the body is, when that is known: none where none can be.
fn body_length(status: http::StatusCode, headers: &HeaderMap) -> Option<u64> {
    match status {
        http::StatusCode::NO_CONTENT | http::StatusCode::NOT_MODIFIED => Some(0),
        _ => stated_length(headers),
    }
}

fn before_the_body(error: ErrorCode) -> SendError {
    into_send_error(error, Phase::FirstByte)
}

/// `phase` is where a silent peer was waited for.
pub(crate) fn into_send_error(error: ErrorCode, phase: Phase) -> SendError {
    match error {
        ErrorCode::DestinationIpProhibited | ErrorCode::HttpRequestDenied => {
            SendError::AddressNotAllowed
        }
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound => {
            SendError::Dns
        }
        ErrorCode::ConnectionTerminated => SendError::Lost(error.to_string()),
        ErrorCode::ConnectionRefused
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable => SendError::Connect(error.to_string()),
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => SendError::Tls(error.to_string()),
        ErrorCode::ConnectionTimeout => SendError::Timeout(Phase::Connect),
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => SendError::Timeout(phase),
        ErrorCode::HttpResponseHeaderSectionSize(_) | ErrorCode::HttpResponseHeaderSize(_) => {
            SendError::HeadersTooLarge
        }
        ErrorCode::HttpResponseBodySize(_) => SendError::BodyTooLarge,
        ErrorCode::ConnectionLimitReached => SendError::Busy,
        other => SendError::Protocol(other.to_string()),
    }
}
