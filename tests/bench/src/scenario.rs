//! The scenarios.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde_json::json;
use trawl_kit::api::Node;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::origin::Origin;
use trawl_kit::pages::{book_pages, rust_docs};
use trawl_kit::receiver::Receiver;

use crate::baseline::{Nginx, is_on_path, raw_sqlite};
use crate::load::{closed_loop, connect, once};
use crate::table::Table;

/// What to run, and how long.
pub(crate) struct Plan {
    /// One scenario only.
    pub(crate) only: Option<String>,
    /// Repeats of each measurement.
    pub(crate) repeats: usize,
    /// Seconds of each.
    pub(crate) seconds: u64,
    /// The short version for CI.
    pub(crate) short: bool,
}

impl Plan {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
            && (!self.short || ["hello", "accept", "job"].contains(&name))
    }
}

/// Runs the plan.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Table> {
    let mut table = Table::default();
    if plan.wants("hello") || plan.wants("accept") {
        hello(plan, &mut table).await?;
    }
    if plan.wants("accept") {
        accept(plan, &mut table).await?;
    }
    if plan.wants("job") {
        jobs(plan, &mut table).await?;
    }
    if plan.wants("latency") {
        latency(plan, &mut table).await?;
    }
    if plan.wants("mixed") {
        mixed(plan, &mut table).await?;
    }
    if plan.wants("memory") {
        memory(plan, &mut table).await?;
    }
    if plan.wants("start") {
        start(plan, &mut table).await?;
    }
    for peer in ["pagesift", "crw-server", "scrapy", "wasmtime", "spin"] {
        if !is_on_path(peer) {
            table.note(format!("absent on this machine: {peer}"));
        }
    }
    Ok(table)
}

fn authority(host: &Host) -> String {
    host.base().trim_start_matches("http://").to_owned()
}

/// A key outlives the 15 minutes of a token.
async fn log_in(host: &Host) -> anyhow::Result<Node> {
    let node = Node::log_in(host.base(), "bench@example.org").await;
    let key = node.post("/keys", &json!({"name": "bench"})).await.json()["key"]
        .as_str()
        .context("a key")?
        .to_owned();
    Ok(Node { token: key, ..node })
}

fn post(node: &Node, body: String) -> http::Request<Bytes> {
    http::Request::post("/receive_data")
        .header("host", node.base.trim_start_matches("http://"))
        .header("authorization", format!("Bearer {}", node.token))
        .header("content-type", "application/json")
        .body(Bytes::from(body))
        .expect("a request")
}

fn get(authority: &str, path: &str) -> http::Request<Bytes> {
    http::Request::get(path)
        .header("host", authority)
        .body(Bytes::new())
        .expect("a request")
}

async fn hello(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let host = Host::start().await;
    let nginx = Nginx::start()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeats {
        let at = authority(&host);
        ours.push(
            closed_loop(&at.clone(), 64, plan.seconds, 200, move |_| {
                get(&at, "/test_endpoint")
            })
            .await?
            .rate(),
        );
        if let Some(nginx) = &nginx {
            let at = nginx.authority();
            theirs.push(
                closed_loop(&at.clone(), 64, plan.seconds, 200, move |_| get(&at, "/"))
                    .await?
                    .rate(),
            );
        }
    }
    table.add("hello, 64 connections", "requests/s", ours);
    if theirs.is_empty() {
        table.note("absent on this machine: nginx");
    } else {
        table.add("nginx constant, 64 connections", "requests/s", theirs);
    }
    table.ratio("hello, 64 connections", "nginx constant, 64 connections");
    Ok(())
}

