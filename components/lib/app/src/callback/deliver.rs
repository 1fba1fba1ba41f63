//! The delivery loop: one invocation works off the outbox. Built like the scrapers' loop: all that goes on is a task,
//! each ends in an event, and after each event the loop decides what to start.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use trawl_core::limits::callback::{
    CLAIMED_MAX, GATHER_MS, GATHERED_MAX, IN_FLIGHT_MAX, SPARE_MAX,
};
use trawl_core::limits::scrape::{BEAT_MS, CLAIMING_MS_MAX, INVOCATION_MS_MAX, STOP_MS_MAX};
use trawl_store::{CallbackJob, Done, Store, StoreError};

use super::send::{Ended, Sender};
use crate::channels::CALLBACK_QUEUE;
use crate::claims::{Claims, Sizes, Step};
use crate::gather::{Flush, Gathering};
use crate::patience::some_of;
use crate::ports::{Bell as _, Clock as _, Ports};
use crate::settings::{CallbackSettings, stop_was_asked};

const SIZES: Sizes = Sizes {
    in_flight_max: IN_FLIGHT_MAX,
    claimed_max: CLAIMED_MAX,
    spare_max: SPARE_MAX,
};

/// What one invocation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Answered with 2xx, and recorded so.
    pub delivered: u32,
    /// Failed attempts recorded.
    pub failed: u32,
    /// Attempts whose lease was lost meanwhile.
    pub stale: u32,
    /// Given back unsent: at a stop, or because no connection was free.
    pub released: u32,
}

/// Posts callbacks until none can be claimed or the invocation's time is used.
///
/// # Errors
/// When the database fails. What was being sent is sent again when its lease has expired, with the same `webhook-id`.
pub async fn deliver<P: Ports>(ports: &P) -> Result<Delivered, StoreError> {
    if stop_was_asked(ports.variables()).await
        || !Store::new(ports.sql()).callbacks_waiting().await?
    {
        return Ok(Delivered::default());
    }
    let sender = Sender::new(ports, CallbackSettings::read(ports).await);
    let mut round = Round::new(&sender);
    round.run().await;
    if round.leaves_work() {
        ports.bell().ring(CALLBACK_QUEUE).await;
    }
    round.broken.map_or(Ok(round.done), Err)
}

/// What a task of the loop ended in.
enum Event {
    Claimed {
        asked: u32,
        jobs: Result<Vec<CallbackJob>, StoreError>,
    },
    ClaimedSpare(Result<Vec<CallbackJob>, StoreError>),
    Sent {
        id: i64,
        lease: i64,
        ended: Result<Ended, StoreError>,
    },
    /// Of so many deliveries the leases of so many held.
    Recorded {
        done: Vec<Done>,
        held: Result<usize, StoreError>,
    },
    Gathered,
    Looked {
        at_once: bool,
        waiting: Result<bool, StoreError>,
    },
    Watched(Result<bool, StoreError>),
    Beat {
        stop: bool,
    },
    Renewed,
}

struct Round<'s, 'p, P: Ports> {
    sender: &'s Sender<'p, P>,
    tasks: FuturesUnordered<LocalBoxFuture<'s, Event>>,
    /// The callbacks in flight, with the lease each is held under.
    leases: BTreeMap<i64, i64>,
    done: Delivered,
    broken: Option<StoreError>,
    /// When the last event came. Asking the clock is a call of the host.
    now_ms: u64,
    started_ms: u64,
    claiming_ms_max: u64,
    renewed_ms: u64,
    stopping_since_ms: Option<u64>,
    claims: Claims,
    /// Delivered, and to be recorded.
    delivered: Gathering<Done>,
    /// Of these a record is under way.
    recording: Vec<Done>,
}

impl<'s, 'p, P: Ports> Round<'s, 'p, P> {
    fn new(sender: &'s Sender<'p, P>) -> Self {
        let now_ms = sender.ports.clock().monotonic_ms();
        Self {
            sender,
            tasks: FuturesUnordered::new(),
            leases: BTreeMap::new(),
            done: Delivered::default(),
            broken: None,
            now_ms,
            started_ms: now_ms,
            claiming_ms_max: some_of(CLAIMING_MS_MAX, sender.ports.random()),
            renewed_ms: now_ms,
            stopping_since_ms: None,
            claims: Claims::new(SIZES),
            delivered: Gathering::new(GATHERED_MAX, usize::MAX, |_| 0),
            recording: Vec::new(),
        }
    }

