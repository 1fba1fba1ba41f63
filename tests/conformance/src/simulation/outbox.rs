//! What had to happen to callbacks, computed in plain Rust.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use trawl_core::ids::AccountId;
use trawl_store::CallbackJob;

/// A tenant's URL: another tenant's pause or refusal at the same URL is its own.
type Endpoint = (AccountId, String);

#[derive(Debug)]
struct Row {
    webhook_id: String,
    endpoint: Endpoint,
    message: i64,
    lease: i64,
    in_flight: bool,
    lease_until_ms: i64,
    due_ms: i64,
    over: bool,
}

/// The outbox as it must be, as far as it was seen: a callback is known from its first claim.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    rows: BTreeMap<i64, Row>,
    webhook_ids: BTreeSet<String>,
    held: HashMap<Endpoint, Option<i64>>,
    pub(super) delivered: BTreeMap<i64, usize>,
}

impl Outbox {
    pub(super) fn claimed(&mut self, job: &CallbackJob, now_ms: i64, lease_ms: i64) {
        let endpoint = (job.tenant, job.endpoint_url.clone());
        let webhook_ids = &mut self.webhook_ids;
        let row = self.rows.entry(job.id).or_insert_with(|| {
            assert!(
                webhook_ids.insert(job.webhook_id.clone()),
                "two events share a webhook id"
            );
            Row {
                webhook_id: job.webhook_id.clone(),
                endpoint: endpoint.clone(),
                message: job.message_id.0,
                lease: 0,
                in_flight: false,
                lease_until_ms: 0,
                due_ms: i64::MIN,
                over: false,
            }
        });
        assert_eq!(
            row.webhook_id, job.webhook_id,
            "an event keeps its webhook id"
        );
        assert!(!row.in_flight && !row.over, "{job:?} was not waiting");
        assert!(row.due_ms <= now_ms, "{job:?} is not due");
        row.lease += 1;
        assert_eq!(job.lease, row.lease);
        row.in_flight = true;
        row.lease_until_ms = now_ms + lease_ms;
        assert!(
            !self.held.contains_key(&endpoint),
            "{endpoint:?} is held back"
        );
        let busy = self
            .rows
            .values()
            .filter(|row| row.in_flight && row.endpoint == endpoint)
            .count();
        assert!(busy <= 4, "{busy} in flight to {endpoint:?}");
    }

    pub(super) fn owns(&self, id: i64, lease: i64) -> bool {
        self.rows[&id].in_flight && self.rows[&id].lease == lease
    }

    pub(super) fn delivered(&mut self, id: i64) {
        let row = self.rows.get_mut(&id).expect("known");
        (row.in_flight, row.over) = (false, true);
        *self.delivered.entry(row.message).or_default() += 1;
    }

    pub(super) fn waits(&mut self, id: i64, due_ms: i64) {
        let row = self.rows.get_mut(&id).expect("known");
        (row.in_flight, row.due_ms) = (false, due_ms);
    }

    /// Holds an endpoint back until a time, or until it is enabled.
    pub(super) fn hold(&mut self, id: i64, until_ms: Option<i64>) {
        let held = self
            .held
            .entry(self.rows[&id].endpoint.clone())
            .or_insert(until_ms);
        *held = match (*held, until_ms) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
    }

    pub(super) fn woken(&mut self, now_ms: i64) {
        for row in self.rows.values_mut().filter(|row| row.due_ms <= now_ms) {
            row.due_ms = i64::MIN;
        }
        self.held
            .retain(|_, until_ms| until_ms.is_none_or(|until_ms| until_ms > now_ms));
    }

    /// The endpoints that stay disabled until their owner enables them.
    pub(super) fn disabled(&self) -> Vec<Endpoint> {
        let mut urls: Vec<_> = self
            .held
            .iter()
            .filter(|(_, until)| until.is_none())
            .map(|(url, _)| url.clone())
            .collect();
        urls.sort();
        urls
    }

    pub(super) fn enabled(&mut self, endpoint: &Endpoint) {
        self.held.remove(endpoint);
    }

    pub(super) fn leases_ended(&mut self) -> u64 {
        let mut count = 0;
        for row in self
            .rows
            .values_mut()
            .filter(|row| row.in_flight && row.lease_until_ms > 0)
        {
            row.lease_until_ms = 0;
            count += 1;
        }
        count
    }

    pub(super) fn rescued(&mut self, now_ms: i64) -> u64 {
        let mut count = 0;
        for row in self
            .rows
            .values_mut()
            .filter(|row| row.in_flight && row.lease_until_ms < now_ms)
        {
            (row.in_flight, row.due_ms) = (false, i64::MIN);
            count += 1;
        }
        count
    }
}
