use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use http::Request;
use serde_json::json;
use trawl_core::limits::account::KEYS_MAX;
use trawl_core::webhook_signature::SECRET_BYTES;
use trawl_store::sql::Sql as _;

use super::{FORM, PASSWORD, Seen, Server};
use crate::testing::UNREADABLE;

#[test]
fn register_log_in_and_call() {
    let server = Server::new();
    let made = server.register("Ann@Example.org");
    assert_eq!(
        (made.status, made.json()),
        (200, json!({"message": "User created successfully"}))
    );
    server
        .register("ann@example.ORG")
        .assert_problem(400, "email_taken");
    let token = server.log_in("ANN@example.org", PASSWORD);
    assert_eq!(
        (
            token.status,
            &token.json()["token_type"],
            &token.json()["expires_in"]
        ),
        (200, &json!("bearer"), &json!(900))
    );
    assert_eq!(token.header("cache-control"), "no-store");
    let token = token.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.call_as(&token, "GET", "/messages", "").status, 200);
    server
        .world
        .elapse(std::time::Duration::from_secs(15 * 60 + 31));
    server
        .call_as(&token, "GET", "/messages", "")
        .assert_problem(401, "invalid_token");
}

#[test]
fn an_unknown_name_and_a_wrong_password_are_answered_alike() {
    let server = Server::new();
    server.register("ann@example.org");
    let (wrong, unknown) = (
        server.log_in("ann@example.org", "wrong horse battery"),
        server.log_in("bob@example.org", "wrong horse battery"),
    );
    assert_eq!(
        (wrong.status, &wrong.body, &wrong.headers),
        (401, &unknown.body, &unknown.headers)
    );
    assert!(wrong.header("www-authenticate").starts_with("Bearer"));
    let _ = server.world.ports.sql.statements();
    server.log_in("ann@example.org", "wrong horse battery");
    let known = server.world.ports.sql.statements();
    server.log_in("bob@example.org", "wrong horse battery");
    assert_eq!(
        known,
        server.world.ports.sql.statements(),
        "the database is asked the same, too"
    );
}

#[test]
fn names_are_throttled_whether_they_exist_or_not() {
    for name in ["ann@example.org", "nobody@example.org", "no address"] {
        let server = Server::new();
        server.register("ann@example.org");
        for _ in 0..5 {
            server
                .log_in(name, "wrong horse battery")
                .assert_problem(401, "invalid_credentials");
        }
        let held = server.log_in(name, PASSWORD);
        held.assert_problem(429, "too_many_attempts");
        assert_eq!(held.header("retry-after"), "1");
        server.world.elapse(std::time::Duration::from_millis(1_100));
        let again = server.log_in(name, PASSWORD);
        assert_eq!(
            again.status,
            if name == "ann@example.org" { 200 } else { 401 },
            "{name}"
        );
    }
}

#[test]
fn success_resets_the_count() {
    let server = Server::new();
    server.register("ann@example.org");
    for _ in 0..3 {
        for _ in 0..3 {
            server
                .log_in("ann@example.org", "wrong horse battery")
                .assert_problem(401, "invalid_credentials");
        }
        assert_eq!(server.log_in("ann@example.org", PASSWORD).status, 200);
        server.world.elapse(std::time::Duration::from_secs(61));
    }
}

#[test]
fn addresses_are_throttled_over_names() {
    let server = Server::new();
    for number in 0..10 {
        server
            .log_in(&format!("n{number}@example.org"), "wrong horse battery")
            .assert_problem(401, "invalid_credentials");
    }
    server
        .log_in("n11@example.org", "wrong horse battery")
        .assert_problem(429, "too_many_attempts");
    // A client that writes the header itself comes first; only the host's value, the last one, counts.
    let request = Request::post("http://trawl.test/token")
        .header("content-type", FORM)
        .header("spin-client-addr", "198.51.100.1:1");
    let spoofed = server.send(
        request.header("spin-client-addr", "192.0.2.7:1"),
        "username=n12%40example.org&password=wrong+horse+battery",
    );
    spoofed.assert_problem(429, "too_many_attempts");
}

