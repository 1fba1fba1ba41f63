//! Which URLs may be fetched, before any name is resolved. The same check runs on the URL of a job, on every redirect
//! hop, on robots.txt and on callback URLs.
//!
//! A URL is read by the WHATWG rules, as a browser would, so that there is one reading of it: what is checked here is
//! what is dialled. Odd spellings of an address (`0x7f.1`, full-width digits, a trailing dot) become the plain address
//! first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;
use url::{Host, Url};

use crate::address;
use crate::limits::fetch::{HOST_BYTES_MAX, LABEL_BYTES_MAX, URL_BYTES_MAX};

/// Why a URL is refused. The texts are for the tenant; none says what an address was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It is not a URL, or has no usable host.
    #[error("the URL can't be read")]
    Invalid,
    /// It is a path, as links within a site are.
    #[error("the URL names no host")]
    NoHost,
    /// It is longer than [`URL_BYTES_MAX`].
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Neither http nor https.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// A user name or a password stands in it.
    #[error("a user name or password in the URL is not allowed")]
    Userinfo,
    /// The port is not one of the open ones.
    #[error(
        "the port of the URL is not open: 80, 443, 8080 and 8443 are, or those that the operator set"
    )]
    Port,
    /// The host is, or names, an address that is not served.
    #[error("the address is not allowed")]
    Address,
}

/// A URL that may be fetched as far as its text tells. It has no fragment, and its host no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The parsed URL: http or https, ASCII host without a trailing dot, no userinfo, no fragment.
    pub url: Url,
}

/// Resolves a reference as browsers do. In front of a host they take any number of slashes beyond two for two, where the parser of URLs
/// finds a host without a name.
///
/// # Errors
/// When browsers find no URL in it either.
pub fn join(base: &Url, reference: &str) -> Result<Url, url::ParseError> {
    let mut reference = reference.trim_start_matches(|c: char| c <= ' ');
    let whole: String;
    // The parser leaves these out wherever they stand, so between the slashes too.
    if reference.starts_with(['/', '\\']) && reference.contains(['\t', '\n', '\r']) {
        whole = reference.replace(['\t', '\n', '\r'], "");
        reference = &whole;
    }
    let slashes = reference.len() - reference.trim_start_matches(['/', '\\']).len();
    // Elsewhere than on the web they part the names of a path.
    let further = if matches!(base.scheme(), "http" | "https") {
        slashes.saturating_sub(2)
    } else {
        0
    };
    base.join(&reference[further..])
}

/// `scheme://host:port` of a URL with the port always written: the key under which robots.txt is cached. The host is written as it is dialled: a server may answer for
/// `example.org.` otherwise than for `example.org`, and what is remembered of the one must not hold for the other.
#[must_use]
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}://{host}:{port}", url.scheme())
}

/// The key under which the queue keeps the pace of a URL's host: the host, with its port when that is not the scheme's own.
#[must_use]
pub fn pace_key(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        None => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    }
}

/// Reads a URL as a person or a page gives it: no scheme means `https://`. Refuses what no policy can allow; the
/// rest is [`UrlPolicy::check`], which has to follow ([`UrlPolicy::target`] does both).
///
/// # Errors
/// See [`UrlError`].
pub fn parse_target(raw: &str) -> Result<Target, UrlError> {
    if raw.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    // The standard strips these before parsing; the search for a scheme has to see the same text.
    let text: String = raw
        .trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect();
    if text.is_empty() {
        return Err(UrlError::Invalid);
    }
    let slashes = text.len() - text.trim_start_matches(['/', '\\']).len();
    let url = match slashes {
        0 if has_scheme(&text) => Url::parse(&text),
        0 => Url::parse(&format!("https://{text}")),
        // After `https://` the parser would take its first part for a host.
        1 => return Err(UrlError::NoHost),
        _ => Url::parse(&format!("https:{text}")),
    };
    let mut url = url.map_err(|_| UrlError::Invalid)?;
    check_shape(&url)?;
    drop_trailing_dot(&mut url)?;
    url.set_fragment(None);
    Ok(Target { url })
}

/// Takes the trailing dot off the host. A resolver finds the same host under both spellings, so one of them is dialled,
/// and is the key of all that is kept. For a URL whose shape was checked: of two dots one would be left.
pub(crate) fn drop_trailing_dot(url: &mut Url) -> Result<(), UrlError> {
    let bare = url.host_str().and_then(|host| host.strip_suffix('.'));
    let Some(bare) = bare.map(str::to_owned) else {
        return Ok(());
    };
    url.set_host(Some(&bare)).map_err(|_| UrlError::Invalid)
}

/// `example.org:8080/x` begins like a scheme; digits after the colon make it a host and a port.
fn has_scheme(text: &str) -> bool {
    let Some((head, rest)) = text.split_once(':') else {
        return false;
    };
    let is_word = head.starts_with(|c: char| c.is_ascii_alphabetic())
        && head
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let after_digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_port = after_digits.len() < rest.len()
        && (after_digits.is_empty() || after_digits.starts_with(['/', '?', '#', '\\']));
    is_word && !is_port
}

/// The rules that hold whatever the policy.
fn check_shape(url: &Url) -> Result<(), UrlError> {
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Userinfo);
    }
    match url.host() {
        None => Err(UrlError::Invalid),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => Ok(()),
        Some(Host::Domain(name)) => check_name(name),
    }
}

