//! Starts at hosts that no claim took: where redirects lead, and where a job that was claimed had to wait for others. The queue keeps the
//! pace of each host, whoever starts there; here those of one instance stand in line.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use trawl_core::limits::scrape::{IN_FLIGHT_MAX, START_LOOK_MS, START_WAIT_MS_MAX};
use trawl_store::{Start, Store, StoreError};

use super::error::{FetchError, TooEarly};
use super::robots::Passed;
use crate::patience::within;
use crate::ports::{Clock as _, Ports};
use crate::slots::{Slot, Slots};

/// The hosts at which jobs of one invocation start, or wait to.
pub(super) struct Starts<'a, P: Ports> {
    ports: &'a P,
    hosts: RefCell<HashMap<String, Rc<Host>>>,
}

/// One of them.
pub(super) struct Host {
    name: String,
    /// Who asks for the next start: one at a time, so that those who came first start first.
    line: Slots,
    /// Requests of jobs that were led there: this instance has no more of them in flight than the host's own jobs may be. Each start tells
    /// how many that are; until the first there is one.
    visits: Slots,
}

impl<'a, P: Ports> Starts<'a, P> {
    pub(super) fn new(ports: &'a P) -> Self {
        Self {
            ports,
            hosts: RefCell::default(),
        }
    }

    /// The host that the queue knows by this name.
    pub(super) fn at(&self, name: &str) -> Rc<Host> {
        let mut hosts = self.hosts.borrow_mut();
        if hosts.len() >= 2 * IN_FLIGHT_MAX {
            hosts.retain(|_, host| Rc::strong_count(host) > 1);
        }
        let host = hosts.entry(name.to_owned()).or_insert_with(|| {
            Rc::new(Host {
                name: name.to_owned(),
                line: Slots::new(1),
                visits: Slots::new(1),
            })
        });
        Rc::clone(host)
    }

    /// Starts at a host that a redirect led to. What is given is to be kept while it is asked.
    ///
    /// # Errors
    /// When it may not be asked in the next seconds.
    pub(super) async fn visit<'h>(
        &self,
        host: &'h Host,
        passed: Passed,
    ) -> Result<Slot<'h>, FetchError> {
        let visit = self.visit_again(host, passed).await?;
        if passed == Passed::Started {
            return Ok(visit);
        }
        match self.start(host).await? {
            None => Ok(visit),
            Some(wait_ms) => Err(TooEarly::Elsewhere(wait_ms).into()),
        }
    }

    /// Comes to a host at which the same chain of requests started before. What is given is to be kept while it is asked.
    ///
    /// # Errors
    /// When as many as may ask it go on doing so.
    pub(super) async fn visit_again<'h>(
        &self,
        host: &'h Host,
        passed: Passed,
    ) -> Result<Slot<'h>, FetchError> {
        let limit = Duration::from_millis(START_WAIT_MS_MAX);
        let visit = match host.visits.take().now_or_never() {
            Some(visit) => visit,
            None => within(self.ports.clock(), limit, host.visits.take())
                .await
                .ok_or(TooEarly::Elsewhere(START_WAIT_MS_MAX))?,
        };
        if passed == Passed::Started {
            // Who asks for a pace is asked for one page at a time (`set_host_pace`).
            host.visits.resize(1);
        }
        Ok(visit)
    }

    /// Starts at the job's own host, for which it was claimed some time ago.
    ///
    /// # Errors
    /// When it may not be asked in the next seconds.
    pub(super) async fn start_late(&self, host: &Host) -> Result<(), FetchError> {
        match self.start(host).await? {
            None => Ok(()),
            Some(_) => Err(TooEarly::OwnHost.into()),
        }
    }

    /// `None` after a start; else in how many milliseconds there may be one.
    async fn start(&self, host: &Host) -> Result<Option<u64>, StoreError> {
        let clock = self.ports.clock();
        let store = Store::new(self.ports.sql());
        let since_ms = clock.monotonic_ms();
        let _first = host.line.take().await;
        loop {
            let wait_ms = match store.take_start(&host.name).await? {
                Start::Taken { in_flight_max } => {
                    host.visits.resize(in_flight_max as usize);
                    return Ok(None);
                }
                Start::TooEarly { wait_ms } => wait_ms,
            };
            let waited_ms = clock.monotonic_ms().saturating_sub(since_ms);
            if waited_ms.saturating_add(wait_ms) > START_WAIT_MS_MAX {
                return Ok(Some(wait_ms));
            }
            // Never at once: it may be another one's turn, and the clocks of the database and of this instance may differ.
            let wait_ms = wait_ms.max(START_LOOK_MS);
            clock.sleep(Duration::from_millis(wait_ms)).await;
        }
    }
}

#[cfg(test)]
#[path = "starts_tests.rs"]
mod tests;
