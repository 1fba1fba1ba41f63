//! Where a link leads, as far as it tells what the link is for.

use crate::dom::{Document, NodeId};

/// A link to a place in the page.
const FRAGMENT: u8 = 1;
/// A mail, a telephone number, a script.
const ACTION: u8 = 2;
/// A network where things are shared.
const SHARE: u8 = 3;
/// A list of pages: a tag, a category, the author's.
const LIST: u8 = 4;
/// Another page of the site, as far as a relative address tells.
const SITE: u8 = 5;
/// An absolute address.
const ABSOLUTE: u8 = 6;

const NETWORKS: [&[u8]; 10] = [
    b"facebook.com",
    b"twitter.com",
    b"linkedin.com",
    b"pinterest.",
    b"reddit.com",
    b"whatsapp.com",
    b"instagram.com",
    b"youtube.com",
    b"t.me/",
    b"//x.com/",
];
const LISTS: [&[u8]; 9] = [
    b"/tag",
    b"/categor",
    b"/author",
    b"/topic",
    b"/user",
    b"/profile",
    b"/member",
    b"/section",
    b"/label",
];
/// What tells the kind stands within so many bytes.
const READ_BYTES_MAX: usize = 200;

/// The kind of a link, or 0 when it leads nowhere.
pub(super) fn kind(document: &Document<'_>, link: NodeId) -> u8 {
    let href = document.raw_attribute(link, "href").unwrap_or_default();
    let href = href.trim_start().as_bytes();
    let href = &href[..href.len().min(READ_BYTES_MAX)];
    let Some(first) = href.first() else { return 0 };
    let has = |names: &[&[u8]]| {
        names
            .iter()
            .any(|name| memchr::memmem::find(href, name).is_some())
    };
    let starts = |scheme: &[u8]| {
        href.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    if *first == b'#' {
        FRAGMENT
    } else if starts(b"mailto:") || starts(b"tel:") || starts(b"javascript:") {
        ACTION
    } else if starts(b"http") || starts(b"//") {
        if has(&NETWORKS) {
            SHARE
        } else if has(&LISTS) {
            LIST
        } else {
            ABSOLUTE
        }
    } else if has(&LISTS) {
        LIST
    } else {
        SITE
    }
}
