//! Inline marks of Markdown: emphasis, code, links.

use url::Url;

use crate::dom::{Document, NodeId, Tag};

/// Addresses longer than this are data, not addresses.
const TARGET_BYTES_MAX: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Strong,
    Emphasis,
    Code,
    Strike,
    Link,
}

/// The open inline elements; a mark is written when the first text in it is, and closed at the block's end.
pub(super) struct Inline<'a, 'd> {
    document: &'a Document<'d>,
    base: Option<&'a Url>,
    marks: Vec<(NodeId, Mark, bool)>,
    pub(super) in_code_block: bool,
}

impl<'a, 'd> Inline<'a, 'd> {
    pub(super) fn new(document: &'a Document<'d>, base: Option<&'a Url>) -> Self {
        Inline {
            document,
            base,
            marks: Vec::new(),
            in_code_block: false,
        }
    }

    pub(super) fn enter(&mut self, node: NodeId, tag: Tag) {
        let mark = match tag {
            Tag::B | Tag::Strong => Mark::Strong,
            Tag::I | Tag::Em => Mark::Emphasis,
            Tag::Code | Tag::Kbd | Tag::Samp | Tag::Tt => Mark::Code,
            Tag::Del | Tag::S | Tag::Strike => Mark::Strike,
            Tag::A
                if is_target(
                    self.document
                        .raw_attribute(node, "href")
                        .unwrap_or_default(),
                ) =>
            {
                Mark::Link
            }
            _ => return,
        };
        let is_doubled = self.marks.iter().any(|(_, open, _)| *open == mark);
        if !self.in_code_block && !self.in_code() && !is_doubled {
            self.marks.push((node, mark, false));
        }
    }

    pub(super) fn leave(&mut self, node: NodeId, markdown: &mut String) {
        if self.marks.last().is_some_and(|(open, _, _)| *open == node) {
            self.close_from(self.marks.len() - 1, markdown);
            self.marks.pop();
        }
    }

    pub(super) fn in_code(&self) -> bool {
        self.marks.iter().any(|(_, mark, _)| *mark == Mark::Code)
    }

    /// Writes the opening of every mark that has none yet.
    pub(super) fn open_all(&mut self, markdown: &mut String) {
        for (_, mark, is_open) in &mut self.marks {
            if !*is_open {
                *is_open = true;
                markdown.push_str(match mark {
                    Mark::Strong => "**",
                    Mark::Emphasis => "*",
                    Mark::Code => "`",
                    Mark::Strike => "~~",
                    Mark::Link => "[",
                });
            }
        }
    }

    /// Closes what is open; the marks open again at the next text in them.
    pub(super) fn close_all(&mut self, markdown: &mut String) {
        self.close_from(0, markdown);
    }

    fn close_from(&mut self, from: usize, markdown: &mut String) {
        for (node, mark, is_open) in self.marks[from..].iter_mut().rev() {
            if !std::mem::take(is_open) {
                continue;
            }
            match mark {
                Mark::Strong => markdown.push_str("**"),
                Mark::Emphasis => markdown.push('*'),
                Mark::Code => markdown.push('`'),
                Mark::Strike => markdown.push_str("~~"),
                Mark::Link => {
                    markdown.push_str("](");
                    push_target(
                        &self.document.attribute(*node, "href").unwrap_or_default(),
                        self.base,
                        markdown,
                    );
                    markdown.push(')');
                }
            }
        }
    }
}

/// Whether an address leads anywhere.
fn is_target(target: &str) -> bool {
    let target = target.trim();
    let scheme = target.as_bytes().get(..11).unwrap_or_default();
    !target.is_empty()
        && target.len() <= TARGET_BYTES_MAX
        && !target.starts_with('#')
        && !scheme.eq_ignore_ascii_case(b"javascript:")
}

/// Writes an address, absolute when it can be made so, with what would end the link escaped.
pub(super) fn push_target(target: &str, base: Option<&Url>, markdown: &mut String) {
    let target = target.trim();
    let joined = base.and_then(|base| base.join(target).ok());
    for character in joined.as_ref().map_or(target, Url::as_str).chars() {
        match character {
            ' ' => markdown.push_str("%20"),
            '(' => markdown.push_str("%28"),
            ')' => markdown.push_str("%29"),
            '<' => markdown.push_str("%3C"),
            '>' => markdown.push_str("%3E"),
            control if control.is_control() => {}
            other => markdown.push(other),
        }
    }
}

/// Writes a word so that Markdown reads it as text.
pub(super) fn push_escaped(word: &str, in_code: bool, markdown: &mut String) {
    if in_code {
        markdown.extend(
            word.chars()
                .map(|character| if character == '`' { '\'' } else { character }),
        );
        return;
    }
    if !word.bytes().any(|byte| {
        matches!(
            byte,
            b'\\' | b'`' | b'*' | b'_' | b'[' | b']' | b'<' | b'#' | b'>' | b'+' | b'-' | b'~'
        )
    }) {
        markdown.push_str(word);
        return;
    }
    let at_line_start = markdown.is_empty() || markdown.ends_with('\n');
    if at_line_start && matches!(word, "-" | "+" | ">" | "#" | "##" | "###") {
        markdown.push('\\');
    }
    let mut characters = word.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let is_edge = at == 0 || characters.peek().is_none();
        let is_mark = matches!(character, '\\' | '`' | '*' | '[' | ']' | '<')
            || (character == '_' && is_edge);
        if is_mark {
            markdown.push('\\');
        }
        markdown.push(character);
    }
}
