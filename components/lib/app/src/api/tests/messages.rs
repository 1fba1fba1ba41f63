use futures::future::join_all;
use http::Request;
use serde_json::{Value, json};
use trawl_core::limits::queue::LIST_MAX;
use trawl_core::state::{JobError, Kind};
use trawl_store::sql::Sql as _;
use trawl_store::{Failure, Finished};

use super::{Api, Seen, Server};
use crate::channels::{CALLBACK_QUEUE, MESSAGE_QUEUE};

fn request() -> Value {
    json!({"user_Id": "node 1", "request_url": "Example.org/a", "type": 1, "callback_url": "https://node.example/hook"})
}

/// Plays the scraper: claims what waits and finishes it.
fn finish(server: &Server, kind: Kind, body: &str, meta: &str) {
    let store = server.world.store();
    server.world.run(async {
        let jobs = store.claim(kind, 10, "w", 60).await.unwrap();
        let finished: Vec<Finished> = jobs
            .iter()
            .map(|job| Finished {
                id: job.id,
                lease: job.lease,
                final_url: "https://example.org/a".into(),
                http_status: 200,
                content_type: "text/html".into(),
                encoding: "identity".into(),
                meta: meta.into(),
                body: body.into(),
                etag: None,
                last_modified: None,
                is_copy: false,
            })
            .collect();
        assert_eq!(store.finish(&finished).await.unwrap().len(), jobs.len());
    });
}

/// Fails the next job of this kind; for good, or to be tried again.
pub(super) fn fail(server: &Server, kind: Kind, retry_in_ms: Option<u64>) {
    let store = server.world.store();
    server.world.run(async {
        let jobs = store.claim(kind, 1, "w", 60).await.unwrap();
        let error = JobError {
            code: "http_404".into(),
            detail: "the page is not there".into(),
            permanent: retry_in_ms.is_none(),
        };
        assert!(
            store
                .fail(&Failure {
                    id: jobs[0].id,
                    lease: jobs[0].lease,
                    error,
                    retry_in_ms,
                    pause: None,
                })
                .await
                .unwrap()
        );
    });
}

#[test]
fn accepting_is_one_statement_and_rings_afterwards() {
    let server = Server::new();
    server.submit(&request());
    let _ = server.world.ports.sql.statements();
    let seen = server.post("/receive_data", &request());
    assert_eq!(server.world.ports.sql.statements().len(), 1);
    assert_eq!((seen.status, seen.ring), (202, Some(MESSAGE_QUEUE)));
    assert_eq!(
        server.world.ports.bell.rings_in_all(),
        0,
        "the entry rings, after the answer"
    );
    let id = seen.json()["data"]["message_id"].as_i64().unwrap();
    assert_eq!(seen.header("location"), format!("/messages/{id}"));
    let expected = json!({"success": true, "message": "message received",
        "data": {"id": "app1", "message_id": id, "status_url": format!("http://trawl.test:3000/messages/{id}")}});
    assert_eq!(seen.json(), expected);
}

