use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{PASSWORD, SECRET, Server};

#[test]
fn wrong_registrations() {
    let server = Server::new();
    let send = |body: &str| {
        server.send(
            Request::post("http://trawl.test/users").header("content-type", "application/json"),
            body.to_owned(),
        )
    };
    send("{").assert_problem(400, "invalid_json");
    send("[]").assert_problem(422, "invalid_field");
    send(&json!({"password": PASSWORD}).to_string()).assert_problem(422, "invalid_field");
    send(&json!({"email": 7, "password": PASSWORD}).to_string())
        .assert_problem(422, "invalid_field");
    send(&json!({"email": "x", "password": PASSWORD}).to_string())
        .assert_problem(422, "invalid_email");
    send(&json!({"email": "b@example.org", "password": "short"}).to_string())
        .assert_problem(422, "weak_password");
    send(&json!({"email": "b@example.org", "password": "x".repeat(129)}).to_string())
        .assert_problem(422, "weak_password");
    let form = server.send(
        Request::post("http://trawl.test/users").header("content-type", "text/plain"),
        "{}",
    );
    form.assert_problem(415, "unsupported_media_type");
}

#[test]
fn a_packed_body_is_refused_wherever_one_is_read() {
    let server = Server::new();
    let token = server.token(server.world.account.0);
    for (path, content_type) in [
        ("/users", "application/json"),
        ("/token", super::FORM),
        ("/receive_data", "application/json"),
    ] {
        let request = Request::post(format!("http://trawl.test{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", content_type)
            .header("content-encoding", "gzip");
        let seen = server.send(request, "packed");
        let problem = seen.assert_problem(415, "unsupported_media_type");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("Content-Encoding"), "{path}: {detail}");
    }
}

