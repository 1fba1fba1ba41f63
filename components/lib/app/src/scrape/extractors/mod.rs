//! The three scraper types: what each makes of a page, in the form that `trawl_wire::result` fixes.

mod domains;
mod html;
mod text;

use trawl_core::fetch_policy::FetchCode;
use trawl_core::state::JobError;

pub use domains::Domains;
pub use html::Html;
pub use text::Text;

/// A document that was written as JSON.
fn written(json: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, JobError> {
    json.map_err(|error| FetchCode::Internal.job_error(Some(error.to_string())))
}
