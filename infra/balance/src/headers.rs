//! The head of a request and of an answer, as they pass through: what ends here, what is added, what is refused.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    uri::{Authority, PathAndQuery},
};
use ipnet::IpNet;

use crate::problem::Problem;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that speak of one connection only (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What strangers may claim of where a request came from, and is not believed.
const CLAIMS: [HeaderName; 7] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-real-ip"),
];

/// A request names no host, several, or what is none.
pub const BAD_HOST: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "bad_host",
    "The request must name one host, and the name must be a host's.",
);
/// Not 405, which must say what the target allows: that is not known here. No target has these two (RFC 9110, 9.1).
const BAD_METHOD: Problem = Problem::new(
    StatusCode::NOT_IMPLEMENTED,
    "not_implemented",
    "This is not a forward proxy: CONNECT and TRACE are refused.",
);

/// Prepares a request for a replica, and finds out who the client is.
pub(crate) fn prepare<B>(
    request: &mut Request<B>,
    peer: SocketAddr,
    trusted: &[IpNet],
) -> Result<IpAddr, Problem> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(BAD_METHOD);
    }
    let host = host(request)?;
    to_origin_form(request.uri_mut());
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip_hop_by_hop(headers);
    // Our server has answered it, or the body is here already.
    headers.remove(EXPECT);
    let peer = peer.ip().to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let (client, host) = if is_trusted(peer) {
        let client = claimed_client(headers, is_trusted).unwrap_or(peer);
        (client, claimed_host(headers).unwrap_or(host))
    } else {
        let mut has_claims = false;
        for claim in &CLAIMS {
            has_claims |= headers.remove(claim).is_some();
        }
        if has_claims && peer.is_loopback() {
            warn_of_proxy();
        }
        (peer, host)
    };
    headers.insert(HOST, host);
    Ok(client)
}

/// Requests from this machine are counted for no client. Once, since whoever runs a proxy here does so for all of them.
fn warn_of_proxy() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(
            "requests come through a proxy on this machine that is not trusted, so no limit for each client holds for them: name it, as --trusted-proxy 127.0.0.1 does, or as trusted_proxies in the balance file"
        );
    });
}

/// Did the client ask over TLS? A trusted proxy says so: what strangers claim is gone once a request is [`prepare`]d.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    claimed(headers, &X_FORWARDED_PROTO, "proto")
        .is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// Removes what speaks of the connection to the replica only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // Nobody may talk us out of these: they decide where the request goes, where it ends, and who sent it.
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH && !CLAIMS.contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The host that the request is for. An absolute target or an `:authority` wins over the field (RFC 9112, 3.2.2).
fn host<B>(request: &Request<B>) -> Result<HeaderValue, Problem> {
    let mut fields = request.headers().get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(BAD_HOST);
    }
    let value = match (request.uri().authority(), field) {
        (Some(authority), _) if authority.as_str().contains('@') => return Err(BAD_HOST),
        (Some(authority), _) => HeaderValue::from_str(authority.as_str()).map_err(|_| BAD_HOST)?,
        (None, Some(field)) => field.clone(),
        (None, None) if request.version() == Version::HTTP_10 => {
            HeaderValue::from_static("localhost")
        }
        (None, None) => return Err(BAD_HOST),
    };
    checked_host(value)
}

/// The value, if it is a host's.
fn checked_host(value: HeaderValue) -> Result<HeaderValue, Problem> {
    let is_host_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]~%!$&'()*+,;=".contains(byte);
    if value.is_empty() || value.len() > 255 || !value.as_bytes().iter().all(is_host_byte) {
        return Err(BAD_HOST);
    }
    Authority::try_from(value.as_bytes()).map_err(|_| BAD_HOST)?;
    Ok(value)
}

fn to_origin_form(uri: &mut Uri) {
    if uri.scheme().is_some() || uri.authority().is_some() {
        let path = uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        *uri = Uri::from(path);
    }
}

/// The nearest address that no trusted proxy has: everything before it could be made up.
fn claimed_client(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut farthest = None;
    let listed: Vec<&str> = if headers.contains_key(X_FORWARDED_FOR) {
        list(headers, &X_FORWARDED_FOR).collect()
    } else {
        list(headers, &FORWARDED)
            .filter_map(|element| parameter(element, "for"))
            .collect()
    };
    for text in listed.into_iter().rev() {
        let address = address(text)?;
        farthest = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    farthest
}

/// The elements of a field, of all its lines. One that is no text is no address either, but does not hide those beside it: a
/// client could put it in front of what a proxy adds.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|element| std::str::from_utf8(element).unwrap_or_default().trim())
}

