//! The suite that each database under the store must pass, the two databases it is run over, and the seeded simulation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's library: an expectation that fails is a failed test"
)]

mod given;
mod invariants;
mod local;
mod memory;
pub mod simulation;
mod subject;
mod suite;

pub use given::{LIMITS, finished, request};
pub use invariants::check as check_invariants;
pub use local::Local;
pub use memory::{Clock, Memory};
pub use subject::Subject;
pub use suite::exercise;
