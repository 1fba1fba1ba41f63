//! What committing together gains: inserts per second with many tasks, batched and one commit each, and the cost of a read.
//!
//! `cargo run --release -p trawl-sqlite --example throughput [tasks] [seconds] [rounds]`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trawl_sqlite::{Database, Options, SqliteError, Value};

const INSERT: &str = "INSERT INTO event (task, number, note) VALUES (?1, ?2, ?3)";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let tasks: i64 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let rounds: u32 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let (mut together, mut unsettled, mut apart) = (0.0, 0.0, 0.0);
    let time = Duration::from_secs(seconds);
    // Turn by turn, so that whatever else the machine does meets all of them.
    for _ in 0..rounds {
        together += inserts(tasks, time, Options::default()).await?;
        unsettled += inserts(
            tasks,
            time,
            Options {
                gather_us_max: 0,
                ..Options::default()
            },
        )
        .await?;
        apart += inserts(
            tasks,
            time,
            Options {
                batch_statements_max: 1,
                ..Options::default()
            },
        )
        .await?;
    }
    let [together, unsettled, apart] =
        [together, unsettled, apart].map(|sum| sum / f64::from(rounds));
    println!(
        "{tasks} tasks: {together:.0} inserts/s together, {unsettled:.0} without gathering, {apart:.0} one commit each"
    );
    println!(
        "ratios: {:.1} and {:.2}",
        together / apart,
        together / unsettled
    );
    reads(time).await?;
    Ok(())
}

async fn open(directory: &tempfile::TempDir, options: Options) -> Result<Database, SqliteError> {
    let database = Database::open(&directory.path().join("throughput.db"), options)?;
    let connection = database.connection();
    connection
        .execute(
            "CREATE TABLE event (id INTEGER PRIMARY KEY, task, number, note)",
            vec![],
        )
        .await?;
    Ok(database)
}

async fn inserts(
    tasks: i64,
    time: Duration,
    options: Options,
) -> Result<f64, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let database = open(&directory, options).await?;
    let count = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut workers = Vec::new();
    for task in 0..tasks {
        let (connection, count) = (database.connection(), Arc::clone(&count));
        workers.push(tokio::spawn(async move {
            let mut number = 0;
            while begun.elapsed() < time {
                let params = vec![
                    Value::Integer(task),
                    Value::Integer(number),
                    Value::from("a short note"),
                ];
                connection.execute(INSERT, params).await?;
                number += 1;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), SqliteError>(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    let rate = count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    let stats = database.stats();
    println!(
        "  {} commits of {:.0} statements; mean commit {} us, longest {} us; sizes {:?}",
        stats.batches,
        stats.statements as f64 / stats.batches.max(1) as f64,
        stats.commit_us_total / stats.batches.max(1),
        stats.commit_us_max,
        stats.batch_sizes
    );
    database.close().await;
    Ok(rate)
}

async fn reads(time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let database = open(&directory, Options::default()).await?;
    let connection = database.connection();
    connection
        .execute(INSERT, vec![Value::Null, Value::Null, Value::from("note")])
        .await?;
    let sql = "SELECT note FROM event WHERE id = ?1";
    let mut count = 0_u64;
    let begun = Instant::now();
    while begun.elapsed() < time {
        connection.execute(sql, vec![Value::Integer(1)]).await?;
        count += 1;
    }
    println!(
        "one task: {:.1} us per read",
        begun.elapsed().as_secs_f64() * 1e6 / count as f64
    );
    database.close().await;
    Ok(())
}
