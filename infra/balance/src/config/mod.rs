//! The balance file, read and checked: what the balancer runs by.

mod file;
mod value;

use std::{collections::HashSet, path::Path, time::Duration};

use http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use trawl_core::limits::balance as limits;

pub use value::Origin;

/// How a replica is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Smooth weighted round robin.
    Weighted,
    /// The one with the fewest requests in flight for its weight.
    LeastConn,
    /// The better of two drawn ones, by observed latency and load.
    PeakEwma,
    /// The same one for the same header or client address.
    Hash,
}

impl StrategyKind {
    /// The name as the balance file and `--balance` spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
            Self::LeastConn => "least-conn",
            Self::PeakEwma => "peak-ewma",
            Self::Hash => "hash",
        }
    }
}

impl std::str::FromStr for StrategyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::RoundRobin, Self::Weighted, Self::LeastConn, Self::PeakEwma, Self::Hash]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                format!("unknown strategy {text:?}; there are round-robin, weighted, least-conn, peak-ewma and hash")
            })
    }
}

/// Active checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckConfig {
    /// Whether replicas are asked at all.
    pub enabled: bool,
    /// The path that is asked for; any 2xx is good.
    pub path: String,
    /// Time between two checks of one replica, before jitter.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Failed checks in a row that take a replica out.
    pub fails: u32,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// Its id, unique in the file.
    pub id: String,
    /// Its share.
    pub weight: u32,
    /// Where it is; `None` for a local one.
    pub url: Option<Origin>,
    /// Failures within `fail_timeout` that bench it; 0 for never.
    pub max_fails: u32,
    /// The window of the count, and the length of the bench.
    pub fail_timeout: Duration,
    /// The ramp to full weight after a bench; 0 for none.
    pub slow_start: Duration,
    /// Requests that run in it at once.
    pub concurrency_max: usize,
    /// Requests that wait for it.
    pub queue_max: usize,
    /// Memory of one instance in MiB (local ones; the host has a default).
    pub memory_mb_max: Option<usize>,
    /// It gets no new request, and finishes what it has.
    pub drain: bool,
    /// It gets requests only while no other replica can take them.
    pub backup: bool,
}

impl ReplicaConfig {
    /// A replica with every default; local without an address.
    #[must_use]
    pub fn new(id: impl Into<String>, url: Option<Origin>) -> Self {
        Self {
            id: id.into(),
            weight: 1,
            max_fails: limits::FAILS_MAX_DEFAULT,
            fail_timeout: Duration::from_millis(limits::FAIL_TIMEOUT_MS),
            slow_start: Duration::from_millis(limits::SLOW_START_MS),
            concurrency_max: if url.is_some() {
                limits::REMOTE_CONCURRENCY_MAX
            } else {
                limits::LOCAL_CONCURRENCY_MAX
            },
            queue_max: limits::QUEUE_MAX,
            memory_mb_max: None,
            drain: false,
            backup: false,
            url,
        }
    }
}

/// Whether a text can be the id of a replica.
///
/// # Errors
/// What is wrong with it.
pub fn check_id(text: &str) -> Result<(), String> {
    value::Id::try_from(text.to_owned()).map(drop)
}

/// All that the balancer runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceConfig {
    /// How a replica is chosen.
    pub strategy: StrategyKind,
    /// The header that `hash` goes by; the client's address without it.
    pub hash_header: Option<HeaderName>,
    /// One deadline for all tries of a request.
    pub deadline: Duration,
    /// What one try may take of it, while the request can be repeated on another replica.
    pub try_timeout: Duration,
    /// Replicas that one request may try.
    pub tries_max: u32,
    /// Retries as a share of requests, in percent.
    pub retry_percent: u32,
    /// A standing wait above this is overload.
    pub queue_target: Duration,
    /// How long it must stand before the first request is shed.
    pub queue_interval: Duration,
    /// Requests of one client in flight at once.
    pub client_in_flight_max: u32,
    /// Requests of one client in a second; no limit without it.
    pub client_requests_per_second: Option<u32>,
    /// Whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Active checks.
    pub check: CheckConfig,
    /// The replicas, at least one.
    pub replicas: Vec<ReplicaConfig>,
}

/// Why a balance file is refused, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    /// File and line.
    pub place: String,
    /// What is wrong, and with which key.
    pub what: String,
}

impl BalanceConfig {
    /// The given replicas, with every default.
    #[must_use]
    pub fn new(strategy: StrategyKind, replicas: Vec<ReplicaConfig>) -> Self {
        Self {
            strategy,
            hash_header: None,
            deadline: Duration::from_millis(limits::DEADLINE_MS),
            try_timeout: Duration::from_millis(limits::TRY_MS),
            tries_max: limits::TRIES_MAX,
            retry_percent: limits::RETRY_PERCENT,
            queue_target: Duration::from_millis(limits::QUEUE_TARGET_MS),
            queue_interval: Duration::from_millis(limits::QUEUE_INTERVAL_MS),
            client_in_flight_max: limits::CLIENT_IN_FLIGHT_MAX,
            client_requests_per_second: None,
            trusted_proxies: Vec::new(),
            check: CheckConfig {
                enabled: true,
                path: "/readyz".to_owned(),
                interval: Duration::from_millis(limits::CHECK_INTERVAL_MS),
                timeout: Duration::from_millis(limits::CHECK_TIMEOUT_MS),
                fails: limits::CHECK_FAILS_MAX,
            },
            replicas,
        }
    }

