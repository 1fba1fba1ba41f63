//! The fault harness: nodes post and workers work while the host is killed; afterwards an audit finds
//! what was lost, what nobody asked for, and what came twice. See `README.md` in this folder.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a harness that cannot go on fails with a sentence"
)]

pub mod audit;
pub mod disk;
pub mod harness;
pub mod power;
pub mod shim;
pub mod stage;
