//! An origin that means harm, or is broken beyond what an HTTP library would send: bytes by hand over TCP.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running hostile origin.
pub struct Hostile {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// What a peer that went away leaves of an answer does not matter.
type Sent = std::io::Result<()>;

const MIB: usize = 1 << 20;
/// What a large page unpacks to, in MiB.
pub const LARGE_MIB: usize = 12;
/// What the bombs unpack to.
const BOMB_MIB: usize = 64;

impl Hostile {
    /// Starts on a free port of 127.0.0.1.
    pub fn start() -> BoxFuture<'static, Self> {
        Box::pin(Self::start_now())
    }

    async fn start_now() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        Self { address, task }
    }

    /// The URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream) -> Sent {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head
        .split(' ')
        .nth(1)
        .and_then(|path| path.strip_prefix('/'))
        .unwrap_or_default();
    let (kind, detail) = path.split_once('/').unwrap_or((path, ""));
    match kind {
        "bomb" => bomb(&mut stream, detail).await,
        "large" => page(&mut stream, "content-encoding: gzip\r\n", large()).await,
        "headers" => headers(&mut stream, detail).await,
        "slow" => slow(&mut stream, detail).await,
        "endless" => endless(&mut stream, detail).await,
        "length" => length(&mut stream, detail).await,
        "page" => page(&mut stream, "", page_body(detail).as_bytes()).await,
        "redirect" => redirect(&mut stream, detail).await,
        "broken" => broken(stream, detail).await,
        _ => {
            stream
                .write_all(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n")
                .await
        }
    }
}

/// A whole page with further header lines (each ended).
async fn page(stream: &mut TcpStream, lines: &str, body: &[u8]) -> Sent {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n{lines}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

async fn bomb(stream: &mut TcpStream, encodings: &str) -> Sent {
    let zeroes = |writer: &mut dyn std::io::Write| {
        let block = vec![b' '; MIB];
        (0..BOMB_MIB).for_each(|_| writer.write_all(&block).expect("memory takes all"));
    };
    let best = flate2::Compression::best();
    let body = match encodings {
        "gzip" | "gzip,gzip" | "gzip,gzip,gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), best);
            zeroes(&mut encoder);
            let once = encoder.finish().expect("memory takes all");
            let layers = encodings.split(',').count();
            (1..layers).fold(once, |packed, _| gzip(&packed))
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), best);
            zeroes(&mut encoder);
            encoder.finish().expect("memory takes all")
        }
        "raw-deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), best);
            zeroes(&mut encoder);
            encoder.finish().expect("memory takes all")
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 65_536, 5, 22);
            zeroes(&mut encoder);
            encoder.into_inner()
        }
        // It asks for a window of 1 GiB, by an extension of the format.
        "br-window" => vec![0x11, 0x1e, 0x03, 0, 0, 0],
        _ => zstd_bomb(),
    };
    let name = encodings
        .trim_start_matches("raw-")
        .trim_end_matches("-window");
    page(stream, &format!("content-encoding: {name}\r\n"), &body).await
}

/// A page of [`LARGE_MIB`] in some hundred kilobytes: no bomb, but many of them at once fill a memory.
fn large() -> &'static [u8] {
    static PAGE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    PAGE.get_or_init(|| {
        let words = "the same words once more, ".repeat(8);
        let mut html = String::from("<p>large</p>");
        for number in 0.. {
            if html.len() > LARGE_MIB * MIB {
                break;
            }
            html.push_str(&format!("<p>{number} {words}</p>"));
        }
        gzip(html.as_bytes())
    })
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// A Zstandard frame (RFC 8878) of blocks that each say "this byte 128 KiB times": four bytes a block.
fn zstd_bomb() -> Vec<u8> {
    const BLOCK_BYTES: usize = 128 * 1_024;
    // The magic number; no content size; a window of 8 MiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
    let blocks = BOMB_MIB * MIB / BLOCK_BYTES;
    for number in 1..=blocks {
        let is_last = usize::from(number == blocks);
        let header = (BLOCK_BYTES << 3) | (1 << 1) | is_last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

async fn headers(stream: &mut TcpStream, kind: &str) -> Sent {
    let flood = |count: usize, name: &str, value: &str| {
        (0..count)
            .map(|i| format!("{name}: n{i}={value}\r\n"))
            .collect::<String>()
    };
    match kind {
        "many" => page(stream, &flood(200, "x-many", "1"), b"<p>x").await,
        "large" => {
            page(
                stream,
                &flood(1, "x-large", &"v".repeat(100 * 1_024)),
                b"<p>x",
            )
            .await
        }
        "cookies" => page(stream, &flood(100_000, "set-cookie", "v; Path=/"), b"<p>x").await,
        // As many as a head may hold; each is at the limit of what a cookie may be.
        "large-cookies" => {
            page(
                stream,
                &flood(15, "set-cookie", &"v".repeat(4_000)),
                b"<p>fine",
            )
            .await
        }
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(b"x-endless: and on and on\r\n").await?;
            }
        }
    }
}

