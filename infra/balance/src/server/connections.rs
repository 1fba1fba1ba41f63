//! How many connections there are, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
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
    /// Counts a connection in.
    ///
    /// # Errors
    /// The answer to one too many.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &ServerLimits,
    ) -> Result<Admitted, Problem> {
        let address = address.to_canonical();
        let is_exempt = limits.exempt.iter().any(|net| net.contains(&address));
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
        let admit = |address: &str| connections.admit(address.parse().unwrap(), &limits);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), ADDRESS_FULL);
        drop(first);
        let _again = admit("192.0.2.1").unwrap();
        // Loopback counts in all, not for its address.
        let _local: Vec<_> = (0..3).map(|_| admit("127.0.0.1").unwrap()).collect();
        assert_eq!(admit("192.0.2.9").unwrap_err(), FULL);
        assert_eq!(
            connections.open().by_address.len(),
            1,
            "only counted addresses are kept"
        );
    }
}
