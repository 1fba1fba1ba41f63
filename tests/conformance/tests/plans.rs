//! The plans that keep the cost of the queue apart from its length: asserted, so that a changed statement cannot lose them.
#![allow(
    clippy::unwrap_used,
    reason = "a test: an expectation that fails is a failed test"
)]

use futures::executor::block_on;
use rusqlite::{StatementStatus, params};
use trawl_conformance::Memory;
use trawl_core::ids::AccountId;
use trawl_core::limits::queue::REPLAY_ROWS_MAX;
use trawl_core::limits::scrape::LAST_RESULTS_MAX;
use trawl_store::{ReplayPoint, Store};

const SPARE: [&str; 2] = [
    include_str!("../../../components/lib/store/sql/claim_spare.sql"),
    include_str!("../../../components/lib/store/sql/waiting_spare.sql"),
];
const CLAIM: &str = include_str!("../../../components/lib/store/sql/claim.sql");
const LAST_RESULT: &str = include_str!("../../../components/lib/store/sql/last_result.sql");
const LIST: &str = include_str!("../../../components/lib/store/sql/messages.sql");
const REPLAY_FIND: &str = include_str!("../../../components/lib/store/sql/replay_find.sql");

/// The statement inside `host_fill_run`, with the trigger's row as a parameter.
const PROMOTE: &str = "SELECT Id FROM Messages WHERE host = ?1 AND stage = 0 ORDER BY key LIMIT 1";
/// Those inside `line_up_in_turns`.
const FIRST: &str =
    "SELECT key FROM Messages WHERE host = ?1 AND stage = 0 AND Id <> ?2 ORDER BY key LIMIT 1";
const LAST: &str = "SELECT key FROM Messages WHERE host = ?1 AND tenant = ?2 AND priority = ?3 AND stage = 0 AND Id <> ?4 ORDER BY key DESC LIMIT 1";
const LAST_BACK: &str = "SELECT key FROM Messages WHERE host = ?1 AND tenant = ?2 AND priority = ?3 AND stage = 0 AND lease > asked_lease AND Id <> ?4 ORDER BY key DESC LIMIT 1";
const COUNT_SLOTS: &str = "SELECT COUNT(*) FROM Messages WHERE host = ?1 AND slot = 1";

fn plan(memory: &Memory, statement: &str) -> Vec<String> {
    memory.raw(|connection| {
        let mut explained = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
            .unwrap();
        // Parameters stay unbound: the plan does not depend on them.
        let mut rows = explained.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get(3).unwrap());
        }
        steps
    })
}

/// Tables that do not grow with what is asked for: one row, or one for each kind or purge. All others do.
const SMALL: [&str; 6] = [
    "last_write",
    "migration_lock",
    "purge_marks",
    "queues",
    "schema_version",
    "settings",
];

/// Indices that hold few rows, or of which a scan reads no more than it takes: few rows are being worked on, ready callbacks are read
/// in order to the limit, and flows that wait for nothing are in none of theirs.
const BOUNDED: [&str; 4] = [
    "messages_leased",
    "callbacks_ready",
    "flows_waiting",
    "flows_delayed",
];

/// Statements that may scan a table, and why.
const EXCEPT: [(&str, &str); 3] = [
    ("has_accounts", "ends at the first row"),
    ("create_account", "ends at the first row"),
    ("purge_dead_requests", "in the order of ids, to the limit"),
];

/// Every statement of the store, by its name.
fn statements() -> Vec<(String, String)> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../components/lib/store/sql"
    );
    let mut statements: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    statements.sort();
    statements
}

