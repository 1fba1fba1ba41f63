//! What cases start from.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{JobError, Kind, Mode};
use trawl_store::sql::Sql;
use trawl_store::{Failure, Finished, HostPause, Job, NewMessage, QueueLimits, Store, Submitted};

/// Limits that are in no case's way.
pub const LIMITS: QueueLimits = QueueLimits {
    tenant_max: 1_000_000,
    total_max: 1_000_000,
    host_in_flight_max: 1_000_000,
    host_gap_ms: 0,
};

/// A request of a tenant for a host.
#[must_use]
pub fn request(tenant: i64, host: &str) -> NewMessage {
    NewMessage {
        tenant: AccountId(tenant),
        user_label: Some("node".into()),
        request_url: format!("https://{host}/page"),
        host: host.to_owned(),
        kind: Kind::Text,
        callback_url: Some(format!("https://node{tenant}.example/done")),
        priority: 5,
        mode: Mode::Best,
        selector: None,
        max_age_s: None,
        idem_key: None,
        body_digest: [0; 32],
        replica: None,
    }
}

/// A result for a claimed job.
#[must_use]
pub fn finished(id: MessageId, lease: i64) -> Finished {
    Finished {
        id,
        lease,
        final_url: "https://example.org/final".into(),
        http_status: 200,
        content_type: "text/html".into(),
        encoding: "identity".into(),
        meta: r#"{"title":"\"quoted\" ü"}"#.into(),
        body: vec![0, 159, 146, 150, 255],
        etag: Some("\"v1\"".into()),
        last_modified: None,
        is_copy: false,
    }
}

/// A failure of a claimed job, to be tried again after `retry_in_ms` or given up.
pub(crate) fn failure(id: MessageId, lease: i64, retry_in_ms: Option<u64>) -> Failure {
    let error = JobError {
        code: "timeout".into(),
        detail: "no answer in 15 s".into(),
        permanent: retry_in_ms.is_none(),
    };
    Failure {
        id,
        lease,
        error,
        retry_in_ms,
        pause: None,
    }
}

/// The same of a page whose host asked to be left alone for as long.
pub(crate) fn not_now(job: &Job, wait_ms: u64) -> Failure {
    Failure {
        pause: Some(HostPause {
            host: job.host.clone(),
            ms: wait_ms,
        }),
        ..failure(job.id, job.lease, Some(wait_ms))
    }
}

/// Submits and expects it to be accepted.
pub(crate) async fn accepted<S: Sql>(
    store: Store<'_, S>,
    message: &NewMessage,
    limits: &QueueLimits,
) -> MessageId {
    match store.submit(message, limits).await.unwrap() {
        Submitted::Accepted(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Claims exactly one job.
pub(crate) async fn claimed<S: Sql>(store: Store<'_, S>) -> Job {
    let mut jobs = store.claim(Kind::Text, 1, "worker", 60).await.unwrap();
    assert_eq!(jobs.len(), 1, "something is claimable");
    jobs.remove(0)
}
