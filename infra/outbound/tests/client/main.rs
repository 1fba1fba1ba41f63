//! The client against real servers on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't be set up has failed"
)]

mod addresses;
mod hostile;
mod http2;
mod pooling;
mod support;
mod tls;
