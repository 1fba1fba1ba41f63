//! One attempt at one job, from the URL to the result.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use http::header::{ETAG, LAST_MODIFIED};
use trawl_core::fetch_policy::FetchCode;
use trawl_core::ids::MessageId;
use trawl_core::limits::scrape::{ATTEMPT_MS_MAX, LONG_PAGE_MS, REST_PART, RESULT_BYTES_FREE};
use trawl_core::retry::{honoured_ms, retry_in_ms};
use trawl_core::state::JobError;
use trawl_core::url_guard::{Target, UrlError};
use trawl_store::{
    Bodies, Failure, Finished, HostPause, Job, Previous, SameRequest, Store, StoreError,
};

use super::extractor::{Extracted, Extractor};
use crate::fetch::{Errand, FetchError, Fetched, Fetcher, Page, TooEarly, Turn, Validators};
use crate::patience::{Breath, Limit};
use crate::ports::{Clock as _, Ports, Random as _};
use crate::result_codec;
use crate::settings::ScraperSettings;

/// What the attempts of one invocation share.
pub(super) struct Scraper<'p, P: Ports, E> {
    pub(super) ports: &'p P,
    pub(super) extractor: &'p E,
    pub(super) settings: &'p ScraperSettings,
    fetcher: Fetcher<'p, P>,
    breath: Breath,
    /// Of jobs that are to be attempted now: read when their robots.txt was looked up.
    targets: RefCell<HashMap<MessageId, Target>>,
    /// How long an attempt may take.
    pub(super) limit: Limit,
}

/// What an attempt came to.
pub(super) enum Outcome<'s> {
    Finished(Ready<'s>),
    Failed(Failure),
    /// Nothing: a host may not be asked yet.
    TooEarly(TooEarly),
}

/// A result to be recorded. A large one keeps the turn until it is, so that no more pages are worked on than can be written down.
pub(super) struct Ready<'s> {
    pub(super) finished: Finished,
    turn: Option<Turn<'s>>,
}

impl<'s> Ready<'s> {
    fn new(finished: Finished, turn: Turn<'s>) -> Self {
        let is_large = finished.body.len() > RESULT_BYTES_FREE;
        Self {
            finished,
            turn: is_large.then_some(turn),
        }
    }

    /// The result, and what is to be kept until it is recorded.
    pub(super) fn into_parts(self) -> (Finished, Option<Turn<'s>>) {
        (self.finished, self.turn)
    }
}

/// Why there is no result.
enum AttemptError {
    Fetch(FetchError),
    Extract(JobError),
}

impl From<FetchError> for AttemptError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl<'p, P: Ports, E: Extractor> Scraper<'p, P, E> {
    pub(super) fn new(ports: &'p P, extractor: &'p E, settings: &'p ScraperSettings) -> Self {
        Self {
            ports,
            extractor,
            settings,
            fetcher: Fetcher::new(ports, settings),
            breath: Breath::new(ports.clock()),
            targets: RefCell::default(),
            limit: Limit::new(Duration::from_millis(ATTEMPT_MS_MAX)),
        }
    }

