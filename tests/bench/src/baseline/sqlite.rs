//! Plain SQLite.

use std::time::Instant;

/// WAL and FULL, one commit for each `rows_per_commit` rows: rows per second.
pub(crate) fn raw_sqlite(rows_per_commit: usize, seconds: f64) -> anyhow::Result<f64> {
    let directory = tempfile::tempdir()?;
    let database = rusqlite::Connection::open(directory.path().join("raw.db"))?;
    database.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE job (id INTEGER PRIMARY KEY, url TEXT, state TEXT, added INTEGER)")?;
    let started = Instant::now();
    let mut rows = 0_usize;
    while started.elapsed().as_secs_f64() < seconds {
        database.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..rows_per_commit {
            let mut insert = database
                .prepare_cached("INSERT INTO job (url, state, added) VALUES (?1, 'queued', ?2)")?;
            insert.execute((format!("https://example.org/{rows}"), rows as i64))?;
            rows += 1;
        }
        database.execute_batch("COMMIT")?;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}
