//! What the host counts, for `/balance` and `/metrics`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::doorbell::lane::Lane;
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
    /// Messages that did not fit into its queue.
    pub(crate) dropped: AtomicU64,
    /// Instances made.
    pub(crate) instances: AtomicU64,
    /// Instances that have requests, or work after an answer.
    pub(crate) busy: AtomicUsize,
}

/// Everything that is shown.
pub(crate) struct HostFigures {
    /// The components.
    pub(crate) parts: Vec<Arc<Part>>,
    /// Their lanes.
    pub(crate) lanes: Vec<Arc<Lane>>,
    /// The client to the web.
    pub(crate) client: trawl_outbound::Client,
}

/// Names, help and readers of the numbers of one component.
type Column = (
    &'static str,
    &'static str,
    &'static str,
    fn(&PartFigures) -> u64,
);

const COLUMNS: [Column; 6] = [
    (
        "requests",
        "counter",
        "HTTP requests that reached a component",
        |f| f.requests.load(Relaxed),
    ),
    (
        "invocations",
        "counter",
        "Messages that a component was called for",
        |f| f.invocations.load(Relaxed),
    ),
    (
        "failures",
        "counter",
        "Requests and messages that failed in a component",
        |f| f.failures.load(Relaxed),
    ),
    (
        "dropped",
        "counter",
        "Messages that found the queue full",
        |f| f.dropped.load(Relaxed),
    ),
    ("instances", "counter", "Instances made for HTTP", |f| {
        f.instances.load(Relaxed)
    }),
    ("busy", "gauge", "HTTP instances with work", |f| {
        f.busy.load(Relaxed) as u64
    }),
];

impl trawl_balance::Figures for HostFigures {
    fn json(&self) -> Value {
        let parts: serde_json::Map<String, Value> = self
            .parts
            .iter()
            .map(|part| {
                let numbers = COLUMNS
                    .iter()
                    .map(|(name, _, _, read)| ((*name).to_owned(), json!(read(&part.figures))));
                (part.id.to_string(), Value::Object(numbers.collect()))
            })
            .collect();
        let outbound = self.client.stats();
        json!({
            "components": parts,
            "running_invocations": self.lanes.iter().map(|lane| lane.running()).sum::<usize>(),
            "outbound": {
                "requests": outbound.requests,
                "connections_open": outbound.connections_open,
                "connections_idle": outbound.connections_idle,
                "prohibited": outbound.prohibited,
            },
        })
    }

    fn prometheus(&self, out: &mut String) {
        for (name, kind, help, read) in COLUMNS {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let _ = writeln!(
                out,
                "# HELP trawl_component_{name}{suffix} {help}\n# TYPE trawl_component_{name}{suffix} {kind}"
            );
            for part in &self.parts {
                let _ = writeln!(
                    out,
                    "trawl_component_{name}{suffix}{{component=\"{}\"}} {}",
                    part.id,
                    read(&part.figures)
                );
            }
        }
        let outbound = self.client.stats();
        for (name, value) in [
            ("requests_total", outbound.requests),
            ("connections_opened_total", outbound.connections_opened),
            ("connections_reused_total", outbound.connections_reused),
            ("prohibited_total", outbound.prohibited),
            ("connections_open", outbound.connections_open as u64),
        ] {
            let kind = if name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            let _ = writeln!(
                out,
                "# TYPE trawl_outbound_{name} {kind}\ntrawl_outbound_{name} {value}"
            );
        }
    }
}