    pub(super) fn store(&self) -> Store<'p, P::Sql> {
        Store::new(self.ports.sql())
    }

    /// Asks the database for all robots.txt that `jobs` will need, in one read.
    pub(super) async fn look_up_robots(&self, jobs: &[Job]) {
        let targets: Vec<(MessageId, Target)> = jobs
            .iter()
            .filter_map(|job| Some((job.id, self.target(job).ok()?)))
            .collect();
        let urls = targets.iter().map(|(_, target)| &target.url);
        self.fetcher.robots().look_up(urls).await;
        self.targets.borrow_mut().extend(targets);
    }

    fn target(&self, job: &Job) -> Result<Target, UrlError> {
        self.settings.urls.target(&job.request_url)
    }

    /// How many robots.txt were found and not kept yet.
    pub(super) fn robots_found(&self) -> usize {
        self.fetcher.robots().found()
    }

    /// Keeps them for other workers.
    pub(super) async fn keep_robots(&self) -> Result<(), StoreError> {
        self.fetcher.robots().keep_found().await
    }

    pub(super) async fn sleep_ms(&self, duration_ms: u64) {
        if duration_ms > 0 {
            self.ports
                .clock()
                .sleep(Duration::from_millis(duration_ms))
                .await;
        }
    }

    /// Tries `job` once. Never fails itself: what goes wrong becomes the job's failure.
    pub(super) async fn attempt<'s>(&'s self, job: &Job) -> Outcome<'s> {
        let clock = self.ports.clock();
        let result = self
            .limit
            .within(clock, clock.monotonic_ms(), self.result(job))
            .await;
        match result.unwrap_or_else(|| Err(FetchError::from(FetchCode::TimeoutTotal).into())) {
            Ok(ready) => Outcome::Finished(ready),
            Err(AttemptError::Fetch(FetchError {
                too_early: Some(too_early),
                ..
            })) => Outcome::TooEarly(too_early),
            Err(error) => Outcome::Failed(self.failure(job, error)),
        }
    }

    fn failure(&self, job: &Job, error: AttemptError) -> Failure {
        let (error, retry_after_ms, paused_host) = match error {
            AttemptError::Fetch(error) => (
                error.code.job_error(error.detail),
                error.retry_after_ms,
                error.paused_host,
            ),
            AttemptError::Extract(error) => (error, None, None),
        };
        let draw = self.ports.random().draw();
        let retry_in_ms = retry_in_ms(job.attempt, error.permanent, retry_after_ms, draw);
        Failure {
            id: job.id,
            lease: job.lease,
            error,
            retry_in_ms,
            pause: paused_host
                .zip(honoured_ms(retry_after_ms))
                .map(|(host, ms)| HostPause { host, ms }),
        }
    }

    async fn result<'s>(&'s self, job: &Job) -> Result<Ready<'s>, AttemptError> {
        let known = self.targets.borrow_mut().remove(&job.id);
        let target = known
            .map_or_else(|| self.target(job), Ok)
            .map_err(|error| FetchError::from(FetchCode::from(error)))?;
        let previous = self.previous(job).await?;
        if let (Some(previous), Some(max_age_s)) = (&previous, job.max_age_s)
            // One from the future is left from before the clock was set back: nobody knows how old it is.
            && (0..=max_age_s).contains(&previous.age_s)
        {
            return self.repeated(job, true).await;
        }
        let validators = previous.as_ref().and_then(Validators::of);
        let errand = Errand {
            kind: job.kind,
            account: job.tenant,
            pace_key: &job.host,
            validators: validators.as_ref(),
        };
        match self.fetcher.page(errand, target.url).await? {
            Fetched::Page(page, turn) => {
                let turn = match turn {
                    Some(turn) => turn,
                    None => self.fetcher.turn(job.tenant).await,
                };
                self.parse(job, *page, turn).await
            }
            Fetched::NotModified => self.repeated(job, false).await,
        }
    }

    /// The last result of the same request, looked for only when the owner said how old it may be. Without its body: that is needed
    /// only once the server said that it still holds, and servers may be slow.
    async fn previous(&self, job: &Job) -> Result<Option<Previous>, FetchError> {
        if job.max_age_s.is_none() {
            return Ok(None);
        }
        self.last_result(job, Bodies::Left).await
    }

    async fn last_result(&self, job: &Job, bodies: Bodies) -> Result<Option<Previous>, FetchError> {
        let same = SameRequest {
            account: job.tenant,
            kind: job.kind,
            request_url: &job.request_url,
            mode: job.mode,
            selector: job.selector.as_deref(),
        };
        let last = self.store().last_result(same, bodies).await?;
        // An extractor may have learnt to make another one since.
        Ok(last.filter(|last| self.extractor.is_same_request(job, &last.meta)))
    }

    /// The last result, which may have been made meanwhile, as the result of this job, byte for byte; `is_copy` when the server did not
    /// say that it still holds.
    async fn repeated<'s>(&'s self, job: &Job, is_copy: bool) -> Result<Ready<'s>, AttemptError> {
        let turn = self.fetcher.turn(job.tenant).await;
        let whole = self.last_result(job, Bodies::Read).await?;
        // Gone since it was seen: the next attempt asks for the page.
        let whole = whole.ok_or_else(|| FetchError::from(FetchCode::Internal))?;
        let finished = Finished {
            id: job.id,
            lease: job.lease,
            final_url: whole.final_url,
            http_status: whole.http_status,
            content_type: whole.content_type,
            encoding: whole.encoding,
            meta: whole.meta,
            body: whole.body,
            etag: whole.etag,
            last_modified: whole.last_modified,
            is_copy,
        };
        Ok(Ready::new(finished, turn))
    }

    /// Lets the other jobs go on after what began then, and for longer when it took long.
    async fn rest_since(&self, began_ms: u64) {
        let clock = self.ports.clock();
        match clock.monotonic_ms().saturating_sub(began_ms) {
            took_ms @ LONG_PAGE_MS.. => self.sleep_ms(took_ms / REST_PART).await,
            _ => self.breath.take(clock).await,
        }
    }

    async fn parse<'s>(
        &'s self,
        job: &Job,
        page: Page,
        turn: Turn<'s>,
    ) -> Result<Ready<'s>, AttemptError> {
        self.breath.take(self.ports.clock()).await;
        let header = |name| page.header(name).map(str::to_owned);
        let (etag, last_modified) = (header(ETAG), header(LAST_MODIFIED));
        let (final_url, http_status) = (page.final_url.to_string(), page.status);
        let content_type = page.content_type().to_owned();
        let began_ms = self.ports.clock().monotonic_ms();
        let extracted = self.extractor.extract(job, page);
        self.rest_since(began_ms).await;
        let Extracted { body, gzip, meta } = extracted.map_err(AttemptError::Extract)?;
        let (encoding, body) = result_codec::encode(body, gzip);
        let finished = Finished {
            id: job.id,
            lease: job.lease,
            final_url,
            http_status,
            content_type,
            encoding: encoding.to_owned(),
            meta,
            body,
            etag,
            last_modified,
            is_copy: false,
        };
        Ok(Ready::new(finished, turn))
    }
}
