//! `GET /balance` and `GET /metrics`, for operators only.

use std::{net::SocketAddr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED},
};

use crate::{
    balancer::Balancer,
    body::{Body, full},
    problem::Problem,
};

/// The host's other figures, shown beside the balancer's.
pub trait Figures: Send + Sync + 'static {
    /// What `GET /balance` shows under `host`.
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
    balancer: Arc<Balancer>,
    token: Option<String>,
    figures: Arc<dyn Figures>,
}

const FORBIDDEN: Problem = Problem::new(
    StatusCode::FORBIDDEN,
    "operators_only",
    "This page is for operators: ask from the machine itself, or with the admin token.",
);
const BAD_METHOD: Problem = Problem::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "This page can only be read.",
);

impl Operator {
    /// Shows `balancer` together with `figures`. Whoever is not on this machine needs `token`; without one, nobody else
    /// sees it.
    #[must_use]
    pub fn new(balancer: Arc<Balancer>, token: Option<String>, figures: Arc<dyn Figures>) -> Self {
        Self {
            balancer,
            token,
            figures,
        }
    }

    /// The answer, when the request is for one of the two routes; `None` for every other request.
    pub fn answer<B>(&self, request: &Request<B>, peer: SocketAddr) -> Option<Response<Body>> {
        let route = request.uri().path();
        if !matches!(route, "/balance" | "/metrics") {
            return None;
        }
        if !self.may_see(request.headers(), peer) {
            return Some(FORBIDDEN.response());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(BAD_METHOD.response());
        }
        Some(if route == "/balance" {
            text("application/json", self.json())
        } else {
            text(
                "text/plain; version=0.0.4; charset=utf-8",
                self.prometheus(),
            )
        })
    }

    /// The text of `GET /balance`.
    #[must_use]
    pub fn json(&self) -> String {
        let mut value = serde_json::to_value(self.balancer.snapshot()).unwrap_or_default();
        value["host"] = self.figures.json();
        value.to_string()
    }

    /// The text of `GET /metrics`.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut out = String::with_capacity(8 * 1024);
        self.balancer.snapshot().prometheus(&mut out);
        self.figures.prometheus(&mut out);
        out
    }

    /// The machine itself, unless the request came through a proxy that runs on it; else the holder of the token.
    fn may_see(&self, headers: &HeaderMap, peer: SocketAddr) -> bool {
        let came_through =
            headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
        if peer.ip().to_canonical().is_loopback() && !came_through {
            return true;
        }
        let offered = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match (&self.token, offered) {
            (Some(token), Some(offered)) => is_equal(token.as_bytes(), offered.as_bytes()),
            _ => false,
        }
    }
}

/// Takes the same time wherever the two differ, so that a token can't be found byte by byte.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn text(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BalanceConfig, RemoteOnly, ReplicaConfig, StrategyKind};

    struct Extra;

    impl Figures for Extra {
        fn json(&self) -> serde_json::Value {
            serde_json::json!({"instances": 3})
        }

        fn prometheus(&self, out: &mut String) {
            out.push_str("trawl_instances 3\n");
        }
    }

    fn operator(token: Option<&str>) -> Operator {
        let url = "http://127.0.0.1:1".to_owned().try_into().unwrap();
        let config = BalanceConfig::new(
            StrategyKind::Weighted,
            vec![ReplicaConfig::new("a", Some(url))],
        );
        let balancer = Balancer::new(config, Arc::new(RemoteOnly)).unwrap();
        Operator::new(balancer, token.map(ToOwned::to_owned), Arc::new(Extra))
    }

    fn status(
        operator: &Operator,
        peer: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Option<u16> {
        let mut request = Request::new(());
        *request.uri_mut() = "/balance".parse().unwrap();
        for (name, value) in fields {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        operator
            .answer(&request, peer.parse().unwrap())
            .map(|response| response.status().as_u16())
    }

    #[test]
    fn only_operators_see_the_figures() {
        let (open, closed) = (operator(Some("secret")), operator(None));
        assert_eq!(status(&open, "127.0.0.1:9", &[]), Some(200));
        assert_eq!(status(&open, "[::1]:9", &[]), Some(200));
        assert_eq!(
            status(&open, "127.0.0.1:9", &[("x-forwarded-for", "1.2.3.4")]),
            Some(403)
        );
        assert_eq!(status(&open, "192.0.2.1:9", &[]), Some(403));
        assert_eq!(
            status(&open, "192.0.2.1:9", &[("authorization", "Bearer secret")]),
            Some(200)
        );
        assert_eq!(
            status(&open, "192.0.2.1:9", &[("authorization", "Bearer secreT")]),
            Some(403)
        );
        assert_eq!(
            status(&closed, "192.0.2.1:9", &[("authorization", "Bearer ")]),
            Some(403)
        );
    }

    #[test]
    fn other_routes_are_not_answered() {
        let mut request = Request::new(());
        *request.uri_mut() = "/balances".parse().unwrap();
        assert!(
            operator(None)
                .answer(&request, "127.0.0.1:9".parse().unwrap())
                .is_none()
        );
    }

    #[test]
    fn both_texts_show_the_balancer_and_the_host() {
        let operator = operator(None);
        let json: serde_json::Value = serde_json::from_str(&operator.json()).unwrap();
        assert_eq!(json["strategy"], "weighted");
        assert_eq!(json["replicas"][0]["state"], "up");
        assert_eq!(
            json["replicas"][0]["latency_ms"]["p50"],
            serde_json::Value::Null
        );
        assert_eq!(json["host"]["instances"], 3);
        let text = operator.prometheus();
        assert!(text.contains("trawl_replica_up{replica=\"a\"} 1\n"));
        assert!(text.ends_with("trawl_instances 3\n"));
        // Each line is a comment or a sample with a number.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
