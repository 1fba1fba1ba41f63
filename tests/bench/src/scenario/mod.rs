//! The scenarios, a file each.

mod accept;
mod balance;
mod claim;
mod hello;
mod job;
mod latency;
mod memory;
mod mixed;
mod pages;
mod start;

pub(crate) use job::{CONNECTIONS, JOBS, Pages, WARM_UP, WORK, host as job_host, pass as job_pass};

use crate::peers;
use crate::table::Table;

/// What to run, and how long.
pub(crate) struct Plan {
    /// One scenario only.
    pub(crate) only: Option<String>,
    /// Repeats of each measurement.
    pub(crate) repeats: usize,
    /// Seconds of each.
    pub(crate) seconds: u64,
    /// The short version for CI: without peers, and only the ratios that are recorded.
    pub(crate) short: bool,
}

impl Plan {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
            && (!self.short || SHORT.contains(&name))
    }
}

/// All scenarios, in the order in which they run.
pub(crate) const ALL: [&str; 10] = [
    "hello", "balance", "accept", "job", "latency", "mixed", "claim", "memory", "start", "pages",
];
/// What a claim costs with few rows waiting, over what it costs with many: 1 when their number does not matter.
pub(crate) const FLATNESS: &str = "claim flatness (fewest rows / most rows)";
/// Those of the short version: their ratios depend on no peer.
const SHORT: [&str; 3] = ["accept", "job", "claim"];

/// Runs the plan. With the first failure, if there was one: what the other scenarios measured is not lost for it.
pub(crate) async fn run(plan: &Plan) -> (Table, Option<anyhow::Error>) {
    let mut table = Table::default();
    let mut failed = None;
    for name in ALL.into_iter().filter(|name| plan.wants(name)) {
        eprintln!("# {name}");
        let measured = match name {
            "hello" => hello::run(plan, &mut table).await,
            "balance" => balance::run(plan, &mut table).await,
            "accept" => accept::run(plan, &mut table).await,
            "job" => job::run(plan, &mut table).await,
            "latency" => latency::run(plan, &mut table).await,
            "mixed" => mixed::run(plan, &mut table).await,
            "claim" => claim::run(plan, &mut table),
            "memory" => memory::run(plan, &mut table).await,
            "pages" => pages::run(plan, &mut table),
            _ => start::run(plan, &mut table).await,
        };
        if let Err(error) = measured {
            table.note(format!("The scenario {name} failed: {error:#}"));
            failed.get_or_insert(error);
        }
    }
    ratios(&mut table);
    if !plan.short {
        let absent = peers::absent();
        if !absent.is_empty() {
            table.note(format!("Absent on this machine: {}.", absent.join(", ")));
        }
    }
    (table, failed)
}

/// Ratios between figures of several scenarios, with the targets.
fn ratios(table: &mut Table) {
    use {accept::ACCEPT, hello::HELLO, job::NATIVE, peers::PAGESIFT};
    table.ratio("hello / wasmtime serve", HELLO, peers::WASMTIME, Some(0.9));
    table.ratio("hello / spin", HELLO, peers::SPIN, Some(2.0));
    table.ratio("hello / nginx constant", HELLO, hello::NGINX, None);
    balance::ratios(table);
    table.ratio("accept / hello", ACCEPT, accept::BESIDE, Some(0.35));
    table.ratio(
        "accept / raw SQLite, one commit a row",
        ACCEPT,
        accept::RAW,
        None,
    );
    let fast = WORK[0].figure();
    table.ratio(
        "accepted beside the work / pagesift",
        &format!("{fast}{}", job::ACCEPTED),
        peers::PAGESIFT_ACCEPTED,
        Some(8.0),
    );
    table.ratio("accept / pagesift jobs", ACCEPT, PAGESIFT, None);
    for work in WORK {
        let (ours, native) = (work.figure(), format!("{}{NATIVE}", work.figure()));
        table.ratio(
            format!("job / native, {}", work.name),
            &ours,
            &native,
            Some(0.6),
        );
        // Upside down, so that more is better.
        table.ratio(
            format!("processor time, native / job, {}", work.name),
            &format!("{native}{}", job::CPU),
            &format!("{ours}{}", job::CPU),
            None,
        );
        let ahead = match (work.kind, work.mode) {
            (1, "fast") => Some(1.3),
            (1, _) => None,
            _ => Some(2.5),
        };
        for (peer, figure) in peers::RIVALS {
            let aim = ahead.filter(|_| figure == PAGESIFT);
            table.ratio(format!("job / {peer}, {}", work.name), &ours, figure, aim);
        }
        let alike = match work.kind {
            2 => peers::PAGESIFT_HTML,
            3 => peers::PAGESIFT_LINKS,
            _ => continue,
        };
        table.ratio(
            format!("job / pagesift jobs of that kind, {}", work.name),
            &ours,
            alike,
            None,
        );
    }
    // At most twice as much.
    table.ratio(FLATNESS, claim::FEWEST, claim::MOST, Some(0.5));
    table.ratio(
        "claim flatness, hosts with their usual pause",
        claim::FEWEST_PACED,
        claim::MOST_PACED,
        Some(0.5),
    );
    // Upside down, so that more is better as everywhere.
    table.ratio(
        "memory idle / a minute after load",
        memory::IDLE,
        memory::AFTER,
        Some(1.0 / 1.5),
    );
}
