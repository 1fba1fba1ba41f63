//! Images: which of them belong to the kept text, and how they are written.

use super::lines::Break;
use super::{Renderer, escape, target};
use crate::dom::{Document, NodeId, Tag};
use crate::text::hints::Hint;
use crate::text::layout::{Layout, hides};

/// Attributes that lazy pages keep the address in.
const LAZY: [&str; 5] = [
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-full-src",
    "data-hi-res-src",
];
/// Those that they keep addresses of several sizes in.
const LAZY_SETS: [&str; 2] = ["data-srcset", "data-lazy-srcset"];
/// How the names of images end.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "gif", "webp", "avif", "svg"];
/// Addresses longer than this are data, not addresses.
const SOURCE_BYTES_MAX: usize = 2_000;
/// An image this small on one side is a spacer, a counter or a sign.
const SIDE_MIN: u32 = 8;
/// Elements around an image that hold nothing else.
const WRAPPERS_MAX: usize = 12;
/// Words beside an image that make a caption and not a text of its own.
const CAPTION_WORDS_MAX: u32 = 40;

/// On a smaller one above or below the text a person is shown, or the sign of a site.
const LONE_SIDE_MIN: u32 = 100;
/// What is not of the article although it stands right above or below its text.
const OTHERS: [Hint; 8] = [
    Hint::Byline,
    Hint::User,
    Hint::Share,
    Hint::Advert,
    Hint::Related,
    Hint::Comment,
    Hint::Signup,
    Hint::Navigation,
];

/// Marks the images that stand among kept text, between the title above it and the end of the element that holds all of it,
/// each with the elements around it that hold nothing else. `words` has, for each node, the words before it: all of them and
/// the kept ones.
pub(crate) fn mark(
    document: &Document<'_>,
    layout: &Layout,
    words: &[(u32, u32)],
    title: Option<NodeId>,
    kept: &mut [bool],
) {
    let is_text = |(node, kept): (usize, &bool)| *kept && document.tag(node as NodeId) == Tag::Text;
    let Some(first) = kept.iter().enumerate().position(is_text) else {
        return;
    };
    let last = kept.iter().rposition(|kept| *kept).unwrap_or(first);
    let (first, last) = (first as NodeId, last as NodeId);
    let from = title.filter(|title| *title < first).unwrap_or(first);
    let mut around = document.ancestors(first);
    let holds_all = around.find(|above| document.end(*above) > last);
    let to = holds_all.map_or(last, |above| document.end(above));
    for node in from..to {
        if document.tag(node) != Tag::Img || kept[node as usize] {
            continue;
        }
        let is_among = if (first..last).contains(&node) {
            is_among(document, words, kept, node, CAPTION_WORDS_MAX, |_| false)
        } else {
            // Below the text a picture with words of its own leads elsewhere, but in a figure.
            let has_caption = node < first
                || document
                    .ancestors(node)
                    .take(4)
                    .any(|above| document.tag(above) == Tag::Figure);
            let most = if has_caption { CAPTION_WORDS_MAX } else { 0 };
            let is_other = |inner: NodeId| OTHERS.iter().any(|hint| layout.hints_at(inner, *hint));
            !is_smaller(document, node, LONE_SIDE_MIN)
                && is_among(document, words, kept, node, most, is_other)
        };
        if is_among {
            let mut at = node;
            while !kept[at as usize] {
                kept[at as usize] = true;
                at = document.parent(at);
            }
        }
    }
}

/// Whether an image stands among kept text: what holds it and no kept text is nothing else and has a caption at most, of so
/// many words, and around that more is kept than not.
fn is_among(
    document: &Document<'_>,
    words: &[(u32, u32)],
    kept: &[bool],
    image: NodeId,
    words_max: u32,
    is_other: impl Fn(NodeId) -> bool,
) -> bool {
    let in_subtree = |node: NodeId| {
        let (from, to) = (words[node as usize], words[document.end(node) as usize]);
        (to.0 - from.0, to.1 - from.1)
    };
    let mut inner = image;
    for _ in 0..WRAPPERS_MAX {
        let is_apart = matches!(
            document.tag(inner),
            Tag::Nav
                | Tag::Aside
                | Tag::Footer
                | Tag::Header
                | Tag::Noscript
                | Tag::Button
                | Tag::Form
        );
        if is_apart || in_subtree(inner).0 > words_max || is_other(inner) {
            return false;
        }
        let parent = document.parent(inner);
        if kept[parent as usize] {
            let (all, chosen) = in_subtree(parent);
            return chosen * 2 > all;
        }
        inner = parent;
    }
    false
}

