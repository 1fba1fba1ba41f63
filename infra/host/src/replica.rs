//! A local replica: its own instances of every component, under its own id.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use trawl_balance::{
    BAD_HOST, BackendError, Body, Call, ClientAddress, FAILED, FailureKind, LocalBackend, OverTls,
    Problem, Whole,
};
use trawl_core::limits::host as limits;
use trawl_core::limits::scrape::DECODED_BYTES_MAX;
use wasmtime::Engine;
use wasmtime_wasi_http::handler::ExpirationError;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use crate::costly::{TOO_MANY, read_whole};
use crate::failure;
use crate::gather::gathered;
use crate::http_trigger::{Handler, Instances, NoInstance};
use crate::part::Rights;
use crate::precedence::Precedence;
use crate::routes::Routes;
use crate::streamed::GivenTo;

const NOT_FOUND: Problem = Problem::new(
    StatusCode::NOT_FOUND,
    "not_found",
    "There is nothing at this address.",
);

/// Who asks, as components read it.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("spin-client-addr");

/// One local replica.
pub(crate) struct Replica {
    engine: Engine,
    routes: Arc<Routes>,
    handlers: HashMap<String, Arc<Handler>>,
    rights: HashMap<String, Arc<Rights>>,
    precedence: Arc<Precedence>,
}

impl Replica {
    /// A replica over the instances of each component.
    pub(crate) fn new(
        engine: Engine,
        routes: Arc<Routes>,
        instances: Vec<Instances>,
        precedence: Arc<Precedence>,
    ) -> Arc<Self> {
        let rights = instances
            .iter()
            .map(|one| (one.part.id.to_string(), Arc::clone(&one.rights)))
            .collect();
        let handlers = instances.into_iter().filter(|one| one.part.http.is_some());
        let handlers = handlers
            .map(|one| (one.part.id.to_string(), Handler::new(one)))
            .collect();
        Arc::new(Self {
            engine,
            routes,
            handlers,
            rights,
            precedence,
        })
    }

    /// What runs its instances.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What a component may do in this replica.
    pub(crate) fn rights(&self, component: &str) -> Option<Arc<Rights>> {
        self.rights.get(component).map(Arc::clone)
    }

    async fn answer(&self, mut request: Request<Body>) -> Result<Response<Body>, BackendError> {
        let Some(route) = self.routes.find(request.uri().path()) else {
            return Ok(NOT_FOUND.response());
        };
        let Some(handler) = self.handlers.get(&route.component) else {
            return Ok(NOT_FOUND.response());
        };
        let original = request.uri().clone();
        let is_head = request.method() == Method::HEAD;
        // Whoever asks again and again how its jobs get on would only hold them up.
        let brings_work = !request.method().is_safe();
        let host = request.headers().get(HOST).cloned();
        // The front door has found out who asks: the peer, or whom a trusted proxy names.
        let client = request.extensions().get::<ClientAddress>();
        let client = client.map(|client| client.0);
        // The front door lets no such name through, so nobody sees this.
        let Some(()) = describe(&mut request, client) else {
            return Ok(BAD_HOST.response());
        };
        let part = handler.part();
        part.figures.requests.fetch_add(1, Relaxed);
        let costly = part.costly.as_ref();
        let given = Arc::new(GivenTo::default());
        let outcome = match costly.filter(|costly| costly.is_meant(&route.raw)) {
            None => {
                let request = request.map(into_wasi_body);
                let _waiting = brings_work.then(|| self.precedence.request());
                handler.handle(&given, request).await
            }
            Some(costly) => {
                let (head, body) = request.into_parts();
                let body = into_wasi_body(read_whole(body).await);
                let Some(_place) = costly.place(client).await else {
                    part.figures.refused.fetch_add(1, Relaxed);
                    return Ok(TOO_MANY.response());
                };
                let request = Request::from_parts(head, body);
                handler.handle(&given, request).await
            }
        };
        match outcome {
            // To HEAD no body is sent; what is not there says nothing of the length of what would be.
            Ok(response) if is_head => Ok(response.map(from_wasi_body)),
            Ok(response) => {
                let (head, body) = response.into_parts();
                match gathered(body).await {
                    Ok((body, true)) => {
                        let mut answer = Response::from_parts(head, from_wasi_body(body));
                        answer.extensions_mut().insert(Whole);
                        Ok(answer)
                    }
                    Ok((body, false)) => {
                        let bytes = length(&head.headers, body.size_hint().lower());
                        let body = given.counted(from_wasi_body(body), bytes);
                        Ok(Response::from_parts(head, body))
                    }
                    Err(error) => {
                        tracing::warn!("a component's answer broke off: {error}");
                        Ok(FAILED.response())
                    }
                }
            }
            Err(error) => failed(error, original, host),
        }
    }
}

impl LocalBackend for Replica {
    fn call(self: Arc<Self>, request: Request<Body>) -> Call {
        Box::pin(async move { self.answer(request).await })
    }
}

