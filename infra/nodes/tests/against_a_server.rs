//! The nodes against a small server that plays trawl.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with its reason"
)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use trawl_nodes::{Args, Report, play};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

#[derive(Default)]
struct Server {
    logins: AtomicU64,
    posts: AtomicU64,
    /// The token that is good: the number of the log-in that gave it.
    expire_after: u64,
    /// Every so many posts are answered 503 first.
    busy_each: u64,
    /// Every so many posts are cut off without an answer.
    cut_each: u64,
    /// Refuses every post.
    refuses: bool,
    /// Lets nobody register for an hour.
    registers_nobody: bool,
    /// Gives no token.
    is_another: bool,
    /// What came, in order.
    bodies: Mutex<Vec<(&'static str, String)>>,
}

impl Server {
    fn keep(&self, path: &'static str, body: &[u8]) {
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.bodies.lock().unwrap().push((path, body));
    }

    fn kept(&self, path: &str) -> Vec<String> {
        let bodies = self.bodies.lock().unwrap();
        let of_path = bodies.iter().filter(|(sent_to, _)| *sent_to == path);
        of_path.map(|(_, body)| body.clone()).collect()
    }
}

fn answer(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status.try_into().unwrap();
    response
}

impl Server {
    async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "no body")?.to_bytes();
        Ok(match head.uri.path() {
            "/users/" if self.registers_nobody => {
                self.keep("/users/", &body);
                let mut held = answer(429, r#"{"code":"too_many_attempts"}"#.to_owned());
                held.headers_mut()
                    .insert("retry-after", http::HeaderValue::from_static("3600"));
                held
            }
            "/users/" => {
                self.keep("/users/", &body);
                answer(
                    400,
                    r#"{"success":false,"code":"email_taken","detail":"taken"}"#.to_owned(),
                )
            }
            "/token" if self.is_another => answer(200, "<html>".to_owned()),
            "/token" => {
                self.keep("/token", &body);
                let number = self.logins.fetch_add(1, Relaxed) + 1;
                answer(
                    200,
                    format!(
                        r#"{{"access_token":"t{number}","token_type":"bearer","expires_in":900}}"#
                    ),
                )
            }
            "/receive_data" => return self.post(&head, &body),
            path => answer(404, format!("no {path}")),
        })
    }

    fn post(
        &self,
        head: &http::request::Parts,
        body: &[u8],
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        self.keep("/receive_data", body);
        if self.refuses {
            let problem = r#"{"code":"invalid_url","detail":"The URL is not one."}"#;
            return Ok(answer(422, problem.to_owned()));
        }
        let number = self.posts.fetch_add(1, Relaxed) + 1;
        let is_nth = |each: u64| each > 0 && number.is_multiple_of(each);
        if self.expire_after > 0
            && number > self.expire_after
            && head.headers["authorization"] == "Bearer t1"
        {
            return Ok(answer(401, String::new()));
        }
        if is_nth(self.cut_each) {
            return Err("cut");
        }
        if is_nth(self.busy_each) {
            let mut busy = answer(503, r#"{"code":"overloaded"}"#.to_owned());
            busy.headers_mut()
                .insert("retry-after", http::HeaderValue::from_static("0"));
            return Ok(busy);
        }
        let replica = if number.is_multiple_of(4) { "b" } else { "a" };
        Ok(answer(
            202,
            format!(r#"{{"success":true,"data":{{"id":"{replica}","message_id":1}}}}"#),
        ))
    }
}

async fn played(server: Server, arguments: &[&str]) -> (Report, Arc<Server>) {
    let (outcome, server) = tried(server, arguments).await;
    (outcome.unwrap(), server)
}

async fn tried(server: Server, arguments: &[&str]) -> (anyhow::Result<Report>, Arc<Server>) {
    let server = Arc::new(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = Arc::clone(&server);
    let accepting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = Arc::clone(&serving);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let server = Arc::clone(&server);
                    async move { server.handle(request).await }
                });
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let fixed = ["nodes", "--url", &url, "--quiet"];
    let cli = Cli::parse_from([&fixed[..], arguments].concat());
    let outcome = play(cli.args).await;
    accepting.abort();
    (outcome, server)
}

#[tokio::test]
async fn what_is_asked_for_is_what_the_flags_say() {
    let flags = [
        "--requests",
        "4",
        "--type",
        "3",
        "--target",
        "http://a/",
        "--target",
        "http://b/",
        "--callback",
        "http://c/hook",
        "--email",
        "me@example.org",
        "--password",
        "a password & more",
    ];
    let (report, server) = played(Server::default(), &flags).await;
    assert_eq!((report.accepted, report.failed), (4, 0));
    let account: serde_json::Value = serde_json::from_str(&server.kept("/users/")[0]).unwrap();
    assert_eq!(
        account,
        serde_json::json!({"email": "me@example.org", "password": "a password & more"})
    );
    assert_eq!(
        server.kept("/token"),
        ["grant_type=password&username=me%40example.org&password=a+password+%26+more"]
    );
    let sent = server.kept("/receive_data");
    let mut targets = Vec::new();
    for body in &sent {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["type"], &body["callback_url"]),
            (&3.into(), &"http://c/hook".into())
        );
        targets.push(body["request_url"].as_str().unwrap().to_owned());
    }
    targets.sort();
    assert_eq!(
        targets,
        ["http://a/", "http://a/", "http://b/", "http://b/"]
    );
    // Without the flag there is no callback.
    let (_, server) = played(Server::default(), &["--requests", "1"]).await;
    assert!(!server.kept("/receive_data")[0].contains("callback"));
}

