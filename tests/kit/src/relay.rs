//! A TCP relay that makes whatever is behind it slow, or lets its connections die without a word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A running relay; it ends with its connections when it is dropped.
pub struct Relay {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    forgotten: Arc<watch::Sender<u64>>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Passes connections on to `target` (`host:port`), each piece of an answer after `delay`.
    pub async fn start(target: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let delay_ms = Arc::new(AtomicU64::new(0));
        let forgotten = Arc::new(watch::Sender::new(0));
        let (target, shared, forgetting) = (
            target.to_owned(),
            Arc::clone(&delay_ms),
            Arc::clone(&forgotten),
        );
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (target, delay_ms) = (target.clone(), Arc::clone(&shared));
                let forgotten = forgetting.subscribe();
                connections.spawn(async move {
                    if let Ok(server) = TcpStream::connect(&target).await {
                        both_ways(client, server, delay_ms, forgotten).await;
                    }
                });
            }
        });
        let relay = Self {
            address,
            delay_ms,
            forgotten,
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

    /// Forgets the connections that are open, as a NAT does: both ends keep them, and nothing passes any more. New ones work.
    pub fn forget_connections(&self) {
        self.forgotten.send_modify(|times| *times += 1);
    }

    /// From now on each piece of an answer takes so long.
    pub fn set_delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(ms, Ordering::Relaxed);
    }
}

async fn both_ways(
    client: TcpStream,
    server: TcpStream,
    delay_ms: Arc<AtomicU64>,
    mut forgotten: watch::Receiver<u64>,
) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let none = AtomicU64::new(0);
    let is_forgotten = tokio::select! {
        () = pass(&mut from_client, &mut to_server, &none) => false,
        () = pass(&mut from_server, &mut to_client, &delay_ms) => false,
        forgotten = forgotten.changed() => forgotten.is_ok(),
    };
    if is_forgotten {
        // The sockets stay open, and nobody reads them, until the relay ends.
        std::future::pending::<()>().await;
    }
}

async fn pass(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, delay_ms: &AtomicU64) {
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
