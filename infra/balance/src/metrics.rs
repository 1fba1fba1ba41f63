//! The balancer's figures, as JSON and in the Prometheus text format (version 0.0.4).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::{
    balancer::Balancer,
    clock::Clock,
    exposition::{Exposition, Kind, number},
    fleet::{Fleet, Slot},
    health::Standing,
    histogram::Histogram,
    replica::Counts,
    strategy::RAMP_FULL,
};

/// Everything that `GET /balance` shows of the balancer.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// How replicas are chosen.
    pub strategy: &'static str,
    /// Replicas that may be chosen now.
    pub usable: usize,
    /// Why the balance file as it stands was refused, if it was.
    pub reload_error: Option<String>,
    /// Changes of the balance file that were applied.
    pub reloads: u64,
    /// Requests that came to the balancer.
    pub requests: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Retries that the budget did not allow.
    pub retries_refused: u64,
    /// Requests refused because no replica could be chosen.
    pub refused_out: u64,
    /// Requests refused because every replica was full, or shed.
    pub refused_full: u64,
    /// Requests refused because their client had too many.
    pub refused_client: u64,
    /// Large answers refused or broken off because too many were being sent.
    pub refused_large: u64,
    /// Requests that ended without a replica's answer.
    pub failed: u64,
    /// The replicas, in the order of the configuration.
    pub replicas: Vec<ReplicaFigures>,
}

/// The figures of one replica.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaFigures {
    /// Its id.
    pub id: String,
    /// Its address; none for a local one.
    pub url: Option<String>,
    /// `up`, `warming`, `benched`, `trial`, `down` or `draining`.
    pub state: &'static str,
    /// Its configured weight.
    pub weight: u32,
    /// Its weight now: less while it warms up, nothing while it is out.
    pub weight_now: f64,
    /// Requests that run in it.
    pub in_flight: usize,
    /// Requests that wait for it.
    pub queued: usize,
    /// Requests that it answered.
    pub served: u64,
    /// Requests that it failed.
    pub failed: u64,
    /// Requests that killed their instance.
    pub trapped: u64,
    /// Requests that it refused, or that waited too long for it.
    pub shed: u64,
    /// Requests whose client left first.
    pub abandoned: u64,
    /// How often it was benched.
    pub benched: u64,
    /// Its answers by the class of their status, also those that were not handed out because another replica was asked.
    pub responses: Responses,
    /// Latency to the head of the answer.
    pub latency_ms: LatencyMs,
}

/// Answers by the class of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Responses {
    /// It was done.
    #[serde(rename = "2xx")]
    pub successes: u64,
    /// It is elsewhere.
    #[serde(rename = "3xx")]
    pub redirections: u64,
    /// The client's fault.
    #[serde(rename = "4xx")]
    pub client_errors: u64,
    /// The service's fault, such as a database that can't be used.
    #[serde(rename = "5xx")]
    pub server_errors: u64,
}

impl Responses {
    fn of(counts: &Counts) -> Self {
        let [successes, redirections, client_errors, server_errors] = &counts.responses;
        Self {
            successes: successes.load(Relaxed),
            redirections: redirections.load(Relaxed),
            client_errors: client_errors.load(Relaxed),
            server_errors: server_errors.load(Relaxed),
        }
    }

    const fn by_class(&self) -> [(&'static str, u64); 4] {
        [
            ("2xx", self.successes),
            ("3xx", self.redirections),
            ("4xx", self.client_errors),
            ("5xx", self.server_errors),
        ]
    }
}

/// The first bound of the histogram that is shown, half a millisecond; a power of two, so that counts are exact.
const FIRST_BOUND_US: u64 = 512;
/// Its bounds, each twice the one before: to 17 seconds.
const BOUNDS: usize = 16;

/// Percentiles in milliseconds, each within 3 %; none before the first answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LatencyMs {
    /// Mean.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90 of 100.
    pub p90: Option<f64>,
    /// 99 of 100.
    pub p99: Option<f64>,
    /// 999 of 1,000.
    pub p999: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
    /// All of them together, in microseconds. Not rounded as the mean is, so that it never goes back.
    #[serde(skip)]
    pub sum_us: u64,
    /// How many there are.
    #[serde(skip)]
    pub count: u64,
    /// How many were quicker than each bound of the histogram: [`FIRST_BOUND_US`], twice that, and so on.
    #[serde(skip)]
    below: [u64; BOUNDS],
}

