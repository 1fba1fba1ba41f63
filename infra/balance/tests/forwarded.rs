//! What local replicas are told of a request that came through a proxy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails with its reason"
)]

mod support;

use std::sync::Arc;

use http::{Request, Response, header::HOST};
use support::{Door, plain, read_all};
use trawl_balance::{
    Body, BoxError, Call, LocalBackend, LocalReplicas, OverTls, ReplicaConfig, StrategyKind, body,
};

/// Answers with the scheme and the host that it was asked by.
struct Telling;

impl LocalReplicas for Telling {
    fn open(&self, _: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        Ok(Arc::new(Telling))
    }
}

impl LocalBackend for Telling {
    fn call(self: Arc<Self>, request: Request<Body>) -> Call {
        let is_https = request.extensions().get::<OverTls>().is_some();
        let scheme = if is_https { "https" } else { "http" };
        let host = request.headers()[HOST].to_str().unwrap();
        let text = format!("{scheme}://{host}");
        Box::pin(async { Ok(Response::new(body::full(text))) })
    }
}

#[tokio::test]
async fn scheme_and_host_of_a_trusted_proxy_are_believed_and_of_nobody_else() {
    let mut config = plain(
        StrategyKind::RoundRobin,
        vec![ReplicaConfig::new("a", None)],
    );
    config.trusted_proxies = vec!["127.0.0.2/32".parse().unwrap()];
    let door = Door::open(config, Arc::new(Telling)).await;
    let request = "GET / HTTP/1.1\r\nHost: inside:3000\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: trawl.example\r\nConnection: close\r\n\r\n";
    for (client, told) in [
        ([127, 0, 0, 2], "https://trawl.example"),
        ([127, 0, 0, 3], "http://inside:3000"),
    ] {
        let answer = read_all(&mut door.send(client.into(), request).await).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{told}")), "{answer}");
    }
}
