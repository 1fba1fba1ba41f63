//! What a claim costs against the rows that wait: the statement itself, each undone, in a file without flushes. Once with hosts that want no
//! pause, where it is cheapest, and once with the pause that a host has by default, where each claim hands out its host's next row too.

use std::time::Instant;

use anyhow::ensure;
use futures::executor::block_on;
use rusqlite::Connection;
use trawl_conformance::Memory;
use trawl_core::ids::AccountId;
use trawl_core::limits::queue::{HOST_GAP_MS, HOST_IN_FLIGHT_MAX};
use trawl_core::state::{Kind, Mode};
use trawl_store::{NewMessage, QueueLimits, Store};

use super::Plan;
use crate::table::Table;

/// Jobs of one claim, as a scraper asks for.
const CLAIMED: u32 = 16;
/// A thousand rows.
pub(crate) const FEWEST: &str = "claim of 16, fewest rows waiting (1,000)";
const SOME: &str = "claim of 16, more rows waiting (100,000)";
/// A million, in the short version fifty thousand.
pub(crate) const MOST: &str = "claim of 16, most rows waiting (1,000,000; short version 50,000)";
/// The same with the usual pause of a host.
pub(crate) const FEWEST_PACED: &str = "claim of 16, hosts with their usual pause, 1,000 waiting";
const SOME_PACED: &str = "claim of 16, hosts with their usual pause, 100,000 waiting";
pub(crate) const MOST_PACED: &str = "claim of 16, hosts with their usual pause, 1,000,000 waiting";
/// Claims measured in each repeat.
const CLAIMS: usize = 100;

pub(crate) fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    if plan.short {
        return against(0, &[(FEWEST, 1_000), (MOST, 50_000)], plan, table);
    }
    let sizes = [(FEWEST, 1_000), (SOME, 100_000), (MOST, 1_000_000)];
    against(0, &sizes, plan, table)?;
    let sizes = [
        (FEWEST_PACED, 1_000),
        (SOME_PACED, 100_000),
        (MOST_PACED, 1_000_000),
    ];
    against(HOST_GAP_MS, &sizes, plan, table)
}

fn against(
    host_gap_ms: u64,
    sizes: &[(&str, u64)],
    plan: &Plan,
    table: &mut Table,
) -> anyhow::Result<()> {
    let limits = QueueLimits {
        tenant_max: u64::MAX >> 1,
        total_max: u64::MAX >> 1,
        host_in_flight_max: HOST_IN_FLIGHT_MAX,
        host_gap_ms,
    };
    let folder = tempfile::tempdir()?;
    let connection = Connection::open(folder.path().join("claim.db"))?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY")?;
    let database = Memory::over(connection);
    block_on(Store::new(&database).migrate())?;
    let mut filled = 0;
    for &(name, rows) in sizes {
        fill(&database, &limits, filled, rows)?;
        filled = rows;
        let times = (0..plan.repeats).map(|_| claim_us(&database));
        table.add(name, "us", times.collect::<anyhow::Result<_>>()?);
    }
    Ok(())
}

/// Nine of ten rows are one tenant's, and nine of ten of those are on one busy host.
fn request(index: u64) -> anyhow::Result<NewMessage> {
    let noisy = !index.is_multiple_of(10);
    let tenant = if noisy { 1 } else { 2 + index / 10 % 50 };
    let host = if noisy && index % 100 < 90 {
        "busy.example".to_owned()
    } else {
        format!("h{}.example", index % 5_000)
    };
    Ok(NewMessage {
        tenant: AccountId(i64::try_from(tenant)?),
        user_label: None,
        request_url: format!("https://{host}/some/where/page-{index}.html"),
        host,
        kind: Kind::Text,
        callback_url: Some("https://node.example/callback".to_owned()),
        priority: 5,
        mode: Mode::Best,
        selector: None,
        max_age_s: None,
        idem_key: None,
        body_digest: [7; 32],
        replica: None,
    })
}

fn fill(database: &Memory, limits: &QueueLimits, from: u64, to: u64) -> anyhow::Result<()> {
    let store = Store::new(database);
    for block in (from..to).step_by(1_000) {
        database.execute("BEGIN IMMEDIATE", vec![])?;
        for index in block..(block + 1_000).min(to) {
            block_on(store.submit(&request(index)?, limits))?;
        }
        database.execute("COMMIT", vec![])?;
    }
    Ok(())
}

fn claim_us(database: &Memory) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..CLAIMS {
        database.execute("BEGIN IMMEDIATE", vec![])?;
        let begun = Instant::now();
        let claimed = block_on(Store::new(database).claim(Kind::Text, CLAIMED, "bench", 60))?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        database.execute("ROLLBACK", vec![])?;
        ensure!(
            claimed.len() == CLAIMED as usize,
            "claimed {}",
            claimed.len()
        );
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
