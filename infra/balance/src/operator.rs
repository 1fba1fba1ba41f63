//! `GET /balance` and `GET /metrics`, for operators only.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures::future::BoxFuture;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST},
    request::Parts,
};

use crate::{
    balancer::Balancer,
    body::{Body, full},
    exposition::{Exposition, Kind, number},
    problem::Problem,
    server::ConnectionCounts,
};

/// The host's other figures, shown beside the balancer's. They may have to be asked for, so both take their time.
pub trait Figures: Send + Sync + 'static {
    /// What `GET /balance` shows under `host`.
    fn json(&self) -> BoxFuture<'_, serde_json::Value> {
        Box::pin(async { serde_json::Value::Null })
    }

    /// Further families of `GET /metrics`.
    fn prometheus<'a>(&'a self, out: &'a mut Exposition) -> BoxFuture<'a, ()> {
        let _ = out;
        Box::pin(async {})
    }
}

/// No other figures.
impl Figures for () {}

/// Answers the operators' two routes.
pub struct Operator {
    balancer: Arc<Balancer>,
    token: Option<String>,
    figures: Arc<dyn Figures>,
    connections: Arc<ConnectionCounts>,
}

/// Fields that proxies add, each by its own habit.
const TRACES_OF_PROXIES: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
];

const ONLY_THIS_MACHINE: Problem = Problem::new(
    StatusCode::FORBIDDEN,
    "operators_only",
    "This page is for operators: ask from the machine itself by its loopback address, or set an admin token.",
);
const ONLY_WITH_TOKEN: Problem = Problem::new(
    StatusCode::FORBIDDEN,
    "operators_only",
    "This page is for operators: ask with the admin token, as `Authorization: Bearer …`.",
);
const NO_TOKEN_BEHIND_PROXY: Problem = Problem::new(
    StatusCode::FORBIDDEN,
    "operators_only",
    "This page is for operators, and behind a proxy nobody else can be told from them: set an admin token and ask with it.",
);
const BAD_METHOD: Problem = Problem::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "This page can only be read.",
)
.allow("GET, HEAD");

impl Operator {
    /// Shows `balancer` together with `figures` to whoever has `token`. Without one, to this machine only; and to nobody when
    /// the balancer trusts a proxy, since the proxy may be on this machine and pass on what strangers ask.
    #[must_use]
    pub fn new(balancer: Arc<Balancer>, token: Option<String>, figures: Arc<dyn Figures>) -> Self {
        Self {
            balancer,
            // A variable that is set to nothing sets no token.
            token: token.filter(|token| !token.is_empty()),
            figures,
            connections: Arc::default(),
        }
    }

    /// The counts that it shows of connections: the handler in front gives them to the server.
    #[must_use]
    pub fn connection_counts(&self) -> Arc<ConnectionCounts> {
        Arc::clone(&self.connections)
    }

    /// Is the request for one of the two routes?
    #[must_use]
    pub fn is_asked<B>(request: &Request<B>) -> bool {
        page(request.uri().path()).is_some()
    }

    /// The answer to a request for which `is_asked` is true.
    pub async fn answer(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let (parts, _) = request.into_parts();
        if let Err(refused) = self.may_see(&parts, peer) {
            return refused.response();
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return BAD_METHOD.response();
        }
        if page(parts.uri.path()) == Some("/balance") {
            text("application/json", self.json().await)
        } else {
            text(
                "text/plain; version=0.0.4; charset=utf-8",
                self.prometheus().await,
            )
        }
    }

    /// The text of `GET /balance`.
    pub async fn json(&self) -> String {
        let mut value = serde_json::to_value(self.balancer.snapshot()).unwrap_or_default();
        value["connections"] = serde_json::json!({
            "open": self.connections.open.load(Relaxed),
            "accepted": self.connections.accepted.load(Relaxed),
            "refused": self.connections.refused.load(Relaxed),
        });
        value["host"] = self.figures.json().await;
        value.to_string()
    }

