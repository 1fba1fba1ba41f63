//! The request that calls a node back.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue};
use trawl_core::fetch_policy::FetchCode;
use trawl_core::limits::callback::{BODY_BYTES_MAX, CUT_BYTES_MAX, REMEMBERED_MAX};
use trawl_core::webhook_signature::{SecretError, sign};
use trawl_store::{CallbackJob, Secrets};
use trawl_wire::Timestamp;
use trawl_wire::callback::CallbackBody;
use trawl_wire::message::ErrorView;

use crate::settings::CallbackSettings;

/// Why a callback can't even be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsendable {
    /// The URL is refused by its text, as it would be at the next attempt.
    #[error("{0}")]
    Url(FetchCode),
    /// The account's secret can't sign.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// A value does not fit into its header or the body.
    #[error("the request can't be built")]
    Shape,
}

/// The endpoints that one invocation has called, checked and in the form that a request takes: most callbacks go to a few.
#[derive(Debug, Default)]
pub(super) struct Targets(RefCell<HashMap<String, http::Uri>>);

impl Targets {
    fn of(&self, settings: &CallbackSettings, endpoint_url: &str) -> Result<http::Uri, Unsendable> {
        if let Some(known) = self.0.borrow().get(endpoint_url) {
            return Ok(known.clone());
        }
        let target = settings
            .urls
            .target(endpoint_url)
            .map_err(|error| Unsendable::Url(error.into()))?;
        let uri = http::Uri::try_from(target.url.as_str())
            .map_err(|_| Unsendable::Url(FetchCode::InvalidUrl))?;
        let mut remembered = self.0.borrow_mut();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(endpoint_url.to_owned(), uri.clone());
        Ok(uri)
    }
}

/// Builds the request. `now_ms` is the moment of this attempt, which is part of what is signed.
pub(super) fn build(
    settings: &CallbackSettings,
    targets: &Targets,
    job: &CallbackJob,
    secrets: &Secrets,
    now_ms: i64,
) -> Result<http::Request<Bytes>, Unsendable> {
    let uri = targets.of(settings, &job.endpoint_url)?;
    let body = body(settings, job)?;
    let timestamp_s = now_ms.div_euclid(1_000);
    let newest_first = std::iter::once(&secrets.current)
        .chain(&secrets.previous)
        .map(Vec::as_slice);
    let signature = sign(newest_first, &job.webhook_id, timestamp_s, &body)?;
    let text = |value: &str| HeaderValue::from_str(value).map_err(|_| Unsendable::Shape);
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, text(&settings.user_agent)?);
    headers.insert(
        HeaderName::from_static("webhook-id"),
        text(&job.webhook_id)?,
    );
    headers.insert(
        HeaderName::from_static("webhook-timestamp"),
        HeaderValue::from(timestamp_s),
    );
    headers.insert(
        HeaderName::from_static("webhook-signature"),
        text(&signature)?,
    );
    Ok(request)
}

/// The body, the same at each attempt. What makes it too long is cut: the message itself tells all.
fn body(settings: &CallbackSettings, job: &CallbackJob) -> Result<Bytes, Unsendable> {
    let whole = json(
        settings,
        job,
        &job.request_url,
        job.error.as_ref().map_or("", |error| &error.detail),
    )?;
    if whole.len() <= BODY_BYTES_MAX {
        return Ok(whole);
    }
    let detail = job.error.as_ref().map_or("", |error| error.detail.as_str());
    json(settings, job, cut(&job.request_url), cut(detail))
}

fn json(
    settings: &CallbackSettings,
    job: &CallbackJob,
    request_url: &str,
    detail: &str,
) -> Result<Bytes, Unsendable> {
    let base = settings.public_url.as_deref().unwrap_or_default();
    let body = CallbackBody {
        user_id: job.user_label.as_deref(),
        status: if job.ok { "OK" } else { "FAILED" },
        message_id: job.message_id.0,
        kind: job.kind as u8,
        request_url,
        result_url: job
            .ok
            .then(|| format!("{base}/messages/{}/result", job.message_id)),
        date_process_complete: Timestamp(job.date_process_complete),
        error: job.error.as_ref().map(|error| ErrorView {
            code: &error.code,
            detail,
            permanent: error.permanent,
        }),
    };
    serde_json::to_vec(&body)
        .map(Bytes::from)
        .map_err(|_| Unsendable::Shape)
}

