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

/// Parts of their addresses: what stands before a dot and behind it.
const NETWORKS: [(&[u8], &[u8]); 10] = [
    (b"facebook", b"com"),
    (b"twitter", b"com"),
    (b"linkedin", b"com"),
    (b"pinterest", b""),
    (b"reddit", b"com"),
    (b"whatsapp", b"com"),
    (b"instagram", b"com"),
    (b"youtube", b"com"),
    (b"t", b"me/"),
    (b"//x", b"com/"),
];
/// What a part of the path of a list begins with.
const LISTS: [&[u8]; 9] = [
    b"tag", b"categor", b"author", b"topic", b"user", b"profile", b"member", b"section", b"label",
];
/// What tells the kind stands within so many bytes.
const READ_BYTES_MAX: usize = 200;

/// The kind of a link, or 0 when it leads nowhere.
pub(super) fn kind(document: &Document<'_>, link: NodeId) -> u8 {
    let href = document.raw_attribute(link, "href").unwrap_or_default();
    let href = href.trim_start().as_bytes();
    let href = &href[..href.len().min(READ_BYTES_MAX)];
    let Some(first) = href.first() else { return 0 };
    // Each of the names has its dot, or its slash: to look for those alone takes one pass for all of them.
    let is_network = || {
        memchr::memchr_iter(b'.', href).any(|dot| {
            let (before, after) = (&href[..dot], &href[dot + 1..]);
            NETWORKS
                .iter()
                .any(|(head, tail)| before.ends_with(head) && after.starts_with(tail))
        })
    };
    let is_list = || {
        memchr::memchr_iter(b'/', href)
            .any(|slash| LISTS.iter().any(|name| href[slash + 1..].starts_with(name)))
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
        if is_network() {
            SHARE
        } else if is_list() {
            LIST
        } else {
            ABSOLUTE
        }
    } else if is_list() {
        LIST
    } else {
        SITE
    }
}

#[cfg(test)]
mod tests {
    use super::{ABSOLUTE, ACTION, FRAGMENT, LIST, SHARE, SITE, kind};
    use crate::dom::{Document, Limits};

    #[test]
    fn links_are_told_apart() {
        for (href, wanted) in [
            ("", 0),
            ("#top", FRAGMENT),
            ("MailTo:a@example.org", ACTION),
            ("https://www.facebook.com/x", SHARE),
            ("//pinterest.example/x", SHARE),
            ("https://t.me/x", SHARE),
            ("https://x.com/a", SHARE),
            ("https://fox.com/a", ABSOLUTE),
            ("https://example.org/tags/a", LIST),
            ("https://example.org/a/stage", ABSOLUTE),
            ("/a/section-2", LIST),
            ("a/b.html", SITE),
            ("facebook.com", SITE),
        ] {
            let html = format!("<a href=\"{href}\">");
            let document = Document::parse(&html, &Limits::default());
            assert_eq!(kind(&document, 1), wanted, "{href}");
        }
    }
}