/// Names that belong to the platform or to a cloud's own services, never to the web. They are refused by name too,
/// because on some hosts they never reach a resolver (`*.spin.internal`, `self.alt`).
const NAMES_REFUSED: &[&str] = &[
    "spin.internal",
    "self.alt",
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.azure.com",
    "metadata.oraclecloud.com",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
    "metadata.udhcpc.internal",
    "instance-data",
    "instance-data.ec2.internal",
    "rancher-metadata",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "kubernetes.docker.internal",
    "host.docker.internal",
    "gateway.docker.internal",
    "host.containers.internal",
];

fn check_name(name: &str) -> Result<(), UrlError> {
    // The parser gives lower case; an ASCII check guards against a future one that does not.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > HOST_BYTES_MAX || !name.is_ascii() {
        return Err(UrlError::Invalid);
    }
    if name
        .split('.')
        .any(|label| label.is_empty() || label.len() > LABEL_BYTES_MAX)
    {
        return Err(UrlError::Invalid);
    }
    if NAMES_REFUSED.iter().any(|refused| is_under(name, refused)) {
        return Err(UrlError::Address);
    }
    Ok(())
}

/// Whether `name` is `parent` or a name under it.
fn is_under(name: &str, parent: &str) -> bool {
    name.len() >= parent.len()
        && name.is_char_boundary(name.len() - parent.len())
        && name[name.len() - parent.len()..].eq_ignore_ascii_case(parent)
        && (name.len() == parent.len() || name.as_bytes()[name.len() - parent.len() - 1] == b'.')
}

/// Names that usual host files and resolvers give to the loopback addresses.
const LOOPBACK_NAMES: &[&str] = &[
    "localhost",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "localdomain",
];

/// Top-level names kept for private networks (ICANN 2024, RFC 6762, RFC 8375).
const PRIVATE_NAMES: &[&str] = &["internal", "local", "home.arpa"];

/// Which ports of public addresses may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// These.
    These(Vec<u16>),
    /// Every port.
    Any,
}

impl Default for Ports {
    fn default() -> Self {
        Self::These(vec![80, 443, 8080, 8443])
    }
}

impl Ports {
    /// `any`, or port numbers with commas between; `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "any" {
            return Some(Self::Any);
        }
        let ports = text.split(',').map(|port| port.trim().parse().ok());
        ports
            .map(|port| port.filter(|port| *port > 0))
            .collect::<Option<_>>()
            .map(Self::These)
    }
}

/// What an operator decided about URLs; scraping and callbacks each have their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Allowed ports.
    pub ports: Ports,
    /// Networks that are opened although they are not public, with all their ports.
    pub allow_private: Vec<IpNet>,
}

/// What the text of a host tells about where it leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    Opened,
    Refused,
}

impl UrlPolicy {
    /// Reads a URL and checks it.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn target(&self, raw: &str) -> Result<Target, UrlError> {
        let target = parse_target(raw)?;
        self.check(&target.url)?;
        Ok(target)
    }

    /// Checks a URL by its text: scheme, userinfo, host name, literal address, port. The addresses behind a name are
    /// checked when they are known, by [`address::AddressPolicy::permits`].
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn check(&self, url: &Url) -> Result<(), UrlError> {
        check_shape(url)?;
        let reach = self.reach(url);
        if reach == Reach::Refused {
            return Err(UrlError::Address);
        }
        match (&self.ports, url.port_or_known_default()) {
            (_, None | Some(0)) => Err(UrlError::Port),
            (Ports::These(open), Some(port)) if reach == Reach::Public && !open.contains(&port) => {
                Err(UrlError::Port)
            }
            _ => Ok(()),
        }
    }

    fn reach(&self, url: &Url) -> Reach {
        let (opened, public) = match url.host() {
            Some(Host::Ipv4(ip)) => (
                self.opens(IpAddr::V4(ip)),
                address::is_public(IpAddr::V4(ip)),
            ),
            Some(Host::Ipv6(ip)) => (
                self.opens(IpAddr::V6(ip)),
                address::is_public(IpAddr::V6(ip)),
            ),
            Some(Host::Domain(name)) => return self.reach_of_name(name),
            None => (false, false),
        };
        match (opened, public) {
            (true, _) => Reach::Opened,
            (false, true) => Reach::Public,
            (false, false) => Reach::Refused,
        }
    }

    fn reach_of_name(&self, name: &str) -> Reach {
        let name = name.strip_suffix('.').unwrap_or(name);
        if LOOPBACK_NAMES
            .iter()
            .any(|loopback| is_under(name, loopback))
        {
            let opened =
                self.opens(Ipv4Addr::LOCALHOST.into()) || self.opens(Ipv6Addr::LOCALHOST.into());
            return if opened {
                Reach::Opened
            } else {
                Reach::Refused
            };
        }
        // A name without a dot is one of the local network: no top-level domain serves pages by itself (ICANN SAC053).
        let private =
            !name.contains('.') || PRIVATE_NAMES.iter().any(|parent| is_under(name, parent));
        match (private, self.allow_private.is_empty()) {
            (false, _) => Reach::Public,
            (true, true) => Reach::Refused,
            (true, false) => Reach::Opened,
        }
    }

    fn opens(&self, ip: IpAddr) -> bool {
        address::contains(&self.allow_private, ip)
    }
}

#[cfg(test)]
#[path = "url_guard_tests.rs"]
pub(crate) mod tests;
