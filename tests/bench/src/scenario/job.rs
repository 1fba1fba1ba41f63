//! Whole jobs: accepted, fetched, extracted, stored, and called back with a signature that the receiver verified.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use trawl_kit::api::Node;
use trawl_kit::host::Host;
use trawl_kit::origin::Origin;
use trawl_kit::pages::{book_pages, pages_of, rust_docs};
use trawl_kit::receiver::Receiver;
use trawl_kit::tls::Authority;

use super::Plan;
use crate::load::{connect, once};
use crate::native;
use crate::peers::Peers;
use crate::process::cpu_seconds;
use crate::requests::{authority, log_in, post};
use crate::table::Table;

/// Connections over which jobs are posted, to us and to the peers.
pub(crate) const CONNECTIONS: usize = 64;
/// Endpoints that are called: each takes a few callbacks at once.
const ENDPOINTS: usize = 16;
/// What is called every job's end.
const JOBS_MS_MAX: Duration = Duration::from_secs(180);

/// Jobs of one measurement, of ours and of the peers.
pub(crate) const JOBS: usize = 3_000;
/// The same in the short version.
const SHORT_JOBS: usize = 1_500;
/// Jobs that every service does before it is measured: it is a service that is compared, not its start.
pub(crate) const WARM_UP: usize = 500;

/// A kind of job.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// As in the table.
    pub(crate) name: &'static str,
    /// `type`.
    pub(crate) kind: u8,
    /// `mode`.
    pub(crate) mode: &'static str,
}

/// The kinds that are measured.
pub(crate) const WORK: [Work; 4] = [
    Work {
        name: "type 1 fast",
        kind: 1,
        mode: "fast",
    },
    Work {
        name: "type 1 best",
        kind: 1,
        mode: "best",
    },
    Work {
        name: "type 2",
        kind: 2,
        mode: "best",
    },
    Work {
        name: "type 3",
        kind: 3,
        mode: "best",
    },
];

/// Pages to be fetched: a host of its own for each, so that politeness does not bite.
pub(crate) struct Pages {
    origin: Origin,
    paths: Vec<String>,
}

impl Pages {
    /// Serves the pages of the Rust book on every loopback address.
    pub(crate) async fn serve() -> Self {
        Self {
            origin: Origin::start_on(([0, 0, 0, 0], 0).into()).await,
            paths: book_pages(&rust_docs()),
        }
    }

    /// Serves the pages of the Rustonomicon instead, by HTTP or over TLS: what is measured is to be new to what was built after them.
    pub(crate) async fn serve_others(authority: Option<&Authority>) -> Self {
        let everywhere = ([0, 0, 0, 0], 0).into();
        Self {
            origin: match authority {
                Some(authority) => Origin::start_over_tls(authority, everywhere).await,
                None => Origin::start_on(everywhere).await,
            },
            paths: pages_of(&rust_docs(), "nomicon"),
        }
    }

    /// The URLs of these pages.
    pub(crate) fn urls(&self, numbers: Range<usize>) -> Vec<String> {
        numbers.map(|n| self.url(n)).collect()
    }

    /// How often any host was asked for its robots.txt so far.
    pub(crate) fn robots_asked(&self) -> usize {
        self.origin.hits("/robots.txt")
    }

    /// The URL of the n-th page.
    pub(crate) fn url(&self, n: usize) -> String {
        let path = &self.paths[n % self.paths.len()];
        self.origin.url_on(&host(n), &format!("/doc/{path}"))
    }
}

/// The address that the n-th page has for its own.
pub(crate) fn host(n: usize) -> String {
    format!(
        "127.{}.{}.{}",
        1 + n / 62_500 % 250,
        1 + n / 250 % 250,
        1 + n % 250
    )
}

impl Work {
    /// The name of the figure.
    pub(crate) fn figure(self) -> String {
        format!("whole job, {}", self.name)
    }
}

/// Added to the name of a figure of the native program.
pub(crate) const NATIVE: &str = ", native";
/// Added to the name of a figure: processor time of one job in the service alone, without origin, receiver and load. Hardly
/// anything else on the machine moves it.
pub(crate) const CPU: &str = ", processor time of one";

/// Added to the name of a figure: how fast its jobs were accepted, over 64 connections, beside the work on them.
pub(crate) const ACCEPTED: &str = ", accepted meanwhile";

/// In each repeat it is everybody's turn: ours and the native program's, kind by kind, and the peers'. So a slow minute of the
/// machine is everybody's, and as everybody comes at another place each time, so is what a place does.
pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let pages = Pages::serve().await;
    let total = if plan.short { SHORT_JOBS } else { JOBS };
    let mut measured: Vec<Measured> = WORK
        .into_iter()
        .filter(|work| !plan.short || work.mode == "fast")
        .map(Measured::new)
        .collect();
    let mut peers = Peers::default();
    for turn in 0..plan.repeats {
        let peers_first = turn % 2 == 1;
        if !plan.short && peers_first {
            peers.take_turns(&pages).await;
        }
        for place in 0..measured.len() {
            let kind = (place + turn) % measured.len();
            measured[kind].take_turns(turn, &pages, total).await?;
        }
        if !plan.short && !peers_first {
            peers.take_turns(&pages).await;
        }
    }
    for Measured { work, ours, native } in measured {
        ours.add_to(table, &work.figure());
        native.add_to(table, &format!("{}{NATIVE}", work.figure()));
    }
    peers.add_to(table);
    Ok(())
}