/// The tables that grow, and what `statement` calls them: the word behind a table's name, which may be no name of it but is then none
/// that a plan shows either.
fn grown<'a>(tables: &'a [String], statement: &'a str) -> Vec<&'a str> {
    let code = statement
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    let words: Vec<_> = code
        .flat_map(|line| line.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_'))
        .map(|word| word.trim_end_matches(|c: char| c.is_whitespace()))
        .filter(|word| !word.is_empty() && *word != "AS")
        .collect();
    let named = words
        .windows(2)
        .filter(|pair| tables.iter().any(|table| table == pair[0]))
        .map(|pair| pair[1].trim_matches(|c: char| !c.is_alphanumeric() && c != '_'));
    tables.iter().map(String::as_str).chain(named).collect()
}

/// The steps of a plan that read all of a table that grows.
fn scans(memory: &Memory, tables: &[String], statement: &str) -> Vec<String> {
    let grown = grown(tables, statement);
    let mut steps = plan(memory, statement);
    steps.retain(|step| {
        let scanned = step.strip_prefix("SCAN ");
        let name = scanned.and_then(|scanned| scanned.split(' ').next());
        name.is_some_and(|name| grown.contains(&name))
            && !BOUNDED.iter().any(|index| step.contains(index))
    });
    steps
}

fn growing(memory: &Memory) -> Vec<String> {
    memory.raw(|connection| {
        let mut names = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .unwrap();
        let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let mut names: Vec<_> = names.map(Result::unwrap).collect();
        for small in SMALL {
            assert!(names.iter().any(|name| name == small), "{small}");
        }
        names.retain(|name| !SMALL.contains(&name.as_str()));
        names
    })
}

#[test]
fn every_statement_searches_an_index() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let tables = growing(&memory);
    let statements = statements();
    assert!(statements.len() > 90, "{} statements", statements.len());
    for (name, statement) in &statements {
        let scans = scans(&memory, &tables, statement);
        let reason = EXCEPT.iter().find(|(excepted, _)| excepted == name);
        assert_eq!(
            scans.is_empty(),
            reason.is_none(),
            "{name}, {reason:?}: {scans:#?}"
        );
    }
    // That it would be seen, by whatever name.
    for statement in [
        "SELECT COUNT(*) FROM flows",
        "UPDATE queues SET v = 1 FROM (SELECT 1 FROM robots x, (SELECT 2 FROM json_each(?1))) y",
        "DELETE FROM results WHERE lease IN (SELECT lease FROM Messages AS m)",
    ] {
        let scans = scans(&memory, &tables, statement);
        assert!(
            !scans.is_empty(),
            "{statement}: {:#?}",
            plan(&memory, statement)
        );
    }
}

#[test]
fn what_the_triggers_ask_searches_an_index() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let promote = plan(&memory, PROMOTE);
    assert_eq!(
        promote,
        ["SEARCH Messages USING COVERING INDEX messages_backlog (host=?)"],
        "no sort over a busy host's rows"
    );
    let first = plan(&memory, FIRST);
    assert_eq!(first, promote);
    let last = plan(&memory, LAST);
    assert_eq!(
        last,
        [
            "SEARCH Messages USING COVERING INDEX messages_backlog_of (host=? AND tenant=? AND priority=?)"
        ]
    );
    let last_back = plan(&memory, LAST_BACK);
    assert_eq!(
        last_back,
        ["SEARCH Messages USING INDEX messages_backlog_back (host=? AND tenant=? AND priority=?)"],
        "not past all that the account has waiting there and that never ran"
    );
    let count = plan(&memory, COUNT_SLOTS);
    assert_eq!(
        count,
        ["SEARCH Messages USING COVERING INDEX messages_slots (host=?)"]
    );
}

#[test]
fn the_last_result_is_found_without_sorting_all() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let plan = plan(&memory, LAST_RESULT);
    assert_eq!(
        plan,
        [
            "SEARCH r USING INDEX results_url (url_hash=? AND rowid>?)",
            "SCALAR SUBQUERY 1",
            "SEARCH results USING COVERING INDEX results_url (url_hash=?)",
            "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
        ]
    );
}

#[test]
fn a_claim_reads_two_short_ranges_in_order() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let plan = plan(&memory, CLAIM);
    let has = |text: &str| plan.iter().any(|step| step.contains(text));
    assert!(
        has("SEARCH Messages USING INDEX messages_ready (type=? AND <expr>=?)"),
        "{plan:#?}"
    );
    assert!(
        has("SEARCH Messages USING INDEX messages_paced (type=? AND run_at<?)"),
        "{plan:#?}"
    );
    let sorts = plan
        .iter()
        .filter(|step| step.contains("TEMP B-TREE"))
        .count();
    assert_eq!(
        sorts, 1,
        "only the few candidates are sorted, not what waits: {plan:#?}"
    );
}