/// Many at once don't pass before the first of them has failed.
#[test]
fn log_ins_at_once_are_throttled_as_those_one_by_one() {
    let server = Server::new();
    let answers = server.world.run(join_all((0..8).map(|_| {
        let request = Request::post("http://trawl.test/token")
            .header("content-type", FORM)
            .header("spin-client-addr", "192.0.2.7:1")
            .body("username=nobody%40example.org&password=wrong+horse+battery".into())
            .unwrap();
        server.api.everything(&server.world.ports, request)
    })));
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.response.status().as_u16())
        .collect();
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(401), count(429)), (5, 3), "{statuses:?}");
}

/// What was no failure does not count, whoever's name and network it was.
#[test]
fn log_ins_that_succeed_or_are_not_tried_leave_no_count() {
    let server = Server::new();
    server.register("ann@example.org");
    for _ in 0..12 {
        assert_eq!(server.log_in("ann@example.org", PASSWORD).status, 200);
    }
    let sql = &server.world.ports.sql;
    for _ in 0..12 {
        sql.fail_when("FROM accounts", 1);
        server
            .log_in("ann@example.org", PASSWORD)
            .assert_problem(503, "database_unavailable");
    }
    assert_eq!(server.log_in("ann@example.org", PASSWORD).status, 200);
}

/// Behind a proxy on this machine everybody comes from here. The names are counted all the same.
#[test]
fn this_machine_is_no_network_that_is_throttled() {
    for here in ["127.0.0.1:1", "[::1]:1"] {
        let server = Server::new();
        server.register("ann@example.org");
        for number in 0..12 {
            server
                .log_in_from(here, &format!("n{number}@example.org"), "wrong horse")
                .assert_problem(401, "invalid_credentials");
        }
        let log_in = |password| server.log_in_from(here, "ann@example.org", password);
        assert_eq!(log_in(PASSWORD).status, 200);
        for _ in 0..5 {
            log_in("wrong horse").assert_problem(401, "invalid_credentials");
        }
        log_in(PASSWORD).assert_problem(429, "too_many_attempts");
    }
}

#[test]
fn addresses_of_one_network_share_their_failures() {
    let server = Server::new();
    for number in 0..10 {
        server
            .log_in_from(
                &format!("[2001:db8::{number}]:1"),
                &format!("n{number}@example.org"),
                "wrong horse battery",
            )
            .assert_problem(401, "invalid_credentials");
    }
    server
        .log_in_from(
            "[2001:db8::ffff:1]:1",
            "n10@example.org",
            "wrong horse battery",
        )
        .assert_problem(429, "too_many_attempts");
    server
        .log_in_from(
            "[2001:db8:0:1::1]:1",
            "n11@example.org",
            "wrong horse battery",
        )
        .assert_problem(401, "invalid_credentials");
}

#[test]
fn a_network_makes_so_many_accounts_an_hour() {
    let server = Server::new();
    let from = |address: &str, email: &str| server.register_from(Some(address), email, PASSWORD);
    // What can't be read, or is refused for what it says, is not counted.
    for _ in 0..30 {
        from("192.0.2.7:1", "no address").assert_problem(422, "invalid_email");
        server
            .register_from(Some("192.0.2.7:1"), "b@example.org", "short")
            .assert_problem(422, "weak_password");
    }
    for number in 0..20 {
        // Taken or not, they count alike.
        let (email, status) = if number % 2 == 0 {
            (format!("n{number}@example.org"), 200)
        } else {
            ("n0@example.org".to_owned(), 400)
        };
        assert_eq!(from("192.0.2.7:1", &email).status, status, "{number}");
    }
    let (fresh, taken) = (
        from("192.0.2.7:2", "new@example.org"),
        from("192.0.2.7:2", "n0@example.org"),
    );
    fresh.assert_problem(429, "too_many_attempts");
    assert_eq!((&fresh.body, &fresh.headers), (&taken.body, &taken.headers));
    assert_eq!(fresh.header("retry-after"), "3600");
    assert_eq!(from("192.0.2.8:1", "other@example.org").status, 200);
    server.world.elapse(std::time::Duration::from_secs(3_600));
    assert_eq!(from("192.0.2.7:1", "new@example.org").status, 200);
}

