//! The six load-balancing experiments: three hosts behind a fourth, with real kills, expected beside measured. Prints a
//! Markdown table, with `--record` into the balancer's README as well; ends with status 1 when something is not as expected.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment that cannot go on fails with a sentence"
)]

use std::process::ExitCode;

use serde_json::json;
use trawl_e2e::DEADLINE;
use trawl_e2e::fleet::{Balance, Fleet, Spread};
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::origin::Origin;
use trawl_kit::redis::RedisServer;
use trawl_kit::workspace_root;

/// One row of the table.
struct Row {
    what: &'static str,
    expected: String,
    measured: String,
    is_as_expected: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut fleet = Fleet::start(Balance::new("round-robin", [1, 1, 1]), &[]).await;
    let mut rows = vec![spread(
        "1. round robin, 100 calls",
        [33, 33, 33],
        2,
        &fleet.calls(100, 1).await,
    )];
    fleet.apply(Balance::new("weighted", [8, 1, 1])).await;
    rows.push(spread(
        "2. weighted 8/1/1, 100 calls",
        [80, 10, 10],
        3,
        &fleet.calls(100, 1).await,
    ));
    fleet.apply(Balance::new("least-conn", [1, 1, 1])).await;
    rows.push(spread(
        "3. least connections, 100 calls",
        [33, 33, 33],
        2,
        &fleet.calls(100, 1).await,
    ));
    fleet.apply(Balance::new("round-robin", [1, 1, 1])).await;
    rows.push(spread(
        "4. round robin, 300 calls, 30 at once",
        [100, 100, 100],
        5,
        &fleet.calls(300, 30).await,
    ));
    rows.push(one_down(&mut fleet).await);
    drop(fleet);
    rows.push(queue_down().await);
    let table = table(&rows);
    print!("{table}");
    if std::env::args().any(|argument| argument == "--record") {
        record(&table);
    }
    if rows.iter().all(|row| row.is_as_expected) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// `slack` is how many calls one replica may be off: where a cycle is cut is not promised.
fn spread(what: &'static str, expected: [u64; 3], slack: u64, spread: &Spread) -> Row {
    let measured = spread.of_three();
    let is_near = measured
        .iter()
        .zip(expected)
        .all(|(measured, expected)| measured.abs_diff(expected) <= slack);
    Row {
        what,
        expected: format!("{}, 0 failed", slashed(expected)),
        measured: format!("{}, {} failed", slashed(measured), spread.failures.len()),
        is_as_expected: is_near && spread.failures.is_empty(),
    }
}

fn slashed(counts: [u64; 3]) -> String {
    counts.map(|count| count.to_string()).join("/")
}

/// The third is killed while calls run; then a hundred more are counted.
async fn one_down(fleet: &mut Fleet) -> Row {
    let load = fleet.load(8);
    load.more(100).await;
    fleet.kill(2);
    load.more(200).await;
    let during = load.finish().await;
    let mut after = fleet.calls(100, 1).await;
    after.failures.extend(during.failures);
    spread(
        "5. one killed with -9 under load, then 100 calls",
        [50, 50, 0],
        2,
        &after,
    )
}

/// Redis, which rings the workers, is killed and comes back; requests are posted before, meanwhile and after.
async fn queue_down() -> Row {
    let mut redis = RedisServer::start().await;
    let origin = Origin::start().await;
    let host = Host::start_with(HostOptions::default().with(&["--redis", &redis.url()])).await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let mut ids = Vec::new();
    let mut accepted_meanwhile = 0;
    for phase in 0..3 {
        match phase {
            1 => redis.kill(),
            2 => redis.restart().await,
            _ => {}
        }
        for number in 0..20 {
            let url = origin.url(&format!("/odd/plain?n={phase}-{number}"));
            let body = json!({"request_url": url, "type": 1});
            let answer = node.post("/receive_data", &body).await;
            if answer.status == 202 {
                ids.push(
                    answer.json()["data"]["message_id"]
                        .as_i64()
                        .expect("a message id"),
                );
                accepted_meanwhile += u64::from(phase == 1);
            }
        }
    }
    let mut done = 0;
    for id in &ids {
        let ended = || async {
            let status = node.message(*id).await["status"].clone();
            (status == "done" || status == "failed").then_some(status)
        };
        let what = "every accepted request comes to an end";
        let status = eventually(what, 3 * DEADLINE, ended).await;
        done += u64::from(status == "done");
    }
    Row {
        what: "6. Redis killed and restarted, 20 requests before, meanwhile and after",
        expected: "60 accepted (20 meanwhile), 60 done".to_owned(),
        measured: format!(
            "{} accepted ({accepted_meanwhile} meanwhile), {done} done",
            ids.len()
        ),
        is_as_expected: (ids.len(), accepted_meanwhile, done) == (60, 20, 60),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table =
        String::from("| experiment | expected | measured | |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let verdict = if row.is_as_expected {
            "as expected"
        } else {
            "**not as expected**"
        };
        table += &format!(
            "| {} | {} | {} | {verdict} |\n",
            row.what, row.expected, row.measured
        );
    }
    table
}

/// Puts the table into the place of the one that stands in the README.
fn record(table: &str) {
    const BEGIN: &str = "<!-- experiments -->\n";
    const END: &str = "<!-- end of experiments -->";
    let path = workspace_root().join("infra/balance/README.md");
    let text = std::fs::read_to_string(&path).expect("the README can be read");
    let (before, rest) = text.split_once(BEGIN).expect("the README marks the place");
    let (_, after) = rest.split_once(END).expect("the README marks its end");
    std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))
        .expect("the README can be written");
}
