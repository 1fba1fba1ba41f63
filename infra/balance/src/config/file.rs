//! The balance file as it is written: every key, each optional where it has a default.

use serde::Deserialize;
use toml::Spanned;

use super::{
    StrategyKind,
    value::{CheckPath, Count, Header, Id, Memory, Network, Origin, Percent, Span, Wait, Weight},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) strategy: StrategyKind,
    pub(super) hash_header: Option<Header>,
    pub(super) deadline: Option<Wait>,
    pub(super) try_timeout: Option<Wait>,
    pub(super) tries_max: Option<Count>,
    pub(super) retry_percent: Option<Percent>,
    pub(super) queue_target: Option<Wait>,
    pub(super) queue_interval: Option<Wait>,
    pub(super) client_in_flight_max: Option<Count>,
    pub(super) client_requests_per_second: Option<Count>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<Network>,
    #[serde(default)]
    pub(super) check: CheckTable,
    #[serde(default)]
    pub(super) replica: Vec<Spanned<ReplicaTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckTable {
    pub(super) enabled: Option<bool>,
    pub(super) path: Option<CheckPath>,
    pub(super) interval: Option<Wait>,
    pub(super) timeout: Option<Wait>,
    pub(super) fails: Option<Count>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplicaTable {
    pub(super) id: Id,
    pub(super) weight: Option<Weight>,
    pub(super) url: Option<Origin>,
    pub(super) max_fails: Option<u32>,
    pub(super) fail_timeout: Option<Span>,
    pub(super) slow_start: Option<Span>,
    pub(super) concurrency_max: Option<Count>,
    pub(super) queue_max: Option<Count>,
    pub(super) memory_mb_max: Option<Memory>,
    #[serde(default)]
    pub(super) drain: bool,
    #[serde(default)]
    pub(super) backup: bool,
}
