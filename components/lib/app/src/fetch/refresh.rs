//! Pages that do nothing but send their visitor on.

use http::header::REFRESH;
use trawl_core::content_type::Form;
use trawl_core::limits::fetch::{REFRESH_PAGE_BYTES_MAX, REFRESH_S_MAX};
use trawl_extract::refresh::{Refresh, in_page, may_be_in};

use super::{Page, location_text};

/// Where a page that is there for nothing else sends its visitor: by the header, or by the first `<meta>` of HTML. A browser has
/// started the header's time when it comes to the page's, so the header goes before it.
pub(super) fn target(page: &Page) -> Option<String> {
    if page.body.len() > REFRESH_PAGE_BYTES_MAX {
        return None;
    }
    let by_header = page
        .headers
        .get(REFRESH)
        .and_then(|value| Refresh::read(&location_text(value)));
    let refresh = match by_header {
        Some(refresh) => refresh,
        None => match page.form {
            Form::Html | Form::Xhtml if may_be_in(&page.body) => {
                in_page(&page.decode().text, page.form.into(), &page.final_url)?
            }
            _ => return None,
        },
    };
    refresh.target.filter(|_| refresh.after_s <= REFRESH_S_MAX)
}
