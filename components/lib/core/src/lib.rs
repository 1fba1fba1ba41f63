//! trawl-core: the rules of trawl, pure. No I/O, no clock, no randomness: `now` and random draws are arguments.

pub mod address;
pub mod ids;
pub mod limits;
pub mod state;
pub mod url_guard;
