//! Services of pages over HTTP that speak the same dialect: `POST /v1/scrape` with a URL.
//!
//! Each does some pages before it is measured, of other hosts: nobody's robots.txt is at hand.

use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    PAGESIFT, PAGESIFT_ACCEPTED, PAGESIFT_HTML, PAGESIFT_LINKS, PAGESIFT_SYNC, per_second,
};
use crate::load::{connect, exchange};
use crate::process::{Process, free_port};
use crate::requests::{get, post_json};
use crate::scenario::{CONNECTIONS, JOBS, Pages, WARM_UP};

/// After this a peer's jobs are given up.
const JOBS_MAX: Duration = Duration::from_secs(120);

/// What a peer does with the robots.txt of a host that it was not asked for before. crw-server asks when it crawls, not for one page: it
/// has that request less to make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Robots {
    Asked,
    Ignored,
}

/// A figure's name, its unit and its value.
type Measured = (&'static str, &'static str, f64);

/// PageSift: pages asked for one by one, and jobs of one URL each. Each figure is of a process of its own, as ours are: what it keeps of
/// thousands of hosts and jobs makes it slower.
pub(super) async fn pagesift(pages: &Pages) -> anyhow::Result<Vec<Measured>> {
    let server = started(pages).await?;
    let synchronous = scrape(&server, "/v2/scrape", Robots::Asked, pages, measured()).await?;
    drop(server);
    let server = started(pages).await?;
    let (accepted, done) = jobs(&server, pages, "markdown", measured()).await?;
    drop(server);
    let server = started(pages).await?;
    let (_, html) = jobs(&server, pages, "rawHtml", measured()).await?;
    drop(server);
    let server = started(pages).await?;
    let (_, links) = jobs(&server, pages, "links", measured()).await?;
    Ok(vec![
        (PAGESIFT_SYNC, "jobs/s", synchronous),
        (PAGESIFT_ACCEPTED, "accepted/s", accepted),
        (PAGESIFT, "jobs/s", done),
        (PAGESIFT_HTML, "jobs/s", html),
        (PAGESIFT_LINKS, "jobs/s", links),
    ])
}

/// PageSift, warm.
async fn started(pages: &Pages) -> anyhow::Result<Process> {
    let port = free_port()?;
    let mut server = start(pagesift_command(port), port)?;
    server.listens().await?;
    jobs(&server, pages, "markdown", warm_up()).await?;
    Ok(server)
}

fn warm_up() -> Range<usize> {
    JOBS..JOBS + WARM_UP
}

fn measured() -> Range<usize> {
    0..JOBS
}

/// crw-server: pages asked for one by one.
pub(super) async fn crw(pages: &Pages) -> anyhow::Result<f64> {
    let port = free_port()?;
    let mut server = start(crw_command(port), port)?;
    server.listens().await?;
    scrape(&server, "/v1/scrape", Robots::Ignored, pages, warm_up()).await?;
    scrape(&server, "/v1/scrape", Robots::Ignored, pages, measured()).await
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
async fn scrape(
    server: &Process,
    path: &'static str,
    robots: Robots,
    pages: &Pages,
    numbers: Range<usize>,
) -> anyhow::Result<f64> {
    let (urls, asked) = (pages.urls(numbers), pages.robots_asked());
    let begun = Instant::now();
    let ask = |url: &str| json!({"url": url, "formats": ["markdown"]});
    post_each(server, path, &urls, ask, |answer| {
        ensure!(answer["success"] == true, "{answer}");
        holds(&answer["data"], "markdown")
    })
    .await?;
    let rate = per_second(urls.len(), begun);
    if robots == Robots::Asked {
        asked_each(pages, asked, urls.len())?;
    }
    Ok(rate)
}

/// Jobs of one URL: accepted per second, and done per second.
async fn jobs(
    server: &Process,
    pages: &Pages,
    format: &'static str,
    numbers: Range<usize>,
) -> anyhow::Result<(f64, f64)> {
    let (urls, asked) = (pages.urls(numbers), pages.robots_asked());
    let (begun, made) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let ask = move |url: &str| json!({"urls": [url], "formats": [format]});
    let ids = Arc::clone(&made);
    post_each(server, "/v2/batch/scrape", &urls, ask, move |answer| {
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
                holds(&job["data"][0], format)?;
                break;
            }
            ensure!(
                job["status"] != "failed" && begun.elapsed() < JOBS_MAX,
                "{job}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let done = per_second(urls.len(), begun);
    asked_each(pages, asked, urls.len())?;
    Ok((accepted, done))
}

/// A page that failed comes as an empty one too.
fn holds(data: &Value, format: &str) -> anyhow::Result<()> {
    let is_empty = match &data[format] {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(links) => links.is_empty(),
        _ => true,
    };
    ensure!(!is_empty, "nothing in {data}");
    Ok(())
}

fn asked_each(pages: &Pages, before: usize, total: usize) -> anyhow::Result<()> {
    let asked = pages.robots_asked() - before;
    ensure!(asked >= total, "asked for {asked} robots.txt of {total}");
    Ok(())
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
    for number in 0..CONNECTIONS {
        let (next, urls, at, look) = (
            Arc::clone(&next),
            Arc::clone(&urls),
            server.authority(),
            look.clone(),
        );
        let ask = ask.clone();
        lanes.push(tokio::spawn(async move {
            let mut sender = connect(&at, number).await?;
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
