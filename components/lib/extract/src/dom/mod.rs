//! One compact DOM that every extractor reads: nodes in document order in one array, text and attributes as ranges of
//! the page. A subtree is a slice of that array, so no walk needs recursion or pointers.
//!
//! The parser is our own: it follows the tokenizer and the in-body rules of the HTML standard, leaves out what cannot
//! change the text (foster parenting, reconstruction of formatting), and does constant work a tag, which makes its time
//! linear in the page whatever the page holds.

pub(crate) mod entities;
mod parser;
pub(crate) mod raw;
mod selector;
mod tag;

use std::borrow::Cow;

use trawl_core::content_type::Form;
use trawl_core::limits::text as limits;

use crate::octets;

pub use entities::decode as decode_entities;
pub use selector::{Selection, Selector, SelectorError};
pub use tag::Tag;
pub(crate) use tag::by_tag;

/// How much of a page is read; what stands past a limit is left out and [`Document::cut`] says so.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the page.
    pub bytes_max: usize,
    /// Nodes, that is elements and runs of text.
    pub nodes_max: usize,
    /// Open elements at one time; deeper elements are dropped and their text goes to the deepest one kept.
    pub depth_max: usize,
    /// Attributes kept of one element.
    pub attributes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes_max: limits::PAGE_BYTES_MAX,
            nodes_max: limits::NODES_MAX,
            depth_max: limits::DEPTH_MAX,
            attributes_max: limits::ATTRIBUTES_MAX,
        }
    }
}

/// How the markup of a page is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// As HTML: `/>` ends void elements, which end anyway, and those of SVG and MathML.
    #[default]
    Html,
    /// As HTML, but `/>` ends any element and CDATA sections are text, as in the XML that such a page was written as. Nothing
    /// else of XML matters to what a page says, and many such pages are no XML.
    Xhtml,
}

impl From<Form> for Syntax {
    fn from(form: Form) -> Syntax {
        match form {
            Form::Xhtml => Syntax::Xhtml,
            Form::Html | Form::Xml | Form::Text | Form::Json => Syntax::Html,
        }
    }
}

/// The limit that cut a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The page has more bytes than are read.
    Bytes,
    /// The page has more nodes than are kept.
    Nodes,
    /// Elements were nested deeper than is kept.
    Depth,
    /// An element had more attributes than are kept.
    Attributes,
}

impl Cut {
    /// The limit's name as results say it.
    pub fn name(self) -> &'static str {
        match self {
            Cut::Bytes => "bytes",
            Cut::Nodes => "nodes",
            Cut::Depth => "depth",
            Cut::Attributes => "attributes",
        }
    }
}

/// The place of a node in its document.
pub type NodeId = u32;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) tag: Tag,
    /// Text only: the range is one of `decoded`, not of the page.
    pub(crate) is_decoded: bool,
    pub(crate) depth: u16,
    pub(crate) parent: NodeId,
    /// One past the last node of the subtree.
    pub(crate) end: NodeId,
    /// Text: a range of bytes. Element: a range of attributes.
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// Element: where its name stands in the page, for names that have no tag of their own. Text: not 0 where the parser has
    /// seen that it is white space.
    pub(crate) name_at: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    name: u32,
    name_len: u16,
    value: u32,
    value_len: u32,
}

/// A parsed page.
#[derive(Debug)]
pub struct Document<'a> {
    source: &'a str,
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
    decoded: String,
    cut: Option<Cut>,
}

