//! The actors: nodes, workers, the clock, owners. They hold the store's answers against the auditor's.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use trawl_core::ids::MessageId;
use trawl_core::limits::queue::{CRASHES_MAX, JOB_MS_MAX, SPARE_LEASED_MAX};
use trawl_core::state::{Kind, State};
use trawl_store::{Attempt, Changed, Filter, HostPause, Next, QueueLimits, Start, Store};

use super::Report;
use super::auditor::{Auditor, Pace};
use super::outbox::Outbox;
use crate::given::{LIMITS, accepted, failure, finished, request};
use crate::{Clock, Memory};

const LEASE_S: u32 = 60;
const LEASE_MS: i64 = LEASE_S as i64 * 1000;
const STEPS: u32 = 150;
const HOSTS: [(&str, Pace); 4] = [
    (
        "free",
        Pace {
            in_flight_max: 1000,
            gap_ms: 0,
        },
    ),
    (
        "two",
        Pace {
            in_flight_max: 2,
            gap_ms: 0,
        },
    ),
    (
        "slow",
        Pace {
            in_flight_max: 3,
            gap_ms: 2_000,
        },
    ),
    (
        "single",
        Pace {
            in_flight_max: 1,
            gap_ms: 0,
        },
    ),
];

pub(super) struct World<'a> {
    store: Store<'a, Memory>,
    clock: &'a Clock,
    random: SmallRng,
    auditor: Auditor,
    outbox: Outbox,
    /// Jobs that some worker believes it holds; crashed workers' jobs stay here and turn up late.
    held: Vec<(i64, i64)>,
    sending: Vec<(i64, i64)>,
    /// Rings on their way, each for a type; some are lost, some come twice.
    rings: Vec<Kind>,
    report: Report,
}

impl<'a> World<'a> {
    pub(super) fn new(memory: &'a Memory, clock: &'a Clock, seed: u64) -> Self {
        let mut auditor = Auditor::default();
        auditor.paces = HOSTS
            .iter()
            .map(|(host, pace)| ((*host).to_owned(), *pace))
            .collect();
        Self {
            store: Store::new(memory),
            clock,
            random: SmallRng::seed_from_u64(seed),
            auditor,
            outbox: Outbox::default(),
            held: Vec::new(),
            sending: Vec::new(),
            rings: Vec::new(),
            report: Report::default(),
        }
    }

    pub(super) async fn live(mut self) -> Report {
        for (host, pace) in HOSTS {
            let gap_ms = u64::try_from(pace.gap_ms).unwrap();
            self.store
                .set_host_pace(host, gap_ms, pace.in_flight_max, "operator")
                .await
                .unwrap();
        }
        for _ in 0..STEPS {
            match self.random.random_range(0..100) {
                0..25 => self.submit().await,
                25..45 => self.ring_arrives().await,
                45..62 => self.worker_answers().await,
                62..66 => self.owner_changes_mind().await,
                66..70 => self.tick().await,
                70..72 => self.job_is_led_elsewhere().await,
                72..80 => self.send_callbacks().await,
                80..90 => self.endpoint_answers().await,
                90..97 => self.clock.turn(self.random.random_range(1..20_000)),
                97 => {
                    self.clock.turn(-self.random.random_range(1..90_000));
                    self.auditor.clock_set_back();
                }
                98 => self.clock.turn(self.random.random_range(60_000..400_000)),
                _ if self.random.random() => self.held.shuffle_away(&mut self.random),
                _ => self.all_are_taken_for_dead().await,
            }
        }
        self.settle().await;
        self.report
    }

    fn now_ms(&self) -> i64 {
        self.clock.ms()
    }

    async fn submit(&mut self) {
        let (host, pace) = HOSTS[self.random.random_range(0..HOSTS.len())];
        let mut message = request(self.random.random_range(1..4), host);
        message.kind = Kind::ALL[self.random.random_range(0..3)];
        message.priority = self.random.random_range(0..10);
        message.callback_url = self
            .random
            .random_bool(0.7)
            .then(|| format!("https://n{}/", self.random.random_range(0..3)));
        let limits = QueueLimits {
            host_in_flight_max: pace.in_flight_max,
            ..LIMITS
        };
        let id = accepted(self.store, &message, &limits).await;
        self.auditor
            .submitted(id.0, message.tenant, message.kind, host);
        self.report.accepted += 1;
        // Lost, once, or twice.
        for _ in 0..self.random.random_range(0..3) {
            self.rings.push(message.kind);
        }
    }

