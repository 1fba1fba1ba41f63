//! Code, in the line and in blocks.

use std::cell::Cell;

use super::Renderer;
use super::escape;
use super::fence::{Fence, longest_run};
use super::lines::Break;
use crate::dom::{Document, NodeId, Tag};

/// Elements above a block of code whose class may name the language.
const LEVELS: usize = 6;
/// Bytes and words of a class that are looked at: each block of code below an element asks for its class. Frameworks that put all of an
/// element's style into it stay far below.
const CLASS_BYTES_MAX: usize = 2_000;
const CLASS_WORDS_MAX: usize = 100;
/// Longer names are no languages.
const LANGUAGE_BYTES_MAX: usize = 24;
/// What stands in the names of the column with the numbers of the lines.
const GUTTERS: [&[u8]; 5] = [b"gutter", b"lineno", b"linenr", b"line-number", b"linenum"];

/// Where a code span stands in both forms. It ends at a place of [`super::lines::Lines::place`], since signs before it may be
/// taken back.
pub(super) struct Span {
    from: usize,
    end: usize,
    text_from: usize,
    fence: Fence,
}

impl Renderer<'_, '_> {
    /// Writes code that stands in a line; whether it does, and not in lines of its own.
    pub(super) fn code(&mut self, node: NodeId) -> bool {
        let document = self.document;
        let inner = node + 1..document.end(node);
        if inner.clone().any(|inner| document.tag(inner).is_block()) {
            return false;
        }
        if inner.clone().any(|inner| document.tag(inner) == Tag::Br) && !self.lines.is_cell {
            self.code_block(node);
            return true;
        }
        let text = self.code_text(node);
        let code = if text.contains(char::is_whitespace) {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            text.clone()
        };
        if text.starts_with(char::is_whitespace) {
            self.lines.want(Break::Space);
        }
        if !code.is_empty() {
            // A link around the whole code goes around its signs.
            let link = inner
                .clone()
                .find(|inner| document.tag(*inner) == Tag::A)
                .filter(|link| document.text_content(*link) == code && !self.is_own_link(*link));
            if let Some(link) = link {
                self.inline.enter(link, Tag::A);
            }
            self.code_span(&code);
            if let Some(link) = link {
                self.inline.leave(link);
            }
        }
        if text.ends_with(char::is_whitespace) {
            self.lines.want(Break::Space);
        }
        true
    }

    fn code_span(&mut self, code: &str) {
        let goes_on = self.lines.pending() == Break::None && self.inline.is_settled();
        let last = self
            .code_ended
            .take()
            .filter(|last| goes_on && last.end == self.lines.place());
        // Two spans side by side would be read as one with a longer fence, so they become one.
        let mut span = match last {
            Some(span) => self.extended(span, code),
            None => self.begun(code),
        };
        span.end = self.lines.place();
        self.code_ended = Some(span);
    }

    fn begun(&mut self, code: &str) -> Span {
        self.begin('`');
        let out = &mut self.lines.out;
        if escape::ends_with_sign(&out.markdown, '`') {
            out.markdown.push(' ');
        }
        let span = Span {
            from: out.markdown.len(),
            end: 0,
            text_from: out.text.len(),
            fence: Fence::new(code),
        };
        out.text.push_str(code);
        span.fence.write(code, &mut out.markdown);
        span
    }

    fn extended(&mut self, mut span: Span, more: &str) -> Span {
        let out = &mut self.lines.out;
        let code_end = out.markdown.len() - span.fence.end_bytes();
        out.text.push_str(more);
        if span.fence.extend(more) {
            out.markdown.truncate(span.from);
            span.fence
                .write(&out.text[span.text_from..], &mut out.markdown);
        } else {
            out.markdown.truncate(code_end);
            out.markdown.push_str(more);
            span.fence.end(&mut out.markdown);
        }
        span
    }

