use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use trawl_core::problem::Code;
use trawl_core::state::Kind;

use super::Server;
use super::messages::fail;
use crate::api::route::TABLE;

#[test]
fn open_routes() {
    let server = Server::new();
    let open = |path: &str| server.send(http::Request::get(format!("http://trawl.test{path}")), "");
    assert_eq!(
        open("/test_endpoint").json(),
        json!({"success": true, "data": {"id": "app1"}, "message": "request received."})
    );
    assert_eq!(open("/livez").status, 200);
    assert_eq!(open("/readyz").status, 200);
    assert_eq!(open("/").header("content-type"), "text/html; charset=utf-8");
    server.world.ports.sql.fail_next(1);
    open("/readyz").assert_problem(503, "database_unavailable");
    assert_eq!(open("/livez").status, 200);
}

#[test]
fn the_page_for_people_explains_each_code() {
    let page = String::from_utf8(Server::new().get("/").body.to_vec()).unwrap();
    for code in Code::ALL {
        assert!(
            page.contains(&format!("<tr id=\"{}\">", code.text())),
            "{}",
            code.text()
        );
    }
}

#[test]
fn receivers_are_told_what_callbacks_do_not_promise() {
    let server = Server::new();
    let page = String::from_utf8(server.get("/").body.to_vec()).unwrap();
    let document = server.get("/openapi.json").json();
    let finished = &document["paths"]["/receive_data"]["post"]["callbacks"]["finished"];
    let post = &finished["{$request.body#/callback_url}"]["post"];
    let description = post["description"].as_str().unwrap();
    for text in [page.as_str(), description] {
        for told in ["t least once and in no order", "date_process_complete"] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
    assert!(page.contains("410 disables the endpoint"));
    assert!(post["responses"]["410"].is_object());
}

#[test]
fn the_description_has_each_route_and_no_other() {
    let document = Server::new().get("/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<(String, String)> = TABLE
        .iter()
        .flat_map(|(path, allow)| {
            allow
                .split(", ")
                .map(move |method| ((*path).to_owned(), method.to_owned()))
        })
        .filter(|(_, method)| method != "HEAD" && method != "OPTIONS")
        .collect();
    assert_eq!(described, served);
}

#[test]
fn the_descriptions_references_lead_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = Server::new().get("/openapi.json").json();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(
            document
                .pointer(reference.trim_start_matches('#'))
                .is_some(),
            "{reference}"
        );
    }
}

#[test]
fn the_manifest_gives_no_variable_that_nobody_reads() {
    const MANIFEST: &str = include_str!("../../../../../../spin.toml");
    let server = Server::new();
    server.submit(&json!({"request_url": "example.org", "type": 1}));
    let asked = server.world.ports.variables.asked();
    // The bell asks where the doorbell is, and who drains the list of producers, whether to stop.
    for (component, elsewhere) in [
        ("auth", &[][..]),
        ("ingest", &["redis_url"]),
        ("producers", &["redis_url", "stopping"]),
    ] {
        let table = format!("[component.{component}.variables]\n");
        let (_, given) = MANIFEST.split_once(&table).unwrap();
        let given = given.lines().take_while(|line| !line.starts_with('['));
        for (name, _) in given.filter_map(|line| line.split_once(" = ")) {
            assert!(
                asked.contains(name) || elsewhere.contains(&name),
                "{component}: {name}"
            );
        }
    }
}

#[test]
fn queues_show_the_callers_share() {
    let server = Server::new();
    server.submit(&json!({"request_url": "example.org", "type": 2}));
    let of_queue = |token: &str| {
        let queues = server.call_as(token, "GET", "/queues", "").json();
        let mut queues = queues["data"].as_array().unwrap().iter();
        queues
            .find(|queue| queue["name"] == "type_2_queue")
            .cloned()
    };
    let (own, of_other) = (server.token(server.world.account.0), server.stranger());
    assert_eq!(of_queue(&own).unwrap()["ready"], 1);
    assert!(of_queue(&of_other).is_none_or(|queue| queue["ready"] == 0));
    fail(&server, Kind::Html, Some(60_000));
    server.world.elapse(Duration::from_secs(7));
    let delayed = of_queue(&own).unwrap();
    assert_eq!(
        (&delayed["ready"], &delayed["delayed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(delayed["oldest_age_s"], 7.0, "{delayed}");
}
