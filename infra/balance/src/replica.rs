//! One replica at work: its backend, its state behind one lock, and its figures.

use std::{
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use http::StatusCode;
use tokio::sync::oneshot;
use trawl_core::limits::balance as limits;

use crate::{
    backend::{FailureKind, LocalBackend},
    clock::{Clock, micros},
    gate::{Gate, GateRules, Turn},
    health::{Health, HealthRules, Trial},
    histogram::Histogram,
    remote::Remote,
};

/// Where requests go.
pub(crate) enum Backend {
    Local(Arc<dyn LocalBackend>),
    Remote(Arc<Remote>),
}

/// A replica. It outlives a reload when its id and address stay.
pub(crate) struct Replica {
    pub(crate) id: String,
    pub(crate) seed: u64,
    pub(crate) backend: Backend,
    pub(crate) counts: Counts,
    pub(crate) latency: Histogram,
    state: Mutex<State>,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) served: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) trapped: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) benched: AtomicU64,
    /// Its answers by the class of their status, from 2xx to 5xx.
    pub(crate) responses: [AtomicU64; 4],
}

impl Counts {
    /// It answered with `status`. What is in no class is taken for a 5xx (RFC 9110, 15).
    pub(crate) fn responded(&self, status: StatusCode) {
        let [successes, redirections, client_errors, server_errors] = &self.responses;
        let class = match status.as_u16() {
            200..300 => successes,
            300..400 => redirections,
            400..500 => client_errors,
            _ => server_errors,
        };
        class.fetch_add(1, Relaxed);
    }
}

/// What changes with each request.
pub(crate) struct State {
    pub(crate) health: Health,
    pub(crate) gate: Gate<oneshot::Sender<Admission>>,
    pub(crate) peak: Peak,
}

/// The word to one that waits.
pub(crate) enum Admission {
    Go,
    Shed,
    /// The replica is out; another may stand idle.
    Elsewhere,
}

/// What it came to for one that waited.
pub(crate) enum Waited {
    Admitted(Lease),
    Shed,
    /// No try was made here, and the request may choose anew.
    Elsewhere,
}

/// Peak EWMA of the latency: a slower answer is believed at once, a faster one bit by bit. What was observed long ago is
/// forgotten as well, so that a replica that was slow once is asked again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    us: f64,
    at_ms: u64,
}

impl Peak {
    pub(crate) fn observe(&mut self, us: f64, now_ms: u64) {
        let old = self.remaining(now_ms);
        self.us = us.max(self.us * old + us * (1.0 - old));
        self.at_ms = now_ms;
    }

    /// The latency as it is to be believed at `now_ms`.
    pub(crate) fn us(&self, now_ms: u64) -> f64 {
        if now_ms <= self.at_ms {
            self.us
        } else {
            self.us * self.remaining(now_ms)
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "an age in milliseconds is far below 2^52"
    )]
    fn remaining(&self, now_ms: u64) -> f64 {
        // At least a millisecond apart: of a thousand answers in one millisecond none may count as nothing.
        let age_ms = now_ms.saturating_sub(self.at_ms).max(1) as f64;
        (-age_ms / limits::PEAK_EWMA_DECAY_MS as f64).exp()
    }
}

impl Replica {
    pub(crate) fn new(id: String, backend: Backend, gate: GateRules) -> Self {
        Self {
            seed: crate::strategy::key_of(id.as_bytes()),
            id,
            backend,
            counts: Counts::default(),
            latency: Histogram::default(),
            state: Mutex::new(State {
                health: Health::default(),
                gate: Gate::new(gate),
                peak: Peak::default(),
            }),
        }
    }

