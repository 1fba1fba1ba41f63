//! One pass over the document that gathers what the fields are made from.

use std::borrow::Cow;

use super::super::hints::Hint;
use super::super::layout::Layout;
use crate::dom::{Document, NodeId, Tag};
use crate::json_ld;

/// Elements of each kind that are looked at; later ones say nothing new.
const FOUND_MAX: usize = 64;
/// Meta elements that are looked at.
const METAS_MAX: usize = 400;

/// What was gathered.
#[derive(Default)]
pub(crate) struct Scan<'a> {
    /// Names in lower case and contents.
    pub(crate) metas: Vec<(String, Cow<'a, str>)>,
    pub(crate) language: Option<Cow<'a, str>>,
    pub(crate) canonical: Option<Cow<'a, str>>,
    pub(crate) title: Option<NodeId>,
    pub(crate) headings: Vec<NodeId>,
    pub(crate) times: Vec<NodeId>,
    /// Elements that name an author: by itemprop, by rel, by class, in this order of trust.
    pub(crate) authors: [Vec<NodeId>; 3],
    /// Elements with a date in microdata.
    pub(crate) published: Vec<NodeId>,
    pub(crate) scripts: Vec<NodeId>,
}

impl<'a> Scan<'a> {
    #[inline(never)]
    pub(crate) fn new(document: &Document<'a>, layout: &Layout) -> Scan<'a> {
        let mut scan = Scan {
            title: document.title(),
            ..Scan::default()
        };
        for node in 1..document.len() {
            scan.read(document, layout, node);
        }
        scan
    }

    fn read(&mut self, document: &Document<'a>, layout: &Layout, node: NodeId) {
        let keep = |list: &mut Vec<NodeId>| {
            if list.len() < FOUND_MAX {
                list.push(node);
            }
        };
        match document.tag(node) {
            Tag::Text => return,
            Tag::Html => {
                self.language = document
                    .attribute(node, "lang")
                    .or_else(|| document.attribute(node, "xml:lang"))
            }
            Tag::Meta => self.read_meta(document, node),
            Tag::Link if self.canonical.is_none() => {
                let rel = document.raw_attribute(node, "rel").unwrap_or_default();
                if rel.eq_ignore_ascii_case("canonical") {
                    self.canonical = document.attribute(node, "href");
                }
            }
            Tag::H1 => keep(&mut self.headings),
            Tag::Time => keep(&mut self.times),
            Tag::Script => {
                let kind = document.raw_attribute(node, "type").unwrap_or_default();
                if json_ld::is_type(kind) {
                    keep(&mut self.scripts);
                }
            }
            _ => {}
        }
        let may_name_author =
            layout.hints_at(node, Hint::Byline) || layout.hints_at(node, Hint::User);
        // Most elements of most pages name nobody, and need no look at their attributes.
        if !(may_name_author || layout.rare.itemprop || layout.rare.rel_author) {
            return;
        }
        for (name, value) in document.attributes(node) {
            match name {
                "itemprop" if value == "author" => keep(&mut self.authors[0]),
                "itemprop" if value == "datePublished" => keep(&mut self.published),
                "rel" if value == "author" => keep(&mut self.authors[1]),
                "class" if may_name_author && names_author(value) => keep(&mut self.authors[2]),
                _ => {}
            }
        }
    }

    fn read_meta(&mut self, document: &Document<'a>, node: NodeId) {
        let Some(content) = document.attribute(node, "content") else {
            return;
        };
        if content.trim().is_empty() || self.metas.len() >= METAS_MAX {
            return;
        }
        for attribute in ["property", "name", "itemprop", "http-equiv"] {
            if let Some(name) = document.raw_attribute(node, attribute) {
                self.metas
                    .push((name.trim().to_ascii_lowercase(), content.clone()));
            }
        }
    }

    /// The first meta element of this name.
    pub(crate) fn meta(&self, name: &str) -> Option<&str> {
        self.metas
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, content)| content.as_ref())
    }
}

/// Whether a class says outright that its element has to do with an author.
fn names_author(classes: &str) -> bool {
    const NAMES: [&str; 4] = ["author", "byline", "username", "creator"];
    let classes = classes.to_ascii_lowercase();
    NAMES.iter().any(|name| classes.contains(name))
}
