//! Links of headings to themselves, for readers who want the address of a part, and buttons beside their words: in the text
//! they lead nowhere.

use std::borrow::Cow;
use std::cell::OnceCell;

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

/// A heading, with what is asked of it for each link and button in it, found once: there may be as many of them as the page has room for.
pub(crate) struct Around<'d> {
    heading: NodeId,
    /// Names that an address may have behind its `#` to lead to the heading.
    anchors: OnceCell<Vec<Cow<'d, str>>>,
    /// Its nodes with words.
    in_words: OnceCell<Vec<NodeId>>,
    /// Whether it has words that stand in no button.
    is_worded: OnceCell<bool>,
}

impl<'d> Around<'d> {
    pub(crate) const fn new(heading: NodeId) -> Self {
        Self {
            heading,
            anchors: OnceCell::new(),
            in_words: OnceCell::new(),
            is_worded: OnceCell::new(),
        }
    }

    /// The heading itself.
    pub(super) const fn heading(&self) -> NodeId {
        self.heading
    }

    /// Whether a link in the heading leads to that heading.
    pub(super) fn is_linked(
        &self,
        document: &Document<'d>,
        link: NodeId,
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
        // Where users write the text, sites put a word before its ids.
        self.anchors(document)
            .iter()
            .any(|name| *name == fragment || name.strip_prefix("user-content-") == Some(&*fragment))
    }

    fn anchors(&self, document: &Document<'d>) -> &[Cow<'d, str>] {
        self.anchors.get_or_init(|| {
            let heading = self.heading;
            let before = heading.saturating_sub(BEFORE_MAX)..heading;
            let inside = heading..document.end(heading).min(heading + NODES_MAX);
            let above = document.ancestors(heading).take(ABOVE_MAX);
            let nodes = above.chain(before).chain(inside);
            nodes
                .flat_map(|node| ["id", "name"].map(|name| document.attribute(node, name)))
                .flatten()
                .collect()
        })
    }

    /// Whether the heading says more than the link does. Longer ones are not looked through.
    fn has_text_beside(&self, document: &Document<'d>, link: NodeId) -> bool {
        let heading = self.heading;
        let in_words = self.in_words.get_or_init(|| {
            (heading..document.end(heading).min(heading + HEADING_NODES_MAX))
                .filter(|node| document.text(*node).contains(is_in_words))
                .collect()
        });
        in_words.iter().any(|node| !document.contains(link, *node))
    }

    /// Whether a button does something with its heading, such as to copy it: the heading has words that stand in no button. One
    /// that opens what stands under the heading is its text, whatever stands beside it.
    pub(crate) fn is_control(&self, document: &Document<'d>, button: NodeId) -> bool {
        let opens = ["aria-expanded", "aria-controls"]
            .iter()
            .any(|name| document.raw_attribute(button, name).is_some());
        !opens && *self.is_worded.get_or_init(|| self.find_words(document))
    }

    fn find_words(&self, document: &Document<'d>) -> bool {
        let end = document.end(self.heading);
        let mut node = self.heading;
        while node < end.min(self.heading + HEADING_NODES_MAX) {
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
}

/// Whether a link is nothing but a sign that leads to where it stands, or nowhere. `heading` is the open heading.
pub(super) fn is_permalink<'d>(
    document: &Document<'d>,
    link: NodeId,
    heading: Option<&Around<'d>>,
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
        return is_named && target.contains('#') || heading.is_linked(document, link, base);
    }
    // A heading that is such a link as a whole keeps its words.
    is_named && heading.is_linked(document, link, base) && heading.has_text_beside(document, link)
}

/// Letters and digits, without those in circles, which are signs.
fn is_in_words(character: char) -> bool {
    character.is_alphanumeric() && !matches!(character, '\u{2460}'..='\u{24ff}')
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