/// A kind of job, and what repeats of it gave.
struct Measured {
    work: Work,
    ours: Rates,
    native: Rates,
}

impl Measured {
    fn new(work: Work) -> Self {
        Self {
            work,
            ours: Rates::default(),
            native: Rates::default(),
        }
    }

    async fn take_turns(&mut self, turn: usize, pages: &Pages, total: usize) -> anyhow::Result<()> {
        let is_odd = turn % 2 == 1;
        for native in [is_odd, !is_odd] {
            if native {
                let program = native::Child::start()?;
                let node = log_in(program.base()).await;
                self.native
                    .measure(program.pid(), &node, pages, self.work, total)
                    .await?;
            } else {
                let host = Host::start().await;
                let node = log_in(host.base()).await;
                self.ours
                    .measure(host.pid(), &node, pages, self.work, total)
                    .await?;
            }
        }
        Ok(())
    }
}

/// What repeats gave.
#[derive(Default)]
struct Rates {
    jobs: Vec<f64>,
    accepted: Vec<f64>,
    cpu_ms: Vec<f64>,
}

impl Rates {
    async fn measure(
        &mut self,
        pid: u32,
        node: &Node,
        pages: &Pages,
        work: Work,
        total: usize,
    ) -> anyhow::Result<()> {
        pass(node, pages, work, total..total + WARM_UP).await?;
        let (before, asked) = (cpu_seconds(pid)?, pages.robots_asked());
        let pass = pass(node, pages, work, 0..total).await?;
        let spent = cpu_seconds(pid)? - before;
        ensure!(
            pages.robots_asked() - asked >= total,
            "a page was fetched without asking for its host's robots.txt"
        );
        self.jobs.push(pass.done);
        self.accepted.push(pass.accepted);
        self.cpu_ms.push(spent * 1_000.0 / total as f64);
        Ok(())
    }

    fn add_to(self, table: &mut Table, figure: &str) {
        table.add(format!("{figure}{CPU}"), "ms", self.cpu_ms);
        table.add(format!("{figure}{ACCEPTED}"), "accepted/s", self.accepted);
        table.add(figure, "jobs/s", self.jobs);
    }
}

/// What one pass gave, each a second.
pub(crate) struct Pass {
    /// Posted and answered 202, beside the work on what was posted before.
    accepted: f64,
    /// Called back.
    done: f64,
}

/// Posts a job for each of these pages and waits until every one of them was called back.
pub(crate) async fn pass(
    node: &Node,
    pages: &Pages,
    work: Work,
    numbers: Range<usize>,
) -> anyhow::Result<Pass> {
    let total = numbers.len();
    let receiver = Receiver::start().await;
    receiver.add_secret(&node.webhook_secret().await);
    let bodies: Vec<String> = numbers
        .map(|n| {
            let callback = receiver.url(&format!("/hook{}", n % ENDPOINTS));
            json!({"user_Id": "bench", "request_url": pages.url(n), "type": work.kind, "mode": work.mode, "callback_url": callback}).to_string()
        })
        .collect();
    let started = Instant::now();
    post_all(node, &bodies).await?;
    let accepted = total as f64 / started.elapsed().as_secs_f64();
    trawl_kit::eventually("every job is called back", JOBS_MS_MAX, || async {
        (receiver.count() >= total).then_some(())
    })
    .await;
    let elapsed = started.elapsed().as_secs_f64();
    let received = receiver.received();
    ensure!(
        received.iter().all(|r| r.verified == Some(true)),
        "a signature does not verify"
    );
    ensure!(
        received.iter().all(|r| r.body["status"] == "OK"),
        "a job failed: {:?}",
        received.iter().find(|r| r.body["status"] != "OK")
    );
    Ok(Pass {
        accepted,
        done: total as f64 / elapsed,
    })
}

async fn post_all(node: &Node, bodies: &[String]) -> anyhow::Result<()> {
    let mut posting = Vec::new();
    for (number, lane) in bodies
        .chunks(bodies.len().div_ceil(CONNECTIONS))
        .enumerate()
    {
        let (node, lane) = (node.clone(), lane.to_vec());
        let mut sender = connect(&authority(&node.base), number).await?;
        posting.push(tokio::spawn(async move {
            for body in lane {
                let status = once(&mut sender, post(&node, body)).await?;
                ensure!(status == 202, "answered {status}");
            }
            Ok(())
        }));
    }
    for task in posting {
        task.await??;
    }
    Ok(())
}