#[test]
fn a_spare_claim_reads_both_ends_of_an_accounts_rows() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    for statement in SPARE {
        let plan = plan(&memory, statement);
        let open = "SEARCH Messages USING INDEX messages_open (tenant=? AND type=?)";
        let ends: Vec<_> = plan.windows(2).filter(|two| two[0] == open).collect();
        assert_eq!(ends.len(), 2, "{plan:#?}");
        assert!(
            ends.iter().all(|two| !two[1].contains("TEMP B-TREE")),
            "in order: {plan:#?}"
        );
        assert!(
            plan.contains(&"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)".to_owned()),
            "{plan:#?}"
        );
    }
}

/// Whatever is filtered by, each branch is a range of an index that holds nothing else.
#[test]
fn a_list_walks_no_history() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let plan = plan(&memory, LIST);
    let count = |text: &str| plan.iter().filter(|step| step.contains(text)).count();
    let closed = "messages_closed_by_type (tenant=? AND state=? AND type=? AND Id<?)";
    let open = "messages_open (tenant=? AND type=? AND Id<?)";
    assert_eq!((count(closed), count(open)), (9, 3), "{plan:#?}");
}

/// An account with 20,000 finished messages of type 1.
#[test]
fn a_list_costs_the_same_however_little_a_filter_finds() {
    const PAGE: i64 = 50;
    let memory = without_triggers();
    memory.raw(|connection| {
        connection
            .execute_batch(
                "INSERT INTO Messages (request_url, type, tenant, host, priority, mode, body_digest, url_hash, added_ms, state, key, finished_ms)
                 WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
                 SELECT 'https://a.example/', 1, 1, 'a.example', 5, 'best', x'00', 1, 1, 'done', i, 1000 FROM n;",
            )
            .unwrap();
    });
    let list = |state: Option<&str>, kind: Option<i64>| {
        memory.raw(|connection| {
            let mut list = connection.prepare(LIST).unwrap();
            let mut rows = list.query(params![1, state, kind, PAGE, i64::MAX]).unwrap();
            let mut found = 0;
            while rows.next().unwrap().is_some() {
                found += 1;
            }
            drop(rows);
            (found, list.get_status(StatementStatus::VmStep))
        })
    };
    for (state, kind, wanted) in [
        (None, None, PAGE),
        (Some("done"), Some(1), PAGE),
        (None, Some(3), 0),
        (Some("failed"), None, 0),
        (Some("done"), Some(2), 0),
    ] {
        let (found, steps) = list(state, kind);
        assert_eq!(found, wanted, "{state:?} {kind:?}");
        assert!(steps < 5_000, "{state:?} {kind:?}: {steps} steps");
    }
}

#[test]
fn a_replay_walks_the_accounts_own_messages_in_order() {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let plan = plan(&memory, REPLAY_FIND);
    let count = |text: &str| plan.iter().filter(|step| step.contains(text)).count();
    let closed = "messages_closed_by_type (tenant=? AND state=? AND type=? AND Id>?)";
    let open = "messages_open (tenant=? AND type=? AND Id>?)";
    let callbacks = "SEARCH c USING INDEX callbacks_message (message_id=? AND rowid>?) LEFT-JOIN";
    assert_eq!(
        (count(closed), count(open), count(callbacks)),
        (9, 3, 12),
        "{plan:#?}"
    );
    assert_eq!(count("SEARCH"), 24, "{plan:#?}");
    // Each branch ends at its limit before anything is sorted.
    for pair in plan
        .windows(2)
        .filter(|pair| pair[1].contains("TEMP B-TREE"))
    {
        assert!(pair[0].starts_with("SCAN (subquery"), "{plan:#?}");
    }
}

/// A database without its triggers: what they keep is not looked at by the statements that are measured here, and takes long.
fn without_triggers() -> Memory {
    let memory = Memory::new();
    block_on(Store::new(&memory).migrate()).unwrap();
    let triggers = memory.raw(|connection| {
        let mut names = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap();
        let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names.map(Result::unwrap).collect::<Vec<_>>()
    });
    memory.raw(|connection| {
        for name in triggers {
            connection
                .execute_batch(&format!("DROP TRIGGER {name}"))
                .unwrap();
        }
    });
    memory
}

