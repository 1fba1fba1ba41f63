//! What a claim costs against the rows that wait, and what a submission and a finish cost.
//!
//! `cargo run --release -p trawl-conformance --bin claim_cost [rows …]` (1,000, 100,000 and 1,000,000 without arguments).
//! The database is a file in WAL mode without flushes: the statements are measured, not the disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's library: an expectation that fails is a failed test"
)]

use std::time::Instant;

use futures::executor::block_on;
use rusqlite::Connection;
use trawl_conformance::Memory;
use trawl_core::ids::AccountId;
use trawl_core::state::Kind;
use trawl_store::{Finished, NewMessage, QueueLimits, Store};

const LIMITS: QueueLimits = QueueLimits {
    tenant_max: u64::MAX >> 1,
    total_max: u64::MAX >> 1,
    host_in_flight_max: 4,
    host_gap_ms: 0,
};

/// Nine of ten rows are one tenant's, and nine of ten of those are on one busy host.
fn request(index: u64) -> NewMessage {
    let noisy = !index.is_multiple_of(10);
    let busy = noisy && index % 100 < 90;
    let tenant = if noisy { 1 } else { 2 + index / 10 % 50 };
    let host = if busy {
        "busy.example".to_owned()
    } else {
        format!("h{}.example", index % 5000)
    };
    NewMessage {
        user_label: Some(format!("node-{index}")),
        request_url: format!("https://{host}/some/where/page-{index}.html"),
        callback_url: Some("https://node.example/callback".to_owned()),
        ..trawl_conformance::request(i64::try_from(tenant).unwrap(), &host)
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Median microseconds of `work`, each run undone.
fn undone(database: &Memory, runs: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..runs).map(|_| {
        database.execute("BEGIN IMMEDIATE", vec![]).unwrap();
        let start = Instant::now();
        work();
        let took = start.elapsed().as_secs_f64() * 1e6;
        database.execute("ROLLBACK", vec![]).unwrap();
        took
    });
    median(times.collect())
}

fn fill(database: &Memory, rows: u64) -> f64 {
    let store = Store::new(database);
    let start = Instant::now();
    for from in (0..rows).step_by(1000) {
        database.execute("BEGIN IMMEDIATE", vec![]).unwrap();
        for index in from..(from + 1000).min(rows) {
            block_on(store.submit(&request(index), &LIMITS)).unwrap();
        }
        database.execute("COMMIT", vec![]).unwrap();
    }
    start.elapsed().as_secs_f64() * 1e6 / rows as f64
}

fn finished(database: &Memory, count: u32) -> Vec<Finished> {
    let jobs = block_on(Store::new(database).claim(Kind::Text, count, "bench", 60)).unwrap();
    jobs.into_iter()
        .map(|job| Finished {
            id: job.id,
            lease: job.lease,
            final_url: job.request_url,
            http_status: 200,
            content_type: "text/html; charset=utf-8".into(),
            encoding: "lz4".into(),
            meta: r#"{"title":"A page","language":"en"}"#.into(),
            body: vec![0x5a; 20 * 1024],
            etag: Some("\"abc\"".into()),
            last_modified: None,
            is_copy: false,
        })
        .collect()
}

fn main() {
    let asked: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if asked.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        asked
    };
    println!(
        "| rows waiting | submit µs | claim 1 µs | ratio | claim 16 µs | ratio | finish 20 KB µs | of 16 µs | list µs | figures µs |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut first = None;
    for rows in sizes {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("bench.db")).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY")
            .unwrap();
        let database = Memory::over(connection);
        let store = Store::new(&database);
        block_on(store.migrate()).unwrap();
        let submit = fill(&database, rows);
        let claim = |n| {
            undone(&database, 400, || {
                assert_eq!(
                    block_on(store.claim(Kind::Text, n, "bench", 60))
                        .unwrap()
                        .len(),
                    n as usize
                )
            })
        };
        let (one, many) = (claim(1), claim(16));
        let work = finished(&database, 32);
        let finish = undone(&database, 400, || {
            assert_eq!(block_on(store.finish(&work[..1])).unwrap().len(), 1)
        });
        let finish_many = undone(&database, 100, || {
            assert_eq!(block_on(store.finish(&work[..16])).unwrap().len(), 16)
        });
        let filter = trawl_store::Filter {
            limit: 50,
            ..Default::default()
        };
        let list = undone(&database, 100, || {
            assert_eq!(
                block_on(store.messages(AccountId(1), &filter))
                    .unwrap()
                    .len(),
                50
            )
        });
        let figures = undone(&database, 100, || {
            assert_eq!(block_on(store.queues(None)).unwrap().len(), 4)
        });
        let (base_one, base_many) = *first.get_or_insert((one, many));
        println!(
            "| {rows} | {submit:.1} | {one:.1} | {:.2} | {many:.1} | {:.2} | {finish:.1} | {:.1} | {list:.1} | {figures:.1} |",
            one / base_one,
            many / base_many,
            finish_many / 16.0,
        );
    }
}
