//! Where callbacks go: which endpoints fail, and opening one that was disabled.

use http::StatusCode;
use serde::Serialize;
use trawl_core::limits::api::PAGE_DEFAULT;
use trawl_core::problem::{Code, Problem};
use trawl_store::Endpoint;
use trawl_wire::Timestamp;
use trawl_wire::message::{EndpointPage, EndpointView};

use super::answer::{json, unavailable};
use super::body::bad_field;
use super::messages::{limit, wrong_cursor};
use super::route::number;
use super::{Exchange, Handled};
use crate::channels::CALLBACK_QUEUE;
use crate::ports::Ports;

/// The answer to opening an endpoint.
#[derive(Serialize)]
struct Enabled<'a> {
    success: bool,
    url: &'a str,
    was_disabled: bool,
}

/// Which page is asked for.
struct Page {
    limit: u32,
    /// How many the pages before showed.
    skip: u32,
}

pub(super) async fn list<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let Page { limit, skip } = page(exchange.request.uri().query().unwrap_or_default())?;
    // One row more than asked tells whether there is another page.
    let mut found = exchange
        .store()
        .endpoints(account, skip, limit + 1)
        .await
        .map_err(unavailable)?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let page = EndpointPage {
        data: found.iter().map(view).collect(),
        next_cursor: has_more.then(|| skip.saturating_add(limit).to_string()),
    };
    Ok(json(StatusCode::OK, &page).private())
}

fn view(endpoint: &Endpoint) -> EndpointView<'_> {
    let state = match endpoint {
        Endpoint {
            disabled_at: Some(_),
            ..
        } => "disabled",
        Endpoint {
            paused_until: Some(_),
            ..
        } => "paused",
        _ => "failing",
    };
    EndpointView {
        url: &endpoint.url,
        state,
        failing_since: endpoint.failing_since.map(Timestamp),
        paused_until: endpoint.paused_until.map(Timestamp),
        disabled_at: endpoint.disabled_at.map(Timestamp),
    }
}

fn page(query: &str) -> Result<Page, Problem> {
    let mut page = Page {
        limit: PAGE_DEFAULT,
        skip: 0,
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            _ if value.is_empty() => {}
            "limit" => page.limit = limit(&value)?,
            "cursor" => page.skip = number(&value).ok_or_else(wrong_cursor)?,
            _ => {}
        }
    }
    Ok(page)
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
