//! One attempt at one callback.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::RETRY_AFTER;
use trawl_core::callback_policy::{Verdict, judge, throttle_ms};
use trawl_core::fetch_policy::FetchCode;
use trawl_core::limits::callback::{ANSWER_BYTES_MAX, ATTEMPT_MS_MAX, BUSY_MS};
use trawl_core::retry_after::retry_after_ms;
use trawl_core::webhook_signature::SECRET_BYTES;
use trawl_store::{Attempt, CallbackJob, Done, Next, Secrets, Store, StoreError};

use super::request::{Targets, Unsendable, build};
use crate::fetch::{FetchError, TIMEOUTS};
use crate::patience::{Limit, patiently_under};
use crate::ports::{Body, Clock as _, Http as _, Ports, Purpose, Random as _, SendError};
use crate::settings::CallbackSettings;

/// What the attempts of one invocation share.
pub(super) struct Sender<'p, P: Ports> {
    pub(super) ports: &'p P,
    pub(super) settings: CallbackSettings,
    targets: Targets,
    /// How long an attempt may take.
    pub(super) limit: Limit,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Answered with a success, which is still to be recorded.
    Delivered(Done),
    /// A failure, recorded.
    Failed,
    /// A failure, and somebody else holds the lease.
    Stale,
    /// Not sent, and given back with its attempt.
    Unsent,
}

/// What the endpoint answered.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    error: Option<String>,
}

impl<'p, P: Ports> Sender<'p, P> {
    pub(super) fn new(ports: &'p P, settings: CallbackSettings) -> Self {
        Self {
            ports,
            settings,
            targets: Targets::default(),
            limit: Limit::new(Duration::from_millis(ATTEMPT_MS_MAX)),
        }
    }

