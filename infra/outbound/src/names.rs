//! Names and their addresses, remembered for a little while.

use crate::request::Origin;
use crate::{OutboundError, Resolve};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use trawl_core::limits::outbound::{ADDRESSES_MAX, DNS_NAMES_MAX};

/// A resolver with a memory.
pub(crate) struct Names {
    resolver: Arc<dyn Resolve>,
    ttl: Duration,
    known: Mutex<HashMap<(Arc<str>, u16), Known>>,
    pub(crate) lookups: AtomicU64,
}

struct Known {
    addresses: Arc<[SocketAddr]>,
    until: Instant,
}

impl Names {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, ttl: Duration) -> Self {
        Self {
            resolver,
            ttl,
            known: Mutex::default(),
            lookups: AtomicU64::new(0),
        }
    }

    /// The addresses of an origin. The caller checks this very list and dials from it.
    pub(crate) async fn addresses(
        &self,
        origin: &Origin,
    ) -> Result<Arc<[SocketAddr]>, OutboundError> {
        if let Ok(address) = origin.host.parse::<IpAddr>() {
            return Ok(Arc::from([SocketAddr::new(address, origin.port)]));
        }
        let key = (Arc::clone(&origin.host), origin.port);
        if let Some(known) = self.remembered(&key) {
            return Ok(known);
        }
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let found = self.resolver.resolve(&origin.host, origin.port).await;
        let found = found.map_err(|error| OutboundError::DnsError(error.to_string()))?;
        if found.is_empty() {
            return Err(OutboundError::DnsError(
                "the name has no address".to_owned(),
            ));
        }
        if found.len() > ADDRESSES_MAX {
            return Err(OutboundError::DnsError(
                "the name has too many addresses".to_owned(),
            ));
        }
        let addresses = alternate(found);
        self.remember(key, &addresses);
        Ok(addresses)
    }

    fn remembered(&self, key: &(Arc<str>, u16)) -> Option<Arc<[SocketAddr]>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(key)
            .filter(|known| Instant::now() < known.until)
            .map(|known| Arc::clone(&known.addresses))
    }

    fn remember(&self, key: (Arc<str>, u16), addresses: &Arc<[SocketAddr]>) {
        if self.ttl.is_zero() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= DNS_NAMES_MAX {
            let now = Instant::now();
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= DNS_NAMES_MAX {
            known.clear();
        }
        known.insert(
            key,
            Known {
                addresses: Arc::clone(addresses),
                until: Instant::now() + self.ttl,
            },
        );
    }
}

/// The two families in turn, in the resolver's order within each (RFC 8305, section 4): a broken one costs one try.
fn alternate(found: Vec<SocketAddr>) -> Arc<[SocketAddr]> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed.into()
}