/// Puts the request into the form that components get on Spin: an absolute target, and `spin-client-addr`. Nobody outside may
/// give a `spin-` field. `None` when the host it names can be part of no target.
///
/// Spin adds seven more, which say what route was matched and repeat the target. The components of this application match paths
/// themselves and read the target from where it belongs, so they would only be copied into the guest, one by one, and dropped.
fn describe(request: &mut Request<Body>, client: Option<IpAddr>) -> Option<()> {
    let host = request.headers().get(HOST);
    let authority = match host.and_then(|host| host.to_str().ok()) {
        Some(host) => host.parse().ok()?,
        None => Authority::from_static("localhost"),
    };
    let path = request.uri().path_and_query().cloned();
    // The front door speaks no TLS; a proxy before it may, and guests write addresses of their own into answers.
    let is_https = request.extensions().get::<OverTls>().is_some();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if is_https {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    let headers = request.headers_mut();
    let claimed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("spin-"))
        .cloned()
        .collect();
    for name in claimed {
        headers.remove(name);
    }
    if let Some(client) = client {
        // Port 0: the front door knows addresses, not ports, and what is written here must parse as it does on Spin.
        let address = std::net::SocketAddr::new(client, 0).to_string();
        headers.insert(CLIENT_ADDRESS, HeaderValue::try_from(address).ok()?);
    }
    Some(())
}

/// The bytes that an answer has, or may have where it does not say so: as much as any when what was `gathered` of it is as much as
/// that may be, and else what comes slowly, of which an instance holds little at a time.
fn length(headers: &HeaderMap, gathered: u64) -> u64 {
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|length| length.to_str().ok()?.parse().ok());
    stated.unwrap_or(if gathered >= limits::GATHER_BYTES as u64 {
        DECODED_BYTES_MAX as u64
    } else {
        limits::GATHER_BYTES as u64
    })
}

/// What the balancer makes of a failure. A guest that answers with an error is not a broken replica.
fn failed(
    error: wasmtime::Error,
    uri: Uri,
    host: Option<HeaderValue>,
) -> Result<Response<Body>, BackendError> {
    if failure::is_trap(&error) {
        return Err(BackendError::new(FailureKind::Trapped, error.to_string()));
    }
    if error.is::<ExpirationError>() {
        return Err(BackendError::new(FailureKind::TimedOut, error.to_string()));
    }
    match error.downcast::<NoInstance>() {
        Ok(full) => {
            tracing::warn!("no instance can be made: {:#}", full.error);
            let error = BackendError::new(FailureKind::Overloaded, full.to_string());
            let mut request = full
                .request
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            *request.uri_mut() = uri;
            if let Some(host) = host {
                request.headers_mut().insert(HOST, host);
            }
            Err(error.unsent(request.map(from_wasi_body)))
        }
        Err(error) => {
            tracing::warn!("a component answered with an error: {error:#}");
            Ok(FAILED.response())
        }
    }
}

fn into_wasi_body(body: Body) -> WasiBody {
    body.map_err(|error| WasiError::InternalError(Some(error.to_string())))
        .boxed_unsync()
}

fn from_wasi_body(body: WasiBody) -> Body {
    body.map_err(Into::into).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &'static str)]) -> Request<Body> {
        let mut request = Request::new(trawl_balance::body::empty());
        *request.uri_mut() = "/users/1?a=b".parse().unwrap();
        for (name, value) in fields {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn a_component_sees_its_target_and_its_client_and_no_claim_of_the_client() {
        let mut request = request(&[
            ("host", "trawl.example:3000"),
            ("spin-client-addr", "6.6.6.6:1"),
            ("spin-full-url", "http://else.example/"),
            ("spin-path-match-x", "y"),
            ("accept", "*/*"),
        ]);
        describe(&mut request, Some("192.0.2.1".parse().unwrap())).unwrap();
        assert_eq!(request.uri(), "http://trawl.example:3000/users/1?a=b");
        let headers = request.headers();
        assert_eq!(headers["spin-client-addr"], "192.0.2.1:0");
        let spins = headers
            .keys()
            .filter(|name| name.as_str().starts_with("spin-"));
        assert_eq!(spins.count(), 1);
        assert_eq!(headers["accept"], "*/*");
    }

    #[test]
    fn a_request_without_a_host_has_a_target_all_the_same() {
        let mut request = request(&[]);
        describe(&mut request, None).unwrap();
        assert_eq!(request.uri(), "http://localhost/users/1?a=b");
    }

    #[test]
    fn what_states_no_length_is_taken_for_long_only_when_much_of_it_is_there() {
        let stated = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("7"))]);
        assert_eq!(length(&stated, u64::MAX), 7);
        let most = limits::GATHER_BYTES as u64;
        assert_eq!(length(&HeaderMap::new(), most - 1), most);
        assert_eq!(length(&HeaderMap::new(), most), DECODED_BYTES_MAX as u64);
    }

    #[test]
    fn a_host_that_is_none_has_no_target() {
        assert!(describe(&mut request(&[("host", "a b")]), None).is_none());
    }
}
