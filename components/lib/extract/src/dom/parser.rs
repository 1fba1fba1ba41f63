//! The tokenizer: one pass over the bytes that hands tags and text to the tree builder.

mod tree;

use std::ops::Range;

use super::tag::NAME_BYTES_MAX;
use super::{Attribute, Cut, Document, Limits, Syntax, Tag, entities, raw};
use crate::octets::{self, MARKS, SMALL, Words};
use tree::Tree;

#[inline(never)]
pub(super) fn parse<'a>(html: &'a str, syntax: Syntax, limits: &Limits) -> Document<'a> {
    let mut end = html.len().min(limits.bytes_max).min(u32::MAX as usize);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    let mut parser = Parser {
        source: &html[..end],
        at: 0,
        decoded: String::new(),
        tree: Tree::new(end / 24, syntax, limits),
        attributes: Vec::with_capacity(end / 48),
        attributes_max: limits.attributes_max,
        cut: (end < html.len()).then_some(Cut::Bytes),
    };
    parser.run();
    let (nodes, tree_cut) = parser.tree.finish();
    Document {
        source: html,
        nodes,
        attributes: parser.attributes,
        decoded: parser.decoded,
        cut: parser.cut.or(tree_cut),
    }
}

/// What begins characters in which nothing is markup.
const CDATA: &[u8] = b"<![CDATA[";

struct Parser<'a> {
    source: &'a str,
    at: usize,
    decoded: String,
    tree: Tree,
    attributes: Vec<Attribute>,
    attributes_max: usize,
    cut: Option<Cut>,
}

/// What a byte means in a tag, as bits: a look at a table takes no jump in WASM.
mod byte {
    pub(super) const SPACE: u8 = 1;
    pub(super) const ENDS_NAME: u8 = 1 << 1;
    pub(super) const ENDS_ATTRIBUTE_NAME: u8 = 1 << 2;
    pub(super) const ENDS_VALUE: u8 = 1 << 3;
    pub(super) static KINDS: [u8; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = match byte as u8 {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0C => {
                    SPACE | ENDS_NAME | ENDS_ATTRIBUTE_NAME | ENDS_VALUE
                }
                b'/' => ENDS_NAME | ENDS_ATTRIBUTE_NAME,
                b'>' => ENDS_NAME | ENDS_ATTRIBUTE_NAME | ENDS_VALUE,
                b'=' => ENDS_ATTRIBUTE_NAME,
                _ => 0,
            };
            byte += 1;
        }
        table
    };
}

fn is(byte: u8, kind: u8) -> bool {
    byte::KINDS[usize::from(byte)] & kind != 0
}

/// The bytes up to one of this kind, or to the end.
fn up_to(bytes: &[u8], kind: u8) -> usize {
    bytes
        .iter()
        .position(|byte| is(*byte, kind))
        .unwrap_or(bytes.len())
}

/// The length of the name at the start.
pub(super) fn name_length(bytes: &[u8]) -> usize {
    up_to(bytes, byte::ENDS_NAME)
}

fn is_space(byte: u8) -> bool {
    is(byte, byte::SPACE)
}

