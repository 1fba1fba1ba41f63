//! The promises of the crate, one test each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't be set up has failed"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trawl_core::limits::sqlite::TRANSACTION_STATEMENTS_MAX;
use trawl_sqlite::{Connection, Database, Faults, Options, Rows, SqliteError, Stats, Value};

fn open_with(options: Options) -> (TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("test.db"), options).unwrap();
    (directory, database)
}

async fn table(options: Options) -> (TempDir, Database, Connection) {
    let (directory, database) = open_with(options);
    let connection = database.connection();
    connection
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)", vec![])
        .await
        .unwrap();
    (directory, database, connection)
}

async fn insert(connection: &Connection, value: i64) -> Result<Rows, SqliteError> {
    connection
        .execute("INSERT INTO t (v) VALUES (?1)", vec![Value::Integer(value)])
        .await
}

async fn count(connection: &Connection) -> i64 {
    match connection
        .execute("SELECT count(*) FROM t", vec![])
        .await
        .unwrap()
        .rows[0][0]
    {
        Value::Integer(count) => count,
        ref other => panic!("a count is a number: {other:?}"),
    }
}

/// Keeps the writer from taking anything until it is dropped, so that what comes meanwhile shares a batch.
async fn hold(database: &Database) -> Connection {
    let holder = database.connection();
    holder.execute("BEGIN IMMEDIATE", vec![]).await.unwrap();
    holder
}

async fn waiting(database: &Database, writes: usize) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while database.stats().writes_waiting != writes {
        assert!(
            Instant::now() < deadline,
            "{} statements wait, not {writes}",
            database.stats().writes_waiting
        );
        tokio::task::yield_now().await;
    }
}