#[expect(clippy::cast_precision_loss, reason = "shown to three decimals")]
fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

impl LatencyMs {
    fn of(histogram: &Histogram) -> Self {
        let at = |permille| histogram.quantile_us(permille).map(ms);
        // Before the count, which is what the last of them is: others count while we read.
        let below = histogram.below_doublings(FIRST_BOUND_US);
        let (sum_us, count) = (histogram.sum_us(), histogram.count());
        Self {
            mean: sum_us.checked_div(count).map(ms),
            sum_us,
            count,
            below,
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: at(1_000),
        }
    }
}

impl Balancer {
    /// The figures at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let fleet = self.fleet.load_full();
        let totals = &self.totals;
        let get = |total: &AtomicU64| total.load(Relaxed);
        Snapshot {
            strategy: fleet.config.strategy.name(),
            usable: fleet.usable(),
            reload_error: self.reload_error().clone(),
            reloads: get(&totals.reloads),
            requests: get(&totals.requests),
            retries: get(&totals.retries),
            retries_refused: get(&totals.retries_refused),
            refused_out: get(&totals.refused_out),
            refused_full: get(&totals.refused_full),
            refused_client: get(&totals.refused_client),
            refused_large: self.large.refused() + self.large_bodies.refused(),
            failed: get(&totals.failed),
            replicas: fleet
                .slots
                .iter()
                .map(|slot| figures(&fleet, slot, self.clock))
                .collect(),
        }
    }
}

fn figures(fleet: &Fleet, slot: &Slot, clock: Clock) -> ReplicaFigures {
    let now_ms = clock.now_ms();
    let (standing, ramp, in_flight, queued) = {
        let state = slot.replica.state();
        (
            state.health.standing(),
            fleet.ramp(slot, &state.health, now_ms),
            state.gate.running(),
            state.gate.waiting(),
        )
    };
    let ramp = if slot.config.drain {
        0
    } else {
        ramp.unwrap_or(0)
    };
    let state = match standing {
        _ if slot.config.drain => "draining",
        Standing::Up { .. } if ramp < RAMP_FULL => "warming",
        Standing::Up { .. } => "up",
        Standing::Benched { .. } => "benched",
        Standing::Trial(_) => "trial",
        Standing::Down => "down",
    };
    let counts = &slot.replica.counts;
    ReplicaFigures {
        id: slot.replica.id.clone(),
        url: slot.config.url.as_ref().map(ToString::to_string),
        state,
        weight: slot.config.weight,
        weight_now: f64::from(slot.config.weight) * f64::from(ramp) / f64::from(RAMP_FULL),
        in_flight,
        queued,
        served: counts.served.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        trapped: counts.trapped.load(Relaxed),
        shed: counts.shed.load(Relaxed),
        abandoned: counts.abandoned.load(Relaxed),
        benched: counts.benched.load(Relaxed),
        responses: Responses::of(counts),
        latency_ms: LatencyMs::of(&slot.replica.latency),
    }
}

/// Name, help, and the figure itself.
type Total = (&'static str, &'static str, fn(&Snapshot) -> u64);

