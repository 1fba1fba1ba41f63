//! A message as its owner sees it.

use serde::Serialize;

use crate::Timestamp;

/// Why a message failed.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorView<'a> {
    /// Stable and short: `dns`, `timeout`, `http_404` …
    pub code: &'a str,
    /// For people.
    pub detail: &'a str,
    /// True when trying again would not help.
    pub permanent: bool,
}

/// Where to go from a message.
#[derive(Debug, Clone, Serialize)]
pub struct Links {
    /// The message.
    #[serde(rename = "self")]
    pub message: String,
    /// Its result.
    pub result: String,
    /// Its callback attempts.
    pub deliveries: String,
    /// Its history.
    pub events: String,
}

impl Links {
    /// The links of message `id`, relative to `base` (empty for plain paths).
    #[must_use]
    pub fn of(base: &str, id: i64) -> Self {
        Self {
            message: format!("{base}/messages/{id}"),
            result: format!("{base}/messages/{id}/result"),
            deliveries: format!("{base}/messages/{id}/deliveries"),
            events: format!("{base}/messages/{id}/events"),
        }
    }
}

/// `GET /messages/{id}`.
#[derive(Debug, Clone, Serialize)]
pub struct MessageView<'a> {
    /// The message's number.
    pub id: i64,
    /// The node's label, as sent.
    #[serde(rename = "user_Id")]
    pub user_label: Option<&'a str>,
    /// What to fetch, in normal form.
    pub request_url: &'a str,
    /// 1 text, 2 HTML, 3 domains.
    #[serde(rename = "type")]
    pub kind: u8,
    /// 0-9.
    pub priority: u8,
    /// `queued`, `processing`, `done`, `failed` or `cancelled`.
    pub status: &'a str,
    /// The message came to an end: `done`, `failed` or `cancelled`.
    pub is_processed: bool,
    /// A worker has it now.
    pub is_processing: bool,
    /// When it was accepted.
    pub date_added: Timestamp,
    /// When it was finished.
    pub date_process_complete: Option<Timestamp>,
    /// Attempts begun.
    pub attempts: i64,
    /// When a delayed retry is due.
    pub next_try_at: Option<Timestamp>,
    /// Why it failed, or why the last attempt did.
    pub error: Option<ErrorView<'a>>,
    /// Where it reports.
    pub callback_url: Option<&'a str>,
    /// `none`, `pending`, `delivered`, `failed` or `disabled`.
    pub callback_status: &'a str,
    /// Where to go from here.
    pub links: Links,
}

/// `GET /messages`.
#[derive(Debug, Clone, Serialize)]
pub struct MessagePage<'a> {
    /// Newest first.
    pub data: Vec<MessageView<'a>>,
    /// Give it back as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// The answer to `POST /receive_data`.
#[derive(Debug, Clone, Serialize)]
pub struct Accepted<'a> {
    /// Always true.
    pub success: bool,
    /// Which message, and who took it.
    pub data: AcceptedData<'a>,
    /// For people.
    pub message: &'static str,
}

/// The inner part of [`Accepted`].
#[derive(Debug, Clone, Serialize)]
pub struct AcceptedData<'a> {
    /// The replica that answered.
    pub id: &'a str,
    /// The message's number.
    pub message_id: i64,
    /// Where to ask about it.
    pub status_url: String,
}

/// One transition of a message.
#[derive(Debug, Clone, Serialize)]
pub struct EventView<'a> {
    /// When.
    pub at: Timestamp,
    /// The state before; null for the acceptance, which is the first.
    pub from: Option<&'a str>,
    /// The state after.
    pub to: &'a str,
    /// The lease it was made under.
    pub lease: i64,
    /// The worker that made it.
    pub worker: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
}

/// One callback attempt.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryView<'a> {
    /// The same for every attempt at one event.
    pub webhook_id: &'a str,
    /// From 1.
    pub attempt: i64,
    /// When it was made.
    pub at: Timestamp,
    /// The HTTP status that the node answered.
    pub status: Option<u16>,
    /// How long the node took.
    pub latency_ms: Option<i64>,
    /// Why it failed.
    pub error: Option<&'a str>,
    /// When the next attempt is due.
    pub next_try_at: Option<Timestamp>,
}

/// A callback endpoint that does not simply take what it gets.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointView<'a> {
    /// Where callbacks go.
    pub url: &'a str,
    /// `failing`, `paused` or `disabled`.
    pub state: &'a str,
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Until when it asked to be left alone.
    pub paused_until: Option<Timestamp>,
    /// Since when nothing is sent to it.
    pub disabled_at: Option<Timestamp>,
}

/// `GET /endpoints`.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointPage<'a> {
    /// By URL.
    pub data: Vec<EndpointView<'a>>,
    /// Give it back as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A list without pages.
#[derive(Debug, Clone, Serialize)]
pub struct List<T> {
    /// The entries.
    pub data: Vec<T>,
}
