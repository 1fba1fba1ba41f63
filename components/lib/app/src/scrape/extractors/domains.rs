use trawl_core::fetch_policy::FetchCode;
use trawl_core::state::{JobError, Kind};
use trawl_store::Job;

use super::{decode, form};
use crate::fetch::Page;
use crate::scrape::{Extracted, Extractor};

/// Type 3: the domains that the page relates to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Domains;

impl Extractor for Domains {
    fn kind(&self) -> Kind {
        Kind::Domains
    }

    fn channel(&self) -> &'static str {
        crate::channels::TYPE_3_QUEUE
    }

    /// Mode and selector mean nothing to a list of domains.
    fn is_same_request(&self, _job: &Job, _meta: &str) -> bool {
        true
    }

    fn extract(&self, _job: &Job, page: Page) -> Result<Extracted, JobError> {
        let form = form(Kind::Domains, &page)?;
        let _ = decode(&page, form);
        Err(FetchCode::Internal.job_error(None))
    }
}