    /// The text of `GET /metrics`.
    pub async fn prometheus(&self) -> String {
        let mut out = Exposition::default();
        self.balancer.snapshot().prometheus(&mut out);
        for (name, kind, help, count) in [
            (
                "connections",
                Kind::Gauge,
                "Connections of clients that are open now.",
                &self.connections.open,
            ),
            (
                "connections_accepted_total",
                Kind::Counter,
                "Connections of clients that were accepted.",
                &self.connections.accepted,
            ),
            (
                "connections_refused_total",
                Kind::Counter,
                "Connections of clients that were too many.",
                &self.connections.refused,
            ),
        ] {
            out.family(name, kind, help)
                .sample(&[], number(count.load(Relaxed)));
        }
        self.figures.prometheus(&mut out).await;
        out.into_text()
    }

    /// The holder of the token. With none, the machine itself, unless the request came through a proxy that runs on it: that can
    /// be seen only of proxies that add a field or keep the name that was asked for.
    fn may_see(&self, parts: &Parts, peer: SocketAddr) -> Result<(), Problem> {
        let headers = &parts.headers;
        if let Some(token) = &self.token {
            let offered = headers
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.split_once(' '))
                // A scheme's name has no case (RFC 9110, 11.1).
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map(|(_, token)| token.trim_start());
            return match offered {
                Some(offered) if is_equal(token.as_bytes(), offered.as_bytes()) => Ok(()),
                _ => Err(ONLY_WITH_TOKEN),
            };
        }
        if !self.balancer.config().trusted_proxies.is_empty() {
            return Err(NO_TOKEN_BEHIND_PROXY);
        }
        let came_through = TRACES_OF_PROXIES
            .iter()
            .any(|name| headers.contains_key(*name));
        if peer.ip().to_canonical().is_loopback() && !came_through && names_this_machine(parts) {
            Ok(())
        } else {
            Err(ONLY_THIS_MACHINE)
        }
    }
}