#[test]
fn the_public_url_wins_and_the_host_header_never_does() {
    let server = Server::new();
    let send = || {
        let token = server.token(server.world.account.0);
        let request = Request::post("/receive_data")
            .header("authorization", format!("Bearer {token}"))
            .header("host", "evil.example");
        server.send(request, self::request().to_string()).json()["data"]["status_url"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(send(), "/messages/1");
    server.set("public_url", "https://trawl.example/");
    assert_eq!(send(), "https://trawl.example/messages/2");
}

#[test]
fn a_message_as_the_contract_writes_it() {
    let server = Server::new();
    let id = server.submit(&request());
    let message = server.get(&format!("/messages/{id}")).json();
    let expected = json!({"id": id, "user_Id": "node 1", "request_url": "https://example.org/a", "type": 1, "priority": 5, "status": "queued",
        "is_processed": false, "is_processing": false, "date_added": "2026-11-23T00:00:00.000Z", "date_process_complete": null, "attempts": 0,
        "next_try_at": null, "error": null, "callback_url": "https://node.example/hook", "callback_status": "pending",
        "links": {"self": format!("/messages/{id}"), "result": format!("/messages/{id}/result"), "deliveries": format!("/messages/{id}/deliveries"),
            "events": format!("/messages/{id}/events")}});
    assert_eq!(message, expected);
}

#[test]
fn idempotency() {
    let mut server = Server::new();
    let send = |server: &Server, key: &str, body: &Value| {
        let token = server.token(server.world.account.0);
        let request = Request::post("http://trawl.test/receive_data")
            .header("authorization", format!("Bearer {token}"));
        server.send(request.header("idempotency-key", key), body.to_string())
    };
    let first = send(&server, "k", &request());
    server.world.ports.variables.set("replica_id", "app2");
    server.api = Api::default();
    let reordered: Value = serde_json::from_str(r#"{"type":1,"callback":"https://node.example/hook","request_url":"https://example.org/a","user_id":"node 1"}"#).unwrap();
    let repeat = send(&server, "k", &reordered);
    assert_eq!(
        (repeat.status, repeat.json(), repeat.ring),
        (202, first.json(), None),
        "word for word, also by another replica"
    );
    let mut other = request();
    other["type"] = json!(2);
    send(&server, "k", &other).assert_problem(409, "idempotency_conflict");
    assert_ne!(
        send(&server, "l", &request()).json()["data"]["message_id"],
        first.json()["data"]["message_id"]
    );
    send(&server, "", &request()).assert_problem(422, "invalid_field");
    let token = server.token(server.world.account.0);
    let twice = Request::post("http://trawl.test/receive_data")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", "m")
        .header("idempotency-key", "n");
    server
        .send(twice, request().to_string())
        .assert_problem(422, "invalid_field");
    send(&server, &"k".repeat(256), &request()).assert_problem(422, "invalid_field");
    assert_eq!(
        server
            .world
            .ports
            .sql
            .number("SELECT COUNT(*) FROM Messages"),
        2
    );
}

/// Each of them finds room before the others have taken it.
#[test]
fn retries_at_once_do_not_pass_the_limit() {
    let server = Server::new();
    let ids: Vec<i64> = (0..6).map(|_| server.submit(&request())).collect();
    for id in &ids {
        server.call("DELETE", &format!("/messages/{id}"), "");
    }
    server.set("queue_max_account", "2");
    let token = server.token(server.world.account.0);
    let answers = server.world.run(join_all(ids.iter().map(|id| {
        let request = Request::post(format!("http://trawl.test/messages/{id}/retry"))
            .header("authorization", format!("Bearer {token}"))
            .body("".into())
            .unwrap();
        server.api.everything(&server.world.ports, request)
    })));
    let seen: Vec<Seen> = answers.into_iter().map(Seen::from).collect();
    let (queued, refused): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.status == 202);
    assert_eq!(queued.len(), 2);
    for seen in refused {
        seen.assert_problem(429, "tenant_queue_full");
    }
}

#[test]
fn a_retry_that_can_not_be_shown_is_told_as_done() {
    let server = Server::new();
    let id = server.submit(&request());
    server.call("DELETE", &format!("/messages/{id}"), "");
    let sql = &server.world.ports.sql;
    sql.fail_when("m.error_permanent, m.callback_url, CASE", 1);
    let problem = server
        .call("POST", &format!("/messages/{id}/retry"), "")
        .assert_problem(503, "database_unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("is queued again"), "{detail}");
    let message = server.get(&format!("/messages/{id}")).json();
    assert_eq!(message["status"], "queued");
}

/// Who asks again and cancels without end makes no history without end. What is older than what is shown is gone.
#[test]
fn a_message_has_no_endless_history() {
    let server = Server::new();
    let id = server.submit(&request());
    let sql = &server.world.ports.sql;
    let run = |statement| server.world.run(sql.run(statement, Vec::new())).unwrap();
    assert_eq!(id, 1, "as the statements say");
    assert_eq!(LIST_MAX, 1_000, "what is shown, as the triggers say");
    // As it was before there was a bound.
    run("DROP TRIGGER events_cut");
    run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO events (message_id, seq, at_ms, from_state, to_state, lease, reason)
         SELECT 1, i, 1, 'queued', 'cancelled', 0, 'cancelled' FROM n",
    );
    server.world.run(server.world.store().migrate()).unwrap();
    for _ in 0..5 {
        server.call("DELETE", &format!("/messages/{id}"), "");
        server.call("POST", &format!("/messages/{id}/retry"), "");
    }
    let kept = |table| {
        let bounds = ["COUNT(*)", "MIN(seq)", "MAX(seq)"];
        bounds.map(|what| sql.number(&format!("SELECT {what} FROM {table}")))
    };
    assert_eq!(kept("events"), [1_000, 511, 1_510]);
    run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO deliveries (message_id, seq, callback_id, lease, webhook_id, attempt, at_ms, latency_ms, outcome)
         SELECT 1, i, 0, 0, 'w', 1, 1, 1, 'delivered' FROM n",
    );
    assert_eq!(kept("deliveries"), [1_000, 501, 1_500]);
    run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO callbacks (message_id, tenant, endpoint, webhook_id, ok, finished_ms, key, stage)
         SELECT 1, tenant, 'https://slow.example/', 'w', 1, 1, 0, 0 FROM n, Messages",
    );
    run("UPDATE Messages SET lease = 1500");
    finish(&server, Kind::Text, "{}", "{}");
    let callbacks = sql.number("SELECT COUNT(*) FROM callbacks");
    assert_eq!(callbacks, 1_401, "a hundred at a time");
    let counted = sql.number("SELECT waiting FROM flows WHERE kind = 4");
    assert_eq!(counted, callbacks);
}