    /// The kept text of a piece of code, with its line breaks.
    fn code_text(&self, node: NodeId) -> String {
        let document = self.document;
        let mut code = String::new();
        let mut inner = node + 1;
        let mut line_due = false;
        let mut line_ends: Vec<NodeId> = Vec::new();
        // Pieces of code that stand one behind another and in no other text have lines of their own.
        let has_pieces = document.tag(node) == Tag::Pre
            && document
                .children(node)
                .all(|child| document.tag(child) != Tag::Text || document.is_space(child));
        let mut piece_end = None;
        while inner < document.end(node) {
            while line_ends.last().is_some_and(|end| *end <= inner) {
                line_ends.pop();
                line_due = true;
            }
            let tag = document.tag(inner);
            let is_no_code = match tag {
                Tag::Button | Tag::Svg | Tag::Style | Tag::Script | Tag::Summary => true,
                Tag::Text => false,
                Tag::A if self.is_ornament(inner, tag) => true,
                _ => self.is_gutter(inner),
            };
            if is_no_code {
                inner = document.end(inner);
                continue;
            }
            if tag == Tag::Br {
                code.push('\n');
            } else if tag.is_block() && tag != Tag::Td {
                line_due = true;
                line_ends.push(document.end(inner));
            } else if tag == Tag::Code && has_pieces && document.parent(inner) == node {
                line_due |= piece_end == Some(inner);
                piece_end = Some(document.end(inner));
            } else if tag == Tag::Text {
                let text = document.text(inner);
                if std::mem::take(&mut line_due)
                    && !code.is_empty()
                    && !code.ends_with('\n')
                    && !text.starts_with('\n')
                {
                    code.push('\n');
                }
                code.push_str(text);
            }
            inner += 1;
        }
        if code.contains('\r') {
            code = code.replace("\r\n", "\n").replace('\r', "\n");
        }
        code
    }

    /// Writes lines of code.
    pub(super) fn code_block(&mut self, node: NodeId) {
        if self.is_numbers(node) {
            return;
        }
        let text = self.code_text(node);
        let code = text.strip_prefix('\n').unwrap_or(&text).trim_end();
        if code.trim().is_empty() {
            return self.end_block(Break::Blank);
        }
        if self.is_one_line() {
            let line = code.split_whitespace().collect::<Vec<_>>().join(" ");
            return self.code_span(&line);
        }
        self.end_block(Break::Blank);
        self.lines.flush();
        let fence = "`".repeat(longest_run(code).max(2) + 1);
        self.lines.out.markdown.push_str(&fence);
        let language = language(self.document, node).unwrap_or_default();
        self.lines.out.markdown.push_str(language);
        for line in code.split('\n') {
            if line.is_empty() {
                self.lines.empty_line();
            } else {
                self.lines.next_line(line);
            }
            if self.is_full() {
                break;
            }
        }
        self.lines.next_line(&fence);
        self.lines.out.text.push_str(code);
        self.lines.want(Break::Blank);
    }
}

/// The part of a class that is looked at.
fn head(class: &str) -> &str {
    &class[..class.floor_char_boundary(CLASS_BYTES_MAX)]
}

pub(super) fn names_gutter(class: &str) -> bool {
    let class = head(class);
    let bytes = class.as_bytes();
    memchr::memchr2_iter(b'g', b'l', bytes)
        .any(|at| GUTTERS.iter().any(|name| bytes[at..].starts_with(name)))
        || class
            .split_ascii_whitespace()
            // As Chroma and Crayon have it.
            .any(|word| matches!(word, "ln" | "lnt") || word.starts_with("crayon-num"))
}

/// Whether a style keeps an element out of what readers copy, as generators without classes do with their numbers.
fn is_unselectable(style: &str) -> bool {
    style.match_indices("user-select").any(|(at, name)| {
        let value = style[at + name.len()..].trim_ascii_start();
        value
            .strip_prefix(':')
            .is_some_and(|value| value.trim_ascii_start().starts_with("none"))
    })
}

/// Whether a link that leads to a number of the page has that for its text.
fn is_numbered_link(document: &Document<'_>, link: NodeId, target: &str) -> bool {
    let number = target.strip_prefix('#').unwrap_or_default();
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && document.text_content_up_to(link, number.len()) == number
}

/// What was last found of numbers, so that elements in elements are not looked through again and again: a text that is none,
/// and the nodes of an element that has nothing else.
#[derive(Default)]
pub(super) struct Numbers {
    other: Cell<Option<NodeId>>,
    alone: Cell<(NodeId, NodeId)>,
}

