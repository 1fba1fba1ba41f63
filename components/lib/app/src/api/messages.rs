//! Messages as their owner sees and moves them, and the routes beside them.

use http::StatusCode;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::api::{PAGE_DEFAULT, PAGE_MAX};
use trawl_core::problem::{Code, Problem};
use trawl_core::state::{JobError, Kind, State};
use trawl_store::{Changed, Event, Filter, Message, Submitted};
use trawl_wire::Timestamp;
use trawl_wire::message::{ErrorView, EventView, Links, List, MessagePage, MessageView};
use trawl_wire::object::FieldError;

use super::answer::{json, no_content, unavailable, unavailable_after};
use super::body::bad_field;
use super::receive::full;
use super::route::{Route, number};
use super::{
    Exchange, Handled, deliveries, endpoints, no_message, nothing_here, receive, result, service,
};
use crate::channels::MESSAGE_QUEUE;
use crate::ports::Ports;

pub(super) async fn handle<P: Ports>(exchange: &Exchange<'_, P>, route: Route<'_>) -> Handled {
    match route {
        Route::ReceiveData => receive::receive(exchange).await,
        Route::Message {
            id,
            is_cancel: false,
        } => get(exchange, id).await,
        Route::Message {
            id,
            is_cancel: true,
        } => cancel(exchange, id).await,
        Route::MessageResult { id } => result::result(exchange, id).await,
        Route::Messages => list(exchange).await,
        Route::Retry { id } => retry(exchange, id).await,
        Route::Events { id } => events(exchange, id).await,
        Route::Deliveries { id } => deliveries::list(exchange, id).await,
        Route::Replay { id } => deliveries::replay(exchange, id).await,
        Route::ReplayRange => deliveries::replay_range(exchange).await,
        Route::Endpoints => endpoints::list(exchange).await,
        Route::EndpointEnable => endpoints::enable(exchange).await,
        Route::Queues => service::queues(exchange).await,
        Route::TestEndpoint => Ok(service::test_endpoint(exchange)),
        Route::Livez => Ok(service::livez()),
        Route::Readyz => service::readyz(exchange).await,
        Route::OpenApi => Ok(service::openapi()),
        Route::Home => Ok(service::home()),
        _ => Err(nothing_here()),
    }
}

async fn get<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let message = exchange
        .store()
        .message(account, message_id(id)?)
        .await
        .map_err(unavailable)?;
    let message = message.ok_or_else(no_message)?;
    Ok(json(StatusCode::OK, &view(&message)).private())
}

async fn list<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let filter = filter(exchange.request.uri().query().unwrap_or_default())?;
    let asked = filter.limit as usize;
    // One row more than asked tells whether there is another page.
    let read = Filter {
        limit: filter.limit + 1,
        ..filter
    };
    let mut messages = exchange
        .store()
        .messages(account, &read)
        .await
        .map_err(unavailable)?;
    let has_more = messages.len() > asked;
    messages.truncate(asked);
    let next_cursor = messages
        .last()
        .filter(|_| has_more)
        .map(|last| last.id.to_string());
    let page = MessagePage {
        data: messages.iter().map(view).collect(),
        next_cursor,
    };
    Ok(json(StatusCode::OK, &page).private())
}

async fn retry<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let id = message_id(id)?;
    // One more unfinished message, like a new one.
    let limits = &exchange.settings.limits;
    let changed = exchange.store().retry(account, id, limits).await;
    match changed.map_err(unavailable)? {
        Changed::Yes => {}
        Changed::NoMessage => return Err(no_message()),
        // What could not be queued again anyway is told so: asking later, as a full queue says, would not help.
        Changed::Conflict(state) if state.is_terminal() => {
            return Err(full(which_is_full(exchange, account).await?));
        }
        Changed::Conflict(state) => return Err(not_finished(state)),
    }
    let message = exchange
        .store()
        .message(account, id)
        .await
        .map_err(|error| unavailable_after(error, QUEUED_AGAIN))?
        .ok_or_else(no_message)?;
    let answer =
        json(StatusCode::ACCEPTED, &view(&message)).with("location", &format!("/messages/{id}"));
    Ok(answer.ringing(MESSAGE_QUEUE))
}

const QUEUED_AGAIN: &str =
    "The message is queued again, but can't be read just now; look at it in a moment.";

