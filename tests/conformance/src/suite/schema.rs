//! The schema's own defences, and the migration.

use trawl_core::limits::api::READY_WRITE_MS;
use trawl_core::limits::schema::LOCK_MS;
use trawl_store::sql::{SqlError, Value};
use trawl_store::{Store, StoreError};

use crate::Subject;
use crate::given::{LIMITS, accepted, claimed, finished, request};

pub(super) async fn checks_refuse_impossible_rows<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    accepted(store, &request(1, "a"), &LIMITS).await;
    let impossible = [
        "UPDATE Messages SET state = 'done'",
        "UPDATE Messages SET state = 'done', stage = NULL, slot = 0",
        "UPDATE Messages SET finished_ms = 1",
        "UPDATE Messages SET state = 'processing', stage = NULL, lease = 1",
        "UPDATE Messages SET state = 'processing', stage = NULL, lease = 1, lease_until = 5",
        "UPDATE Messages SET lease_until = 5",
        "UPDATE Messages SET stage = 2, slot = 0",
        "UPDATE Messages SET stage = 0",
        "UPDATE Messages SET stage = 1, slot = 0",
        "UPDATE Messages SET stage = 4",
        "UPDATE Messages SET state = 'leased'",
        "UPDATE Messages SET state = 'failed', stage = NULL, slot = 0, finished_ms = 1",
        "UPDATE Messages SET priority = 10",
        "UPDATE Messages SET type = 4",
        "UPDATE Messages SET crash_count = 4",
    ];
    for statement in impossible {
        let refused = sql.run(statement, vec![]).await;
        assert!(
            matches!(refused, Err(SqlError::Constraint(_))),
            "{statement}: {refused:?}"
        );
    }
}

pub(super) async fn migrations_run_twice<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    store.migrate().await.unwrap();
    // As if another process had not seen that the version was reached: every statement runs again.
    sql.run("DELETE FROM schema_version", vec![]).await.unwrap();
    store.migrate().await.unwrap();
    let version = sql
        .run("SELECT version FROM schema_version", vec![])
        .await
        .unwrap();
    assert!(matches!(version.rows[..], [ref row] if matches!(row[0], Value::Integer(n) if n > 0)));
    assert_eq!(store.newer_schema().await, Ok(None));
    sql.run("UPDATE schema_version SET version = 1000", vec![])
        .await
        .unwrap();
    assert_eq!(store.newer_schema().await, Ok(Some(1000)));
    assert_eq!(claimed(store).await.id, id, "what was there is there");
    // It may have put another trigger in the place of one.
    sql.run("DROP TRIGGER messages_event", vec![])
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let made = "SELECT 1 FROM sqlite_master WHERE name = 'messages_event'";
    assert!(sql.run(made, vec![]).await.unwrap().rows.is_empty());
    store.ready().await.unwrap();
}

pub(super) async fn one_migrates_at_a_time<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let behind = "UPDATE schema_version SET version = version - 1";
    sql.run(behind, vec![]).await.unwrap();
    let locked = "INSERT INTO migration_lock VALUES (1, 'another', CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?1)";
    sql.run(locked, vec![LOCK_MS.into()]).await.unwrap();
    assert_eq!(store.migrate().await, Err(StoreError::Migrating));
    // It was killed, or the clock was set back since.
    for until_ms in [5, 1_i64 << 50] {
        sql.run(behind, vec![]).await.unwrap();
        let statement = "INSERT INTO migration_lock VALUES (1, 'another', ?1) ON CONFLICT DO UPDATE SET until_ms = ?1";
        sql.run(statement, vec![until_ms.into()]).await.unwrap();
        store.migrate().await.unwrap();
        let left = sql.run("SELECT 1 FROM migration_lock", vec![]).await;
        assert!(left.unwrap().rows.is_empty(), "the lock is given back");
    }
}

/// What processes that migrated side by side could leave, before one at a time did.
pub(super) async fn a_trigger_that_is_missing_is_made_again<S: Subject>(sql: &S) {
    const TRIGGERS: &str = "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name";
    let store = Store::new(sql);
    let all = sql.run(TRIGGERS, vec![]).await.unwrap().rows;
    assert!(all.len() > 20, "{all:?}");
    for row in &all {
        let [Value::Text(name)] = row.as_slice() else {
            panic!("{row:?}");
        };
        let listed = include_str!("../../../../components/lib/store/sql/schema_version.sql");
        assert!(listed.contains(&format!("'{name}'")), "{name}");
    }
    for row in all.iter().step_by(9) {
        let [Value::Text(name)] = row.as_slice() else {
            panic!("{row:?}");
        };
        let dropped: &'static str = format!("DROP TRIGGER {name}").leak();
        sql.run(dropped, vec![]).await.unwrap();
        store.migrate().await.unwrap();
        assert_eq!(sql.run(TRIGGERS, vec![]).await.unwrap().rows, all, "{name}");
    }
}

pub(super) async fn readiness_is_proved_by_writing_now_and_then<S: Subject>(sql: &S) {
    let store = Store::new(sql);
    let written = async || {
        let rows = sql.run("SELECT ms FROM last_write", vec![]).await.unwrap();
        rows.rows[0][0].clone()
    };
    store.ready().await.unwrap();
    let first = written().await;
    assert!(matches!(first, Value::Integer(ms) if ms > 0), "{first:?}");
    // Long ago, and in a future that a clock that was set back left behind.
    for ms in [5, 1_i64 << 50] {
        let statement = "UPDATE last_write SET ms = ?1";
        sql.run(statement, vec![ms.into()]).await.unwrap();
        store.ready().await.unwrap();
        assert_ne!(written().await, Value::Integer(ms));
    }
    // A moment ago.
    let statement = "UPDATE last_write SET ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 / 2 RETURNING ms";
    let set = sql.run(statement, vec![READY_WRITE_MS.into()]).await;
    store.ready().await.unwrap();
    assert_eq!(
        written().await,
        set.unwrap().rows[0][0],
        "not again so soon"
    );
}

pub(super) async fn generated_columns_follow<S: Subject>(sql: &S) {
    const READ: &str = "SELECT is_processed, is_processing, date_added = strftime('%Y-%m-%dT%H:%M:%S', added_ms / 1000, 'unixepoch') || printf('.%03dZ', added_ms % 1000), date_process_complete IS NOT NULL FROM Messages";
    // What a library before 3.42 makes NULL.
    const RECENT: &str =
        "SELECT 1 FROM sqlite_master WHERE name = 'Messages' AND sql LIKE '%subsec%'";
    let recent = sql.run(RECENT, vec![]).await.unwrap().rows;
    assert_eq!(recent, Vec::<Vec<Value>>::new());
    let store = Store::new(sql);
    let id = accepted(store, &request(1, "a"), &LIMITS).await;
    let columns = async || sql.run(READ, vec![]).await.unwrap().rows.remove(0);
    let row = |values: [i64; 4]| values.map(Value::Integer).to_vec();
    assert_eq!(columns().await, row([0, 0, 1, 0]));
    let job = claimed(store).await;
    assert_eq!(columns().await, row([0, 1, 1, 0]));
    store.finish(&[finished(id, job.lease)]).await.unwrap();
    assert_eq!(columns().await, row([1, 0, 1, 1]));
}
