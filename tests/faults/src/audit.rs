//! The audit, in the way of Jepsen's total-queue checker: acknowledged minus finished is what was lost,
//! finished minus posted is what nobody asked for, and each repeated callback must have its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};
use trawl_kit::receiver::Received;

/// What the nodes know: labels they tried to post, and those that were answered 202, with the id.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// Every label that was ever sent.
    pub posted: BTreeSet<String>,
    /// Label to message id, for each 202.
    pub acknowledged: BTreeMap<String, i64>,
}

/// A row of `Messages`, as the audit needs it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The message id.
    pub id: i64,
    /// The label that the node gave (`user_Id`).
    pub label: String,
    /// The state.
    pub state: String,
    /// The code of the error, empty without one.
    pub error: String,
    /// How often its lease ran out.
    pub crash_count: i64,
}

/// What the audit found. Everything but `duplicates` and `poisoned` must be empty.
#[derive(Debug, Default)]
pub struct Findings {
    /// Acknowledged, and not there or never finished.
    pub lost: Vec<String>,
    /// Finished or called back, and never posted.
    pub unexpected: Vec<String>,
    /// Finished otherwise than it should: a page that is there was not read.
    pub wrong: Vec<String>,
    /// Acknowledged with a callback that never came.
    pub silent: Vec<String>,
    /// Messages whose callback came more than once.
    pub duplicates: usize,
    /// Repeats with another `webhook-id`, or that no rescue explains, or whose signature did not verify.
    pub unexplained: Vec<String>,
    /// Failed as poison: in flight at three kills.
    pub poisoned: usize,
}

impl Findings {
    /// Whether nothing is lost, unexpected, wrong, silent or unexplained.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty()
            && self.unexpected.is_empty()
            && self.wrong.is_empty()
            && self.silent.is_empty()
            && self.unexplained.is_empty()
    }
}

/// The database file in a state directory.
///
/// # Errors
/// When the directory can't be read, or has none in it.
pub fn database_file(state: &Path) -> anyhow::Result<PathBuf> {
    std::fs::read_dir(state)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "db"))
        .with_context(|| format!("no database in {}", state.display()))
}

/// Opens the database of a host that is gone for good, as the next host would: what its log holds is taken over.
///
/// # Errors
/// When there is none, or it can't be opened.
pub fn open_as_successor(state: &Path) -> anyhow::Result<Connection> {
    Ok(Connection::open(database_file(state)?)?)
}

