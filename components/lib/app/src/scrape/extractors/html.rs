//! Type 2, as a worker runs it.

use std::borrow::Cow;

use trawl_core::fetch_policy::FetchCode;
use trawl_core::state::{JobError, Kind};
use trawl_extract::html;
use trawl_store::Job;
use trawl_wire::result::HtmlMeta;
use url::Url;

use crate::fetch::Page;
use crate::scrape::{Extracted, Extractor};

/// Type 2: the page as UTF-8.
#[derive(Debug, Clone, Copy, Default)]
pub struct Html;

impl Extractor for Html {
    fn kind(&self) -> Kind {
        Kind::Html
    }

    /// Mode and selector mean nothing to a whole page.
    fn is_same_request(&self, _job: &Job, _meta: &str) -> bool {
        true
    }

    fn extract(&self, job: &Job, mut page: Page) -> Result<Extracted, JobError> {
        let declared = page.declared_charset();
        let decoded = html::page(&page.body, &page.hints(declared.as_deref()));
        let charset = decoded.charset;
        // Most pages are UTF-8 without a mark: the bytes themselves are the result.
        let changed = match decoded.html {
            Cow::Borrowed(text) if text.len() == page.body.len() => None,
            text => Some(text.into_owned().into_bytes()),
        };
        let (body, gzip) = match changed {
            Some(body) => (body, None),
            None => (std::mem::take(&mut page.body), page.gzip.take()),
        };
        let headers = page.headers.iter();
        let headers = headers.map(|(name, value)| {
            (
                name.as_str().into(),
                String::from_utf8_lossy(value.as_bytes()),
            )
        });
        let meta = HtmlMeta {
            url: job.request_url.as_str().into(),
            charset: charset.into(),
            headers: headers.collect(),
            redirects: page.redirects.iter().map(Url::to_string).collect(),
            truncated: false,
        };
        let meta = serde_json::to_string(&meta)
            .map_err(|error| FetchCode::Internal.job_error(Some(error.to_string())))?;
        Ok(Extracted { body, gzip, meta })
    }
}