async fn accept(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let raw: Vec<f64> = (0..plan.repeats)
        .map(|_| raw_sqlite(1, 1.0))
        .collect::<anyhow::Result<_>>()?;
    table.add("raw SQLite, one commit a row", "rows/s", raw);
    let raw: Vec<f64> = (0..plan.repeats)
        .map(|_| raw_sqlite(100, 1.0))
        .collect::<anyhow::Result<_>>()?;
    table.add("raw SQLite, 100 rows a commit", "rows/s", raw);
    for connections in if plan.short {
        vec![64]
    } else {
        vec![1, 16, 64, 256]
    } {
        let (mut rates, mut p99) = (Vec::new(), Vec::new());
        for _ in 0..plan.repeats {
            // Nothing is fetched meanwhile: accepting is what is measured, not how it shares two cores with the workers.
            let host = Host::start_with(
                HostOptions::default()
                    .variable("stopping", "1")
                    .with(&["--doorbell", "off"]),
            )
            .await;
            let node = log_in(&host).await?;
            let outcome = closed_loop(&authority(&host), connections, plan.seconds, 202, move |n| {
                post(&node, json!({"user_Id": "bench", "request_url": format!("http://127.0.{}.{}:9/{n}", n / 250 % 250, 1 + n % 250), "type": 1}).to_string())
            })
            .await?;
            rates.push(outcome.rate());
            p99.push(outcome.percentile(0.99));
        }
        table.add(
            format!("accept, {connections} connections"),
            "accepted/s",
            rates,
        );
        table.add(format!("accept p99, {connections} connections"), "ms", p99);
    }
    table.ratio("accept, 64 connections", "hello, 64 connections");
    table.ratio("accept, 64 connections", "raw SQLite, one commit a row");
    Ok(())
}

/// Whole jobs: accepted, fetched, extracted, stored, and called back with a signature that the receiver verified.
async fn jobs(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (origin, pages) = (
        Origin::start_on(([0, 0, 0, 0], 0).into()).await,
        book_pages(&rust_docs()),
    );
    for (name, kind, mode) in [
        ("type 1 fast", 1, "fast"),
        ("type 1 best", 1, "best"),
        ("type 2", 2, "best"),
        ("type 3", 3, "best"),
    ] {
        let mut rates = Vec::new();
        for _ in 0..plan.repeats {
            let host = Host::start().await;
            let (node, receiver) = (log_in(&host).await?, Receiver::start().await);
            receiver.add_secret(&node.webhook_secret().await);
            let total = if plan.short { 600 } else { 2000 };
            rates.push(
                job_rate(
                    &host,
                    &node,
                    &origin,
                    &receiver,
                    &pages,
                    (kind, mode, total),
                )
                .await?,
            );
        }
        table.add(format!("whole job, {name}"), "jobs/s", rates);
        table.ratio(&format!("whole job, {name}"), "accept, 64 connections");
    }
    Ok(())
}

async fn job_rate(
    host: &Host,
    node: &Node,
    origin: &Origin,
    receiver: &Receiver,
    pages: &[String],
    (kind, mode, total): (u8, &str, usize),
) -> anyhow::Result<f64> {
    let bodies: Vec<String> = (0..total)
        .map(|n| {
            let url = origin.url_on(&format!("127.0.{}.{}", 1 + n / 250 % 250, 1 + n % 250), &format!("/doc/{}", pages[n % pages.len()]));
            json!({"user_Id": "bench", "request_url": url, "type": kind, "mode": mode, "callback_url": receiver.url(&format!("/hook{}", n % 16))}).to_string()
        })
        .collect();
    let started = Instant::now();
    let lanes: Vec<_> = bodies
        .chunks(total.div_ceil(16))
        .map(<[String]>::to_vec)
        .collect();
    let mut posting = Vec::new();
    for lane in lanes {
        let (node, mut sender) = (node.clone(), connect(&authority(host)).await?);
        posting.push(tokio::spawn(async move {
            for body in lane {
                let status = once(&mut sender, post(&node, body)).await?;
                ensure!(status == 202, "answered {status}");
            }
            Ok(())
        }));
    }
    for task in posting {
        task.await??;
    }
    trawl_kit::eventually(
        "every job is called back",
        Duration::from_secs(180),
        || async { (receiver.received().len() >= total).then_some(()) },
    )
    .await;
    let elapsed = started.elapsed().as_secs_f64();
    let received = receiver.received();
    ensure!(
        received.iter().all(|r| r.verified == Some(true)),
        "a signature does not verify"
    );
    ensure!(
        received.iter().all(|r| r.body["status"] == "OK"),
        "a job failed: {:?}",
        received.iter().find(|r| r.body["status"] != "OK")
    );
    Ok(total as f64 / elapsed)
}