#[test]
fn this_machine_and_unknown_addresses_make_as_many_accounts_as_they_like() {
    let server = Server::new();
    for address in [Some("127.0.0.1:1"), Some("[::1]:1"), None] {
        for _ in 0..25 {
            server
                .register_from(address, "a@example.org", PASSWORD)
                .assert_problem(400, "email_taken");
        }
    }
}

#[test]
fn forms_of_the_token_route() {
    let server = Server::new();
    let send = |content_type: &str, body: &'static str| {
        server.send(
            Request::post("http://trawl.test/token").header("content-type", content_type),
            body,
        )
    };
    send("application/json", r#"{"username":"a","password":"b"}"#)
        .assert_problem(415, "unsupported_media_type");
    assert_eq!(
        send(FORM, "username=a").assert_problem(422, "invalid_field")["field"],
        "password"
    );
    assert_eq!(
        send(FORM, "password=a").assert_problem(422, "invalid_field")["field"],
        "username"
    );
    send(FORM, "username=a&username=b&password=c").assert_problem(422, "invalid_field");
    send(FORM, "username=a&password=b&grant_type=client_credentials")
        .assert_problem(400, "unsupported_grant_type");
    send(
        "application/x-www-form-urlencoded; charset=utf-8",
        "username=a&password=b&grant_type=password",
    )
    .assert_problem(401, "invalid_credentials");
}

#[test]
fn registration_can_be_closed() {
    let server = Server::new();
    server.set("registration", "closed");
    server
        .register("ann@example.org")
        .assert_problem(403, "registration_closed");
    server.set("registration", "first");
    server
        .register("ann@example.org")
        .assert_problem(403, "registration_closed");
    let _ = server.world.ports.sql.statements();
    server
        .register("a@example.org")
        .assert_problem(403, "registration_closed");
    let asked = server.world.ports.sql.statements();
    assert!(
        asked.iter().all(|one| !one.contains("email_key")),
        "who has an account is nobody's business, not even by the time it takes"
    );
    server.set("registration", "opne");
    server
        .register("ann@example.org")
        .assert_problem(403, "registration_closed");
    server.set("registration", UNREADABLE);
    server
        .register("ann@example.org")
        .assert_problem(403, "registration_closed");
    server.set("registration", "open");
    assert_eq!(server.register("ann@example.org").status, 200);
}

#[test]
fn without_a_key_nothing_is_signed() {
    let server = Server::new();
    for secret in ["", "secret", "correct horse battery staple correct horse"] {
        server.set("jwt_secret", secret);
        server
            .log_in("a@example.org", PASSWORD)
            .assert_problem(503, "not_configured");
        server
            .register("ann@example.org")
            .assert_problem(503, "not_configured");
        let refused = server.get("/messages");
        refused.assert_problem(503, "not_configured");
        assert!(!refused.header("retry-after").is_empty());
        server.get("/readyz").assert_problem(503, "not_configured");
        assert_eq!(server.get("/livez").status, 200);
    }
    server.set("jwt_secret", super::SECRET);
    server.set("jwt_secret_previous", "secret");
    let told = server.get("/readyz").assert_problem(503, "not_configured");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("jwt_secret_previous"), "{detail}");
}

#[test]
fn the_key_can_be_rotated() {
    let server = Server::new();
    let token = server.token(server.world.account.0);
    let other = super::SECRET.chars().rev().collect::<String>();
    server
        .world
        .ports
        .variables
        .set("jwt_secret_previous", super::SECRET);
    server.set("jwt_secret", &other);
    assert_eq!(server.call_as(&token, "GET", "/messages", "").status, 200);
    server.set("jwt_secret_previous", "");
    server
        .call_as(&token, "GET", "/messages", "")
        .assert_problem(401, "invalid_token");
}