/// One byte a second, for ever.
async fn slow(stream: &mut TcpStream, part: &str) -> Sent {
    let (start, drop): (&[u8], &[u8]) = if part == "head" {
        (b"HTTP/1.1 200 OK\r\nx-slow: ", b"s")
    } else {
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<p>",
            b"s",
        )
    };
    stream.write_all(start).await?;
    loop {
        stream.write_all(drop).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn endless(stream: &mut TcpStream, kind: &str) -> Sent {
    let chunked = if kind == "chunks" {
        "transfer-encoding: chunked\r\n"
    } else {
        ""
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n{chunked}\r\n");
    stream.write_all(head.as_bytes()).await?;
    // One byte a chunk: as much framing as there can be.
    let piece = if kind == "chunks" {
        "1\r\nx\r\n".repeat(8_192)
    } else {
        "<p>on ".repeat(8_192)
    };
    loop {
        stream.write_all(piece.as_bytes()).await?;
    }
}

async fn length(stream: &mut TcpStream, kind: &str) -> Sent {
    let lines = match kind {
        "long" => "content-length: 100000\r\n",
        "short" => "content-length: 12\r\n",
        "huge" => "content-length: 99999999999\r\n",
        "negative" => "content-length: -1\r\n",
        "twice" => "content-length: 12\r\ncontent-length: 5\r\n",
        _ => "content-length: 12\r\ntransfer-encoding: chunked\r\n",
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n{lines}\r\n<p>fine</p>.HTTP/1.1 200 OK\r\n\r\nsmuggled"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.shutdown().await
}

fn page_body(kind: &str) -> String {
    match kind {
        "deep" => "<div>".repeat(50_000) + "deep text",
        "deep-mixed" => "<b><i><table><ul><li><a href=x>".repeat(10_000) + "deep text",
        "deep-svg" => "<svg><g><foreignobject>".repeat(20_000) + "deep text",
        "wide" => "<a href=/x>y</a>".repeat(600_000),
        "attributes" => format!("<p {}>x", "a=b ".repeat(2_000_000)),
        "one-tag" => format!("<p a=\"{}", "x".repeat(9 * MIB)),
        "opened" => "<".repeat(9 * MIB),
        "comments" => "<!--".repeat(2 * MIB),
        "entities" => "&amp&#x1F600;&notit;".repeat(400_000),
        "formatting" => format!(
            "{}{}",
            "<b a=1><i>".repeat(100_000),
            "<p>x</b>".repeat(100_000)
        ),
        "tables" => "<table><tr><td>".repeat(100_000),
        // Without the tag it would be no page.
        "nul" => format!("<p>{}", "\0".repeat(4 * MIB)),
        _ => "<p>A fine page, with a sentence or two to read.</p>".to_owned(),
    }
}

async fn redirect(stream: &mut TcpStream, detail: &str) -> Sent {
    let (kind, number) = detail.rsplit_once('/').unwrap_or((detail, "0"));
    let next = number.parse::<u64>().unwrap_or(0) + 1;
    let lines = match kind {
        "endless" => format!("location: /redirect/endless/{next}\r\n"),
        // A new cookie each time, so that it never comes back to where it was.
        "cookies" => format!(
            "location: /redirect/cookies/0\r\nset-cookie: n={:?}\r\n",
            std::time::Instant::now()
        ),
        "two" => format!("location: /redirect/two/{}\r\n", next % 2),
        "long" => format!("location: /{}\r\n", "x".repeat(9_000)),
        "fragment" => "location: #here\r\n".to_owned(),
        _ => "location: \r\n".to_owned(),
    };
    let head = format!("HTTP/1.1 302 X\r\n{lines}content-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await
}

async fn broken(mut stream: TcpStream, kind: &str) -> Sent {
    match kind {
        "closed" => Ok(()),
        "garbage" => {
            stream
                .write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
                .await
        }
        "status" => stream.write_all(b"HTTP/1.1 999999 X\r\n\r\n").await,
        "binary" => {
            let noise: Vec<u8> = (0..MIB as u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect();
            page(&mut stream, "", &noise).await
        }
        "packed" => {
            page(
                &mut stream,
                "content-encoding: gzip\r\n",
                b"\x1f\x8b\x08\0\0\0\0\0\0\0garbage",
            )
            .await
        }
        "cut" => {
            let packed = gzip(page_body("").repeat(100).as_bytes());
            page(
                &mut stream,
                "content-encoding: gzip\r\n",
                &packed[..packed.len() / 2],
            )
            .await
        }
        "unknown" => page(&mut stream, "content-encoding: lzma\r\n", b"x").await,
        _ => {
            // Headers, a little of the body, and a reset: what is unread makes the close one.
            stream.set_zero_linger()?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1000\r\n\r\n<p>").await
        }
    }
}