/// Sends all statements into one batch and gives their outcomes in order.
async fn together(database: &Database, statements: &[&str]) -> Vec<Result<Rows, SqliteError>> {
    let before = database.stats().writes_waiting;
    let warm = database.connection();
    let holder = hold(database).await;
    let mut tasks = Vec::new();
    for (index, sql) in statements.iter().enumerate() {
        let (connection, sql) = (database.connection(), (*sql).to_owned());
        tasks.push(tokio::spawn(async move {
            connection.execute(&sql, vec![]).await
        }));
        waiting(database, before + index + 1).await;
    }
    drop(holder);
    drop(warm);
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let (_directory, _database, connection) = table(Options::default()).await;
    let values = vec![
        Value::Integer(i64::MIN),
        Value::Real(0.5),
        Value::from("é\0"),
        Value::Blob(vec![0, 255]),
        Value::Null,
    ];
    let rows = connection
        .execute("SELECT ?1 AS a, ?2, ?3, ?4, ?5", values.clone())
        .await
        .unwrap();
    assert_eq!(rows.rows, vec![values]);
    assert_eq!(rows.columns[0], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_every_answered_write() {
    let (_directory, database, _) = table(Options::default()).await;
    let mut tasks = Vec::new();
    for task in 0..32 {
        let connection = database.connection();
        tasks.push(tokio::spawn(async move {
            for number in 0..30 {
                let value = Value::Integer(task * 1_000 + number);
                let sql = "INSERT INTO t (v) VALUES (?1) RETURNING id";
                let id = connection
                    .execute(sql, vec![value.clone()])
                    .await
                    .unwrap()
                    .rows[0][0]
                    .clone();
                let rows = connection
                    .execute("SELECT v FROM t WHERE id = ?1", vec![id])
                    .await
                    .unwrap();
                assert_eq!(rows.rows, vec![vec![value]]);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stats = database.stats();
    assert!(
        stats.batches < stats.statements,
        "nothing was committed together: {stats:?}"
    );
}

#[tokio::test]
async fn statements_of_a_batch_run_in_their_order() {
    assert_eq!(commits_in_order(8).await, 1);
}

/// So that the first half is answered while the second is run.
#[tokio::test]
async fn many_statements_run_in_their_order_in_two_batches() {
    assert_eq!(commits_in_order(20).await, 2);
}

/// Sends so many statements together, looks whether they were run in their order, and counts the commits.
async fn commits_in_order(statements: i64) -> u64 {
    let (_directory, database, connection) = table(Options::default()).await;
    let texts: Vec<String> = (0..statements)
        .map(|number| format!("INSERT INTO t (v) VALUES ({number})"))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let before = database.stats().batches;
    for outcome in together(&database, &texts).await {
        outcome.unwrap();
    }
    let commits = database.stats().batches - before;
    let rows = connection
        .execute("SELECT v FROM t ORDER BY id", vec![])
        .await
        .unwrap()
        .rows;
    assert_eq!(
        rows,
        (0..statements)
            .map(|number| vec![Value::Integer(number)])
            .collect::<Vec<_>>()
    );
    commits
}

/// One statement fails in a batch of four; the others stand, and nothing of it does.
#[track_caller]
fn check_second_failed(outcomes: &[Result<Rows, SqliteError>]) {
    for (index, outcome) in outcomes.iter().enumerate() {
        assert_eq!(
            outcome.is_err(),
            index == 1,
            "statement {index}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_failing_statement_leaves_the_others_of_its_batch() {
    let failing = [
        "INSERT INTO t (v) VALUES (7), (1)",
        "INSERT OR ROLLBACK INTO t (v) VALUES (7), (1)",
        "INSERT INTO t (v) VALUES (CAST(x'ff' AS TEXT)) RETURNING v",
        "INSERT INTO t (v) SELECT 7 UNION ALL SELECT 1 RETURNING v",
    ];
    for culprit in failing {
        let (_directory, database, connection) = table(Options::default()).await;
        let statements = [
            "INSERT INTO t (v) VALUES (1)",
            culprit,
            "INSERT INTO t (v) VALUES (2)",
            "UPDATE t SET v = 3 WHERE v = 2",
        ];
        check_second_failed(&together(&database, &statements).await);
        let rows = connection
            .execute("SELECT v FROM t ORDER BY v", vec![])
            .await
            .unwrap()
            .rows;
        assert_eq!(
            rows,
            vec![vec![Value::Integer(1)], vec![Value::Integer(3)]],
            "{culprit}"
        );
    }
}

#[tokio::test]
async fn a_trigger_that_rolls_back_leaves_the_others_of_its_batch() {
    let (_directory, database, connection) = table(Options::default()).await;
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON t WHEN new.v = 13 BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END";
    connection.execute(trigger, vec![]).await.unwrap();
    let mut statements = vec!["INSERT INTO t (v) VALUES (1)"];
    statements.extend(["INSERT INTO t (v) VALUES (13)"; 6]);
    statements.push("INSERT INTO t (v) VALUES (2)");
    let outcomes = together(&database, &statements).await;
    let failed: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, true, true, true, true, true, false]);
    assert_eq!(
        outcomes[1],
        Err(SqliteError::Constraint("unlucky".to_owned()))
    );
    assert_eq!(count(&connection).await, 2);
}

#[tokio::test]
async fn a_deferred_constraint_that_fails_at_the_commit_fails_only_its_statement() {
    let (_directory, database, connection) = table(Options::default()).await;
    let child = "CREATE TABLE child (t REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)";
    connection.execute(child, vec![]).await.unwrap();
    let statements = [
        "INSERT INTO t (v) VALUES (1)",
        "INSERT INTO child (t) VALUES (99)",
        "INSERT INTO t (v) VALUES (2)",
        "INSERT INTO child (t) VALUES (1)",
    ];
    let outcomes = together(&database, &statements).await;
    check_second_failed(&outcomes);
    assert_eq!(
        outcomes[1],
        Err(SqliteError::Constraint(
            "FOREIGN KEY constraint failed".to_owned()
        ))
    );
}

#[tokio::test]
async fn a_commit_that_fails_fails_everybody_and_leaves_nothing() {
    let faults = Faults::default();
    let (_directory, database, connection) = table(Options {
        faults: faults.clone(),
        ..Options::default()
    })
    .await;
    faults.fail_commits(1);
    let statements = [
        "INSERT INTO t (v) VALUES (1)",
        "INSERT INTO t (v) VALUES (2)",
    ];
    for outcome in together(&database, &statements).await {
        assert_eq!(outcome, Err(SqliteError::Io("disk I/O error".to_owned())));
    }
    assert_eq!(count(&connection).await, 0);
    insert(&connection, 3).await.unwrap();
    assert_eq!(count(&connection).await, 1);
}

#[tokio::test]
async fn a_reader_that_panics_is_told_and_the_others_serve_on() {
    let faults = Faults::default();
    let (_directory, database, connection) = table(Options {
        faults: faults.clone(),
        readers: 2,
        ..Options::default()
    })
    .await;
    let at_once = tokio::time::timeout(Duration::ZERO, database.broken()).await;
    assert!(at_once.is_err(), "nothing has happened");
    faults.panic_once();
    let lost = connection.execute("SELECT count(*) FROM t", vec![]).await;
    assert_eq!(lost, Err(SqliteError::Closed));
    database.broken().await;
    assert_eq!(count(&connection).await, 0);
    insert(&connection, 1).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_panics_is_told_and_nobody_waits_for_it() {
    let faults = Faults::default();
    let (_directory, database, connection) = table(Options {
        faults: faults.clone(),
        ..Options::default()
    })
    .await;
    // Readers must not meet the fault, so the text is known as one that writes.
    insert(&connection, 1).await.unwrap();
    faults.panic_once();
    assert_eq!(insert(&connection, 2).await, Err(SqliteError::Closed));
    database.broken().await;
    assert_eq!(insert(&connection, 3).await, Err(SqliteError::Closed));
    assert_eq!(count(&connection).await, 1);
}

#[tokio::test]
async fn a_full_database_says_so_and_serves_on() {
    let mut faults = Faults::default();
    faults.pages_max = Some(20);
    let (_directory, _database, connection) = table(Options {
        faults,
        ..Options::default()
    })
    .await;
    let mut kept = 0;
    let full = loop {
        let blob = Value::Blob(vec![kept; 4_000]);
        match connection
            .execute("INSERT INTO t (v) VALUES (?1)", vec![blob])
            .await
        {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        (&full, full.to_string().as_str()),
        (&SqliteError::Full, "database or disk is full")
    );
    assert_eq!(count(&connection).await, i64::from(kept));
    connection.execute("DELETE FROM t", vec![]).await.unwrap();
    insert(&connection, 1).await.unwrap();
}

#[tokio::test]
async fn a_write_whose_guest_has_gone_before_it_began_is_not_done() {
    let (_directory, database, connection) = table(Options::default()).await;
    insert(&connection, 1).await.unwrap();
    let holder = hold(&database).await;
    let gone = database.connection();
    let task = tokio::spawn(async move { insert(&gone, 2).await });
    waiting(&database, 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    drop(holder);
    insert(&connection, 3).await.unwrap();
    assert_eq!(count(&connection).await, 2);
}

#[tokio::test]
async fn a_transaction_has_the_writer_for_itself() {
    let (_directory, database, _) = table(Options::default()).await;
    let (inside, outside) = (database.connection(), database.connection());
    inside.execute("begin", vec![]).await.unwrap();
    insert(&inside, 1).await.unwrap();
    assert_eq!((count(&inside).await, count(&outside).await), (1, 0));
    let task = tokio::spawn(async move {
        insert(&outside, 2).await.unwrap();
        count(&outside).await
    });
    waiting(&database, 1).await;
    inside.execute("SAVEPOINT s", vec![]).await.unwrap();
    insert(&inside, 3).await.unwrap();
    inside.execute("ROLLBACK TO s", vec![]).await.unwrap();
    let late = "INSERT INTO t (v) VALUES (CAST(x'ff' AS TEXT)) RETURNING v";
    assert!(matches!(
        inside.execute(late, vec![]).await,
        Err(SqliteError::Sql(_))
    ));
    inside.execute("COMMIT", vec![]).await.unwrap();
    assert_eq!(task.await.unwrap(), 2);
    let nested = inside.execute("COMMIT", vec![]).await.unwrap_err();
    assert_eq!(
        nested.to_string(),
        "cannot commit - no transaction is active"
    );
}

#[tokio::test]
async fn a_transaction_ends_with_its_connection_or_its_time() {
    let (_directory, database, connection) = table(Options {
        transaction_ms_max: 150,
        ..Options::default()
    })
    .await;
    let dropped = hold(&database).await;
    insert(&dropped, 1).await.unwrap();
    drop(dropped);
    insert(&connection, 2).await.unwrap();
    let slow = hold(&database).await;
    insert(&slow, 3).await.unwrap();
    // Waits for the writer, so it is done only when the slow transaction's time is over.
    insert(&connection, 4).await.unwrap();
    let late = insert(&slow, 5).await.unwrap_err();
    assert_eq!(
        late.to_string(),
        "the transaction was open for too long and was rolled back"
    );
    insert(&slow, 6).await.unwrap();
    let rows = connection
        .execute("SELECT v FROM t ORDER BY v", vec![])
        .await
        .unwrap()
        .rows;
    assert_eq!(rows, [2, 4, 6].map(|v| vec![Value::Integer(v)]));
}

#[tokio::test]
async fn what_is_not_for_guests_is_refused() {
    let (_directory, _database, connection) = table(Options::default()).await;
    for sql in [
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'other.db'",
        "SELECT load_extension('x')",
        "/* */ PRAGMA writable_schema = 1",
        "EXPLAIN ATTACH 'other.db' AS other",
    ] {
        let outcome = connection.execute(sql, vec![]).await;
        assert!(
            matches!(outcome, Err(SqliteError::Refused(_))),
            "{sql}: {outcome:?}"
        );
    }
    assert_eq!(
        connection
            .execute("PRAGMA journal_mode=WAL", vec![])
            .await
            .unwrap()
            .rows,
        [[Value::from("wal")]]
    );
    connection
        .execute("PRAGMA user_version = 7", vec![])
        .await
        .unwrap();
    assert_eq!(
        connection
            .execute("PRAGMA user_version", vec![])
            .await
            .unwrap()
            .rows,
        [[Value::Integer(7)]]
    );
    connection
        .execute("PRAGMA wal_checkpoint(TRUNCATE)", vec![])
        .await
        .unwrap();
}

#[tokio::test]
async fn wrong_statements_are_errors_that_say_what_is_wrong() {
    let (_directory, _database, connection) = table(Options::default()).await;
    for (sql, expected) in [
        (
            "SELECT 1; SELECT 2",
            "the text holds more than one statement; send them one by one",
        ),
        ("SELECT * FROM absent", "no such table: absent"),
        ("INSERT INTO absent VALUES (1)", "no such table: absent"),
        (
            "SELECT CAST(x'ff' AS TEXT)",
            "column 1 of a row is not UTF-8",
        ),
        (
            "SELECT ?1",
            "Wrong number of parameters passed to query. Got 0, needed 1",
        ),
    ] {
        assert_eq!(
            connection
                .execute(sql, vec![])
                .await
                .unwrap_err()
                .to_string(),
            expected,
            "{sql}"
        );
    }
    insert(&connection, 1).await.unwrap();
    assert_eq!(
        insert(&connection, 1).await.unwrap_err().to_string(),
        "UNIQUE constraint failed: t.v"
    );
}

#[tokio::test]
async fn results_and_times_are_bounded() {
    let options = Options {
        result_bytes_max: 10_000,
        statement_ms_max: 100,
        ..Options::default()
    };
    let (_directory, _database, connection) = table(options).await;
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";
    for sql in [
        format!("{endless} SELECT i FROM n"),
        format!("{endless} SELECT count(*) FROM n"),
        format!("INSERT INTO t (v) {endless} SELECT i FROM n"),
    ] {
        assert!(
            matches!(
                connection.execute(sql.as_str(), vec![]).await,
                Err(SqliteError::Limit(_))
            ),
            "{sql}"
        );
    }
    assert_eq!(count(&connection).await, 0);
}

/// An index over a large table takes longer than any other statement should. Cut off, it would be begun anew for ever.
#[tokio::test]
async fn a_change_of_the_schema_has_time() {
    let options = Options {
        statement_ms_max: 1,
        ..Options::default()
    };
    let (directory, _database, connection) = table(options).await;
    let other = rusqlite::Connection::open(directory.path().join("test.db")).unwrap();
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
                INSERT INTO t (v) SELECT i FROM n";
    other.execute_batch(rows).unwrap();
    let all = "SELECT max(v + 1) FROM t";
    let cut_off = connection.execute(all, vec![]).await;
    assert!(matches!(cut_off, Err(SqliteError::Limit(_))), "{cut_off:?}");
    let index = "CREATE INDEX t_next ON t (v + 1)";
    connection.execute(index, vec![]).await.unwrap();
}

#[tokio::test]
async fn another_process_that_writes_is_waited_for() {
    let (directory, _database, connection) = table(Options::default()).await;
    let path = directory.path().join("test.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t (v) VALUES (1)")
        .unwrap();
    let (begun, started) = std::sync::mpsc::channel();
    let release = std::thread::spawn(move || {
        started.recv().unwrap();
        other.execute_batch("COMMIT").unwrap();
    });
    begun.send(()).unwrap();
    insert(&connection, 2).await.unwrap();
    release.join().unwrap();
    assert_eq!(count(&connection).await, 2);
}

#[tokio::test]
async fn a_lock_that_stays_is_reported_as_busy() {
    let (directory, _database, connection) = table(Options {
        busy_ms_max: 50,
        ..Options::default()
    })
    .await;
    let other = rusqlite::Connection::open(directory.path().join("test.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        insert(&connection, 1).await,
        Err(SqliteError::Busy("database is locked".to_owned()))
    );
    assert_eq!(count(&connection).await, 0);
}

#[tokio::test]
async fn closing_writes_what_waits_and_folds_the_log() {
    let (directory, database, connection) = table(Options::default()).await;
    let path = directory.path().join("test.db");
    let writers: Vec<_> = (0..50)
        .map(|number| {
            let connection = database.connection();
            tokio::spawn(async move { insert(&connection, number).await })
        })
        .collect();
    tokio::task::yield_now().await;
    database.close().await;
    let mut answered = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(error, SqliteError::Closed),
        }
    }
    assert_eq!(insert(&connection, 99).await, Err(SqliteError::Closed));
    assert_eq!(wal_bytes(&path), 0);
    let reopened = rusqlite::Connection::open(&path).unwrap();
    let kept: i64 = reopened
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, answered);
}

fn wal_bytes(path: &Path) -> u64 {
    std::fs::metadata(path.with_extension("db-wal")).map_or(0, |file| file.len())
}

#[tokio::test]
async fn a_drop_sees_what_was_created_since_the_readers_looked() {
    let (_directory, _database, connection) = table(Options::default()).await;
    for number in 0..8 {
        // Each reader knows a schema now, without the trigger.
        tokio::join!(
            count(&connection),
            count(&connection),
            count(&connection),
            count(&connection),
            count(&connection),
            count(&connection),
            count(&connection),
            count(&connection)
        );
        let name = format!("brief_{number}");
        let create = format!("CREATE TRIGGER {name} BEFORE INSERT ON t BEGIN SELECT 1; END");
        connection.execute(create.as_str(), vec![]).await.unwrap();
        let drop = format!("DROP TRIGGER IF EXISTS {name}");
        connection.execute(drop.as_str(), vec![]).await.unwrap();
        // Its name is free again.
        connection.execute(create.as_str(), vec![]).await.unwrap();
    }
}

/// Waits until the figures are as they should be.
async fn figures(database: &Database, what: &str, are_right: impl Fn(Stats) -> bool) -> Stats {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let stats = database.stats();
        if are_right(stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "never: {what}: {stats:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Somebody outside who reads and does not end.
fn reader(directory: &TempDir) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(directory.path().join("test.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let seen = reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    seen.unwrap();
    reader
}

#[tokio::test]
async fn the_log_is_empty_after_a_while_without_changes() {
    let options = Options {
        checkpoint_idle_ms: 0,
        ..Options::default()
    };
    let (_directory, database, connection) = table(options).await;
    for change in 0..2 {
        figures(&database, "the log is empty", |stats| stats.wal_bytes == 0).await;
        insert(&connection, change).await.unwrap();
    }
    figures(&database, "it is again", |stats| stats.wal_bytes == 0).await;
    // What changes nothing is no reason for another checkpoint, however often it comes. (Once it is answered, the writer has done
    // with whatever it did before.)
    let nothing = "UPDATE t SET v = 0 WHERE v = -1";
    connection.execute(nothing, vec![]).await.unwrap();
    let before = database.stats().checkpoints;
    assert!(before >= 2, "one for each change");
    for _ in 0..20 {
        connection.execute(nothing, vec![]).await.unwrap();
    }
    assert_eq!(database.stats().checkpoints, before);
    assert_eq!(count(&connection).await, 2);
}

#[tokio::test]
async fn a_checkpoint_waits_for_no_reader_and_no_write_waits_for_it() {
    let options = Options {
        checkpoint_idle_ms: 20,
        // Far longer than the test may take: whoever waited for the reader would wait so long.
        busy_ms_max: 600_000,
        ..Options::default()
    };
    let (directory, database, connection) = table(options).await;
    insert(&connection, 1).await.unwrap();
    let reader = reader(&directory);
    insert(&connection, 2).await.unwrap();
    let blocked = figures(&database, "a checkpoint meets the reader", |stats| {
        stats.checkpoints_blocked > 0
    })
    .await;
    insert(&connection, 3).await.unwrap();
    assert!(blocked.wal_bytes > 0);
    drop(reader);
    figures(&database, "it is tried again", |stats| stats.wal_bytes == 0).await;
}

#[tokio::test]
async fn a_log_that_a_reader_lets_grow_raises_the_alarm_until_it_is_empty() {
    let options = Options {
        // Only the alarm may empty it.
        checkpoint_idle_ms: 600_000,
        wal_alarm_bytes: 256 * 1_024,
        wal_alarm_every_ms: 0,
        ..Options::default()
    };
    let (directory, database, connection) = table(options).await;
    insert(&connection, 1).await.unwrap();
    let reader = reader(&directory);
    let grow = async |number: i64| {
        let sql = "INSERT INTO t (v) VALUES (?1)";
        let value = vec![u8::try_from(number % 256).unwrap(); 64 * 1_024 + number as usize];
        connection.execute(sql, vec![Value::Blob(value)]).await
    };
    let mut number = 0;
    let mut grow_until = async |what: &str, are_right: fn(Stats) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !are_right(database.stats()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", database.stats());
            number += 1;
            grow(number).await.unwrap();
            // Its size is looked at once a second.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        number
    };
    grow_until("the alarm", |stats| {
        stats.wal_alarms > 0 && stats.wal_is_large && stats.checkpoints_blocked > 0
    })
    .await;
    assert_eq!(database.stats().checkpoints, 0);
    drop(reader);
    let written = grow_until("the alarm empties the log", |stats| {
        stats.checkpoints > 0 && !stats.wal_is_large
    })
    .await;
    assert!(database.stats().wal_alarms > 1);
    assert_eq!(count(&connection).await, written + 1);
}

#[tokio::test]
async fn statements_go_on_when_memory_was_asked_back() {
    let (_directory, database, connection) = table(Options::default()).await;
    for round in 0..3 {
        for value in 0..100 {
            insert(&connection, 100 * round + value).await.unwrap();
        }
        database.release_memory();
        for _ in 0..2 {
            assert_eq!(count(&connection).await, 100 * (round + 1));
        }
    }
}

#[tokio::test]
async fn more_statements_of_a_transaction_than_may_wait_are_refused() {
    const SLOW: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300000) SELECT count(*) FROM c";
    let (_directory, database, _connection) = table(Options::default()).await;
    let holder = hold(&database).await;
    let holder = Arc::new(holder);
    let send = |sql: &'static str| {
        let holder = Arc::clone(&holder);
        tokio::spawn(async move { holder.execute(sql, vec![]).await })
    };
    let first = send(SLOW);
    let others: Vec<_> = (0..3 * TRANSACTION_STATEMENTS_MAX)
        .map(|_| send("SELECT 1"))
        .collect();
    let first = first.await.unwrap().unwrap();
    assert_eq!(first.rows, [[Value::Integer(300_000)]]);
    let (mut done, mut refused) = (0, 0);
    for other in others {
        match other.await.unwrap() {
            Ok(_) => done += 1,
            Err(SqliteError::Busy(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // The slow one may have been one of those that waited.
    assert!(done + 1 >= TRANSACTION_STATEMENTS_MAX, "{done}");
    assert!(refused > 0);
}

#[tokio::test]
async fn a_database_that_is_closed_beside_a_reader_keeps_what_is_in_its_log() {
    let options = Options {
        busy_ms_max: 10,
        ..Options::default()
    };
    let (directory, database, connection) = table(options).await;
    let reader = reader(&directory);
    insert(&connection, 7).await.unwrap();
    database.close().await;
    let log = std::fs::metadata(directory.path().join("test.db-wal")).unwrap();
    assert!(log.len() > 0, "the reader stands in it");
    drop(reader);
    let again = rusqlite::Connection::open(directory.path().join("test.db")).unwrap();
    let kept = again.query_row("SELECT count(*) FROM t WHERE v = 7", [], |row| row.get(0));
    assert_eq!(kept, Ok(1_i64));
}

/// By a clean-up, or by whoever puts a backup there: what is written then would be gone with the process.
#[tokio::test]
async fn nothing_is_written_to_a_file_that_is_no_longer_there() {
    let (directory, database, connection) = table(Options::default()).await;
    insert(&connection, 1).await.unwrap();
    let (path, away) = (
        directory.path().join("test.db"),
        directory.path().join("away.db"),
    );
    std::fs::rename(&path, &away).unwrap();
    for replaced in [false, true] {
        if replaced {
            std::fs::copy(&away, &path).unwrap();
        }
        let refused = insert(&connection, 2).await.unwrap_err();
        assert!(matches!(refused, SqliteError::Io(_)), "{refused}");
        assert!(refused.to_string().contains("was removed or replaced"));
        let holder = database.connection();
        assert!(holder.execute("BEGIN IMMEDIATE", vec![]).await.is_err());
    }
    std::fs::rename(&away, &path).unwrap();
    insert(&connection, 2).await.unwrap();
    assert_eq!(count(&connection).await, 2);
}

/// Closes the database, spoils the first page of `name` in its file, and opens it again.
async fn spoiled(
    directory: &TempDir,
    database: Database,
    connection: Connection,
    name: &str,
) -> Database {
    let asked = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'");
    let found = connection.execute(&asked, vec![]).await.unwrap();
    let Value::Integer(page) = found.rows[0][0] else {
        panic!("a page has a number")
    };
    drop(connection);
    database.close().await;
    let path = directory.path().join("test.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let from = 4_096 * (usize::try_from(page).unwrap() - 1);
    bytes[from..from + 4_096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    Database::open(&path, Options::default()).unwrap()
}

/// Its rest may look well: what is committed then may be gone with what the damage points at.
#[tokio::test]
async fn nothing_is_written_to_a_file_that_was_found_damaged() {
    let (directory, database, connection) = table(Options::default()).await;
    insert(&connection, 1).await.unwrap();
    let create = "CREATE TABLE torn (v)";
    connection.execute(create, vec![]).await.unwrap();
    let database = spoiled(&directory, database, connection, "torn").await;
    let (connection, holder) = (database.connection(), database.connection());
    insert(&connection, 2).await.unwrap();
    assert!(!database.stats().is_damaged, "nothing came upon it yet");
    holder.execute("BEGIN IMMEDIATE", vec![]).await.unwrap();
    insert(&holder, 3).await.unwrap();
    let told = connection.execute("SELECT v FROM torn", vec![]).await;
    let malformed = SqliteError::Damaged("database disk image is malformed".to_owned());
    assert_eq!(told, Err(malformed));
    assert!(database.stats().is_damaged);
    let refused = holder.execute("COMMIT", vec![]).await;
    assert!(
        matches!(refused, Err(SqliteError::Damaged(_))),
        "{refused:?}"
    );
    drop(holder);
    let refused = insert(&connection, 4).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Damaged(_)), "{refused}");
    assert!(
        refused.to_string().contains("until it is restored"),
        "{refused}"
    );
    assert!(connection.execute("BEGIN", vec![]).await.is_err());
    assert_eq!(count(&connection).await, 2, "what can be read is read");
}

#[tokio::test]
async fn a_batch_that_comes_upon_damage_is_not_committed() {
    let (directory, database, connection) = table(Options::default()).await;
    insert(&connection, 1).await.unwrap();
    let create = "CREATE TABLE torn (v UNIQUE)";
    connection.execute(create, vec![]).await.unwrap();
    let database = spoiled(&directory, database, connection, "torn").await;
    let statements = [
        "INSERT INTO t (v) VALUES (2)",
        "INSERT INTO torn (v) VALUES (1)",
        "INSERT INTO t (v) VALUES (3)",
    ];
    for outcome in together(&database, &statements).await {
        assert!(
            matches!(outcome, Err(SqliteError::Damaged(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(count(&database.connection()).await, 1);
}

/// The log of another database, left beside a backup that was put in the place of the file. Only the checkpoint sees that it is too long.
#[tokio::test]
async fn a_log_of_another_database_is_not_folded_into_the_file() {
    let (larger, database, connection) = table(Options::default()).await;
    let fill = "INSERT INTO t (v) SELECT randomblob(1000) FROM json_each(?1)";
    let rows = format!("[{}0]", "0,".repeat(300));
    let filled = connection.execute(fill, vec![Value::Text(rows)]).await;
    filled.unwrap();
    drop(connection);
    database.close().await;
    let database = Database::open(&larger.path().join("test.db"), Options::default()).unwrap();
    insert(&database.connection(), 1).await.unwrap();
    let log = std::fs::read(larger.path().join("test.db-wal")).unwrap();
    database.close().await;

    let options = Options {
        checkpoint_idle_ms: 10,
        ..Options::default()
    };
    let (directory, database, connection) = table(options.clone()).await;
    drop(connection);
    database.close().await;
    let of = |name| directory.path().join(name);
    let before = std::fs::read(of("test.db")).unwrap();
    std::fs::write(of("test.db-wal"), &log).unwrap();
    let database = Database::open(&of("test.db"), options.clone()).unwrap();
    figures(&database, "the damage is found", |stats| stats.is_damaged).await;
    let refused = insert(&database.connection(), 2).await;
    assert!(
        matches!(refused, Err(SqliteError::Damaged(_))),
        "{refused:?}"
    );
    database.close().await;
    assert!(
        std::fs::read(of("test.db")).unwrap() == before,
        "the file is as it was"
    );
    assert!(
        std::fs::read(of("test.db-wal")).unwrap() == log,
        "and so is the log"
    );

    // Whoever starts it again without more ado finds it as it was left.
    let database = Database::open(&of("test.db"), options.clone()).unwrap();
    assert!(database.stats().is_damaged);
    let refused = insert(&database.connection(), 2).await;
    assert!(
        matches!(refused, Err(SqliteError::Damaged(_))),
        "{refused:?}"
    );
    database.close().await;
    std::fs::remove_file(of("test.db-wal")).unwrap();
    let database = Database::open(&of("test.db"), options).unwrap();
    assert!(!database.stats().is_damaged, "the log alone was wrong");
    insert(&database.connection(), 2).await.unwrap();
    assert!(!of("test.db-damaged").exists());
}

/// Who only visits a file keeps nothing beside it, but heeds what is there.
#[tokio::test]
async fn a_visitor_leaves_no_word_of_the_damage() {
    let (directory, database, connection) = table(Options::default()).await;
    let create = "CREATE TABLE torn (v)";
    connection.execute(create, vec![]).await.unwrap();
    drop(spoiled(&directory, database, connection, "torn").await);
    let path = directory.path().join("test.db");
    let mark = directory.path().join("test.db-damaged");
    let visit = || {
        let options = Options {
            as_found: true,
            ..Options::default()
        };
        Database::open(&path, options).unwrap()
    };
    let read = async |database: &Database| {
        let connection = database.connection();
        let told = connection.execute("SELECT v FROM torn", vec![]).await;
        assert!(matches!(told, Err(SqliteError::Damaged(_))), "{told:?}");
    };
    let visitor = visit();
    read(&visitor).await;
    visitor.close().await;
    assert!(!mark.exists());
    let host = Database::open(&path, Options::default()).unwrap();
    read(&host).await;
    host.close().await;
    assert!(mark.exists());
    let visitor = visit();
    assert!(visitor.stats().is_damaged);
    visitor.close().await;
    assert!(mark.exists());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let restored = Database::open(&path, Options::default()).unwrap();
    assert!(
        !restored.stats().is_damaged,
        "nobody knows yet that it is as bad as the one before"
    );
    assert!(!mark.exists());
}
