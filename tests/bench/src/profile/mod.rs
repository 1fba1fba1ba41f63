//! `make profile SCENARIO=…`: a flame graph of the host under one scenario, and its costs as a list.
//!
//! With `perf` when it may be used: host, kernel and guests, by time. Without it the host samples its guests by itself, at
//! their own yield points: no more than their share among themselves can be read from that.

mod perf;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flame::{GUEST, guest};
use serde_json::json;
use trawl_kit::host::{Host, HostOptions};

use crate::load::closed_loop;
use crate::requests::{authority, get, log_in, post};
use crate::scenario::{Pages, WORK, job_pass};

/// Lines of the list of costs.
const LISTED: usize = 25;
/// Jobs posted at once.
const JOBS: usize = 1_000;

/// What to profile.
#[derive(clap::Args)]
pub(crate) struct Profile {
    /// hello, accept, or a kind of job.
    #[arg(long, default_value = "job-1-fast", value_parser = ["hello", "accept", "job-1-fast", "job-1-best", "job-2", "job-3"])]
    scenario: String,
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Sample the guests only, as where `perf` is not permitted.
    #[arg(long)]
    without_perf: bool,
}

/// Runs the scenario, samples the host meanwhile, and leaves `flame-SCENARIO.svg` in `folder`.
pub(crate) async fn run(options: &Profile, folder: &Path) -> anyhow::Result<()> {
    let with_perf = !options.without_perf && perf::is_allowed();
    if !with_perf {
        println!("perf is not here or not permitted: guests only, sampled by the host");
    }
    let folded = folder.join("guests.folded");
    let strategy = if with_perf { "perfmap" } else { "guests" };
    let mut host = Host::start_with(HostOptions {
        environment: vec![
            ("TRAWL_PROFILE".to_owned(), strategy.to_owned()),
            (
                "TRAWL_PROFILE_FILE".to_owned(),
                folded.display().to_string(),
            ),
        ],
        ..quiet(&options.scenario)
    })
    .await;
    let time = Duration::from_secs(options.seconds.max(1));
    let data = folder.join("perf.data");
    let sampling = async {
        if with_perf {
            perf::record(host.pid(), time, &data).await
        } else {
            tokio::time::sleep(time).await;
            Ok(())
        }
    };
    tokio::select! {
        done = sampling => done?,
        failed = load(&options.scenario, host.base()) => failed?,
    }
    let stacks = if with_perf {
        perf::stacks(&data)?
    } else {
        host.terminate(Duration::from_secs(20)).await;
        read_folded(&folded)?
    };
    let file = folder.join(format!("flame-{}.svg", options.scenario));
    std::fs::write(&file, flame::svg(&options.scenario, &stacks))?;
    list(&stacks);
    println!("\n{}", file.display());
    Ok(())
}

/// As in the scenario of that name: nothing is fetched while requests are only accepted.
fn quiet(scenario: &str) -> HostOptions {
    if scenario.starts_with("job") {
        return HostOptions::default();
    }
    HostOptions::default()
        .variable("stopping", "1")
        .with(&["--doorbell", "off"])
}

/// Goes on until the sampling is over.
async fn load(scenario: &str, base: &str) -> anyhow::Result<()> {
    let (at, node) = (authority(base), log_in(base).await);
    let kind = WORK.into_iter().find(|work| {
        scenario == format!("job-{}", work.kind)
            || scenario == format!("job-{}-{}", work.kind, work.mode)
    });
    if let Some(kind) = kind {
        let pages = Pages::serve().await;
        loop {
            job_pass(&node, &pages, kind, 0..JOBS).await?;
        }
    }
    let hello = scenario == "hello";
    let wanted = if hello { 200 } else { 202 };
    let host = at.clone();
    let make = move |n| {
        if hello {
            return get(&host, "/test_endpoint");
        }
        let url = format!("http://127.0.{}.{}:9/{n}", n / 250 % 250, 1 + n % 250);
        post(&node, json!({"request_url": url, "type": 1}).to_string())
    };
    closed_loop(&at, 64, u64::from(u32::MAX), wanted, make).await?;
    Ok(())
}

/// What the host wrote: a stack, a blank, a count.
fn read_folded(file: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(file)?;
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    Ok(lines
        .filter_map(|(stack, count)| Some((readable(stack), count.parse().ok()?)))
        .collect())
}

/// Frames of guests with their names as they stand in the source.
fn readable(stack: &str) -> String {
    let frames = stack
        .split(';')
        .map(|frame| match frame.strip_prefix(GUEST) {
            Some(name) => guest(name),
            None => frame.to_owned(),
        });
    frames.collect::<Vec<_>>().join(";")
}

/// Whose work the innermost frame is: a guest's crate, the system's, the database's, or a crate of the host.
fn part(stack: &str) -> String {
    let thread = stack.split(';').next().unwrap_or_default();
    let leaf = stack.rsplit(';').next().unwrap_or_default();
    let of = |name: &str| match name.trim_start_matches(['<', '&']).split_once("::") {
        Some((owner, _)) => owner.to_owned(),
        None => "C".to_owned(),
    };
    if let Some(name) = leaf.strip_prefix(GUEST) {
        format!("guests: {}", of(name))
    } else if leaf.ends_with("_[k]") {
        format!("system, for {thread}")
    } else if thread.starts_with("sqlite") {
        thread.to_owned()
    } else {
        format!("host: {}", of(leaf))
    }
}

/// The functions that most of the time was spent in, and the threads.
fn list(stacks: &BTreeMap<String, u64>) {
    let all: u64 = stacks.values().sum();
    let (mut selves, mut threads) = (BTreeMap::new(), BTreeMap::new());
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, count) in stacks {
        *parts.entry(part(stack)).or_insert(0) += count;
        *selves
            .entry(stack.rsplit(';').next().unwrap_or_default())
            .or_insert(0) += count;
        *threads
            .entry(stack.split(';').next().unwrap_or_default())
            .or_insert(0) += count;
    }
    let parts = parts
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    let lists = [
        ("thread", threads),
        ("part", parts),
        ("function, itself", selves),
    ];
    for (title, costs) in lists {
        println!("\n| share | {title} |\n| ---: | --- |");
        let mut costs: Vec<(&str, u64)> = costs.into_iter().collect();
        costs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (name, count) in costs.into_iter().take(LISTED) {
            println!(
                "| {:.1} % | {name} |",
                100.0 * count as f64 / all.max(1) as f64
            );
        }
    }
}
