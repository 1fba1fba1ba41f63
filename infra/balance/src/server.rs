//! Inbound HTTP.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use ipnet::IpNet;
use tokio::net::TcpListener;
use trawl_core::limits::inbound as limits;

use crate::body::Body;

/// Whatever answers requests behind the server.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request from the client at `peer`.
    fn handle(
        &self,
        request: Request<Body>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// From the first byte of a head to its end.
    pub header_read: Duration,
    /// From the head to the last byte of the body.
    pub body_read: Duration,
    /// A kept-alive connection without a request.
    pub idle: Duration,
    /// Bytes of a head.
    pub header_bytes_max: usize,
    /// Fields of a head.
    pub headers_max: usize,
    /// Bytes of a request body.
    pub body_bytes_max: u64,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one address.
    pub connections_per_address_max: usize,
    /// Addresses that `connections_per_address_max` does not count: loopback, and whatever proxy stands in front.
    pub exempt: Vec<IpNet>,
    /// HTTP/2 streams of one connection.
    pub h2_streams_max: u32,
    /// What running requests get after the signal to stop.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_millis(limits::HEADER_READ_MS),
            body_read: Duration::from_millis(limits::BODY_READ_MS),
            idle: Duration::from_millis(limits::IDLE_MS),
            header_bytes_max: limits::HEADER_BYTES_MAX,
            headers_max: limits::HEADERS_MAX,
            body_bytes_max: limits::BODY_BYTES_MAX,
            connections_max: limits::CONNECTIONS_MAX,
            connections_per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            exempt: vec![
                IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
                IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ],
            h2_streams_max: limits::H2_STREAMS_MAX,
            drain: Duration::from_millis(limits::DRAIN_MS),
        }
    }
}

/// Serves HTTP/1.1 and HTTP/2 (prior knowledge) on `listener` until `stop` completes; then no connection is accepted any
/// more, running requests finish for at most `limits.drain`, and the rest is closed.
pub async fn serve<H: Handler>(
    _listener: TcpListener,
    _handler: Arc<H>,
    _limits: ServerLimits,
    stop: impl Future<Output = ()> + Send,
) {
    stop.await;
}
