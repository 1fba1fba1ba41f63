//! Other services and hosts, driven over the same pages. Each is found on PATH; one that is absent is listed as absent.

mod hosts;
mod scrapy;
mod servers;

use std::time::Instant;

pub(crate) use hosts::{spin_up, wasmtime_serve};

use crate::process::is_on_path;
use crate::scenario::{JOBS, Pages};
use crate::table::Table;

/// The same component under `wasmtime serve`.
pub(crate) const WASMTIME: &str = "wasmtime serve, the same component, 64 connections";
/// The same component under `spin up`.
pub(crate) const SPIN: &str = "spin up, the same component, 64 connections";
/// Jobs of one URL, to their end.
pub(crate) const PAGESIFT: &str = "pagesift, jobs of one URL";
/// The same, until they were accepted: beside the work on them.
pub(crate) const PAGESIFT_ACCEPTED: &str = "pagesift, jobs of one URL, accepted meanwhile";
/// The same with what our type 2 gives.
pub(crate) const PAGESIFT_HTML: &str = "pagesift, jobs of one URL, HTML";
/// The same with about what our type 3 gives.
pub(crate) const PAGESIFT_LINKS: &str = "pagesift, jobs of one URL, links";
const PAGESIFT_SYNC: &str = "pagesift, synchronous pages";
const CRW: &str = "crw-server, synchronous pages";
const SCRAPY: &str = "scrapy, pages";

/// What our jobs are compared with.
pub(crate) const RIVALS: [(&str, &str); 4] = [
    ("pagesift jobs", PAGESIFT),
    ("pagesift synchronous", PAGESIFT_SYNC),
    ("crw-server", CRW),
    ("scrapy", SCRAPY),
];

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

/// What the peers' turns gave. One that fails is left out from then on, with a note: its trouble is not ours.
#[derive(Default)]
pub(crate) struct Peers {
    /// Of each figure, in the order of their first turn.
    rates: Vec<(&'static str, &'static str, Vec<f64>)>,
    failed: Vec<(&'static str, String)>,
}

impl Peers {
    /// One turn of each peer that is on PATH.
    pub(crate) async fn take_turns(&mut self, pages: &Pages) {
        if self.is_in("pagesift") {
            self.keep("pagesift", servers::pagesift(pages).await);
        }
        if self.is_in("crw-server") {
            let rate = servers::crw(pages).await;
            self.keep("crw-server", rate.map(|rate| vec![(CRW, "jobs/s", rate)]));
        }
        if self.is_in("scrapy") {
            let rate = scrapy::rate(&pages.urls(0..JOBS)).await;
            self.keep("scrapy", rate.map(|rate| vec![(SCRAPY, "jobs/s", rate)]));
        }
    }

    fn is_in(&self, peer: &str) -> bool {
        is_on_path(peer) && !self.failed.iter().any(|(failed, _)| *failed == peer)
    }

    fn keep(
        &mut self,
        peer: &'static str,
        turn: anyhow::Result<Vec<(&'static str, &'static str, f64)>>,
    ) {
        match turn {
            Ok(turn) => {
                for (figure, unit, rate) in turn {
                    match self.rates.iter_mut().find(|(name, ..)| *name == figure) {
                        Some((.., rates)) => rates.push(rate),
                        None => self.rates.push((figure, unit, vec![rate])),
                    }
                }
            }
            Err(error) => self.failed.push((peer, format!("{error:#}"))),
        }
    }

    /// Adds their figures, and a note for each that failed.
    pub(crate) fn add_to(self, table: &mut Table) {
        for (figure, unit, rates) in self.rates {
            table.add(figure, unit, rates);
        }
        for (peer, error) in self.failed {
            table.note(format!("{peer} could not be measured to the end: {error}"));
        }
    }
}

fn per_second(count: usize, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64()
}
