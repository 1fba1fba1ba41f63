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
use trawl_conformance::{Clock, LIMITS, Memory, check_invariants, exercise, finished, request};
use trawl_core::state::Kind;
use trawl_store::{Attempt, Next, Store, StoreError, Submitted};

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
                while let Err(error) = block_on(store.migrate()) {
                    assert_eq!(error, StoreError::Migrating);
                    thread::yield_now();
                }
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

/// The schema before `0008_count_once.sql`, with the columns that `submit.sql` names by now.
const VERSION_7: [&str; 9] = [
    include_str!("../../../infra/migrations/0001_accounts.sql"),
    include_str!("../../../infra/migrations/0002_messages.sql"),
    include_str!("../../../infra/migrations/0003_message_triggers.sql"),
    include_str!("../../../infra/migrations/0004_callbacks.sql"),
    include_str!("../../../infra/migrations/0005_priority.sql"),
    include_str!("../../../infra/migrations/0006_ready_order.sql"),
    include_str!("../../../infra/migrations/0007_last_write.sql"),
    include_str!("../../../infra/migrations/0009_first_answer.sql"),
    include_str!("../../../infra/migrations/0013_host_pauses.sql"),
];

#[test]
fn callbacks_of_version_7_are_counted_anew() {
    let memory = Memory::with_clock(&Clock::at(1_800_000_000_000));
    for migration in VERSION_7 {
        for statement in migration.split("\n-- ;;\n") {
            memory.execute(statement, vec![]).unwrap();
        }
    }
    memory
        .execute("INSERT INTO schema_version VALUES (1, 7)", vec![])
        .unwrap();
    let store = Store::new(&memory);
    let jobs = block_on(async {
        for host in ["a", "b", "c", "d", "e"] {
            store.submit(&request(1, host), &LIMITS).await.unwrap();
        }
        let jobs = store.claim(Kind::Text, 5, "w", 60).await.unwrap();
        let work: Vec<_> = jobs.iter().map(|job| finished(job.id, job.lease)).collect();
        assert_eq!(store.finish(&work).await.unwrap().len(), 5);
        store.claim_callbacks(4, "w", 60).await.unwrap()
    });
    let [delivered, failed, again, running] = jobs.as_slice() else {
        panic!("{} callbacks", jobs.len());
    };
    let attempt = Attempt {
        status: Some(200),
        latency_ms: 1,
        error: None,
    };
    let ends = |job: &trawl_store::CallbackJob, next| {
        block_on(store.callback_failed(job.id, job.lease, &attempt, next, None)).unwrap()
    };
    assert!(block_on(store.callback_done(delivered.id, delivered.lease, &attempt)).unwrap());
    assert!(ends(failed, Next::Exhausted));
    assert!(ends(again, Next::Retry { in_ms: 5 }));
    block_on(check_invariants(&memory));
    // What a process leaves that moves callbacks while another one is between two statements of the migration.
    for statement in [
        "UPDATE queues SET leased = leased + 1, waiting = 7 WHERE kind = 4",
        "UPDATE flows SET delayed = delayed + 1, dead = 9 WHERE kind = 4",
        "UPDATE queues SET waiting = waiting + 1 WHERE kind < 4",
        "UPDATE flows SET waiting = waiting + 1 WHERE kind < 4",
    ] {
        memory.execute(statement, vec![]).unwrap();
    }
    block_on(store.migrate()).unwrap();
    block_on(check_invariants(&memory));
    assert!(block_on(store.callback_done(running.id, running.lease, &attempt)).unwrap());
    block_on(check_invariants(&memory));
}
