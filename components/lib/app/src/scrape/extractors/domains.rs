//! Type 3, as a worker runs it.

use serde::Serialize;
use trawl_core::state::{JobError, Kind};
use trawl_extract::domains::{RelatedDomain, related_domains};
use trawl_store::Job;
use trawl_wire::result::DomainsDocument;

use super::written;
use crate::fetch::Page;
use crate::scrape::{Extracted, Extractor};

/// Type 3: the domains that the page relates to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Domains;

impl Extractor for Domains {
    fn kind(&self) -> Kind {
        Kind::Domains
    }

    /// Mode and selector mean nothing to a list of domains.
    fn is_same_request(&self, _job: &Job, _meta: &str) -> bool {
        true
    }

    fn extract(&self, job: &Job, page: Page) -> Result<Extracted, JobError> {
        let decoded = page.decode();
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<_> = page
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect();
        let result = related_domains(
            &decoded.text,
            page.form.into(),
            &page.final_url,
            &page.redirects,
            &headers,
        );
        // The URL as the owner wrote it, and the limit that cut the list if one did.
        let document = Document {
            found: DomainsDocument {
                url: &job.request_url,
                final_url: &result.final_url,
                domain: result.domain.as_deref(),
                domains: &result.domains,
            },
            x_robots_tag: &page.robots_tags,
            truncated: result.truncated,
        };
        Ok(Extracted {
            body: written(serde_json::to_vec(&document))?,
            gzip: None,
            meta: "{}".to_owned(),
        })
    }
}

/// The document of the API with what the site asks of robots, and what the limits did to it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    found: DomainsDocument<'a, &'a Vec<RelatedDomain>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    x_robots_tag: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}
