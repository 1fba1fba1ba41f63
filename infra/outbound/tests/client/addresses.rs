//! Nothing is dialled that was not checked after it was resolved.

use crate::pooling::eventually;
use crate::support::{Script, class, fetch, get, hello, short, text};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use trawl_core::limits::outbound::LOOKUPS_OF_NEW_NAMES_MAX;
use trawl_outbound::{Class, Client, Options, OutboundError, Resolve, Resolving, Timeouts};

fn scripted(answers: Vec<Vec<SocketAddr>>, forbidden: SocketAddr) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let options = Options {
        dns_ttl_ms: 0,
        ..Options::default()
    };
    let script = Script {
        answers,
        asked: Arc::clone(&asked),
    };
    let check = move |_: &Class, address: SocketAddr| address != forbidden;
    (
        Client::with_resolver(options, check, script).unwrap(),
        asked,
    )
}

#[tokio::test]
async fn a_name_that_turns_private_between_two_lookups_is_never_dialled_there() {
    let (public, private) = (hello().await, hello().await);
    let (client, asked) = scripted(
        vec![vec![public.address], vec![private.address]],
        private.address,
    );
    let other = Class::new("callback");
    assert_eq!(
        fetch(&client, "http://rebind.test/").await.unwrap(),
        "GET / rebind.test"
    );
    // One look-up for the first request: what was checked is what was dialled.
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Another class has no pooled connection, so it resolves again and meets the second answer.
    let outcome = client
        .send(&other, get("http://rebind.test/"), Timeouts::default())
        .await;
    assert_eq!(outcome.unwrap_err(), OutboundError::DestinationIpProhibited);
    assert_eq!(
        (
            public.connections(),
            private.connections(),
            client.stats().prohibited
        ),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn one_forbidden_address_among_several_refuses_the_name() {
    let (public, private) = (hello().await, hello().await);
    let (client, _) = scripted(vec![vec![public.address, private.address]], private.address);
    assert_eq!(
        fetch(&client, "http://mixed.test/").await.unwrap_err(),
        OutboundError::DestinationIpProhibited
    );
    assert_eq!((public.connections(), private.connections()), (0, 0));
}

#[tokio::test]
async fn an_address_in_the_url_is_checked_too() {
    let private = hello().await;
    let (client, asked) = scripted(vec![vec![private.address]], private.address);
    assert_eq!(
        fetch(&client, &private.url("/")).await.unwrap_err(),
        OutboundError::DestinationIpProhibited
    );
    assert_eq!(
        (asked.load(Ordering::SeqCst), private.connections()),
        (0, 0)
    );
}

#[tokio::test]
async fn classes_do_not_share_connections() {
    let server = hello().await;
    let client = crate::support::client();
    for name in ["scrape", "callback", "scrape", "callback"] {
        let response = client
            .send(
                &Class::new(name),
                get(&server.url("/")),
                Timeouts::default(),
            )
            .await
            .unwrap();
        text(response).await.unwrap();
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_pooled_connection_is_checked_again_before_it_is_reused() {
    let server = hello().await;
    let allowed = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&allowed);
    let check = move |_: &Class, _: SocketAddr| switch.load(Ordering::SeqCst);
    let client = Client::new(Options::default(), check).unwrap();
    fetch(&client, &server.url("/")).await.unwrap();
    allowed.store(false, Ordering::SeqCst);
    assert_eq!(
        fetch(&client, &server.url("/")).await.unwrap_err(),
        OutboundError::DestinationIpProhibited
    );
}

#[tokio::test]
async fn the_next_address_is_dialled_when_the_first_refuses() {
    let server = hello().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let nobody: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let (client, _) = scripted(vec![vec![closed, server.address]], nobody);
    fetch(&client, "http://two.test/").await.unwrap();
    let (client, _) = scripted(vec![vec![closed]], nobody);
    let outcome = client
        .send(&class(), get("http://none.test/"), Timeouts::default())
        .await;
    assert!(matches!(
        outcome.unwrap_err(),
        OutboundError::ConnectionRefused(_)
    ));
}

/// As the system's resolver: each look-up takes a thread, which a name without a name server holds until the gate is opened.
#[derive(Clone)]
struct Blocking {
    good: SocketAddr,
    asked: Arc<AtomicUsize>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

/// Opens the gate at the end of a test too, however that comes: its runtime waits for the threads.
struct Opens(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Opens {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Resolve for Blocking {
    fn resolve(&self, host: &str, _: u16) -> Resolving {
        let (it, is_dead) = (self.clone(), host.contains("dead"));
        let is_gone = host.contains("gone");
        it.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let looking_up = tokio::task::spawn_blocking(move || {
                let (open, opened) = &*it.gate;
                let mut open = open.lock().unwrap();
                while is_dead && !*open {
                    open = opened.wait(open).unwrap();
                }
                vec![it.good]
            });
            let found = looking_up.await.unwrap();
            if is_gone {
                return Err(std::io::Error::other("no server answered"));
            }
            Ok(found)
        })
    }
}

fn blocking(good: SocketAddr, options: Options) -> (Client, Arc<AtomicUsize>, Opens) {
    let resolver = Blocking {
        good,
        asked: Arc::default(),
        gate: Arc::default(),
    };
    let (asked, gate) = (Arc::clone(&resolver.asked), Arc::clone(&resolver.gate));
    let client = Client::with_resolver(options, |_: &Class, _: SocketAddr| true, resolver);
    (client.unwrap(), asked, Opens(gate))
}

/// Asks for so many names at once, and comes back when all are asked for.
async fn ask(client: &Client, count: u64, name: impl Fn(u64) -> String) {
    let before = client.stats().requests;
    for number in 0..count {
        let (client, url) = (client.clone(), format!("http://{}/", name(number)));
        tokio::spawn(async move { fetch(&client, &url).await });
    }
    eventually("all have asked", || {
        client.stats().requests == before + count
    })
    .await;
}

#[tokio::test]
async fn names_of_one_domain_that_nobody_answers_leave_others_their_look_up() {
    let server = hello().await;
    let (client, _, _opens) = blocking(server.address, Options::default());
    ask(&client, 600, |number| format!("dead{number}.evil.test")).await;
    for name in ["a.good.test", "b.good.test", "other.test"] {
        fetch(&client, &format!("http://{name}/")).await.unwrap();
    }
}

#[tokio::test]
async fn names_of_many_domains_that_nobody_answers_leave_known_ones_their_look_up() {
    let server = hello().await;
    let options = Options {
        dns_ttl_ms: 0,
        ..Options::default()
    };
    let (client, asked, _opens) = blocking(server.address, options);
    fetch(&client, "http://good.test/").await.unwrap();
    ask(&client, 600, |number| {
        format!("dead{number}.evil{number}.test")
    })
    .await;
    // Of another class, so that it needs a connection of its own.
    let callback = Class::new("callback");
    let answer = client.send(&callback, get("http://good.test/"), Timeouts::default());
    text(answer.await.unwrap()).await.unwrap();
    // The others wait for their place.
    assert_eq!(asked.load(Ordering::SeqCst), LOOKUPS_OF_NEW_NAMES_MAX + 2);
}

#[tokio::test]
async fn all_that_wait_for_a_name_share_one_look_up() {
    let server = hello().await;
    let (client, asked, opens) = blocking(server.address, Options::default());
    let fetches: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { fetch(&client, "http://dead.test/").await })
        })
        .collect();
    eventually("all have asked", || client.stats().requests == 20).await;
    // One that leaves takes the look-up from nobody.
    let leaves = client
        .send(&class(), get("http://dead.test/"), short())
        .await;
    assert_eq!(leaves.unwrap_err(), OutboundError::ConnectionTimeout);
    drop(opens);
    for fetch in fetches {
        fetch.await.unwrap().unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_that_was_not_answered_is_refused_at_once_for_a_while() {
    let server = hello().await;
    let options = Options {
        lookup_ms_max: 50,
        unanswered_ms: 200,
        ..Options::default()
    };
    let unanswered = Duration::from_millis(options.unanswered_ms);
    let (client, asked, opens) = blocking(server.address, options);
    let patient = Timeouts {
        connect: Duration::from_secs(60),
        ..Timeouts::default()
    };
    let fetch = async |name: &str| {
        let url = format!("http://{name}/");
        client.send(&class(), get(&url), patient).await.map(drop)
    };
    let begun = Instant::now();
    for _ in 0..20 {
        for name in ["dead.test", "dead-and-gone.test"] {
            assert_eq!(fetch(name).await, Err(OutboundError::ConnectionTimeout));
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "not waited for");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let ended = Instant::now();
    drop(opens);
    let deadline = ended + Duration::from_secs(30);
    // An answer that comes late is one.
    while fetch("dead.test").await.is_err() {
        assert!(Instant::now() < deadline, "the answer is lost");
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // None is none for a while.
    while fetch("dead-and-gone.test").await == Err(OutboundError::ConnectionTimeout) {
        assert!(Instant::now() < deadline, "the name is never asked again");
        tokio::task::yield_now().await;
    }
    assert!(ended.elapsed() >= unanswered);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
