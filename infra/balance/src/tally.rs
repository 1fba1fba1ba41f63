//! How many of something there are at once, in all and of each client's network.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The count.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// What one too many would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// The limit of all together.
    InAll,
    /// The limit of its network.
    OfNetwork,
}

/// One of them; dropping it counts it out.
#[derive(Debug)]
pub struct Counted {
    tally: Arc<Tally>,
    network: Option<IpAddr>,
}

impl Tally {
    /// Counts one in, for the network of its client; an exempt one has none, and counts in all only.
    ///
    /// # Errors
    /// It would be one too many.
    pub fn enter(
        self: &Arc<Self>,
        network: Option<IpAddr>,
        (in_all_max, of_network_max): (usize, usize),
    ) -> Result<Counted, TooMany> {
        let mut counts = self.counts();
        if counts.total >= in_all_max {
            return Err(TooMany::InAll);
        }
        if let Some(network) = network {
            let count = counts.by_network.entry(network).or_default();
            if *count >= of_network_max {
                return Err(TooMany::OfNetwork);
            }
            *count += 1;
        }
        counts.total += 1;
        Ok(Counted {
            tally: Arc::clone(self),
            network,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.tally.counts();
        counts.total = counts.total.saturating_sub(1);
        let Some(network) = self.network else {
            return;
        };
        if let Some(count) = counts.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use trawl_core::client::counted;

    use super::*;

    #[test]
    fn all_are_bounded_and_those_of_each_network() {
        let tally = Arc::new(Tally::default());
        let enter = |address: &str| tally.enter(counted(address.parse().unwrap()), (5, 2));
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), TooMany::OfNetwork);
        drop(first);
        let _again = enter("192.0.2.1").unwrap();
        // An exempt one counts in all, not for its network.
        let _local: Vec<_> = (0..3).map(|_| enter("127.0.0.1").unwrap()).collect();
        assert_eq!(enter("192.0.2.9").unwrap_err(), TooMany::InAll);
        assert_eq!(
            tally.counts().by_network.len(),
            1,
            "only counted networks are kept"
        );
    }
}
