//! The front door against clients that are slow, greedy, rude or hostile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{PATIENCE, eventually, raw, read_all};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use trawl_balance::{Body, Handler, ServerLimits, body, serve};

/// Answers with the length of the body; `/slow` takes a while, `/large` is large, `/whole` is too but comes in one piece,
/// `/dripping` comes in pieces that take a while.
#[derive(Default)]
struct Echo {
    begun: AtomicU64,
    /// Each large answer holds it too.
    held: Arc<()>,
}

/// Bytes that hold something.
struct Held(
    Vec<u8>,
    #[expect(dead_code, reason = "dropped with them")] Arc<()>,
);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Echo {
    fn in_pieces(&self, size: usize, count: usize, pause: Duration) -> Response<Body> {
        let held = Arc::clone(&self.held);
        let piece = bytes::Bytes::from(vec![b'x'; size]);
        let pieces = futures::stream::unfold((count, held), move |(left, held)| {
            let piece = piece.clone();
            async move {
                let left = left.checked_sub(1)?;
                tokio::time::sleep(pause).await;
                Some((Ok(http_body::Frame::data(piece)), (left, held)))
            }
        });
        Response::new(StreamBody::new(pieces).boxed_unsync())
    }
}

impl Handler for Echo {
    async fn handle(&self, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        self.begun.fetch_add(1, Relaxed);
        match request.uri().path() {
            "/large" => return self.in_pieces(CHUNK, LARGE_CHUNKS, Duration::ZERO),
            "/whole" => {
                let whole = Held(vec![b'x'; WHOLE], Arc::clone(&self.held));
                return Response::new(body::full(bytes::Bytes::from_owner(whole)));
            }
            "/dripping" => return self.in_pieces(10, 3, hasty().body_read * 2),
            _ => {}
        }
        let slow = request.uri().path() == "/slow";
        let path = request.uri().path().to_owned();
        let length = request
            .into_body()
            .collect()
            .await
            .map_or(0, |body| body.to_bytes().len());
        if slow {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Response::new(body::full(format!("{path} {length}")))
    }
}

struct Door {
    address: SocketAddr,
    handler: Arc<Echo>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

async fn door(limits: ServerLimits) -> Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(Echo::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Arc::clone(&handler), limits, async {
        let _ = stopped.await;
    }));
    Door {
        address,
        handler,
        stop,
        serving,
    }
}

/// A connection that speaks HTTP/2.
async fn http2(door: &Door) -> SendRequest<Full<bytes::Bytes>> {
    let stream = TcpStream::connect(door.address).await.unwrap();
    let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(driver);
    sender
}

/// Short times, so that the tests are short.
fn hasty() -> ServerLimits {
    ServerLimits {
        header_read: Duration::from_millis(300),
        body_read: Duration::from_millis(300),
        idle: Duration::from_millis(900),
        ..ServerLimits::default()
    }
}