/// Is the request addressed to this machine itself? A page from elsewhere, whose name was made to point here, can make its
/// reader's browser ask; and a proxy that adds no field often passes on the name that it was asked by.
fn names_this_machine(parts: &Parts) -> bool {
    let host = match (parts.uri.host(), parts.headers.get(HOST)) {
        (Some(host), _) => host,
        (None, Some(field)) => {
            let field = field.to_str().unwrap_or_default();
            match field.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
                _ => field,
            }
        }
        // HTTP/1.0 knows no host.
        (None, None) => return true,
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Takes the same time wherever the two differ, so that a token can't be found byte by byte.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Which of the two routes a path is; one slash at its end is no other path, as everywhere in the API.
fn page(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    ["/balance", "/metrics"]
        .into_iter()
        .find(|page| *page == path)
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
        fn json(&self) -> BoxFuture<'_, serde_json::Value> {
            Box::pin(async { serde_json::json!({"instances": 3}) })
        }

        fn prometheus<'a>(&'a self, out: &'a mut Exposition) -> BoxFuture<'a, ()> {
            Box::pin(async {
                out.family("instances", Kind::Gauge, "Instances.")
                    .sample(&[], 3.0);
            })
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

    async fn status(
        operator: &Operator,
        peer: &str,
        fields: &[(&'static str, &'static str)],
    ) -> u16 {
        let mut request = Request::new(crate::body::empty());
        *request.uri_mut() = "/balance".parse().unwrap();
        for (name, value) in fields {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        let answer = operator.answer(request, peer.parse().unwrap()).await;
        answer.status().as_u16()
    }

    #[tokio::test]
    async fn only_operators_see_the_figures() {
        let without = operator(None);
        let (local, far) = ("127.0.0.1:9", "192.0.2.1:9");
        assert_eq!(status(&without, local, &[]).await, 200);
        assert_eq!(status(&without, "[::1]:9", &[]).await, 200);
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "127.0.0.1:3000",
            "[::1]:3000",
            "[::1]",
        ] {
            let asked = status(&without, local, &[("host", host)]).await;
            assert_eq!(asked, 200, "{host}");
        }
        for (name, value) in [
            ("x-forwarded-for", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "1.2.3.4"),
            ("host", "trawl.example:3000"),
            ("host", "127.0.0.1.trawl.example"),
        ] {
            let asked = status(&without, local, &[(name, value)]).await;
            assert_eq!(asked, 403, "{name}");
        }
        assert_eq!(status(&without, far, &[]).await, 403);
        let none = [("authorization", "Bearer ")];
        assert_eq!(status(&without, far, &none).await, 403);
    }

    #[test]
    fn a_slash_at_the_end_is_no_other_path() {
        for (path, is_asked) in [
            ("/metrics", true),
            ("/metrics/", true),
            ("/balance/", true),
            ("/metrics//", false),
            ("/metrics/x", false),
            ("/", false),
        ] {
            let request = Request::get(path).body(()).unwrap();
            assert_eq!(Operator::is_asked(&request), is_asked, "{path}");
        }
    }

    /// nginx as it comes sends no field of its own, and a host of `127.0.0.1:3000`: nobody can be told from this machine.
    #[tokio::test]
    async fn a_token_is_asked_of_everybody() {
        let with = operator(Some("secret"));
        for peer in ["127.0.0.1:9", "192.0.2.1:9"] {
            let token = |value| [("authorization", value), ("host", "127.0.0.1:3000")];
            assert_eq!(status(&with, peer, &[]).await, 403);
            assert_eq!(status(&with, peer, &token("Bearer secreT")).await, 403);
            assert_eq!(status(&with, peer, &token("Bearer secret")).await, 200);
        }
        let empty = operator(Some(""));
        let none = [("authorization", "Bearer ")];
        assert_eq!(status(&empty, "192.0.2.1:9", &none).await, 403);
        assert_eq!(status(&empty, "127.0.0.1:9", &[]).await, 200);
    }

    #[tokio::test]
    async fn behind_a_trusted_proxy_nobody_sees_them_without_a_token() {
        let mut behind = operator(None);
        let mut config = behind.balancer.config();
        config.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        behind.balancer = Balancer::new(config, Arc::new(RemoteOnly)).unwrap();
        assert_eq!(status(&behind, "127.0.0.1:9", &[]).await, 403);
        behind.token = Some("secret".to_owned());
        let token = [("authorization", "Bearer secret")];
        assert_eq!(status(&behind, "127.0.0.1:9", &token).await, 200);
    }

    #[tokio::test]
    async fn what_does_not_read_is_told_what_does() {
        let operator = operator(None);
        for path in ["/balance", "/metrics"] {
            for (method, expected, allow) in [
                (Method::GET, 200, None),
                (Method::HEAD, 200, None),
                (Method::POST, 405, Some("GET, HEAD")),
                (Method::OPTIONS, 405, Some("GET, HEAD")),
            ] {
                let mut request = Request::new(crate::body::empty());
                *request.uri_mut() = path.parse().unwrap();
                *request.method_mut() = method.clone();
                let answer = operator
                    .answer(request, "127.0.0.1:9".parse().unwrap())
                    .await;
                let told = answer.headers().get(http::header::ALLOW);
                let told = told.map(|methods| methods.to_str().unwrap());
                assert_eq!(
                    (answer.status().as_u16(), told),
                    (expected, allow),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn other_routes_are_not_answered() {
        for (path, expected) in [("/balance", true), ("/metrics", true), ("/balances", false)] {
            let mut request = Request::new(());
            *request.uri_mut() = path.parse().unwrap();
            assert_eq!(Operator::is_asked(&request), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn both_texts_show_the_balancer_and_the_host() {
        let operator = operator(None);
        let json: serde_json::Value = serde_json::from_str(&operator.json().await).unwrap();
        assert_eq!(json["strategy"], "weighted");
        assert_eq!(json["replicas"][0]["state"], "up");
        assert_eq!(
            json["replicas"][0]["latency_ms"]["p50"],
            serde_json::Value::Null
        );
        assert_eq!(json["host"]["instances"], 3);
        let text = operator.prometheus().await;
        assert!(text.contains("trawl_replica_up{replica=\"a\"} 1\n"));
        assert!(text.ends_with("trawl_instances 3\n"));
        // Each line is a comment or a sample with a number.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
