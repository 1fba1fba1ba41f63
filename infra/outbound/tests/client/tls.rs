//! TLS with an authority of our own, over both protocols.

use crate::support::{Script, class, get, serve, text};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use trawl_kit::tls::Authority;
use trawl_outbound::{Class, Client, Options, OptionsError, OutboundError, Timeouts};

/// An authority of ours, with a server of that name.
pub(crate) fn authority() -> Authority {
    Authority::new(&["site.test".to_owned()])
}

/// Serves with a certificate of this authority.
pub(crate) async fn serve_with(authority: &Authority) -> crate::support::Server {
    let acceptor = authority.acceptor();
    serve(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(tls) = acceptor.accept(tcp).await else {
                return;
            };
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(tls), service_fn(answer))
                .await;
        }
    })
    .await
}

pub(crate) const LONG: usize = 2_000_000;

/// Says its secret; on `/silent` nothing at all, on `/half` half of it, on `/long` two megabytes.
async fn answer(
    request: Request<hyper::body::Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let path = request.uri().path();
    if path == "/silent" {
        return std::future::pending().await;
    }
    let body = if path == "/half" {
        let half = Frame::data(Bytes::from("sec"));
        let endless = stream::iter([Ok(half)]).chain(stream::pending());
        BodyExt::boxed(StreamBody::new(endless))
    } else if path == "/long" {
        BodyExt::boxed(Full::new(Bytes::from(vec![b'x'; LONG])))
    } else {
        BodyExt::boxed(Full::new(Bytes::from("secret")))
    };
    Ok(Response::new(body))
}

fn client(options: Options, server: SocketAddr) -> Client {
    let script = Script {
        answers: vec![vec![server]],
        asked: Arc::default(),
    };
    Client::with_resolver(options, |_: &Class, _: SocketAddr| true, script).unwrap()
}

#[tokio::test]
async fn http2_is_agreed_on_and_shares_one_connection() {
    let authority = authority();
    let server = serve_with(&authority).await;
    let client = client(
        Options {
            extra_ca_files: vec![authority.file()],
            ..Options::default()
        },
        server.address,
    );
    for _ in 0..20 {
        let response = client
            .send(&class(), get("https://site.test/"), Timeouts::default())
            .await
            .unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(text(response).await.unwrap(), "secret");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn http1_over_tls_is_kept_alive() {
    let authority = authority();
    let server = serve_with(&authority).await;
    let options = Options {
        extra_ca_files: vec![authority.file()],
        http2: false,
        ..Options::default()
    };
    let client = client(options, server.address);
    for _ in 0..20 {
        let response = client
            .send(&class(), get("https://site.test/"), Timeouts::default())
            .await
            .unwrap();
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(text(response).await.unwrap(), "secret");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_unknown_authority_or_another_name_is_refused() {
    let authority = authority();
    let server = serve_with(&authority).await;
    let stranger = client(Options::default(), server.address);
    let outcome = stranger
        .send(&class(), get("https://site.test/"), Timeouts::default())
        .await;
    assert!(
        matches!(outcome, Err(OutboundError::TlsCertificateError(_))),
        "{outcome:?}"
    );
    let friend = client(
        Options {
            extra_ca_files: vec![authority.file()],
            ..Options::default()
        },
        server.address,
    );
    let outcome = friend
        .send(&class(), get("https://other.test/"), Timeouts::default())
        .await;
    assert!(
        matches!(outcome, Err(OutboundError::TlsCertificateError(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_peer_without_tls_is_an_error_of_tls() {
    let server = crate::support::hello().await;
    let client = client(Options::default(), server.address);
    let outcome = client
        .send(&class(), get("https://site.test/"), Timeouts::default())
        .await;
    assert!(
        matches!(outcome, Err(OutboundError::TlsProtocolError(_))),
        "{outcome:?}"
    );
}

/// As when a server, or what stands before it, is restarted: it says nothing about TLS, and the next try may succeed.
#[tokio::test]
async fn a_handshake_that_is_cut_off_is_a_lost_connection() {
    for resets in [false, true] {
        let server = serve(move |mut tcp: TcpStream| async move {
            // The beginning of what the client says.
            let _ = tcp.read(&mut [0; 16]).await;
            if resets {
                // What is left unread makes closing a reset.
                return;
            }
            let mut rest = [0; 4096];
            while let Ok(Ok(1..)) = timeout(Duration::from_millis(100), tcp.read(&mut rest)).await {
            }
        })
        .await;
        let client = client(Options::default(), server.address);
        let outcome = client
            .send(&class(), get("https://site.test/"), Timeouts::default())
            .await;
        assert!(
            matches!(outcome, Err(OutboundError::ConnectionTerminated(_))),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_file_without_authorities_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = Options {
        extra_ca_files: vec![file.path().to_owned()],
        ..Options::default()
    };
    let outcome = Client::new(options, |_: &Class, _: SocketAddr| true);
    assert!(
        matches!(outcome.err(), Some(OptionsError::CaFile { path, .. }) if path == file.path())
    );
}
