//! What a page is asked for with, so that the server may say that it is the same as before.

use trawl_store::Previous;
use url::Url;

/// What lets a server say "not modified" instead of sending a page again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validators {
    /// The URL that they were given for.
    url: Url,
    /// For `If-None-Match`.
    pub(super) etag: Option<String>,
    /// For `If-Modified-Since`.
    pub(super) last_modified: Option<String>,
}

impl Validators {
    /// Those of an earlier result, if the server gave any.
    pub(crate) fn of(previous: &Previous) -> Option<Self> {
        if previous.etag.is_none() && previous.last_modified.is_none() {
            return None;
        }
        Some(Self {
            url: Url::parse(&previous.final_url).ok()?,
            etag: previous.etag.clone(),
            last_modified: previous.last_modified.clone(),
        })
    }

    /// A validator says something about the one URL whose answer held it: on other hops of the chain it means nothing.
    pub(super) fn stands_for(&self, url: &Url) -> bool {
        self.url == *url
    }
}
