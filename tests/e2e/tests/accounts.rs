//! `trawl accounts`: what an operator does on the database of a host, also while it runs.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use trawl_kit::api::{Node, PASSWORD};
use trawl_kit::host::Host;
use trawl_kit::http_client::Answer;

const EMAIL: &str = "me@example.org";

/// `trawl accounts` with these arguments.
fn accounts(arguments: &[&str], place: (&str, &Path), stdin: &str) -> Output {
    let mut child = Command::new(Host::binary())
        .arg("accounts")
        .args(arguments)
        .arg(place.0)
        .arg(place.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may refuse its arguments and be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// What it printed, when all went well.
#[track_caller]
fn printed(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Refused with one line that holds these words.
#[track_caller]
fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "one line: {error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    assert_eq!(output.stdout, b"", "nothing is printed: {error}");
}

/// `POST /token`
async fn log_in(node: &Node, password: &str) -> Answer {
    let form = format!("username={EMAIL}&password={}", password.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    node.send("POST", "/token", &headers, form).await
}

/// An API key of the node, to be used like it.
async fn key_of(node: &Node) -> Node {
    let made = node.post("/keys", &json!({"name": "ci"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["key"].as_str().unwrap().to_owned();
    Node {
        token,
        ..node.clone()
    }
}

/// So many wrong passwords that the right one has to wait too, for a quarter of an hour.
async fn lock_out(node: &Node, host: &Host) {
    let mut last = log_in(node, "the wrong password").await;
    while last.status != 429 {
        assert_eq!(last.json()["code"], "invalid_credentials");
        last = log_in(node, "the wrong password").await;
    }
    // As after many more tries, for which a test would have to wait longer and longer.
    let database = rusqlite::Connection::open(host.database()).unwrap();
    database.busy_timeout(trawl_e2e::DEADLINE).unwrap();
    let more =
        "UPDATE login_failures SET failures = failures + 20 WHERE key = 'name:me@example.org'";
    assert_eq!(database.execute(more, []), Ok(1));
    let waits = log_in(node, PASSWORD).await;
    assert_eq!(waits.status, 429, "{}", waits.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_reset_while_the_host_runs() {
    let host = Host::start().await;
    let place = ("--state-dir", host.state_directory());
    let node = Node::log_in(host.base(), EMAIL).await;
    Node::log_in(host.base(), "other@example.org").await;
    let key = key_of(&node).await;
    assert_eq!(key.get("/keys").await.status, 200);
    // It takes connections and never answers: what is asked of it stays unfinished.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    node.submit(&json!({"request_url": url, "type": 1})).await;
    lock_out(&node, &host).await;

    let listed = printed(&accounts(&["list", "--json"], place, ""));
    let listed: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let views: Vec<_> = listed
        .iter()
        .map(|account| json!([account["email"], account["api_keys"], account["unfinished"]]))
        .collect();
    assert_eq!(
        views,
        [json!([EMAIL, 1, 1]), json!(["other@example.org", 0, 0])]
    );

    // As the address may be written at the registration.
    let reset = ["reset-password", " Me@Example.ORG", "--delete-keys"];
    let output = accounts(&reset, place, "");
    let password = printed(&output);
    let password = password.strip_suffix('\n').unwrap();
    assert_eq!(password.len(), 32, "{password}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("API keys deleted: 1") && told.contains("15 minutes"),
        "{told}"
    );
    assert!(!told.contains(password), "{told}");

    let old = log_in(&node, PASSWORD).await;
    assert_eq!(old.json()["code"], "invalid_credentials");
    assert_eq!(log_in(&node, password).await.status, 200);
    assert_eq!(key.get("/keys").await.status, 401);
    let outlives = node.get("/keys").await;
    assert_eq!(outlives.status, 200, "a token, as was told");
    Node::log_in(host.base(), "other@example.org").await;

    let plain = printed(&accounts(&["list"], place, ""));
    assert!(plain.contains(EMAIL) && plain.contains("API keys   0"));
    assert_eq!(plain.lines().count(), 2, "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_be_given_and_must_be_a_good_one() {
    let host = Host::start().await;
    let place = ("--state-dir", host.state_directory());
    let node = Node::log_in(host.base(), EMAIL).await;
    let key = key_of(&node).await;
    let reset = ["reset-password", EMAIL, "--password-stdin"];
    for (stdin, word) in [
        ("", "at least 15 characters"),
        ("short\nbut the next line is long", "at least 15 characters"),
        ("me@example.org 1", "e-mail address"),
    ] {
        let output = accounts(&reset, place, stdin);
        assert_refused(&output, 2, &["--password-stdin", word]);
    }
    assert_eq!(log_in(&node, PASSWORD).await.status, 200, "as it was");
    let output = accounts(&reset, place, "another long password\n");
    assert_eq!(printed(&output), "", "whoever gave it knows it");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("--delete-keys"), "{told}");
    assert_eq!(log_in(&node, "another long password").await.status, 200);
    assert_eq!(key.get("/keys").await.status, 200, "its keys stay");

    let reset = |email| accounts(&["reset-password", email], place, "");
    assert_refused(&reset("you@example.org"), 1, &["you@example.org"]);
    let output = reset("me");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("name@example.org"), "{told}");
}

/// What is named by mistake stays as it is, and none is made.
#[test]
fn a_database_that_is_none_of_trawl() {
    let folder = tempfile::tempdir().unwrap();
    let state = ("--state-dir", folder.path());
    for arguments in [&["list"][..], &["reset-password", EMAIL]] {
        let output = accounts(arguments, state, "");
        let words = ["trawl.db", "--state-dir", "--database"];
        assert_refused(&output, 1, &words);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let empty = file("empty.db", b"");
    let text = file("text.db", "no database at all ".repeat(100).as_bytes());
    let other = folder.path().join("other.db");
    let made = rusqlite::Connection::open(&other).unwrap();
    made.execute_batch("CREATE TABLE accounts (id, name)")
        .unwrap();
    drop(made);
    let unmade = "first request";
    for (path, advice) in [(empty, unmade), (text, "restore a backup"), (other, unmade)] {
        let before = std::fs::read(&path).unwrap();
        for arguments in [&["list"][..], &["reset-password", EMAIL]] {
            let output = accounts(arguments, ("--database", &path), "");
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_refused(&output, 1, &[name, "--database", advice]);
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}
