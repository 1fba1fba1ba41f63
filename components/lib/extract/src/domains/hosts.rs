//! The table of hosts that references lead to.

use std::collections::BTreeMap;

use trawl_core::limits::domains::{HOSTS_MAX, LONG_URL_HEAD_BYTES, REL_BYTES_MAX, REL_WORDS_MAX};
use trawl_core::limits::fetch::{HOST_BYTES_MAX, URL_BYTES_MAX};
use trawl_core::url_guard::join;
use url::Url;

use super::registrable::registrable;
use super::{RelatedDomain, Relation};
use crate::dom::entities;

/// Where a reference stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) source: &'static str,
    pub(super) region: Option<&'static str>,
    pub(super) rel: &'a str,
}

/// What is known about one host, and later about one domain.
#[derive(Debug, Clone, Default)]
struct Tally {
    count: u64,
    sources: Vec<&'static str>,
    regions: Vec<&'static str>,
    rel: Vec<String>,
    /// The order in which hosts were met decides whose sample a domain shows.
    met: usize,
    sample_url: String,
}

impl Tally {
    fn add(&mut self, place: Place<'_>) {
        self.count += 1;
        insert(&mut self.sources, place.source);
        if let Some(region) = place.region {
            insert(&mut self.regions, region);
        }
        // A tag has one `rel`, and as many references as it has room for.
        for word in place.rel.split_ascii_whitespace().take(REL_WORDS_MAX) {
            let known = self.rel.iter().any(|seen| seen.eq_ignore_ascii_case(word));
            if !known && self.rel.len() < REL_WORDS_MAX && word.len() <= REL_BYTES_MAX {
                self.rel.push(word.to_ascii_lowercase());
            }
        }
    }

    fn merge(&mut self, other: Self) {
        if self.count == 0 || other.met < self.met {
            self.met = other.met;
            self.sample_url = other.sample_url;
        }
        self.count += other.count;
        other
            .sources
            .into_iter()
            .for_each(|source| insert(&mut self.sources, source));
        other
            .regions
            .into_iter()
            .for_each(|region| insert(&mut self.regions, region));
        for word in other.rel {
            if self.rel.len() < REL_WORDS_MAX && !self.rel.contains(&word) {
                self.rel.push(word);
            }
        }
    }
}

fn insert(words: &mut Vec<&'static str>, word: &'static str) {
    if !words.contains(&word) {
        words.push(word);
    }
}

/// Counts references by host.
pub(super) struct Hosts {
    base: Url,
    own_host: String,
    tallies: BTreeMap<String, Tally>,
    truncated: bool,
}

impl Hosts {
    pub(super) fn new(final_url: &Url) -> Self {
        let own_host = final_url
            .host_str()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_owned();
        Self {
            base: final_url.clone(),
            own_host,
            tallies: BTreeMap::new(),
            truncated: false,
        }
    }

    pub(super) const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The page's `<base href>`; the first one counts, which is the caller's to know. One that is longer than a URL may be is none: it
    /// would be copied for each reference.
    pub(super) fn set_base(&mut self, href: &str) {
        if href.len() <= URL_BYTES_MAX
            && let Ok(base) = join(&self.base, &entities::decode(href, true))
            && matches!(base.scheme(), "http" | "https")
        {
            self.own_host = base
                .host_str()
                .unwrap_or_default()
                .trim_end_matches('.')
                .to_owned();
            self.base = base;
        }
    }

    /// Counts a URL as it is written in the page, character references and all.
    pub(super) fn add_written(&mut self, url: &str, place: Place<'_>) {
        if url.contains('&') {
            self.add(&entities::decode(url, true), place);
        } else {
            self.add(url, place);
        }
    }

    /// Counts a URL.
    pub(super) fn add(&mut self, url: &str, place: Place<'_>) {
        let url = url.trim_matches(|c: char| c <= ' ');
        if url.len() > URL_BYTES_MAX {
            self.add_long(url, place);
        } else if !url.is_empty() {
            self.add_short(url, place);
        }
    }

    /// Counts a URL that is too long to be kept, by the root of its host, which stands at its front. Most of these are data, and lead
    /// nowhere.
    #[cold]
    fn add_long(&mut self, url: &str, place: Place<'_>) {
        let head = &url[..url.floor_char_boundary(LONG_URL_HEAD_BYTES)];
        if !matches!(fast_host(head), Fast::NotWeb)
            && let Ok(url) = join(&self.base, head)
            && let Ok(root) = url.join("/")
        {
            self.add_short(root.as_str(), place);
        }
    }

    fn add_short(&mut self, url: &str, place: Place<'_>) {
        match fast_host(url) {
            Fast::Own => {
                let host = std::mem::take(&mut self.own_host);
                self.count(&host, url, place);
                self.own_host = host;
            }
            Fast::Host(host) => self.count(&host, url, place),
            Fast::NotWeb => {}
            Fast::Unsure => {
                let Ok(parsed) = join(&self.base, url) else {
                    return;
                };
                if matches!(parsed.scheme(), "http" | "https")
                    && let Some(host) = parsed.host_str()
                {
                    self.count(host.trim_end_matches('.'), url, place);
                }
            }
        }
    }

    fn count(&mut self, host: &str, url: &str, place: Place<'_>) {
        if let Some(tally) = self.tallies.get_mut(host) {
            tally.add(place);
            return;
        }
        if !is_host(host) || host.len() > HOST_BYTES_MAX {
            return;
        }
        if self.tallies.len() >= HOSTS_MAX {
            self.truncated = true;
            return;
        }
        // A URL that the fast look took for one but that is none does not count.
        let Ok(sample) = join(&self.base, url) else {
            return;
        };
        let mut tally = Tally {
            met: self.tallies.len(),
            sample_url: sample.into(),
            ..Tally::default()
        };
        tally.add(place);
        self.tallies.insert(host.to_owned(), tally);
    }

