//! The three scraper types: what each makes of a page, in the form that `trawl_wire::result` fixes.

mod domains;
mod html;
mod text;

use trawl_core::content_type::{self, ContentType, Form};
use trawl_core::fetch_policy::FetchCode;
use trawl_core::state::{JobError, Kind};
use trawl_extract::charset::{self, Decoded, Hints};

pub use domains::Domains;
pub use html::Html;
pub use text::Text;

use crate::fetch::Page;

/// What the page's body is. The fetch has judged this already; asking again keeps the two from parting.
fn form(kind: Kind, page: &Page) -> Result<Form, JobError> {
    let content_type = Some(page.content_type()).filter(|field| !field.is_empty());
    content_type::accept(kind, content_type, &page.body).map_err(|code| code.job_error(None))
}

/// The page's bytes as text, as a browser would read them.
fn decode(page: &Page, form: Form) -> Decoded<'_> {
    let declared =
        ContentType::parse(page.content_type()).and_then(|content_type| content_type.charset);
    charset::decode(
        &page.body,
        &Hints {
            http_charset: declared.as_deref(),
            tld: charset::tld(&page.final_url),
            form,
        },
    )
}

/// A document as JSON.
fn json(document: &impl serde::Serialize) -> Result<Vec<u8>, JobError> {
    serde_json::to_vec(document)
        .map_err(|error| FetchCode::Internal.job_error(Some(error.to_string())))
}