    pub(super) fn store(&self) -> Store<'p, P::Sql> {
        Store::new(self.ports.sql())
    }

    pub(super) async fn sleep_ms(&self, duration_ms: u64) {
        if duration_ms > 0 {
            self.ports
                .clock()
                .sleep(Duration::from_millis(duration_ms))
                .await;
        }
    }

    /// Sends `job` once and records a failure; deliveries are recorded together, by the caller.
    pub(super) async fn attempt(&self, job: &CallbackJob) -> Result<Ended, StoreError> {
        let clock = self.ports.clock();
        let secrets = self.secrets(job).await;
        self.give_back_unrecorded(&secrets, [(job.id, job.lease)])
            .await;
        let secrets = secrets?;
        let started_ms = clock.monotonic_ms();
        let request = match build(&self.settings, &self.targets, job, &secrets, clock.now_ms()) {
            Ok(request) => request,
            Err(unsendable) => return self.give_up(job, &unsendable).await,
        };
        let Some(answer) = self.post(started_ms, request).await else {
            return self.put_off(job).await;
        };
        let latency_ms = clock.monotonic_ms().saturating_sub(started_ms);
        let attempt = Attempt {
            status: answer.status,
            latency_ms,
            error: answer.error,
        };
        let throttle = throttle_ms(answer.status, answer.retry_after_ms);
        let draw = || self.ports.random().draw();
        match judge(job.attempt, answer.status, answer.retry_after_ms, draw) {
            Verdict::Delivered => Ok(Ended::Delivered(Done {
                id: job.id,
                lease: job.lease,
                status: answer.status.unwrap_or_default(),
                latency_ms,
            })),
            Verdict::Retry { in_ms } => {
                self.record_failure(job, &attempt, Next::Retry { in_ms }, throttle)
                    .await
            }
            Verdict::Exhausted => {
                self.record_failure(job, &attempt, Next::Exhausted, throttle)
                    .await
            }
            Verdict::EndpointGone => {
                self.record_failure(job, &attempt, Next::EndpointGone, None)
                    .await
            }
        }
    }

    /// An account that never asked for its secret has none yet: it gets one now, which the first answer it verifies needs.
    async fn secrets(&self, job: &CallbackJob) -> Result<Secrets, StoreError> {
        if let Some(current) = &job.secret_current {
            return Ok(Secrets {
                current: current.clone(),
                previous: job.secret_previous.clone(),
            });
        }
        let mut fresh = [0; SECRET_BYTES];
        self.ports.random().fill(&mut fresh);
        // A write: it waits for its turn as the records of attempts do.
        self.patiently(async || self.store().webhook_secrets(job.tenant, &fresh).await)
            .await
    }

    /// Posts, and reads the answer so that the connection can be used again, both within the limit that began at `started_ms`.
    /// What counts is the head: an endpoint that said 2xx has the callback, whatever becomes of the body. Redirects are not
    /// followed: a 3xx is not a success. `None` when no connection was free.
    async fn post(&self, started_ms: u64, request: http::Request<bytes::Bytes>) -> Option<Answer> {
        let clock = self.ports.clock();
        let sending = self.ports.http().send(Purpose::Callback, request, TIMEOUTS);
        let error = match self.limit.within(clock, started_ms, sending).await {
            Some(Ok(response)) => return Some(self.answer(started_ms, response).await),
            Some(Err(SendError::Busy)) => return None,
            Some(Err(error)) => FetchError::of_exchange(&error, false).code.to_string(),
            None => format!("no answer within {} s", ATTEMPT_MS_MAX / 1_000),
        };
        Some(Answer {
            error: Some(error),
            ..Answer::default()
        })
    }

    /// A limit of ours says nothing about the endpoint, whose schedule goes on as if nobody had tried.
    async fn put_off(&self, job: &CallbackJob) -> Result<Ended, StoreError> {
        self.sleep_ms(BUSY_MS).await;
        let lease = [(job.id, job.lease)];
        self.patiently(async || self.store().release_callbacks(&lease).await)
            .await?;
        Ok(Ended::Unsent)
    }

    async fn answer(&self, started_ms: u64, response: http::Response<impl Body>) -> Answer {
        let clock = self.ports.clock();
        let status = response.status();
        let asked = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after_ms = asked.and_then(|value| retry_after_ms(value, clock.now_ms()));
        let reading = read_away(response.into_body());
        // Read to its end or not: the head has told.
        let _ = self.limit.within(clock, started_ms, reading).await;
        let error = (!status.is_success()).then(|| FetchCode::Http(status.as_u16()).to_string());
        Answer {
            status: Some(status.as_u16()),
            retry_after_ms,
            error,
        }
    }

    /// What can't be sent now can't be sent later; the owner finds the reason in the log of deliveries and may replay it.
    async fn give_up(
        &self,
        job: &CallbackJob,
        unsendable: &Unsendable,
    ) -> Result<Ended, StoreError> {
        let attempt = Attempt {
            status: None,
            latency_ms: 0,
            error: Some(unsendable.to_string()),
        };
        self.record_failure(job, &attempt, Next::Exhausted, None)
            .await
    }

    /// Records deliveries in one statement; returns how many leases still held. When the database refuses it, each is recorded
    /// by itself.
    pub(super) async fn record_deliveries(&self, done: &[Done]) -> Result<usize, StoreError> {
        let recorded = self.record_all(done).await;
        let leases = done.iter().map(|one| (one.id, one.lease));
        self.give_back_unrecorded(&recorded, leases).await;
        recorded
    }

    async fn record_all(&self, done: &[Done]) -> Result<usize, StoreError> {
        match self.record_together(done).await {
            Err(StoreError::Sql(_) | StoreError::Corrupt(_)) if done.len() > 1 => {
                let mut held = 0;
                for one in done {
                    held += self.record_together(std::slice::from_ref(one)).await?;
                }
                Ok(held)
            }
            outcome => outcome,
        }
    }

    async fn record_together(&self, done: &[Done]) -> Result<usize, StoreError> {
        let store = self.store();
        let held = self
            .patiently(async || store.callbacks_done(done).await)
            .await?;
        Ok(held.len())
    }

    async fn record_failure(
        &self,
        job: &CallbackJob,
        attempt: &Attempt,
        next: Next,
        throttle_endpoint_ms: Option<u64>,
    ) -> Result<Ended, StoreError> {
        let store = self.store();
        let record = async || {
            store
                .callback_failed(job.id, job.lease, attempt, next, throttle_endpoint_ms)
                .await
        };
        let held = self.patiently(record).await;
        self.give_back_unrecorded(&held, [(job.id, job.lease)])
            .await;
        Ok(if held? { Ended::Failed } else { Ended::Stale })
    }

    /// What the database had no room or no time for is sent again, or for the first time, but its worker lives. Left to run out, the lease would use an attempt
    /// of the schedule that no delivery tells about. What the database refuses for good is left to run out.
    async fn give_back_unrecorded<T>(
        &self,
        recorded: &Result<T, StoreError>,
        leases: impl IntoIterator<Item = (i64, i64)>,
    ) {
        if recorded.as_ref().is_err_and(StoreError::is_retryable) {
            let leases: Vec<_> = leases.into_iter().collect();
            let _ = self.store().put_back_callbacks(&leases).await;
        }
    }

    async fn patiently<T>(
        &self,
        work: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        patiently_under(self.settings.lease_s, self.ports.clock(), work).await
    }

    /// Gives callbacks back unsent; returns how many.
    pub(super) async fn give_back(&self, leases: &BTreeMap<i64, i64>) -> u32 {
        let leases: Vec<(i64, i64)> = leases.iter().map(|(id, lease)| (*id, *lease)).collect();
        // When even this fails, the leases expire by themselves.
        if leases.is_empty() || self.store().release_callbacks(&leases).await.is_err() {
            return 0;
        }
        u32::try_from(leases.len()).unwrap_or(u32::MAX)
    }
}

/// Reads up to [`ANSWER_BYTES_MAX`]; the text is of no interest.
async fn read_away(mut body: impl Body) {
    let mut bytes = 0;
    while let Some(Ok(piece)) = body.chunk().await {
        bytes += piece.len();
        if bytes >= ANSWER_BYTES_MAX {
            break;
        }
    }
}