#[test]
fn api_keys_live_until_they_are_deleted() {
    let server = Server::new();
    let made = server.post("/keys", &json!({"name": " robot "}));
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("robot")));
    let (key, id) = (
        made.json()["key"].as_str().unwrap().to_owned(),
        made.json()["id"].as_i64().unwrap(),
    );
    assert!(key.starts_with("trawl_") && key.len() == 49, "{key}");
    assert_eq!(made.header("location"), format!("/keys/{id}"));
    assert_eq!(server.call_as(&key, "GET", "/messages", "").status, 200);
    let list = server.get("/keys");
    assert_eq!(list.json()["data"][0]["name"], "robot");
    assert!(!String::from_utf8_lossy(&list.body).contains(&key));
    let stranger = server.stranger();
    server
        .call_as(&stranger, "DELETE", &format!("/keys/{id}"), "")
        .assert_problem(404, "not_found");
    assert_eq!(
        server.call("DELETE", &format!("/keys/{id}"), "").status,
        204
    );
    server
        .call_as(&key, "GET", "/messages", "")
        .assert_problem(401, "invalid_token");
    server
        .call("DELETE", &format!("/keys/{id}"), "")
        .assert_problem(404, "not_found");
    server
        .call("DELETE", "/keys/x", "")
        .assert_problem(404, "not_found");
    server
        .post("/keys", &json!({"name": "  "}))
        .assert_problem(422, "invalid_field");
    server
        .post("/keys", &json!({"name": 7}))
        .assert_problem(422, "invalid_field");
}

