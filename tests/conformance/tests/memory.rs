//! The suite over an in-memory SQLite with a clock that the cases turn.
#![allow(
    clippy::unwrap_used,
    reason = "a test: an expectation that fails is a failed test"
)]

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use rusqlite::Connection;
use trawl_conformance::{Clock, LIMITS, Memory, check_invariants, exercise, request};
use trawl_store::{Store, Submitted};

#[test]
fn the_store_conforms_over_an_in_memory_sqlite() {
    block_on(exercise(|| {
        Memory::with_clock(&Clock::at(1_800_000_000_000))
    }));
}

#[test]
fn processes_that_start_together_migrate_one_file() {
    const PROCESSES: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trawl.db");
    let start = Barrier::new(PROCESSES);
    let open = || {
        let connection = Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        Memory::over(connection)
    };
    thread::scope(|scope| {
        for tenant in 1..=PROCESSES {
            let (open, start) = (&open, &start);
            scope.spawn(move || {
                let memory = open();
                start.wait();
                let store = Store::new(&memory);
                block_on(store.migrate()).unwrap();
                // Whoever is through may work at once, while the others are still at it.
                let message = request(i64::try_from(tenant).unwrap(), "a");
                let answer = block_on(store.submit(&message, &LIMITS)).unwrap();
                assert!(matches!(answer, Submitted::Accepted(_)));
            });
        }
    });
    let memory = open();
    block_on(check_invariants(&memory));
    let figures = block_on(Store::new(&memory).queues(None)).unwrap();
    assert_eq!(figures[0].ready, PROCESSES as u64);
}