    async fn job_is_led_elsewhere(&mut self) {
        let (host, _) = HOSTS[self.random.random_range(0..HOSTS.len())];
        let now_ms = self.now_ms();
        match self.store.take_start(host).await.unwrap() {
            Start::Taken { .. } => self.auditor.started(host, now_ms),
            Start::TooEarly { .. } => self.report.put_off += 1,
        }
    }

    async fn ring_arrives(&mut self) {
        if self.rings.is_empty() {
            return;
        }
        let late = self.random.random_range(0..self.rings.len());
        let kind = self.rings.swap_remove(late);
        let limit = self.random.random_range(1..5);
        self.claim(kind, limit).await;
        if self.random.random_bool(0.3) {
            self.claim_spare(kind, limit).await;
        }
    }

    /// The claim for the spare slots obeys the same rules, and takes nothing of who has much in flight.
    async fn claim_spare(&mut self, kind: Kind, limit: u32) {
        let now_ms = self.now_ms();
        let busy = self.auditor.busy(kind, SPARE_LEASED_MAX);
        let store = self.store;
        let draw = self.random.random();
        let jobs = store
            .claim_spare(kind, limit, "worker", LEASE_S, draw)
            .await;
        for job in jobs.unwrap() {
            assert!(!busy.contains(&job.tenant), "{job:?} has slots enough");
            self.auditor
                .claimed(&job, kind, false, now_ms, LEASE_MS, JOB_MS_MAX);
            self.held.push((job.id.0, job.lease));
            self.report.claims += 1;
        }
    }

    async fn claim(&mut self, kind: Kind, limit: u32) -> usize {
        let now_ms = self.now_ms();
        let jobs = self
            .store
            .claim(kind, limit, "worker", LEASE_S)
            .await
            .unwrap();
        assert!(jobs.len() <= limit as usize);
        for job in &jobs {
            self.auditor
                .claimed(job, kind, false, now_ms, LEASE_MS, JOB_MS_MAX);
        }
        let alone = self
            .store
            .claim_alone(kind, "worker", LEASE_S)
            .await
            .unwrap();
        if let Some(job) = &alone {
            self.auditor
                .claimed(job, kind, true, now_ms, LEASE_MS, JOB_MS_MAX);
        }
        self.held
            .extend(jobs.iter().chain(&alone).map(|job| (job.id.0, job.lease)));
        let count = jobs.len() + usize::from(alone.is_some());
        self.report.claims += count as u64;
        count
    }

