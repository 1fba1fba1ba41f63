//! A real origin: the Rust documentation's pages under `/doc/`, and odd ones under `/odd/`.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::pages::rust_docs;
use crate::serve::{Body, serve_over};
use crate::tls::Authority;

/// Documents as they were sent before, packed or not, by path: packing a page anew for each request would make the origin
/// the slowest part of a benchmark.
type Kept = Arc<Mutex<HashMap<(String, bool), Bytes>>>;

/// A running origin.
pub struct Origin {
    address: SocketAddr,
    scheme: &'static str,
    hits: Arc<Mutex<HashMap<String, usize>>>,
    task: JoinHandle<()>,
}

impl Origin {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into()).await
    }

    /// Starts on an address; `0.0.0.0` makes every loopback address (127.0.0.2, …) a host of its own.
    pub fn start_on(address: SocketAddr) -> BoxFuture<'static, Self> {
        Box::pin(Self::start_now(None, address))
    }

    /// The same over TLS, with a certificate of this authority.
    pub fn start_over_tls(authority: &Authority, address: SocketAddr) -> BoxFuture<'static, Self> {
        Box::pin(Self::start_now(Some(authority.acceptor()), address))
    }

    async fn start_now(tls: Option<TlsAcceptor>, address: SocketAddr) -> Self {
        let hits: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counted = Arc::clone(&hits);
        let docs = Arc::new((rust_docs(), Kept::default()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (address, task) = serve_over(tls, address, move |request| {
            let docs = Arc::clone(&docs);
            *counted
                .lock()
                .unwrap()
                .entry(request.uri().path().to_owned())
                .or_default() += 1;
            async move { answer(&docs.0, &docs.1, &request).await }
        })
        .await;
        Self {
            address,
            scheme,
            hits,
            task,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of `path` on 127.0.0.1.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.url_on("127.0.0.1", path)
    }

    /// The URL of `path` on another loopback address (only when started on `0.0.0.0`).
    #[must_use]
    pub fn url_on(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// How often `path` was asked for.
    #[must_use]
    pub fn hits(&self, path: &str) -> usize {
        self.hits.lock().unwrap().get(path).copied().unwrap_or(0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(docs: &Path, kept: &Kept, request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if let Some(file) = path.strip_prefix("/doc/") {
        return document(docs, kept, file, accepts_gzip(request)).await;
    }
    match path {
        "/robots.txt" => text(200, "text/plain", "User-agent: *\nDisallow: /forbidden/\n"),
        "/forbidden/page" => text(200, "text/html", "<p>robots.txt forbids this page</p>"),
        _ => path.strip_prefix("/odd/").map_or_else(
            || text(404, "text/html", "<h1>Not found</h1>"),
            |odd| odd_page(odd, request),
        ),
    }
}

fn odd_page(odd: &str, request: &Request<Incoming>) -> Response<Body> {
    match odd {
        "latin1" => bytes(200, &[("content-type", "text/html; charset=iso-8859-1")], b"<html><head><title>Caf\xe9</title></head><body><p>Ein Caf\xe9 in K\xf6ln, mit \xa3 und \xfc.</p></body></html>".to_vec()),
        "meta-sjis" => bytes(200, &[("content-type", "text/html")], b"<html><head><meta charset=\"shift_jis\"><title>\x93\xfa\x96{</title></head><body><p>\x93\xfa\x96{\x8c\xea\x82\xcc\x83y\x81[\x83W</p></body></html>".to_vec()),
        "utf16" => bytes(200, &[("content-type", "text/html")], utf16("<html><body><p>sixteen bits ✓</p></body></html>")),
        "gzip" => bytes(200, &[("content-type", "text/html"), ("content-encoding", "gzip")], gzip(article().as_bytes())),
        "deflate" => bytes(200, &[("content-type", "text/html"), ("content-encoding", "deflate")], zlib(article().as_bytes())),
        "brotli" => bytes(200, &[("content-type", "text/html"), ("content-encoding", "br")], brotli(article().as_bytes())),
        "redirect" => redirect(302, "/odd/redirect-2"),
        "redirect-2" => redirect(301, "../odd/plain"),
        "redirect-loop" => redirect(302, "/odd/redirect-loop"),
        "redirect-private" => redirect(302, "http://169.254.169.254/latest/meta-data/"),
        "redirect-spin" => redirect(302, "http://nope.spin.internal/"),
        "redirect-self" => redirect(307, "//self.alt/readyz"),
        "redirect-file" => redirect(302, "file:///etc/passwd"),
        "plain" => text(200, "text/html; charset=utf-8", &article()),
        "echo-agent" => text(200, "text/html; charset=utf-8", &format!("<html><body><main><p>agent: {}</p></main></body></html>", request.headers().get("user-agent").and_then(|v| v.to_str().ok()).unwrap_or("none"))),
        "missing" => text(404, "text/html", "<h1>Gone fishing</h1>"),
        "error" => text(500, "text/html", "<h1>Broken</h1>"),
        "unavailable" => with_header(text(503, "text/html", "later"), "retry-after", "3600"),
        "binary" => bytes(200, &[("content-type", "application/octet-stream")], (0..65536_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>()),
        "png" => bytes(200, &[("content-type", "image/png")], b"\x89PNG\r\n\x1a\n".to_vec()),
        "json" => text(200, "application/json", "{\"a\":1}"),
        "broken" => text(200, "text/html", "<html><body><div><p>One <b>two <i>three</b> four</i><table><tr><td>five<div></table></p>six<!-- never closed"),
        "empty" => text(200, "text/html", ""),
        "deep" => text(200, "text/html", &("<div>".repeat(50_000) + "deep text")),
        "bomb" => bytes(200, &[("content-type", "text/html"), ("content-encoding", "gzip")], gzip_zeroes(256)),
        "lying-length" => lying_length(),
        "endless" => endless(),
        "stall" => stall(),
        "huge" => text(200, "text/html", &format!("<html><body>{}</body></html>", "<p>many words in a long page that goes on</p>".repeat(400_000))),
        "marks" => text(200, "text/html", &"\u{1}".repeat(9 << 20)),
        "slow" => drip(),
        "cookie" => with_header(redirect(302, "/odd/cookie-check"), "set-cookie", "session=abc; Path=/"),
        "cookie-check" => {
            let sent = request.headers().get("cookie").and_then(|v| v.to_str().ok()).unwrap_or("none");
            text(200, "text/html", &format!("<html><body><main><p>The cookie that came along was: {sent}</p></main></body></html>"))
        }
        "links" => text(200, "text/html", LINKS),
        _ => text(404, "text/html", "<h1>No such odd page</h1>"),
    }
}

const LINKS: &str = r#"<html><head><link rel="canonical" href="https://www.example.co.uk/page"><link rel="stylesheet" href="//cdn.example.net/a.css"></head>
<body><nav><a href="https://blog.example.co.uk/">blog</a></nav><main><a href="https://docs.rust-lang.org/book">book</a> <a href="https://www.rust-lang.org/">rust</a>
<img src="https://images.example.org/x.png" srcset="https://img2.example.org/y.png 2x"><script src="https://static.example.com/z.js"></script>
<form action="https://forms.example.com/post"></form></main></body></html>"#;

/// A page with a title, paragraphs enough to be an article, and furniture around it.
#[must_use]
pub fn article() -> String {
    let body = "The kestrel hovers over the field, its head quite still while the wings and tail work against the wind. It watches the grass for the small movements of a vole, and it can see the traces they leave.".to_owned();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>On kestrels</title><meta name=\"author\" content=\"A. Birder\"></head><body><nav><a href=\"/\">Home</a><a href=\"/about\">About</a></nav><article><h1>On kestrels</h1>{}</article><footer>All rights reserved</footer></body></html>",
        format!("<p>{body}</p>").repeat(6)
    )
}

async fn document(docs: &Path, kept: &Kept, file: &str, gzipped: bool) -> Response<Body> {
    let key = (file.to_owned(), gzipped);
    let known = kept.lock().unwrap().get(&key).cloned();
    let body = match known {
        Some(body) => body,
        None => {
            let wanted = docs.join(file);
            if file.split('/').any(|part| part == "..") || !wanted.starts_with(docs) {
                return text(404, "text/html", "<h1>Not found</h1>");
            }
            let Ok(page) = tokio::fs::read(&wanted).await else {
                return text(404, "text/html", "<h1>Not found</h1>");
            };
            let body = Bytes::from(if gzipped { gzip(&page) } else { page });
            kept.lock().unwrap().insert(key, body.clone());
            body
        }
    };
    let kind = if file.ends_with(".html") {
        "text/html"
    } else {
        "application/octet-stream"
    };
    let headers = [
        ("content-type", kind),
        ("etag", "\"doc\""),
        ("content-encoding", "gzip"),
    ];
    bytes(200, &headers[..2 + usize::from(gzipped)], body)
}

fn accepts_gzip(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get("accept-encoding")
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.contains("gzip"))
}

fn bytes(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response
        .body(Full::new(body.into()).map_err(|e| match e {}).boxed())
        .unwrap()
}

fn text(status: u16, content_type: &str, body: &str) -> Response<Body> {
    bytes(
        status,
        &[("content-type", content_type)],
        body.as_bytes().to_vec(),
    )
}

fn redirect(status: u16, to: &str) -> Response<Body> {
    with_header(text(status, "text/html", ""), "location", to)
}

fn with_header(mut response: Response<Body>, name: &'static str, value: &str) -> Response<Body> {
    response.headers_mut().append(name, value.parse().unwrap());
    response
}

fn utf16(text: &str) -> Vec<u8> {
    let mut out = vec![0xff, 0xfe];
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    out
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 5,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut std::io::Cursor::new(data), &mut out, &params).unwrap();
    out
}

/// `mib` MiB of spaces in some hundred KB: what a decompression bomb looks like on the wire.
fn gzip_zeroes(mib: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1 << 20];
    for _ in 0..mib {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

type Piece = Result<Frame<Bytes>, std::io::Error>;

fn stream(
    status: u16,
    length: Option<u64>,
    pieces: impl futures::Stream<Item = Piece> + Send + Sync + 'static,
) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "text/html");
    if let Some(length) = length {
        response = response.header("content-length", length);
    }
    response.body(StreamBody::new(pieces).boxed()).unwrap()
}

fn lying_length() -> Response<Body> {
    let pieces = [
        Ok(Frame::data(Bytes::from_static(b"<p>short</p>"))),
        Err(std::io::Error::other("the origin hangs up early")),
    ];
    stream(200, Some(100_000), futures::stream::iter(pieces))
}

fn endless() -> Response<Body> {
    let block = Bytes::from("<p>and on and on</p>".repeat(800));
    stream(
        200,
        None,
        futures::stream::repeat_with(move || Ok(Frame::data(block.clone()))),
    )
}

fn stall() -> Response<Body> {
    use futures::StreamExt as _;
    let first = futures::stream::iter([Ok(Frame::data(Bytes::from_static(
        b"<p>one piece, then nothing",
    )))]);
    stream(200, None, first.chain(futures::stream::pending()))
}

fn drip() -> Response<Body> {
    let pieces = futures::stream::unfold(0, |i| async move {
        if i == 10 {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((
            Ok(Frame::data(Bytes::from(format!(
                "<p>Piece {i} of a slow page.</p>"
            )))),
            i + 1,
        ))
    });
    stream(200, None, pieces)
}
