//! Services of pages over HTTP that speak the same dialect: `POST /v1/scrape` with a URL.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::per_second;
use crate::load::{connect, exchange};
use crate::process::{Process, free_port};
use crate::requests::{get, post_json};

/// Connections over which pages are asked for.
const CONNECTIONS: usize = 64;
/// After this a peer's jobs are given up.
const JOBS_MAX: Duration = Duration::from_secs(120);

/// What was measured of PageSift, each a second.
pub(super) struct Pagesift {
    pub(super) synchronous: f64,
    pub(super) jobs: f64,
    pub(super) accepted: f64,
}

/// PageSift: pages asked for one by one, and jobs of one URL each.
pub(super) async fn pagesift(urls: &[String]) -> anyhow::Result<Pagesift> {
    let port = free_port()?;
    let mut server = start(pagesift_command(port), port)?;
    server.listens().await?;
    let synchronous = pages(&server, "/v2/scrape", urls).await?;
    let (accepted, jobs) = jobs(&server, urls).await?;
    Ok(Pagesift {
        synchronous,
        jobs,
        accepted,
    })
}

/// crw-server: pages asked for one by one.
pub(super) async fn crw(urls: &[String]) -> anyhow::Result<f64> {
    let port = free_port()?;
    let mut server = start(crw_command(port), port)?;
    server.listens().await?;
    pages(&server, "/v1/scrape", urls).await
}

fn pagesift_command(port: u16) -> Command {
    let mut command = Command::new("pagesift");
    let network = ["--allow-cidr", "127.0.0.0/8"];
    command.args(["serve", "--no-cache", "--data-dir", "."]);
    command.args(network).args(["--port", &port.to_string()]);
    command
}

/// It takes its settings from the environment alone: no limit of its own on what is measured, no browser, and loopback allowed.
fn crw_command(port: u16) -> Command {
    let mut command = Command::new("crw-server");
    command
        .env("CRW_SERVER__HOST", "127.0.0.1")
        .env("CRW_SERVER__PORT", port.to_string())
        .env("CRW_SERVER__RATE_LIMIT_RPS", "0")
        .env("CRW_CRAWLER__MAX_CONCURRENCY", CONNECTIONS.to_string())
        .env("CRW_CRAWLER__REQUESTS_PER_SECOND", "100000")
        .env("CRW_RENDERER__MODE", "none")
        .env("CRW_ALLOW_LOOPBACK_FOR_TESTS", "1");
    command
}

/// Starts a server in a folder of its own.
fn start(mut command: Command, port: u16) -> anyhow::Result<Process> {
    let folder = tempfile::tempdir()?;
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(command, port, folder).context("it does not start")
}

/// Pages per second, asked for one by one.
async fn pages(server: &Process, path: &'static str, urls: &[String]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let ask = |url: &str| json!({"url": url, "formats": ["markdown"]});
    post_each(server, path, urls, ask, |answer| {
        ensure!(answer["success"] == true, "{answer}");
        Ok(())
    })
    .await?;
    Ok(per_second(urls.len(), begun))
}

/// Jobs of one URL: accepted per second, and done per second.
async fn jobs(server: &Process, urls: &[String]) -> anyhow::Result<(f64, f64)> {
    let (begun, made) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let ask = |url: &str| json!({"urls": [url], "formats": ["markdown"]});
    let ids = Arc::clone(&made);
    post_each(server, "/v2/batch/scrape", urls, ask, move |answer| {
        let id = answer["id"].as_str().context("a job has an id")?.to_owned();
        ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        Ok(())
    })
    .await?;
    let accepted = per_second(urls.len(), begun);
    let ids = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
    let (at, mut sender) = (server.authority(), connect(&server.authority(), 0).await?);
    // In their order: when the last is done, so are hardly all but a few before it, which are asked for again.
    for id in ids {
        loop {
            let path = format!("/v2/batch/scrape/{id}");
            let (_, answer) = exchange(&mut sender, get(&at, &path)).await?;
            let job: Value = serde_json::from_slice(&answer)?;
            if job["status"] == "completed" {
                break;
            }
            ensure!(
                job["status"] != "failed" && begun.elapsed() < JOBS_MAX,
                "{job}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok((accepted, per_second(urls.len(), begun)))
}

/// Posts every URL to `path` over so many connections, and looks at each answer.
async fn post_each(
    server: &Process,
    path: &'static str,
    urls: &[String],
    ask: impl Fn(&str) -> Value + Clone + Send + Sync + 'static,
    look: impl Fn(&Value) -> anyhow::Result<()> + Clone + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let (next, urls) = (Arc::new(AtomicUsize::new(0)), Arc::new(urls.to_vec()));
    let mut lanes = Vec::new();
    for _ in 0..CONNECTIONS {
        let (next, urls, at, look) = (
            Arc::clone(&next),
            Arc::clone(&urls),
            server.authority(),
            look.clone(),
        );
        let ask = ask.clone();
        lanes.push(tokio::spawn(async move {
            let mut sender = connect(&at, 0).await?;
            while let Some(url) = urls.get(next.fetch_add(1, Relaxed)) {
                let body = ask(url).to_string();
                let (status, answer) = exchange(&mut sender, post_json(&at, path, body)).await?;
                ensure!(
                    status < 300,
                    "answered {status}: {}",
                    String::from_utf8_lossy(&answer)
                );
                look(&serde_json::from_slice(&answer)?)?;
            }
            anyhow::Ok(())
        }));
    }
    for lane in lanes {
        lane.await??;
    }
    Ok(())
}