/// Opens the database of a host read-only, as a plain SQL reader would.
///
/// # Errors
/// When there is none, or it can't be opened.
pub fn open(state: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open_with_flags(
        database_file(state)?,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// All messages.
///
/// # Errors
/// When the database can't be read.
pub fn rows(connection: &Connection) -> anyhow::Result<Vec<Row>> {
    let mut statement = connection.prepare("SELECT Id, coalesce(user_Id, ''), state, coalesce(error_code, ''), crash_count FROM Messages")?;
    let rows = statement.query_map([], |r| {
        Ok(Row {
            id: r.get(0)?,
            label: r.get(1)?,
            state: r.get(2)?,
            error: r.get(3)?,
            crash_count: r.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many messages, and callbacks, are not at their end yet.
///
/// # Errors
/// When the database can't be read.
pub fn unfinished(connection: &Connection) -> anyhow::Result<(i64, i64)> {
    let messages = connection.query_row(
        "SELECT count(*) FROM Messages WHERE is_processed = 0",
        [],
        |r| r.get(0),
    )?;
    let callbacks = connection.query_row(
        "SELECT count(*) FROM callbacks WHERE state IN ('pending', 'processing')",
        [],
        |r| r.get(0),
    )?;
    Ok((messages, callbacks))
}

/// What SQLite says to whether the file is whole: `ok`, or what is wrong with it.
///
/// # Errors
/// When the database can't be read.
pub fn integrity(connection: &Connection) -> anyhow::Result<String> {
    Ok(connection.query_row("PRAGMA integrity_check", [], |r| r.get(0))?)
}

/// Compares what the nodes know with what the database and the receiver say.
pub fn audit(
    ledger: &Ledger,
    rows: &[Row],
    received: &[Received],
    leases: &BTreeMap<String, i64>,
) -> Findings {
    let mut findings = Findings::default();
    let by_id: BTreeMap<i64, &Row> = rows.iter().map(|row| (row.id, row)).collect();
    let mut calls: BTreeMap<i64, Vec<&Received>> = BTreeMap::new();
    for call in received {
        calls
            .entry(call.body["message_id"].as_i64().unwrap_or(-1))
            .or_default()
            .push(call);
    }
    for (label, id) in &ledger.acknowledged {
        match by_id.get(id) {
            None => findings
                .lost
                .push(format!("{label} ({id}) is not in the database")),
            Some(row) if row.label != *label => findings
                .lost
                .push(format!("{label} ({id}) is now {}", row.label)),
            Some(row) => check_finished(row, &mut findings),
        }
        if !calls.contains_key(id) {
            findings
                .silent
                .push(format!("{label} ({id}) was never called back"));
        }
    }
    for row in rows
        .iter()
        .filter(|row| !ledger.posted.contains(&row.label))
    {
        findings
            .unexpected
            .push(format!("{} ({}) was never posted", row.label, row.id));
    }
    for (id, calls) in &calls {
        if !by_id.contains_key(id) {
            findings.unexpected.push(format!(
                "message {id} was called back and is not in the database"
            ));
        }
        check_calls(*id, calls, leases, &mut findings);
    }
    findings
}

fn check_finished(row: &Row, findings: &mut Findings) {
    match (row.state.as_str(), row.error.as_str()) {
        ("done", _) => {}
        ("failed", "poison") => findings.poisoned += 1,
        ("failed", error) => findings
            .wrong
            .push(format!("{} ({}) failed: {error}", row.label, row.id)),
        (state, _) => findings
            .lost
            .push(format!("{} ({}) is still {state}", row.label, row.id)),
    }
}

/// A repeat has the same webhook-id and a second claim of the outbox row (its lease rose) behind it.
fn check_calls(
    id: i64,
    calls: &[&Received],
    leases: &BTreeMap<String, i64>,
    findings: &mut Findings,
) {
    for call in calls.iter().filter(|call| call.verified != Some(true)) {
        findings.unexplained.push(format!(
            "message {id}: signature {:?} does not verify",
            call.signature
        ));
    }
    if calls.len() < 2 {
        return;
    }
    findings.duplicates += 1;
    let ids: BTreeSet<&str> = calls.iter().map(|call| call.webhook_id.as_str()).collect();
    let claims = leases
        .get(calls[0].webhook_id.as_str())
        .copied()
        .unwrap_or(0);
    if ids.len() != 1 || claims < i64::try_from(calls.len()).unwrap_or(i64::MAX) {
        findings.unexplained.push(format!(
            "message {id}: {} calls with ids {ids:?}, claimed {claims} times",
            calls.len()
        ));
    }
}

/// `webhook-id` to the number of times its row was claimed.
///
/// # Errors
/// When the database can't be read.
pub fn callback_leases(connection: &Connection) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut statement = connection.prepare("SELECT webhook_id, lease FROM callbacks")?;
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn row(id: i64, label: &str, state: &str) -> Row {
        Row {
            id,
            label: label.to_owned(),
            state: state.to_owned(),
            error: String::new(),
            crash_count: 0,
        }
    }

    fn call(id: i64, webhook_id: &str) -> Received {
        Received {
            path: "/".to_owned(),
            webhook_id: webhook_id.to_owned(),
            body: json!({"message_id": id}),
            verified: Some(true),
            signature: String::new(),
            answered: 204,
            at: Instant::now(),
        }
    }

    fn ledger(acknowledged: &[(&str, i64)]) -> Ledger {
        Ledger {
            posted: acknowledged
                .iter()
                .map(|(label, _)| (*label).to_owned())
                .collect(),
            acknowledged: acknowledged
                .iter()
                .map(|(label, id)| ((*label).to_owned(), *id))
                .collect(),
        }
    }

    #[test]
    fn the_audit_finds_each_kind_of_fault() {
        let leases = BTreeMap::from([("w1".to_owned(), 1), ("w2".to_owned(), 2)]);
        let clean = audit(
            &ledger(&[("a", 1)]),
            &[row(1, "a", "done")],
            &[call(1, "w1")],
            &leases,
        );
        assert!(clean.is_clean(), "{clean:?}");
        let missing = audit(&ledger(&[("a", 1)]), &[], &[call(1, "w1")], &leases);
        assert_eq!(
            (missing.lost.len(), missing.unexpected.len()),
            (1, 1),
            "{missing:?}"
        );
        let stuck = audit(
            &ledger(&[("a", 1)]),
            &[row(1, "a", "processing")],
            &[],
            &leases,
        );
        assert_eq!((stuck.lost.len(), stuck.silent.len()), (1, 1), "{stuck:?}");
        let ghost = audit(&ledger(&[]), &[row(9, "z", "done")], &[], &leases);
        assert_eq!(ghost.unexpected.len(), 1, "{ghost:?}");
        let twice = audit(
            &ledger(&[("a", 1)]),
            &[row(1, "a", "done")],
            &[call(1, "w1"), call(1, "w1")],
            &leases,
        );
        assert_eq!(
            twice.unexplained.len(),
            1,
            "claimed once, called twice: {twice:?}"
        );
        let rescued = audit(
            &ledger(&[("a", 1)]),
            &[row(1, "a", "done")],
            &[call(1, "w2"), call(1, "w2")],
            &leases,
        );
        assert!(rescued.is_clean() && rescued.duplicates == 1, "{rescued:?}");
        let renamed = audit(
            &ledger(&[("a", 1)]),
            &[row(1, "a", "done")],
            &[call(1, "w1"), call(1, "w2")],
            &leases,
        );
        assert_eq!(renamed.unexplained.len(), 1, "{renamed:?}");
    }
}
