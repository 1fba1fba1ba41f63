//! The one HTTP client through which everything leaves the host.
//!
//! A request is sent under a [`Class`]. Its host is resolved, **all** addresses are put to the [`AddressCheck`], and only
//! a checked address is dialled: there is no second look-up between check and dial. Connections are pooled by class,
//! scheme, host and port, and their peer is checked again whenever one is reused.
//!
//! The client follows no redirect and decodes no body: both are the caller's business.

mod address;
mod body;
mod client;
mod connection;
mod dial;
mod error;
mod names;
mod options;
mod places;
mod pool;
mod request;
mod shared_use;
mod tls;

pub use address::{AddressCheck, Class, Resolve, Resolving, SystemResolver};
pub use body::ResponseBody;
pub use client::{Client, Stats};
pub use error::OutboundError;
pub use options::{Options, OptionsError, Timeouts};
