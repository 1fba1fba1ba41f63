use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use spin_sdk::http::{FullBody, IntoRequest as _};
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, RequestOptions, Response, Trailers};
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;
use spin_sdk::wasip3::wit_future;
use spin_sdk::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult};
use trawl_app::ports::{Body, Http, Phase, Purpose, SendError, Timeouts};

/// Room for one read of a body: a page of common size arrives in one or two host calls.
const READ_BYTES: usize = 64 * 1024;

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
    type Body = SpinBody;

    /// The host knows which component asks, so `_purpose` needs no telling: callbacks and pages are different components.
    async fn send(
        &self,
        _purpose: Purpose,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<SpinBody>, SendError> {
        let options = self.options(timeouts);
        let request = if request.body().is_empty() {
            without_body(request, options)
        } else {
            with_body(request, options)
        };
        let response = client::send(request.map_err(before_the_body)?)
            .await
            .map_err(before_the_body)?;
        read_head(response)
    }
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

/// Built by hand: the SDK would open a stream and start a task to send nothing through it.
fn without_body(
    request: http::Request<Bytes>,
    options: RequestOptions,
) -> Result<Request, ErrorCode> {
    let (parts, _) = request.into_parts();
    let headers = parts
        .headers
        .try_into()
        .map_err(|_| ErrorCode::HttpProtocolError)?;
    let (no_trailers, trailers): (FutureWriter<Result<Option<Trailers>, ErrorCode>>, _) =
        wit_future::new(|| Ok(None));
    drop(no_trailers);
    let (request, _sent) = Request::new(headers, None, trailers, Some(options));
    request
        .set_method(&parts.method.into())
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
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

/// With the length stated: some servers refuse a POST in chunks.
fn with_body(request: http::Request<Bytes>, options: RequestOptions) -> Result<Request, ErrorCode> {
    let (mut parts, body) = request.into_parts();
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.extensions.insert(RequestOptionsExtension(options));
    http::Request::from_parts(parts, FullBody::new(body)).into_request()
}

fn read_head(response: Response) -> Result<http::Response<SpinBody>, SendError> {
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
    let mut head = http::Response::new(SpinBody::of(response));
    *head.status_mut() = status;
    *head.headers_mut() = headers;
    Ok(head)
}

/// A response body, read from the host in large pieces. Dropping it tells the host that nobody reads on.
pub struct SpinBody {
    reading: Option<Reading>,
}

struct Reading {
    stream: StreamReader<u8>,
    trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
    /// Kept until the end: it tells the host how the reading ended.
    _outcome: FutureWriter<Result<(), ErrorCode>>,
}

impl SpinBody {
    fn of(response: Response) -> Self {
        let (outcome, reader) = wit_future::new(|| Ok(()));
        let (stream, trailers) = Response::consume_body(response, reader);
        Self {
            reading: Some(Reading {
                stream,
                trailers,
                _outcome: outcome,
            }),
        }
    }
}

impl Body for SpinBody {
    async fn chunk(&mut self) -> Option<Result<Bytes, SendError>> {
        let reading = self.reading.as_mut()?;
        let (result, piece) = reading.stream.read(Vec::with_capacity(READ_BYTES)).await;
        if !piece.is_empty() {
            return Some(Ok(Bytes::from(piece)));
        }
        match result {
            // An empty piece is not the end: ask again at the next call.
            StreamResult::Complete(_) => Some(Ok(Bytes::new())),
            StreamResult::Dropped | StreamResult::Cancelled => {
                let Reading { trailers, .. } = self.reading.take()?;
                // How the transfer ended comes with the trailers.
                trailers
                    .await
                    .err()
                    .map(|error| Err(into_send_error(error, Phase::BetweenBytes)))
            }
        }
    }
}

fn before_the_body(error: ErrorCode) -> SendError {
    into_send_error(error, Phase::FirstByte)
}

/// `phase` is where a silent peer was waited for.
fn into_send_error(error: ErrorCode, phase: Phase) -> SendError {
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
        ErrorCode::ConnectionLimitReached => SendError::Busy,
        other => SendError::Protocol(other.to_string()),
    }
}
