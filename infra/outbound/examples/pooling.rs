//! What the pool gains: requests per second against a server on loopback, with and without it.
//!
//! `cargo run --release -p trawl-outbound --example pooling [tasks] [seconds]`

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trawl_outbound::{Class, Client, Options, Timeouts};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let tasks: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    let pooled = requests(tasks, time, Options::default()).await?;
    let apart = requests(
        tasks,
        time,
        Options {
            idle_per_host_max: 0,
            ..Options::default()
        },
    )
    .await?;
    println!(
        "{tasks} tasks: {pooled:.0} requests/s pooled, {apart:.0} without: {:.1} times",
        pooled / apart
    );
    let alone = requests(1, time, Options::default()).await?;
    println!(
        "one task: {:.1} us per request, the server's share included",
        1e6 / alone
    );
    Ok(())
}

async fn hello() -> Outcome<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let service = service_fn(|_| async {
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from("hello"))))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service);
            tokio::spawn(async move {
                let _ = connection.await;
            });
        }
    });
    Ok(address)
}

async fn requests(tasks: usize, time: Duration, options: Options) -> Outcome<f64> {
    let url: Arc<str> = format!("http://{}/", hello().await?).into();
    let client = Client::new(options, |_: &Class, _: SocketAddr| true)?;
    let count = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..tasks {
        let (client, url, count) = (client.clone(), Arc::clone(&url), Arc::clone(&count));
        workers.push(tokio::spawn(async move {
            let class = Class::new("scrape");
            while begun.elapsed() < time {
                let request = http::Request::get(&*url).body(Empty::<Bytes>::new())?;
                let response = client.send(&class, request, Timeouts::default()).await?;
                response.into_body().collect().await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Ok(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    println!("  {:?}", client.stats());
    Ok(count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}
