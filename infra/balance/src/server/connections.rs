//! How many connections there are, in all and from each address.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;

use super::ServerLimits;
use crate::{
    problem::Problem,
    tally::{Counted, Tally, TooMany},
};

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
    open: Arc<Tally>,
    counts: Arc<ConnectionCounts>,
}

/// One open connection; dropping it counts it out.
#[derive(Debug)]
pub(super) struct Admitted {
    counts: Arc<ConnectionCounts>,
    _counted: Counted,
}

impl Connections {
    /// None is open yet.
    pub(super) fn new(counts: Arc<ConnectionCounts>) -> Self {
        Self {
            open: Arc::default(),
            counts,
        }
    }

    /// Counts a connection in, for its network if it is to be counted.
    ///
    /// # Errors
    /// The answer to one too many.
    pub(super) fn admit(
        &self,
        network: Option<IpAddr>,
        limits: &ServerLimits,
    ) -> Result<Admitted, Problem> {
        let bounds = (limits.connections_max, limits.connections_per_address_max);
        match self.open.enter(network, bounds) {
            Ok(counted) => {
                self.counts.open.fetch_add(1, Relaxed);
                self.counts.accepted.fetch_add(1, Relaxed);
                Ok(Admitted {
                    counts: Arc::clone(&self.counts),
                    _counted: counted,
                })
            }
            Err(too_many) => {
                self.counts.refused.fetch_add(1, Relaxed);
                Err(match too_many {
                    TooMany::InAll => FULL,
                    TooMany::OfNetwork => ADDRESS_FULL,
                })
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Relaxed);
    }
}
