//! What the statements of one job's life cost, kind by kind, in microseconds and in steps of SQLite's virtual machine.
//!
//! `cargo run --release -p trawl-conformance --bin life_cost [jobs]` (20,000 without an argument).
//! The file is in WAL mode without flushes: the statements and the log are measured, not the disk. Medians, so that what else
//! the machine does hardly moves them; a commit is a mean, since some of them hold a checkpoint.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's library: an expectation that fails is a failed test"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Instant;

use futures::executor::block_on;
use rusqlite::{Connection, StatementStatus};
use trawl_conformance::Memory;
use trawl_core::state::Kind;
use trawl_store::sql::{Rows, Sql, SqlError, Value};
use trawl_store::{Done, Finished, NewMessage, QueueLimits, Store};

const LIMITS: QueueLimits = QueueLimits {
    host_in_flight_max: 4,
    ..trawl_conformance::LIMITS
};
/// Jobs that are in the queue together.
const ROUND: u64 = 64;
/// Rows of a claim and of a finish.
const MANY: u32 = 16;
/// Statements that share a commit.
const COMMITTED: usize = 8;
/// Endpoints: each takes four callbacks at once.
const ENDPOINTS: u64 = 16;

#[derive(Default)]
struct Cost {
    times_us: Vec<f64>,
    steps: i64,
}

/// The database, with a watch beside it.
struct Timed {
    memory: Memory,
    phase: Cell<&'static str>,
    open: Cell<usize>,
    costs: RefCell<BTreeMap<&'static str, Cost>>,
}

impl Timed {
    fn note(&self, phase: &'static str, start: Instant, steps: i64) {
        let mut costs = self.costs.borrow_mut();
        let cost = costs.entry(phase).or_default();
        cost.times_us.push(start.elapsed().as_secs_f64() * 1e6);
        cost.steps += steps;
    }

    fn commit(&self) {
        if self.open.replace(0) > 0 {
            let start = Instant::now();
            self.memory.execute("COMMIT", vec![]).unwrap();
            self.note("commit", start, 0);
        }
    }
}

impl Sql for Timed {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        if self.open.get() == 0 {
            self.memory.execute("BEGIN IMMEDIATE", vec![]).unwrap();
        }
        let start = Instant::now();
        let rows = self.memory.execute(statement, params)?;
        let steps = self.memory.raw(|connection| {
            connection
                .prepare_cached(statement)
                .unwrap()
                .reset_status(StatementStatus::VmStep)
        });
        self.note(self.phase.get(), start, i64::from(steps));
        self.open.set(self.open.get() + 1);
        if self.open.get() >= COMMITTED {
            self.commit();
        }
        Ok(rows)
    }
}

fn request(index: u64) -> NewMessage {
    let host = format!(
        "127.{}.{}.{}:8080",
        index >> 16,
        (index >> 8) & 255,
        index & 255
    );
    NewMessage {
        request_url: format!("http://{host}/book/some/page-{index}.html"),
        kind: Kind::Html,
        callback_url: Some(format!("http://127.0.0.1:9999/hook{}", index % ENDPOINTS)),
        ..trawl_conformance::request(1, &host)
    }
}

/// The whole life of a round of jobs.
fn live(timed: &Timed, from: u64) {
    let store = Store::new(timed);
    timed.phase.set("submit");
    for index in from..from + ROUND {
        block_on(store.submit(&request(index), &LIMITS)).unwrap();
    }
    timed.commit();
    let mut left = ROUND;
    while left > 0 {
        timed.phase.set("claim 16");
        let jobs = block_on(store.claim(Kind::Html, MANY, "scraper-html-1", 60)).unwrap();
        assert_eq!(jobs.len(), MANY as usize);
        left -= u64::from(MANY);
        let finished: Vec<_> = jobs
            .into_iter()
            .map(|job| Finished {
                id: job.id,
                lease: job.lease,
                final_url: job.request_url,
                http_status: 200,
                content_type: "text/html; charset=utf-8".into(),
                encoding: "lz4".into(),
                meta: r#"{"title":"A page","language":"en"}"#.into(),
                body: vec![0x5a; 12 * 1024],
                etag: Some("\"abc\"".into()),
                last_modified: None,
                is_copy: false,
            })
            .collect();
        timed.phase.set("finish 16");
        assert_eq!(
            block_on(store.finish(&finished)).unwrap().len(),
            MANY as usize
        );
        timed.commit();
    }
    let mut left = ROUND;
    while left > 0 {
        timed.phase.set("claim callbacks 16");
        let jobs = block_on(store.claim_callbacks(MANY, "callback-1", 60)).unwrap();
        timed.phase.set("deliver 16");
        let done: Vec<_> = jobs
            .iter()
            .map(|job| Done {
                id: job.id,
                lease: job.lease,
                status: 200,
                latency_ms: 3,
            })
            .collect();
        assert_eq!(
            block_on(store.callbacks_done(&done)).unwrap().len(),
            jobs.len()
        );
        timed.commit();
        left -= jobs.len() as u64;
    }
}

fn main() {
    let jobs = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(20_000_u64)
        .next_multiple_of(ROUND);
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("life.db")).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY")
        .unwrap();
    let memory = Memory::over(connection);
    block_on(Store::new(&memory).migrate()).unwrap();
    let timed = Timed {
        memory,
        phase: Cell::new("submit"),
        open: Cell::new(0),
        costs: RefCell::default(),
    };
    for from in (0..ROUND * 16).step_by(ROUND as usize) {
        live(&timed, from);
    }
    timed.costs.borrow_mut().clear();
    for from in (0..jobs).step_by(ROUND as usize) {
        live(&timed, from + ROUND * 16);
    }
    println!("| statement | runs | us each | us per job | steps per job |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut sum = 0.0;
    for (phase, cost) in timed.costs.take() {
        let runs = cost.times_us.len();
        let mut times = cost.times_us;
        times.sort_by(f64::total_cmp);
        let each = match phase {
            "commit" => times.iter().sum::<f64>() / runs as f64,
            _ => times[runs / 2],
        };
        let per_job = each * runs as f64 / jobs as f64;
        sum += per_job;
        println!(
            "| {phase} | {runs} | {each:.1} | {per_job:.1} | {:.0} |",
            cost.steps as f64 / jobs as f64
        );
    }
    println!("| all | | | {sum:.1} | |");
}