#[test]
fn a_full_queue_and_a_locked_database() {
    let server = Server::new();
    server.set("queue_max_account", "1");
    let waits = server.submit(&request());
    let full = server.post("/receive_data", &request());
    full.assert_problem(429, "tenant_queue_full");
    assert_eq!(full.header("retry-after"), "5");
    server.set("queue_max_account", "2");
    let again = server.submit(&request());
    server.call("DELETE", &format!("/messages/{again}"), "");
    server.set("queue_max_account", "1");
    let full = server.post(&format!("/messages/{again}/retry"), &json!({}));
    full.assert_problem(429, "tenant_queue_full");
    assert_eq!(full.header("retry-after"), "5");
    server
        .call("POST", &format!("/messages/{waits}/retry"), "")
        .assert_problem(409, "wrong_state");
    server
        .call("POST", "/messages/4711/retry", "")
        .assert_problem(404, "not_found");
    server.set("queue_max_account", "");
    server.set("queue_max", "1");
    server
        .post("/receive_data", &request())
        .assert_problem(429, "queue_full");
    server.world.ports.sql.fail_next(1);
    let locked = server.post("/receive_data", &request());
    locked.assert_problem(503, "database_unavailable");
    assert_eq!(locked.header("retry-after"), "1");
}

#[test]
fn results_while_they_wait_and_after() {
    let server = Server::new();
    let id = server.submit(&request());
    let result = |accept: &str| {
        let token = server.token(server.world.account.0);
        let request = Request::get(format!("http://trawl.test/messages/{id}/result"))
            .header("accept", accept);
        server.send(
            request.header("authorization", format!("Bearer {token}")),
            "",
        )
    };
    result("*/*").assert_problem(404, "not_ready");
    let document = r##"{"url":"u","text":"words","markdown":"# words"}"##;
    finish(&server, Kind::Text, document, "{}");
    assert_eq!(
        (
            result("application/json").status,
            &result("application/json").body[..]
        ),
        (200, document.as_bytes())
    );
    assert_eq!(
        (
            result("text/plain").header("content-type"),
            &result("text/plain").body[..]
        ),
        ("text/plain; charset=utf-8", &b"words"[..])
    );
    assert_eq!(result("text/markdown").body, "# words");
    result("image/png").assert_problem(406, "not_acceptable");
    let message = server.get(&format!("/messages/{id}")).json();
    assert_eq!(
        (
            &message["status"],
            &message["is_processed"],
            &message["callback_status"]
        ),
        (&json!("done"), &json!(true), &json!("pending"))
    );
    server.world.elapse(std::time::Duration::from_secs(1));
    server
        .world
        .run(async { server.world.store().purge(0, 90, 100).await.unwrap() });
    result("*/*").assert_problem(410, "expired");
}

