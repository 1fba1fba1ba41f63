//! What a request costs that does nothing: the same component in our host and in others, and what answers without one.

use trawl_kit::host::{Host, HostOptions};

use super::Plan;
use crate::baseline::nginx;
use crate::load::closed_loop;
use crate::peers;
use crate::requests::{authority, get};
use crate::table::Table;

/// Connections that are kept busy.
pub(super) const CONNECTIONS: usize = 64;

/// Our host with a component that does nothing.
pub(crate) const HELLO: &str = "hello through a component, 64 connections";
/// nginx.
pub(crate) const NGINX: &str = "nginx constant, 64 connections";

/// Everybody's turn comes in each repeat, so that a slow minute of the machine is everybody's.
pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let ours = host().await;
    let application = Host::start().await;
    let mut asked = vec![
        (HELLO, authority(ours.base()), "/"),
        (
            "GET /test_endpoint, 64 connections",
            authority(application.base()),
            "/test_endpoint",
        ),
    ];
    let mut others = Vec::new();
    let started = [
        (NGINX, nginx()?),
        (peers::WASMTIME, peers::wasmtime_serve()?),
        (peers::SPIN, peers::spin_up()?),
    ];
    for (name, mut other) in started.into_iter().filter_map(|(n, p)| Some((n, p?))) {
        other.listens().await?;
        asked.push((name, other.authority(), "/"));
        others.push(other);
    }
    let mut rates = vec![Vec::new(); asked.len()];
    for _ in 0..plan.repeats {
        for ((_, at, path), rates) in asked.iter().zip(&mut rates) {
            rates.push(rate(at, path, plan.seconds).await?);
        }
    }
    for ((name, ..), rates) in asked.into_iter().zip(rates) {
        table.add(name, "requests/s", rates);
    }
    Ok(())
}

/// Our host with the component that answers a constant.
pub(super) async fn host() -> Host {
    Host::start_with(HostOptions {
        manifest: Some("tests/bench/hello/spin.toml".into()),
        // It knows no variables, and dials nobody.
        no_private: true,
        ..HostOptions::default()
    })
    .await
}

/// Requests for `path` answered a second.
pub(super) async fn rate(at: &str, path: &'static str, seconds: u64) -> anyhow::Result<f64> {
    let host = at.to_owned();
    let load = closed_loop(at, CONNECTIONS, seconds, 200, move |_| get(&host, path));
    Ok(load.await?.rate())
}
