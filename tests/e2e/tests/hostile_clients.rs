//! Clients that are slow, greedy, rude or hostile, against the real host: raw bytes over real sockets.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use trawl_e2e::DEADLINE;
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::http_client::{Answer, HttpClient};
use trawl_kit::origin::Origin;

const HEADER_READ: Duration = Duration::from_millis(600);
const BODY_READ: Duration = Duration::from_millis(800);
const IDLE: Duration = Duration::from_millis(1_800);

/// A host with short times, so that the tests are short.
async fn hasty() -> Host {
    let ms = |time: Duration| time.as_millis().to_string();
    let options = HostOptions::default()
        .with(&["--header-read-ms", &ms(HEADER_READ)])
        .with(&["--body-read-ms", &ms(BODY_READ)])
        .with(&["--connection-idle-ms", &ms(IDLE)])
        .with(&["--replicas", "2"]);
    Host::start_with(options).await
}

fn authority(host: &Host) -> &str {
    host.base().trim_start_matches("http://")
}

async fn connect(host: &Host) -> TcpStream {
    let stream = TcpStream::connect(authority(host)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A connection from another address of this machine: to the host a client like any other.
async fn connect_from(host: &Host, address: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket
        .connect(authority(host).parse().unwrap())
        .await
        .unwrap()
}

/// What comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = tokio::time::timeout(2 * DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection is closed in the end");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn raw(host: &Host, bytes: &[u8]) -> String {
    let mut stream = connect(host).await;
    // The host may have refused before all of it was sent.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

#[track_caller]
fn is_problem(answer: &str, status: u16, code: &str) {
    let answer = answer.get(..10_000).unwrap_or(answer);
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{status}: {answer}"
    );
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("content-type: application/problem+json"),
        "{answer}"
    );
}

async fn get(host: &Host, path: &str) -> Answer {
    let request = http::Request::get(format!("{}{path}", host.base()))
        .body(Bytes::new())
        .unwrap();
    HttpClient::default().send(request).await.unwrap()
}

async fn balance(host: &Host) -> Value {
    get(host, "/balance").await.json()
}

