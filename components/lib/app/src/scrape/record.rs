//! Writing down what attempts came to. The work is done and paid for, so a busy database is waited for.

use trawl_core::ids::MessageId;
use trawl_core::state::JobError;
use trawl_store::{Failure, Finished, StoreError};

use super::attempt::Scraper;
use super::extractor::Extractor;
use crate::fetch::TooEarly;
use crate::patience::patiently_under;
use crate::ports::{Ports, Random as _};

/// What became of results and failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) finished: u32,
    pub(super) failed: u32,
    pub(super) stale: u32,
}

/// Records `finished` in one statement. When the database refuses it, each is recorded by itself, so that one result
/// that can't be stored costs no other its attempt.
pub(super) async fn record_results<P: Ports, E: Extractor>(
    scraper: &Scraper<'_, P, E>,
    finished: Vec<Finished>,
) -> Result<Recorded, StoreError> {
    let leases: Vec<_> = finished.iter().map(|one| (one.id, one.lease)).collect();
    let recorded = record_all(scraper, finished).await;
    give_back_unrecorded(scraper, &recorded, &leases).await;
    recorded
}

async fn record_all<P: Ports, E: Extractor>(
    scraper: &Scraper<'_, P, E>,
    finished: Vec<Finished>,
) -> Result<Recorded, StoreError> {
    match finish_all(scraper, &finished).await {
        Ok(recorded) => Ok(recorded),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) => {
            let mut sum = Recorded::default();
            for one in finished {
                let recorded = match finish_all(scraper, std::slice::from_ref(&one)).await {
                    Err(StoreError::Sql(_) | StoreError::Corrupt(_)) => {
                        record_failure(scraper, &not_storable(&one)).await?
                    }
                    other => other?,
                };
                sum.finished += recorded.finished;
                sum.failed += recorded.failed;
                sum.stale += recorded.stale;
            }
            Ok(sum)
        }
    }
}

async fn finish_all<P: Ports, E: Extractor>(
    scraper: &Scraper<'_, P, E>,
    finished: &[Finished],
) -> Result<Recorded, StoreError> {
    let store = scraper.store();
    let accepted = with_patience(scraper, async || store.finish(finished).await).await?;
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    Ok(Recorded {
        finished: count(accepted.len()),
        failed: 0,
        stale: count(finished.len().saturating_sub(accepted.len())),
    })
}

/// Records a failure; a stale one is thrown away like a stale result.
pub(super) async fn record_failure<P: Ports, E: Extractor>(
    scraper: &Scraper<'_, P, E>,
    failure: &Failure,
) -> Result<Recorded, StoreError> {
    let store = scraper.store();
    let recorded = with_patience(scraper, async || store.fail(failure).await).await;
    give_back_unrecorded(scraper, &recorded, &[(failure.id, failure.lease)]).await;
    let recorded = recorded?;
    Ok(Recorded {
        finished: 0,
        failed: u32::from(recorded),
        stale: u32::from(!recorded),
    })
}

/// Gives back a job that came too early: until the queue has a place for it, which keeps the pace of its own host, or until some time
/// after a host that it was led to may be asked.
pub(super) async fn give_back<P: Ports, E: Extractor>(
    scraper: &Scraper<'_, P, E>,
    id: MessageId,
    lease: i64,
    too_early: TooEarly,
) -> Result<(), StoreError> {
    let store = scraper.store();
    let draw = scraper.ports.random().draw();
    let given_back = async || match too_early {
        TooEarly::Elsewhere(wait_ms) => store.postpone(id, lease, wait_ms, draw).await.map(drop),
        TooEarly::OwnHost => store.release(&[(id, lease)]).await,
    };
    with_patience(scraper, given_back).await
}

/// What the database had no room or no time for is lost, and its job is done again; but its worker lives. Left to run out, the lease
/// would say that it died, and three times that would be the page's fault. A disk that has no room for a result mostly has some
/// for this; when it has not, the lease runs out. What the database refuses for good is left to run out too: done again without
/// being counted, it would be done for ever.
async fn give_back_unrecorded<P: Ports, E: Extractor, T>(
    scraper: &Scraper<'_, P, E>,
    recorded: &Result<T, StoreError>,
    leases: &[(MessageId, i64)],
) {
    if recorded.as_ref().is_err_and(StoreError::is_retryable) {
        let _ = scraper.store().put_back(leases).await;
    }
}

async fn with_patience<P: Ports, E: Extractor, T>(
    scraper: &Scraper<'_, P, E>,
    work: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    patiently_under(scraper.settings.lease_s, scraper.ports.clock(), work).await
}

fn not_storable(finished: &Finished) -> Failure {
    let error = JobError {
        code: "result_not_storable".to_owned(),
        detail: "the database refused the result".to_owned(),
        permanent: true,
    };
    Failure {
        id: finished.id,
        lease: finished.lease,
        error,
        retry_in_ms: None,
        pause: None,
    }
}
