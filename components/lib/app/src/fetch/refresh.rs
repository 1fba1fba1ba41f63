use http::header::REFRESH;
use trawl_core::content_type::Form;
use trawl_core::limits::fetch::{REFRESH_PAGE_BYTES_MAX, REFRESH_S_MAX};
use trawl_core::state::Kind;
use trawl_extract::refresh::{Refresh, in_page};

use super::{Page, location_text};
use crate::scrape::extractors::{decode, form};

/// Where a page that is there for nothing else sends its visitor: by the header, or by the first `<meta>` of HTML. A browser has
/// started the header's time when it comes to the page's, so the header goes before it.
pub(super) fn target(kind: Kind, page: &Page) -> Option<String> {
    if page.body.len() > REFRESH_PAGE_BYTES_MAX {
        return None;
    }
    let by_header = page
        .headers
        .get(REFRESH)
        .and_then(|value| Refresh::read(&location_text(value)));
    let refresh = match by_header {
        Some(refresh) => refresh,
        None => match form(kind, page).ok()? {
            form @ (Form::Html | Form::Xhtml) => {
                in_page(&decode(page, form).text, form.into(), &page.final_url)?
            }
            Form::Xml | Form::Text | Form::Json => return None,
        },
    };
    refresh.target.filter(|_| refresh.after_s <= REFRESH_S_MAX)
}