/// Requests that reached a replica.
async fn served(host: &Host) -> u64 {
    let balance = balance(host).await;
    let replicas = balance["replicas"].as_array().unwrap();
    replicas
        .iter()
        .map(|replica| replica["served"].as_u64().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn slowloris_holds_no_connection_and_disturbs_nobody() {
    let host = hasty().await;
    let begun = Instant::now();
    let mut drips = Vec::new();
    for _ in 0..100 {
        let stream = connect(&host).await;
        drips.push(tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            // One byte now and then must not push the deadline back.
            let dripping = tokio::spawn(async move {
                for byte in b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Drip: "
                    .iter()
                    .chain(std::iter::repeat(&b'x'))
                {
                    if writer.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            });
            let mut answer = String::new();
            let reading = reader.read_to_string(&mut answer);
            let _ = tokio::time::timeout(DEADLINE, reading)
                .await
                .expect("it is let go");
            dripping.abort();
            (answer, begun.elapsed())
        }));
    }
    for _ in 0..50 {
        assert_eq!(get(&host, "/test_endpoint").await.status, 200);
    }
    for drip in drips {
        let (answer, after) = drip.await.unwrap();
        is_problem(&answer, 408, "request_timeout");
        assert!(after >= HEADER_READ, "{after:?}");
    }
    eventually("their places are free", DEADLINE, || async {
        // The one that asks is open.
        (balance(&host).await["connections"]["open"].as_u64()? <= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_sent_is_answered_408_and_held_against_no_replica() {
    let host = hasty().await;
    let mut halves = vec![raw(&host, b"GET /livez HTTP/1.1\r\nHost: a\r\n").await];
    for fields in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        for key in ["", "Idempotency-Key: k\r\n"] {
            let half =
                format!("POST /token HTTP/1.1\r\nHost: a\r\n{key}{fields}\r\n\r\n3e8\r\nhalf");
            halves.push(raw(&host, half.as_bytes()).await);
        }
    }
    for answer in &halves {
        is_problem(answer, 408, "request_timeout");
    }
    // The same from clients that leave in the middle of it.
    for _ in 0..10 {
        let mut stream = connect(&host).await;
        stream
            .write_all(b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
            .await
            .unwrap();
    }
    eventually("nothing is left of them", DEADLINE, || async {
        let balance = balance(&host).await;
        let replicas = balance["replicas"].as_array()?;
        replicas
            .iter()
            .all(|replica| {
                replica["in_flight"] == 0 && replica["failed"] == 0 && replica["state"] == "up"
            })
            .then_some(())
    })
    .await;
    assert_eq!(
        raw(&host, b"").await,
        "",
        "an idle connection ends without a word"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_heads_and_bodies_are_refused_with_a_reason() {
    let host = hasty().await;
    let before = served(&host).await;
    for fields in [
        format!("X-Long: {}\r\n", "x".repeat(17_000)),
        "X: y\r\n".repeat(101),
        format!("X-Part: {}\r\n", "x".repeat(4_000)).repeat(5),
    ] {
        let head = format!("GET /livez HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        is_problem(&raw(&host, head.as_bytes()).await, 431, "headers_too_large");
    }
    // A head that never ends is not waited for.
    let endless = format!("GET /{} ", "x".repeat(20_000));
    is_problem(
        &raw(&host, endless.as_bytes()).await,
        431,
        "headers_too_large",
    );
    let said = b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n";
    is_problem(&raw(&host, said).await, 413, "body_too_large");
    assert_eq!(served(&host).await, before, "no replica was asked");
    let mut chunked =
        b"POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    is_problem(&raw(&host, &chunked).await, 413, "body_too_large");
    let largest = format!(
        "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}X-Long: {}\r\n\r\n",
        "X: y\r\n".repeat(97),
        "x".repeat(15_000)
    );
    let answer = raw(&host, largest.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_answered_in_order() {
    let host = hasty().await;
    let mut requests = String::new();
    for number in 0..50 {
        requests += match number % 3 {
            0 => "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
            1 => "GET /test_endpoint HTTP/1.1\r\nHost: a\r\n\r\n",
            _ => "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        };
    }
    requests += "GET /nothing/here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(&host, requests.as_bytes()).await;
    let statuses: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|one| &one[..3])
        .collect();
    assert_eq!(statuses.len(), 51, "{answer}");
    for (number, status) in statuses[..50].iter().enumerate() {
        match number % 3 {
            2 => assert!(status.starts_with('4'), "{number}: {status}"),
            _ => assert_eq!(*status, "200", "{number}"),
        }
    }
    assert_eq!(statuses[50], "404");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_could_smuggle_another_reach_no_replica() {
    let host = hasty().await;
    let before = served(&host).await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length : 5",
        " Content-Length: 5",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\r\nContent-Length: 5\r\n\tContent-Length: 6",
    ] {
        let request = format!(
            "POST /token HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = raw(&host, request.as_bytes()).await;
        let is_a_field =
            !fields.starts_with(' ') && !fields.contains(" :") && !fields.contains(['\x0b', '\t']);
        let folds = fields.contains("\n ");
        let code = if is_a_field && !folds {
            "bad_framing"
        } else {
            "bad_request"
        };
        is_problem(&answer, 400, code);
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{fields}: {answer}");
    }
    for (line, status) in [
        ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        ("GET /livez HTTP/1.1", 400),
        ("GET http://user@a/livez HTTP/1.1\r\nHost: a", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80", 501),
        ("TRACE /livez HTTP/1.1\r\nHost: a", 501),
    ] {
        let request = format!("{line}\r\nConnection: close\r\n\r\n");
        let answer = raw(&host, request.as_bytes()).await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{line}: {answer}");
    }
    assert_eq!(served(&host).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_for_each_address_and_in_all() {
    let options = HostOptions::default().with(&["--connections-max", "200"]);
    let host = Host::start_with(options).await;
    let mut open = Vec::new();
    for address in [[127, 0, 7, 1], [127, 0, 7, 2]] {
        for _ in 0..64 {
            open.push(connect_from(&host, address).await);
        }
        let mut one_more = connect_from(&host, address).await;
        let answer = rest(&mut one_more).await;
        is_problem(&answer, 429, "too_many_connections");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    }
    // This machine itself is not counted for its address, but in all.
    while open.len() < 200 {
        open.push(connect(&host).await);
    }
    eventually("the last is refused", DEADLINE, || async {
        let mut one_more = connect(&host).await;
        let mut first = [0; 1];
        let said = tokio::time::timeout(Duration::from_millis(200), one_more.read(&mut first));
        let Ok(Ok(1)) = said.await else { return None };
        let answer = format!("H{}", rest(&mut one_more).await);
        is_problem(&answer, 503, "too_many_connections");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        Some(())
    })
    .await;
    open.truncate(100);
    eventually("places are given back", DEADLINE, || async {
        let mut stream = connect_from(&host, [127, 0, 7, 2]).await;
        let asked = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(asked).await.ok()?;
        rest(&mut stream)
            .await
            .starts_with("HTTP/1.1 200 ")
            .then_some(())
    })
    .await;
}

/// Each byte of the page is six in its JSON: unread in one instance, nine such answers would be more than its memory.
#[tokio::test(flavor = "multi_thread")]
async fn large_results_that_nobody_reads_harm_nobody_and_arrive_whole() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let origin = Origin::start().await;
    let id = node
        .submit(&json!({"request_url": origin.url("/odd/marks"), "type": 2}))
        .await;
    let message = node.wait_finished(id, DEADLINE).await;
    assert_eq!(message["status"], "done", "{message}");
    let ask = format!(
        "GET /messages/{id}/result HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
        node.token
    );
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut stream = connect_from(&host, [127, 0, 7, 3]).await;
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut status = [0; 13];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 ");
        unread.push(stream);
    }
    let asked = Instant::now();
    let mut one_more = connect_from(&host, [127, 0, 7, 3]).await;
    one_more.write_all(ask.as_bytes()).await.unwrap();
    is_problem(&rest(&mut one_more).await, 429, "too_many_large_answers");
    let small = node.get(&format!("/messages/{id}")).await;
    assert_eq!(small.status, 200, "{}", small.text());
    // What is not read has 30 s.
    let seconds = asked.elapsed().as_secs_f64();
    assert!(seconds < 15.0, "others waited {seconds} s");
    for mut stream in unread {
        let answer = rest(&mut stream).await;
        assert!(answer.ends_with('}'), "it was cut off");
        assert_eq!(answer.matches("\\u0001").count(), 9 << 20);
    }
    let replicas = &balance(&host).await["replicas"];
    assert_eq!(replicas[0]["failed"], 0, "{replicas}");
}

/// The numbers of the rules hold for a host that was told nothing: one is waited for, the others are what the command says. (That a flag
/// is kept is tested above, with times that are worth waiting for.)
#[tokio::test(flavor = "multi_thread")]
async fn without_flags_a_head_has_10_s_a_body_30_s_and_an_idle_connection_60_s() {
    let host = Host::start().await;
    let begun = Instant::now();
    let answer = raw(&host, b"GET /livez HTTP/1.1\r\nHost: a\r\n").await;
    is_problem(&answer, 408, "request_timeout");
    let seconds = begun.elapsed().as_secs_f64();
    assert!((10.0..19.0).contains(&seconds), "{seconds} instead of 10");
    let help = std::process::Command::new(Host::binary())
        .args(["up", "-h"])
        .output()
        .unwrap();
    // Its lines are broken anywhere.
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (flag, default_ms) in [
        ("header-read-ms", 10_000),
        ("body-read-ms", 30_000),
        ("connection-idle-ms", 60_000),
    ] {
        let about = help.split(" --").find(|about| about.starts_with(flag));
        let says = format!("[default: {default_ms}]");
        assert!(about.is_some_and(|about| about.contains(&says)), "{help}");
    }
}

/// One frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![size[1], size[2], size[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

async fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(size).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 5;
/// `:method GET`, `:scheme http`, `:path /`, `:authority a`, in HPACK.
const GET_ROOT: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

#[tokio::test(flavor = "multi_thread")]
async fn http2_has_128_streams_and_rapid_resets_end_the_connection() {
    let host = hasty().await;
    let mut stream = connect(&host).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let settings = loop {
        let (kind, payload) = read_frame(&mut stream).await.expect("the host's settings");
        if kind == SETTINGS {
            break payload;
        }
    };
    let streams_max = settings
        .chunks_exact(6)
        .find(|one| one[..2] == [0, 3])
        .map(|one| u32::from_be_bytes([one[2], one[3], one[4], one[5]]));
    assert_eq!(streams_max, Some(128));
    let before = served(&host).await;
    let mut attack = Vec::new();
    let rounds = 10_000;
    for round in 0..rounds {
        let id = 2 * round + 1;
        attack.extend_from_slice(&frame(HEADERS, WHOLE, id, &GET_ROOT));
        attack.extend_from_slice(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        // Fails once the host has closed.
        let _ = writer.write_all(&attack).await;
    });
    let mut received = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, reader.read_to_end(&mut received))
        .await
        .expect("the connection is closed");
    sending.await.unwrap();
    let mut left = received.as_slice();
    let mut goaway = None;
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = left {
        let size = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        if *kind == GOAWAY && after.len() >= 8 {
            goaway = Some(u32::from_be_bytes([after[4], after[5], after[6], after[7]]));
        }
        left = after.get(size..).unwrap_or_default();
    }
    assert_eq!(goaway, Some(0xb), "ENHANCE_YOUR_CALM");
    let reached = served(&host).await - before;
    assert!(
        reached < u64::from(rounds) / 4,
        "{reached} of {rounds} reset requests reached a replica"
    );
    assert_eq!(get(&host, "/livez").await.status, 200);
}
