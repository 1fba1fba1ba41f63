//! A caller's request, turned into one that fits a connection.

use crate::OutboundError;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::error::Error;
use std::sync::Arc;

/// What a body that we send may fail with.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;
/// A body that we send.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    /// In lower case; an IPv6 address without its brackets.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Origin {
    /// Takes the origin out of an absolute URI.
    pub(crate) fn of(uri: &Uri) -> Result<Self, OutboundError> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(denied("the scheme is neither http nor https")),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| denied("the URI has no host"))?;
        if authority.as_str().contains('@') {
            return Err(denied("the URI holds a user name"));
        }
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if bare.is_empty() {
            return Err(denied("the URI has no host"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            tls,
            host: Arc::from(bare.to_ascii_lowercase()),
            port,
        })
    }
}

/// A request that can be sent over either protocol, and sent again while it has no body.
pub(crate) struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<RequestBody>,
}

impl Outgoing {
    pub(crate) fn new<B>(request: Request<B>) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let (parts, body) = request.into_parts();
        let sends_none = body.is_end_stream() || has_none(&parts.method, &parts.headers);
        let body = (!sends_none).then(|| body.map_err(Into::into).boxed_unsync());
        Self {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
        }
    }

    /// A second copy for a second try: only of a request that changes nothing and has no body.
    pub(crate) fn spare(&self) -> Option<Self> {
        let safe =
            self.body.is_none() && (self.method == Method::GET || self.method == Method::HEAD);
        safe.then(|| Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: None,
        })
    }

    /// As HTTP/1.1 wants it: a path, and the host in a field.
    pub(crate) fn into_http1(mut self) -> Result<Request<RequestBody>, OutboundError> {
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority)
            .map_err(|_| denied("the host is not a valid header"))?;
        self.headers.insert(HOST, host);
        self.headers.remove(CONNECTION);
        self.headers.remove(UPGRADE);
        let path = self
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        self.uri = Uri::from(path);
        Ok(self.build(Version::HTTP_11))
    }

    /// As HTTP/2 wants it: the absolute URI, and no fields about the connection.
    pub(crate) fn into_http2(mut self) -> Request<RequestBody> {
        for name in [HOST, CONNECTION, UPGRADE, TRANSFER_ENCODING] {
            self.headers.remove(name);
        }
        self.build(Version::HTTP_2)
    }

    fn build(self, version: Version) -> Request<RequestBody> {
        let body = self.body.unwrap_or_else(|| {
            http_body_util::Empty::new()
                .map_err(|never| match never {})
                .boxed_unsync()
        });
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        *request.version_mut() = version;
        request
    }
}

/// A component's request has a body whose end is only known once it was waited for, also where it sends none. Like hyper,
/// take a GET or HEAD that states no body for one without: such a request can be sent again when its connection has died.
fn has_none(method: &Method, headers: &HeaderMap) -> bool {
    (method == Method::GET || method == Method::HEAD)
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
}

fn denied(reason: &str) -> OutboundError {
    OutboundError::HttpRequestDenied(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_with_a_body_that_has_not_ended_can_be_sent_again() {
        let unended = || {
            let nothing_yet =
                futures::stream::pending::<Result<http_body::Frame<Bytes>, BodyError>>();
            http_body_util::StreamBody::new(nothing_yet)
        };
        let request = |method: Method, length: Option<u32>| {
            let mut request = Request::new(unended());
            *request.method_mut() = method;
            if let Some(length) = length {
                request.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            Outgoing::new(request)
        };
        assert!(request(Method::GET, None).spare().is_some());
        assert!(request(Method::GET, Some(3)).spare().is_none());
        assert!(request(Method::POST, None).spare().is_none());
    }

    #[test]
    fn the_origin_is_bare_and_in_lower_case() {
        let origin = Origin::of(&Uri::from_static("https://EXAMPLE.org/a")).unwrap();
        assert_eq!(
            (origin.tls, &*origin.host, origin.port),
            (true, "example.org", 443)
        );
        let origin = Origin::of(&Uri::from_static("http://[::1]:8080/")).unwrap();
        assert_eq!(
            (origin.tls, &*origin.host, origin.port),
            (false, "::1", 8080)
        );
    }

    #[test]
    fn other_schemes_and_user_names_are_denied() {
        for uri in [
            "/only/a/path",
            "ftp://example.org/",
            "http://user@example.org/",
        ] {
            let outcome = Origin::of(&Uri::try_from(uri).unwrap());
            assert!(
                matches!(outcome, Err(OutboundError::HttpRequestDenied(_))),
                "{uri}"
            );
        }
    }
}