impl Numbers {
    /// Whether an element has nothing but numbers.
    fn are_alone_in(&self, document: &Document<'_>, node: NodeId) -> bool {
        let end = document.end(node);
        let (from, to) = self.alone.get();
        if from <= node && end <= to {
            return true;
        }
        if self.other.get().is_some_and(|at| (node..end).contains(&at)) {
            return false;
        }
        let is_other = |node: &NodeId| {
            let mut bytes = document.text(*node).bytes();
            !bytes.all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace())
        };
        let found = (node..end).find(is_other);
        match found {
            Some(_) => self.other.set(found),
            None => self.alone.set((node, end)),
        }
        found.is_none()
    }
}

impl Renderer<'_, '_> {
    /// Whether an element of a piece of code holds the numbers of lines: by its name, or by what else keeps numbers apart.
    fn is_gutter(&self, node: NodeId) -> bool {
        let document = self.document;
        document.attributes(node).any(|(name, value)| {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            match name.len() {
                4 => is("href") && is_numbered_link(document, node, value),
                5 => is("class") && names_gutter(value) || is("style") && is_unselectable(value),
                14 => is("data-nosnippet"),
                _ => false,
            }
        }) && self.numbers.are_alone_in(document, node)
    }

    /// Whether an element outside of preformatted text holds the numbers of lines of a listing that is made of other elements.
    /// Many things there are called lines or gutters and have a number, so that only the names that highlighters use count.
    pub(super) fn is_listing_gutter(&self, node: NodeId, tag: Tag) -> bool {
        let is_named = |class: &str| {
            class.split_ascii_whitespace().any(|word| {
                matches!(word, "lineno" | "linenr")
                    || word.starts_with("crayon-num")
                    || word == "gutter" && tag == Tag::Td
            })
        };
        self.document
            .raw_attribute(node, "class")
            .is_some_and(is_named)
            && self.numbers.are_alone_in(self.document, node)
    }

    /// Whether a block of code is nothing but the numbers of another one's lines.
    fn is_numbers(&self, node: NodeId) -> bool {
        std::iter::once(node)
            .chain(self.document.ancestors(node).take(2))
            .any(|above| {
                self.document
                    .raw_attribute(above, "class")
                    .is_some_and(names_gutter)
                    && self.numbers.are_alone_in(self.document, above)
            })
    }
}

/// The language that names around a block of code say it is in.
fn language<'d>(document: &Document<'d>, node: NodeId) -> Option<&'d str> {
    let inner = document
        .children(node)
        .find(|child| document.tag(*child) == Tag::Code);
    let around = document.ancestors(node).take(LEVELS).take_while(|above| {
        matches!(
            document.tag(*above),
            Tag::Div | Tag::Figure | Tag::Td | Tag::Tr | Tag::Tbody | Tag::Table
        )
    });
    let elements = inner.into_iter().chain(std::iter::once(node)).chain(around);
    elements
        .filter_map(|element| language_of(document, element))
        .next()
}

fn language_of<'d>(document: &Document<'d>, element: NodeId) -> Option<&'d str> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.len() <= LANGUAGE_BYTES_MAX
            && !matches!(
                *name,
                "none" | "plain" | "plaintext" | "default" | "highlight"
            )
            && name.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'#' | b'-' | b'_' | b'.')
            })
    };
    for name in ["data-lang", "data-language"] {
        if let Some(found) = document.raw_attribute(element, name).filter(is_name) {
            return Some(found);
        }
    }
    let class = head(document.raw_attribute(element, "class")?);
    if class.contains("rust-example-rendered") {
        return Some("rust");
    }
    let is_kept = class.contains("notranslate");
    let mut names = class
        .split([' ', '\t', '\n', ';', ','])
        .take(CLASS_WORDS_MAX);
    while let Some(name) = names.next() {
        let after = [
            "language-",
            "lang-",
            "highlight-source-",
            "highlight-text-",
            "brush:",
        ]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
        let found = match (after, name) {
            // Such a name may stand before one with a prefix as well.
            (Some(""), _) | (None, "sourceCode" | "hljs" | "src") => names.next().map(|next| {
                let name = next.strip_prefix("language-");
                name.or_else(|| next.strip_prefix("lang-")).unwrap_or(next)
            }),
            (Some(after), _) => Some(after),
            // As Sphinx has it: `highlight-python notranslate`.
            (None, _) if is_kept => name.strip_prefix("highlight-"),
            _ => None,
        };
        if let Some(found) = found
            .map(|name| name.strip_prefix("src-").unwrap_or(name))
            .filter(is_name)
        {
            return Some(found);
        }
    }
    None
}
