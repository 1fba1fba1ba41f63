//! The suite over an in-memory SQLite with a clock that the cases turn.

use futures::executor::block_on;
use trawl_conformance::{Clock, Memory, exercise};

#[test]
fn the_store_conforms_over_an_in_memory_sqlite() {
    block_on(exercise(|| {
        Memory::with_clock(&Clock::at(1_800_000_000_000))
    }));
}
