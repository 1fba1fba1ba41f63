//! What the host counts, for `/balance` and `/metrics`.

pub(crate) mod database;
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use trawl_balance::exposition::{Exposition, Kind, number};
use trawl_sqlite::Database;

use crate::doorbell::lane::Lane;
use crate::failure;
use crate::part::Part;

/// What one component has done, in all replicas.
#[derive(Debug, Default)]
pub(crate) struct PartFigures {
    /// HTTP requests that reached it.
    pub(crate) requests: AtomicU64,
    /// Messages that it was called for.
    pub(crate) invocations: AtomicU64,
    /// Requests and messages that failed in it: traps, errors, time.
    pub(crate) failures: AtomicU64,
    /// Failures in which the guest itself broke.
    pub(crate) traps: AtomicU64,
    /// Costly requests that were refused because too many waited.
    pub(crate) refused: AtomicU64,
    /// Messages that did not fit into its queue, or found no replica.
    pub(crate) dropped: AtomicU64,
    /// Instances made, for requests and for messages.
    pub(crate) instances: AtomicU64,
    /// Instances that are there now.
    pub(crate) alive: AtomicUsize,
    /// HTTP instances that have requests, or work after an answer.
    pub(crate) busy: AtomicUsize,
}

impl PartFigures {
    /// Counts an instance that ended with an error.
    pub(crate) fn failed(&self, error: &wasmtime::Error) {
        self.failures.fetch_add(1, Relaxed);
        if failure::is_trap(error) {
            self.traps.fetch_add(1, Relaxed);
        }
    }
}

/// Counts an instance among those that are there, until it is dropped.
pub(crate) struct Alive(Arc<PartFigures>);

impl Alive {
    /// One more.
    pub(crate) fn new(figures: &Arc<PartFigures>) -> Self {
        figures.instances.fetch_add(1, Relaxed);
        figures.alive.fetch_add(1, Relaxed);
        Self(Arc::clone(figures))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Relaxed);
    }
}

/// Everything that is shown.
pub(crate) struct HostFigures {
    /// The components.
    pub(crate) parts: Vec<Arc<Part>>,
    /// Their lanes.
    pub(crate) lanes: Vec<Arc<Lane>>,
    /// The client to the web.
    pub(crate) client: trawl_outbound::Client,
    /// The database.
    pub(crate) database: Database,
}

/// Names, kinds, help and readers of the numbers of one component.
type Column = (&'static str, Kind, &'static str, fn(&PartFigures) -> u64);

const COLUMNS: [Column; 9] = [
    (
        "requests_total",
        Kind::Counter,
        "HTTP requests that reached a component.",
        |f| f.requests.load(Relaxed),
    ),
    (
        "invocations_total",
        Kind::Counter,
        "Messages that a component was called for.",
        |f| f.invocations.load(Relaxed),
    ),
    (
        "failures_total",
        Kind::Counter,
        "Requests and messages that failed in a component, traps included.",
        |f| f.failures.load(Relaxed),
    ),
    (
        "traps_total",
        Kind::Counter,
        "Instances that ended in a trap.",
        |f| f.traps.load(Relaxed),
    ),
    (
        "refused_total",
        Kind::Counter,
        "Costly requests that were refused because too many waited.",
        |f| f.refused.load(Relaxed),
    ),
    (
        "dropped_total",
        Kind::Counter,
        "Messages that found the queue of a component full, or no replica.",
        |f| f.dropped.load(Relaxed),
    ),
    ("instances_total", Kind::Counter, "Instances made.", |f| {
        f.instances.load(Relaxed)
    }),
    (
        "instances",
        Kind::Gauge,
        "Instances that are there now.",
        |f| f.alive.load(Relaxed) as u64,
    ),
    (
        "instances_busy",
        Kind::Gauge,
        "HTTP instances that have work now.",
        |f| f.busy.load(Relaxed) as u64,
    ),
];

