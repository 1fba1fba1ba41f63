//! Callback attempts: their log, sending them again, and opening a disabled endpoint.

use http::StatusCode;
use serde::Serialize;
use trawl_core::problem::{Code, Problem};
use trawl_store::{Changed, Delivery};
use trawl_wire::Timestamp;
use trawl_wire::message::{DeliveryView, List};
use trawl_wire::object::{FieldError, Object};

use super::answer::{json, unavailable};
use super::body::bad_field;
use super::messages::{message_id, wrong_state};
use super::{Exchange, Handled, no_message};
use crate::channels::CALLBACK_QUEUE;
use crate::ports::Ports;

/// The answer to a replay.
#[derive(Serialize)]
struct Replayed {
    success: bool,
    replayed: u64,
}

/// The answer to opening an endpoint.
#[derive(Serialize)]
struct Enabled<'a> {
    success: bool,
    url: &'a str,
    was_disabled: bool,
}

pub(super) async fn list<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let deliveries = exchange
        .store()
        .deliveries(account, message_id(id)?)
        .await
        .map_err(unavailable)?
        .ok_or_else(no_message)?;
    Ok(json(
        StatusCode::OK,
        &List {
            data: deliveries.iter().map(view).collect(),
        },
    )
    .private())
}

pub(super) async fn replay<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    match exchange
        .store()
        .replay(account, message_id(id)?)
        .await
        .map_err(unavailable)?
    {
        Changed::Yes => Ok(json(
            StatusCode::ACCEPTED,
            &Replayed {
                success: true,
                replayed: 1,
            },
        )
        .ringing(CALLBACK_QUEUE)),
        Changed::NoMessage => Err(no_message()),
        Changed::Conflict(state) => Err(wrong_state(state, "it has no callback to send again")),
    }
}

/// `{"from", "to"}`: the callbacks of what was finished in that time, the end not included.
pub(super) async fn replay_range<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let object = exchange.object()?;
    let (from, to) = (time(&object, "from")?, time(&object, "to")?);
    if from >= to {
        return Err(bad_field(FieldError::new(
            "to",
            "must be later than `from`",
        )));
    }
    let replayed = exchange
        .store()
        .replay_range(account, from.0, to.0)
        .await
        .map_err(unavailable)?;
    Ok(json(
        StatusCode::ACCEPTED,
        &Replayed {
            success: true,
            replayed,
        },
    )
    .ringing(CALLBACK_QUEUE))
}

/// `{"url"}`: an endpoint that was disabled takes callbacks again, with those that were kept.
pub(super) async fn enable<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let object = exchange.object()?;
    let sent = object.required_text(&["url"]).map_err(bad_field)?;
    let target = exchange.settings.callback_urls.target(sent);
    let target = target.map_err(|error| {
        Problem::new(Code::InvalidCallbackUrl, format!("`url`: {error}.")).at("url")
    })?;
    let url = target.url.as_str();
    let was_disabled = exchange
        .store()
        .endpoint_enable(account, url)
        .await
        .map_err(unavailable)?;
    let answer = json(
        StatusCode::OK,
        &Enabled {
            success: true,
            url,
            was_disabled,
        },
    );
    Ok(if was_disabled {
        answer.ringing(CALLBACK_QUEUE)
    } else {
        answer
    })
}

fn time(object: &Object<'_>, field: &'static str) -> Result<Timestamp, Problem> {
    let text = object.required_text(&[field]).map_err(bad_field)?;
    Timestamp::parse(text).ok_or_else(|| {
        bad_field(FieldError::new(
            field,
            "must be a time such as 2026-11-23T22:05:00Z",
        ))
    })
}

fn view(delivery: &Delivery) -> DeliveryView<'_> {
    DeliveryView {
        webhook_id: &delivery.webhook_id,
        attempt: i64::from(delivery.attempt),
        at: Timestamp(delivery.at_ms),
        status: delivery.status,
        latency_ms: i64::try_from(delivery.latency_ms).ok(),
        error: delivery.error.as_deref(),
        next_try_at: delivery.next_try_at.map(Timestamp),
    }
}
