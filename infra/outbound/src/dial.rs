//! From an origin to an open stream: resolve, check, dial, TLS. The only place that opens a connection.

use crate::names::Names;
use crate::request::Origin;
use crate::{AddressCheck, Class, OutboundError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trawl_core::limits::outbound::DIAL_STAGGER_MS;

/// Opens connections to checked addresses.
pub(crate) struct Dialler {
    pub(crate) names: Names,
    pub(crate) check: Arc<dyn AddressCheck>,
    pub(crate) tls: TlsConnector,
    pub(crate) prohibited: AtomicU64,
}

/// An open stream, the address behind it, and whether HTTP/2 was agreed on.
pub(crate) struct Dialled {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) http2: bool,
}

/// Addresses that a class may dial.
pub(crate) struct Checked(Arc<[SocketAddr]>);

impl Dialler {
    /// The addresses of an origin, each of them checked: exactly these are dialled, and nothing is resolved in between.
    pub(crate) async fn resolve(
        &self,
        class: &Class,
        origin: &Origin,
    ) -> Result<Checked, OutboundError> {
        let addresses = self.names.addresses(origin).await?;
        if !addresses
            .iter()
            .all(|address| self.check.permits(class, *address))
        {
            self.prohibited.fetch_add(1, Ordering::Relaxed);
            return Err(OutboundError::DestinationIpProhibited);
        }
        Ok(Checked(addresses))
    }

    /// Dials one of these.
    pub(crate) async fn dial(
        &self,
        origin: &Origin,
        Checked(addresses): Checked,
    ) -> Result<Dialled, OutboundError> {
        let (tcp, peer) = first_to_answer(&addresses).await?;
        // Without it a small request waits for the peer's delayed acknowledgement. A socket that refuses still works.
        let _ = tcp.set_nodelay(true);
        if !origin.tls {
            return Ok(Dialled {
                stream: Stream::new(Transport::Plain(tcp)),
                peer,
                http2: false,
            });
        }
        let name = ServerName::try_from(origin.host.to_string()).map_err(|_| {
            OutboundError::HttpRequestDenied("the host is no valid server name".to_owned())
        })?;
        let tls = self
            .tls
            .connect(name, tcp)
            .await
            .map_err(|error| tls_error(&error))?;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Dialled {
            stream: Stream::new(Transport::Tls(Box::new(tls))),
            peer,
            http2,
        })
    }
}

/// Dials in order; the next address gets its chance when the one before fails or stays silent for a moment.
async fn first_to_answer(
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), OutboundError> {
    let mut dialling = FuturesUnordered::new();
    let mut left = addresses.iter().copied();
    let mut last = None;
    loop {
        let next = left.next();
        if let Some(address) = next {
            dialling.push(async move { (TcpStream::connect(address).await, address) });
        }
        let stagger = tokio::time::sleep(Duration::from_millis(DIAL_STAGGER_MS));
        tokio::select! {
            answer = dialling.next() => match answer {
                Some((Ok(tcp), address)) => return Ok((tcp, address)),
                Some((Err(error), _)) => last = Some(error),
                None => {
                    let reason = last.map_or_else(|| "no address".to_owned(), |error| error.to_string());
                    return Err(OutboundError::ConnectionRefused(reason));
                }
            },
            () = stagger, if left.len() > 0 => {}
        }
    }
}

fn tls_error(error: &io::Error) -> OutboundError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            OutboundError::TlsCertificateError(format!("{reason:?}"))
        }
        Some(_) => OutboundError::TlsProtocolError(error.to_string()),
        // Nothing was said about TLS: the connection broke, as it does when a server is restarted.
        None => OutboundError::ConnectionTerminated(error.to_string()),
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that counts what it received, to tell a connection that died idle from one that died answering.
pub(crate) struct Stream {
    transport: Transport,
    received: Arc<AtomicU64>,
}

impl Stream {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            received: Arc::default(),
        }
    }

    /// The counter of received bytes.
    pub(crate) fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Transport::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        };
        self.received
            .fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(context, buffers),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}
