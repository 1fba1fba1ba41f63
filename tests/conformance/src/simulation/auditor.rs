//! What had to happen to messages, computed in plain Rust.

use std::collections::{BTreeMap, HashMap, HashSet};

use trawl_core::ids::AccountId;
use trawl_core::limits::queue::CLAIMS_FORGIVEN_MAX;
use trawl_core::state::{Kind, State};
use trawl_store::Job;

/// A host's pace as the simulation configured it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) in_flight_max: u32,
    pub(super) gap_ms: i64,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) tenant: AccountId,
    pub(super) kind: Kind,
    pub(super) host: String,
    pub(super) state: State,
    pub(super) lease: i64,
    attempt: u32,
    crashes: u32,
    due_ms: i64,
    lease_until_ms: i64,
    deadline_ms: i64,
    /// Transitions so far, which the events must show.
    pub(super) moves: usize,
    /// Finishes and failures, each of which owes a callback.
    pub(super) ends: usize,
}

/// The message as it must be.
#[derive(Debug, Default)]
pub(super) struct Auditor {
    pub(super) rows: BTreeMap<i64, Row>,
    pub(super) paces: HashMap<String, Pace>,
    last_start_ms: HashMap<String, i64>,
    /// Hosts whose gap cannot be judged by the clock: it was set back after their last start.
    unsure: HashSet<String>,
    pauses: HashMap<String, Pause>,
}

/// How long a host asked to be left alone.
#[derive(Debug)]
struct Pause {
    until_ms: i64,
    /// Not when the clock was set back since: before that it may have been over.
    is_sure: bool,
}

impl Auditor {
    pub(super) fn submitted(&mut self, id: i64, tenant: AccountId, kind: Kind, host: &str) {
        let row = Row {
            tenant,
            kind,
            host: host.to_owned(),
            state: State::Queued,
            lease: 0,
            attempt: 0,
            crashes: 0,
            due_ms: i64::MIN,
            lease_until_ms: 0,
            deadline_ms: 0,
            moves: 0,
            ends: 0,
        };
        assert!(
            self.rows.insert(id, row).is_none(),
            "id {id} was given twice"
        );
    }

    fn in_flight(&self, host: &str) -> usize {
        self.rows
            .values()
            .filter(|row| row.host == host && row.state == State::Processing)
            .count()
    }

    /// The tenants with at least `leased` jobs of a kind in flight.
    pub(super) fn busy(&self, kind: Kind, leased: u32) -> Vec<AccountId> {
        let mut count: HashMap<AccountId, u32> = HashMap::new();
        for row in self.rows.values() {
            if row.kind == kind && row.state == State::Processing {
                *count.entry(row.tenant).or_default() += 1;
            }
        }
        count.retain(|_, count| *count >= leased);
        count.into_keys().collect()
    }

    pub(super) fn claimed(
        &mut self,
        job: &Job,
        kind: Kind,
        alone: bool,
        now_ms: i64,
        lease_ms: i64,
        job_ms: i64,
    ) {
        let pace = self.paces[&job.host];
        let row = self
            .rows
            .get_mut(&job.id.0)
            .expect("a claimed id was submitted");
        assert_eq!(row.state, State::Queued, "{job:?} was not waiting");
        assert_eq!((row.kind, row.host.as_str()), (kind, job.host.as_str()));
        assert!(
            row.due_ms <= now_ms,
            "{job:?} is not due before {}",
            row.due_ms
        );
        assert_eq!(row.crashes > 0, alone, "suspects run alone, and only they");
        row.lease += 1;
        row.attempt += 1;
        assert_eq!(
            (job.lease, job.attempt, job.crash_count),
            (row.lease, row.attempt, row.crashes)
        );
        row.state = State::Processing;
        row.lease_until_ms = now_ms + lease_ms;
        row.deadline_ms = now_ms + job_ms;
        row.moves += 1;
        self.started(&job.host, now_ms);
        assert!(
            self.in_flight(&job.host) <= pace.in_flight_max as usize,
            "{} has too many in flight",
            job.host
        );
    }

    /// Whether whoever holds `lease` still owns the message.
    pub(super) fn owns(&self, id: i64, lease: i64) -> bool {
        let row = &self.rows[&id];
        row.state == State::Processing && row.lease == lease
    }

    pub(super) fn ended(&mut self, id: i64, state: State) {
        let row = self.rows.get_mut(&id).expect("known");
        row.state = state;
        row.moves += 1;
        row.ends += usize::from(state != State::Cancelled);
    }