/// The host that a trusted proxy was asked for. One that is no host says nothing.
fn claimed_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let host = claimed(headers, &X_FORWARDED_HOST, "host")?;
    checked_host(HeaderValue::from_str(host).ok()?).ok()
}

/// What the nearest proxy says: it wrote the last value, and those before could be made up. The field with a name of its own goes
/// before the parameter of `Forwarded`, as with addresses.
fn claimed<'a>(headers: &'a HeaderMap, field: &HeaderName, name: &str) -> Option<&'a str> {
    if headers.contains_key(field) {
        list(headers, field).last()
    } else {
        parameter(list(headers, &FORWARDED).last()?, name)
    }
}

/// A parameter of one element of `Forwarded`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (found, value) = pair.split_once('=')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

/// An address, with or without brackets and port.
fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text
        .parse()
        .ok()
        .or_else(|| text.parse().map(|socket: SocketAddr| socket.ip()).ok())
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

/// Says where the request came from, for a replica that it has to travel to. A local one is told by `ClientAddress`, which
/// costs its guest no fields to read.
///
/// A field that the proxy in front did not send begins with the client that we know from the other one: the next host may read
/// this one first, and would take the proxy for everybody.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: IpAddr, peer: IpAddr) {
    let peer = peer.to_canonical();
    // Looked at before our own element stands behind the proxy's.
    let proto = if is_https(headers) { "https" } else { "http" };
    let host = headers
        .get(HOST)
        .cloned()
        .unwrap_or(HeaderValue::from_static("localhost"));
    let names_client = |name| client != peer && !headers.contains_key(name);
    let plain = if names_client(X_FORWARDED_FOR) {
        format!("{client}, {peer}")
    } else {
        peer.to_string()
    };
    let mut element = String::with_capacity(96);
    if names_client(FORWARDED) {
        push_for(&mut element, client);
        element.push_str(", ");
    }
    push_for(&mut element, peer);
    let _ = write!(
        element,
        ";host=\"{}\";proto=http",
        host.to_str().unwrap_or_default()
    );
    append(headers, X_FORWARDED_FOR, &plain);
    append(headers, FORWARDED, &element);
    headers.entry(X_FORWARDED_HOST).or_insert(host);
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static(proto));
}

fn push_for(text: &mut String, address: IpAddr) {
    let _ = match address {
        IpAddr::V4(v4) => write!(text, "for={v4}"),
        IpAddr::V6(v6) => write!(text, "for=\"[{v6}]\""),
    };
}

