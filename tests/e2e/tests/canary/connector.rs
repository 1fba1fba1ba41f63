//! The connector alone: the same spellings without the guard that reads URLs before it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use trawl_core::address::AddressPolicy;
use trawl_kit::dns::Dns;
use trawl_outbound::{AddressCheck, Class, Client, Options, OutboundError, Timeouts};

use super::site::Site;
use super::spellings::{BYPASSES, OTHERWISE_REFUSED};
use super::{ADDRESSES, resolve};

#[test]
fn the_connector_alone_reaches_no_canary() {
    trawl_kit::network::run_inside("connector::the_connector_alone_reaches_no_canary", inside);
}

async fn inside() {
    let _dns = Dns::start(([127, 0, 0, 1], 53).into(), resolve).await;
    let site = Site::start(Vec::new()).await;
    let refused =
        send_all(|_: &Class, address: SocketAddr| AddressPolicy::default().permits(address)).await;
    let hits = site.take_hits();
    assert!(hits.is_empty(), "the canary was reached: {hits:?}");
    let prohibited = refused
        .iter()
        .filter(|outcome| **outcome == Some(OutboundError::DestinationIpProhibited))
        .count();
    // The same without a check: it is the check that refuses, and the spellings that lead there.
    send_all(|_: &Class, _: SocketAddr| true).await;
    let reached = site.take_hits().len();
    assert!(
        reached > 100 && prohibited >= reached,
        "{reached} reach the canary unchecked, {prohibited} are refused"
    );
}

/// Sends a request to each spelling that a client can be given, and to each name.
async fn send_all(check: impl AddressCheck) -> Vec<Option<OutboundError>> {
    let client = Client::new(Options::default(), check).unwrap();
    let names: Vec<String> = (0..ADDRESSES.len())
        .flat_map(|number| ["a", "m"].map(|kind| format!("http://{kind}{number}.names.example/")))
        .collect();
    let spelt = BYPASSES
        .iter()
        .chain(OTHERWISE_REFUSED.iter().map(|(raw, _)| raw));
    let uris = spelt
        .copied()
        .chain(names.iter().map(String::as_str))
        .filter_map(|raw| raw.parse::<http::Uri>().ok());
    let mut outcomes = Vec::new();
    for uri in uris {
        let mut request = http::Request::new(http_body_util::Empty::<Bytes>::new());
        *request.uri_mut() = uri;
        let timeouts = Timeouts {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(2),
            between_bytes: Duration::from_secs(2),
        };
        outcomes.push(
            client
                .send(&Class::new("page"), request, timeouts)
                .await
                .err(),
        );
    }
    outcomes
}
