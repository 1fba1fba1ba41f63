//! HTTP/1.1 straight into the API.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use trawl_app::api::{Api, BODY_BYTES_MAX, body_broken};
use trawl_app::ports::{Bell as _, Ports as _};

use super::ports::NativePorts;

/// Accepts until the process is killed.
pub(super) async fn serve(ports: Rc<NativePorts>, listener: TcpListener) -> anyhow::Result<()> {
    let api = Rc::new(Api::default());
    loop {
        // The other threads listen too: somebody else may have taken the connection.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream.set_nodelay(true)?;
        let (ports, api) = (Rc::clone(&ports), Rc::clone(&api));
        let service =
            service_fn(move |request| answer(Rc::clone(&ports), Rc::clone(&api), request));
        tokio::task::spawn_local(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    ports: Rc<NativePorts>,
    api: Rc<Api>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let answer = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => {
            let request = http::Request::from_parts(parts, body.to_bytes());
            api.everything(&*ports, request).await
        }
        Err(_) => body_broken(),
    };
    if let Some(channel) = answer.ring {
        tokio::task::spawn_local(async move { ports.bell().ring(channel).await });
    }
    Ok(answer
        .response
        .map(|content| Full::new(content.into_whole())))
}
