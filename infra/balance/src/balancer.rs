//! The balancer: a fleet of replicas that can be exchanged while it works.

use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc};

use http::{Request, Response, StatusCode};

use crate::{
    backend::LocalReplicas,
    body::{Body, BoxError},
    config::BalanceConfig,
    problem::Problem,
    server::Handler,
};

/// Why a configuration could not be applied.
#[derive(Debug, thiserror::Error)]
#[error("replica {id}: {cause}")]
pub struct ApplyError {
    /// The replica that could not be made.
    pub id: String,
    /// The host's reason.
    #[source]
    pub cause: BoxError,
}

/// Chooses a replica for each request, and passes it on.
pub struct Balancer {
    _locals: Arc<dyn LocalReplicas>,
}

impl Balancer {
    /// A balancer over the replicas of `config`; `locals` makes those that have no address.
    ///
    /// # Errors
    /// A local replica that could not be made.
    pub fn new(
        _config: BalanceConfig,
        locals: Arc<dyn LocalReplicas>,
    ) -> Result<Arc<Self>, ApplyError> {
        Ok(Arc::new(Self { _locals: locals }))
    }

    /// Puts `config` in the place of the present one. Replicas that stay keep their connections, counts and health.
    ///
    /// # Errors
    /// A local replica that could not be made; nothing is changed then.
    pub fn apply(&self, _config: BalanceConfig) -> Result<(), ApplyError> {
        Ok(())
    }

    /// Watches the balance file, checks replicas, and forgets quiet clients; runs until `stop` completes.
    pub async fn run(
        self: Arc<Self>,
        _file: Option<PathBuf>,
        stop: impl Future<Output = ()> + Send,
    ) {
        stop.await;
    }

    /// Answers one request from the client at `peer`.
    pub async fn handle(&self, _request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        Problem::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "Not yet.").response()
    }
}

impl Handler for Balancer {
    async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        Self::handle(self, request, peer).await
    }
}
