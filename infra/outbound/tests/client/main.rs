//! The client against real servers on loopback.

mod addresses;
mod hostile;
mod pooling;
mod support;
mod tls;