/// Which limit has forbidden one more message that is not finished; the account's own when there is room by now.
async fn which_is_full<P: Ports>(
    exchange: &Exchange<'_, P>,
    account: AccountId,
) -> Result<Code, Problem> {
    let store = exchange.store();
    let full = store.is_full(account, &exchange.settings.limits).await;
    Ok(match full.map_err(unavailable)? {
        None | Some(Submitted::TenantFull) => Code::TenantQueueFull,
        Some(_) => Code::QueueFull,
    })
}

async fn cancel<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    match exchange
        .store()
        .cancel(account, message_id(id)?)
        .await
        .map_err(unavailable)?
    {
        Changed::Yes => Ok(no_content()),
        Changed::NoMessage => Err(no_message()),
        Changed::Conflict(state) => Err(wrong_state(state, "there is nothing left to cancel")),
    }
}

async fn events<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let events = exchange
        .store()
        .events(account, message_id(id)?)
        .await
        .map_err(unavailable)?
        .ok_or_else(no_message)?;
    Ok(json(
        StatusCode::OK,
        &List {
            data: events.iter().map(event_view).collect(),
        },
    )
    .private())
}

fn event_view(event: &Event) -> EventView<'_> {
    EventView {
        at: Timestamp(event.at_ms),
        from: event.from.map(State::as_str),
        to: event.to.as_str(),
        lease: event.lease,
        worker: event.worker.as_deref(),
        reason: Some(event.reason.as_str()).filter(|reason| !reason.is_empty()),
    }
}

/// A message's number from a path. What is no number is a message that nobody has.
pub(super) fn message_id(text: &str) -> Result<MessageId, Problem> {
    number(text).ok_or_else(no_message)
}

fn not_finished(state: State) -> Problem {
    wrong_state(state, "only a finished message can be queued again")
}

pub(super) fn wrong_state(state: State, why: &str) -> Problem {
    Problem::new(Code::WrongState, format!("The message is {state}; {why}."))
}

pub(super) fn view(message: &Message) -> MessageView<'_> {
    MessageView {
        id: message.id.0,
        user_label: message.user_label.as_deref(),
        request_url: &message.request_url,
        kind: message.kind as u8,
        priority: message.priority,
        status: message.state.as_str(),
        // As the column says: nothing more will be done with it, unless its owner asks.
        is_processed: matches!(
            message.state,
            State::Done | State::Failed | State::Cancelled
        ),
        is_processing: message.state == State::Processing,
        date_added: Timestamp(message.date_added),
        date_process_complete: message.date_process_complete.map(Timestamp),
        attempts: i64::from(message.attempts),
        next_try_at: message.next_try_at.map(Timestamp),
        error: message.error.as_ref().map(error_view),
        callback_url: message.callback_url.as_deref(),
        callback_status: message.callback_status.as_str(),
        links: Links::of("", message.id.0),
    }
}

fn error_view(error: &JobError) -> ErrorView<'_> {
    ErrorView {
        code: &error.code,
        detail: &error.detail,
        permanent: error.permanent,
    }
}

fn filter(query: &str) -> Result<Filter, Problem> {
    let mut filter = Filter {
        limit: PAGE_DEFAULT,
        ..Filter::default()
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong = |field, problem: String| bad_field(FieldError::new(field, problem));
        match name.as_ref() {
            _ if value.is_empty() => {}
            "status" => {
                let state = State::parse(&value);
                filter.status = Some(state.ok_or_else(|| {
                    wrong(
                        "status",
                        "must be queued, processing, done, failed or cancelled".into(),
                    )
                })?);
            }
            "type" => {
                let kind = value.parse().ok().and_then(Kind::from_number);
                filter.kind = Some(kind.ok_or_else(|| wrong("type", "must be 1, 2 or 3".into()))?);
            }
            "limit" => filter.limit = limit(&value)?,
            "cursor" => {
                let id = value.parse().ok().filter(|id: &MessageId| id.0 > 0);
                filter.before = Some(id.ok_or_else(wrong_cursor)?);
            }
            _ => {}
        }
    }
    Ok(filter)
}

/// How many entries a page of a list may have.
pub(super) fn limit(value: &str) -> Result<u32, Problem> {
    let limit = value.parse().ok();
    limit
        .filter(|limit| (1..=PAGE_MAX).contains(limit))
        .ok_or_else(|| bad_field(FieldError::new("limit", format!("must be 1 to {PAGE_MAX}"))))
}

/// What a cursor has to be.
pub(super) fn wrong_cursor() -> Problem {
    bad_field(FieldError::new(
        "cursor",
        "must be a next_cursor of an earlier page",
    ))
}