    /// Other limits, for those too that run and wait already.
    pub(crate) fn regulate(&self, gate: GateRules, now_ms: u64) {
        let mut state = self.state();
        state.gate.set_rules(gate);
        // With more places nobody needs to leave for the next one to come in.
        admit(&mut state, &self.counts, now_ms);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the log, once its state is let go. Whoever reads that a replica is out, at the level that is shown by default, must read at
    /// that level that it is back.
    fn tell_that_it_is_back(&self, is_back: bool) {
        if is_back {
            tracing::warn!(replica = self.id, "replica answers and is back");
        }
    }

    /// An active check ended.
    pub(crate) fn checked(&self, good: bool, now_ms: u64, rules: &HealthRules) {
        let has_changed = {
            let mut state = self.state();
            let has_changed = state.health.checked(good, now_ms, rules);
            if has_changed && !good {
                send_elsewhere(&mut state);
            }
            has_changed
        };
        if has_changed {
            if good {
                tracing::warn!(replica = self.id, "replica passes its check again");
            } else {
                tracing::warn!(
                    replica = self.id,
                    "replica fails its check and is taken out"
                );
            }
        }
    }

    /// Nobody checks it any more: what the last checks said no longer holds.
    pub(crate) fn checks_are_off(&self, now_ms: u64, rules: &HealthRules) {
        if self.state().health.checked(true, now_ms, rules) {
            tracing::warn!(
                replica = self.id,
                "checks are off, replica takes requests again"
            );
        }
    }
}

/// A place in a replica. The next one that waits gets it when nobody holds it any more.
pub(crate) struct Place {
    replica: Arc<Replica>,
    clock: Clock,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.replica.state();
        state.gate.leave();
        let now_ms = self.clock.now_ms();
        admit(&mut state, &self.replica.counts, now_ms);
    }
}

/// A request's place, and what is to be told of how it went.
pub(crate) struct Lease {
    pub(crate) replica: Arc<Replica>,
    rules: HealthRules,
    clock: Clock,
    /// Set when it decides whether the replica comes back.
    trial: Option<Trial>,
    begun: Instant,
    settled: bool,
    place: Arc<Place>,
}

impl Lease {
    /// For a place that was taken at the gate.
    pub(crate) fn new(
        replica: Arc<Replica>,
        rules: HealthRules,
        clock: Clock,
        trial: Option<Trial>,
    ) -> Self {
        let place = Place {
            replica: Arc::clone(&replica),
            clock,
        };
        Self {
            replica,
            rules,
            clock,
            trial,
            begun: Instant::now(),
            settled: false,
            place: Arc::new(place),
        }
    }

    /// For who works on when the request is given up.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&mut self) {
        self.settled = true;
        let us = micros(self.begun.elapsed());
        let now_ms = self.clock.now_ms();
        let is_back = {
            let mut state = self.replica.state();
            let is_back = state.health.succeeded(self.trial, now_ms, &self.rules);
            #[expect(
                clippy::cast_precision_loss,
                reason = "microseconds of a request are far below 2^52"
            )]
            state.peak.observe(us as f64, now_ms);
            is_back
        };
        self.replica.tell_that_it_is_back(is_back);
        self.replica.counts.served.fetch_add(1, Relaxed);
        self.replica.latency.record(us);
    }

    /// It failed; `cause` is for the log.
    pub(crate) fn failed(&mut self, kind: FailureKind, cause: &dyn Display) {
        self.settled = true;
        let counts = &self.replica.counts;
        match kind {
            FailureKind::Overloaded => {
                counts.shed.fetch_add(1, Relaxed);
                self.replica
                    .state()
                    .health
                    .abandoned(self.trial, self.clock.now_ms());
                return;
            }
            FailureKind::Trapped => {
                counts.trapped.fetch_add(1, Relaxed);
                // It did answer, in its way: a trial ends well.
                let health = &self.rules;
                let now_ms = self.clock.now_ms();
                let is_back = self
                    .replica
                    .state()
                    .health
                    .succeeded(self.trial, now_ms, health);
                self.replica.tell_that_it_is_back(is_back);
                return;
            }
            FailureKind::Unreachable | FailureKind::Broken | FailureKind::TimedOut => {
                counts.failed.fetch_add(1, Relaxed);
            }
        }
        let now_ms = self.clock.now_ms();
        let benched = {
            let mut state = self.replica.state();
            // A failure must never make a replica look fast.
            let us = state.peak.us(now_ms);
            state.peak.observe(us, now_ms);
            let benched = state.health.failed(self.trial, now_ms, &self.rules);
            if benched {
                send_elsewhere(&mut state);
            }
            benched
        };
        if benched {
            counts.benched.fetch_add(1, Relaxed);
            tracing::warn!(replica = self.replica.id, ?kind, %cause, "replica is benched");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.settled {
            self.replica
                .state()
                .health
                .abandoned(self.trial, self.clock.now_ms());
            self.replica.counts.abandoned.fetch_add(1, Relaxed);
        }
    }
}

