//! What differs between the three scraper types: what they make of a page.

use trawl_core::state::{JobError, Kind};
use trawl_store::Job;

use crate::fetch::Page;

/// Makes a result of a page. Pure CPU work: the caller yields before and after it.
pub trait Extractor {
    /// Which jobs it takes.
    fn kind(&self) -> Kind;

    /// Whether a stored result with this `meta` was made with the options of `job`, so that it can serve again.
    fn is_same_request(&self, job: &Job, meta: &str) -> bool;

    /// The result of `page`, which is taken so that its bytes need not be copied.
    ///
    /// # Errors
    /// What the owner of the job is told.
    fn extract(&self, job: &Job, page: Page) -> Result<Extracted, JobError>;
}

/// A result as `trawl_wire::result` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The stored body: a document as JSON, or the page as UTF-8.
    pub body: Vec<u8>,
    /// The same as gzip, when the page came so.
    pub gzip: Option<Vec<u8>>,
    /// JSON beside it.
    pub meta: String,
}
