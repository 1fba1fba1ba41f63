//! The drain loop: one invocation works off a queue.
//!
//! All that goes on is a task in one set: attempts, statements, timers. Each ends in an [`Event`]; after each event
//! the loop decides what to start next. So a statement that waits for its commit never holds up a fetch, and a fetch
//! never holds up a statement.

use futures::StreamExt as _;
use futures::future::{Aborted, LocalBoxFuture, abortable, join_all};
use futures::stream::FuturesUnordered;
use trawl_core::ids::MessageId;
use trawl_core::limits::scrape::{
    ALONE_MS_MAX, BEAT_MS, CLAIMED_MAX, CLAIMING_MS_MAX, GATHER_MS, GATHERED_BYTES_MAX,
    GATHERED_MAX, IN_FLIGHT_MAX, INVOCATION_MS_MAX, RING_EVERY_MS, SPARE_MAX, STOP_MS_MAX,
};
use trawl_store::{Failure, Job, Store, StoreError, Waiting};

use super::attempt::{Outcome, Ready, Scraper};
use super::extractor::Extractor;
use super::leases::Leases;
use super::record::{Recorded, give_back, record_failure, record_results};
use crate::channels::{CALLBACK_QUEUE, channel_of};
use crate::claims::{Claims, Sizes, Step};
use crate::fetch::TooEarly;
use crate::gather::{Flush, Gathering};
use crate::patience::some_of;
use crate::ports::{Bell as _, Clock as _, Ports, Random as _};
use crate::settings::{ScraperSettings, stop_was_asked};

const SIZES: Sizes = Sizes {
    in_flight_max: IN_FLIGHT_MAX,
    claimed_max: CLAIMED_MAX,
    spare_max: SPARE_MAX,
};

/// What one invocation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Jobs claimed.
    pub claimed: u32,
    /// Results recorded.
    pub finished: u32,
    /// Failures recorded, retries among them.
    pub failed: u32,
    /// Work thrown away because somebody else holds the lease, or nobody may.
    pub stale: u32,
    /// Jobs given back unfinished: at a stop, or because a host may not be asked yet.
    pub released: u32,
}

impl Drained {
    fn count(&mut self, recorded: Recorded) {
        self.finished += recorded.finished;
        self.failed += recorded.failed;
        self.stale += recorded.stale;
    }
}

/// Works off the queue of `extractor`'s kind until nothing can be claimed or the invocation's time is used.
///
/// # Errors
/// When the database fails; what was in flight is then finished or left to the rescue.
pub async fn drain<P: Ports, E: Extractor>(
    ports: &P,
    extractor: &E,
) -> Result<Drained, StoreError> {
    // A claim is a write; this is a read that nobody waits for. Most rings find the work taken already.
    let waiting = Store::new(ports.sql()).waiting().await?;
    let kind = extractor.kind();
    let has_work = waiting.now.contains(&kind) || waiting.soon.contains(&kind);
    if !has_work || stop_was_asked(ports.variables()).await {
        return Ok(Drained::default());
    }
    let settings = ScraperSettings::read(ports).await;
    let scraper = Scraper::new(ports, extractor, &settings);
    let mut drain = Drain::new(&scraper);
    drain.run().await;
    if drain.leaves_work() {
        ports.bell().ring(channel_of(extractor.kind())).await;
    }
    drain.ended()
}

/// Rings for callbacks, and for other kinds whose turn came: a host's slots are shared, so what ends here may let another
/// kind's row start, and without a ring that row would wait for the clock. A ring starts an instance, so it is worth a
/// read to know.
async fn ring_others<P: Ports, E: Extractor>(
    scraper: &Scraper<'_, P, E>,
) -> Result<(), StoreError> {
    let unattended = scraper.store().unattended().await?;
    let own = scraper.extractor.kind();
    let others = unattended.kinds.into_iter().filter(|kind| *kind != own);
    let channels = others
        .map(channel_of)
        .chain(unattended.callbacks.then_some(CALLBACK_QUEUE));
    // Together, since a ring may be put off for a moment.
    join_all(channels.map(|channel| scraper.ports.bell().ring(channel))).await;
    Ok(())
}

