//! The plans that keep the cost of the queue apart from its length: asserted, so that a changed statement cannot lose them.
#![allow(
    clippy::unwrap_used,
    reason = "a test: an expectation that fails is a failed test"
)]

use trawl_conformance::Memory;
use trawl_store::Store;

const STATEMENTS: [(&str, &str); 24] = [
    (
        "claim",
        include_str!("../../../components/lib/store/sql/claim.sql"),
    ),
    (
        "claim_alone",
        include_str!("../../../components/lib/store/sql/claim_alone.sql"),
    ),
    (
        "claim_spare",
        include_str!("../../../components/lib/store/sql/claim_spare.sql"),
    ),
    (
        "waiting_spare",
        include_str!("../../../components/lib/store/sql/waiting_spare.sql"),
    ),
    (
        "callbacks_waiting_spare",
        include_str!("../../../components/lib/store/sql/callbacks_waiting_spare.sql"),
    ),
    (
        "claim_callbacks_spare",
        include_str!("../../../components/lib/store/sql/claim_callbacks_spare.sql"),
    ),
    (
        "wake_delayed",
        include_str!("../../../components/lib/store/sql/wake_delayed.sql"),
    ),
    (
        "wake_paced",
        include_str!("../../../components/lib/store/sql/wake_paced.sql"),
    ),
    (
        "wake_callbacks",
        include_str!("../../../components/lib/store/sql/wake_callbacks.sql"),
    ),
    (
        "wake_endpoints",
        include_str!("../../../components/lib/store/sql/wake_endpoints.sql"),
    ),
    (
        "last_result",
        include_str!("../../../components/lib/store/sql/last_result.sql"),
    ),
    (
        "rescue",
        include_str!("../../../components/lib/store/sql/rescue.sql"),
    ),
    (
        "rescue_callbacks",
        include_str!("../../../components/lib/store/sql/rescue_callbacks.sql"),
    ),
    (
        "claim_callbacks",
        include_str!("../../../components/lib/store/sql/claim_callbacks.sql"),
    ),
    (
        "messages",
        include_str!("../../../components/lib/store/sql/messages.sql"),
    ),
    (
        "message",
        include_str!("../../../components/lib/store/sql/message.sql"),
    ),
    (
        "submit",
        include_str!("../../../components/lib/store/sql/submit.sql"),
    ),
    (
        "due",
        include_str!("../../../components/lib/store/sql/due.sql"),
    ),
    (
        "waiting",
        include_str!("../../../components/lib/store/sql/waiting.sql"),
    ),
    (
        "deliver",
        include_str!("../../../components/lib/store/sql/deliver.sql"),
    ),
    (
        "purge_hosts",
        include_str!("../../../components/lib/store/sql/purge_hosts.sql"),
    ),
    (
        "purge_hosts_mark",
        include_str!("../../../components/lib/store/sql/purge_hosts_mark.sql"),
    ),
    (
        "purge_endpoints",
        include_str!("../../../components/lib/store/sql/purge_endpoints.sql"),
    ),
    (
        "purge_endpoints_mark",
        include_str!("../../../components/lib/store/sql/purge_endpoints_mark.sql"),
    ),
];

/// The statement inside `host_fill_run`, with the trigger's row as a parameter.
const PROMOTE: &str = "SELECT Id FROM Messages WHERE host = ?1 AND stage = 0 ORDER BY key LIMIT 1";
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

fn check(memory: &Memory, name: &str, statement: &str) {
    let plan = plan(memory, statement);
    for step in &plan {
        let scans_a_table = [
            "Messages",
            "callbacks",
            "results",
            "events",
            "deliveries",
            "flows",
            " m",
            " c",
            "endpoints",
        ]
        .iter()
        .any(|table| {
            step == &format!("SCAN {}", table.trim())
                || step.starts_with(&format!("SCAN {} ", table.trim()))
        });
        // Few rows are being worked on or wait for a gap; and ready callbacks are read in order, to the limit.
        let bounded = ["messages_leased", "messages_paced", "callbacks_ready"]
            .iter()
            .any(|index| step.contains(index));
        assert!(!scans_a_table || bounded, "{name}: {step} in {plan:#?}");
    }
}

#[test]
fn every_statement_of_the_queue_searches_an_index() {
    let memory = Memory::new();
    futures::executor::block_on(Store::new(&memory).migrate()).unwrap();
    for (name, statement) in STATEMENTS {
        check(&memory, name, statement);
    }
    let promote = plan(&memory, PROMOTE);
    assert_eq!(
        promote,
        ["SEARCH Messages USING COVERING INDEX messages_backlog (host=?)"],
        "no sort over a busy host's rows"
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
    futures::executor::block_on(Store::new(&memory).migrate()).unwrap();
    let (_, statement) = STATEMENTS
        .iter()
        .find(|(name, _)| *name == "last_result")
        .unwrap();
    let plan = plan(&memory, statement);
    assert!(
        plan.iter().all(|step| !step.contains("TEMP B-TREE")),
        "{plan:#?}"
    );
}

#[test]
fn a_claim_reads_two_short_ranges_in_order() {
    let memory = Memory::new();
    futures::executor::block_on(Store::new(&memory).migrate()).unwrap();
    let plan = plan(&memory, STATEMENTS[0].1);
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
