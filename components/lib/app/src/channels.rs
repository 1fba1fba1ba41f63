//! Names of the doorbell's channels, as in the contract.

use trawl_core::state::Kind;

/// Requests from Redis producers.
pub const DATA_QUEUE: &str = "data_queue";
/// Rings the dispatcher.
pub const MESSAGE_QUEUE: &str = "message_queue";
/// Rings the text scraper.
pub const TYPE_1_QUEUE: &str = "type_1_queue";
/// Rings the HTML scraper.
pub const TYPE_2_QUEUE: &str = "type_2_queue";
/// Rings the domain scraper.
pub const TYPE_3_QUEUE: &str = "type_3_queue";
/// Rings the callback component.
pub const CALLBACK_QUEUE: &str = "callback_queue";
/// The clock, once a second.
pub const TICK: &str = "tick";

/// The channel of the scraper for `kind`.
#[must_use]
pub const fn channel_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => TYPE_1_QUEUE,
        Kind::Html => TYPE_2_QUEUE,
        Kind::Domains => TYPE_3_QUEUE,
    }
}
