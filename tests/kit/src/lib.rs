//! What tests and benchmarks stand on: a real origin server with real and with odd pages, a real
//! receiver that verifies signatures, a real `redis-server`, and the real host as a child process.
//!
//! Everything binds to port 0, but for `redis-server`, which does not tell what it took, and lives in its own temporary directory,
//! so that tests run side by side.
//! Nothing sleeps for a result: [`eventually`] waits for a condition until a deadline.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

pub mod api;
pub mod dns;
pub mod host;
pub mod hostile;
pub mod http_client;
pub mod network;
pub mod open_files;
pub mod origin;
pub mod pages;
pub mod prometheus;
pub mod receiver;
pub mod redis;
pub mod relay;
mod serve;
pub mod spin;
pub mod tls;

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Polls `condition` until it gives a value, every 20 ms at most, and fails with `what` after `deadline`.
pub async fn eventually<T, F, Fut>(what: &str, deadline: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            started.elapsed() < deadline,
            "did not happen within {deadline:?}: {what}"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Where the running program and what was built with the same profile lie, such as `target/release`.
#[must_use]
pub fn built_beside() -> PathBuf {
    let program = std::env::current_exe().expect("the path of the running program");
    // cargo puts test programs one folder deeper.
    program
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("a program lies in a folder")
        .to_owned()
}

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace has a root")
}
