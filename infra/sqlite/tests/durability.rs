//! Whatever was answered is there after the process was killed.
//!
//! The test runs its own program again as a child, which writes and prints what was acknowledged until it is killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't be set up has failed"
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use trawl_sqlite::{Database, Options, Value};

const ROUNDS: u64 = 20;
const CHILD_FILE: &str = "TRAWL_SQLITE_TEST_CHILD";

/// Not a test by itself: the child's work, when its parent names a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(path) = std::env::var_os(CHILD_FILE) else {
        return;
    };
    let database = Database::open(Path::new(&path), Options::default()).unwrap();
    let create = "CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, filler)";
    database.connection().execute(create, vec![]).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let connection = database.connection();
        tasks.spawn(async move {
            loop {
                let sql = "INSERT INTO kept (filler) VALUES (randomblob(500)) RETURNING id";
                let rows = connection.execute(sql, vec![]).await.unwrap();
                let Value::Integer(id) = rows.rows[0][0] else {
                    panic!("an id is a number")
                };
                // One write call per line: a killed child leaves whole lines, and at most one torn one.
                std::io::stdout()
                    .lock()
                    .write_all(format!("kept {id}\n").as_bytes())
                    .unwrap();
            }
        });
    }
    // They end only with the process.
    let _ = tasks.join_next().await;
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.db");
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        // Spread over the first moments, the steady state and several checkpoints.
        run_and_kill(
            &path,
            Duration::from_millis(5 + round * round),
            &mut acknowledged,
        );
        let connection = rusqlite::Connection::open(&path).unwrap();
        let sound: String = connection
            .query_row("PRAGMA quick_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
        let mut statement = connection.prepare("SELECT id FROM kept").unwrap();
        let there: HashSet<i64> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
    }
    assert!(
        acknowledged.len() > 100,
        "only {} rows were acknowledged",
        acknowledged.len()
    );
}

/// Lets a child write for `time` after its first acknowledgement, then kills it.
fn run_and_kill(path: &Path, time: Duration, acknowledged: &mut HashSet<i64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD_FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = None;
    let mut killed = false;
    let lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
    for line in lines.map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let Some(id) = line
            .trim()
            .rsplit_once("kept ")
            .and_then(|(_, id)| id.parse().ok())
        else {
            continue;
        };
        acknowledged.insert(id);
        let begun = *first.get_or_insert_with(Instant::now);
        if !killed && begun.elapsed() >= time {
            // On Unix this is SIGKILL. The lines that are in the pipe already were acknowledged too.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
}
