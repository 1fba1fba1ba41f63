#![doc = include_str!("../README.md")]

pub mod backend;
mod balancer;
pub mod body;
pub mod budget;
pub mod clients;
mod clock;
pub mod config;
pub mod exposition;
mod fleet;
pub mod gate;
mod headers;
pub mod health;
pub mod histogram;
mod large;
mod metrics;
pub mod operator;
mod probe;
pub mod problem;
mod proxy;
mod reload;
mod remote;
mod replica;
mod retry;
pub mod server;
pub mod strategy;
pub mod tally;

pub use backend::{BackendError, FailureKind, LocalBackend, LocalReplicas, RemoteOnly};
pub use balancer::{ApplyError, Balancer};
pub use body::{Body, BoxError};
pub use config::{BalanceConfig, ConfigError, Origin, ReplicaConfig, StrategyKind, check_id};
pub use exposition::Exposition;
pub use metrics::{ReplicaFigures, Snapshot};
pub use operator::{Figures, Operator};
pub use problem::{FAILED, Problem};
pub use proxy::{ClientAddress, OverTls, Whole};
pub use server::{ConnectionCounts, Handler, ServerLimits, serve};
