//! A front door by itself, to try a balance file by hand: `front 127.0.0.1:3000 balance.toml`.

use std::{path::PathBuf, sync::Arc};

use trawl_balance::{
    BalanceConfig, Balancer, Body, Handler, Operator, RemoteOnly, ServerLimits, serve,
};

struct Front {
    balancer: Arc<Balancer>,
    operator: Operator,
}

impl Handler for Front {
    async fn handle(
        &self,
        request: http::Request<Body>,
        peer: std::net::SocketAddr,
    ) -> http::Response<Body> {
        if Operator::is_asked(&request) {
            self.operator.answer(request, peer).await
        } else {
            self.balancer.handle(request, peer).await
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next().map(PathBuf::from))
    else {
        return Err("give an address to listen on, and a balance file".into());
    };
    let balancer = Balancer::new(BalanceConfig::read(&file)?, Arc::new(RemoteOnly))?;
    tokio::spawn(Arc::clone(&balancer).run(Some(file), std::future::pending()));
    let operator = Operator::new(Arc::clone(&balancer), None, Arc::new(()));
    let listener = tokio::net::TcpListener::bind(address).await?;
    let limits = ServerLimits {
        connections_max: 20_000,
        ..ServerLimits::default()
    };
    serve(
        listener,
        Arc::new(Front { balancer, operator }),
        limits,
        async {
            tokio::signal::ctrl_c().await.ok();
        },
    )
    .await;
    Ok(())
}
