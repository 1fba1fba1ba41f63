//! Parts for the tests: replicas that can be told to misbehave, a front door, and clients.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming, client::conn::http1::SendRequest, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use trawl_balance::{
    BackendError, BalanceConfig, Balancer, Body, BoxError, Call, FailureKind, LocalBackend,
    LocalReplicas, RemoteOnly, ReplicaConfig, ServerLimits, StrategyKind, body, serve,
};

/// Nothing in these tests takes longer, however loaded the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A remote replica: a plain server that answers with its id.
pub(crate) struct Replica {
    pub(crate) id: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) behaviour: Arc<Behaviour>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// How a replica answers.
#[derive(Default)]
pub(crate) struct Behaviour {
    pub(crate) served: AtomicU64,
    /// Requests that arrived, answered or not.
    pub(crate) arrived: AtomicU64,
    pub(crate) delay_ms: AtomicU64,
    /// Answers nobody while it is set.
    pub(crate) holds: AtomicBool,
    /// Ends the connection instead of answering.
    pub(crate) cuts: AtomicBool,
    /// Answers with this status instead of 200.
    pub(crate) status: AtomicU16,
    /// Checks that arrived.
    pub(crate) checks: AtomicU64,
    /// What `/readyz` says; 0 for 200.
    pub(crate) ready_status: AtomicU16,
    /// `/readyz` is never answered.
    pub(crate) ready_hangs: AtomicBool,
}

impl Replica {
    pub(crate) async fn start(id: &'static str) -> Self {
        let replica = Self {
            id,
            address: ([127, 0, 0, 1], 0).into(),
            behaviour: Arc::default(),
            running: Mutex::default(),
        };
        let listener = TcpListener::bind(replica.address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let replica = Self { address, ..replica };
        replica.run(listener);
        replica
    }

    /// Starts it again on its old port.
    pub(crate) async fn restart(&self) {
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        self.run(listener);
    }

    /// As a kill: the port is closed, and every connection with whatever runs on it.
    pub(crate) async fn kill(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some(running) = running {
            running.abort();
            let _ = running.await;
        }
    }

    fn run(&self, listener: TcpListener) {
        let (id, behaviour) = (self.id, Arc::clone(&self.behaviour));
        let accepting = async move {
            // Dropped with the accepting task, and all connections with it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let behaviour = Arc::clone(&behaviour);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(id, Arc::clone(&behaviour), request));
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        };
        *self.running.lock().unwrap() = Some(tokio::spawn(accepting));
    }

    pub(crate) fn config(&self) -> ReplicaConfig {
        ReplicaConfig::new(
            self.id,
            Some(format!("http://{}", self.address).try_into().unwrap()),
        )
    }

    pub(crate) fn served(&self) -> u64 {
        self.behaviour.served.load(Relaxed)
    }
}

async fn answer(
    id: &'static str,
    behaviour: Arc<Behaviour>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    if request.uri().path() == "/readyz" {
        behaviour.checks.fetch_add(1, Relaxed);
        if behaviour.ready_hangs.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        return Ok(status(behaviour.ready_status.load(Relaxed), ""));
    }
    behaviour.arrived.fetch_add(1, Relaxed);
    let echo = matches!(request.uri().path(), "/echo" | "/receive_data");
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| "no body")?
        .to_bytes();
    let delay_ms = behaviour.delay_ms.load(Relaxed);
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    while behaviour.holds.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if behaviour.cuts.load(Relaxed) {
        return Err("cut");
    }
    behaviour.served.fetch_add(1, Relaxed);
    let mut response = status(behaviour.status.load(Relaxed), id);
    if echo {
        *response.body_mut() = Full::new(body);
    }
    Ok(response)
}

fn status(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
}

/// A front door.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) balancer: Arc<Balancer>,
    stop: Vec<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(config: BalanceConfig) -> Self {
        Self::with(config, ServerLimits::default(), None).await
    }

    pub(crate) async fn with(
        config: BalanceConfig,
        limits: ServerLimits,
        file: Option<std::path::PathBuf>,
    ) -> Self {
        let balancer = Balancer::new(config, Arc::new(RemoteOnly)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(Arc::clone(&balancer).run(file, async {
            let _ = stopped.await;
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop_serving, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, Arc::clone(&balancer), limits, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            balancer,
            stop: vec![stop, stop_serving],
            serving,
        }
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) {
        for stop in self.stop {
            let _ = stop.send(());
        }
        tokio::time::timeout(PATIENCE, self.serving)
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) fn state(&self, id: &str) -> &'static str {
        let snapshot = self.balancer.snapshot();
        snapshot
            .replicas
            .iter()
            .find(|replica| replica.id == id)
            .unwrap()
            .state
    }
}

/// A front door with local replicas, and what clients of other addresses ask it.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) balancer: Arc<Balancer>,
    _stop: oneshot::Sender<()>,
}

