//! Three hosts behind a fourth, as real processes: the stage for the balancer's tests and experiments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::http_client::HttpClient;
use trawl_kit::relay::Relay;

use crate::DEADLINE;

/// The ids of the three.
pub const IDS: [&str; 3] = ["app1", "app2", "app3"];

/// What the balance file of the front says of the three.
#[derive(Clone, Copy, Debug)]
pub struct Balance {
    /// The strategy's name.
    pub strategy: &'static str,
    /// The weights.
    pub weights: [u32; 3],
    /// The one that is drained, if any.
    pub drained: Option<usize>,
    /// How long a failure benches.
    pub fail_timeout: &'static str,
    /// The ramp after that.
    pub slow_start: &'static str,
    /// What one try may take.
    pub try_timeout: &'static str,
}

impl Balance {
    /// A strategy with these weights, without slow start: shares can then be counted.
    #[must_use]
    pub const fn new(strategy: &'static str, weights: [u32; 3]) -> Self {
        Self {
            strategy,
            weights,
            drained: None,
            fail_timeout: "10s",
            slow_start: "0s",
            try_timeout: "10s",
        }
    }
}

/// The hosts.
pub struct Fleet {
    /// The three; `None` while one is down.
    pub replicas: [Option<Host>; 3],
    /// The fourth.
    pub front: Host,
    options: [HostOptions; 3],
    relays: [Option<Relay>; 3],
    balance: Balance,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Answers of each replica.
    pub by_replica: BTreeMap<String, u64>,
    /// Calls that were not answered with 200, and why.
    pub failures: Vec<String>,
}

impl Spread {
    /// The answers of the three, in their order.
    #[must_use]
    pub fn of_three(&self) -> [u64; 3] {
        IDS.map(|id| self.by_replica.get(id).copied().unwrap_or(0))
    }
}

impl Fleet {
    /// Starts all four; `extra` goes to each of the three.
    pub async fn start(balance: Balance, extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let options = IDS.map(|id| {
            let file = folder.path().join(format!("{id}.toml"));
            std::fs::write(&file, format!("[[replica]]\nid = \"{id}\"\n"))
                .expect("a file is written");
            HostOptions {
                state_directory: Some(folder.path().join(id)),
                ..HostOptions::default()
            }
            .with(&["--balance-file", &file.display().to_string()])
            .with(extra)
        });
        let mut replicas = [None, None, None];
        let mut options = options;
        for (place, options) in replicas.iter_mut().zip(&mut options) {
            let host = Host::start_with(options.clone()).await;
            // From now on it comes back on its own port.
            options.listen = Some(host.base().trim_start_matches("http://").to_owned());
            *place = Some(host);
        }
        let file = folder.path().join("front.toml");
        std::fs::write(&file, text(&addresses(&options), balance)).expect("a file is written");
        let front_options = HostOptions {
            state_directory: Some(folder.path().join("front")),
            ..HostOptions::default()
        }
        .with(&["--balance-file", &file.display().to_string()]);
        let front = Host::start_with(front_options).await;
        Self {
            replicas,
            front,
            options,
            relays: [None, None, None],
            balance,
            file,
            _folder: folder,
        }
    }

    /// Changes the front's balance file, and waits until it is in force.
    pub async fn apply(&mut self, balance: Balance) {
        let before = self.balance().await["reloads"].as_u64();
        self.balance = balance;
        let mut addresses = addresses(&self.options);
        for (address, relay) in addresses.iter_mut().zip(&self.relays) {
            if let Some(relay) = relay {
                *address = relay.authority();
            }
        }
        std::fs::write(&self.file, text(&addresses, balance)).expect("a file is written");
        eventually("the balance file is applied", DEADLINE, || async {
            (self.balance().await["reloads"].as_u64() > before).then_some(())
        })
        .await;
    }

    /// `GET /balance` of the front.
    pub async fn balance(&self) -> Value {
        let request = http::Request::get(format!("{}/balance", self.front.base()));
        let request = request.body(Bytes::new()).expect("a request");
        HttpClient::default()
            .send(request)
            .await
            .expect("GET /balance is answered")
            .json()
    }

