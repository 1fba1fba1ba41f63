//! A closed loop of keep-alive HTTP/1.1 connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

/// What a run of load gave.
pub(crate) struct Outcome {
    /// Requests answered as wanted.
    pub(crate) answered: usize,
    /// The time it took.
    pub(crate) elapsed: Duration,
    /// The latency of each, in milliseconds, unsorted.
    pub(crate) latencies_ms: Vec<f64>,
}

impl Outcome {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// A percentile of the latencies in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
            .get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// Connections from one address; a server that limits each client takes more only from several.
const PER_ADDRESS: usize = 50;

/// Opens the `number`-th connection to `authority` (`address:port` on loopback).
pub(crate) async fn connect(
    authority: &str,
    number: usize,
) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let from = u8::try_from(1 + number / PER_ADDRESS)?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, from], 0).into())?;
    let stream = socket.connect(authority.parse()?).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Sends one request and gives back the status.
pub(crate) async fn once(
    sender: &mut SendRequest<Full<Bytes>>,
    request: http::Request<Bytes>,
) -> anyhow::Result<u16> {
    Ok(exchange(sender, request).await?.0)
}

/// Sends one request and gives back status and body.
pub(crate) async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: http::Request<Bytes>,
) -> anyhow::Result<(u16, Bytes)> {
    sender.ready().await?;
    let response = sender.send_request(request.map(Full::new)).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Keeps `connections` busy for `seconds`; `make` builds the n-th request; any status but `wanted` is an error.
pub(crate) async fn closed_loop<M>(
    authority: &str,
    connections: usize,
    seconds: u64,
    wanted: u16,
    make: M,
) -> anyhow::Result<Outcome>
where
    M: Fn(usize) -> http::Request<Bytes> + Send + Sync + 'static,
{
    let (make, started) = (Arc::new(make), Instant::now());
    let until = started + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for connection in 0..connections {
        let (make, mut sender) = (Arc::clone(&make), connect(authority, connection).await?);
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut number = connection;
            while Instant::now() < until {
                let sent = Instant::now();
                let status = once(&mut sender, make(number)).await?;
                ensure!(status == wanted, "answered {status} instead of {wanted}");
                latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                number += connections;
            }
            Ok(latencies)
        }));
    }
    let mut latencies_ms = Vec::new();
    for task in tasks {
        latencies_ms.extend(task.await??);
    }
    Ok(Outcome {
        answered: latencies_ms.len(),
        elapsed: started.elapsed(),
        latencies_ms,
    })
}