/// What a task of the loop ended in.
enum Event<'s> {
    ClaimedAlone(Result<Option<Job>, StoreError>),
    Claimed {
        asked: u32,
        jobs: Result<Vec<Job>, StoreError>,
    },
    ClaimedSpare(Result<Vec<Job>, StoreError>),
    Attempted {
        id: MessageId,
        lease: i64,
        outcome: Result<Outcome<'s>, Aborted>,
    },
    Finished(Result<Recorded, StoreError>),
    Failed(Result<Recorded, StoreError>),
    Looked {
        at_once: bool,
        waiting: Result<Waiting, StoreError>,
    },
    Watched(Result<bool, StoreError>),
    Renewed {
        asked: Vec<(MessageId, i64)>,
        granted: Result<Vec<MessageId>, StoreError>,
    },
    Checked {
        asked: Vec<(MessageId, i64)>,
        standing: Result<Vec<MessageId>, StoreError>,
    },
    Released(u32),
    Postponed(Result<(), StoreError>),
    Gathered,
    Kept(Result<(), StoreError>),
    Beat {
        stop: bool,
    },
    Rung,
}

/// The state of one invocation. What is under way is counted here, since that is what decides that all is done.
struct Drain<'s, 'p, P: Ports, E: Extractor> {
    scraper: &'s Scraper<'p, P, E>,
    tasks: FuturesUnordered<LocalBoxFuture<'s, Event<'s>>>,
    leases: Leases,
    drained: Drained,
    broken: Option<StoreError>,
    /// When the last event came. Asking the clock is a call of the host.
    now_ms: u64,
    started_ms: u64,
    /// When claims for company began, after the jobs that run alone.
    claiming_since_ms: u64,
    claiming_ms_max: u64,
    stopping_since_ms: Option<u64>,
    /// Jobs that were in flight when a worker died come first, one at a time with nothing beside them: if one of them is
    /// what kills workers, it kills nobody else's attempt.
    alone: bool,
    /// The one of them that is in flight, with its lease.
    suspect: Option<(MessageId, i64)>,
    /// More of them wait by now. They have to run alone, and until they did they may keep all others of their hosts waiting, so
    /// this invocation comes to its end, and the next one begins with them.
    gives_way: bool,
    claims: Claims,
    /// Where the last look for accounts with hardly anything in flight began: the claim for them begins there too.
    spare_draw: u32,
    /// Results, and whether a statement that records some is under way.
    results: Gathering<Ready<'s>>,
    /// Statements under way that record failures or give jobs back.
    giving_up: u32,
    /// A good moment to keep what was found of robots.txt: another statement has just begun, whose commit it may share, or a
    /// second has passed.
    keep_due: bool,
    /// Statements under way that keep what was found of robots.txt.
    keeping: u32,
    ring_due: bool,
    ringing: bool,
    /// A look whether the leases still stand is under way.
    checking: bool,
}

impl<'s, 'p, P: Ports, E: Extractor> Drain<'s, 'p, P, E> {
    fn new(scraper: &'s Scraper<'p, P, E>) -> Self {
        let now_ms = scraper.ports.clock().monotonic_ms();
        Self {
            scraper,
            tasks: FuturesUnordered::new(),
            leases: Leases::default(),
            drained: Drained::default(),
            broken: None,
            now_ms,
            started_ms: now_ms,
            claiming_since_ms: now_ms,
            claiming_ms_max: some_of(CLAIMING_MS_MAX, scraper.ports.random()),
            stopping_since_ms: None,
            alone: true,
            suspect: None,
            gives_way: false,
            claims: Claims::new(SIZES),
            spare_draw: 0,
            results: Gathering::new(GATHERED_MAX, GATHERED_BYTES_MAX, |ready| {
                ready.finished.body.len()
            }),
            giving_up: 0,
            keep_due: false,
            keeping: 0,
            ring_due: false,
            ringing: false,
            checking: false,
        }
    }

    async fn run(&mut self) {
        self.start_beat();
        self.steer();
        while !self.is_over()
            && let Some(event) = self.tasks.next().await
        {
            self.now_ms = self.scraper.ports.clock().monotonic_ms();
            self.on(event);
            self.steer();
        }
    }

    fn ended(self) -> Result<Drained, StoreError> {
        self.broken.map_or(Ok(self.drained), Err)
    }

    /// Nothing is held and nothing is on its way to the database.
    fn is_idle(&self) -> bool {
        self.leases.is_empty()
            && self.results.is_idle()
            && self.giving_up == 0
            && !self.claims.is_claiming()
    }

    fn is_over(&self) -> bool {
        self.is_idle()
            && !self.claims.is_under_way()
            && !self.ringing
            && !self.ring_due
            && self.keeping == 0
    }