impl Door {
    pub(crate) async fn open(config: BalanceConfig, locals: Arc<dyn LocalReplicas>) -> Self {
        let balancer = Balancer::new(config, locals).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let limits = ServerLimits::default();
        tokio::spawn(serve(listener, Arc::clone(&balancer), limits, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            balancer,
            _stop: stop,
        }
    }

    /// Sends from `client`.
    pub(crate) async fn send(&self, client: Ipv4Addr, request: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(&self, client: Ipv4Addr, path: &str) -> TcpStream {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: trawl.test\r\nconnection: close\r\n\r\n");
        self.send(client, &request).await
    }

    /// Asks from `client`, and reads no more than the status.
    pub(crate) async fn begin(&self, client: Ipv4Addr, path: &str) -> TcpStream {
        let mut stream = self.ask(client, path).await;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    }

    /// Asks from `client`, and reads all.
    pub(crate) async fn whole(&self, client: Ipv4Addr, path: &str) -> String {
        read_all(&mut self.ask(client, path).await).await
    }
}

/// A configuration without checks and slow start, for tests that count.
pub(crate) fn plain(strategy: StrategyKind, replicas: Vec<ReplicaConfig>) -> BalanceConfig {
    let mut config = BalanceConfig::new(strategy, replicas);
    config.check.enabled = false;
    for replica in &mut config.replicas {
        replica.slow_start = Duration::ZERO;
    }
    config
}

/// A client with one kept-alive connection.
pub(crate) struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        let mut kept = self.sender.take();
        let is_open = match &mut kept {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        let mut sender = match kept.filter(|_| is_open) {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                let (sender, driver) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(driver);
                sender
            }
        };
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok((status, body))
    }

    pub(crate) async fn get(&mut self) -> (StatusCode, String) {
        let request = Request::get("/")
            .header("host", "trawl.test")
            .body(Full::default())
            .unwrap();
        match self.send(request).await {
            Ok((status, body)) => (status, String::from_utf8_lossy(&body).into_owned()),
            Err(error) => (StatusCode::IM_A_TEAPOT, error.to_string()),
        }
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
        key: Option<&str>,
    ) -> (StatusCode, Bytes) {
        let mut request = Request::post(path).header("host", "trawl.test");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.send(request).await.unwrap()
    }
}

/// Sends GETs over several connections until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pub(crate) done: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, connections: usize) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let workers = (0..connections)
            .map(|_| {
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut client = Client::new(address);
                    let mut failures = Vec::new();
                    while !stop.load(Relaxed) {
                        let (status, body) = client.get().await;
                        if status != StatusCode::OK {
                            failures.push(format!("{status} {body}"));
                        }
                        done.fetch_add(1, Relaxed);
                    }
                    failures
                })
            })
            .collect();
        Self {
            stop,
            done,
            workers,
        }
    }

    /// Waits for so many more requests.
    pub(crate) async fn more(&self, count: u64) {
        let target = self.done.load(Relaxed) + count;
        eventually("enough requests", || self.done.load(Relaxed) >= target).await;
    }

    /// What failed.
    pub(crate) async fn finish(self) -> Vec<String> {
        self.stop.store(true, Relaxed);
        let mut failures = Vec::new();
        for worker in self.workers {
            failures.extend(
                tokio::time::timeout(PATIENCE, worker)
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        failures
    }
}

/// Local replicas that fail as they are told, and write down who was asked.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) failing: Mutex<Vec<(String, FailureKind)>>,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

struct ScriptedReplica {
    id: String,
    failure: Option<FailureKind>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl LocalReplicas for Scripted {
    fn open(&self, replica: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        let failing = self.failing.lock().unwrap();
        Ok(Arc::new(ScriptedReplica {
            id: replica.id.clone(),
            failure: failing
                .iter()
                .find(|(id, _)| *id == replica.id)
                .map(|(_, kind)| *kind),
            asked: Arc::clone(&self.asked),
        }))
    }
}

impl LocalBackend for ScriptedReplica {
    fn call(self: Arc<Self>, _request: Request<Body>) -> Call {
        Box::pin(async move {
            self.asked.lock().unwrap().push(self.id.clone());
            match self.failure {
                Some(kind) => Err(BackendError::new(kind, "scripted")),
                None => Ok(Response::new(body::full(self.id.clone()))),
            }
        })
    }
}

/// Sends raw bytes, and reads until the other side closes or `PATIENCE` is over.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_all(&mut stream).await
}

pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}
