//! Ten thousand idle connections to the real host.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use trawl_e2e::DEADLINE;
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::open_files;

const CONNECTIONS: usize = 10_000;
/// What the host allows one address without being told otherwise.
const PER_ADDRESS: usize = 64;
/// Memory of the host for each: a task, the state of a connection, and a buffer for those that were used.
const BYTES_EACH_MAX: u64 = 16 * 1024;

/// Opens them from as many addresses as that takes; every other one has been used for a request.
async fn open_all(host: &Host) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let client = u8::try_from(number / PER_ADDRESS).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 9, client + 1], 0).into()).unwrap();
        let authority = host.base().trim_start_matches("http://");
        let mut stream = socket.connect(authority.parse().unwrap()).await.unwrap();
        if number % 2 == 0 {
            ask(&mut stream).await;
        }
        open.push(stream);
    }
    open
}

/// One request over a connection that stays open.
async fn ask(stream: &mut TcpStream) {
    let request = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut size = 0;
    let reading = async {
        loop {
            size += match stream.read(&mut answer[size..]).await {
                Ok(more @ 1..) => more,
                end => panic!("the connection was closed: {end:?}"),
            };
            let text = String::from_utf8_lossy(&answer[..size]);
            if text.contains("\r\n\r\n{") && text.ends_with('}') {
                break text.starts_with("HTTP/1.1 200 ");
            }
        }
    };
    let is_good = tokio::time::timeout(DEADLINE, reading).await;
    assert!(is_good.expect("an answer in time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_are_held_in_bounded_memory() {
    open_files::allow(CONNECTIONS as u64 + 500);
    let options = HostOptions::default()
        .with(&["--connections-max", &(CONNECTIONS + 50).to_string()])
        .with(&["--connection-idle-ms", "600000"]);
    let host = Host::start_with(options).await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let open_now = || async {
        let balance = node.get("/balance").await.json();
        balance["connections"]["open"].as_u64().unwrap()
    };
    // Instances, caches and pools that the first requests need are not the connections'.
    for _ in 0..200 {
        assert_eq!(node.get("/livez").await.status, 200);
    }
    let before = host.resident_bytes();
    let mut open = open_all(&host).await;
    assert!(open_now().await >= CONNECTIONS as u64);
    let first = host.resident_bytes().saturating_sub(before);
    println!(
        "{} bytes for each of {CONNECTIONS} idle connections",
        first / CONNECTIONS as u64
    );
    assert!(
        first < CONNECTIONS as u64 * BYTES_EACH_MAX,
        "{first} bytes for {CONNECTIONS} connections"
    );
    // They are alive, and others are served beside them.
    for stream in open.iter_mut().step_by(50) {
        ask(stream).await;
    }
    assert_eq!(node.get("/test_endpoint").await.status, 200);
    drop(open);
    eventually("all of them are gone", DEADLINE, || async {
        (open_now().await < 50).then_some(())
    })
    .await;
    // A second ten thousand find the room of the first.
    let open = open_all(&host).await;
    let second = host.resident_bytes().saturating_sub(before);
    assert!(
        second < first + first / 4 + (8 << 20),
        "{first} bytes for the first {CONNECTIONS}, {second} with the second"
    );
    drop(open);
}
