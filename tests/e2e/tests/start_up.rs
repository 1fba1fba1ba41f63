//! Wrong use of the binary: one line that says what to do, and the right exit status.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::path::Path;
use std::process::{Child, Output};
use std::time::Duration;

use bytes::Bytes;
use trawl_kit::api::Node;
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions, signal};
use trawl_kit::http_client::HttpClient;

fn run(options: &HostOptions) -> Output {
    let state = tempfile::tempdir().unwrap();
    Host::command(state.path(), options).output().unwrap()
}

fn assert_one_line(output: &Output, status: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    if status == 1 {
        assert_eq!(error.trim().lines().count(), 1, "one line: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&HostOptions {
        listen: Some(address.clone()),
        ..HostOptions::default()
    });
    assert_one_line(&output, 1, &[&address, "--listen"]);
}

/// Its requests would go round in it.
#[test]
fn a_host_that_is_its_own_replica() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balance.toml");
    let own = format!("http://localhost:{port}");
    std::fs::write(&file, format!("[[replica]]\nid = \"a\"\nurl = {own:?}\n")).unwrap();
    let options = HostOptions {
        listen: Some(format!("127.0.0.1:{port}")),
        ..HostOptions::default().with(&["--balance-file", file.to_str().unwrap()])
    };
    assert_one_line(&run(&options), 1, &["replica a", &own]);
}

fn run_manifest(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("spin.toml");
    std::fs::write(&manifest, text).unwrap();
    std::process::Command::new(Host::binary())
        .args(["up", "--listen", "127.0.0.1:0", "--from"])
        .arg(&manifest)
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .output()
        .unwrap()
}

#[test]
fn an_unreadable_manifest_an_unknown_key_and_a_missing_component() {
    assert_one_line(&run_manifest("this is not TOML"), 1, &["spin.toml"]);
    let manifest = std::fs::read_to_string(trawl_kit::workspace_root().join("spin.toml")).unwrap();
    assert_one_line(
        &run_manifest(&manifest.replacen("[component.auth]", "[component.auth]\nsurprise = 1", 1)),
        1,
        &["surprise"],
    );
    assert_one_line(&run_manifest(&manifest), 1, &["auth.wasm", "make build"]);
}

#[test]
fn bad_arguments() {
    let output = run(&HostOptions::default().with(&["--no-such-flag"]));
    assert_one_line(&output, 2, &["--no-such-flag"]);
    let output = run(&HostOptions::default().with(&["--allow-private", "everything"]));
    assert_one_line(&output, 2, &["everything", "192.168.0.0/16"]);
    let output = run(&HostOptions {
        listen: Some("3000".to_owned()),
        ..HostOptions::default()
    });
    assert_one_line(&output, 2, &["3000", "127.0.0.1:3000"]);
    let output = run(&HostOptions::default().with(&["--redis", "http://u:hidden@a"]));
    assert_one_line(&output, 2, &["--redis", "redis://127.0.0.1:6379"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hidden"));
}

#[test]
fn a_balance_file_that_is_not_there() {
    let output = run(&HostOptions::default().with(&["--balance-file", "nowhere.toml"]));
    assert_one_line(&output, 1, &["nowhere.toml", "balance file"]);
}

/// What is there is not a directory, or holds a database that is none.
#[test]
fn a_state_directory_that_can_not_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let output = Host::command(&file, &HostOptions::default()).output();
    assert_one_line(&output.unwrap(), 1, &["file", "--state-dir"]);
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("trawl.db"), "no database at all ".repeat(100)).unwrap();
    let output = Host::command(&state, &HostOptions::default()).output();
    assert_one_line(&output.unwrap(), 1, &["trawl.db", "--state-dir", "backup"]);
}

/// Two hosts may share a directory, and meet in its database. Whoever did not mean to sees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_another_host_uses() {
    use std::io::BufRead as _;

    let first = Host::start().await;
    let mut second = Host::command(first.state_directory(), &HostOptions::default())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(second.stdout.take().unwrap()).lines();
    let data = lines
        .map_while(Result::ok)
        .find(|line| line.contains("data "));
    second.kill().unwrap();
    second.wait().unwrap();
    let data = data.unwrap_or_default();
    assert!(data.contains("shared with another trawl"), "{data}");
}

