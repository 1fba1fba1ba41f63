//! The service about itself: queues, health, the description, the page for people.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use trawl_core::limits::api::DATABASE_RETRY_S;
use trawl_core::problem::{Code, Problem};
use trawl_store::QueueFigures;
use trawl_wire::message::List;
use trawl_wire::openapi;
use trawl_wire::queue::QueueView;

use super::answer::{Answer, json, unavailable};
use super::{Exchange, Handled};
use crate::ports::Ports;

/// The page for people.
const HOME: &str = include_str!("home.html");

#[derive(Serialize)]
struct Received<'a> {
    success: bool,
    data: Replica<'a>,
    message: &'static str,
}

#[derive(Serialize)]
struct Replica<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

pub(super) fn test_endpoint<P: Ports>(exchange: &Exchange<'_, P>) -> Answer {
    let data = Replica {
        id: &exchange.settings.replica_id,
    };
    json(
        StatusCode::OK,
        &Received {
            success: true,
            data,
            message: "request received.",
        },
    )
}

/// The caller's own share of each queue.
pub(super) async fn queues<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let figures = exchange
        .store()
        .queues(Some(account))
        .await
        .map_err(unavailable)?;
    Ok(json(
        StatusCode::OK,
        &List {
            data: figures.iter().map(view).collect(),
        },
    )
    .private())
}

pub(super) fn livez() -> Answer {
    json(StatusCode::OK, &Health { status: "ok" })
}

pub(super) async fn readyz<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    exchange.keys()?;
    exchange.store().ready().await.map_err(|error| {
        Problem::new(
            Code::DatabaseUnavailable,
            format!("The database is not ready: {error}."),
        )
        .retry_after(DATABASE_RETRY_S)
    })?;
    Ok(json(StatusCode::OK, &Health { status: "ok" }))
}

pub(super) fn openapi() -> Answer {
    Answer::new(
        StatusCode::OK,
        "application/json",
        Bytes::from_static(openapi::DOCUMENT.as_bytes()),
    )
    .with("cache-control", "max-age=300")
}

pub(super) fn home() -> Answer {
    Answer::new(
        StatusCode::OK,
        "text/html; charset=utf-8",
        Bytes::from_static(HOME.as_bytes()),
    )
    .with(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'",
    )
    .with("x-content-type-options", "nosniff")
    .with("cache-control", "max-age=300")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates and ages are far below 2^52"
)]
fn view(figures: &QueueFigures) -> QueueView<'_> {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    QueueView {
        name: &figures.name,
        ready: count(figures.ready),
        leased: count(figures.leased),
        delayed: count(figures.delayed),
        dead: count(figures.dead),
        done_per_min: figures.done_per_min as f64,
        added_per_min: figures.added_per_min as f64,
        oldest_age_s: Some(figures.oldest_age_s as f64)
            .filter(|_| figures.ready + figures.delayed > 0),
    }
}