    /// What the front says of one replica.
    pub async fn state(&self, index: usize) -> String {
        self.balance().await["replicas"][index]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Puts a relay in front of one, by which each of its answers takes so much longer.
    pub async fn slow_down(&mut self, index: usize, delay: Duration) {
        let target = addresses(&self.options)[index].clone();
        self.relays[index] = Some(Relay::start(&target, delay).await);
        self.apply(self.balance).await;
    }

    /// What the front has counted as served for each.
    pub async fn served(&self) -> [u64; 3] {
        let balance = self.balance().await;
        [0, 1, 2].map(|index| balance["replicas"][index]["served"].as_u64().unwrap_or(0))
    }

    /// Kills one with SIGKILL.
    pub fn kill(&mut self, index: usize) {
        if let Some(mut host) = self.replicas[index].take() {
            host.kill();
        }
    }

    /// Starts it again where it was.
    pub async fn restart(&mut self, index: usize) {
        self.replicas[index] = Some(Host::start_with(self.options[index].clone()).await);
    }

    /// Calls `GET /test_endpoint` so many times, so many at once.
    pub async fn calls(&self, count: u64, parallel: usize) -> Spread {
        let load = Load::start(self.front.base(), parallel, Some(count));
        load.finish().await
    }

    /// Calls until it is stopped.
    #[must_use]
    pub fn load(&self, parallel: usize) -> Load {
        Load::start(self.front.base(), parallel, None)
    }
}

/// Calls that go on beside whatever else happens.
pub struct Load {
    done: Arc<AtomicU64>,
    stop_after: Arc<AtomicU64>,
    workers: Vec<tokio::task::JoinHandle<Spread>>,
}

impl Load {
    fn start(base: &str, parallel: usize, count: Option<u64>) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let taken = Arc::new(AtomicU64::new(0));
        let stop_after = Arc::new(AtomicU64::new(count.unwrap_or(u64::MAX)));
        let workers = (0..parallel)
            .map(|_| {
                let url = format!("{base}/test_endpoint");
                let (done, taken, stop_after) = (
                    Arc::clone(&done),
                    Arc::clone(&taken),
                    Arc::clone(&stop_after),
                );
                tokio::spawn(async move {
                    // A client each: a connection each.
                    let http = HttpClient::default();
                    let mut spread = Spread::default();
                    loop {
                        let number = taken.fetch_add(1, Ordering::Relaxed);
                        if number >= stop_after.load(Ordering::Relaxed) {
                            break;
                        }
                        call(&http, &url, number, &mut spread).await;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    spread
                })
            })
            .collect();
        Self {
            done,
            stop_after,
            workers,
        }
    }

    /// Waits for so many more calls.
    pub async fn more(&self, count: u64) {
        let target = self.done.load(Ordering::Relaxed) + count;
        let reached = || async { (self.done.load(Ordering::Relaxed) >= target).then_some(()) };
        eventually("enough calls", DEADLINE, reached).await;
    }

    /// Stops, and says who answered.
    pub async fn finish(self) -> Spread {
        if self.stop_after.load(Ordering::Relaxed) == u64::MAX {
            self.stop_after.store(0, Ordering::Relaxed);
        }
        let mut sum = Spread::default();
        for worker in self.workers {
            let spread = worker.await.expect("a caller does not panic");
            sum.failures.extend(spread.failures);
            for (replica, count) in spread.by_replica {
                *sum.by_replica.entry(replica).or_default() += count;
            }
        }
        sum
    }
}

async fn call(http: &HttpClient, url: &str, number: u64, spread: &mut Spread) {
    let request = http::Request::get(url)
        .header(KEY, number)
        .body(Bytes::new())
        .expect("a request");
    match tokio::time::timeout(Duration::from_secs(35), http.send(request)).await {
        Ok(Ok(answer)) if answer.status == 200 => {
            let id = answer.json()["data"]["id"]
                .as_str()
                .unwrap_or("?")
                .to_owned();
            *spread.by_replica.entry(id).or_default() += 1;
        }
        Ok(Ok(answer)) => spread
            .failures
            .push(format!("{} {}", answer.status, answer.text())),
        Ok(Err(error)) => spread.failures.push(format!("{error:#}")),
        Err(_) => spread.failures.push("no answer in 35 s".to_owned()),
    }
}

/// What `hash` goes by: another value in each call.
const KEY: &str = "x-call";

fn addresses(options: &[HostOptions; 3]) -> [String; 3] {
    [0, 1, 2].map(|index| options[index].listen.clone().unwrap_or_default())
}

fn text(addresses: &[String; 3], balance: Balance) -> String {
    let mut text = format!(
        "strategy = \"{}\"\ntry_timeout = \"{}\"\nhash_header = \"{KEY}\"\n[check]\ninterval = \"500ms\"\n",
        balance.strategy, balance.try_timeout
    );
    for (index, address) in addresses.iter().enumerate() {
        let _ = write!(
            text,
            "[[replica]]\nid = \"{}\"\nurl = \"http://{}\"\nweight = {}\ndrain = {}\nfail_timeout = \"{}\"\nslow_start = \"{}\"\n",
            IDS[index],
            address,
            balance.weights[index],
            balance.drained == Some(index),
            balance.fail_timeout,
            balance.slow_start,
        );
    }
    text
}
