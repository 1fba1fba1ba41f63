//! The requests that the scenarios make.

use bytes::Bytes;
use trawl_kit::api::Node;

/// `host:port` of a service at `base`.
pub(crate) fn authority(base: &str) -> String {
    base.trim_start_matches("http://").to_owned()
}

/// Registers and logs in; the token lives for longer than any measurement.
pub(crate) async fn log_in(base: &str) -> Node {
    Node::log_in(base, "bench@example.org").await
}

/// A request to scrape.
pub(crate) fn post(node: &Node, body: String) -> http::Request<Bytes> {
    with_token(
        node,
        post_json(&authority(&node.base), "/receive_data", body),
    )
}

/// The request in the name of a node.
pub(crate) fn with_token(node: &Node, mut request: http::Request<Bytes>) -> http::Request<Bytes> {
    let bearer = format!("Bearer {}", node.token);
    let bearer = bearer.parse().expect("a key is a header's value");
    request.headers_mut().insert("authorization", bearer);
    request
}

/// A POST of JSON.
pub(crate) fn post_json(authority: &str, path: &str, body: String) -> http::Request<Bytes> {
    http::Request::post(path)
        .header("host", authority)
        .header("content-type", "application/json")
        .body(Bytes::from(body))
        .expect("a request")
}

/// A GET.
pub(crate) fn get(authority: &str, path: &str) -> http::Request<Bytes> {
    http::Request::get(path)
        .header("host", authority)
        .body(Bytes::new())
        .expect("a request")
}