#[test]
fn an_account_has_no_more_keys_than_it_may_however_they_are_made() {
    let server = Server::new();
    for n in 1..KEYS_MAX {
        let made = server.post("/keys", &json!({"name": format!("robot {n}")}));
        assert_eq!(made.status, 201);
    }
    let token = server.token(server.world.account.0);
    let made = server.world.run(join_all((0..5).map(|_| {
        let request = Request::post("http://trawl.test/keys")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(r#"{"name":"one more"}"#.into())
            .unwrap();
        server.api.everything(&server.world.ports, request)
    })));
    let statuses: Vec<_> = made
        .iter()
        .map(|answer| answer.response.status().as_u16())
        .collect();
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!(count(201), 1, "{statuses:?}");
    server
        .post("/keys", &json!({"name": "one more"}))
        .assert_problem(409, "key_limit");
}

/// Its use is a note. Whoever reads with it needs no database that can be written, and does not wait for one that is locked.
#[test]
fn an_api_key_reads_while_nothing_can_be_written() {
    let server = Server::new();
    let made = server.post("/keys", &json!({"name": "robot"}));
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let sql = &server.world.ports.sql;
    sql.refuse(Some("UPDATE api_keys"));
    assert_eq!(server.call_as(&key, "GET", "/messages", "").status, 200);
    sql.refuse(None);
    sql.lock(Some("UPDATE api_keys"));
    let before_ms = server.world.ports.clock.elapsed_ms();
    assert_eq!(server.call_as(&key, "GET", "/messages", "").status, 200);
    assert!(server.world.ports.clock.elapsed_ms() - before_ms <= 100);
    let last_used = || server.get("/keys").json()["data"][0]["last_used"].clone();
    assert!(last_used().is_null());
    sql.lock(None);
    assert_eq!(server.call_as(&key, "GET", "/messages", "").status, 200);
    assert!(last_used().is_string());
}

#[test]
fn webhook_secrets_stay_until_they_are_rotated() {
    let server = Server::new();
    let secret = || {
        server.get("/webhook-secret").json()["secret"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = secret();
    let bytes = STANDARD.decode(first.strip_prefix("whsec_").unwrap());
    assert_eq!(bytes.unwrap().len(), SECRET_BYTES, "{first}");
    assert_eq!(secret(), first);
    let rotated = server.post("/webhook-secret/rotate", &json!({}));
    assert_eq!(rotated.status, 200);
    assert_ne!(secret(), first);
    assert_eq!(rotated.json()["secret"], secret());
}

#[test]
fn an_old_hash_is_brought_up_to_date_at_the_next_login() {
    use argon2::password_hash::{PasswordHasher, SaltString};
    let server = Server::new();
    let weak = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        argon2::Params::new(8, 1, 1, None).unwrap(),
    );
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    let hash = weak
        .hash_password(PASSWORD.as_bytes(), &salt)
        .unwrap()
        .to_string();
    let stored = || {
        let found = server
            .world
            .run(server.world.store().account_by_email_key("a@example.org"));
        found.unwrap().unwrap().password_hash
    };
    let account = server.world.account;
    let set = server.world.store();
    let old = stored();
    let set = set.set_password_hash(account, &old, &hash);
    assert!(server.world.run(set).unwrap());
    assert_eq!(server.log_in("a@example.org", PASSWORD).status, 200);
    assert!(stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let fresh = stored();
    assert_eq!(server.log_in("a@example.org", PASSWORD).status, 200);
    assert_eq!(stored(), fresh, "a hash of today stays");
}

fn change_password(server: &Server, email: &str, password: &str, new: &str) -> Seen {
    let request = Request::post("http://trawl.test/users/password")
        .header("content-type", "application/json")
        .header("spin-client-addr", "192.0.2.7:1");
    let body = json!({"email": email, "password": password, "new_password": new});
    server.send(request, body.to_string())
}

#[test]
fn whoever_knows_the_password_changes_it() {
    const NEW: &str = "another horse, another battery";
    let server = Server::new();
    server.register("ann@example.org");
    let changed = change_password(&server, "Ann@Example.org", PASSWORD, NEW);
    assert_eq!(
        (changed.status, changed.json()),
        (200, json!({"message": "Password changed successfully"}))
    );
    server
        .log_in("ann@example.org", PASSWORD)
        .assert_problem(401, "invalid_credentials");
    assert_eq!(server.log_in("ann@example.org", NEW).status, 200);
}

#[test]
fn a_password_is_not_changed_without_the_present_one_or_to_a_weak_one() {
    let server = Server::new();
    server.register("ann@example.org");
    let change = |email, password, new| change_password(&server, email, password, new);
    let new = "another horse, another battery";
    let weak = change("ann@example.org", PASSWORD, "short");
    assert_eq!(
        weak.assert_problem(422, "weak_password")["field"],
        "new_password"
    );
    let wrong = change("ann@example.org", "wrong horse battery", new);
    let unknown = change("nobody@example.org", PASSWORD, new);
    assert_eq!(
        wrong.assert_problem(401, "invalid_credentials"),
        unknown.assert_problem(401, "invalid_credentials")
    );
    assert_eq!(server.log_in("ann@example.org", PASSWORD).status, 200);
    // It counts as a log-in does, or it would be the way to guess.
    for _ in 0..5 {
        change("ann@example.org", "wrong horse battery", new)
            .assert_problem(401, "invalid_credentials");
    }
    change("ann@example.org", PASSWORD, new).assert_problem(429, "too_many_attempts");
    server
        .log_in("ann@example.org", PASSWORD)
        .assert_problem(429, "too_many_attempts");
}

/// A database that is restored, or begun anew, beside the key that signs: its numbers are given again.
#[test]
fn a_token_does_not_speak_for_whoever_has_its_accounts_number_now() {
    let server = Server::new();
    let next = server.world.account.0 + 1;
    let token = server.token(next);
    let seen = server.call_as(&token, "GET", "/messages", "");
    seen.assert_problem(401, "invalid_token");
    server.world.elapse(std::time::Duration::from_secs(31));
    server.register("ann@example.org");
    for (method, path) in [("GET", "/messages"), ("GET", "/webhook-secret")] {
        let seen = server.call_as(&token, method, path, "");
        seen.assert_problem(401, "invalid_token");
    }
    let own = server.token(next);
    assert_eq!(server.call_as(&own, "GET", "/messages", "").status, 200);
}

/// A machine may start with a clock that is ahead, until the network tells it the time.
#[test]
fn an_account_from_before_the_clock_was_set_back_can_be_used() {
    let server = Server::new();
    let next = server.world.account.0 + 1;
    server.register("ann@example.org");
    let ahead = "UPDATE accounts SET created_ms = created_ms + 3600000";
    let world = &server.world;
    world.run(world.ports.sql.run(ahead, vec![])).unwrap();
    let token = server.token(next);
    assert_eq!(server.call_as(&token, "GET", "/messages", "").status, 200);
}