    async fn run(&mut self) {
        self.start_beat();
        self.steer();
        while !self.is_over()
            && let Some(event) = self.tasks.next().await
        {
            self.now_ms = self.sender.ports.clock().monotonic_ms();
            self.on(event);
            if self.must_break_off() {
                // What is under way ends with the tasks; its leases are given back, so that another node sends at once.
                self.tasks.clear();
                self.record_what_was_delivered().await;
                self.done.released += self
                    .sender
                    .give_back(&std::mem::take(&mut self.leases))
                    .await;
                return;
            }
            self.steer();
        }
    }

    fn is_over(&self) -> bool {
        self.leases.is_empty() && !self.claims.is_under_way()
    }

    /// The time was used up while there was still something to claim.
    fn leaves_work(&self) -> bool {
        !self.claims.is_dry() && self.broken.is_none() && self.stopping_since_ms.is_none()
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Claimed { asked, jobs } => {
                let jobs = self.unless_broken(jobs);
                self.claims
                    .claimed(asked as usize, jobs.as_ref().map(Vec::len));
                self.start_attempts(jobs);
            }
            Event::ClaimedSpare(jobs) => {
                let jobs = self.unless_broken(jobs);
                self.claims.claimed_spare(jobs.as_ref().map_or(0, Vec::len));
                self.start_attempts(jobs);
            }
            Event::Sent { id, lease, ended } => self.on_sent(id, lease, ended),
            Event::Recorded { done, held } => {
                self.delivered.flushed();
                self.recording.clear();
                self.drop_held(&done);
                if let Some(held) = self.unless_broken(held) {
                    self.count_delivered(done.len(), held);
                }
                self.claims.ended();
            }
            Event::Gathered => self.delivered.time_is_up(),
            Event::Looked { at_once, waiting } => {
                let is_waiting = self.unless_broken(waiting).unwrap_or_default();
                self.claims
                    .looked(at_once, is_waiting, self.leases.is_empty());
            }
            Event::Watched(waiting) => {
                let is_waiting = self.unless_broken(waiting).unwrap_or_default();
                self.claims.watched(is_waiting);
            }
            Event::Beat { stop } => {
                self.sender.limit.beat();
                if stop {
                    self.stopping_since_ms.get_or_insert(self.now_ms);
                }
                self.start_renewal_when_due();
                self.start_beat();
            }
            Event::Renewed => {}
        }
    }

    fn on_sent(&mut self, id: i64, lease: i64, ended: Result<Ended, StoreError>) {
        match self.unless_broken(ended) {
            // It is held until it is recorded.
            Some(Ended::Delivered(done)) => return self.delivered.add(done),
            Some(Ended::Failed) => self.done.failed += 1,
            Some(Ended::Stale) => self.done.stale += 1,
            Some(Ended::Unsent) => self.done.released += 1,
            None => {}
        }
        self.let_go(id, lease);
        // Its endpoint has a free slot now.
        self.claims.ended();
    }

    /// Its callback may be held again under a newer lease, which goes on.
    fn let_go(&mut self, id: i64, lease: i64) {
        if self.leases.get(&id) == Some(&lease) {
            self.leases.remove(&id);
        }
    }

    fn drop_held(&mut self, done: &[Done]) {
        for one in done {
            self.let_go(one.id, one.lease);
        }
    }

    fn count_delivered(&mut self, recorded: usize, held: usize) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.done.delivered += count(held);
        self.done.stale += count(recorded.saturating_sub(held));
    }

    /// At a stop: what the receivers have is not sent again. A record that was under way is made once more, since it may not have
    /// begun; if it has, the leases make this harmless.
    async fn record_what_was_delivered(&mut self) {
        let mut done = std::mem::take(&mut self.recording);
        done.extend(self.delivered.take());
        if let Ok(held) = self.sender.record_deliveries(&done).await {
            self.count_delivered(done.len(), held);
            self.drop_held(&done);
        }
    }

    fn unless_broken<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken.get_or_insert(error);
                None
            }
        }
    }

    fn start_attempts(&mut self, jobs: Option<Vec<CallbackJob>>) {
        for job in jobs.unwrap_or_default() {
            let sender = self.sender;
            self.leases.insert(job.id, job.lease);
            self.start(async move {
                Event::Sent {
                    id: job.id,
                    lease: job.lease,
                    ended: sender.attempt(&job).await,
                }
            });
        }
    }

    fn steer(&mut self) {
        self.steer_deliveries();
        if !self.may_claim() {
            return;
        }
        let held = self.leases.len();
        while let Some(step) = self.claims.next(held, held == 0) {
            match step {
                Step::Claim(asked) => self.start_claim(asked),
                Step::ClaimSpare(asked) => self.start_claim_spare(asked),
                Step::Look { after_ms } => self.start_look(after_ms),
                Step::Watch { after_ms } => self.start_watch(after_ms),
            }
        }
    }

    /// Deliveries share a statement; the first waits a moment for company, unless all that is in flight is delivered.
    fn steer_deliveries(&mut self) {
        let is_last = self.delivered.len() == self.leases.len();
        match self.delivered.next(is_last) {
            Some(Flush::Now(done)) => {
                let sender = self.sender;
                self.recording.clone_from(&done);
                self.start(async move {
                    let held = sender.record_deliveries(&done).await;
                    Event::Recorded { done, held }
                });
            }
            Some(Flush::Later) => {
                let sender = self.sender;
                self.start(async move {
                    sender.sleep_ms(GATHER_MS).await;
                    Event::Gathered
                });
            }
            None => {}
        }
    }

    /// After its usual time an invocation ends as soon as nothing is in flight, and not before: one that stopped claiming while
    /// a dead endpoint lets it wait would keep others' callbacks waiting too.
    fn may_claim(&self) -> bool {
        let run_ms = self.now_ms.saturating_sub(self.started_ms);
        let in_time = run_ms < INVOCATION_MS_MAX
            || (run_ms < self.claiming_ms_max && !self.leases.is_empty());
        in_time && self.stopping_since_ms.is_none() && self.broken.is_none()
    }

    fn must_break_off(&self) -> bool {
        self.stopping_since_ms
            .is_some_and(|since_ms| self.now_ms >= since_ms + STOP_MS_MAX)
    }

    fn start(&self, task: impl Future<Output = Event> + 's) {
        self.tasks.push(Box::pin(task));
    }

    fn start_claim(&self, asked: usize) {
        let sender = self.sender;
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        self.start(async move {
            let settings = &sender.settings;
            let jobs = sender
                .store()
                .claim_callbacks(asked, &settings.worker, settings.lease_s)
                .await;
            Event::Claimed { asked, jobs }
        });
    }

    fn start_claim_spare(&self, asked: usize) {
        let sender = self.sender;
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        self.start(async move {
            let settings = &sender.settings;
            let jobs = sender
                .store()
                .claim_callbacks_spare(asked, &settings.worker, settings.lease_s)
                .await;
            Event::ClaimedSpare(jobs)
        });
    }

    /// All leases at once, each third of their time. One that is lost costs a second delivery at most, which carries the
    /// same id: the attempt goes on, and its record is refused.
    fn start_renewal_when_due(&mut self) {
        let now_ms = self.now_ms;
        let third_ms = u64::from(self.sender.settings.lease_s) * 1_000 / 3;
        if self.leases.is_empty() || now_ms < self.renewed_ms + third_ms {
            return;
        }
        self.renewed_ms = now_ms;
        let sender = self.sender;
        let leases: Vec<(i64, i64)> = self
            .leases
            .iter()
            .map(|(id, lease)| (*id, *lease))
            .collect();
        self.start(async move {
            // Without an answer the leases run on; they last three renewals.
            let _ = sender
                .store()
                .extend_callbacks(&leases, sender.settings.lease_s)
                .await;
            Event::Renewed
        });
    }

    fn start_look(&self, after_ms: u64) {
        let sender = self.sender;
        self.start(async move {
            sender.sleep_ms(after_ms).await;
            Event::Looked {
                at_once: after_ms == 0,
                waiting: sender.store().callbacks_waiting().await,
            }
        });
    }

    fn start_watch(&self, after_ms: u64) {
        let sender = self.sender;
        self.start(async move {
            sender.sleep_ms(after_ms).await;
            Event::Watched(sender.store().callbacks_waiting_spare().await)
        });
    }

    fn start_beat(&self) {
        let sender = self.sender;
        self.start(async move {
            sender.sleep_ms(BEAT_MS).await;
            Event::Beat {
                stop: stop_was_asked(sender.ports.variables()).await,
            }
        });
    }
}
