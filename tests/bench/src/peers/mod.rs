//! Other services and hosts, driven over the same pages. Each is found on PATH; one that is absent is listed as absent.

mod hosts;
mod scrapy;
mod servers;

use std::time::Instant;

pub(crate) use hosts::{spin_up, wasmtime_serve};

use crate::process::is_on_path;
use crate::scenario::Pages;
use crate::table::Table;

/// The same component under `wasmtime serve`.
pub(crate) const WASMTIME: &str = "wasmtime serve, the same component, 64 connections";
/// The same component under `spin up`.
pub(crate) const SPIN: &str = "spin up, the same component, 64 connections";
/// Jobs of one URL, to their end.
pub(crate) const PAGESIFT: &str = "pagesift, jobs of one URL";
/// The same, until they were accepted.
pub(crate) const PAGESIFT_ACCEPTED: &str = "pagesift, jobs accepted, 64 connections";
const PAGESIFT_SYNC: &str = "pagesift, synchronous pages";
const CRW: &str = "crw-server, synchronous pages";
const SCRAPY: &str = "scrapy, pages";

/// What our jobs are compared with.
pub(crate) const JOBS: [(&str, &str); 4] = [
    ("pagesift jobs", PAGESIFT),
    ("pagesift synchronous", PAGESIFT_SYNC),
    ("crw-server", CRW),
    ("scrapy", SCRAPY),
];

/// Pages that a peer is given in one measurement.
const PAGES: usize = 1_500;

/// The peers that are not on PATH.
pub(crate) fn absent() -> Vec<&'static str> {
    [
        "nginx",
        "pagesift",
        "crw-server",
        "scrapy",
        "wasmtime",
        "spin",
    ]
    .into_iter()
    .filter(|program| !is_on_path(program))
    .collect()
}

/// Every peer's pages per second. One that fails is left out, with a note: its trouble is not ours.
pub(crate) async fn jobs(repeats: usize, pages: &Pages, table: &mut Table) -> anyhow::Result<()> {
    let urls: Vec<String> = (0..PAGES).map(|n| pages.url(n)).collect();
    let present = |program| is_on_path(program);
    if present("pagesift") {
        let rates = servers::pagesift(repeats, &urls).await;
        note_or(table, "pagesift", rates, |table, rates| {
            table.add(PAGESIFT_SYNC, "jobs/s", rates.synchronous);
            table.add(PAGESIFT, "jobs/s", rates.jobs);
            table.add(PAGESIFT_ACCEPTED, "accepted/s", rates.accepted);
        });
    }
    if present("crw-server") {
        let rates = servers::crw(repeats, &urls).await;
        note_or(table, "crw-server", rates, |table, rates| {
            table.add(CRW, "jobs/s", rates)
        });
    }
    if present("scrapy") {
        let rates = scrapy::rates(repeats, &urls).await;
        note_or(table, "scrapy", rates, |table, rates| {
            table.add(SCRAPY, "jobs/s", rates)
        });
    }
    Ok(())
}

fn note_or<T>(
    table: &mut Table,
    peer: &str,
    outcome: anyhow::Result<T>,
    add: impl FnOnce(&mut Table, T),
) {
    match outcome {
        Ok(rates) => add(table, rates),
        Err(error) => table.note(format!("{peer} could not be measured: {error:#}")),
    }
}

fn per_second(count: usize, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64()
}