fn is_problem(answer: &str, status: u16, code: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("content-type: application/problem+json"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_drips_is_answered_408_in_time() {
    let door = door(hasty()).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let begun = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let dripping = async {
        // One byte now and then must not push the deadline back.
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Drip: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reading = async {
        let mut answer = String::new();
        let _ = reader.read_to_string(&mut answer).await;
        answer
    };
    let answer = tokio::select! {
        answer = reading => answer,
        () = dripping => String::new(),
    };
    is_problem(&answer, 408, "request_timeout");
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < PATIENCE);
    assert_eq!(door.handler.begun.load(Relaxed), 0);
}

#[tokio::test]
async fn half_a_body_is_answered_408_in_time() {
    let door = door(hasty()).await;
    let answer = raw(
        door.address,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
    )
    .await;
    is_problem(&answer, 408, "request_timeout");
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_without_a_word() {
    let door = door(hasty()).await;
    let begun = Instant::now();
    assert_eq!(raw(door.address, b"").await, "");
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "idle time, not head time"
    );
    // The same after a request: idle begins when its answer has gone.
    let answer = raw(door.address, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.ends_with("/slow 0"), "{answer}");
}

#[tokio::test]
async fn oversized_heads_and_bodies_are_refused() {
    let door = door(ServerLimits::default()).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n",
        "x".repeat(17 * 1024)
    );
    assert!(
        raw(door.address, long.as_bytes())
            .await
            .starts_with("HTTP/1.1 431 ")
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    assert!(
        raw(door.address, many.as_bytes())
            .await
            .starts_with("HTTP/1.1 431 ")
    );
    let said = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n";
    is_problem(&raw(door.address, said).await, 413, "body_too_large");
    assert_eq!(door.handler.begun.load(Relaxed), 0);
    // A body that does not say its length is counted.
    let mut chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let _ = stream.write_all(&chunked).await;
    is_problem(&read_all(&mut stream).await, 413, "body_too_large");
}

#[tokio::test]
async fn exactly_the_largest_body_passes() {
    let door = door(ServerLimits::default()).await;
    let mut request =
        b"POST /all HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n"
            .to_vec();
    request.extend_from_slice(&vec![b'x'; 1_048_576]);
    assert!(raw(door.address, &request).await.ends_with("/all 1048576"));
}

#[tokio::test]
async fn requests_that_could_smuggle_another_are_refused_and_the_connection_closed() {
    let door = door(ServerLimits::default()).await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        " Content-Length: 5",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = raw(door.address, request.as_bytes()).await;
        let is_line = fields.starts_with(' ') || fields.contains(" :");
        let code = if is_line {
            "bad_request"
        } else {
            "bad_framing"
        };
        is_problem(&answer, 400, code);
        assert!(!answer.contains("smuggled"), "{fields}: {answer}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    is_problem(&raw(door.address, old.as_bytes()).await, 400, "bad_framing");
    assert_eq!(door.handler.begun.load(Relaxed), 0);
    // Lines of a body that end with a bare LF, where hyper goes on reading: what comes after is refused, and not taken for a body.
    for end in [
        "0\r\nX: a\n\nGET /x HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
        "0\r\n\nGET /x HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
    ] {
        let next = "POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = raw(door.address, format!("{head}{end}{next}").as_bytes()).await;
        assert!(!answer.contains("smuggled"), "{end:?}: {answer}");
        assert!(
            answer.contains("\"code\":\"bad_framing\""),
            "{end:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn what_is_no_request_is_answered_400_with_a_reason() {
    let door = door(ServerLimits::default()).await;
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        "hello\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    ] {
        let answer = raw(door.address, bytes.as_bytes()).await;
        is_problem(&answer, 400, "bad_request");
        assert!(answer.contains("\"success\":false"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(door.handler.begun.load(Relaxed), 0);
    // After a good one on the same connection, too.
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let good = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(good).await.unwrap();
    let mut first = Vec::new();
    while !first.ends_with(b"/good 0") {
        first.push(stream.read_u8().await.unwrap());
    }
    stream
        .write_all(b"GET /a b HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    is_problem(&read_all(&mut stream).await, 400, "bad_request");
}

/// More than the buffers of both ends hold.
const LARGE_CHUNKS: usize = 48;
const CHUNK: usize = 1024 * 1024;
const WHOLE: usize = 4 * CHUNK;

/// A client that takes little at once asks for an answer that does not fit, and sends `behind` before it has taken it. The answer
/// has left its handler then, but most of it is not written yet.
async fn begins_with(door: &Door, behind: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(door.address).await.unwrap();
    let good = b"GET /whole HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(good).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    stream.write_all(behind).await.unwrap();
    stream
}

/// What was written behind the whole answer.
fn behind_the_whole(taken: &[u8]) -> String {
    let head = taken.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let rest = &taken[head.unwrap() + 4..];
    let count = rest.iter().take_while(|byte| **byte == b'x').count();
    assert_eq!(count, WHOLE, "the answer was cut off");
    String::from_utf8_lossy(&rest[count..]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_head_does_not_cut_off_the_answer_before_it() {
    let limits = ServerLimits {
        header_bytes_max: 1024,
        ..ServerLimits::default()
    };
    let door = door(limits).await;
    let refusal = async |behind: &str| {
        let mut stream = begins_with(&door, behind.as_bytes()).await;
        let mut taken = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut taken)).await;
        read.expect("the connection stays open").unwrap();
        behind_the_whole(&taken)
    };
    let malformed = refusal("BAD\r\n\r\n").await;
    assert!(malformed.starts_with("HTTP/1.1 400 "), "{malformed}");
    // One that does not end: hyper would wait for more.
    let endless = format!("GET / HTTP/1.1\r\nHost: {}", "x".repeat(2_000));
    is_problem(&refusal(&endless).await, 431, "headers_too_large");
}

/// A reader that takes nothing is let go, and its answer with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_let_go() {
    let door = door(hasty()).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let begun = Instant::now();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let held = &door.handler.held;
    eventually("the answer is on its way", || Arc::strong_count(held) > 1).await;
    eventually("the answer is dropped", || Arc::strong_count(held) == 1).await;
    assert!(begun.elapsed() >= hasty().body_read, "not before its time");
    let mut taken = Vec::new();
    let _ = stream.read_to_end(&mut taken).await;
    assert!(taken.len() < LARGE_CHUNKS * CHUNK, "it was cut off");
}

/// One that takes a little now and then is served, however long it takes in all.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_its_whole_answer() {
    let limits = ServerLimits {
        body_read: Duration::from_secs(3),
        ..hasty()
    };
    let stall = limits.body_read;
    let door = door(limits).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let begun = Instant::now();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let (mut taken, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        let count = stream.read(&mut chunk).await.unwrap();
        if count == 0 {
            break;
        }
        let whole_before = taken / CHUNK;
        taken += count;
        if taken / CHUNK > whole_before {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(taken > LARGE_CHUNKS * CHUNK, "only {taken} bytes came");
    assert!(begun.elapsed() > stall, "this was no slow reader");
}

/// The system tells that a socket can be written when much of its buffer is free. That must not be so much that a client which takes
/// some of its answer all the time looks like one that takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_pauses_is_no_stalled_one_however_slow() {
    let limits = ServerLimits {
        body_read: Duration::from_secs(2),
        ..hasty()
    };
    let slow_for = 3 * limits.body_read;
    let door = door(limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(door.address).await.unwrap();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let begun = Instant::now();
    let (mut taken, mut piece) = (0, vec![0; 8 * 1024]);
    // 400 kB a second at most.
    while begun.elapsed() < slow_for {
        taken += stream.read(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(taken < LARGE_CHUNKS * CHUNK / 2, "this was no slow reader");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    taken += rest.len();
    assert!(taken > LARGE_CHUNKS * CHUNK, "only {taken} bytes came");
}

/// The same in HTTP/2, where the connection goes on while one stream stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_http2_that_takes_nothing_is_let_go() {
    let door = door(hasty()).await;
    let mut sender = http2(&door).await;
    let begun = Instant::now();
    let request = Request::get("http://a/large").body(Full::new(bytes::Bytes::new()));
    // Its body is never read, so its window stays closed; pings are answered all the while.
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    let held = &door.handler.held;
    eventually("the answer is dropped", || Arc::strong_count(held) == 1).await;
    assert!(begun.elapsed() >= hasty().body_read, "not before its time");
    assert!(
        answer.into_body().collect().await.is_err(),
        "it was cut off"
    );
    // Another that waits for the service, not for the reader, is no such reader.
    let mut sender = http2(&door).await;
    let request = Request::get("http://a/dripping").body(Full::new(bytes::Bytes::new()));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert!(answer.into_body().collect().await.is_ok());
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_in_http2_either() {
    let door = door(ServerLimits::default()).await;
    let mut sender = http2(&door).await;
    let request = Request::head("http://a/whole").body(Full::new(bytes::Bytes::new()));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-length"], WHOLE.to_string());
    let body = answer.into_body().collect().await.unwrap();
    assert!(body.to_bytes().is_empty());
}

/// One that comes in one piece too, which HTTP/2 would take whole, and of which its reader then has a byte.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_is_none_that_was_taken() {
    let limits = ServerLimits {
        body_read: Duration::from_secs(2),
        idle: PATIENCE * 10,
        ..hasty()
    };
    let door = door(limits).await;
    let stream = TcpStream::connect(door.address).await.unwrap();
    let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1)
        .handshake(TokioIo::new(stream));
    let (mut sender, driver) = client.await.unwrap();
    tokio::spawn(driver);
    let request = Request::get("http://a/whole").body(Full::new(bytes::Bytes::new()));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    let held = &door.handler.held;
    assert!(Arc::strong_count(held) > 1);
    eventually("the answer is dropped", || Arc::strong_count(held) == 1).await;
    assert!(
        answer.into_body().collect().await.is_err(),
        "it was cut off"
    );
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order() {
    let door = door(ServerLimits::default()).await;
    let answer = raw(
        door.address,
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
          POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
          GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let places: Vec<_> = ["/1 0", "/2 3", "/3 3", "/4 0"]
        .iter()
        .map(|text| answer.find(text))
        .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{answer}"
    );
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let limits = ServerLimits {
        connections_per_address_max: 2,
        exempt: Vec::new(),
        ..ServerLimits::default()
    };
    let door = door(limits).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        stream.read_u8().await.unwrap();
        kept.push(stream);
    }
    let mut third = TcpStream::connect(door.address).await.unwrap();
    let answer = read_all(&mut third).await;
    is_problem(&answer, 429, "too_many_connections");
    assert!(answer.contains("retry-after: 1"));
    drop(kept.pop());
    let deadline = Instant::now() + PATIENCE;
    while !raw(
        door.address,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await
    .contains(" 200 ")
    {
        assert!(Instant::now() < deadline, "the place is not given back");
    }
}

#[tokio::test]
async fn fields_are_counted_in_http2_too() {
    let limits = ServerLimits::default();
    let allowed = limits.headers_max;
    let door = door(limits).await;
    let mut sender = http2(&door).await;
    for (fields, status) in [(allowed, 200), (allowed + 1, 431)] {
        let mut request = Request::get("http://a/");
        for number in 0..fields {
            request = request.header(format!("x-{number}"), "1");
        }
        let request = request.body(Full::new(bytes::Bytes::new())).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{fields}");
    }
}

#[tokio::test]
async fn http2_is_spoken_without_an_upgrade() {
    let door = door(ServerLimits::default()).await;
    let mut sender = http2(&door).await;
    let mut answers = Vec::new();
    for number in 0..20 {
        let request = Request::post(format!("http://a/{number}"))
            .body(Full::new(bytes::Bytes::from("body")))
            .unwrap();
        answers.push((number, sender.send_request(request)));
    }
    for (number, answer) in answers {
        let body = answer
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(body, format!("/{number} 4"));
    }
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_takes_nothing_more() {
    let door = door(ServerLimits::default()).await;
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    let address = door.address;
    let running =
        tokio::spawn(async move { raw(address, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await });
    eventually("the request runs", || door.handler.begun.load(Relaxed) == 1).await;
    door.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, door.serving)
        .await
        .unwrap()
        .unwrap();
    assert!(running.await.unwrap().ends_with("/slow 0"));
    assert_eq!(read_all(&mut idle).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

const POST: &[u8] = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/// One answer to `POST`, or what came of it before the other side closed.
async fn answer_to_post(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"/p 3") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_the_last_answer(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close\r\n")
}

/// Nothing is awaited between the requests and the signal, so on this runtime of one thread the server hears of the signal first.
#[tokio::test]
async fn requests_that_lie_in_their_sockets_at_the_signal_to_stop_are_answered() {
    let door = door(ServerLimits::default()).await;
    let fresh = TcpStream::connect(door.address).await.unwrap();
    let mut kept = TcpStream::connect(door.address).await.unwrap();
    kept.write_all(POST).await.unwrap();
    let first = answer_to_post(&mut kept).await;
    assert!(!first.contains("connection: close"), "{first}");
    for stream in [&kept, &fresh] {
        assert_eq!(stream.try_write(POST).unwrap(), POST.len());
    }
    // This one was never accepted.
    let mut waiting = std::net::TcpStream::connect(door.address).unwrap();
    std::io::Write::write_all(&mut waiting, POST).unwrap();
    door.stop.send(()).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let waiting = TcpStream::from_std(waiting).unwrap();
    for (name, mut stream) in [("kept", kept), ("fresh", fresh), ("waiting", waiting)] {
        let answer = read_all(&mut stream).await;
        assert!(is_the_last_answer(&answer), "{name}: {answer:?}");
    }
    tokio::time::timeout(PATIENCE, door.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_pause_are_told_before_their_connection_closes() {
    let door = door(ServerLimits::default()).await;
    let address = door.address;
    let clients: Vec<_> = (0..32)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                loop {
                    let sent = stream.write_all(POST).await;
                    let answer = answer_to_post(&mut stream).await;
                    if is_the_last_answer(&answer) {
                        return;
                    }
                    assert!(answer.ends_with("/p 3"), "{sent:?}: {answer:?}");
                }
            })
        })
        .collect();
    eventually("all are at work", || {
        door.handler.begun.load(Relaxed) > 3_000
    })
    .await;
    door.stop.send(()).unwrap();
    for client in clients {
        tokio::time::timeout(PATIENCE, client)
            .await
            .unwrap()
            .unwrap();
    }
    tokio::time::timeout(PATIENCE, door.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn stopping_lets_http2_finish_and_ends_without_it() {
    let door = door(ServerLimits::default()).await;
    let mut sender = http2(&door).await;
    let request = Request::get("http://a/slow").body(Full::new(bytes::Bytes::new()));
    let answer = tokio::spawn(sender.send_request(request.unwrap()));
    eventually("the request runs", || door.handler.begun.load(Relaxed) == 1).await;
    door.stop.send(()).unwrap();
    let body = answer.await.unwrap().unwrap().into_body().collect().await;
    assert_eq!(body.unwrap().to_bytes(), "/slow 0");
    tokio::time::timeout(PATIENCE, door.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let limits = ServerLimits {
        drain: Duration::from_millis(100),
        ..ServerLimits::default()
    };
    let door = door(limits).await;
    let mut stuck = TcpStream::connect(door.address).await.unwrap();
    stuck
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        .await
        .unwrap();
    eventually("the request runs", || door.handler.begun.load(Relaxed) == 1).await;
    door.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, door.serving)
        .await
        .unwrap()
        .unwrap();
}

/// Both ends of each connection are in this process, and both fit into the usual limit of 1,024 files. The end-to-end
/// tests hold ten thousand against a host of its own, and measure its memory; here other tests use that of the process too.
const IDLE: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_beside_idle_connections() {
    let limits = ServerLimits {
        connections_max: IDLE + 10,
        ..ServerLimits::default()
    };
    let door = door(limits).await;
    let mut idle = Vec::with_capacity(IDLE);
    while idle.len() < IDLE {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        // Half of them have been used.
        if idle.len() % 2 == 0 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
        }
        idle.push(stream);
    }
    eventually("all have been served", || {
        door.handler.begun.load(Relaxed) as usize >= IDLE / 2
    })
    .await;
    let answer = raw(
        door.address,
        b"GET /one-more HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with("/one-more 0"), "{answer}");
}