/// Lets in those that wait, as far as there are places.
fn admit(state: &mut State, counts: &Counts, now_ms: u64) {
    while let Some(turn) = state.gate.next_turn(now_ms) {
        match turn {
            Turn::Go(waiter) => {
                // The one that waited may have left.
                if waiter.send(Admission::Go).is_err() {
                    state.gate.leave();
                }
            }
            Turn::Shed(waiter) => {
                if waiter.send(Admission::Shed).is_ok() {
                    counts.shed.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

/// Those that wait for a replica that is out choose anew. They would only find out one by one what is known already, each at the
/// cost of a try, while another replica stands idle. In the next queue they begin at the end: to count there how long they
/// waited here would have that replica shed for what this one did. They are sent on once for each time that a replica goes out,
/// and have their deadline, so nobody goes round for ever.
fn send_elsewhere(state: &mut State) {
    for waiter in state.gate.turn_away() {
        // Whoever has left needs no word.
        let _ = waiter.send(Admission::Elsewhere);
    }
}

/// A place in the queue of a replica.
pub(crate) struct Queued {
    replica: Arc<Replica>,
    rules: HealthRules,
    clock: Clock,
    trial: Option<Trial>,
    word: oneshot::Receiver<Admission>,
    is_admitted: bool,
}

impl Queued {
    pub(crate) fn new(
        replica: Arc<Replica>,
        rules: HealthRules,
        clock: Clock,
        trial: Option<Trial>,
        word: oneshot::Receiver<Admission>,
    ) -> Self {
        Self {
            replica,
            rules,
            clock,
            trial,
            word,
            is_admitted: false,
        }
    }

    /// Waits for a place.
    pub(crate) async fn admitted(mut self) -> Waited {
        match (&mut self.word).await {
            Ok(Admission::Go) => {
                self.is_admitted = true;
                Waited::Admitted(self.lease())
            }
            Ok(Admission::Elsewhere) => Waited::Elsewhere,
            Ok(Admission::Shed) | Err(_) => Waited::Shed,
        }
    }

    fn lease(&self) -> Lease {
        Lease::new(
            Arc::clone(&self.replica),
            self.rules,
            self.clock,
            self.trial,
        )
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        // The word may have come between the last poll and now: the place is then ours to give back.
        self.word.close();
        if matches!(self.word.try_recv(), Ok(Admission::Go)) {
            drop(self.lease());
        } else if !self.is_admitted {
            let mut state = self.replica.state();
            state.gate.forget(oneshot::Sender::is_closed);
            // If it was to be the trial of a benched replica, the next one is.
            state.health.abandoned(self.trial, self.clock.now_ms());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Write as _};

    use tracing::{Event, Metadata, Subscriber, field::Field, span};

    use super::*;
    use crate::{backend::Causes, config::Origin};

    /// Writes down what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = event.metadata().level().to_string();
            event.record(&mut |field: &Field, value: &dyn Debug| {
                let _ = write!(line, " {field}={value:?}");
            });
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn the_log_says_why_a_replica_is_benched_and_that_it_is_back() {
        let origin: Origin = "http://127.0.0.1:1".to_owned().try_into().unwrap();
        let backend = Backend::Remote(Arc::new(Remote::new(origin)));
        let gate = GateRules {
            running_max: 10,
            waiting_max: 10,
            target_ms: 500,
            interval_ms: 1_000,
        };
        let replica = Arc::new(Replica::new("a".to_owned(), backend, gate));
        let rules = HealthRules {
            max_fails: 1,
            fail_timeout_ms: 10_000,
            slow_start_ms: 0,
            check_fails: 2,
        };
        let lease = |trial| {
            replica.state().gate.enter();
            Lease::new(Arc::clone(&replica), rules, Clock::new(), trial)
        };
        let probe = || replica.state().health.probe();
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let refused = std::io::Error::other("nobody listens");
            let cause = crate::BackendError::new(FailureKind::Unreachable, refused);
            lease(None).failed(cause.kind, &Causes(cause.cause.as_ref()));
            lease(probe()).failed(FailureKind::Broken, &StatusCode::BAD_GATEWAY);
            lease(probe()).answered();
            lease(None).answered();
        });
        assert_eq!(
            *log.0.lock().unwrap(),
            [
                "WARN message=replica is benched replica=\"a\" kind=Unreachable cause=nobody listens",
                "WARN message=replica is benched replica=\"a\" kind=Broken cause=502 Bad Gateway",
                "WARN message=replica answers and is back replica=\"a\"",
            ]
        );
    }
}
