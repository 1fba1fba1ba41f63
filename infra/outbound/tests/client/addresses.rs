//! Nothing is dialled that was not checked after it was resolved.

use crate::support::{Script, class, fetch, get, hello, text};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use trawl_outbound::{Class, Client, Options, OutboundError, Timeouts};

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
