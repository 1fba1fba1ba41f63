//! trawl-wire: the JSON that crosses the edge of trawl: requests, answers, stored results, callbacks, and
//! the OpenAPI document. Types only; what is allowed is decided in `trawl-core` and `trawl-app`.

pub mod account;
pub mod callback;
pub mod message;
pub mod object;
pub mod openapi;
pub mod queue;
pub mod result;
mod string;
pub mod submission;
pub mod time;

pub use time::Timestamp;