impl HostFigures {
    fn components(&self, out: &mut Exposition) {
        for (name, kind, help, read) in COLUMNS {
            let name = format!("component_{name}");
            let mut family = out.family(&name, kind, help);
            for part in &self.parts {
                family.sample(&[("component", &*part.id)], number(read(&part.figures)));
            }
        }
        let mut waiting = out.family(
            "component_requests_waiting",
            Kind::Gauge,
            "Costly requests that wait for their turn now.",
        );
        for part in &self.parts {
            if let Some(costly) = &part.costly {
                waiting.sample(&[("component", &*part.id)], number(costly.waiting() as u64));
            }
        }
        let mut queued = out.family(
            "component_messages_queued",
            Kind::Gauge,
            "Messages that wait for a component now.",
        );
        for lane in &self.lanes {
            queued.sample(
                &[("component", lane.component())],
                number(lane.queued() as u64),
            );
        }
        let mut running = out.family(
            "component_invocations_running",
            Kind::Gauge,
            "Invocations by message that run now.",
        );
        for lane in &self.lanes {
            running.sample(
                &[("component", lane.component())],
                number(lane.running() as u64),
            );
        }
    }

    fn outbound(&self, out: &mut Exposition) {
        let pool = self.client.stats();
        let figures = [
            (
                "requests_total",
                Kind::Counter,
                "Requests sent to the web, repeats not counted.",
                pool.requests,
            ),
            (
                "retries_total",
                Kind::Counter,
                "Requests sent again because an idle connection had died.",
                pool.retries,
            ),
            (
                "connections_opened_total",
                Kind::Counter,
                "Connections to the web that were opened.",
                pool.connections_opened,
            ),
            (
                "connections_reused_total",
                Kind::Counter,
                "Requests that went over a connection of an earlier one.",
                pool.connections_reused,
            ),
            (
                "lookups_total",
                Kind::Counter,
                "Names that were looked up.",
                pool.lookups,
            ),
            (
                "prohibited_total",
                Kind::Counter,
                "Requests refused for their address.",
                pool.prohibited,
            ),
            (
                "connections",
                Kind::Gauge,
                "Connections to the web that are open now.",
                pool.connections_open as u64,
            ),
            (
                "connections_idle",
                Kind::Gauge,
                "Connections to the web that are idle now, over HTTP/1.1 or HTTP/2.",
                pool.connections_idle as u64,
            ),
        ];
        for (name, kind, help, value) in figures {
            out.family(&format!("outbound_{name}"), kind, help)
                .sample(&[], number(value));
        }
    }
}

impl trawl_balance::Figures for HostFigures {
    fn json(&self) -> BoxFuture<'_, Value> {
        let parts: serde_json::Map<String, Value> = self
            .parts
            .iter()
            .map(|part| {
                let numbers = COLUMNS.iter().map(|(name, _, _, read)| {
                    let name = name.trim_end_matches("_total").to_owned();
                    (name, *read)
                });
                let mut object = serde_json::Map::new();
                for (name, read) in numbers {
                    // Of a count and a gauge of one name the count is what was made in all.
                    object
                        .entry(name)
                        .or_insert_with(|| json!(read(&part.figures)));
                }
                object.insert(
                    "instances_now".to_owned(),
                    json!(part.figures.alive.load(Relaxed)),
                );
                (part.id.to_string(), Value::Object(object))
            })
            .collect();
        let outbound = self.client.stats();
        Box::pin(async move {
            json!({
                "components": parts,
                "running_invocations": self.lanes.iter().map(|lane| lane.running()).sum::<usize>(),
                "queued_messages": self.lanes.iter().map(|lane| lane.queued()).sum::<usize>(),
                "outbound": {
                    "requests": outbound.requests,
                    "connections_open": outbound.connections_open,
                    "connections_idle": outbound.connections_idle,
                    "prohibited": outbound.prohibited,
                },
                "database": database::json(&self.database),
                "queues": database::queues_json(&self.database).await,
            })
        })
    }

    fn prometheus<'a>(&'a self, out: &'a mut Exposition) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.components(out);
            self.outbound(out);
            database::prometheus(&self.database, out).await;
            process::prometheus(out);
        })
    }
}
