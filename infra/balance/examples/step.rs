//! What the proxy step costs by itself: requests through the balancer to local replicas that answer at once.

use std::{sync::Arc, time::Instant};

use http::{Request, Response};
use trawl_balance::{
    BalanceConfig, Balancer, Body, BoxError, Call, LocalBackend, LocalReplicas, ReplicaConfig,
    StrategyKind, body,
};

struct AtOnce;

impl LocalBackend for AtOnce {
    fn call(self: Arc<Self>, _request: Request<Body>) -> Call {
        Box::pin(async { Ok(Response::new(body::empty())) })
    }
}

impl LocalReplicas for AtOnce {
    fn open(&self, _replica: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Ok(Arc::new(AtOnce))
    }
}

const REQUESTS: u32 = 300_000;

fn request() -> Result<Request<Body>, http::Error> {
    Request::post("/receive_data")
        .header("host", "127.0.0.1:3000")
        .header(
            "authorization",
            "Bearer something-that-is-a-few-hundred-bytes-in-truth",
        )
        .header("content-type", "application/json")
        .header("user-agent", "step")
        .body(body::empty())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let peer = "127.0.0.1:9".parse()?;
    let begun = Instant::now();
    let replica = Arc::new(AtOnce);
    for _ in 0..REQUESTS {
        let response = Arc::clone(&replica).call(request()?).await?;
        std::hint::black_box(response);
    }
    let direct = begun.elapsed() / REQUESTS;
    for (strategy, replicas) in [
        (StrategyKind::RoundRobin, 1),
        (StrategyKind::RoundRobin, 3),
        (StrategyKind::LeastConn, 3),
        (StrategyKind::PeakEwma, 3),
        (StrategyKind::Hash, 3),
        (StrategyKind::RoundRobin, 64),
    ] {
        let balancer = Balancer::new(BalanceConfig::local(strategy, replicas), Arc::new(AtOnce))?;
        let begun = Instant::now();
        for _ in 0..REQUESTS {
            let response = balancer.handle(request()?, peer).await;
            std::hint::black_box(response);
        }
        let step = (begun.elapsed() / REQUESTS).saturating_sub(direct);
        println!(
            "{:<12} {replicas:>2} replicas: {:.2} us each",
            strategy.name(),
            step.as_secs_f64() * 1e6
        );
    }
    Ok(())
}
