//! One attempt at one job, from the URL to the result.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use http::header::{ETAG, LAST_MODIFIED};
use trawl_core::fetch_policy::FetchCode;
use trawl_core::ids::MessageId;
use trawl_core::limits::scrape::ATTEMPT_MS_MAX;
use trawl_core::retry::{honoured_ms, retry_in_ms};
use trawl_core::state::JobError;
use trawl_core::url_guard::{Target, UrlError};
use trawl_store::{Failure, Finished, HostPause, Job, Previous, Store, StoreError};

use super::extractor::{Extracted, Extractor};
use crate::fetch::{FetchError, Fetched, Fetcher, Page, Validators};
use crate::patience::{Breath, Limit};
use crate::ports::{Clock as _, Ports, Random as _};
use crate::result_codec;
use crate::settings::ScraperSettings;
use crate::slots::Slots;

/// What the attempts of one invocation share.
pub(super) struct Scraper<'p, P: Ports, E> {
    pub(super) ports: &'p P,
    pub(super) extractor: &'p E,
    pub(super) settings: &'p ScraperSettings,
    fetcher: Fetcher<'p, P>,
    /// Parsing is CPU work on one thread: doing one page at a time costs nothing and keeps one page's memory, not thirty's.
    parsing: Slots,
    breath: Breath,
    /// Of jobs that are to be attempted now: read when their robots.txt was looked up.
    targets: RefCell<HashMap<MessageId, Target>>,
    /// How long an attempt may take.
    pub(super) limit: Limit,
}

/// What an attempt came to.
pub(super) enum Outcome {
    Finished(Finished),
    Failed(Failure),
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
            parsing: Slots::new(1),
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
    pub(super) async fn attempt(&self, job: &Job) -> Outcome {
        let clock = self.ports.clock();
        let result = self
            .limit
            .within(clock, clock.monotonic_ms(), self.result(job))
            .await;
        match result.unwrap_or_else(|| Err(FetchError::from(FetchCode::TimeoutTotal).into())) {
            Ok(finished) => Outcome::Finished(finished),
            Err(error) => Outcome::Failed(self.failure(job, error)),
        }
    }

    fn failure(&self, job: &Job, error: AttemptError) -> Failure {
        let mut draw = [0; 4];
        self.ports.random().fill(&mut draw);
        let (error, retry_after_ms, paused_host) = match error {
            AttemptError::Fetch(error) => (
                error.code.job_error(error.detail),
                error.retry_after_ms,
                error.paused_host,
            ),
            AttemptError::Extract(error) => (error, None, None),
        };
        let retry_in_ms = retry_in_ms(
            job.attempt,
            error.permanent,
            retry_after_ms,
            u32::from_be_bytes(draw),
        );
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

    async fn result(&self, job: &Job) -> Result<Finished, AttemptError> {
        let known = self.targets.borrow_mut().remove(&job.id);
        let target = known
            .map_or_else(|| self.target(job), Ok)
            .map_err(|error| FetchError::from(FetchCode::from(error)))?;
        let previous = self.previous(job).await?;
        if let (Some(previous), Some(max_age_s)) = (&previous, job.max_age_s)
            // One from the future is left from before the clock was set back: nobody knows how old it is.
            && (0..=max_age_s).contains(&previous.age_s)
        {
            return Ok(repeated(job, previous, true));
        }
        let validators = previous.as_ref().and_then(Validators::of);
        match self
            .fetcher
            .page(job.kind, &job.host, target.url, validators.as_ref())
            .await?
        {
            Fetched::Page(page) => self.parse(job, *page).await,
            Fetched::NotModified => previous
                .map(|previous| repeated(job, &previous, false))
                .ok_or_else(|| FetchError::from(FetchCode::Http(304)).into()),
        }
    }

    /// The last result of the same request, looked for only when the owner said how old it may be.
    async fn previous(&self, job: &Job) -> Result<Option<Previous>, FetchError> {
        if job.max_age_s.is_none() {
            return Ok(None);
        }
        let previous = self
            .store()
            .last_result(
                job.tenant,
                job.kind,
                &job.request_url,
                job.mode,
                job.selector.as_deref(),
            )
            .await?;
        // An extractor may have learnt to make another one since.
        Ok(previous.filter(|previous| self.extractor.is_same_request(job, &previous.meta)))
    }

    async fn parse(&self, job: &Job, page: Page) -> Result<Finished, AttemptError> {
        let _turn = self.parsing.take().await;
        self.breath.take(self.ports.clock()).await;
        let header = |name| page.header(name).map(str::to_owned);
        let (etag, last_modified) = (header(ETAG), header(LAST_MODIFIED));
        let (final_url, http_status) = (page.final_url.to_string(), page.status);
        let content_type = page.content_type().to_owned();
        let Extracted { body, gzip, meta } = self
            .extractor
            .extract(job, page)
            .map_err(AttemptError::Extract)?;
        self.breath.take(self.ports.clock()).await;
        let (encoding, body) = result_codec::encode(body, gzip);
        Ok(Finished {
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
        })
    }
}

/// An earlier result as the result of this job, byte for byte; `is_copy` when the server did not say that it still holds.
fn repeated(job: &Job, previous: &Previous, is_copy: bool) -> Finished {
    Finished {
        id: job.id,
        lease: job.lease,
        final_url: previous.final_url.clone(),
        http_status: previous.http_status,
        content_type: previous.content_type.clone(),
        encoding: previous.encoding.clone(),
        meta: previous.meta.clone(),
        body: previous.body.clone(),
        etag: previous.etag.clone(),
        last_modified: previous.last_modified.clone(),
        is_copy,
    }
}
