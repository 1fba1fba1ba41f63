//! What survives faults. One program, so that tests which mostly wait run side by side; what measures waits is `neighbours`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

mod database;
mod producers;
mod scenarios;