    /// Local replicas `replica-1` to `replica-N`, for tests and examples.
    #[must_use]
    pub fn local(strategy: StrategyKind, count: usize) -> Self {
        let replicas = (1..=count.clamp(1, limits::REPLICAS_MAX))
            .map(|number| ReplicaConfig::new(format!("replica-{number}"), None))
            .collect();
        Self::new(strategy, replicas)
    }

    /// Reads and checks a balance file.
    ///
    /// # Errors
    /// A file that can't be read, is too large, or that `parse` refuses.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::read_text(path).and_then(|text| Self::parse(&text, &path.display().to_string()))
    }

    /// Reads the text of a balance file.
    pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
        let failed = |what: String| ConfigError {
            place: path.display().to_string(),
            what,
        };
        let unreadable = |error| {
            failed(format!(
                "can't be read: {error}; write a balance file there, or name another"
            ))
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > limits::BALANCE_FILE_BYTES_MAX {
            return Err(failed(format!(
                "{size} bytes is too large for a balance file"
            )));
        }
        std::fs::read_to_string(path).map_err(unreadable)
    }

    /// Checks the text of a balance file; `name` stands in errors.
    ///
    /// # Errors
    /// An unknown key, a value out of its bounds, an id given twice, no replica, or none that could serve.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let at = |offset: Option<usize>, what: String| ConfigError {
            place: offset.map_or_else(
                || name.to_owned(),
                |offset| format!("{name}:{}", line(text, offset)),
            ),
            what,
        };
        let file: file::File = toml::from_str(text).map_err(|error| {
            let start = error.span().map(|span| span.start);
            let key = start.map_or("", |start| key_of_line(text, start));
            let message = error.message();
            at(
                start,
                if key.is_empty() || message.contains(key) {
                    message.to_owned()
                } else {
                    format!("{key}: {message}")
                },
            )
        })?;
        if file.replica.is_empty() {
            return Err(at(None, "there is no [[replica]]".to_owned()));
        }
        if file.replica.len() > limits::REPLICAS_MAX {
            return Err(at(
                None,
                format!("more than {} replicas", limits::REPLICAS_MAX),
            ));
        }
        let mut ids = HashSet::new();
        for table in &file.replica {
            let replica = table.get_ref();
            let start = Some(table.span().start);
            if !ids.insert(replica.id.0.clone()) {
                return Err(at(start, format!("id {:?} is used twice", replica.id.0)));
            }
            if replica
                .max_fails
                .is_some_and(|fails| fails > limits::FAILS_MAX_MAX)
            {
                return Err(at(
                    start,
                    format!("max_fails is from 0 to {}", limits::FAILS_MAX_MAX),
                ));
            }
        }
        Ok(Self::from_file(file))
    }

    fn from_file(file: file::File) -> Self {
        let replicas = file
            .replica
            .into_iter()
            .map(|table| ReplicaConfig::from_table(table.into_inner()));
        let mut config = Self::new(file.strategy, replicas.collect());
        config.hash_header = file.hash_header.map(|header| header.0);
        config.trusted_proxies = file.trusted_proxies.iter().map(|one| one.0).collect();
        config.client_requests_per_second = file
            .client_requests_per_second
            .map(|count| bounded(count.0));
        set(&mut config.deadline, file.deadline.map(|span| span.0));
        set(&mut config.try_timeout, file.try_timeout.map(|span| span.0));
        set(
            &mut config.tries_max,
            file.tries_max.map(|count| bounded(count.0)),
        );
        set(
            &mut config.retry_percent,
            file.retry_percent.map(|percent| percent.0),
        );
        set(
            &mut config.queue_target,
            file.queue_target.map(|span| span.0),
        );
        set(
            &mut config.queue_interval,
            file.queue_interval.map(|span| span.0),
        );
        set(
            &mut config.client_in_flight_max,
            file.client_in_flight_max.map(|count| bounded(count.0)),
        );
        set(&mut config.check.enabled, file.check.enabled);
        set(&mut config.check.path, file.check.path.map(|path| path.0));
        set(
            &mut config.check.interval,
            file.check.interval.map(|span| span.0),
        );
        set(
            &mut config.check.timeout,
            file.check.timeout.map(|span| span.0),
        );
        set(
            &mut config.check.fails,
            file.check.fails.map(|count| bounded(count.0)),
        );
        config
    }
}

impl ReplicaConfig {
    fn from_table(table: file::ReplicaTable) -> Self {
        let mut replica = Self::new(table.id.0, table.url);
        set(&mut replica.weight, table.weight.map(|weight| weight.0));
        set(&mut replica.max_fails, table.max_fails);
        set(
            &mut replica.fail_timeout,
            table.fail_timeout.map(|span| span.0),
        );
        set(&mut replica.slow_start, table.slow_start.map(|span| span.0));
        set(
            &mut replica.concurrency_max,
            table.concurrency_max.map(|count| count.0),
        );
        set(&mut replica.queue_max, table.queue_max.map(|count| count.0));
        replica.memory_mb_max = table.memory_mb_max.map(|memory| memory.0);
        replica.drain = table.drain;
        replica.backup = table.backup;
        replica
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// `Count` is bounded far below this already; the conversion only has to be total.
fn bounded(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// The key on the line at `offset`, for errors whose own message does not name it.
fn key_of_line(text: &str, offset: usize) -> &str {
    let start = text.as_bytes()[..offset.min(text.len())]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or("");
    line.split_once('=').map_or("", |(key, _)| key.trim())
}

#[cfg(test)]
mod tests;
