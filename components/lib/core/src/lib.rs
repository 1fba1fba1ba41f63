//! trawl-core: the rules of trawl, pure. No I/O, no clock, no randomness: `now` and random draws are arguments.

pub mod address;
pub mod calendar;
pub mod callback_policy;
pub mod client;
pub mod content_type;
pub mod cookies;
pub mod email;
pub mod fetch_policy;
pub mod ids;
pub mod lifecycle;
pub mod limits;
pub mod password_hash;
pub mod password_policy;
pub mod problem;
pub mod redirect;
pub mod retry;
pub mod retry_after;
pub mod robots;
pub mod state;
pub mod throttle;
pub mod token;
pub mod url_guard;
pub mod webhook_signature;
