//! `POST /receive_data`: checks a request and records it. One database statement; 202 means committed.

use http::StatusCode;
use sha2::{Digest, Sha256};
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::api::{
    IDEMPOTENCY_KEY_CHARS_MAX, LABEL_CHARS_MAX, MAX_AGE_S_MAX, PRIORITY_DEFAULT, PRIORITY_MAX,
    QUEUE_FULL_RETRY_S, SELECTOR_CHARS_MAX,
};
use trawl_core::problem::{Code, Problem};
use trawl_core::state::{Kind, Mode};
use trawl_core::url_guard::{Target, UrlPolicy, pace_key};
use trawl_extract::dom::Selector;
use trawl_store::{NewMessage, Submitted};
use trawl_wire::message::{Accepted, AcceptedData};
use trawl_wire::object::FieldError;
use trawl_wire::submission::Submission;

use super::answer::{json, unavailable};
use super::body::bad_field;
use super::{Exchange, Handled};
use crate::channels::MESSAGE_QUEUE;
use crate::ports::Ports;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) async fn receive<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let tenant = exchange.caller().await?;
    let object = exchange.object()?;
    let submission = Submission::read(&object).map_err(bad_field)?;
    let idem_key = idempotency_key(exchange)?;
    let settings = &exchange.settings;
    let mut message = check(
        tenant,
        submission,
        idem_key,
        &settings.request_urls,
        &settings.callback_urls,
    )?;
    if message.idem_key.is_some() {
        message.replica = Some(settings.replica_id.clone());
    }
    let submitted = exchange
        .store()
        .submit(&message, &settings.limits)
        .await
        .map_err(unavailable)?;
    let (id, first_replica, is_new) = match submitted {
        Submitted::Accepted(id) => (id, None, true),
        Submitted::Repeat { id, replica } => (id, replica, false),
        Submitted::Conflict => return Err(conflict()),
        Submitted::TenantFull => return Err(full(Code::TenantQueueFull)),
        Submitted::Full => return Err(full(Code::QueueFull)),
    };
    let accepted = Accepted {
        success: true,
        data: AcceptedData {
            id: first_replica.as_ref().unwrap_or(&settings.replica_id),
            message_id: id.0,
            status_url: status_url(exchange, id),
        },
        message: "message received",
    };
    let answer = json(StatusCode::ACCEPTED, &accepted).with("location", &format!("/messages/{id}"));
    Ok(if is_new {
        answer.ringing(MESSAGE_QUEUE)
    } else {
        answer
    })
}

/// Checks what was sent and fills in what was not.
pub(super) fn check(
    tenant: AccountId,
    sent: Submission<'_>,
    idem_key: Option<String>,
    request_urls: &UrlPolicy,
    callback_urls: &UrlPolicy,
) -> Result<NewMessage, Problem> {
    let kind = Kind::from_number(sent.kind)
        .ok_or_else(|| wrong("type", "must be 1 (text), 2 (HTML) or 3 (domains)"))?;
    let target = url(
        sent.request_url,
        request_urls,
        Code::InvalidUrl,
        "request_url",
    )?;
    let callback = sent
        .callback_url
        .map(|raw| url(raw, callback_urls, Code::InvalidCallbackUrl, "callback_url"))
        .transpose()?;
    let mode = match sent.mode {
        None => Mode::Best,
        Some(word) => {
            Mode::parse(word).ok_or_else(|| wrong("mode", "must be \"best\" or \"fast\""))?
        }
    };
    let priority = priority(&sent)?;
    check_ranges(&sent)?;
    let mut message = NewMessage {
        tenant,
        user_label: sent.user_label,
        host: pace_key(&target.url),
        request_url: target.url.into(),
        kind,
        callback_url: callback.map(|target| target.url.into()),
        priority,
        mode,
        selector: selector(sent.selector, kind)?,
        max_age_s: sent.max_age_s,
        idem_key,
        body_digest: [0; 32],
        replica: None,
    };
    message.body_digest = digest(&message);
    Ok(message)
}

fn wrong(field: &'static str, problem: impl Into<String>) -> Problem {
    bad_field(FieldError::new(field, problem))
}

fn priority(sent: &Submission<'_>) -> Result<u8, Problem> {
    let number = sent.priority.unwrap_or(i64::from(PRIORITY_DEFAULT));
    u8::try_from(number)
        .ok()
        .filter(|number| *number <= PRIORITY_MAX)
        .ok_or_else(|| {
            wrong(
                "priority",
                format!("must be 0 to {PRIORITY_MAX}, {PRIORITY_MAX} first"),
            )
        })
}

fn check_ranges(sent: &Submission<'_>) -> Result<(), Problem> {
    let label_chars = sent
        .user_label
        .as_ref()
        .map_or(0, |label| label.chars().count());
    if label_chars > LABEL_CHARS_MAX {
        return Err(wrong(
            "user_Id",
            format!("must have at most {LABEL_CHARS_MAX} characters"),
        ));
    }
    if sent
        .max_age_s
        .is_some_and(|age_s| !(0..=MAX_AGE_S_MAX).contains(&age_s))
    {
        return Err(wrong(
            "max_age",
            format!("must be 0 to {MAX_AGE_S_MAX} seconds"),
        ));
    }
    Ok(())
}

fn url(raw: &str, policy: &UrlPolicy, code: Code, field: &'static str) -> Result<Target, Problem> {
    policy
        .target(raw)
        .map_err(|error| Problem::new(code, format!("`{field}`: {error}.")).at(field))
}

