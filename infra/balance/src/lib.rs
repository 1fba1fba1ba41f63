#![doc = include_str!("../README.md")]

pub mod backend;
mod balancer;
pub mod body;
pub mod config;
pub mod operator;
pub mod problem;
pub mod server;

pub use backend::{BackendError, FailureKind, LocalBackend, LocalReplicas, RemoteOnly};
pub use balancer::{ApplyError, Balancer};
pub use body::{Body, BoxError};
pub use config::{BalanceConfig, ConfigError, ReplicaConfig, StrategyKind};
pub use operator::{Figures, Operator};
pub use problem::Problem;
pub use server::{Handler, ServerLimits, serve};
