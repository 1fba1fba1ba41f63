//! Nodes that post, a host that is killed, and the report.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use trawl_kit::api::Node;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::origin::Origin;
use trawl_kit::receiver::Receiver;

use crate::audit::{self, Findings, Ledger};
use crate::power;

/// How a run goes.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of every random choice.
    pub seed: u64,
    /// How often the host is killed.
    pub kills: u32,
    /// No kill later than this after the start, even when fewer were made.
    pub duration_max: Duration,
    /// How many nodes post at once.
    pub nodes: usize,
    /// The longest time between a host's start and its kill.
    pub life_max: Duration,
    /// Whether each kill also loses the writes that were not fsynced.
    pub power_loss: bool,
    /// Further options of the host.
    pub options: HostOptions,
    /// How long the rest may take after the last kill.
    pub settle_max: Duration,
}

/// A random seed, or that of `TRAWL_SEED`.
#[must_use]
pub fn seed() -> u64 {
    let given = std::env::var("TRAWL_SEED").ok();
    given
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random)
}

impl Plan {
    /// A run of `kills` kills with a random seed (or that of `TRAWL_SEED`).
    #[must_use]
    pub fn kills(kills: u32) -> Self {
        Self {
            seed: seed(),
            kills,
            duration_max: Duration::from_secs(3600),
            nodes: 6,
            life_max: Duration::from_millis(900),
            power_loss: false,
            options: HostOptions::default(),
            settle_max: Duration::from_secs(120),
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The seed, to repeat the run.
    pub seed: u64,
    /// Kills made.
    pub kills: u32,
    /// Writes that a power loss undid.
    pub writes_dropped: u64,
    /// Posts sent, answered or not.
    pub posted: usize,
    /// Posts answered 202.
    pub acknowledged: usize,
    /// What the audit found.
    pub findings: Findings,
    /// How long all took.
    pub elapsed: Duration,
}

impl Report {
    /// One row of a Markdown table; see [`Report::heading`].
    #[must_use]
    pub fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} s | {} |",
            self.kills,
            self.writes_dropped,
            self.posted,
            self.acknowledged,
            self.findings.lost.len(),
            self.findings.unexpected.len(),
            self.findings.duplicates,
            self.findings.unexplained.len(),
            self.findings.poisoned,
            self.elapsed.as_secs_f64(),
            self.seed
        )
    }

    /// The heading of the table.
    #[must_use]
    pub fn heading() -> &'static str {
        "| run | kills | writes dropped | posted | acknowledged | lost | unexpected | called twice | unexplained | poison | time | seed |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    }
}

struct Shared {
    ledger: Mutex<Ledger>,
    stop: AtomicBool,
    next: AtomicU64,
}

/// Runs a plan from start to audit.
///
/// # Errors
/// When the host does not come up, or work does not finish in time.
pub async fn run(plan: &Plan) -> anyhow::Result<Report> {
    let started = Instant::now();
    let directory = tempfile::tempdir()?;
    let state = directory.path().join("state");
    let (origin, receiver) = (
        Arc::new(Origin::start_on(([0, 0, 0, 0], 0).into()).await),
        Receiver::start().await,
    );
    let listen = format!(
        "127.0.0.1:{}",
        std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port()
    );
    let mut host = start(plan, &state, &listen).await;
    let node = Node::log_in(host.base(), "faults@example.org").await;
    receiver.add_secret(&node.webhook_secret().await);
    let robot = api_key(&node).await?;
    let shared = Arc::new(Shared {
        ledger: Mutex::default(),
        stop: AtomicBool::new(false),
        next: AtomicU64::new(0),
    });
    let posting: Vec<_> = (0..plan.nodes)
        .map(|i| {
            tokio::spawn(post(
                Arc::clone(&shared),
                robot.clone(),
                Arc::clone(&origin),
                receiver.url("/hook"),
                plan.seed ^ i as u64,
            ))
        })
        .collect();
    let mut report = Report {
        seed: plan.seed,
        kills: 0,
        writes_dropped: 0,
        posted: 0,
        acknowledged: 0,
        findings: Findings::default(),
        elapsed: Duration::ZERO,
    };
    host = crash(plan, &state, &listen, host, &mut report).await?;
    shared.stop.store(true, Ordering::Relaxed);
    for task in posting {
        task.await?;
    }
    settle(host.state_directory(), plan).await?;
    let ledger = shared.ledger.lock().unwrap().clone();
    let connection = audit::open(host.state_directory())?;
    let leases = audit::callback_leases(&connection)?;
    report.findings = audit::audit(
        &ledger,
        &audit::rows(&connection)?,
        &receiver.received(),
        &leases,
    );
    (report.posted, report.acknowledged) = (ledger.posted.len(), ledger.acknowledged.len());
    report.elapsed = started.elapsed();
    Ok(report)
}

