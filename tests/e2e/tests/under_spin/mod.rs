//! The same flow under the real Spin, where the machine has one: `SPIN=/path/to/spin make test`.
//!
//! Spin's ways, which these tests hold us to: HTTP and Redis triggers are two processes over one database file; each message
//! gets a fresh instance; `spin up` ends when Redis does; there is no clock.

use std::time::Duration;

use serde_json::json;
use trawl_e2e::{DEADLINE, Scene, second_thoughts, whole_flow};
use trawl_kit::eventually;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::redis::RedisServer;

/// A restart compiles nothing, but starts three processes on a machine that is shared.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn whole_flow_and_second_thoughts() {
    let host = Host::start_with(HostOptions::under_spin()).await;
    whole_flow(host.base()).await;
    second_thoughts(host.base()).await;
    let head = std::fs::read(host.database()).unwrap();
    assert_eq!(
        head.get(18..20),
        Some(&[2, 2][..]),
        "the file is in WAL mode: without it each reader holds up the writers"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn producers() {
    super::producers(HostOptions::under_spin()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn accepted_work_survives_kill_and_restart() {
    super::kill_and_restart(HostOptions::under_spin()).await;
}

/// A server that lets us listen but not publish: every ring between the components is lost, only the clock gets through.
/// The address holds a password, as that of a server on a network should.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn every_ring_is_lost_and_the_address_holds_a_password() {
    let redis = RedisServer::start().await;
    let answer = redis
        .command(&[
            b"ACL",
            b"SETUSER",
            b"mute",
            b"on",
            b">pass",
            b"~*",
            b"&*",
            b"+@all",
            b"-publish",
        ])
        .await
        .unwrap();
    assert_eq!(answer, b"+OK\r\n");
    let url = redis.url().replace("redis://", "redis://mute:pass@");
    let host = Host::start_with(HostOptions::under_spin().with(&["--redis", &url])).await;
    whole_flow(host.base()).await;
}

/// Spin exits when Redis goes, by design. What was accepted before is finished after the restart that a supervisor does.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn redis_goes_away_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut redis = RedisServer::start().await;
    let options = HostOptions {
        state_directory: Some(directory.path().to_owned()),
        ..HostOptions::under_spin()
    }
    .with(&["--redis", &redis.url()])
    .variable("lease_seconds", "3");
    let mut host = Host::start_with(options.clone()).await;
    let scene = Scene::set(host.base()).await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        let page = json!({"request_url": scene.origin.url("/odd/slow"), "type": 2, "callback_url": scene.receiver.url("/hook")});
        ids.push(scene.node.submit(&page).await);
    }
    redis.kill();
    let status = host
        .ended(ENDS_WITHIN)
        .await
        .expect("spin ends without its Redis");
    assert!(
        !status.success(),
        "a supervisor restarts what failed: {status}"
    );
    redis.restart().await;
    let host = Host::start_with(options).await;
    let node = scene.node.at(host.base());
    for id in ids {
        let message = node.wait_finished(id, DEADLINE).await;
        assert_eq!(message["status"], "done", "{message}");
        assert_eq!(scene.callback(id).await.verified, Some(true));
    }
}

/// Names that Spin would serve itself: one that no component has makes its host fail the guest, and with the guest every
/// neighbour in the same instance. They are refused before they reach it, at the door and on a redirect.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn names_inside_spin_are_refused() {
    let host = Host::start_with(HostOptions::under_spin()).await;
    let scene = Scene::set(host.base()).await;
    for url in [
        "http://nope.spin.internal/",
        "http://ingest.spin.internal/readyz",
        "http://INGEST.SPIN.INTERNAL./readyz",
        "http://self.alt/readyz",
        "http://spin.internal/",
    ] {
        let asked = json!({"request_url": url, "type": 1});
        let answer = scene.node.post("/receive_data", &asked).await;
        assert_eq!(answer.status, 422, "{url}: {}", answer.text());
        let asked =
            json!({"request_url": scene.origin.url("/odd/plain"), "type": 1, "callback_url": url});
        let answer = scene.node.post("/receive_data", &asked).await;
        assert_eq!(answer.status, 422, "callback {url}: {}", answer.text());
    }
    let neighbour = scene
        .node
        .submit(&json!({"request_url": scene.origin.url("/odd/slow"), "type": 1}))
        .await;
    for path in ["/odd/redirect-spin", "/odd/redirect-self"] {
        let message = scene.scrape(1, path).await;
        assert_eq!(
            message["error"]["code"], "address_not_allowed",
            "{path}: {message}"
        );
    }
    let message = scene.node.wait_finished(neighbour, DEADLINE).await;
    assert_eq!(
        (&message["status"], &message["attempts"]),
        (&json!("done"), &json!(1)),
        "no neighbour lost its attempt: {message}"
    );
}

/// A supervisor's SIGTERM: Spin cuts off what runs at once and exits with 0, so the next start has to find it all.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIN=/path/to/spin (4.1 or newer); make test runs it where SPIN is set"]
async fn sigterm_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = HostOptions {
        state_directory: Some(directory.path().to_owned()),
        ..HostOptions::under_spin()
    }
    .variable("lease_seconds", "3");
    let mut host = Host::start_with(options.clone()).await;
    let scene = Scene::set(host.base()).await;
    let id = scene
        .node
        .submit(&json!({"request_url": scene.origin.url("/odd/slow"), "type": 1}))
        .await;
    eventually("the page is being fetched", DEADLINE, || async {
        (scene.origin.hits("/odd/slow") > 0).then_some(())
    })
    .await;
    let status = host.terminate(ENDS_WITHIN).await.expect("spin ends");
    assert!(status.success(), "{status}");
    let again = Host::start_with(options).await;
    let message = scene
        .node
        .at(again.base())
        .wait_finished(id, DEADLINE)
        .await;
    assert_eq!(message["status"], "done", "{message}");
}