    /// The time was used up while there was still something to claim.
    fn leaves_work(&self) -> bool {
        (self.gives_way || !self.claims.is_dry())
            && self.broken.is_none()
            && self.stopping_since_ms.is_none()
    }

    fn on(&mut self, event: Event<'s>) {
        match event {
            Event::ClaimedAlone(job) => {
                self.claims.hold(false);
                match self.unless_broken(job).flatten() {
                    Some(job) => {
                        self.suspect = Some((job.id, job.lease));
                        self.start_attempt(job);
                    }
                    None => self.end_alone(),
                }
            }
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
            Event::Attempted { id, lease, outcome } => self.on_attempted(id, lease, outcome),
            Event::Finished(recorded) => {
                self.results.flushed();
                self.on_recorded(recorded);
            }
            Event::Failed(recorded) => {
                self.giving_up -= 1;
                self.on_recorded(recorded);
            }
            Event::Looked { at_once, waiting } => {
                let waiting = self.unless_broken(waiting).unwrap_or_default();
                self.on_looked(at_once, &waiting);
            }
            Event::Watched(waiting) => {
                let is_waiting = self.unless_broken(waiting).unwrap_or_default();
                self.claims.watched(is_waiting);
            }
            Event::Renewed { asked, granted } => self.on_told(&asked, granted),
            Event::Checked { asked, standing } => {
                self.checking = false;
                self.on_told(&asked, standing);
            }
            Event::Released(count) => {
                self.giving_up -= 1;
                self.drained.released += count;
            }
            Event::Postponed(given_back) => {
                self.giving_up -= 1;
                if self.unless_broken(given_back).is_some() {
                    self.drained.released += 1;
                    self.claims.ended();
                }
            }
            Event::Gathered => self.results.time_is_up(),
            Event::Kept(kept) => {
                self.keeping -= 1;
                self.unless_broken(kept);
            }
            Event::Beat { stop } => self.on_beat(stop),
            Event::Rung => self.ringing = false,
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

    fn start_attempts(&mut self, jobs: Option<Vec<Job>>) {
        for job in jobs.unwrap_or_default() {
            self.start_attempt(job);
        }
    }

    /// The job may be held again under a newer lease, when it was cancelled and asked for again meanwhile: that one goes on.
    fn on_attempted(&mut self, id: MessageId, lease: i64, outcome: Result<Outcome<'s>, Aborted>) {
        self.suspect = self.suspect.filter(|suspect| *suspect != (id, lease));
        // An aborted attempt has left the leases already.
        let Ok(outcome) = outcome else { return };
        self.leases.drop_held(id, lease);
        match outcome {
            Outcome::Finished(ready) => self.results.add(ready),
            Outcome::Failed(failure) => self.start_fail(failure),
            Outcome::TooEarly(too_early) => self.start_postpone(id, lease, too_early),
        }
    }

    /// Something became terminal or was put back: its host has a free slot, and a callback may wait.
    fn on_recorded(&mut self, recorded: Result<Recorded, StoreError>) {
        let Some(recorded) = self.unless_broken(recorded) else {
            return;
        };
        self.drained.count(recorded);
        self.ring_due |= recorded.finished + recorded.failed > 0;
        self.claims.ended();
    }

    fn on_looked(&mut self, at_once: bool, waiting: &Waiting) {
        let own = self.scraper.extractor.kind();
        let is_now = waiting.now.contains(&own);
        // A host whose gap is over within a moment is waited for: the clock alone would make of a gap of 1.0 s one of 2.0 s.
        let is_in_vain = self.is_idle() && !waiting.soon.contains(&own);
        self.claims.looked(at_once, is_now, is_in_vain);
        // A row of a host that keeps a pace becomes ready by time alone, with nothing ending at that moment.
        self.ring_due |= waiting.now.iter().any(|kind| *kind != own);
        // Jobs in company get as long as those that run alone, at least.
        let had_company_ms = self.now_ms.saturating_sub(self.claiming_since_ms);
        self.gives_way |=
            !self.alone && had_company_ms >= ALONE_MS_MAX && waiting.alone.contains(&own);
    }

    /// Without an answer the leases run on; they last three renewals.
    fn on_told(
        &mut self,
        asked: &[(MessageId, i64)],
        standing: Result<Vec<MessageId>, StoreError>,
    ) {
        if let Ok(standing) = standing {
            self.drained.stale += self.leases.abandon_lost(asked, &standing);
        }
    }

    fn on_beat(&mut self, stop: bool) {
        let now_ms = self.now_ms;
        self.scraper.limit.beat();
        if stop {
            let since_ms = *self.stopping_since_ms.get_or_insert(now_ms);
            if now_ms >= since_ms + STOP_MS_MAX {
                self.start_release();
            }
        }
        let third_ms = u64::from(self.scraper.settings.lease_s) * 1_000 / 3;
        self.keep_due = true;
        let due = self.leases.due(now_ms, third_ms);
        if !due.is_empty() {
            self.start_renew(due);
        }
        if !self.leases.is_empty() && !self.checking {
            self.start_check();
        }
        self.start_beat();
    }

    /// Starts what should be under way and is not.
    fn steer(&mut self) {
        self.steer_results();
        self.steer_robots();
        if self.ring_due && !self.ringing {
            self.start_ring();
        }
        // With much to be recorded, nothing new is begun: a slow disk must not fill the memory.
        if !self.may_claim() || self.claims.is_claiming() || self.results.is_full() {
            return;
        }
        if self.alone && self.now_ms >= self.started_ms + ALONE_MS_MAX {
            self.end_alone();
        }
        if self.alone {
            if self.is_idle() {
                self.start_claim_alone();
            }
        } else if self.suspect.is_none() {
            self.steer_claims();
        }
    }

    fn steer_claims(&mut self) {
        while let Some(step) = self.claims.next(self.leases.len(), self.is_idle()) {
            match step {
                Step::Claim(asked) => self.start_claim(asked),
                Step::ClaimSpare(asked) => self.start_claim_spare(asked),
                Step::Look { after_ms } => self.start_look(after_ms),
                Step::Watch { after_ms } => self.start_watch(after_ms),
            }
        }
    }

    /// From here on jobs run side by side; how long they are claimed counts from now, so that a slow suspect costs the
    /// others no time of their own.
    fn end_alone(&mut self) {
        self.alone = false;
        self.claiming_since_ms = self.now_ms;
    }

    /// Results share a statement; the first wait a moment for company, unless there is nobody left to wait for.
    fn steer_results(&mut self) {
        match self.results.next(self.leases.is_empty()) {
            Some(Flush::Now(ready)) => self.start_finish(ready),
            Some(Flush::Later) => self.start_gathering(),
            None => {}
        }
    }

    /// What was found of robots.txt is kept for others in the same commit as results, or when there is much of it, or at the end.
    fn steer_robots(&mut self) {
        let is_due = std::mem::take(&mut self.keep_due);
        let found = self.scraper.robots_found();
        if found >= GATHERED_MAX || (found > 0 && (is_due || self.leases.is_empty())) {
            self.start_keep();
        }
    }

    /// After its usual time an invocation ends as soon as nothing is in flight, and not before: one that stopped claiming
    /// while slow pages are under way would keep its place, and others waiting, for nothing.
    fn may_claim(&self) -> bool {
        let claimed_for_ms = self.now_ms.saturating_sub(self.claiming_since_ms);
        let in_time = claimed_for_ms < INVOCATION_MS_MAX
            || (claimed_for_ms < self.claiming_ms_max && !self.is_idle());
        in_time && !self.gives_way && self.stopping_since_ms.is_none() && self.broken.is_none()
    }
}

/// The tasks.
impl<'s, P: Ports, E: Extractor> Drain<'s, '_, P, E> {
    fn start(&self, task: impl Future<Output = Event<'s>> + 's) {
        self.tasks.push(Box::pin(task));
    }

    fn start_attempt(&mut self, job: Job) {
        self.drained.claimed += 1;
        let scraper = self.scraper;
        let (id, lease) = (job.id, job.lease);
        let (attempt, abort) = abortable(async move { scraper.attempt(&job).await });
        let had_an_older = self.leases.hold(id, lease, self.now_ms, abort);
        self.drained.stale += u32::from(had_an_older);
        self.start(async move {
            Event::Attempted {
                id,
                lease,
                outcome: attempt.await,
            }
        });
    }

    fn start_claim_alone(&mut self) {
        self.claims.hold(true);
        let scraper = self.scraper;
        self.start(async move {
            let (kind, settings) = (scraper.extractor.kind(), scraper.settings);
            Event::ClaimedAlone(
                scraper
                    .store()
                    .claim_alone(kind, &settings.worker, settings.lease_s)
                    .await,
            )
        });
    }

    fn start_claim(&self, asked: usize) {
        let scraper = self.scraper;
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        self.start(async move {
            let (kind, settings) = (scraper.extractor.kind(), scraper.settings);
            let jobs = scraper
                .store()
                .claim(kind, asked, &settings.worker, settings.lease_s)
                .await;
            if let Ok(jobs) = &jobs {
                scraper.look_up_robots(jobs).await;
            }
            Event::Claimed { asked, jobs }
        });
    }

    fn start_claim_spare(&self, asked: usize) {
        let (scraper, draw) = (self.scraper, self.spare_draw);
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        self.start(async move {
            let (kind, settings) = (scraper.extractor.kind(), scraper.settings);
            Event::ClaimedSpare(
                scraper
                    .store()
                    .claim_spare(kind, asked, &settings.worker, settings.lease_s, draw)
                    .await,
            )
        });
    }

    fn start_look(&self, after_ms: u64) {
        let scraper = self.scraper;
        self.start(async move {
            scraper.sleep_ms(after_ms).await;
            Event::Looked {
                at_once: after_ms == 0,
                waiting: scraper.store().waiting().await,
            }
        });
    }

    fn start_watch(&mut self, after_ms: u64) {
        let draw = self.scraper.ports.random().draw();
        self.spare_draw = draw;
        let scraper = self.scraper;
        self.start(async move {
            scraper.sleep_ms(after_ms).await;
            let kind = scraper.extractor.kind();
            Event::Watched(scraper.store().waiting_spare(kind, draw).await)
        });
    }

    fn start_gathering(&self) {
        let scraper = self.scraper;
        self.start(async move {
            scraper.sleep_ms(GATHER_MS).await;
            Event::Gathered
        });
    }

    fn start_finish(&mut self, ready: Vec<Ready<'s>>) {
        self.keep_due = true;
        let scraper = self.scraper;
        let (finished, turns): (Vec<_>, Vec<_>) = ready.into_iter().map(Ready::into_parts).unzip();
        self.start(async move {
            let recorded = record_results(scraper, finished).await;
            drop(turns);
            Event::Finished(recorded)
        });
    }

    fn start_keep(&mut self) {
        self.keeping += 1;
        let scraper = self.scraper;
        self.start(async move { Event::Kept(scraper.keep_robots().await) });
    }

    fn start_fail(&mut self, failure: Failure) {
        self.giving_up += 1;
        self.keep_due = true;
        let scraper = self.scraper;
        self.start(async move { Event::Failed(record_failure(scraper, &failure).await) });
    }

    fn start_postpone(&mut self, id: MessageId, lease: i64, too_early: TooEarly) {
        self.giving_up += 1;
        let scraper = self.scraper;
        self.start(async move { Event::Postponed(give_back(scraper, id, lease, too_early).await) });
    }

    fn start_renew(&self, asked: Vec<(MessageId, i64)>) {
        let scraper = self.scraper;
        self.start(async move {
            let granted = scraper
                .store()
                .extend(&asked, scraper.settings.lease_s)
                .await;
            Event::Renewed { asked, granted }
        });
    }

    /// Finds out what was cancelled. Its host's slot and its account's share were free at once, so an attempt that went on until
    /// the next renewal would be one more than either may have.
    fn start_check(&mut self) {
        self.checking = true;
        let (scraper, asked) = (self.scraper, self.leases.all());
        self.start(async move {
            let standing = scraper.store().held(&asked).await;
            Event::Checked { asked, standing }
        });
    }

    /// Gives back what is still in flight when the host waits no longer.
    fn start_release(&mut self) {
        let leases = self.leases.abandon_all();
        if leases.is_empty() {
            return;
        }
        self.giving_up += 1;
        let scraper = self.scraper;
        self.start(async move {
            // When even this fails, the leases expire by themselves.
            let released = scraper.store().release(&leases).await.is_ok();
            Event::Released(if released {
                u32::try_from(leases.len()).unwrap_or(u32::MAX)
            } else {
                0
            })
        });
    }

    fn start_ring(&mut self) {
        self.ring_due = false;
        self.ringing = true;
        let scraper = self.scraper;
        self.start(async move {
            // A ring that fails is made up for by the clock.
            let _ = ring_others(scraper).await;
            // Rings are coalesced: asking again sooner would be a read for nothing.
            scraper.sleep_ms(RING_EVERY_MS).await;
            Event::Rung
        });
    }

    fn start_beat(&self) {
        let scraper = self.scraper;
        self.start(async move {
            scraper.sleep_ms(BEAT_MS).await;
            Event::Beat {
                stop: stop_was_asked(scraper.ports.variables()).await,
            }
        });
    }
}
