//! Figures of the database, and of the queues in it.

use serde_json::{Value, json};
use trawl_balance::exposition::{Exposition, Kind, number};
use trawl_sqlite::{Database, Stats};
use trawl_store::{QueueFigures, QueueTotals, Store, StoreError};

use crate::own_statements::Connection;

/// The queues of everybody. None before a component has made the tables, and for an application that has others. An error is told as
/// often as somebody asks, which only operators may: an alarm on the queues must not go quiet when the database fails.
async fn queues(database: &Database) -> Result<Vec<QueueFigures>, StoreError> {
    let connection = Connection::to(database);
    match Store::new(&connection).queues(None).await {
        Err(StoreError::Sql(text)) if text.contains("no such table") => Ok(Vec::new()),
        Err(error) => {
            tracing::warn!("the queues can't be read: {error}");
            Err(error)
        }
        known => known,
    }
}

/// What became of what was in the queues. None before a component has made the counters; another error is told.
async fn totals(database: &Database) -> Vec<QueueTotals> {
    let connection = Connection::to(database);
    match Store::new(&connection).totals().await {
        Ok(totals) => totals,
        Err(StoreError::Sql(text)) if text.contains("no such column") => Vec::new(),
        Err(error) => {
            tracing::warn!("what was done can't be read: {error}");
            Vec::new()
        }
    }
}

/// The database as `GET /balance` shows it.
pub(super) fn json(database: &Database) -> Value {
    let stats = database.stats();
    json!({
        "batches": stats.batches,
        "statements": stats.statements,
        "statements_per_batch": stats.statements.checked_div(stats.batches),
        "commit_us_mean": stats.commit_us_total.checked_div(stats.batches),
        "commit_us_max": stats.commit_us_max,
        "reads": stats.reads,
        "reads_waiting": stats.reads_waiting,
        "writes_waiting": stats.writes_waiting,
        "file_bytes": stats.file_bytes,
        "wal_bytes": stats.wal_bytes,
        "wal_is_large": stats.wal_is_large,
        "is_damaged": stats.is_damaged,
    })
}

/// The queues as `GET /balance` shows them; null when they can't be read.
pub(super) async fn queues_json(database: &Database) -> Value {
    let Ok(queues) = queues(database).await else {
        return Value::Null;
    };
    let shown = queues.iter().map(|queue| {
        let figures = json!({
            "ready": queue.ready, "leased": queue.leased, "delayed": queue.delayed, "dead": queue.dead,
            "oldest_age_s": queue.oldest_age_s,
        });
        (queue.name.clone(), figures)
    });
    Value::Object(shown.collect())
}

/// All of it for `GET /metrics`.
pub(super) async fn prometheus(database: &Database, out: &mut Exposition) {
    writer(&database.stats(), out);
    let queues = queues(database).await;
    out.family(
        "queues_readable",
        Kind::Gauge,
        "0 while the database can't be asked for the queues: their figures are missing.",
    )
    .sample(&[], f64::from(u8::from(queues.is_ok())));
    match queues {
        Ok(queues) if !queues.is_empty() => {
            depths(&queues, out);
            outcomes(&totals(database).await, out);
        }
        _ => {}
    }
}

fn outcomes(totals: &[QueueTotals], out: &mut Exposition) {
    let mut finished = out.family(
        "queue_finished_total",
        Kind::Counter,
        "Messages that were done and callbacks that were delivered, and those of both that were given up.",
    );
    for queue in totals {
        for (outcome, count) in [("done", queue.done), ("failed", queue.failed)] {
            finished.sample(
                &[("queue", queue.name.as_str()), ("outcome", outcome)],
                number(count),
            );
        }
    }
}

fn depths(queues: &[QueueFigures], out: &mut Exposition) {
    let mut depth = out.family(
        "queue_messages",
        Kind::Gauge,
        "Messages and callbacks by where they stand.",
    );
    for queue in queues {
        for (state, count) in [
            ("ready", queue.ready),
            ("leased", queue.leased),
            ("delayed", queue.delayed),
            ("dead", queue.dead),
        ] {
            depth.sample(
                &[("queue", queue.name.as_str()), ("state", state)],
                number(count),
            );
        }
    }
    let mut age = out.family(
        "queue_oldest_age_seconds",
        Kind::Gauge,
        "Age of the oldest one that waits.",
    );
    for queue in queues {
        age.sample(
            &[("queue", queue.name.as_str())],
            number(queue.oldest_age_s),
        );
    }
}

fn writer(stats: &Stats, out: &mut Exposition) {
    batch_sizes(stats, out);
    counts(stats, out);
    log(stats, out);
}