    /// A worker reports on a job that it believes it holds: the store must accept exactly those whose lease still stands.
    async fn worker_answers(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.held.len());
        let (id, lease) = self.held[index];
        let owned = self.auditor.owns(id, lease);
        self.report.stale += u64::from(!owned);
        let now_ms = self.now_ms();
        match self.random.random_range(0..10) {
            0..4 => self.finish_with(index).await,
            4 => {
                assert_eq!(
                    self.store
                        .fail(&failure(MessageId(id), lease, None))
                        .await
                        .unwrap(),
                    owned
                );
                owned.then(|| self.auditor.ended(id, State::Failed));
            }
            5 | 6 => {
                let wait_ms = self.random.random_range(0..30_000);
                let mut failed = failure(MessageId(id), lease, Some(wait_ms));
                if self.random.random_bool(0.2) {
                    let host = self.auditor.rows[&id].host.clone();
                    failed.pause = Some(HostPause { host, ms: wait_ms });
                }
                let answer = self.store.fail(&failed).await.unwrap();
                assert_eq!(answer, owned);
                if owned {
                    let until_ms = now_ms + i64::try_from(wait_ms).unwrap();
                    self.auditor.requeued(id, until_ms, true);
                    if failed.pause.is_some() {
                        self.auditor.paused(id, until_ms);
                        self.report.pauses += 1;
                    }
                }
            }
            7 if self.random.random_bool(0.5) => {
                let wait_ms = self.random.random_range(0..30_000);
                let given_back = self.store.postpone(MessageId(id), lease, wait_ms, 0);
                assert_eq!(given_back.await.unwrap(), owned);
                let until_ms = now_ms + i64::try_from(wait_ms).unwrap();
                owned.then(|| self.auditor.requeued(id, until_ms, false));
            }
            7 => {
                self.store.release(&[(MessageId(id), lease)]).await.unwrap();
                owned.then(|| self.auditor.requeued(id, i64::MIN, false));
            }
            _ => {
                let ours = self
                    .store
                    .extend(&[(MessageId(id), lease)], LEASE_S)
                    .await
                    .unwrap();
                assert_eq!(!ours.is_empty(), owned);
                owned.then(|| self.auditor.extended(id, now_ms, LEASE_MS));
                return;
            }
        }
        // Sometimes the worker does not see the answer, and reports again later.
        if self.random.random_bool(0.8) {
            self.held.retain(|held| *held != (id, lease));
        }
    }

    /// Finishes the job at `index`, alone or with some others in one statement.
    async fn finish_with(&mut self, index: usize) {
        let mut batch = vec![self.held[index]];
        if self.random.random_bool(0.5) {
            batch.extend(
                self.held
                    .iter()
                    .filter(|held| **held != self.held[index])
                    .take(3),
            );
        }
        batch.sort_unstable();
        batch.dedup_by_key(|(id, _)| *id);
        let work: Vec<_> = batch
            .iter()
            .map(|&(id, lease)| finished(MessageId(id), lease))
            .collect();
        let mut done: Vec<_> = self
            .store
            .finish(&work)
            .await
            .unwrap()
            .iter()
            .map(|id| id.0)
            .collect();
        done.sort_unstable();
        let owned: Vec<_> = batch
            .iter()
            .filter(|(id, lease)| self.auditor.owns(*id, *lease))
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(done, owned, "exactly the jobs whose lease stands are done");
        for id in done {
            self.auditor.ended(id, State::Done);
        }
    }

    async fn owner_changes_mind(&mut self) {
        if self.auditor.rows.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.auditor.rows.len());
        let (&id, row) = self.auditor.rows.iter().nth(index).unwrap();
        let (state, owner) = (row.state, row.tenant);
        if self.random.random_bool(0.5) {
            let expected = if state.is_terminal() {
                Changed::Conflict(state)
            } else {
                Changed::Yes
            };
            assert_eq!(
                self.store.cancel(owner, MessageId(id)).await.unwrap(),
                expected
            );
            (expected == Changed::Yes).then(|| self.auditor.ended(id, State::Cancelled));
        } else {
            let expected = if state.is_terminal() {
                Changed::Yes
            } else {
                Changed::Conflict(state)
            };
            assert_eq!(
                self.store
                    .retry(owner, MessageId(id), &LIMITS)
                    .await
                    .unwrap(),
                expected
            );
            (expected == Changed::Yes).then(|| self.auditor.asked_again(id));
        }
    }

    /// A process believes that it is alone. Those that it takes for dead may live, and answer in time or too late.
    async fn all_are_taken_for_dead(&mut self) {
        let expected = self.auditor.leases_ended() + self.outbox.leases_ended();
        assert_eq!(self.store.expire_leases().await.unwrap(), expected);
    }

    async fn tick(&mut self) {
        let now_ms = self.now_ms();
        self.store.wake().await.unwrap();
        self.auditor.woken(now_ms);
        self.outbox.woken(now_ms);
        let rescued = self.store.rescue().await.unwrap();
        let expected = self.auditor.rescued(now_ms, CRASHES_MAX);
        assert_eq!(
            (rescued.requeued, rescued.poisoned),
            expected,
            "exactly the expired leases"
        );
        self.report.rescued += rescued.requeued + rescued.poisoned;
        let callbacks = self.store.rescue_callbacks().await.unwrap();
        assert_eq!(
            callbacks.requeued + callbacks.poisoned,
            self.outbox.rescued(now_ms)
        );
        assert_eq!(callbacks.poisoned, 0, "no seed is that long");
        for kind in self.store.waiting().await.unwrap().now {
            assert!(
                self.claim(kind, 2).await > 0,
                "what is said to wait can be claimed"
            );
        }
    }

    async fn send_callbacks(&mut self) {
        let limit = self.random.random_range(1..8);
        let now_ms = self.now_ms();
        for job in self
            .store
            .claim_callbacks(limit, "caller", LEASE_S)
            .await
            .unwrap()
        {
            self.outbox.claimed(&job, now_ms, LEASE_MS);
            self.sending.push((job.id, job.lease));
        }
    }

    async fn endpoint_answers(&mut self) {
        if self.sending.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.sending.len());
        let (id, lease) = self.sending[index];
        let owned = self.outbox.owns(id, lease);
        let now_ms = self.now_ms();
        let attempt = Attempt {
            status: Some(503),
            latency_ms: 1,
            error: None,
        };
        match self.random.random_range(0..10) {
            0..6 => {
                assert_eq!(
                    self.store.callback_done(id, lease, &attempt).await.unwrap(),
                    owned
                );
                owned.then(|| self.outbox.delivered(id));
            }
            6 if self.random.random_bool(0.2) => {
                let answer = self
                    .store
                    .callback_failed(id, lease, &attempt, Next::EndpointGone, None)
                    .await
                    .unwrap();
                assert_eq!(answer, owned);
                if owned {
                    self.outbox.waits(id, i64::MIN);
                    self.outbox.hold(id, None);
                }
            }
            6..9 => {
                let in_ms = self.random.random_range(1_000..10_000);
                let throttle_ms = self
                    .random
                    .random_bool(0.3)
                    .then(|| self.random.random_range(1_000..20_000));
                let next = Next::Retry { in_ms };
                let answer = self
                    .store
                    .callback_failed(id, lease, &attempt, next, throttle_ms)
                    .await
                    .unwrap();
                assert_eq!(answer, owned);
                if owned {
                    let in_ms = in_ms.max(throttle_ms.unwrap_or(0));
                    self.outbox
                        .waits(id, now_ms + i64::try_from(in_ms).unwrap());
                    if let Some(ms) = throttle_ms {
                        self.outbox
                            .hold(id, Some(now_ms + i64::try_from(ms).unwrap()));
                    }
                }
            }
            // The sender dies without a word; its answer may still come later.
            _ => return,
        }
        if self.random.random_bool(0.8) {
            self.sending.swap_remove(index);
        }
    }

    /// No more trouble: everything that was accepted must end, and every end must be called back.
    async fn settle(&mut self) {
        for round in 0.. {
            self.tick().await;
            loop {
                let mut claimed = 0;
                for kind in Kind::ALL {
                    claimed += self.claim(kind, 16).await;
                }
                if claimed == 0 {
                    break;
                }
            }
            self.auditor.nothing_is_stuck(self.now_ms());
            while !self.held.is_empty() {
                self.finish_with(0).await;
                let auditor = &self.auditor;
                self.held.retain(|(id, lease)| auditor.owns(*id, *lease));
            }
            self.deliver_all().await;
            if self
                .auditor
                .rows
                .values()
                .all(|row| row.state.is_terminal())
                && self.outbox.disabled().is_empty()
            {
                let waiting = self.store.queues(None).await.unwrap()[3].clone();
                if waiting.ready + waiting.leased + waiting.delayed == 0 {
                    break;
                }
            }
            assert!(
                round < 2_000,
                "something never ends: {:?}",
                self.auditor.rows
            );
            self.clock.turn(2_000);
        }
        self.compare().await;
    }

    async fn deliver_all(&mut self) {
        for endpoint in self.outbox.disabled() {
            assert!(
                self.store
                    .endpoint_enable(endpoint.0, &endpoint.1)
                    .await
                    .unwrap()
            );
            self.outbox.enabled(&endpoint);
        }
        loop {
            self.send_callbacks().await;
            if self.sending.is_empty() {
                break;
            }
            for (id, lease) in std::mem::take(&mut self.sending) {
                let owned = self.outbox.owns(id, lease);
                let attempt = Attempt {
                    status: Some(200),
                    latency_ms: 1,
                    error: None,
                };
                assert_eq!(
                    self.store.callback_done(id, lease, &attempt).await.unwrap(),
                    owned
                );
                owned.then(|| self.outbox.delivered(id));
            }
        }
    }

    async fn compare(&mut self) {
        for (&id, row) in &self.auditor.rows {
            let owner = row.tenant;
            let message = self
                .store
                .message(owner, MessageId(id))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(message.state, row.state);
            let newest = Filter {
                limit: 1,
                before: Some(MessageId(id + 1)),
                ..Filter::default()
            };
            assert_eq!(
                self.store.messages(owner, &newest).await.unwrap(),
                std::slice::from_ref(&message),
                "a list says of {id} what it says itself"
            );
            let events = self
                .store
                .events(owner, MessageId(id))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                events.len(),
                1 + row.moves,
                "every transition of {id} is written down: {events:?}"
            );
            let called = self.outbox.delivered.get(&id).copied().unwrap_or(0);
            let owed = if message.callback_url.is_some() {
                row.ends
            } else {
                0
            };
            assert_eq!(
                called, owed,
                "every end of {id} is called back once it is confirmed"
            );
            self.report.delivered += called as u64;
        }
    }
}

/// A worker dies: what it held is known to nobody, except that its answer may still come.
trait ShuffleAway {
    fn shuffle_away(&mut self, random: &mut SmallRng);
}

impl ShuffleAway for Vec<(i64, i64)> {
    fn shuffle_away(&mut self, random: &mut SmallRng) {
        self.retain(|_| random.random_bool(0.5));
    }
}
