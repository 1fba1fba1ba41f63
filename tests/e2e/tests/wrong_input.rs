//! Wrong input on each route: the problem document of the contract, and the service goes on.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::Mac as _;
use serde_json::{Value, json};
use trawl_kit::api::{Node, PASSWORD};
use trawl_kit::host::Host;
use trawl_kit::http_client::{Answer, HttpClient};

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{text}"
    );
    let problem = answer.json();
    assert_eq!(problem["success"], false, "{text}");
    assert_eq!(problem["status"], status, "{text}");
    for member in ["type", "title", "detail", "code"] {
        assert!(
            problem[member].as_str().is_some_and(|s| !s.is_empty()),
            "{member} is missing: {text}"
        );
    }
    if !code.is_empty() {
        assert_eq!(problem["code"], code, "{text}");
    }
}

async fn anonymous(
    base: &str,
    method: &str,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Answer {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{base}{path}"))
        .header("content-type", content_type)
        .body(body.into())
        .unwrap();
    HttpClient::default().send(request).await.unwrap()
}

#[allow(
    clippy::too_many_lines,
    reason = "a table of cases and what each is answered"
)]
#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_tokens() {
    let host = Host::start().await;
    let base = host.base();
    let users = |body: Value| async move {
        anonymous(
            base,
            "POST",
            "/users/",
            "application/json",
            body.to_string(),
        )
        .await
    };
    assert_problem(
        &users(json!({"email": "not an address", "password": PASSWORD})).await,
        422,
        "invalid_email",
    );
    assert_problem(
        &users(json!({"email": "a@example.org", "password": "short"})).await,
        422,
        "weak_password",
    );
    assert_problem(
        &users(json!({"email": 7, "password": PASSWORD})).await,
        422,
        "",
    );
    assert_problem(
        &anonymous(base, "POST", "/users/", "application/json", "{").await,
        400,
        "invalid_json",
    );
    let created = users(json!({"email": "a@example.org", "password": PASSWORD})).await;
    assert_eq!(
        (created.status, &created.json()["message"]),
        (200, &json!("User created successfully")),
        "{}",
        created.text()
    );
    assert_problem(
        &users(json!({"email": "A@example.org", "password": PASSWORD})).await,
        400,
        "email_taken",
    );
    let form = "application/x-www-form-urlencoded";
    assert_problem(
        &anonymous(
            base,
            "POST",
            "/token",
            form,
            "username=a%40example.org&password=wrong-wrong-wrong",
        )
        .await,
        401,
        "",
    );
    let unknown = anonymous(
        base,
        "POST",
        "/token",
        form,
        "username=nobody%40example.org&password=wrong-wrong-wrong",
    )
    .await;
    assert_problem(&unknown, 401, "");
    let mut last = unknown;
    for _ in 0..8 {
        last = anonymous(
            base,
            "POST",
            "/token",
            form,
            "username=nobody%40example.org&password=wrong-wrong-wrong",
        )
        .await;
    }
    assert_problem(&last, 429, "");
    assert!(
        last.header("retry-after")
            .parse::<u64>()
            .is_ok_and(|s| s >= 1),
        "{:?}",
        last.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    for (body, status, code) in [
        ("{".to_owned(), 400, "invalid_json"),
        ("[".repeat(100_000), 400, ""),
        ("[]".to_owned(), 422, ""),
        (json!({"type": 1}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/"}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 4}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": "one"}).to_string(), 422, ""),
        (json!({"request_url": 5, "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "ftp://example.org/", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "file:///etc/passwd", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "javascript:alert(1)", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "https://user:secret@example.org/", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "http://169.254.169.254/latest", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "http://10.0.0.1/", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "http://ingest.spin.internal/", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org:22/", "type": 1}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 1, "priority": 11}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 1, "mode": "slow"}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 1, "max_age": -1}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 1, "callback_url": "ftp://x/"}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 1, "callback_url": "http://192.168.0.1/"}).to_string(), 422, ""),
        (json!({"request_url": "https://example.org/", "type": 1, "user_Id": "x".repeat(101)}).to_string(), 422, ""),
    ] {
        let answer = node.send("POST", "/receive_data", &[("content-type", "application/json")], body.clone()).await;
        assert_problem(&answer, status, code);
    }
    let huge = format!(
        "{{\"request_url\":\"https://example.org/\",\"type\":1,\"user_Id\":\"{}\"}}",
        "x".repeat(2 << 20)
    );
    let answer = node
        .try_send(
            "POST",
            "/receive_data",
            &[("content-type", "application/json")],
            huge,
        )
        .await;
    assert!(
        answer.is_err() || answer.is_ok_and(|a| a.status == 413),
        "2 MiB are refused"
    );
    assert_eq!(
        node.get("/messages").await.json()["data"],
        json!([]),
        "nothing wrong was recorded"
    );
    assert_eq!(
        node.get("/test_endpoint").await.status,
        200,
        "the service goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_spellings_and_defaults() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let body = json!({"user_id": "label", "request_url": "127.0.0.1:1/", "type": 1, "callback": "http://127.0.0.1:1/cb"}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "k-1"),
    ];
    let first = node
        .send("POST", "/receive_data", &headers, body.clone())
        .await;
    assert_eq!(first.status, 202, "{}", first.text());
    let id = first.json()["data"]["message_id"].as_i64().unwrap();
    assert_eq!(first.header("location"), format!("/messages/{id}"));
    assert_eq!(first.json()["message"], "message received");
    let again = node.send("POST", "/receive_data", &headers, body).await;
    assert_eq!(
        (again.status, again.json()["data"]["message_id"].as_i64()),
        (202, Some(id))
    );
    let other = node
        .send(
            "POST",
            "/receive_data",
            &headers,
            json!({"request_url": "https://example.org/", "type": 2}).to_string(),
        )
        .await;
    assert_problem(&other, 409, "idempotency_conflict");
    let message = node.message(id).await;
    assert_eq!(message["user_Id"], "label", "{message}");
    assert_eq!(
        message["callback_url"], "http://127.0.0.1:1/cb",
        "{message}"
    );
    assert!(
        message["request_url"]
            .as_str()
            .unwrap()
            .starts_with("https://127.0.0.1:1"),
        "no scheme means https: {message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_things_and_strangers() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let stranger = Node::log_in(host.base(), "stranger@example.org").await;
    let id = node
        .submit(&json!({"request_url": "http://127.0.0.1:1/", "type": 1}))
        .await;
    for path in ["", "/result", "/deliveries", "/events"] {
        assert_problem(
            &stranger.get(&format!("/messages/{id}{path}")).await,
            404,
            "",
        );
        assert_problem(&node.get(&format!("/messages/999999{path}")).await, 404, "");
    }
    assert_problem(&stranger.cancel(id).await, 404, "");
    assert_problem(
        &stranger
            .post(&format!("/messages/{id}/retry"), &json!({}))
            .await,
        404,
        "",
    );
    assert_problem(
        &stranger
            .post(&format!("/messages/{id}/deliveries/replay"), &json!({}))
            .await,
        404,
        "",
    );
    assert_problem(
        &node.get(&format!("/messages/{id}/result")).await,
        404,
        "not_ready",
    );
    assert_problem(&node.get("/messages/abc").await, 404, "");
    assert_problem(&node.get("/no/such/route").await, 404, "");
    assert_problem(&node.get("/messages?limit=lots").await, 422, "");
    assert_problem(&node.get("/messages?status=strange").await, 422, "");
    let wrong_method = node.send("PUT", "/receive_data", &[], "").await;
    assert_problem(&wrong_method, 405, "");
    assert!(wrong_method.header("allow").contains("POST"));
    assert_eq!(node.cancel(id).await.status, 204);
    assert_problem(&node.cancel(id).await, 409, "");
    assert_eq!(
        node.post(&format!("/messages/{id}/retry"), &json!({}))
            .await
            .status,
        202
    );
}

/// A token as an attacker would make it.
fn forged(header: &Value, claims: &Value, key: &[u8]) -> String {
    let head = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(head.as_bytes());
    format!(
        "{head}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

#[allow(
    clippy::too_many_lines,
    reason = "a table of cases and what each is answered"
)]
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens() {
    let secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let key: Vec<u8> = (0..32).collect();
    let host =
        Host::start_with(trawl_kit::host::HostOptions::default().variable("jwt_secret", secret))
            .await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let part = |i: usize| -> Value {
        serde_json::from_slice(
            &URL_SAFE_NO_PAD
                .decode(node.token.split('.').nth(i).unwrap())
                .unwrap(),
        )
        .unwrap()
    };
    let (header, claims) = (part(0), part(1));
    let with = |of: &Value, member: &str, value: Value| {
        let mut changed = of.clone();
        changed[member] = value;
        changed
    };
    let tokens = [
        String::new(),
        "not a token".to_owned(),
        "a.b.c".to_owned(),
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": header["typ"]}).to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        ),
        forged(&with(&header, "alg", json!("none")), &claims, &key),
        forged(&with(&header, "alg", json!("HS512")), &claims, &key),
        forged(&with(&header, "typ", json!("JWT")), &claims, &key),
        forged(&with(&header, "crit", json!(["exp"])), &claims, &key),
        forged(&header, &claims, b"another key of thirty-two bytes!"),
        forged(&header, &with(&claims, "exp", json!(1)), &key),
        forged(&header, &with(&claims, "exp", json!("99999999999")), &key),
        forged(&header, &with(&claims, "iss", json!("someone else")), &key),
        forged(
            &header,
            &with(&claims, "aud", json!("something else")),
            &key,
        ),
        forged(&header, &with(&claims, "sub", json!(1)), &key),
        format!("{}=", node.token),
        format!("trawl_{}", "A".repeat(43)),
        "x".repeat(8000),
    ];
    for token in tokens {
        let mut request = http::Request::get(format!("{}/messages", host.base()));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = node
            .http
            .send(request.body(Bytes::new()).unwrap())
            .await
            .unwrap();
        assert_problem(&answer, 401, "");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{token}: {:?}",
            answer.headers
        );
    }
    let sound = forged(&header, &claims, &key);
    let request = http::Request::get(format!("{}/messages", host.base()))
        .header("authorization", format!("Bearer {sound}"))
        .body(Bytes::new())
        .unwrap();
    assert_eq!(
        node.http.send(request).await.unwrap().status,
        200,
        "the forger's tools are right: the true key is accepted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_secrets_and_open_routes() {
    let host = Host::start().await;
    let node = Node::log_in(host.base(), "node@example.org").await;
    let made = node.post("/keys", &json!({"name": "robot"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (key, id) = (
        made.json()["key"].as_str().unwrap().to_owned(),
        made.json()["id"].clone(),
    );
    assert!(key.starts_with("trawl_"));
    let robot = Node {
        token: key.clone(),
        ..node.clone()
    };
    assert_eq!(robot.get("/messages").await.status, 200);
    let list = node.get("/keys").await;
    assert!(!list.text().contains(&key), "the key is shown once");
    assert!(list.text().contains("robot"), "{}", list.text());
    let id = id
        .as_str()
        .map_or_else(|| id.to_string(), ToOwned::to_owned);
    assert_eq!(
        node.send("DELETE", &format!("/keys/{id}"), &[], "")
            .await
            .status,
        204
    );
    assert_problem(&robot.get("/messages").await, 401, "");
    let before = node.webhook_secret().await;
    assert!(before.starts_with("whsec_"));
    let rotated = node.post("/webhook-secret/rotate", &json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    assert_ne!(before, node.webhook_secret().await);
    for path in ["/livez", "/readyz", "/openapi.json", "/", "/test_endpoint"] {
        let answer = anonymous(host.base(), "GET", path, "text/plain", "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let openapi = anonymous(host.base(), "GET", "/openapi.json", "text/plain", "")
        .await
        .json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    let queues = node.get("/queues").await;
    assert_eq!(queues.status, 200, "{}", queues.text());
    for name in [
        "type_1_queue",
        "type_2_queue",
        "type_3_queue",
        "callback_queue",
    ] {
        assert!(queues.text().contains(name), "{name}: {}", queues.text());
    }
}