const TOTALS: [Total; 9] = [
    ("requests", "Requests that came to the balancer.", |it| {
        it.requests
    }),
    ("retries", "Tries beyond the first.", |it| it.retries),
    (
        "retries_refused",
        "Retries that the budget did not allow.",
        |it| it.retries_refused,
    ),
    (
        "refused_out",
        "Requests refused because no replica could be chosen.",
        |it| it.refused_out,
    ),
    (
        "refused_full",
        "Requests refused because replicas were full.",
        |it| it.refused_full,
    ),
    (
        "refused_client",
        "Requests refused because their client had too many.",
        |it| it.refused_client,
    ),
    (
        "refused_large",
        "Large answers refused or broken off because too many were being sent.",
        |it| it.refused_large,
    ),
    (
        "failed",
        "Requests that ended without a replica's answer.",
        |it| it.failed,
    ),
    (
        "reloads",
        "Changes of the balance file that were applied.",
        |it| it.reloads,
    ),
];

/// Name, help, kind, and the figure of one replica.
type PerReplica = (&'static str, &'static str, Kind, fn(&ReplicaFigures) -> f64);

#[expect(
    clippy::cast_precision_loss,
    reason = "the text format has floating point numbers only"
)]
const PER_REPLICA: [PerReplica; 10] = [
    (
        "up",
        "Whether the replica may be chosen.",
        Kind::Gauge,
        |it| f64::from(u8::from(it.weight_now > 0.0)),
    ),
    ("weight", "Weight of the replica now.", Kind::Gauge, |it| {
        it.weight_now
    }),
    (
        "in_flight",
        "Requests that run in the replica.",
        Kind::Gauge,
        |it| it.in_flight as f64,
    ),
    (
        "queued",
        "Requests that wait for the replica.",
        Kind::Gauge,
        |it| it.queued as f64,
    ),
    (
        "served_total",
        "Requests that the replica answered.",
        Kind::Counter,
        |it| it.served as f64,
    ),
    (
        "failed_total",
        "Requests that the replica failed.",
        Kind::Counter,
        |it| it.failed as f64,
    ),
    (
        "trapped_total",
        "Requests that killed their instance.",
        Kind::Counter,
        |it| it.trapped as f64,
    ),
    (
        "shed_total",
        "Requests that the replica refused or shed.",
        Kind::Counter,
        |it| it.shed as f64,
    ),
    (
        "abandoned_total",
        "Requests whose client left first.",
        Kind::Counter,
        |it| it.abandoned as f64,
    ),
    (
        "benched_total",
        "How often the replica was benched.",
        Kind::Counter,
        |it| it.benched as f64,
    ),
];

impl Snapshot {
    /// Appends the figures in the Prometheus text format.
    pub fn prometheus(&self, out: &mut Exposition) {
        for (name, help, value) in TOTALS {
            out.family(&format!("balance_{name}_total"), Kind::Counter, help)
                .sample(&[], number(value(self)));
        }
        out.family(
            "balance_replicas_usable",
            Kind::Gauge,
            "Replicas that may be chosen now.",
        )
        .sample(&[], number(self.usable as u64));
        for (name, help, kind, value) in PER_REPLICA {
            let name = format!("replica_{name}");
            let mut family = out.family(&name, kind, help);
            for figures in &self.replicas {
                family.sample(&[("replica", figures.id.as_str())], value(figures));
            }
        }
        let mut family = out.family(
            "replica_responses_total",
            Kind::Counter,
            "Answers of the replica by the class of their status.",
        );
        for figures in &self.replicas {
            for (class, count) in figures.responses.by_class() {
                let labels = [("replica", figures.id.as_str()), ("class", class)];
                family.sample(&labels, number(count));
            }
        }
        self.latencies(out);
    }