/// Short enough that even with every character escaped the body keeps its limit.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(CUT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use trawl_core::ids::{AccountId, MessageId};
    use trawl_core::state::{JobError, Kind};
    use trawl_core::url_guard::UrlPolicy;

    fn settings() -> CallbackSettings {
        CallbackSettings {
            worker: "test".to_owned(),
            lease_s: 60,
            user_agent: "trawl/1".to_owned(),
            urls: UrlPolicy::default(),
            public_url: Some("https://trawl.example".to_owned()),
        }
    }

    fn job() -> CallbackJob {
        CallbackJob {
            id: 1,
            lease: 1,
            attempt: 1,
            webhook_id: "msg_0a".to_owned(),
            tenant: AccountId(1),
            endpoint_url: "https://node.example/hook".to_owned(),
            message_id: MessageId(7),
            user_label: Some("node 3".to_owned()),
            kind: Kind::Html,
            request_url: "https://a.example/".to_owned(),
            ok: true,
            error: None,
            date_process_complete: 0,
            secret_current: None,
            secret_previous: None,
        }
    }

    fn secrets() -> Secrets {
        Secrets {
            current: vec![1; 32],
            previous: Some(vec![2; 32]),
        }
    }

    #[test]
    fn the_request_is_that_of_the_contract() {
        let request = build(
            &settings(),
            &Targets::default(),
            &job(),
            &secrets(),
            1_700_000_000_999,
        )
        .unwrap();
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "user_id": "node 3", "status": "OK", "message_id": 7, "type": 2, "request_url": "https://a.example/",
                "result_url": "https://trawl.example/messages/7/result",
                "date_process_complete": "1970-01-01T00:00:00.000Z", "error": null
            })
        );
        assert_eq!(request.headers()["webhook-timestamp"], "1700000000");
        let signature = request.headers()["webhook-signature"].to_str().unwrap();
        assert_eq!(
            signature.split(' ').count(),
            2,
            "two secrets, two signatures: {signature}"
        );
    }

    #[test]
    fn a_body_that_would_be_too_long_is_cut() {
        let error = JobError {
            code: "x".to_owned(),
            detail: "\u{1}".repeat(30_000),
            permanent: true,
        };
        let job = CallbackJob {
            ok: false,
            error: Some(error),
            request_url: "\u{1}".repeat(8_000),
            ..job()
        };
        let request = build(&settings(), &Targets::default(), &job, &secrets(), 0).unwrap();
        assert!(
            request.body().len() <= BODY_BYTES_MAX,
            "{}",
            request.body().len()
        );
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(
            (&body["status"], &body["result_url"]),
            (&"FAILED".into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn endpoints_are_remembered_up_to_a_number_and_refusals_are_not() {
        let (settings, targets) = (settings(), Targets::default());
        for number in 0..2 * REMEMBERED_MAX {
            let url = format!("https://node.example:443/{number}");
            for _ in 0..2 {
                let uri = targets.of(&settings, &url).unwrap();
                assert_eq!(uri.to_string(), format!("https://node.example/{number}"));
            }
            assert!(targets.of(&settings, "http://127.0.0.1/").is_err());
            assert_eq!(targets.0.borrow().len(), number % REMEMBERED_MAX + 1);
        }
    }

    #[test]
    fn refused_urls_and_empty_secrets_are_never_sent() {
        let inside = CallbackJob {
            endpoint_url: "http://127.0.0.1/hook".to_owned(),
            ..job()
        };
        assert_eq!(
            build(&settings(), &Targets::default(), &inside, &secrets(), 0).unwrap_err(),
            Unsendable::Url(FetchCode::AddressNotAllowed)
        );
        let empty = Secrets {
            current: Vec::new(),
            previous: None,
        };
        assert!(matches!(
            build(&settings(), &Targets::default(), &job(), &empty, 0),
            Err(Unsendable::Secret(_))
        ));
    }
}