/// A host whose errors go to `log`, once it has answered.
async fn start_quietly(state: &Path, log: &Path, options: HostOptions) -> (Child, String) {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let options = HostOptions {
        listen: Some(format!("127.0.0.1:{port}")),
        ..options.with(&["--quiet"])
    };
    let host = Host::command(state, &options)
        .stderr(std::fs::File::create(log).unwrap())
        .spawn()
        .unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let http = HttpClient::default();
    eventually("it serves", Duration::from_secs(180), || async {
        let asked = http::Request::get(format!("{base}/livez"));
        let answer = http.send(asked.body(Bytes::new()).unwrap()).await;
        answer.is_ok().then_some(())
    })
    .await;
    (host, base)
}

/// A service that is closed to everybody from the first is a mistake, which a registration that is refused does not show to whoever made it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_nobody_can_enter() {
    let state = tempfile::tempdir().unwrap();
    let log = state.path().join("log");
    let mut told = Vec::new();
    for registration in ["closed", "first", "closed"] {
        let options = HostOptions::default().variable("registration", registration);
        let (mut host, base) = start_quietly(state.path(), &log, options).await;
        if registration == "first" {
            Node::log_in(&base, "node@example.org").await;
        }
        host.kill().unwrap();
        host.wait().unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        told.push(text.contains("nobody has an account"));
    }
    assert_eq!(told, [true, false, false]);
}

/// A client that is told of an internal error is told that it was logged; that holds for `--quiet` too.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_host_tells_of_internal_errors() {
    let state = tempfile::tempdir().unwrap();
    let log = state.path().join("log");
    let (mut host, base) = start_quietly(state.path(), &log, HostOptions::default()).await;
    let node = Node::log_in(&base, "node@example.org").await;
    let database = rusqlite::Connection::open(state.path().join("trawl.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    // Again and again: a component that has just started may make the table once more.
    eventually("a request fails", Duration::from_secs(30), || async {
        let drop = database.execute_batch("DROP TABLE IF EXISTS Messages");
        drop.unwrap();
        let answer = node.get("/messages").await.json();
        answer.to_string().contains("it was logged").then_some(())
    })
    .await;
    let told = std::fs::read_to_string(&log).unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    assert!(told.contains("internal error"), "{told}");
}

/// A terminal that is closed, and Ctrl-\, let the host finish as SIGTERM does.
#[tokio::test(flavor = "multi_thread")]
async fn signals_that_ask_for_the_end() {
    for number in [libc::SIGHUP, libc::SIGQUIT] {
        let mut host = Host::start().await;
        signal(host.pid(), number);
        let status = host.ended(Duration::from_secs(20)).await;
        assert!(status.expect("it ends").success(), "signal {number}");
    }
}

/// Whoever reads the standard error or output may be gone. What was to be done is done all the same, and the status says how.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_nobody_reads() {
    let host = Host::start().await;
    let nodes = |quiet: &[&str]| {
        let (_, gone) = std::io::pipe().unwrap();
        let mut nodes = std::process::Command::new(Host::binary());
        nodes.args(["nodes", "--url", host.base(), "--requests", "20"]);
        nodes.args(["--target", "http://127.0.0.1:1/"]);
        nodes.args(quiet);
        nodes.stdout(gone.try_clone().unwrap()).stderr(gone);
        nodes.status().unwrap().code()
    };
    assert_eq!(nodes(&[]), Some(0));
    assert_eq!(nodes(&["--quiet", "--json"]), Some(0));
    let (_, gone) = std::io::pipe().unwrap();
    let mut up = std::process::Command::new(Host::binary());
    up.args(["up", "--from", "no/such/spin.toml"]).stderr(gone);
    assert_eq!(up.status().unwrap().code(), Some(1));
}

/// A short secret is refused: never sign with a passphrase.
#[test]
fn a_weak_jwt_secret() {
    let output = run(&HostOptions::default().variable("jwt_secret", "hunter2"));
    assert_one_line(&output, 1, &["jwt_secret"]);
}
