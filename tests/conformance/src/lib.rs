//! The suite that each database under the store must pass, the two databases it is run over, and the seeded simulation.

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