    /// Groups the hosts.
    pub(super) fn into_domains(self, own_host: &str) -> Vec<RelatedDomain> {
        let mut groups: BTreeMap<(Relation, String), (Vec<String>, Tally)> = BTreeMap::new();
        for (host, tally) in self.tallies {
            let domain = registrable(&host).private.unwrap_or(&host).to_owned();
            let group = groups
                .entry((relation(own_host, &host), domain))
                .or_default();
            group.0.push(host);
            group.1.merge(tally);
        }
        let mut domains: Vec<RelatedDomain> = groups
            .into_iter()
            .map(|((relation, domain), (hosts, tally))| related(relation, domain, hosts, tally))
            .collect();
        domains.sort_by(|a, b| {
            (a.relation, b.count, &a.domain).cmp(&(b.relation, a.count, &b.domain))
        });
        domains
    }
}

fn related(relation: Relation, domain: String, hosts: Vec<String>, tally: Tally) -> RelatedDomain {
    let cut = registrable(hosts.first().map_or("", String::as_str));
    let mut rel = tally.rel;
    rel.sort_unstable();
    RelatedDomain {
        domain_unicode: idna::domain_to_unicode(&domain).0,
        relation,
        count: tally.count,
        sources: tally.sources,
        regions: tally.regions,
        rel,
        sample_url: tally.sample_url,
        registrable_icann: cut.icann.map(str::to_owned),
        registrable_private: cut.private.map(str::to_owned),
        hosts,
        domain,
    }
}

/// Whether this is an address or a name in ASCII that could lead to one. URLs may have other names, and pages do, where they
/// forgot to fill in a template.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // What the parser of URLs lets through in brackets is an address.
    host.starts_with('[') || host.split('.').all(is_label)
}

/// How a host stands to the page's host.
fn relation(own: &str, host: &str) -> Relation {
    let bare = |host: &str| {
        host.strip_prefix("www.")
            .filter(|rest| rest.contains('.'))
            .unwrap_or(host)
            .to_owned()
    };
    let (own, host) = (bare(own), bare(host));
    if own == host {
        return Relation::Own;
    }
    let (own_cut, cut) = (registrable(&own), registrable(&host));
    let same_registry_domain = own_cut.icann.is_some() && own_cut.icann == cut.icann;
    if !same_registry_domain {
        return Relation::External;
    }
    let below = host
        .strip_suffix(own.as_str())
        .is_some_and(|rest| rest.ends_with('.'));
    if below {
        Relation::Subdomain
    } else {
        Relation::Sibling
    }
}

enum Fast<'a> {
    /// A relative reference.
    Own,
    /// An absolute URL whose host is plain ASCII.
    Host(std::borrow::Cow<'a, str>),
    /// A scheme that leads nowhere on the web, or a mere fragment.
    NotWeb,
    /// Anything odd: let the URL parser decide.
    Unsure,
}

/// Tells the host of a URL without parsing it whole; most references of a page are this plain, and a page may have tens
/// of thousands.
fn fast_host(url: &str) -> Fast<'_> {
    let bytes = url.as_bytes();
    if bytes
        .iter()
        .any(|b| matches!(b, b'\t' | b'\n' | b'\r' | b'\\'))
    {
        return Fast::Unsure;
    }
    if bytes.starts_with(b"//") {
        return fast_authority(&url[2..]);
    }
    match bytes
        .iter()
        .position(|b| matches!(b, b':' | b'/' | b'?' | b'#'))
    {
        Some(0) if bytes[0] == b'#' => Fast::NotWeb,
        Some(at) if bytes[at] == b':' => {
            let (scheme, rest) = (&url[..at], &url[at + 1..]);
            let is_web =
                scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
            let is_scheme = scheme
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
            match (is_web, rest.strip_prefix("//")) {
                (true, Some(rest)) => fast_authority(rest),
                (true, None) => Fast::Unsure,
                (false, _) if is_scheme => Fast::NotWeb,
                // A colon in a relative path.
                (false, _) => Fast::Own,
            }
        }
        _ => Fast::Own,
    }
}

fn fast_authority(rest: &str) -> Fast<'_> {
    let bytes = rest.as_bytes();
    let end = bytes
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#'))
        .unwrap_or(bytes.len());
    let authority = &rest[..end];
    let host = authority.split_once(':').map_or(authority, |(host, port)| {
        if port.len() < 5 && port.bytes().all(|b| b.is_ascii_digit()) {
            host
        } else {
            ""
        }
    });
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        // Punycode is checked, and numbers may be an address in disguise.
        && !host.contains("xn--")
        && last.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && !host.contains("..")
        && !host.starts_with('.');
    if !is_plain {
        return Fast::Unsure;
    }
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Fast::Host(host.to_ascii_lowercase().into())
    } else {
        Fast::Host(host.into())
    }
}

/// For tests: the fast look agrees with the parser.
#[cfg(test)]
pub(super) fn hosts_by_both_ways(base: &Url, url: &str) -> (Option<String>, Option<String>) {
    let parsed = join(base, url)
        .ok()
        .filter(|u| matches!(u.scheme(), "http" | "https"));
    let slow = parsed.and_then(|u| match u.host() {
        Some(url::Host::Domain(_) | url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {
            u.host_str().map(|h| h.trim_end_matches('.').to_owned())
        }
        None => None,
    });
    let fast = match fast_host(url) {
        Fast::Own => base.host_str().map(str::to_owned),
        Fast::Host(host) => Some(host.into_owned()),
        Fast::NotWeb => None,
        Fast::Unsure => slow.clone(),
    };
    (fast, slow)
}