#[test]
fn html_results() {
    let server = Server::new();
    let id = server.submit(&json!({"request_url": "example.org", "type": 2}));
    finish(
        &server,
        Kind::Html,
        "<p>é</p>",
        r#"{"url":"https://example.org/","charset":"windows-1252","headers":[["server","x"]]}"#,
    );
    let page = server.get(&format!("/messages/{id}/result"));
    assert_eq!(
        (page.header("content-type"), &page.body[..]),
        ("text/html; charset=utf-8", "<p>é</p>".as_bytes())
    );
    assert!(page.header("content-security-policy").contains("sandbox"));
}

#[test]
fn failed_cancelled_and_again() {
    let server = Server::new();
    let id = server.submit(&request());
    let path = |rest: &str| format!("/messages/{id}{rest}");
    server
        .post(&path("/retry"), &json!({}))
        .assert_problem(409, "wrong_state");
    fail(&server, Kind::Text, None);
    let problem = server.get(&path("/result")).assert_problem(404, "failed");
    assert_eq!(problem["detail"], "http_404: the page is not there");
    let message = server.get(&path("")).json();
    assert_eq!(
        message["error"],
        json!({"code": "http_404", "detail": "the page is not there", "permanent": true})
    );
    server
        .call("DELETE", &path(""), "")
        .assert_problem(409, "wrong_state");
    let again = server.call("POST", &path("/retry"), "");
    assert_eq!(
        (again.status, &again.json()["status"], again.ring),
        (202, &json!("queued"), Some(MESSAGE_QUEUE))
    );
    assert_eq!(server.call("DELETE", &path(""), "").status, 204);
    server
        .get(&path("/result"))
        .assert_problem(404, "cancelled");
    server
        .call("DELETE", &path(""), "")
        .assert_problem(409, "wrong_state");
    let events = server.get(&path("/events")).json();
    let steps: Vec<&str> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["to"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        ["queued", "processing", "failed", "queued", "cancelled"]
    );
    let added = &server.get(&path("")).json()["date_added"];
    assert_eq!(
        events["data"][0],
        json!({"at": added, "from": null, "to": "queued", "lease": 0, "worker": null, "reason": "accepted"})
    );
}

#[test]
fn pages_of_the_list() {
    let server = Server::new();
    let ids: Vec<i64> = (0..5)
        .map(|number| {
            server.submit(
                &json!({"request_url": format!("example.org/{number}"), "type": 1 + number % 3}),
            )
        })
        .collect();
    let page = |query: &str| {
        let page = server.get(&format!("/messages?{query}")).json();
        let ids: Vec<i64> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["id"].as_i64().unwrap())
            .collect();
        (ids, page["next_cursor"].as_str().map(str::to_owned))
    };
    let (first, cursor) = page("limit=2");
    assert_eq!(first, [ids[4], ids[3]]);
    let (second, cursor) = page(&format!("limit=2&cursor={}", cursor.unwrap()));
    assert_eq!(second, [ids[2], ids[1]]);
    assert_eq!(
        page(&format!("limit=2&cursor={}", cursor.unwrap())),
        (vec![ids[0]], None)
    );
    assert_eq!(page("limit=5").1, None, "a full last page has no next one");
    assert_eq!(page("type=2").0, [ids[4], ids[1]]);
    assert_eq!(page("status=done").0, Vec::<i64>::new());
    assert_eq!(page("status=&type=&limit=&cursor=").0.len(), 5);
}