    fn latencies(&self, out: &mut Exposition) {
        let mut family = out.family(
            "replica_latency_seconds",
            Kind::Histogram,
            "Time to the head of the answer.",
        );
        for figures in &self.replicas {
            let latency = &figures.latency_ms;
            let replica = ("replica", figures.id.as_str());
            for (doublings, count) in latency.below.into_iter().enumerate() {
                let bound_s = number(FIRST_BOUND_US << doublings) / 1_000_000.0;
                let bound = ("le", &*bound_s.to_string());
                family.suffixed("_bucket", &[replica, bound], number(count));
            }
            let all = [replica, ("le", "+Inf")];
            family.suffixed("_bucket", &all, number(latency.count));
            let sum_s = number(latency.sum_us) / 1_000_000.0;
            family.suffixed("_sum", &[replica], sum_s);
            family.suffixed("_count", &[replica], number(latency.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(histogram: &Histogram) -> ReplicaFigures {
        ReplicaFigures {
            id: "a".to_owned(),
            url: None,
            state: "up",
            weight: 1,
            weight_now: 1.0,
            in_flight: 0,
            queued: 0,
            served: histogram.count(),
            failed: 0,
            trapped: 0,
            shed: 0,
            abandoned: 0,
            benched: 0,
            responses: Responses::default(),
            latency_ms: LatencyMs::of(histogram),
        }
    }

    fn snapshot(histogram: &Histogram) -> Snapshot {
        Snapshot {
            strategy: "round-robin",
            usable: 1,
            reload_error: None,
            reloads: 0,
            requests: 0,
            retries: 0,
            retries_refused: 0,
            refused_out: 0,
            refused_full: 0,
            refused_client: 0,
            refused_large: 0,
            failed: 0,
            replicas: vec![figures(histogram)],
        }
    }

    #[test]
    fn latencies_stand_in_the_buckets_of_a_histogram() {
        let histogram = Histogram::default();
        for us in [100, 600, 600, 3_000, 60_000_000] {
            histogram.record(us);
        }
        let mut out = Exposition::default();
        snapshot(&histogram).prometheus(&mut out);
        let text = out.into_text();
        for (bound, count) in [
            ("0.000512", 1),
            ("0.001024", 3),
            ("0.004096", 4),
            ("16.777216", 4),
            ("+Inf", 5),
        ] {
            let line = format!(
                "trawl_replica_latency_seconds_bucket{{replica=\"a\",le=\"{bound}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line}{text}");
        }
    }

    /// The sum and the count of the latencies as they are shown.
    fn shown(histogram: &Histogram) -> [f64; 2] {
        let mut out = Exposition::default();
        snapshot(histogram).prometheus(&mut out);
        let text = out.into_text();
        ["sum", "count"].map(|part| {
            let start = format!("trawl_replica_latency_seconds_{part}{{");
            let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    }

    #[test]
    fn answers_are_counted_by_the_class_of_their_status() {
        let counts = Counts::default();
        for status in [200, 204, 202, 304, 307, 400, 500, 502, 503, 599, 999] {
            counts.responded(http::StatusCode::from_u16(status).unwrap());
        }
        let mut snapshot = snapshot(&Histogram::default());
        snapshot.replicas[0].responses = Responses::of(&counts);
        let mut out = Exposition::default();
        snapshot.prometheus(&mut out);
        let text = out.into_text();
        for (class, count) in [("2xx", 3), ("3xx", 2), ("4xx", 1), ("5xx", 5)] {
            let line = format!(
                "trawl_replica_responses_total{{replica=\"a\",class=\"{class}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line}{text}");
        }
        let json = serde_json::to_value(&snapshot.replicas[0]).unwrap();
        assert_eq!(json["responses"]["5xx"], 5);
    }

    #[test]
    fn the_sum_of_latencies_is_exact_and_never_goes_back() {
        let histogram = Histogram::default();
        let mut before = 0.0;
        // With the fourth, the mean in whole microseconds times the count is less than with the third.
        for (us, sum_s) in [
            (1_000, 0.001),
            (1_000, 0.002),
            (1, 0.002_001),
            (0, 0.002_001),
        ] {
            histogram.record(us);
            let [sum, count] = shown(&histogram);
            assert!((sum - sum_s).abs() < 1e-9, "{sum} instead of {sum_s}");
            assert!(sum >= before, "{sum} after {before}");
            assert!((count - number(histogram.count())).abs() < 0.5);
            before = sum;
        }
    }
}