impl Renderer<'_, '_> {
    /// Images stand in the Markdown only.
    pub(super) fn image(&mut self, node: NodeId) {
        let document = self.document;
        let parent = document.parent(node) as usize;
        if !self.selection.kept[parent] || self.heading.as_ref().is_some_and(|open| !open.is_begun)
        {
            return;
        }
        let alt = document.attribute(node, "alt");
        let is_decoration = alt.as_ref().is_some_and(|alt| alt.trim().is_empty())
            && !document
                .ancestors(node)
                .take(4)
                .any(|above| document.tag(above) == Tag::Figure);
        let Some(source) = self.source(node).filter(|_| {
            !(is_decoration
                || is_smaller(document, node, SIDE_MIN)
                || is_hidden(document, node)
                || is_formula(document, node))
        }) else {
            return;
        };
        let follows = self.lines.pending() == Break::None && !self.lines.out.markdown.is_empty();
        self.inline.settle(follows.then_some('!'), &mut self.lines);
        self.lines.flush_markdown();
        self.inline.open_all('!', &mut self.lines.out.markdown);
        let markdown = &mut self.lines.out.markdown;
        markdown.push_str("![");
        for (at, word) in alt.unwrap_or_default().split_whitespace().enumerate() {
            if at > 0 {
                markdown.push(' ');
            }
            escape::push_word(word, false, false, markdown);
        }
        markdown.push_str("](");
        target::push(&source, self.selection.base, markdown);
        markdown.push(')');
    }

    /// The address of an image: the one that a lazy page keeps for later before the one that may be a placeholder.
    fn source(&mut self, node: NodeId) -> Option<String> {
        let document = self.document;
        let is_address = |source: &str| {
            let source = source.trim();
            !source.is_empty()
                && source.len() <= SOURCE_BYTES_MAX
                && !target::has_scheme(
                    source,
                    &["data:", "blob:", "about:", "javascript:", "vbscript:"],
                )
                && !source.contains(['{', '\n'])
        };
        let named = |name: &str| {
            let source = document.attribute(node, name)?;
            is_address(&source).then(|| source.into_owned())
        };
        // Each script has a name of its own for it.
        let other = || {
            let mut attributes = document.attributes(node);
            attributes.find_map(|(name, _)| {
                let is_source = name.starts_with("data-") && name.ends_with("src");
                let source = is_source.then(|| named(name))?;
                source.filter(|source| names_image(source))
            })
        };
        let in_sets = |element: NodeId, names: &[&str]| {
            names.iter().find_map(|name| {
                let set = document.attribute(element, name)?;
                let largest = largest(&set)?.to_owned();
                is_address(&largest).then_some(largest)
            })
        };
        let of_set = |element: NodeId| {
            in_sets(element, &["srcset"]).or_else(|| in_sets(element, &LAZY_SETS))
        };
        let lazy = LAZY.iter().find_map(|name| named(name));
        let lazy = lazy.or_else(other).or_else(|| in_sets(node, &LAZY_SETS));
        let named = lazy.or_else(|| named("src"));
        named.or_else(|| of_set(node)).or_else(|| {
            let parent = document.parent(node);
            if document.tag(parent) != Tag::Picture {
                return None;
            }
            let known = self.picture.take().filter(|(of, _)| *of == parent);
            let (_, found) = self.picture.insert(
                known.unwrap_or_else(|| (parent, document.children(parent).find_map(of_set))),
            );
            found.clone()
        })
    }
}

/// Whether an address ends as those of images do.
fn names_image(address: &str) -> bool {
    let path = address.trim().split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('.')
        .is_some_and(|(_, end)| ENDINGS.iter().any(|name| end.eq_ignore_ascii_case(name)))
}

fn is_hidden(document: &Document<'_>, image: NodeId) -> bool {
    document.raw_attribute(image, "style").is_some_and(hides)
}

/// The address in a source set with the greatest width or density.
fn largest(set: &str) -> Option<&str> {
    let mut best = (f32::MIN, None);
    let mut rest = set.trim();
    while !rest.is_empty() {
        // An address ends at white space, and may itself contain commas.
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (address, after) = rest.split_at(end);
        let (size, next) = after.split_once(',').unwrap_or((after, ""));
        let size = size.trim();
        let number = size.get(..size.len().saturating_sub(1)).unwrap_or_default();
        let width = number.parse::<f32>().unwrap_or(1.0);
        if width > best.0 {
            best = (width, Some(address.trim_end_matches(',')));
        }
        rest = next.trim_start();
    }
    best.1
}

/// Siblings of a picture among which the formula is looked for that it shows.
const FORMULA_SIBLINGS_MAX: usize = 8;

/// Whether an image is the picture of a formula that stands beside it, for browsers that draw none.
fn is_formula(document: &Document<'_>, image: NodeId) -> bool {
    let class = document.raw_attribute(image, "class").unwrap_or_default();
    let is_named =
        (class.split_ascii_whitespace()).any(|name| name.starts_with("mwe-math-fallback"));
    let is_unread = || document.raw_attribute(image, "aria-hidden") == Some("true");
    is_named
        || is_unread()
            && (document
                .children(document.parent(image))
                .take(FORMULA_SIBLINGS_MAX))
            .any(|sibling| document.tag(sibling) == Tag::Math)
}

/// Whether an image says that one of its sides is smaller than this.
fn is_smaller(document: &Document<'_>, node: NodeId, least: u32) -> bool {
    ["width", "height"].iter().any(|name| {
        let side = document.raw_attribute(node, name);
        side.and_then(|side| side.trim().trim_end_matches("px").parse::<u32>().ok())
            .is_some_and(|side| side < least)
    })
}
