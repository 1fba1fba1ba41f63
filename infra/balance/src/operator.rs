//! `GET /balance` and `GET /metrics`, for operators only.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, Response};

use crate::{balancer::Balancer, body::Body};

/// The host's other figures, shown beside the balancer's.
pub trait Figures: Send + Sync + 'static {
    /// Members for the JSON of `GET /balance`, under `host`.
    fn json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Lines of the Prometheus text format, appended to `out`.
    fn prometheus(&self, out: &mut String) {
        let _ = out;
    }
}

/// No other figures.
impl Figures for () {}

/// Answers the operators' two routes.
pub struct Operator {
    _balancer: Arc<Balancer>,
    _token: Option<String>,
    _figures: Arc<dyn Figures>,
}

impl Operator {
    /// Shows `balancer` together with `figures`. Whoever is not on this machine needs `token`; without one, nobody else sees it.
    #[must_use]
    pub fn new(balancer: Arc<Balancer>, token: Option<String>, figures: Arc<dyn Figures>) -> Self {
        Self {
            _balancer: balancer,
            _token: token,
            _figures: figures,
        }
    }

    /// The answer, when the request is for one of the two routes; `None` for every other request.
    pub fn answer<B>(&self, _request: &Request<B>, _peer: SocketAddr) -> Option<Response<Body>> {
        None
    }
}
