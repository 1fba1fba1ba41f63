//! Type 3: the domains that a page relates to, out of one pass over its tags. No tree is built.
//!
//! A *reference* is one URL in the page, its headers or its redirects. References are counted per host, hosts are
//! grouped by registrable domain and by their relation to the page's own host.

mod hosts;
mod references;
mod registrable;
pub(crate) mod scanner;
pub(crate) mod urls;

use serde::Serialize;
use url::Url;

pub use registrable::{Registrable, is_public_suffix, registrable};

use crate::dom::Syntax;
use hosts::Hosts;

/// How a domain stands to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The page's own host, with or without `www.`.
    #[serde(rename = "self")]
    Own,
    /// A host below the page's own.
    Subdomain,
    /// Another host of the same registrable domain, or of another customer of the same private suffix.
    Sibling,
    /// Everything else.
    External,
}

/// One domain in one relation. A page's own registrable domain may appear up to three times, once per relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RelatedDomain {
    /// The registrable domain in ASCII, private suffixes counted; the host itself where it has none (an address).
    pub domain: String,
    /// The same for reading: `bücher.example` instead of `xn--bcher-kva.example`.
    pub domain_unicode: String,
    /// How it stands to the page.
    pub relation: Relation,
    /// How many references lead there.
    pub count: u64,
    /// The hosts, sorted.
    pub hosts: Vec<String>,
    /// Where the references stand: element names, and `opengraph`, `json-ld`, `same-as`, `style`, `refresh`, `csp`,
    /// `link-header`, `redirect`, and `other` for an attribute of an element that has none in HTML.
    pub sources: Vec<&'static str>,
    /// Parts of the page that they stand in: `head`, `header`, `nav`, `main`, `aside`, `footer`, `body`.
    pub regions: Vec<&'static str>,
    /// Words of their `rel` attributes, sorted.
    pub rel: Vec<String>,
    /// The first reference, resolved.
    pub sample_url: String,
    /// The registrable domain by the suffixes of registries alone.
    pub registrable_icann: Option<String>,
    /// The registrable domain with private suffixes; `None` where the host is itself a suffix.
    pub registrable_private: Option<String>,
}

/// The result of type 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainsResult {
    /// What was asked for: the first URL of the redirect chain.
    pub url: String,
    /// Where the redirects ended.
    pub final_url: String,
    /// The page's own registrable domain, or its host.
    pub domain: Option<String>,
    /// Own domain first, then subdomains, siblings, others; the most referenced first.
    pub domains: Vec<RelatedDomain>,
    /// True when a limit kept some hosts out.
    pub truncated: bool,
}

/// Finds the domains of a page in this syntax. `redirect_chain` holds the URLs that redirected, in order; `headers` those
/// of the final answer, names in any case.
#[must_use]
pub fn related_domains(
    html: &str,
    syntax: Syntax,
    final_url: &Url,
    redirect_chain: &[Url],
    headers: &[(String, String)],
) -> DomainsResult {
    let mut hosts = Hosts::new(final_url);
    references::of_chain(redirect_chain, &mut hosts);
    references::of_headers(headers, &mut hosts);
    references::of_page(html, syntax, &mut hosts);
    let own_host = final_url.host_str().map(|host| host.trim_end_matches('.'));
    let truncated = hosts.is_truncated();
    DomainsResult {
        url: redirect_chain.first().unwrap_or(final_url).to_string(),
        final_url: final_url.to_string(),
        domain: own_host.map(|host| registrable(host).private.unwrap_or(host).to_owned()),
        domains: hosts.into_domains(own_host.unwrap_or_default()),
        truncated,
    }
}

#[cfg(test)]
mod tests;
