//! Inline marks of Markdown: emphasis and links.
//!
//! A mark is written when the first text in it is. Its end is written when it is known what follows, since Markdown reads
//! `**Note:**text` as no emphasis at all: a mark that would not be read as one is taken back.

use url::Url;

use super::lines::Lines;
use super::{escape, target};
use crate::dom::{Document, NodeId, Tag, decode_entities};

/// Addresses longer than this are data, not addresses.
const TARGET_BYTES_MAX: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Strong,
    Emphasis,
    Strike,
    Link,
}

impl Kind {
    fn sign(self) -> &'static str {
        match self {
            Kind::Strong => "**",
            Kind::Emphasis => "*",
            Kind::Strike => "~~",
            Kind::Link => "[",
        }
    }
}

#[derive(Clone, Copy)]
struct Mark {
    node: NodeId,
    kind: Kind,
    /// Where its sign stands in the Markdown, once it is written.
    opened: Option<usize>,
    /// It would not be read as a mark here.
    is_off: bool,
}

impl Mark {
    /// Whether a mark in this one starts with another sign, which Markdown reads as any other sign.
    fn is_parted_from(&self, inner: &Mark) -> bool {
        let first = |kind: Kind| kind.sign().as_bytes()[0];
        inner.opened.is_none() && !inner.is_off && first(inner.kind) != first(self.kind)
    }
}

fn leads_anywhere(target: &str) -> bool {
    !matches!(target.trim(), "" | "#")
        && !target::has_scheme(target, &["javascript:", "data:", "vbscript:"])
}

/// The open inline elements.
pub(super) struct Inline<'a, 'd> {
    document: &'a Document<'d>,
    base: Option<&'a Url>,
    marks: Vec<Mark>,
    /// Marks whose element has ended, and whose closing sign waits for what follows; the inner ones first.
    closing: Vec<Mark>,
}

impl<'a, 'd> Inline<'a, 'd> {
    pub(super) fn new(document: &'a Document<'d>, base: Option<&'a Url>) -> Self {
        Inline {
            document,
            base,
            marks: Vec::new(),
            closing: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, node: NodeId, tag: Tag) {
        let kind = match tag {
            Tag::B | Tag::Strong | Tag::Dt => Kind::Strong,
            Tag::I | Tag::Em => Kind::Emphasis,
            Tag::Del | Tag::S | Tag::Strike => Kind::Strike,
            Tag::A if self.has_target(node) => Kind::Link,
            _ => return,
        };
        if !self.marks.iter().any(|mark| mark.kind == kind) {
            self.marks.push(Mark {
                node,
                kind,
                opened: None,
                is_off: false,
            });
        }
    }

    pub(super) fn leave(&mut self, node: NodeId) {
        if self.marks.last().is_some_and(|mark| mark.node == node)
            && let Some(mark) = self.marks.pop()
            && mark.opened.is_some()
        {
            self.closing.push(mark);
        }
    }

    /// Whether an element leads anywhere.
    fn has_target(&self, node: NodeId) -> bool {
        let target = self.document.raw_attribute(node, "href");
        let target = target.unwrap_or_default().trim();
        if target.len() > TARGET_BYTES_MAX {
            return false;
        }
        // Character references may spell a scheme, but none that stands behind one, or behind what no scheme has in it.
        let head = target.split([':', '/', '?', '#']).next();
        if head.is_some_and(|head| head.contains('&')) {
            leads_anywhere(&decode_entities(target, true))
        } else {
            leads_anywhere(target)
        }
    }

    /// Whether no sign is due before the next text.
    pub(super) fn is_settled(&self) -> bool {
        self.closing.is_empty() && self.marks.iter().all(|mark| mark.opened.is_some())
    }

    /// Closes what has ended, knowing the character that follows, or that a break does.
    pub(super) fn settle(&mut self, next: Option<char>, lines: &mut Lines) {
        if let ([ended], Some(_)) = (self.closing.as_slice(), next)
            && let Some(mark) = self.marks.iter_mut().find(|mark| mark.opened.is_none())
            && mark.kind == ended.kind
            && mark.kind != Kind::Link
        {
            // One that begins where another of its kind ended goes on with it.
            mark.opened = ended.opened;
            self.closing.clear();
            return;
        }
        let next = next.filter(|character| character.is_alphanumeric());
        for at in 0..self.closing.len() {
            let is_in_link = self.closing[at + 1..]
                .iter()
                .any(|mark| mark.kind == Kind::Link);
            let next = if is_in_link { None } else { next };
            self.close(self.closing[at], next, lines);
        }
        self.closing.clear();
    }

    /// Writes a mark's end, or takes the mark back. `next` is the letter or digit that follows at once, if one does.
    fn close(&self, mark: Mark, next: Option<char>, lines: &mut Lines) {
        let Some(opened) = mark.opened else { return };
        let markdown = &mut lines.out.markdown;
        if mark.kind == Kind::Link {
            let href = self.document.attribute(mark.node, "href");
            markdown.push_str("](");
            target::push(&href.unwrap_or_default(), self.base, markdown);
            markdown.push(')');
        } else if next.is_some() && !markdown.ends_with(char::is_alphanumeric) {
            lines.take_back(opened, mark.kind.sign());
        } else {
            markdown.push_str(mark.kind.sign());
        }
    }

    /// Writes the opening of every mark that has none yet, knowing the character that follows.
    pub(super) fn open_all(&mut self, next: char, markdown: &mut String) {
        if self.marks.iter().all(|mark| mark.opened.is_some()) {
            return;
        }
        let before = markdown.chars().next_back().unwrap_or(' ');
        let follows_sign = ['*', '~']
            .into_iter()
            .any(|sign| escape::ends_with_sign(markdown, sign));
        let has_link = self
            .marks
            .iter()
            .any(|mark| mark.kind == Kind::Link && mark.opened.is_none());
        let is_punctuation = has_link || !next.is_alphanumeric();
        let opens_badly = before.is_alphanumeric() && is_punctuation || follows_sign;
        for at in 0..self.marks.len() {
            let [mark, inner @ ..] = &mut self.marks[at..] else {
                break;
            };
            if mark.opened.is_some() || mark.is_off {
                continue;
            }
            if mark.kind == Kind::Link {
                if escape::ends_with_sign(markdown, '!') {
                    // Together they would make an image.
                    markdown.truncate(markdown.len() - 1);
                    markdown.push_str("\\!");
                }
            } else if opens_badly
                || before.is_alphanumeric() && inner.iter().any(|inner| mark.is_parted_from(inner))
            {
                mark.is_off = true;
                continue;
            }
            mark.opened = Some(markdown.len());
            markdown.push_str(mark.kind.sign());
        }
    }

    /// Closes all at the end of a block; what is still open opens again at the next text in it.
    pub(super) fn close_all(&mut self, lines: &mut Lines) {
        self.settle(None, lines);
        for at in (0..self.marks.len()).rev() {
            self.close(self.marks[at], None, lines);
            self.marks[at].opened = None;
            self.marks[at].is_off = false;
        }
    }
}