fn batch_sizes(stats: &Stats, out: &mut Exposition) {
    let mut sizes = out.family(
        "sqlite_batch_statements",
        Kind::Histogram,
        "Statements that the writer committed together.",
    );
    let mut cumulative = 0;
    let last = stats.batch_sizes.len() - 1;
    for (place, count) in stats.batch_sizes.iter().enumerate() {
        cumulative += count;
        let bound = if place == last {
            "+Inf".to_owned()
        } else {
            (1_u64 << place).to_string()
        };
        sizes.suffixed("_bucket", &[("le", bound.as_str())], number(cumulative));
    }
    sizes.suffixed("_sum", &[], number(stats.statements));
    sizes.suffixed("_count", &[], number(cumulative));
}

fn counts(stats: &Stats, out: &mut Exposition) {
    let figures = [
        (
            "commit_seconds_total",
            Kind::Counter,
            "Time that commits took.",
            number(stats.commit_us_total) / 1e6,
        ),
        (
            "commit_seconds_max",
            Kind::Gauge,
            "The longest commit so far.",
            number(stats.commit_us_max) / 1e6,
        ),
        (
            "statements_repeated_total",
            Kind::Counter,
            "Statements run again because another one rolled their batch back.",
            number(stats.statements_repeated),
        ),
        (
            "transactions_total",
            Kind::Counter,
            "Explicit transactions.",
            number(stats.transactions),
        ),
        (
            "reads_total",
            Kind::Counter,
            "Statements done by readers.",
            number(stats.reads),
        ),
        (
            "writes_waiting",
            Kind::Gauge,
            "Statements that wait for the writer now.",
            number(stats.writes_waiting as u64),
        ),
        (
            "reads_waiting",
            Kind::Gauge,
            "Statements that wait for a reader now.",
            number(stats.reads_waiting as u64),
        ),
        (
            "damaged",
            Kind::Gauge,
            "1 once the database file was found to be damaged: nothing is written to it any more.",
            f64::from(u8::from(stats.is_damaged)),
        ),
    ];
    families(&figures, out);
}

fn log(stats: &Stats, out: &mut Exposition) {
    let figures = [
        (
            "file_bytes",
            Kind::Gauge,
            "Size of the database file now, without its write-ahead log.",
            number(stats.file_bytes),
        ),
        (
            "wal_bytes",
            Kind::Gauge,
            "Size of the write-ahead log now.",
            number(stats.wal_bytes),
        ),
        (
            "wal_is_large",
            Kind::Gauge,
            "1 while the write-ahead log is larger than it should ever be: a reader does not end.",
            f64::from(u8::from(stats.wal_is_large)),
        ),
        (
            "wal_alarms_total",
            Kind::Counter,
            "Times that the write-ahead log was found too large.",
            number(stats.wal_alarms),
        ),
        (
            "checkpoints_total",
            Kind::Counter,
            "Checkpoints that left the write-ahead log empty.",
            number(stats.checkpoints),
        ),
        (
            "checkpoints_blocked_total",
            Kind::Counter,
            "Checkpoints that a reader kept from emptying the write-ahead log.",
            number(stats.checkpoints_blocked),
        ),
    ];
    families(&figures, out);
}

fn families(figures: &[(&str, Kind, &str, f64)], out: &mut Exposition) {
    for (name, kind, help, value) in figures {
        out.family(&format!("sqlite_{name}"), *kind, help)
            .sample(&[], *value);
    }
}

#[cfg(test)]
mod tests {
    use trawl_store::sql::Sql as _;

    use super::*;

    async fn shown(database: &Database) -> (Value, String) {
        let mut out = Exposition::default();
        prometheus(database, &mut out).await;
        (queues_json(database).await, out.into_text())
    }

    #[tokio::test]
    async fn queues_that_cannot_be_read_are_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trawl.db");
        let database = Database::open(&path, trawl_sqlite::Options::default()).unwrap();
        let (json, text) = shown(&database).await;
        assert_eq!(json, json!({}), "no component has made the tables");
        assert!(text.contains("\ntrawl_queues_readable 1\n"), "{text}");
        let connection = Connection::to(&database);
        for table in [
            "CREATE TABLE queues (x)",
            "CREATE TABLE flows (x)",
            "CREATE TABLE Messages (x)",
            "CREATE TABLE callbacks (x)",
        ] {
            connection.run(table, vec![]).await.unwrap();
        }
        let (json, text) = shown(&database).await;
        assert_eq!(json, Value::Null);
        assert!(text.contains("\ntrawl_queues_readable 0\n"), "{text}");
    }
}