impl<'a> Document<'a> {
    /// Parses a page. Never fails: what is malformed is read as browsers read it, what is too much is left out.
    pub fn parse(html: &'a str, limits: &Limits) -> Document<'a> {
        parser::parse(html, Syntax::Html, limits)
    }

    /// The same for a page in this syntax.
    pub fn parse_as(html: &'a str, syntax: Syntax, limits: &Limits) -> Document<'a> {
        parser::parse(html, syntax, limits)
    }

    /// The first limit that cut the page, if one did.
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// The number of nodes; ids are below it, in document order, and 0 is the root.
    pub fn len(&self) -> NodeId {
        self.nodes.len() as NodeId
    }

    /// Whether the document has nothing but its root.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// The kind of a node.
    pub fn tag(&self, node: NodeId) -> Tag {
        self.nodes[node as usize].tag
    }

    /// The name of an element as written, whatever its case.
    pub fn name(&self, node: NodeId) -> &'a str {
        let node = &self.nodes[node as usize];
        if matches!(node.tag, Tag::Text | Tag::Root) {
            return "";
        }
        let rest = &self.source[node.name_at as usize..];
        &rest[..parser::name_length(rest.as_bytes())]
    }

    /// The parent; the root is its own.
    pub fn parent(&self, node: NodeId) -> NodeId {
        self.nodes[node as usize].parent
    }

    /// One past the last node of the subtree, so that `node..end(node)` is the subtree in document order.
    pub fn end(&self, node: NodeId) -> NodeId {
        self.nodes[node as usize].end
    }

    /// The distance from the root.
    pub fn depth(&self, node: NodeId) -> u16 {
        self.nodes[node as usize].depth
    }

    /// Whether `inner` stands in the subtree of `outer` (or is it).
    pub fn contains(&self, outer: NodeId, inner: NodeId) -> bool {
        (outer..self.end(outer)).contains(&inner)
    }

    /// The children in order.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = self.end(node);
        let mut next = node + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.end(child);
            Some(child)
        })
    }

    /// The ancestors from the parent up to the root.
    pub fn ancestors(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut at = node;
        std::iter::from_fn(move || {
            let parent = self.parent(at);
            let found = (parent != at).then_some(parent)?;
            at = parent;
            Some(found)
        })
    }

    /// The element that has the page's title. The title of a picture, which often stands before it, says what the picture shows.
    pub(crate) fn title(&self) -> Option<NodeId> {
        let mut node = 0;
        while node < self.len() {
            node = match self.tag(node) {
                Tag::Title => return Some(node),
                Tag::Svg => self.end(node),
                _ => node + 1,
            };
        }
        None
    }

    /// The elements of one kind in document order.
    pub fn elements(&self, tag: Tag) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.len()).filter(move |node| self.tag(*node) == tag)
    }

    /// The characters of a text node; empty for elements.
    pub fn text(&self, node: NodeId) -> &str {
        let node = &self.nodes[node as usize];
        if node.tag != Tag::Text {
            return "";
        }
        let range = node.start as usize..(node.start + node.len) as usize;
        if node.is_decoded {
            &self.decoded[range]
        } else {
            &self.source[range]
        }
    }

    /// Whether a text is nothing but white space of ASCII.
    pub(crate) fn is_space(&self, text: NodeId) -> bool {
        self.nodes[text as usize].name_at != 0 || octets::are_space(self.text(text).as_bytes())
    }

    /// Whether a node is text that belongs to what the page says: not that of a script or a style sheet.
    pub(crate) fn is_prose(&self, node: NodeId) -> bool {
        self.tag(node) == Tag::Text
            && !matches!(self.tag(self.parent(node)), Tag::Script | Tag::Style)
    }

    /// All text of a subtree with white space collapsed.
    pub fn text_content(&self, node: NodeId) -> String {
        self.text_content_up_to(node, usize::MAX)
    }

    /// The same up to the first word that ends past so many bytes: for what is read once for each of many elements, which
    /// may stand in one another.
    pub fn text_content_up_to(&self, node: NodeId, bytes_max: usize) -> String {
        self.text_content_of(node..self.end(node), bytes_max)
    }

    /// The same of nodes in their order.
    pub(crate) fn text_content_of(
        &self,
        nodes: impl Iterator<Item = NodeId>,
        bytes_max: usize,
    ) -> String {
        let mut content = String::new();
        'nodes: for inner in nodes {
            let tag = self.tag(inner);
            if self.is_prose(inner) {
                for (at, word) in self.text(inner).split(char::is_whitespace).enumerate() {
                    if at > 0 && !content.ends_with(' ') && !content.is_empty() {
                        content.push(' ');
                    }
                    content.push_str(word);
                    if content.len() > bytes_max {
                        break 'nodes;
                    }
                }
            } else if (tag.is_block() || tag == Tag::Br)
                && !content.ends_with(' ')
                && !content.is_empty()
            {
                content.push(' ');
            }
        }
        content.truncate(content.trim_end().len());
        content
    }

    fn raw_attributes(&self, node: NodeId) -> &[Attribute] {
        let node = &self.nodes[node as usize];
        if node.tag == Tag::Text {
            &[]
        } else {
            &self.attributes[node.start as usize..(node.start + node.len) as usize]
        }
    }

    /// An attribute's value as written, that is with its character references; names compare without case.
    pub fn raw_attribute(&self, node: NodeId, name: &str) -> Option<&'a str> {
        let bytes = self.source.as_bytes();
        self.raw_attributes(node)
            .iter()
            .find(|attribute| {
                let start = attribute.name as usize;
                usize::from(attribute.name_len) == name.len()
                    && bytes[start..start + name.len()].eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|attribute| self.value(attribute))
    }

    /// An attribute's value.
    pub fn attribute(&self, node: NodeId, name: &str) -> Option<Cow<'a, str>> {
        self.raw_attribute(node, name)
            .map(|raw| entities::decode(raw, true))
    }

    /// The attributes of an element as written: names in their own case, values with character references.
    pub fn attributes(&self, node: NodeId) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.raw_attributes(node).iter().map(|attribute| {
            let start = attribute.name as usize;
            (
                &self.source[start..start + usize::from(attribute.name_len)],
                self.value(attribute),
            )
        })
    }

    fn value(&self, attribute: &Attribute) -> &'a str {
        &self.source[attribute.value as usize..(attribute.value + attribute.value_len) as usize]
    }
}

#[cfg(test)]
mod tests;
