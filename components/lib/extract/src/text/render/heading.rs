//! Links of headings to themselves, for readers who want the address of a part, and buttons beside their words: in the text
//! they lead nowhere.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::dom::{Document, NodeId, Tag};

/// Signs that stand for "a link to here", wherever they stand.
const SIGNS: [&str; 6] = ["#", "¶", "§", "🔗", "⚓", "⚓︎"];
/// What the class of a link to its own heading is made of.
const CLASSES: [&str; 7] = [
    "anchor",
    "permalink",
    "headerlink",
    "header-link",
    "headinglink",
    "hash-link",
    "self-link",
];
/// A permalink has a sign or a word or two, and so not more nodes or bytes.
const NODES_MAX: NodeId = 6;
const BYTES_MAX: usize = 60;
const HEADING_NODES_MAX: NodeId = 64;
/// Elements above a heading, and nodes before it, that may carry its anchor.
const ABOVE_MAX: usize = 3;
const BEFORE_MAX: NodeId = 3;

/// Whether a link is nothing but a sign that leads to where it stands, or nowhere. `heading` is the open heading.
pub(super) fn is_permalink(
    document: &Document<'_>,
    link: NodeId,
    heading: Option<NodeId>,
    base: Option<&Url>,
) -> bool {
    if !is_short(document, link) {
        return false;
    }
    let is_sign = !has_words(document, link);
    if heading.is_none() && !is_sign {
        return false;
    }
    let target = document.raw_attribute(link, "href").unwrap_or_default();
    // One that leads to "#" is there for its tip or its script.
    if is_sign && (target == "#" || SIGNS.contains(&document.text_content(link).as_str())) {
        return true;
    }
    let Some(heading) = heading else { return false };
    let class = document.raw_attribute(link, "class").unwrap_or_default();
    let is_named = CLASSES.iter().any(|name| class.contains(name));
    if is_sign {
        return is_named && target.contains('#') || is_own_link(document, link, heading, base);
    }
    // A heading that is such a link as a whole keeps its words.
    is_named
        && is_own_link(document, link, heading, base)
        && has_text_beside(document, heading, link)
}

/// Letters and digits, without those in circles, which are signs.
fn is_in_words(character: char) -> bool {
    character.is_alphanumeric() && !matches!(character, '\u{2460}'..='\u{24ff}')
}

/// Whether a link in a heading leads to that heading.
pub(super) fn is_own_link(
    document: &Document<'_>,
    link: NodeId,
    heading: NodeId,
    base: Option<&Url>,
) -> bool {
    let Some(target) = document.attribute(link, "href") else {
        return false;
    };
    let Some((page, fragment)) = target.trim().split_once('#') else {
        return false;
    };
    if fragment.is_empty() || !(page.is_empty() || is_base(page, base)) {
        return false;
    }
    let fragment = percent_decode_str(fragment).decode_utf8_lossy();
    let before = heading.saturating_sub(BEFORE_MAX)..heading;
    let inside = heading..document.end(heading).min(heading + NODES_MAX);
    let above = document.ancestors(heading).take(ABOVE_MAX);
    above
        .chain(before)
        .chain(inside)
        .any(|node| is_anchor(document, node, &fragment))
}

/// Whether an address without its fragment is that of the page.
fn is_base(page: &str, base: Option<&Url>) -> bool {
    let without_fragment = |mut url: Url| {
        url.set_fragment(None);
        url
    };
    base.is_some_and(|base| {
        base.join(page)
            .is_ok_and(|url| without_fragment(url) == without_fragment(base.clone()))
    })
}

/// Whether an element is what the fragment leads to. Where users write the text, sites put a word before its ids.
fn is_anchor(document: &Document<'_>, node: NodeId, fragment: &str) -> bool {
    let is_it = |name: &str| {
        document.attribute(node, name).is_some_and(|value| {
            value == fragment || value.strip_prefix("user-content-") == Some(fragment)
        })
    };
    is_it("id") || is_it("name")
}

/// Whether the heading says more than the link does. Longer ones are not looked through: their links would each do so.
fn has_text_beside(document: &Document<'_>, heading: NodeId, link: NodeId) -> bool {
    (heading..document.end(heading).min(heading + HEADING_NODES_MAX))
        .filter(|node| !document.contains(link, *node))
        .any(|node| document.text(node).contains(is_in_words))
}

/// Whether a button does something with its heading, such as to copy it: the heading has words that stand in no button. One
/// that opens what stands under the heading is its text, whatever stands beside it.
pub(crate) fn is_control(document: &Document<'_>, button: NodeId, heading: NodeId) -> bool {
    let opens = ["aria-expanded", "aria-controls"]
        .iter()
        .any(|name| document.raw_attribute(button, name).is_some());
    if opens {
        return false;
    }
    let end = document.end(heading);
    let mut node = heading;
    while node < end.min(heading + HEADING_NODES_MAX) {
        let tag = document.tag(node);
        if tag == Tag::Button || tag.is_silent() {
            node = document.end(node);
            continue;
        }
        // A number alone is that of the part whose title the button is.
        if document.is_prose(node) && document.text(node).contains(char::is_alphabetic) {
            return true;
        }
        node += 1;
    }
    false
}

/// Whether a link may be a permalink.
fn is_short(document: &Document<'_>, link: NodeId) -> bool {
    let nodes = link..document.end(link);
    nodes.len() <= NODES_MAX as usize
        && nodes.map(|node| document.text(node).len()).sum::<usize>() <= BYTES_MAX
}

/// Whether a link's text has more than signs.
fn has_words(document: &Document<'_>, link: NodeId) -> bool {
    (link..document.end(link))
        .filter(|node| document.is_prose(*node))
        .any(|node| document.text(node).contains(is_in_words))
}