async fn latency(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (host, origin, receiver) = (
        Host::start().await,
        Origin::start_on(([0, 0, 0, 0], 0).into()).await,
        Receiver::start().await,
    );
    let node = log_in(&host).await?;
    let mut all = Vec::new();
    for n in 0..(20 * plan.repeats) {
        let started = Instant::now();
        let url = origin.url_on(
            &format!("127.0.7.{}", 1 + n),
            "/doc/book/ch01-01-installation.html",
        );
        let id = node.submit(&json!({"request_url": url, "type": 1, "mode": "fast", "callback_url": receiver.url("/hook")})).await;
        trawl_kit::eventually("the callback", Duration::from_secs(20), || async {
            receiver.for_message(id).into_iter().next()
        })
        .await;
        all.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    table.add(
        "one job on an idle system, posted to called back",
        "ms",
        all,
    );
    Ok(())
}

/// Accepts at a steady 500 a second while jobs run.
async fn mixed(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (host, origin, pages) = (
        Host::start().await,
        Origin::start_on(([0, 0, 0, 0], 0).into()).await,
        book_pages(&rust_docs()),
    );
    let node = log_in(&host).await?;
    let mut p99 = Vec::new();
    for round in 0..plan.repeats {
        let mut tasks = Vec::new();
        let started = Instant::now();
        for lane in 0..10_usize {
            let (node, mut sender) = (node.clone(), connect(&authority(&host)).await?);
            let urls: Vec<String> = (0..50 * plan.seconds as usize)
                .map(|n| {
                    origin.url_on(
                        &format!("127.{}.{}.{}", 10 + round, 1 + lane, 1 + n % 250),
                        &format!("/doc/{}", pages[n % pages.len()]),
                    )
                })
                .collect();
            tasks.push(tokio::spawn(async move {
                let mut latencies = Vec::new();
                for (n, url) in urls.into_iter().enumerate() {
                    // An open loop: the next request is due whether or not the last was answered in time.
                    let due = started + Duration::from_millis(20 * n as u64 + 2 * lane as u64);
                    tokio::time::sleep_until(due.into()).await;
                    once(
                        &mut sender,
                        post(
                            &node,
                            json!({"request_url": url, "type": 1, "mode": "fast"}).to_string(),
                        ),
                    )
                    .await?;
                    latencies.push(due.elapsed().as_secs_f64() * 1000.0);
                }
                anyhow::Ok(latencies)
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        all.sort_by(f64::total_cmp);
        p99.push(all[all.len() * 99 / 100]);
    }
    table.add("accept p99 at 500/s beside running jobs", "ms", p99);
    Ok(())
}

async fn memory(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let host = Host::start().await;
    let mib = |host: &Host| host.resident_bytes() as f64 / 1_048_576.0;
    tokio::time::sleep(Duration::from_secs(3)).await;
    table.add("memory, idle", "MiB", vec![mib(&host)]);
    let (origin, receiver, pages) = (
        Origin::start_on(([0, 0, 0, 0], 0).into()).await,
        Receiver::start().await,
        book_pages(&rust_docs()),
    );
    let node = log_in(&host).await?;
    receiver.add_secret(&node.webhook_secret().await);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let watch = async {
        let mut peak: f64 = 0.0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            peak = peak.max(mib(&host));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peak
    };
    let work = async {
        let rate = job_rate(&host, &node, &origin, &receiver, &pages, (1, "best", 1000)).await;
        let (at, node) = (authority(&host), node.clone());
        let load = closed_loop(&at, 64, plan.seconds, 202, move |n| {
            post(
                &node,
                json!({"request_url": format!("http://127.0.0.1:9/{n}"), "type": 2}).to_string(),
            )
        })
        .await;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        rate.and(load)
    };
    let (peak, worked) = tokio::join!(watch, work);
    worked?;
    table.add("memory, peak", "MiB", vec![peak]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    table.add("memory, a minute later", "MiB", vec![mib(&host)]);
    table.ratio("memory, a minute later", "memory, idle");
    Ok(())
}

async fn start(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let options = || HostOptions {
        environment: vec![(
            "TRAWL_CODE_CACHE_DIR".to_owned(),
            cache.path().display().to_string(),
        )],
        ..HostOptions::default()
    };
    let timed = async || {
        let started = Instant::now();
        let host = Host::start_with(options()).await;
        let mut sender = connect(&authority(&host)).await?;
        let status = once(&mut sender, get(&authority(&host), "/readyz")).await?;
        ensure!(status == 200, "/readyz answers {status}");
        anyhow::Ok(started.elapsed().as_secs_f64() * 1000.0)
    };
    table.add("start to ready, nothing cached", "ms", vec![timed().await?]);
    let mut warm = Vec::new();
    for _ in 0..plan.repeats.max(5) {
        warm.push(timed().await?);
    }
    table.add("start to ready, compiled code cached", "ms", warm);
    Ok(())
}
