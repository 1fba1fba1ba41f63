//! `trawl-bench train`: the work that `make dist` counts branches and calls under, before it builds for good. The counts come from
//! programs that were built to count (`-C profile-generate`), and are written when each of them ends by itself.
//!
//! What is never called here is built as seldom used, and so everything that a service does for long has its part: jobs of all kinds,
//! over TLS too, what nodes look up, and the components' code being compiled at a first start.

use std::time::Duration;

use anyhow::ensure;
use trawl_kit::api::Node;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::tls::Authority;

use crate::load::closed_loop;
use crate::native;
use crate::requests::{authority, get, log_in, with_token};
use crate::scenario::{Pages, WORK, job_host, job_pass};

/// Jobs of each kind.
const JOBS: usize = 1_500;
/// Jobs of each kind over TLS: a host each.
const TLS_JOBS: usize = 250;
/// What nodes look up, each for so long.
const LOOKED_UP_S: u64 = 1;
/// How long a host may take to end, and to write its counts.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// Does the work.
///
/// # Errors
/// When something is not done, or the host does not end as it should: its counts would be missing.
pub(crate) async fn run() -> anyhow::Result<()> {
    let pages = Pages::serve_others(None).await;
    let hosts: Vec<String> = (0..TLS_JOBS).map(job_host).collect();
    let tls = Authority::new(&hosts);
    let code = tempfile::tempdir()?;
    let options = HostOptions {
        environment: vec![(
            "TRAWL_CODE_CACHE_DIR".to_owned(),
            code.path().display().to_string(),
        )],
        ..HostOptions::default()
    };
    let trusting = options.with(&["--ca-file", &tls.file().display().to_string()]);
    let mut host = Host::start_with(trusting).await;
    let node = log_in(host.base()).await;
    jobs(&node, &pages).await?;
    jobs_over_tls(&node, &tls).await?;
    look_up(&node).await?;
    let ended = host.terminate(ENDED_WITHIN).await;
    ensure!(
        ended.is_some_and(|status| status.success()),
        "the host did not end as it should: {ended:?}"
    );
    let program = native::Child::start()?;
    jobs(&log_in(program.base()).await, &pages).await
}

async fn jobs(node: &Node, pages: &Pages) -> anyhow::Result<()> {
    for (number, work) in WORK.into_iter().enumerate() {
        let first = number * JOBS;
        job_pass(node, pages, work, first..first + JOBS).await?;
    }
    Ok(())
}

async fn jobs_over_tls(node: &Node, tls: &Authority) -> anyhow::Result<()> {
    for work in WORK {
        // A port of its own, so that these hosts have not been asked for anything yet.
        let pages = Pages::serve_others(Some(tls)).await;
        job_pass(node, &pages, work, 0..TLS_JOBS).await?;
    }
    Ok(())
}

async fn look_up(node: &Node) -> anyhow::Result<()> {
    let listed = node.get("/messages?limit=1").await.json();
    let newest = &listed["data"][0]["id"];
    let paths = [
        "/test_endpoint".to_owned(),
        "/messages".to_owned(),
        "/queues".to_owned(),
        format!("/messages/{newest}"),
        format!("/messages/{newest}/result"),
        format!("/messages/{newest}/deliveries"),
    ];
    for path in paths {
        let (at, node) = (authority(&node.base), node.clone());
        let make = move |_| with_token(&node, get(&authority(&node.base), &path));
        closed_loop(&at, 16, LOOKED_UP_S, 200, make).await?;
    }
    Ok(())
}
