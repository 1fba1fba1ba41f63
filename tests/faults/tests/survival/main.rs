//! What survives faults. One program, so that tests which mostly wait run side by side. Where they measure how long something takes,
//! the bound is what a fault would cost; `neighbours` compares waits, and stands alone.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

mod database;
mod producers;
mod scenarios;