#[test]
fn callbacks_are_sent_again() {
    let server = Server::new();
    let id = server.submit(&request());
    let path = format!("/messages/{id}/deliveries");
    assert_eq!(server.get(&path).json(), json!({"data": []}));
    server
        .call("POST", &format!("{path}/replay"), "")
        .assert_problem(409, "wrong_state");
    finish(&server, Kind::Text, "{}", "{}");
    let replayed = server.call("POST", &format!("{path}/replay"), "");
    assert_eq!(
        (replayed.status, replayed.ring),
        (202, Some(CALLBACK_QUEUE))
    );
    let range =
        |from: &str, to: &str| server.post("/deliveries/replay", &json!({"from": from, "to": to}));
    let replayed = range("2026-11-22T00:00:00Z", "2026-11-25T00:00:00Z");
    assert_eq!(
        (replayed.status, &replayed.json()["success"]),
        (202, &json!(true))
    );
    range("2026-11-22", "2026-11-25T00:00:00Z").assert_problem(422, "invalid_field");
    range("2026-11-25T00:00:00Z", "2026-11-22T00:00:00Z").assert_problem(422, "invalid_field");
    assert_eq!(
        server.get("/endpoints?limit=1&cursor=").json(),
        json!({"data": [], "next_cursor": null})
    );
    let enabled = server.post(
        "/endpoints/enable",
        &json!({"url": "https://node.example/hook"}),
    );
    assert_eq!(
        (enabled.status, &enabled.json()["was_disabled"]),
        (200, &json!(false))
    );
    server
        .post("/endpoints/enable", &json!({"url": "ftp://node.example/"}))
        .assert_problem(422, "invalid_callback_url");
}

#[test]
fn endpoints_in_trouble_are_listed() {
    let server = Server::new();
    for (tenant, url, columns) in [
        (1, "https://a.example/hook?x=1&y=2", "1, NULL, 5"),
        (1, "https://b.example/", "NULL, 33000000000000, NULL"),
        (1, "https://c.example/", "NULL, NULL, 7"),
        (1, "https://d.example/", "NULL, NULL, NULL"),
        (2, "https://e.example/", "1, NULL, 5"),
    ] {
        server.world.ports.sql.number(&format!(
            "INSERT INTO endpoints (tenant, url, disabled_ms, throttled_until, first_failure_ms)
             VALUES ({tenant}, '{url}', {columns}) RETURNING 1"
        ));
    }
    let states = |page: &Value| {
        let data = page["data"].as_array().unwrap().iter();
        let states = data.map(|endpoint| endpoint["state"].as_str().unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    let all = server.get("/endpoints").json();
    assert_eq!(states(&all), ["disabled", "paused", "failing"]);
    assert_eq!(all["next_cursor"], Value::Null);
    let [first, paused, _] = all["data"].as_array().unwrap().as_slice() else {
        panic!("{all}")
    };
    assert_eq!(first["disabled_at"], "1970-01-01T00:00:00.001Z");
    assert_eq!(first["failing_since"], "1970-01-01T00:00:00.005Z");
    assert_eq!(first["paused_until"], Value::Null);
    assert!(paused["paused_until"].is_string());
    let page = server.get("/endpoints?limit=2").json();
    assert_eq!(states(&page), ["disabled", "paused"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert!(
        !cursor.contains("example"),
        "URLs may hold secrets: {cursor}"
    );
    let page = server.get(&format!("/endpoints?cursor={cursor}")).json();
    assert_eq!(states(&page), ["failing"]);
    for wrong in ["limit=0", "limit=501", "limit=x", "cursor=x", "cursor=-1"] {
        let told = server.get(&format!("/endpoints?{wrong}"));
        told.assert_problem(422, "invalid_field");
    }
    server
        .send(Request::get("http://trawl.test/endpoints"), "")
        .assert_problem(401, "missing_token");
}

/// Nothing would ever start.
#[test]
fn a_host_has_a_slot_whatever_is_configured() {
    let server = Server::new();
    server.set("host_in_flight", "0");
    server.submit(&json!({"request_url": "example.org", "type": 1}));
    let defaults = "SELECT host_in_flight_max FROM settings";
    assert_eq!(server.world.ports.sql.number(defaults), 1);
}