    /// A page of the host is asked for, by a job that was claimed for it or led there.
    pub(super) fn started(&mut self, host: &str, now_ms: i64) {
        let pace = self.paces[host];
        let last_ms = self
            .last_start_ms
            .insert(host.to_owned(), now_ms)
            .unwrap_or(i64::MIN);
        let apart = self.unsure.remove(host) || now_ms.saturating_sub(last_ms) >= pace.gap_ms;
        assert!(apart, "{host} started twice within its gap");
        let pause = self.pauses.get(host);
        assert!(
            pause.is_none_or(|pause| !pause.is_sure || pause.until_ms <= now_ms),
            "{host} asked to be left alone"
        );
    }

    pub(super) fn requeued(&mut self, id: i64, due_ms: i64, counts: bool) {
        let row = self.rows.get_mut(&id).expect("known");
        row.state = State::Queued;
        row.due_ms = due_ms;
        row.attempt -= u32::from(!counts);
        row.moves += 1;
    }

    pub(super) fn extended(&mut self, id: i64, now_ms: i64, lease_ms: i64) {
        let row = self.rows.get_mut(&id).expect("known");
        row.lease_until_ms = row.deadline_ms.min(now_ms + lease_ms);
    }

    pub(super) fn asked_again(&mut self, id: i64) {
        let row = self.rows.get_mut(&id).expect("known");
        row.state = State::Queued;
        (row.attempt, row.crashes, row.due_ms) = (0, 0, i64::MIN);
        row.moves += 1;
    }

    pub(super) fn clock_set_back(&mut self) {
        self.unsure.extend(self.last_start_ms.keys().cloned());
        for pause in self.pauses.values_mut() {
            pause.is_sure = false;
        }
    }

    pub(super) fn paused(&mut self, id: i64, until_ms: i64) {
        let host = self.rows[&id].host.clone();
        let before = self.pauses.get(&host).map(|pause| pause.until_ms);
        let pause = Pause {
            until_ms: before.map_or(until_ms, |before| before.max(until_ms)),
            is_sure: true,
        };
        self.pauses.insert(host, pause);
    }

    /// What came due is in the queue from then on, also when the clock is set back afterwards.
    pub(super) fn woken(&mut self, now_ms: i64) {
        for row in self.rows.values_mut().filter(|row| row.due_ms <= now_ms) {
            row.due_ms = i64::MIN;
        }
        self.pauses.retain(|_, pause| pause.until_ms > now_ms);
    }

    /// No lease holds any more; returns how many had been running.
    pub(super) fn leases_ended(&mut self) -> u64 {
        let mut count = 0;
        for row in self
            .rows
            .values_mut()
            .filter(|row| row.state == State::Processing && row.lease_until_ms > 0)
        {
            row.lease_until_ms = 0;
            count += 1;
        }
        count
    }

    /// Expires leases; returns how many were put back and how many given up.
    pub(super) fn rescued(&mut self, now_ms: i64, crashes_max: u32) -> (u64, u64) {
        let (mut requeued, mut poisoned) = (0, 0);
        for row in self
            .rows
            .values_mut()
            .filter(|row| row.state == State::Processing && row.lease_until_ms < now_ms)
        {
            if row.lease_until_ms == 0 && row.lease <= i64::from(CLAIMS_FORGIVEN_MAX) {
                row.crashes = 1;
                row.attempt -= 1;
            } else {
                row.crashes += 1;
            }
            row.moves += 1;
            if row.crashes >= crashes_max {
                row.state = State::Failed;
                row.ends += 1;
                poisoned += 1;
            } else {
                row.state = State::Queued;
                row.due_ms = i64::MIN;
                requeued += 1;
            }
        }
        (requeued, poisoned)
    }

    /// After every type was claimed until nothing came, and due retries were woken: whatever still waits must have a reason.
    pub(super) fn nothing_is_stuck(&self, now_ms: i64) {
        for (id, row) in self
            .rows
            .iter()
            .filter(|(_, row)| row.state == State::Queued && row.due_ms <= now_ms)
        {
            let pace = self.paces[&row.host];
            let full = self.in_flight(&row.host) >= pace.in_flight_max as usize;
            let last_ms = self
                .last_start_ms
                .get(&row.host)
                .copied()
                .unwrap_or(i64::MIN);
            let pausing = pace.gap_ms > 0 && now_ms < last_ms.saturating_add(pace.gap_ms);
            let is_paused = self.pauses.contains_key(&row.host);
            assert!(
                full || pausing || is_paused,
                "message {id} waits for nothing on {}",
                row.host
            );
        }
    }
}
