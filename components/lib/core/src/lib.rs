//! trawl-core: the rules of trawl, pure. No I/O, no clock, no randomness: `now` and random draws are arguments.

pub mod ids;
pub mod limits;
pub mod state;
