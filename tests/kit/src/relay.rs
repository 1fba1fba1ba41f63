//! A TCP relay that makes whatever is behind it slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running relay; it ends with its connections when it is dropped.
pub struct Relay {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Passes connections on to `target` (`host:port`), each piece of an answer after `delay`.
    pub async fn start(target: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let delay_ms = Arc::new(AtomicU64::new(0));
        let (target, shared) = (target.to_owned(), Arc::clone(&delay_ms));
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (target, delay_ms) = (target.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    if let Ok(server) = TcpStream::connect(&target).await {
                        both_ways(client, server, delay_ms).await;
                    }
                });
            }
        });
        let relay = Self {
            address,
            delay_ms,
            _accepting: accepting,
        };
        relay.set_delay(delay);
        relay
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// From now on each piece of an answer takes so long.
    pub fn set_delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(ms, Ordering::Relaxed);
    }
}

async fn both_ways(client: TcpStream, server: TcpStream, delay_ms: Arc<AtomicU64>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let none = Arc::new(AtomicU64::new(0));
    tokio::select! {
        () = pass(from_client, to_server, &none) => {}
        () = pass(from_server, to_client, &delay_ms) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay_ms: &AtomicU64) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..size]).await.is_err() {
            return;
        }
    }
}