fn selector(sent: Option<&str>, kind: Kind) -> Result<Option<String>, Problem> {
    let Some(text) = sent.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let problem = if kind != Kind::Text {
        "is for type 1 only".to_owned()
    } else if text.chars().count() > SELECTOR_CHARS_MAX || text.chars().any(char::is_control) {
        format!("must be a CSS selector of at most {SELECTOR_CHARS_MAX} characters")
    } else {
        match Selector::parse(text) {
            Ok(_) => return Ok(Some(text.to_owned())),
            Err(error) => format!("can't be read: {error}"),
        }
    };
    Err(bad_field(FieldError::new("selector", problem)))
}

fn idempotency_key<P: Ports>(exchange: &Exchange<'_, P>) -> Result<Option<String>, Problem> {
    let mut values = exchange.request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(bad_field(FieldError::new(
            "Idempotency-Key",
            "is given twice",
        )));
    }
    let text = value.to_str().unwrap_or_default().trim();
    check_idempotency_key(text, "Idempotency-Key").map(Some)
}

pub(super) fn check_idempotency_key(text: &str, field: &'static str) -> Result<String, Problem> {
    let is_plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_CHARS_MAX || !is_plain {
        let problem =
            format!("must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters");
        return Err(bad_field(FieldError::new(field, problem)));
    }
    Ok(text.to_owned())
}

/// Of the meaning, not of the bytes: the same request with its fields in another order is the same request. Each part is
/// preceded by its length, so that no two requests give the same text.
fn digest(message: &NewMessage) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |text: Option<&str>| match text {
        None => hash.update([0]),
        Some(text) => {
            hash.update([1]);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    };
    part(Some(&message.request_url));
    part(message.user_label.as_deref());
    part(message.callback_url.as_deref());
    part(message.selector.as_deref());
    part(Some(message.mode.as_str()));
    hash.update([message.priority]);
    hash.update(message.kind.number().to_le_bytes());
    hash.update(message.max_age_s.unwrap_or(-1).to_le_bytes());
    hash.finalize().into()
}

pub(super) fn conflict() -> Problem {
    Problem::new(
        Code::IdempotencyConflict,
        "This Idempotency-Key was sent with another body; use a new key for a new request.",
    )
}

pub(super) fn full(code: Code) -> Problem {
    let whose = if code == Code::TenantQueueFull {
        "The account has"
    } else {
        "The service has"
    };
    Problem::new(
        code,
        format!("{whose} as many unfinished messages as allowed; nothing was recorded."),
    )
    .retry_after(QUEUE_FULL_RETRY_S)
}

/// Where to ask. Without `public_url` the authority is that of the request, which is the client's own `Host`. Only the client
/// itself is told it: nothing that is kept, or sent to others, may be built of it.
fn status_url<P: Ports>(exchange: &Exchange<'_, P>, id: MessageId) -> String {
    if let Some(base) = &exchange.settings.public_url {
        return format!("{base}/messages/{id}");
    }
    match exchange.request.uri().authority() {
        Some(authority) => format!(
            "{}://{authority}/messages/{id}",
            exchange.request.uri().scheme_str().unwrap_or("http")
        ),
        None => format!("/messages/{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut Submission<'_>)) -> Result<NewMessage, Problem> {
        let mut sent = Submission {
            request_url: "Example.ORG/a#b",
            kind: 1,
            ..Submission::default()
        };
        change(&mut sent);
        check(
            AccountId(1),
            sent,
            None,
            &UrlPolicy::default(),
            &UrlPolicy::default(),
        )
    }

    #[test]
    fn defaults() {
        let message = message(|_| {}).unwrap();
        assert_eq!(
            (message.request_url.as_str(), message.host.as_str()),
            ("https://example.org/a", "example.org")
        );
        assert_eq!(
            (message.priority, message.mode, message.kind),
            (PRIORITY_DEFAULT, Mode::Best, Kind::Text)
        );
    }

    #[test]
    fn the_host_has_a_port_when_it_is_not_the_schemes_own() {
        assert_eq!(
            message(|sent| sent.request_url = "http://a.example:8080/")
                .unwrap()
                .host,
            "a.example:8080"
        );
        assert_eq!(
            message(|sent| sent.request_url = "http://a.example:80/")
                .unwrap()
                .host,
            "a.example"
        );
    }

    #[test]
    fn each_difference_changes_the_digest() {
        let plain = message(|_| {}).unwrap().body_digest;
        assert_eq!(
            message(|sent| sent.request_url = "https://example.org/a")
                .unwrap()
                .body_digest,
            plain
        );
        for change in [
            (|sent: &mut Submission<'_>| sent.request_url = "example.org/b")
                as fn(&mut Submission<'_>),
            |sent| sent.kind = 2,
            |sent| sent.user_label = Some(String::new()),
            |sent| sent.callback_url = Some("https://example.org/a"),
            |sent| sent.priority = Some(6),
            |sent| sent.mode = Some("fast"),
            |sent| sent.selector = Some("main"),
            |sent| sent.max_age_s = Some(0),
        ] {
            assert_ne!(message(change).unwrap().body_digest, plain);
        }
    }

    #[test]
    fn a_selector_belongs_to_text() {
        assert_eq!(
            message(|sent| (sent.kind, sent.selector) = (2, Some("main")))
                .unwrap_err()
                .field,
            Some("selector")
        );
        assert_eq!(
            message(|sent| sent.selector = Some(" ")).unwrap().selector,
            None
        );
    }

    #[test]
    fn a_selector_that_no_scraper_can_read_is_refused_at_once() {
        let refused = message(|sent| sent.selector = Some("main > p:hover")).unwrap_err();
        assert_eq!(refused.field, Some("selector"));
        assert!(refused.detail.contains(":hover"), "{}", refused.detail);
        let read = message(|sent| sent.selector = Some("main > p:not(.note)")).unwrap();
        assert_eq!(read.selector.as_deref(), Some("main > p:not(.note)"));
    }
}
