//! One small HTTP/1.1 server loop, shared by the origin and the receiver.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The body of everything that the kit's servers answer.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// Serves `handler` on `address` (port 0 picks one) until the task is dropped. On `0.0.0.0`, whoever comes to another address
/// than a loopback one is turned away: what is served there is for this machine alone.
pub(crate) async fn serve<H, F>(address: SocketAddr, handler: H) -> (SocketAddr, JoinHandle<()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    serve_over(None, address, handler).await
}

/// As [`serve`]; with an acceptor over TLS, by HTTP/2 or HTTP/1.1 as is agreed on.
pub(crate) async fn serve_over<H, F>(
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
    handler: H,
) -> (SocketAddr, JoinHandle<()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind(address)
        .await
        .unwrap_or_else(|e| panic!("cannot listen on {address}: {e}"));
    let bound = listener
        .local_addr()
        .expect("a bound socket has an address");
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let is_ours = |reached: SocketAddr| reached.ip().to_canonical().is_loopback();
            if bound.ip().is_unspecified() && !stream.local_addr().is_ok_and(is_ours) {
                continue;
            }
            let _ = stream.set_nodelay(true);
            let (handler, tls) = (handler.clone(), tls.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                // A client that goes away in the middle is part of what is tested.
                if let Some(tls) = tls {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = auto::Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    }
                    return;
                }
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (bound, task)
}