/// One that can't be read, or could be taken for two, is not the same as none.
#[test]
fn a_content_type_says_one_thing() {
    let server = Server::new();
    let token = server.token(server.world.account.0);
    for types in [
        &[&b"\xff"[..]][..],
        &[b";"],
        &[b""],
        &[b"application/json", b"text/plain"],
    ] {
        let mut request = Request::post("http://trawl.test/receive_data")
            .header("authorization", format!("Bearer {token}"));
        for value in types {
            request = request.header("content-type", HeaderValue::from_bytes(value).unwrap());
        }
        let seen = server.send(request, r#"{"request_url":"example.org","type":1}"#);
        seen.assert_problem(415, "unsupported_media_type");
        assert_eq!(seen.header("cache-control"), "no-store");
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of wrong input reads best in one piece"
)]
fn wrong_requests() {
    let server = Server::new();
    let with = |field: &str, value: Value| {
        let mut body = json!({"request_url": "https://example.org/", "type": 1});
        body[field] = value;
        body.to_string()
    };
    for (body, status, code, field) in [
        (String::new(), 400, "invalid_json", ""),
        ("{".into(), 400, "invalid_json", ""),
        ("{\"a\":\"\u{1}\"}".into(), 400, "invalid_json", ""),
        ("[".repeat(100_000), 400, "invalid_json", ""),
        ("[]".into(), 422, "invalid_field", ""),
        ("7".into(), 422, "invalid_field", ""),
        (
            json!({"type": 1}).to_string(),
            422,
            "invalid_field",
            "request_url",
        ),
        (
            json!({"request_url": "a.example"}).to_string(),
            422,
            "invalid_field",
            "type",
        ),
        (
            r#"{"request_url":"a.example","type":1,"type":2}"#.into(),
            422,
            "invalid_field",
            "type",
        ),
        (with("type", json!(0)), 422, "invalid_field", "type"),
        (with("type", json!(4)), 422, "invalid_field", "type"),
        (with("type", json!("1")), 422, "invalid_field", "type"),
        (
            with("request_url", json!(5)),
            422,
            "invalid_field",
            "request_url",
        ),
        (
            with("request_url", json!("")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("ftp://example.org/")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("file:///etc/passwd")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("https://user:secret@example.org/")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("http://169.254.169.254/latest")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("http://0x7f.1/")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("http://[::ffff:10.0.0.1]/")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("http://ingest.spin.internal/")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("request_url", json!("https://example.org:22/")),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with(
                "request_url",
                json!(format!("https://example.org/{}", "x".repeat(100_000))),
            ),
            422,
            "invalid_url",
            "request_url",
        ),
        (
            with("callback_url", json!("ftp://x.example/")),
            422,
            "invalid_callback_url",
            "callback_url",
        ),
        (
            with("callback", json!("http://192.168.0.1/")),
            422,
            "invalid_callback_url",
            "callback_url",
        ),
        (
            with("callback_url", json!(["https://x.example/"])),
            422,
            "invalid_field",
            "callback_url",
        ),
        (
            with("priority", json!(10)),
            422,
            "invalid_field",
            "priority",
        ),
        (
            with("priority", json!(-1)),
            422,
            "invalid_field",
            "priority",
        ),
        (
            with("priority", json!(1.5)),
            422,
            "invalid_field",
            "priority",
        ),
        (with("mode", json!("slow")), 422, "invalid_field", "mode"),
        (with("max_age", json!(-1)), 422, "invalid_field", "max_age"),
        (
            with("max_age", json!(u64::MAX)),
            422,
            "invalid_field",
            "max_age",
        ),
        (
            with("selector", json!("x".repeat(501))),
            422,
            "invalid_field",
            "selector",
        ),
        (
            with("selector", json!("p:hover")),
            422,
            "invalid_field",
            "selector",
        ),
        (
            with("user_Id", json!("é".repeat(101))),
            422,
            "invalid_field",
            "user_Id",
        ),
        (
            with("user_id", json!({"a": 1})),
            422,
            "invalid_field",
            "user_Id",
        ),
    ] {
        let problem = server
            .call("POST", "/receive_data", &body)
            .assert_problem(status, code);
        assert_eq!(
            problem["field"].as_str().unwrap_or_default(),
            field,
            "{body:.80}"
        );
    }
    let token = server.token(server.world.account.0);
    let form = Request::post("http://trawl.test/receive_data")
        .header("authorization", format!("Bearer {token}"));
    server
        .send(form.header("content-type", super::FORM), "type=1")
        .assert_problem(415, "unsupported_media_type");
    assert_eq!(
        server
            .world
            .ports
            .sql
            .number("SELECT COUNT(*) FROM Messages"),
        0
    );
    assert_eq!(server.post("/receive_data", &json!({"request_url": "https://example.org/", "type": 1, "user_Id": "é".repeat(100), "new": {}})).status, 202);
}

#[test]
fn networks_can_be_opened() {
    let server = Server::new();
    let body = json!({"request_url": "http://127.0.0.1:8080/", "type": 1, "callback_url": "http://127.0.0.1:9/"});
    server
        .post("/receive_data", &body)
        .assert_problem(422, "invalid_url");
    server.set("allow_private", "127.0.0.0/8");
    assert_eq!(server.post("/receive_data", &body).status, 202);
    server.set("allow_private_callback", "none");
    server
        .post("/receive_data", &body)
        .assert_problem(422, "invalid_callback_url");
}

#[test]
fn wrong_list_parameters() {
    let server = Server::new();
    for query in [
        "limit=lots",
        "limit=0",
        "limit=501",
        "limit=-1",
        "status=strange",
        "type=4",
        "type=x",
        "cursor=x",
        "cursor=-1",
        "cursor=99999999999999999999",
    ] {
        let problem = server
            .get(&format!("/messages?{query}"))
            .assert_problem(422, "invalid_field");
        assert_eq!(problem["field"], query.split('=').next().unwrap());
    }
}

#[test]
fn strangers_see_nothing() {
    let server = Server::new();
    let id = server.submit(&json!({"request_url": "https://example.org/", "type": 1}));
    let stranger = server.stranger();
    for (method, rest) in [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/deliveries"),
        ("GET", "/events"),
        ("DELETE", ""),
        ("POST", "/retry"),
        ("POST", "/deliveries/replay"),
    ] {
        let theirs = server.call_as(&stranger, method, &format!("/messages/{id}{rest}"), "");
        theirs.assert_problem(404, "not_found");
        let nobodys = server.call_as(&stranger, method, &format!("/messages/999{rest}"), "");
        assert_eq!(
            theirs.body, nobodys.body,
            "{method} {rest}: another's looks like none"
        );
        server
            .call_as(&stranger, method, &format!("/messages/abc{rest}"), "")
            .assert_problem(404, "not_found");
    }
    assert_eq!(
        server.call_as(&stranger, "GET", "/messages", "").json()["data"],
        json!([])
    );
    assert_eq!(
        server.get(&format!("/messages/{id}")).json()["status"],
        "queued"
    );
}

/// A token as an attacker would make it.
fn forged(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = Hmac::<Sha256>::new_from_slice(key)
        .unwrap()
        .chain_update(&signed)
        .finalize()
        .into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of wrong input reads best in one piece"
)]
fn forged_tokens() {
    let server = Server::new();
    let token = server.token(server.world.account.0);
    let part = |index: usize| -> Value {
        serde_json::from_slice(
            &URL_SAFE_NO_PAD
                .decode(token.split('.').nth(index).unwrap())
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
    let key: Vec<u8> = (0..32).collect();
    assert_eq!(
        server
            .call_as(&forged(&header, &claims, &key), "GET", "/messages", "")
            .status,
        200,
        "the forger's tools are right"
    );
    for token in [
        String::new(),
        "a.b.c".into(),
        "!!.!!.!!".into(),
        forged(&with(&header, "alg", json!("none")), &claims, b""),
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(with(&header, "alg", json!("none")).to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        ),
        forged(&with(&header, "alg", json!("HS512")), &claims, &key),
        forged(&with(&header, "typ", json!("JWT")), &claims, &key),
        forged(&with(&header, "crit", json!(["exp"])), &claims, &key),
        forged(
            &with(&header, "jku", json!("https://evil.example/")),
            &claims,
            &key,
        ),
        forged(&header, &claims, b"another key of thirty-two bytes!"),
        forged(&header, &claims, SECRET.as_bytes()),
        forged(&header, &with(&claims, "exp", json!(1)), &key),
        forged(&header, &with(&claims, "exp", json!("99999999999")), &key),
        forged(&header, &with(&claims, "exp", Value::Null), &key),
        forged(
            &header,
            &with(&claims, "iat", json!(4_000_000_000_u32)),
            &key,
        ),
        forged(&header, &with(&claims, "iss", json!("someone else")), &key),
        forged(&header, &with(&claims, "aud", json!(["trawl-api"])), &key),
        forged(&header, &with(&claims, "sub", json!(1)), &key),
        format!("{token}="),
        format!("{token} x"),
        format!("trawl_{}", "A".repeat(43)),
        "x".repeat(8_000),
    ] {
        let refused = server.call_as(&token, "GET", "/messages", "");
        refused.assert_problem(401, "invalid_token");
        assert_eq!(
            refused.header("www-authenticate"),
            r#"Bearer realm="trawl", error="invalid_token""#,
            "{token:.60}"
        );
    }
    let builder = || Request::get("http://trawl.test/messages");
    let basic = builder().header("authorization", format!("Basic {token}"));
    for without_token in [builder(), basic] {
        let missing = server.send(without_token, "");
        missing.assert_problem(401, "missing_token");
        // It is told how to ask, and of no error.
        assert_eq!(
            missing.header("www-authenticate"),
            r#"Bearer realm="trawl""#
        );
    }
    let twice = builder()
        .header("authorization", format!("Bearer {token}"))
        .header("authorization", format!("Bearer {token}"));
    server.send(twice, "").assert_problem(401, "invalid_token");
    assert_eq!(
        server
            .send(
                builder().header("authorization", format!("bearer  {token}")),
                ""
            )
            .status,
        200
    );
}
