//! Limits per client address. Pure; the caller keeps the lock and the clock.

use std::{collections::HashMap, net::IpAddr};

use trawl_core::client::network;

/// What one client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientRules {
    /// Requests in flight at once.
    pub in_flight_max: u32,
    /// Requests in a second, with a burst of as many; no limit without it.
    pub per_second: Option<u32>,
    /// Clients that are remembered.
    pub clients_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    in_flight: u32,
    /// Requests that may still come, in thousandths.
    allowance: u64,
    refilled_ms: u64,
}

/// The clients that were seen lately.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    seen: HashMap<IpAddr, Client>,
}

/// A client that may not go on for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// When it may come back, in milliseconds.
    pub retry_after_ms: u64,
}

impl Clients {
    /// A request of `address` begins.
    ///
    /// # Errors
    /// It has too many in flight, or too many in this second.
    pub(crate) fn enter(
        &mut self,
        address: IpAddr,
        now_ms: u64,
        rules: &ClientRules,
    ) -> Result<(), TooMany> {
        if self.seen.len() >= rules.clients_max && !self.seen.contains_key(&network(address)) {
            self.forget_quiet(now_ms);
            if self.seen.len() >= rules.clients_max {
                return Err(TooMany {
                    retry_after_ms: 1_000,
                });
            }
        }
        let full = u64::from(rules.per_second.unwrap_or(0)) * 1_000;
        let client = self.seen.entry(network(address)).or_insert(Client {
            in_flight: 0,
            allowance: full,
            refilled_ms: now_ms,
        });
        if client.in_flight >= rules.in_flight_max {
            return Err(TooMany {
                retry_after_ms: 1_000,
            });
        }
        if let Some(per_second) = rules.per_second {
            let gained = now_ms
                .saturating_sub(client.refilled_ms)
                .saturating_mul(u64::from(per_second));
            client.allowance = client.allowance.saturating_add(gained).min(full);
            client.refilled_ms = now_ms;
            if client.allowance < 1_000 {
                return Err(TooMany {
                    retry_after_ms: (1_000 - client.allowance)
                        .div_ceil(u64::from(per_second).max(1)),
                });
            }
            client.allowance -= 1_000;
        } else {
            client.refilled_ms = now_ms;
        }
        client.in_flight += 1;
        Ok(())
    }

    /// A request of `address` ended.
    pub(crate) fn leave(&mut self, address: IpAddr) {
        if let Some(client) = self.seen.get_mut(&network(address)) {
            client.in_flight = client.in_flight.saturating_sub(1);
        }
    }

    /// Forgets those that have nothing in flight and were quiet for a second: their allowance is full again by then.
    pub(crate) fn forget_quiet(&mut self, now_ms: u64) {
        self.seen.retain(|_, client| {
            client.in_flight > 0 || now_ms.saturating_sub(client.refilled_ms) < 1_000
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ClientRules = ClientRules {
        in_flight_max: 2,
        per_second: Some(4),
        clients_max: 3,
    };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn what_is_in_flight_is_bounded_for_each_client_alone() {
        let mut clients = Clients::default();
        assert!(clients.enter(address(1), 0, &RULES).is_ok());
        assert!(clients.enter(address(1), 0, &RULES).is_ok());
        assert!(clients.enter(address(1), 0, &RULES).is_err());
        assert!(clients.enter(address(2), 0, &RULES).is_ok());
        clients.leave(address(1));
        assert!(clients.enter(address(1), 0, &RULES).is_ok());
    }

    #[test]
    fn the_rate_allows_a_burst_and_then_its_share() {
        let mut clients = Clients::default();
        let mut passed_at = |now: u64| {
            let passed = clients.enter(address(1), now, &RULES);
            clients.leave(address(1));
            passed
        };
        assert_eq!((0..10).filter(|_| passed_at(0).is_ok()).count(), 4);
        assert_eq!(
            passed_at(0),
            Err(TooMany {
                retry_after_ms: 250
            })
        );
        assert!(passed_at(250).is_ok());
        assert!(passed_at(250).is_err());
    }

    /// One that has a long answer on its way all the time is not forgotten.
    #[test]
    fn quiet_time_saves_up_no_more_than_one_burst() {
        let mut clients = Clients::default();
        clients.enter(address(1), 0, &RULES).unwrap();
        let passed = (0..20).filter(|_| {
            let passed = clients.enter(address(1), 3_600_000, &RULES).is_ok();
            if passed {
                clients.leave(address(1));
            }
            passed
        });
        assert_eq!(passed.count(), 4);
    }

    #[test]
    fn memory_is_bounded_and_quiet_clients_make_room() {
        let mut clients = Clients::default();
        for last in 0..3 {
            clients.enter(address(last), 0, &RULES).unwrap();
        }
        assert!(clients.enter(address(9), 0, &RULES).is_err());
        clients.leave(address(0));
        assert!(clients.enter(address(9), 2_000, &RULES).is_ok());
        assert_eq!(clients.seen.len(), 3);
    }
}
