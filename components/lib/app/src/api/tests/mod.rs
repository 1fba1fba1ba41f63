//! The routes over a real store in memory, virtual time and fakes.

mod accounts;
mod messages;
mod producers;
mod service;
mod wrong_input;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::Value;
use trawl_core::token::TokenKeys;

use super::{Answer, Api};
use crate::ports::Clock as _;
use crate::testing::{Reply, World};

/// A signing key for tests: 32 different bytes.
const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const PASSWORD: &str = "correct horse battery staple";
const FORM: &str = "application/x-www-form-urlencoded";

/// One instance that plays both roles.
struct Server {
    world: World,
    api: Api,
}

/// An answer, read.
struct Seen {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
    ring: Option<&'static str>,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Holds the answer against the contract's problem document.
    #[track_caller]
    fn assert_problem(&self, status: u16, code: &str) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, "application/problem+json"),
            "{text}"
        );
        let problem = self.json();
        assert_eq!(
            (&problem["success"], &problem["status"], &problem["code"]),
            (&false.into(), &status.into(), &code.into()),
            "{text}"
        );
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member} is missing: {text}"
            );
        }
        assert_eq!(self.ring, None, "nothing was recorded, so nothing rings");
        problem
    }
}

impl From<Answer> for Seen {
    fn from(answer: Answer) -> Self {
        let (parts, body) = answer.response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.into_whole(),
            ring: answer.ring,
        }
    }
}

impl Server {
    /// A server with a signing key, one account (`a@example.org`) and an empty queue.
    fn new() -> Self {
        let world = World::new(|_| Reply::status(404));
        world.ports.variables.set("jwt_secret", SECRET);
        world.ports.variables.set("replica_id", "app1");
        Self {
            world,
            api: Api::default(),
        }
    }

    fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Seen {
        let request: Request<Bytes> = request.body(body.into()).unwrap();
        self.world
            .run(self.api.everything(&self.world.ports, request))
            .into()
    }

    /// Sends with the token of the world's account.
    fn call(&self, method: &str, path: &str, body: &str) -> Seen {
        self.call_as(&self.token(self.world.account.0), method, path, body)
    }

    fn call_as(&self, token: &str, method: &str, path: &str, body: &str) -> Seen {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://trawl.test:3000{path}"));
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        self.send(request, body.to_owned())
    }

    fn get(&self, path: &str) -> Seen {
        self.call("GET", path, "")
    }

    fn post(&self, path: &str, body: &Value) -> Seen {
        self.call("POST", path, &body.to_string())
    }

    fn token(&self, account: i64) -> String {
        TokenKeys::parse(SECRET, None)
            .unwrap()
            .issue(account, self.world.ports.clock.now_ms() / 1000)
    }

    /// The token of another account, made for it.
    fn stranger(&self) -> String {
        self.register("stranger@example.org");
        let seen = self.log_in("stranger@example.org", PASSWORD).json();
        seen["access_token"].as_str().unwrap().to_owned()
    }

    fn register(&self, email: &str) -> Seen {
        self.register_from(None, email, PASSWORD)
    }

    fn register_from(&self, address: Option<&str>, email: &str, password: &str) -> Seen {
        let body = serde_json::json!({"email": email, "password": password}).to_string();
        let mut request =
            Request::post("http://trawl.test/users/").header("content-type", "application/json");
        if let Some(address) = address {
            request = request.header("spin-client-addr", address);
        }
        self.send(request, body)
    }

    fn log_in(&self, name: &str, password: &str) -> Seen {
        self.log_in_from("192.0.2.7:4711", name, password)
    }

    fn log_in_from(&self, address: &str, name: &str, password: &str) -> Seen {
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("username", name)
            .append_pair("password", password)
            .finish();
        self.send(
            Request::post("http://trawl.test/token")
                .header("content-type", FORM)
                .header("spin-client-addr", address),
            form,
        )
    }

    /// Submits and gives back the message's number.
    fn submit(&self, body: &Value) -> i64 {
        let seen = self.post("/receive_data", body);
        assert_eq!(seen.status, 202, "{:?}", seen.body);
        seen.json()["data"]["message_id"].as_i64().unwrap()
    }

    /// Lets a settings change be read.
    fn set(&self, name: &'static str, value: &str) {
        self.world.ports.variables.set(name, value);
        self.world.elapse(std::time::Duration::from_secs(6));
    }
}

#[test]
fn methods_and_paths() {
    let server = Server::new();
    let wrong = server.call("PUT", "/receive_data", "{}");
    wrong.assert_problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST, OPTIONS");
    server
        .get("/no/such/route")
        .assert_problem(404, "not_found");
    let options = server.call("OPTIONS", "/messages/7", "");
    assert_eq!(
        (options.status, options.header("allow")),
        (204, "GET, HEAD, DELETE, OPTIONS")
    );
    let (get, head) = (server.get("/livez"), server.call("HEAD", "/livez", ""));
    assert_eq!(
        (head.status, head.header("content-type"), head.body.len()),
        (get.status, get.header("content-type"), 0)
    );
}

#[test]
fn each_role_knows_its_own_routes_only() {
    let server = Server::new();
    let request = |path: &str| {
        Request::builder()
            .method(Method::GET)
            .uri(path)
            .body(Bytes::new())
            .unwrap()
    };
    let statuses = |path: &str| {
        let auth = server
            .world
            .run(server.api.accounts(&server.world.ports, request(path)))
            .response
            .status();
        let ingest = server
            .world
            .run(server.api.messages(&server.world.ports, request(path)))
            .response
            .status();
        (auth, ingest)
    };
    assert_eq!(
        statuses("/keys"),
        (StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND)
    );
    assert_eq!(
        statuses("/messages"),
        (StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED)
    );
}
