//! What the nodes saw, together.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::node::Tally;

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Requests that were to be posted.
    pub requests: u64,
    /// Requests that were answered 202.
    pub accepted: u64,
    /// Requests that were not, in the end.
    pub failed: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// Accepted requests per second.
    pub per_second: f64,
    /// Answers by status, repeats included.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers other than 202 by their problem's code, repeats included.
    pub problems: BTreeMap<String, u64>,
    /// What the server said to the first of each code.
    pub details: BTreeMap<String, String>,
    /// Requests without an answer, by reason, repeats included.
    pub errors: BTreeMap<&'static str, u64>,
    /// Accepted requests by replica.
    pub replicas: BTreeMap<String, u64>,
    /// Latency of accepted requests; none without one.
    pub latency_ms: Option<Latency>,
}

/// Latencies in milliseconds, exact.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The fastest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half of them took no longer.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Latency {
    fn of(mut us: Vec<u64>) -> Option<Self> {
        us.sort_unstable();
        let count = us.len();
        // The nearest rank: the smallest value that at least so many of 1,000 do not exceed.
        let at = |permille: usize| {
            let rank = (count * permille).div_ceil(1_000).clamp(1, count.max(1));
            us.get(rank - 1).map(|us| *us as f64 / 1_000.0)
        };
        Some(Self {
            min: at(0)?,
            mean: us.iter().sum::<u64>() as f64 / count as f64 / 1_000.0,
            p50: at(500)?,
            p90: at(900)?,
            p95: at(950)?,
            p99: at(990)?,
            p999: at(999)?,
            max: at(1_000)?,
        })
    }
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn new(requests: u64, elapsed: Duration, tallies: Vec<Tally>) -> Self {
        let mut sum = Tally::default();
        for tally in tallies {
            sum.accepted += tally.accepted;
            sum.latencies_us.extend(tally.latencies_us);
            add(&mut sum.statuses, tally.statuses);
            add(&mut sum.silences, tally.silences);
            add(&mut sum.problems, tally.problems);
            add(&mut sum.replicas, tally.replicas);
            for (code, detail) in tally.details {
                sum.details.entry(code).or_insert(detail);
            }
        }
        let seconds = elapsed.as_secs_f64();
        Self {
            requests,
            accepted: sum.accepted,
            failed: requests.saturating_sub(sum.accepted),
            seconds,
            per_second: sum.accepted as f64 / seconds.max(1e-9),
            statuses: sum.statuses,
            problems: sum.problems,
            details: sum.details,
            errors: sum.silences,
            replicas: sum.replicas,
            latency_ms: Latency::of(sum.latencies_us),
        }
    }
}

fn add<K: Ord>(sum: &mut BTreeMap<K, u64>, part: BTreeMap<K, u64>) {
    for (key, count) in part {
        *sum.entry(key).or_default() += count;
    }
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} requests accepted in {:.2} s, {:.0} per second",
            self.accepted, self.requests, self.seconds, self.per_second
        )?;
        writeln!(f, "\nreplica                          accepted   share")?;
        for (replica, count) in &self.replicas {
            let share = *count as f64 * 100.0 / self.accepted.max(1) as f64;
            writeln!(f, "{replica:<30} {count:>10}  {share:>5.1} %")?;
        }
        writeln!(f, "\nstatus                              count")?;
        for (status, count) in &self.statuses {
            writeln!(f, "{status:<30} {count:>10}")?;
        }
        for (code, count) in &self.problems {
            let detail = self.details.get(code).map_or("", String::as_str);
            writeln!(f, "  {code:<28} {count:>10}  {detail}")?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "{error:<30} {count:>10}")?;
        }
        let Some(latency) = &self.latency_ms else {
            return Ok(());
        };
        writeln!(f, "\nlatency                                ms")?;
        for (name, ms) in [
            ("fastest", latency.min),
            ("mean", latency.mean),
            ("50 %", latency.p50),
            ("90 %", latency.p90),
            ("95 %", latency.p95),
            ("99 %", latency.p99),
            ("99.9 %", latency.p999),
            ("slowest", latency.max),
        ] {
            writeln!(f, "{name:<30} {ms:>10.2}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let latency = Latency::of((1..=1_000).rev().map(|ms| ms * 1_000).collect()).unwrap();
        assert_eq!(
            (
                latency.min,
                latency.p50,
                latency.p99,
                latency.p999,
                latency.max
            ),
            (1.0, 500.0, 990.0, 999.0, 1_000.0)
        );
        assert_eq!(Latency::of(vec![7_000]).unwrap().p50, 7.0);
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn tallies_are_added_and_what_was_not_accepted_has_failed() {
        let tally = |replica: &str| Tally {
            accepted: 2,
            statuses: [(202, 2), (503, 1)].into(),
            replicas: [(replica.to_owned(), 2)].into(),
            latencies_us: vec![1_000, 3_000],
            ..Tally::default()
        };
        let report = Report::new(5, Duration::from_secs(2), vec![tally("a"), tally("b")]);
        assert_eq!(
            (report.accepted, report.failed, report.per_second),
            (4, 1, 2.0)
        );
        assert_eq!(report.statuses, [(202, 4), (503, 2)].into());
        assert_eq!(report.replicas.len(), 2);
        let text = report.to_string();
        assert!(
            text.contains("4 of 5 requests accepted") && text.contains("50.0 %"),
            "{text}"
        );
    }
}
