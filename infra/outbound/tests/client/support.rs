//! Real servers on loopback, and clients that may reach them.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trawl_outbound::{
    Class, Client, Options, OutboundError, Resolve, Resolving, ResponseBody, Timeouts,
};

/// A server and how many connections it took.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers every request with its method, path and Host.
pub(crate) async fn hello() -> Server {
    serve(|tcp| async move {
        let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
            let host = request
                .headers()
                .get("host")
                .map_or("", |host| host.to_str().unwrap())
                .to_owned();
            let text = format!("{} {} {host}", request.method(), request.uri().path());
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        });
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(tcp), service)
            .await;
    })
    .await
}

/// Runs `work` for every connection.
pub(crate) async fn serve<F, W>(work: W) -> Server
where
    W: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(work(tcp));
        }
    });
    Server {
        address,
        connections,
    }
}

/// Reads one request head.
pub(crate) async fn read_head(tcp: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.ok()?);
    }
    Some(head)
}

/// Answers the first request with `bytes`, then leaves the connection open and silent.
pub(crate) async fn answers(bytes: &'static [u8]) -> Server {
    serve(move |mut tcp| async move {
        if read_head(&mut tcp).await.is_some() {
            let _ = tcp.write_all(bytes).await;
            let _ = tcp.read_u8().await;
        }
    })
    .await
}

pub(crate) fn client() -> Client {
    Client::new(Options::default(), |_: &Class, _: SocketAddr| true).unwrap()
}

pub(crate) fn class() -> Class {
    Class::new("scrape")
}

pub(crate) fn get(url: &str) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).unwrap()
}

pub(crate) fn post(url: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(url)
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

pub(crate) fn short() -> Timeouts {
    let time = Duration::from_millis(150);
    Timeouts {
        connect: time,
        first_byte: time,
        between_bytes: time,
    }
}

pub(crate) async fn text(response: Response<ResponseBody>) -> Result<String, OutboundError> {
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec()).unwrap())
}

pub(crate) async fn fetch(client: &Client, url: &str) -> Result<String, OutboundError> {
    text(client.send(&class(), get(url), Timeouts::default()).await?).await
}

/// A resolver that gives its answers one after the other, the last one for ever.
pub(crate) struct Script {
    pub(crate) answers: Vec<Vec<SocketAddr>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Resolve for Script {
    fn resolve(&self, _: &str, _: u16) -> Resolving {
        let turn = self
            .asked
            .fetch_add(1, Ordering::SeqCst)
            .min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}
