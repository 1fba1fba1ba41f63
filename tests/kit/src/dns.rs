//! A name server with the test's own answers, for tests that run in a network of their own ([`crate::network`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A running name server, stopped on drop.
pub struct Dns(JoinHandle<()>);

/// A query's head, and the end of the name in it.
const HEAD: usize = 12;

impl Dns {
    /// Answers on `address` with what `resolve` says about a name (in lower case); no address means no such name.
    ///
    /// # Panics
    /// When `address` is taken.
    pub async fn start<R>(address: SocketAddr, resolve: R) -> Self
    where
        R: Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
    {
        let socket = Arc::new(
            UdpSocket::bind(address)
                .await
                .unwrap_or_else(|e| panic!("cannot answer names on {address}: {e}")),
        );
        Self(tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                if let Some(answer) = answer(&query[..length], &resolve) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        }))
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// RFC 1035, section 4: one question in, the same question and its answers out.
fn answer(query: &[u8], resolve: &impl Fn(&str) -> Vec<IpAddr>) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let asked = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
    let known = resolve(&name.to_ascii_lowercase());
    let records: Vec<Vec<u8>> = known
        .iter()
        .filter_map(|ip| match (asked, ip) {
            (1, IpAddr::V4(ip)) => Some(ip.octets().to_vec()),
            (28, IpAddr::V6(ip)) => Some(ip.octets().to_vec()),
            _ => None,
        })
        .collect();
    let rcode = if known.is_empty() { 3 } else { 0 };
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | rcode, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    out.extend(&query[HEAD..end + 4]);
    for data in records {
        // The name is the question's; the answer holds for no time, so that nobody below us remembers it.
        out.extend([0xc0, HEAD as u8]);
        out.extend(asked.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
        out.extend(data);
    }
    Some(out)
}

/// The name that is asked for, and where it ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEAD;
    loop {
        let length = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if label.is_empty() {
            return (query.len() >= at + 4).then(|| (labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(label).into_owned());
    }
}
