//! `wasi:http` outwards: the component's allow list, then the one pooled client, which checks addresses.

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderName, Request};
use http_body_util::{BodyExt as _, Full};
use trawl_outbound::{OutboundError, Timeouts};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::allowed_hosts::default_port;
use crate::gather::gathered;
use crate::part::{PageOnFile, Rights};

/// Sends an instance's requests.
pub(crate) struct Outbound {
    rights: Arc<Rights>,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, Io), Error>;

impl Outbound {
    /// With the rights of the instance's component.
    pub(crate) fn new(rights: Arc<Rights>) -> Self {
        Self { rights }
    }

    fn permits(&self, uri: &http::Uri) -> bool {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return false;
        };
        let port = authority.port_u16().or_else(|| default_port(scheme));
        port.is_some_and(|port| {
            self.rights
                .allowed_hosts
                .permits(scheme, authority.host(), port)
        })
    }
}

/// Fields that no guest may set or see.
static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

impl WasiHttpHooks for Outbound {
    /// As by default, which makes a closure to ask for each field.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN.contains(name)
    }

    /// The client sets it itself.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        if !self.permits(request.uri()) {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        if let Some(page) = &self.rights.page {
            return Box::new(std::future::ready(Ok(from_file(page))));
        }
        let rights = Arc::clone(&self.rights);
        let timeouts = timeouts(options);
        let has_body = request.headers().contains_key(CONTENT_LENGTH);
        Box::new(async move {
            let request = if has_body {
                let (head, body) = request.into_parts();
                Request::from_parts(head, gathered(body).await?.0)
            } else {
                request
            };
            let response = rights
                .client
                .send(&rights.class, request, timeouts)
                .await
                .map_err(into_wasi)?;
            let done: Io = Box::new(std::future::ready(Ok(())));
            Ok((
                response.map(|body| body.map_err(into_wasi).boxed_unsync()),
                done,
            ))
        })
    }
}

/// Every address has the same page.
fn from_file(page: &PageOnFile) -> (http::Response<WasiBody>, Io) {
    let body = Full::new(page.bytes.clone())
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = http::Response::new(body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, page.content_type.clone());
    (response, Box::new(std::future::ready(Ok(()))))
}

/// A component may ask for less time than the default, and for more.
fn timeouts(options: Option<RequestOptions>) -> Timeouts {
    let default = Timeouts::default();
    let options = options.unwrap_or_default();
    Timeouts {
        connect: options.connect_timeout.unwrap_or(default.connect),
        first_byte: options.first_byte_timeout.unwrap_or(default.first_byte),
        between_bytes: options
            .between_bytes_timeout
            .unwrap_or(default.between_bytes),
    }
}

fn into_wasi(error: OutboundError) -> Error {
    match error {
        OutboundError::DestinationIpProhibited => Error::DestinationIpProhibited,
        OutboundError::DnsError(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        OutboundError::ConnectionRefused(_) => Error::ConnectionRefused,
        OutboundError::ConnectionTimeout => Error::ConnectionTimeout,
        OutboundError::ConnectionReadTimeout => Error::ConnectionReadTimeout,
        OutboundError::ConnectionTerminated(_) => Error::ConnectionTerminated,
        OutboundError::TlsProtocolError(_) => Error::TlsProtocolError,
        OutboundError::TlsCertificateError(_) => Error::TlsCertificateError,
        OutboundError::HttpProtocolError(_) => Error::HttpProtocolError,
        OutboundError::ResponseHeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
        OutboundError::ResponseBodyInCrumbs => Error::HttpResponseBodySize(None),
        OutboundError::ConnectionLimitReached => Error::ConnectionLimitReached,
        OutboundError::HttpRequestDenied(_) => Error::HttpRequestDenied,
        OutboundError::RequestBody(why) => Error::InternalError(Some(why)),
        other => Error::InternalError(Some(other.to_string())),
    }
}
