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
pub(crate) fn form(kind: Kind, page: &Page) -> Result<Form, JobError> {
    let content_type = Some(page.content_type()).filter(|field| !field.is_empty());
    content_type::accept(kind, content_type, &page.body).map_err(|code| code.job_error(None))
}

/// The charset that the server declares.
fn declared_charset(page: &Page) -> Option<String> {
    ContentType::parse(page.content_type())?.charset
}

/// What is known about the page's encoding beside its bytes.
fn hints<'a>(page: &'a Page, http_charset: Option<&'a str>, form: Form) -> Hints<'a> {
    Hints {
        http_charset,
        tld: charset::tld(&page.final_url),
        form,
    }
}

/// The page's bytes as text, as a browser would read them.
pub(crate) fn decode(page: &Page, form: Form) -> Decoded<'_> {
    let declared = declared_charset(page);
    charset::decode(&page.body, &hints(page, declared.as_deref(), form))
}

/// A document that was written as JSON.
fn written(json: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, JobError> {
    json.map_err(|error| FetchCode::Internal.job_error(Some(error.to_string())))
}