#[tokio::test]
async fn an_account_that_is_there_is_used_although_nobody_may_register() {
    let server = Server {
        registers_nobody: true,
        ..Server::default()
    };
    let (report, server) = played(server, &["--requests", "1"]).await;
    assert_eq!(report.accepted, 1);
    assert_eq!(server.kept("/users/").len(), 1, "it is not asked in vain");
}

#[tokio::test]
async fn a_refusal_is_shown_with_what_the_server_said() {
    let server = Server {
        refuses: true,
        ..Server::default()
    };
    let (report, _) = played(server, &["--requests", "3", "--parallel", "2"]).await;
    assert_eq!((report.accepted, report.failed), (0, 3));
    assert_eq!(report.problems["invalid_url"], 3);
    assert!(
        report.to_string().contains("The URL is not one."),
        "{report}"
    );
}

#[tokio::test]
async fn another_server_is_one_clear_line() {
    let server = Server {
        is_another: true,
        ..Server::default()
    };
    let (outcome, _) = tried(server, &["--requests", "1"]).await;
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(
        error.contains("is not trawl") && error.contains("--url"),
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
}

#[tokio::test]
async fn the_spread_over_replicas_is_counted() {
    let (report, server) =
        played(Server::default(), &["--requests", "100", "--parallel", "7"]).await;
    assert_eq!((report.accepted, report.failed), (100, 0));
    assert_eq!(
        report.replicas,
        [("a".to_owned(), 75), ("b".to_owned(), 25)].into()
    );
    assert_eq!(report.statuses, [(202, 100)].into());
    assert_eq!(server.logins.load(Relaxed), 1);
    let latency = report.latency_ms.unwrap();
    assert!(latency.min <= latency.p50 && latency.p50 <= latency.p99 && latency.p99 <= latency.max);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all() {
    let server = Server {
        expire_after: 20,
        ..Server::default()
    };
    let (report, server) = played(server, &["--requests", "100", "--parallel", "8"]).await;
    assert_eq!((report.accepted, report.failed), (100, 0));
    assert!(
        (1..=8).contains(&report.statuses[&401]),
        "{:?}",
        report.statuses
    );
    assert_eq!(server.logins.load(Relaxed), 2);
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = Server {
        busy_each: 5,
        ..Server::default()
    };
    let (report, _) = played(server, &["--requests", "50", "--parallel", "2"]).await;
    assert_eq!((report.accepted, report.failed), (50, 0));
    assert!(report.statuses[&503] >= 10, "{:?}", report.statuses);
    assert_eq!(report.problems["overloaded"], report.statuses[&503]);
}

#[tokio::test]
async fn a_request_without_an_answer_is_repeated_only_with_a_key() {
    let cutting = || Server {
        cut_each: 10,
        ..Server::default()
    };
    let (report, _) = played(cutting(), &["--requests", "50", "--parallel", "1"]).await;
    assert_eq!((report.accepted, report.failed), (45, 5));
    assert_eq!(report.errors, [("connection lost", 5)].into());
    let (report, _) = played(
        cutting(),
        &["--requests", "50", "--parallel", "1", "--idempotent"],
    )
    .await;
    assert_eq!((report.accepted, report.failed), (50, 0));
}

#[tokio::test]
async fn an_unreachable_server_is_one_clear_line() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let cli = Cli::parse_from(["nodes", "--url", &format!("http://127.0.0.1:{port}")]);
    let error = play(cli.args).await.unwrap_err().to_string();
    assert!(
        error.contains("nothing answers at") && error.contains("trawl up") && !error.contains('\n'),
        "{error}"
    );
}