/// Puts `element` behind what stands in all lines of a field, as one line. The first line alone may be the client's own: some
/// proxies (HAProxy) add a second one, and their word comes last (RFC 9110, 5.3).
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut list = Vec::with_capacity(128);
    for line in headers.get_all(&name) {
        if !line.is_empty() {
            list.extend_from_slice(line.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(element.as_bytes());
    match HeaderValue::from_bytes(&list) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "192.0.2.7:5000";
    const PROXY: &str = "10.0.0.1:5000";

    fn check(peer: &str, fields: &[(&str, &str)]) -> (Result<IpAddr, Problem>, HeaderMap) {
        let mut request = Request::new(());
        *request.uri_mut() = "/receive_data?x=1".parse().unwrap();
        for (name, value) in fields {
            request.headers_mut().append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let peer: SocketAddr = peer.parse().unwrap();
        let client = prepare(&mut request, peer, &trusted);
        add_forwarded(
            request.headers_mut(),
            client.unwrap_or(peer.ip()),
            peer.ip(),
        );
        (client, request.into_parts().0.headers)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let (client, headers) = check(
            STRANGER,
            &[
                ("host", "trawl.example"),
                ("x-forwarded-for", "127.0.0.1"),
                ("forwarded", "for=127.0.0.1"),
                ("x-real-ip", "127.0.0.1"),
                ("x-forwarded-proto", "https"),
            ],
        );
        assert_eq!(client.unwrap().to_string(), "192.0.2.7");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(
            headers["forwarded"],
            "for=192.0.2.7;host=\"trawl.example\";proto=http"
        );
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "trawl.example");
        assert!(!headers.contains_key("x-real-ip"));
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_the_first_stranger() {
        let host = ("host", "trawl.example");
        for (name, value, expected) in [
            ("x-forwarded-for", "203.0.113.9", "203.0.113.9"),
            (
                "x-forwarded-for",
                "1.2.3.4, 203.0.113.9, 10.0.0.2",
                "203.0.113.9",
            ),
            ("x-forwarded-for", "nonsense, 10.0.0.2", "10.0.0.1"),
            ("x-forwarded-for", "[2001:db8::1]:80", "2001:db8::1"),
            (
                "forwarded",
                "for=\"[2001:db8::2]\";proto=https",
                "2001:db8::2",
            ),
            ("x-other", "1.1.1.1", "10.0.0.1"),
        ] {
            let (client, _) = check(PROXY, &[host, (name, value)]);
            assert_eq!(client.unwrap().to_string(), expected, "{name}: {value}");
        }
        let (_, headers) = check(
            PROXY,
            &[
                host,
                ("x-forwarded-for", "203.0.113.9"),
                ("x-forwarded-proto", "https"),
            ],
        );
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    /// Who the next host takes for the client, when this one is its trusted proxy.
    fn client_at_the_next_host(headers: &HeaderMap) -> IpAddr {
        let mut request = Request::new(());
        *request.headers_mut() = headers.clone();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        prepare(&mut request, "10.0.0.9:80".parse().unwrap(), &trusted).unwrap()
    }

    #[test]
    fn every_line_of_a_proxy_is_passed_on_and_the_last_one_counts() {
        for (name, forged, true_one) in [
            ("x-forwarded-for", &b"6.6.6.6"[..], "203.0.113.9"),
            ("forwarded", b"for=6.6.6.6", "for=203.0.113.9"),
            ("x-forwarded-for", b"\xff", "203.0.113.9"),
            ("x-forwarded-for", b"\xff, 6.6.6.6", "nonsense, 203.0.113.9"),
            ("x-forwarded-for", b"", "203.0.113.9"),
        ] {
            let mut request = Request::new(());
            let headers = request.headers_mut();
            headers.insert(HOST, HeaderValue::from_static("a"));
            let name: HeaderName = name.parse().unwrap();
            headers.append(&name, HeaderValue::from_bytes(forged).unwrap());
            headers.append(&name, HeaderValue::from_static(true_one));
            let peer: SocketAddr = PROXY.parse().unwrap();
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            let client = prepare(&mut request, peer, &trusted).unwrap();
            add_forwarded(request.headers_mut(), client, peer.ip());
            assert_eq!(client.to_string(), "203.0.113.9", "{name}: {forged:?}");
            let headers = request.headers();
            assert_eq!(headers.get_all(&name).iter().count(), 1, "{name}");
            let text = String::from_utf8_lossy(headers[&name].as_bytes());
            let [here, there] = ["203.0.113.9", "10.0.0.1"].map(|part| text.rfind(part).unwrap());
            assert!(here < there, "{name}: {text}");
            if name == X_FORWARDED_FOR {
                assert_eq!(client_at_the_next_host(headers), client, "{text}");
            }
        }
    }

    #[test]
    fn a_proxy_that_sends_one_field_names_the_client_in_both() {
        for (field, client, forwarded) in [
            (
                ("forwarded", "for=203.0.113.9;proto=https"),
                "203.0.113.9",
                "for=203.0.113.9;proto=https, for=10.0.0.1;host=\"a\";proto=http",
            ),
            (
                ("x-forwarded-for", "2001:db8::1"),
                "2001:db8::1",
                "for=\"[2001:db8::1]\", for=10.0.0.1;host=\"a\";proto=http",
            ),
        ] {
            let (found, headers) = check(PROXY, &[("host", "a"), field]);
            assert_eq!(found.unwrap().to_string(), client);
            assert_eq!(headers["x-forwarded-for"], format!("{client}, 10.0.0.1"));
            assert_eq!(headers["forwarded"], forwarded);
            assert_eq!(client_at_the_next_host(&headers).to_string(), client);
        }
    }

    #[test]
    fn scheme_and_host_are_those_that_the_nearest_trusted_proxy_names() {
        for (fields, https, host) in [
            (&[][..], false, "a"),
            (&[("x-forwarded-proto", "https")], true, "a"),
            (&[("x-forwarded-proto", "HTTPS")], true, "a"),
            (&[("x-forwarded-proto", "https, http")], false, "a"),
            (&[("x-forwarded-proto", "http,https")], true, "a"),
            (&[("x-forwarded-proto", "gopher")], false, "a"),
            (&[("forwarded", "for=192.0.2.1;proto=https")], true, "a"),
            (
                &[("forwarded", "for=192.0.2.1;host=\"b:8443\";proto=https")],
                true,
                "b:8443",
            ),
            (
                &[("forwarded", "proto=https;host=b, for=192.0.2.1")],
                false,
                "a",
            ),
            (
                &[
                    ("forwarded", "proto=https;host=b"),
                    ("x-forwarded-proto", "http"),
                    ("x-forwarded-host", "c"),
                ],
                false,
                "c",
            ),
            (
                &[("x-forwarded-host", "forged, b.example")],
                false,
                "b.example",
            ),
            (&[("x-forwarded-host", "b/c")], false, "a"),
            (&[("x-forwarded-host", "")], false, "a"),
        ] {
            let ask = |peer: &str| {
                let mut request = Request::new(());
                let headers = request.headers_mut();
                headers.insert(HOST, HeaderValue::from_static("a"));
                for (name, value) in fields {
                    headers.append(*name, HeaderValue::from_static(value));
                }
                let trusted = ["10.0.0.0/8".parse().unwrap()];
                prepare(&mut request, peer.parse().unwrap(), &trusted).unwrap();
                let headers = request.headers();
                (
                    is_https(headers),
                    headers[HOST].to_str().unwrap().to_owned(),
                )
            };
            assert_eq!(ask(PROXY), (https, host.to_owned()), "{fields:?}");
            assert_eq!(ask(STRANGER), (false, "a".to_owned()), "{fields:?}");
        }
        let forwarded = ("forwarded", "for=203.0.113.9;proto=https");
        let (_, headers) = check(PROXY, &[("host", "a"), forwarded]);
        assert_eq!(headers["x-forwarded-proto"], "https", "the next host knows");
    }

    #[test]
    fn what_speaks_of_the_connection_ends_here() {
        let (client, headers) = check(
            STRANGER,
            &[
                ("host", "a"),
                ("connection", "keep-alive, x-secret, host, content-length"),
                ("keep-alive", "timeout=5"),
                ("x-secret", "1"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
                ("content-length", "3"),
                ("accept", "*/*"),
            ],
        );
        assert!(client.is_ok());
        for gone in [
            "connection",
            "keep-alive",
            "x-secret",
            "te",
            "upgrade",
            "expect",
        ] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(
            (&headers["host"], &headers["content-length"]),
            (
                &HeaderValue::from_static("a"),
                &HeaderValue::from_static("3")
            )
        );
        assert_eq!(headers["accept"], "*/*");
    }

    #[test]
    fn a_request_names_exactly_one_sensible_host() {
        for fields in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "")],
            &[("host", "a b")],
            &[("host", "a\"x")],
            &[("host", "a/b")],
        ] {
            assert_eq!(check(STRANGER, fields).0, Err(BAD_HOST), "{fields:?}");
        }
    }

    #[test]
    fn methods_of_forward_proxies_are_not_implemented() {
        for method in [Method::CONNECT, Method::TRACE] {
            let mut request = Request::new(());
            *request.method_mut() = method;
            let refused = prepare(&mut request, STRANGER.parse().unwrap(), &[]);
            assert_eq!(refused.unwrap_err().status, StatusCode::NOT_IMPLEMENTED);
        }
    }

    #[test]
    fn the_target_becomes_a_path_and_its_authority_the_host() {
        let mut request = Request::new(());
        *request.uri_mut() = "http://trawl.example:3000/a?b=c".parse().unwrap();
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("other"));
        prepare(&mut request, STRANGER.parse().unwrap(), &[]).unwrap();
        assert_eq!(request.uri().to_string(), "/a?b=c");
        assert_eq!(request.headers()[HOST], "trawl.example:3000");
    }
}