/// Kills and restarts the host as often as the plan says.
async fn crash(
    plan: &Plan,
    state: &Path,
    listen: &str,
    mut host: Host,
    report: &mut Report,
) -> anyhow::Result<Host> {
    let (started, mut rng) = (Instant::now(), SmallRng::seed_from_u64(plan.seed));
    while report.kills < plan.kills && started.elapsed() < plan.duration_max {
        tokio::time::sleep(plan.life_max.mul_f64(rng.random::<f64>())).await;
        host.kill();
        report.kills += 1;
        if plan.power_loss {
            report.writes_dropped += power::lose(state, &mut rng)?;
            let whole = audit::integrity(&audit::open_as_successor(state)?)?;
            ensure!(
                whole == "ok",
                "kill {} of seed {}: the database is damaged: {whole}",
                report.kills,
                plan.seed
            );
        }
        host = start(plan, state, listen).await;
    }
    Ok(host)
}

async fn start(plan: &Plan, state: &Path, listen: &str) -> Host {
    let mut options = plan.options.clone();
    options.state_directory = Some(state.to_owned());
    options.listen = Some(listen.to_owned());
    if plan.power_loss {
        options
            .environment
            .extend(power::environment(state).expect("the C compiler builds the shim"));
    }
    Host::start_with(options).await
}

/// A key outlives the minutes of a token, and needs no login after each kill.
async fn api_key(node: &Node) -> anyhow::Result<Node> {
    let key = node.post("/keys", &json!({"name": "faults"})).await.json()["key"]
        .as_str()
        .context("a key")?
        .to_owned();
    Ok(Node {
        token: key,
        ..node.clone()
    })
}

/// Posts one request after the other; each label is written down before it is sent, and again when it is acknowledged.
async fn post(shared: Arc<Shared>, node: Node, origin: Arc<Origin>, callback: String, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let label = format!("n{number}");
        shared.ledger.lock().unwrap().posted.insert(label.clone());
        let page = [
            "/odd/plain",
            "/odd/gzip",
            "/doc/book/ch01-01-installation.html",
            "/odd/slow",
        ][rng.random_range(0..4)];
        let url = origin.url_on(&format!("127.0.0.{}", 2 + number % 200), page);
        let body = json!({"user_Id": label, "request_url": url, "type": 1 + number % 3, "callback_url": callback});
        let answer = node
            .try_send(
                "POST",
                "/receive_data",
                &[("content-type", "application/json")],
                body.to_string(),
            )
            .await;
        match answer.map(|a| (a.status, a)) {
            Ok((202, answer)) => {
                let id = answer.json()["data"]["message_id"]
                    .as_i64()
                    .expect("a 202 names its message");
                shared.ledger.lock().unwrap().acknowledged.insert(label, id);
                tokio::time::sleep(Duration::from_millis(rng.random_range(5..40))).await;
            }
            // The host is down or starting: wait for it as a node would.
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn settle(state: &Path, plan: &Plan) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let (messages, callbacks) = audit::unfinished(&audit::open(state)?)?;
        if messages == 0 && callbacks == 0 {
            return Ok(());
        }
        ensure!(
            started.elapsed() < plan.settle_max,
            "{messages} messages and {callbacks} callbacks are unfinished {:?} after the last kill (seed {})",
            plan.settle_max,
            plan.seed
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