impl Parser<'_> {
    fn run(&mut self) {
        let bytes = self.source.as_bytes();
        while self.at < bytes.len() && !self.tree.is_full() {
            let tag_at = memchr::memchr(b'<', &bytes[self.at..])
                .map_or(bytes.len(), |offset| self.at + offset);
            if tag_at > self.at {
                self.text(self.at, tag_at);
            }
            self.at = tag_at;
            match bytes.get(tag_at + 1) {
                None if tag_at == bytes.len() => {}
                Some(byte) if byte.is_ascii_alphabetic() => self.start_tag(),
                Some(b'/') => self.end_tag(),
                Some(b'!') => self.declaration(),
                Some(b'?') => self.skip_past(b'>'),
                _ => {
                    self.text(tag_at, tag_at + 1);
                    self.at = tag_at + 1;
                }
            }
        }
    }

    fn skip_past(&mut self, byte: u8) {
        let bytes = self.source.as_bytes();
        self.at = memchr::memchr(byte, &bytes[self.at..])
            .map_or(bytes.len(), |offset| self.at + offset + 1);
    }

    /// Comments, doctypes and CDATA sections, of which the last have text to keep in XHTML.
    fn declaration(&mut self) {
        let rest = &self.source.as_bytes()[self.at..];
        if rest.starts_with(b"<!--") {
            // `<!-->` and `<!--->` are whole comments.
            let body = &rest[4..];
            let length = if body.starts_with(b">") {
                Some(1)
            } else if body.starts_with(b"->") {
                Some(2)
            } else {
                comment_length(body)
            };
            self.at = length.map_or(self.source.len(), |length| self.at + 4 + length);
        } else if self.tree.in_foreign() && rest.starts_with(CDATA) {
            let end = memchr::memmem::find(rest, b"]]>").map_or(rest.len(), |offset| offset + 3);
            self.at += end;
        } else if self.tree.is_xhtml() && rest.starts_with(CDATA) {
            let start = self.at + CDATA.len();
            let length = memchr::memmem::find(&rest[CDATA.len()..], b"]]>");
            let end = length.map_or(self.source.len(), |length| start + length);
            if end > start {
                let is_space = octets::are_space(&self.source.as_bytes()[start..end]);
                self.tree
                    .text(start as u32, (end - start) as u32, false, is_space);
            }
            self.at = self.source.len().min(end + 3);
        } else {
            self.skip_past(b'>');
        }
    }

    fn end_tag(&mut self) {
        let bytes = self.source.as_bytes();
        let name_at = self.at + 2;
        if !bytes.get(name_at).is_some_and(u8::is_ascii_alphabetic) {
            self.skip_past(b'>');
            return;
        }
        let (tag, _) = self.tag_name(name_at);
        // An end tag has attributes only by mistake; a `>` in them is not worth a state machine.
        self.skip_past(b'>');
        self.tree.end_tag(tag, name_at as u32);
    }

    /// The tag whose name starts here, and the name's end.
    fn tag_name(&self, start: usize) -> (Tag, usize) {
        let bytes = self.source.as_bytes();
        // Nearly all names are short, and have letters and digits alone.
        let eight = octets::at(bytes, start);
        let length = octets::before(!Words::of(eight).all & MARKS);
        if length < 8
            && bytes
                .get(start + length)
                .is_none_or(|end| is(*end, byte::ENDS_NAME))
        {
            let name = octets::first(eight | SMALL, length);
            return (Tag::from_eight(name, length), start + length);
        }
        let length = name_length(&bytes[start..]);
        let mut name = [0u8; NAME_BYTES_MAX + 1];
        for (small, byte) in name.iter_mut().zip(&bytes[start..start + length]) {
            *small = byte.to_ascii_lowercase();
        }
        (Tag::from_padded(name, length), start + length)
    }

    fn start_tag(&mut self) {
        let name_at = self.at + 1;
        let (tag, name_end) = self.tag_name(name_at);
        let first_attribute = self.attributes.len();
        self.at = name_end;
        let Some(is_self_closing) = self.attributes(first_attribute) else {
            // The page ends inside of the tag, which drops it.
            self.attributes.truncate(first_attribute);
            self.at = self.source.len();
            return;
        };
        let range = (
            first_attribute as u32,
            (self.attributes.len() - first_attribute) as u32,
        );
        let foreign = self.tree.closed_to_html();
        if foreign.is_some() && self.ends_foreign(tag, name_at..name_end, first_attribute) {
            self.tree.leave_foreign();
        }
        let opened = self
            .tree
            .start_tag(tag, range, name_at as u32, is_self_closing);
        if opened && tag.is_raw() {
            self.raw_text(tag);
        } else if opened && let (Tag::Other, Some(foreign)) = (tag, foreign) {
            if self.admits_html(foreign, name_at..name_end, first_attribute) {
                self.tree.admit_html();
            }
        } else if opened && tag == Tag::Template && self.is_shadow_root(first_attribute) {
            self.tree.reveal_template();
        }
    }

    /// Whether a start tag in SVG or MathML is HTML that stands there by mistake (HTML, 13.2.6.5).
    fn ends_foreign(&self, tag: Tag, name: Range<usize>, first_attribute: usize) -> bool {
        match tag {
            // SVG has one of that name.
            Tag::Font => self.has_attribute(first_attribute, &["color", "face", "size"], &[]),
            Tag::Other => is_any(&self.source[name], &["nobr", "ruby"]),
            _ => tag.ends_foreign(),
        }
    }

    /// Whether HTML may stand in an element of SVG or MathML (HTML, 13.2.6, "integration points"). A further one of SVG,
    /// `title`, is raw here.
    fn admits_html(&self, foreign: Tag, name: Range<usize>, first_attribute: usize) -> bool {
        const HTML: [&str; 2] = ["text/html", "application/xhtml+xml"];
        let name = &self.source[name];
        if foreign == Tag::Svg {
            return is_any(name, &["foreignObject", "desc"]);
        }
        is_any(name, &["mi", "mo", "mn", "ms", "mtext"])
            || is_any(name, &["annotation-xml"])
                && self.has_attribute(first_attribute, &["encoding"], &HTML)
    }

    /// Whether the template that was just read is what its parent shows in its place.
    fn is_shadow_root(&self, first_attribute: usize) -> bool {
        let names = ["shadowrootmode", "shadowroot"];
        self.has_attribute(first_attribute, &names, &["open", "closed"])
    }

    /// Whether the tag that was just read has an attribute with one of these names and of these values, if there are any.
    fn has_attribute(&self, first_attribute: usize, names: &[&str], values: &[&str]) -> bool {
        let range = |at: u32, length: usize| &self.source[at as usize..at as usize + length];
        self.attributes[first_attribute..].iter().any(|attribute| {
            let name = range(attribute.name, usize::from(attribute.name_len));
            let value = range(attribute.value, attribute.value_len as usize);
            is_any(name, names) && (values.is_empty() || is_any(value, values))
        })
    }

    /// The content of an element that ends only at its own end tag.
    fn raw_text(&mut self, tag: Tag) {
        let bytes = self.source.as_bytes();
        let start = self.at;
        let name = tag.name().as_bytes();
        let found = raw::end(&bytes[start..], name, self.tree.in_noscript());
        let end = found.map_or(bytes.len(), |found| start + found.at);
        self.at = end;
        if end > start {
            if matches!(tag, Tag::Title | Tag::Textarea) {
                self.text(start, end);
            } else {
                self.tree
                    .text(start as u32, (end - start) as u32, false, false);
            }
        }
        if found.is_some_and(|found| found.is_own) {
            self.skip_past(b'>');
        }
        self.tree.end_tag(tag, start as u32);
    }

    fn text(&mut self, start: usize, end: usize) {
        let text = &self.source[start..end];
        let is_space = octets::are_space(text.as_bytes());
        if memchr::memchr(b'&', text.as_bytes()).is_some() {
            let from = self.decoded.len();
            entities::decode_into(text, false, &mut self.decoded);
            self.tree.text(
                from as u32,
                (self.decoded.len() - from) as u32,
                true,
                is_space,
            );
        } else {
            self.tree
                .text(start as u32, (end - start) as u32, false, is_space);
        }
    }

    /// Reads attributes up to the tag's `>`: whether the tag closes itself, or nothing when the page ends first.
    #[inline(never)]
    fn attributes(&mut self, first: usize) -> Option<bool> {
        let bytes = self.source.as_bytes();
        loop {
            while bytes.get(self.at).is_some_and(|byte| is_space(*byte)) {
                self.at += 1;
            }
            match bytes.get(self.at)? {
                b'>' => {
                    self.at += 1;
                    return Some(false);
                }
                b'/' => {
                    self.at += 1;
                    if bytes.get(self.at) == Some(&b'>') {
                        self.at += 1;
                        return Some(true);
                    }
                }
                _ => self.attribute(first)?,
            }
        }
    }

    fn attribute(&mut self, first: usize) -> Option<()> {
        let bytes = self.source.as_bytes();
        let name = self.at;
        // A leading `=` belongs to the name.
        self.at += 1;
        self.at += up_to(&bytes[self.at..], byte::ENDS_ATTRIBUTE_NAME);
        let name_len = self.at - name;
        let after_name = self.at;
        while bytes.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
        let (mut value, mut value_len) = (self.at, 0);
        if bytes.get(self.at) == Some(&b'=') {
            self.at += 1;
            while bytes.get(self.at).is_some_and(|byte| is_space(*byte)) {
                self.at += 1;
            }
            value = self.at;
            match bytes.get(self.at)? {
                quote @ (b'"' | b'\'') => {
                    value += 1;
                    value_len = memchr::memchr(*quote, &bytes[value..])?;
                    self.at = value + value_len + 1;
                }
                b'>' => {}
                _ => {
                    value_len = up_to(&bytes[value..], byte::ENDS_VALUE);
                    self.at = value + value_len;
                }
            }
        } else {
            self.at = after_name;
        }
        if self.attributes.len() - first >= self.attributes_max {
            self.cut = self.cut.or(Some(Cut::Attributes));
        } else if let Ok(name_len) = u16::try_from(name_len) {
            self.attributes.push(Attribute {
                name: name as u32,
                name_len,
                value: value as u32,
                value_len: value_len as u32,
            });
        }
        Some(())
    }
}

/// Whether a word is one of these, whatever its case.
fn is_any(word: &str, known: &[&str]) -> bool {
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The bytes up to and with the end of a comment, `-->` or `--!>`.
fn comment_length(body: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memmem::find(&body[from..], b"--")?;
        let rest = &body[at + 2..];
        if rest.starts_with(b">") {
            return Some(at + 3);
        }
        if rest.starts_with(b"!>") {
            return Some(at + 4);
        }
        from = at + 1;
    }
}
