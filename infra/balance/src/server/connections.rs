//! How many connections there are, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;

use super::ServerLimits;
use crate::{clients::network, problem::Problem};

const FULL: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "too_many_connections",
    "The service has too many connections.",
)
.retry_after(Duration::from_secs(1));
const ADDRESS_FULL: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_connections",
    "This address has too many connections.",
)
.retry_after(Duration::from_secs(1));

/// Counts of connections, for operators.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    /// Open now.
    pub open: AtomicU64,
    /// Accepted so far.
    pub accepted: AtomicU64,
    /// Refused so far, because there were too many in all or of their address.
    pub refused: AtomicU64,
}

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
    counts: Arc<ConnectionCounts>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One open connection; dropping it counts it out.
#[derive(Debug)]
pub(super) struct Admitted {
    connections: Arc<Connections>,
    counted: Option<IpAddr>,
}

impl Connections {
    /// None is open yet.
    pub(super) fn new(counts: Arc<ConnectionCounts>) -> Self {
        Self {
            open: Mutex::default(),
            counts,
        }
    }

    /// Counts a connection in; an exempt one in all, but not for its address.
    ///
    /// # Errors
    /// The answer to one too many.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        is_exempt: bool,
        limits: &ServerLimits,
    ) -> Result<Admitted, Problem> {
        let admitted = self.count_in(address, is_exempt, limits);
        let counts = &self.counts;
        if admitted.is_ok() {
            counts.open.fetch_add(1, Relaxed);
            counts.accepted.fetch_add(1, Relaxed);
        } else {
            counts.refused.fetch_add(1, Relaxed);
        }
        admitted
    }

    fn count_in(
        self: &Arc<Self>,
        address: IpAddr,
        is_exempt: bool,
        limits: &ServerLimits,
    ) -> Result<Admitted, Problem> {
        let mut open = self.open();
        if open.total >= limits.connections_max {
            return Err(FULL);
        }
        let counted = (!is_exempt).then(|| network(address));
        if let Some(counted) = counted {
            let count = open.by_address.entry(counted).or_default();
            if *count >= limits.connections_per_address_max {
                return Err(ADDRESS_FULL);
            }
            *count += 1;
        }
        open.total += 1;
        Ok(Admitted {
            connections: Arc::clone(self),
            counted,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.counts.open.fetch_sub(1, Relaxed);
        let mut open = self.connections.open();
        open.total = open.total.saturating_sub(1);
        let Some(address) = self.counted else {
            return;
        };
        if let Some(count) = open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded_in_all_and_for_each_address() {
        let limits = ServerLimits {
            connections_max: 5,
            connections_per_address_max: 2,
            ..ServerLimits::default()
        };
        let connections = Arc::new(Connections::default());
        let admit = |address: &str| {
            connections.admit(address.parse().unwrap(), address == "127.0.0.1", &limits)
        };
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), ADDRESS_FULL);
        drop(first);
        let _again = admit("192.0.2.1").unwrap();
        // An exempt one counts in all, not for its address.
        let _local: Vec<_> = (0..3).map(|_| admit("127.0.0.1").unwrap()).collect();
        assert_eq!(admit("192.0.2.9").unwrap_err(), FULL);
        assert_eq!(
            connections.open().by_address.len(),
            1,
            "only counted addresses are kept"
        );
    }
}