/// 20,000 newer results that have the hash of another request.
#[test]
fn the_last_result_costs_the_same_whatever_has_its_hash() {
    let memory = without_triggers();
    memory.raw(|connection| {
        connection
            .execute_batch(
                "INSERT INTO Messages (request_url, type, tenant, host, priority, mode, selector, body_digest, url_hash, added_ms, state, key, finished_ms)
                 WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
                 SELECT 'https://a.example/', 1, 1, 'a.example', 5, 'best', '.other', x'00', 7, 1, 'done', i, 1000 FROM n;
                 INSERT INTO results (message_id, tenant, type, url_hash, lease, stored_ms, http_status, final_url, content_type, encoding, meta, body)
                 SELECT Id, tenant, type, url_hash, 1, 1000, 200, request_url, '', '', '', x'00' FROM Messages;",
            )
            .unwrap();
    });
    let look = |selector: &str| {
        memory.raw(|connection| {
            let mut look = connection.prepare(LAST_RESULT).unwrap();
            let params = params![
                7,
                1,
                1,
                "https://a.example/",
                "best",
                selector,
                LAST_RESULTS_MAX,
                false
            ];
            let found = look.query(params).unwrap().next().unwrap().is_some();
            (found, look.get_status(StatementStatus::VmStep))
        })
    };
    for (selector, wanted) in [(".other", true), (".mine", false)] {
        let (found, steps) = look(selector);
        assert_eq!(found, wanted, "{selector}");
        assert!(
            i64::from(steps) < LAST_RESULTS_MAX * 50,
            "{selector}: {steps} steps"
        );
    }
}

/// Two accounts with 20,000 messages each, in turns, and one with nothing; each message has a callback, and one has 5,000.
#[test]
fn a_step_of_a_replay_costs_the_same_whatever_there_is() {
    let memory = without_triggers();
    let store = Store::new(&memory);
    memory.raw(|connection| {
        connection
            .execute_batch(
                "INSERT INTO Messages (request_url, type, tenant, host, priority, mode, body_digest, url_hash, added_ms, state, key, finished_ms)
                 WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39999)
                 SELECT 'https://a.example/', 1, 1 + i % 2, 'a.example', 5, 'best', x'00', 1, 1, 'done', i, 1000 + i FROM n;
                 INSERT INTO callbacks (message_id, tenant, endpoint, webhook_id, ok, finished_ms, state, key, ended_ms)
                 WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                 SELECT Id, tenant, 'https://node.example/', Id, 1, finished_ms, 'delivered', 1, finished_ms FROM Messages
                 UNION ALL SELECT 2001, 1, 'https://node.example/', i, 1, 3000, 'delivered', 1, 3000 FROM n;",
            )
            .unwrap();
    });
    let steps = |tenant: i64, from_ms: i64| {
        memory.raw(|connection| {
            let mut find = connection.prepare(REPLAY_FIND).unwrap();
            let params = [tenant, from_ms, i64::MAX, 0, 0, i64::from(REPLAY_ROWS_MAX)];
            let mut rows = find.query(params).unwrap();
            while rows.next().unwrap().is_some() {}
            drop(rows);
            find.get_status(StatementStatus::VmStep)
        })
    };
    let most = i64::from(REPLAY_ROWS_MAX) * 100;
    assert!(steps(3, 0) < 500, "who owns nothing: {}", steps(3, 0));
    for from_ms in [0, 1_000_000] {
        let taken = i64::from(steps(1, from_ms));
        assert!(taken < most, "{taken} steps from {from_ms}");
    }
    let mut after = ReplayPoint::START;
    let (mut replayed, mut rounds) = (0, 0);
    loop {
        let step = block_on(store.replay_range(AccountId(1), 0, i64::MAX, after)).unwrap();
        assert!(step.count <= u64::from(REPLAY_ROWS_MAX));
        replayed += step.count;
        rounds += 1;
        match step.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(replayed, 20_000 - 1 + 5_000);
    assert!((50..52).contains(&rounds), "{rounds}");
    let others = memory.raw(|connection| {
        let waiting = "SELECT COUNT(*) FROM callbacks WHERE tenant <> 1 AND state = 'pending'";
        connection.query_row(waiting, [], |row| row.get::<_, i64>(0))
    });
    assert_eq!(others.unwrap(), 0);
}
