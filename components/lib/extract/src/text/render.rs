//! The one renderer: kept text nodes in, text and Markdown out of the same walk, so that the two agree.

mod inline;
mod table;

use url::Url;

use super::blocks::is_silent;
use crate::dom::{Document, NodeId, Tag};
use inline::Inline;

/// What is rendered.
pub(crate) struct Selection<'a> {
    /// For each node, whether its text is kept; elements carry whether their subtree keeps any.
    pub(crate) kept: &'a [bool],
    /// What relative links are resolved against.
    pub(crate) base: Option<&'a Url>,
    /// Bytes of text after which rendering stops.
    pub(crate) text_bytes_max: usize,
}

/// Both forms of the kept text.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) markdown: String,
    /// Whether the limit of bytes cut it.
    pub(crate) is_cut: bool,
}

/// Renders the kept nodes of the subtree of `root`.
pub(crate) fn render(document: &Document<'_>, root: NodeId, selection: &Selection<'_>) -> Rendered {
    let mut renderer = Renderer {
        document,
        selection,
        out: Rendered::default(),
        pending: Break::None,
        open: Vec::new(),
        prefixes: Vec::new(),
        inline: Inline::new(document, selection.base),
        counters: Vec::new(),
        quotes_before: 0,
        marker: None,
    };
    renderer.walk(root, document.end(root));
    renderer.out
}

/// What has to stand before the next text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    None,
    Space,
    /// A line break that the page asks for.
    Hard,
    Line,
    Blank,
}

/// What every line in a quote or a list item starts with.
#[derive(Clone, Copy, Debug)]
enum Prefix {
    Quote,
    Item { indent: u8 },
}

struct Renderer<'a, 'd> {
    document: &'a Document<'d>,
    selection: &'a Selection<'a>,
    out: Rendered,
    pending: Break,
    /// Open elements that have something to undo, with their ends.
    open: Vec<(NodeId, NodeId)>,
    prefixes: Vec<Prefix>,
    inline: Inline<'a, 'd>,
    /// The open ordered lists and the number of their next item.
    counters: Vec<(NodeId, u32)>,
    /// Quotes around the line before.
    quotes_before: usize,
    /// The bullet or number that the next text starts with.
    marker: Option<String>,
}

impl Renderer<'_, '_> {
    fn walk(&mut self, from: NodeId, to: NodeId) {
        let mut node = from;
        while node < to {
            while let Some((element, end)) = self.open.last().copied()
                && end <= node
            {
                self.open.pop();
                self.leave(element);
            }
            let tag = self.document.tag(node);
            if tag == Tag::Text {
                if self.selection.kept[node as usize] {
                    self.text(node);
                } else if self.pending == Break::None {
                    self.pending = Break::Space;
                }
            } else if is_silent(tag)
                || !self.selection.kept[node as usize]
                    && !matches!(tag, Tag::Br | Tag::Img | Tag::Hr)
            {
                self.skip(tag);
                node = self.document.end(node);
                continue;
            } else if tag == Tag::Table && table::is_data(self.document, node) {
                self.table(node);
                node = self.document.end(node);
                continue;
            } else {
                self.enter(node, tag);
                if self.document.end(node) > node + 1 {
                    self.open.push((node, self.document.end(node)));
                }
            }
            if self.out.text.len() > self.selection.text_bytes_max {
                self.out.is_cut = true;
                break;
            }
            node += 1;
        }
        while let Some((element, _)) = self.open.pop() {
            self.leave(element);
        }
    }

    fn skip(&mut self, tag: Tag) {
        self.pending = self.pending.max(if tag.is_block() {
            Break::Line
        } else {
            Break::Space
        });
    }

    fn break_for(tag: Tag) -> Break {
        match tag {
            Tag::Li | Tag::Tr | Tag::Dt | Tag::Dd | Tag::Option => Break::Line,
            Tag::Td | Tag::Th => Break::Space,
            _ => Break::Blank,
        }
    }

    fn enter(&mut self, node: NodeId, tag: Tag) {
        match tag {
            Tag::Br => {
                self.pending = if self.pending == Break::Hard {
                    Break::Blank
                } else {
                    self.pending.max(Break::Hard)
                }
            }
            Tag::Img => self.image(node),
            Tag::Blockquote => {
                self.end_block(Break::Blank);
                self.prefixes.push(Prefix::Quote);
            }
            Tag::Li => {
                self.end_block(Break::Line);
                let marker = self.list_marker(node);
                self.prefixes.push(Prefix::Item {
                    indent: marker.len() as u8,
                });
                self.marker = Some(marker);
            }
            Tag::Ul | Tag::Ol => {
                let start = self
                    .document
                    .raw_attribute(node, "start")
                    .and_then(|start| start.trim().parse().ok());
                if tag == Tag::Ol {
                    self.counters.push((node, start.unwrap_or(1)));
                }
                self.end_block(if self.is_nested_list() {
                    Break::Line
                } else {
                    Break::Blank
                });
            }
            Tag::Pre | Tag::Listing | Tag::Xmp => self.start_code(node),
            _ if tag.is_block() || matches!(tag, Tag::Button | Tag::Label) => {
                self.end_block(Self::break_for(tag));
            }
            _ => self.inline.enter(node, tag),
        }
    }

    fn leave(&mut self, node: NodeId) {
        let tag = self.document.tag(node);
        match tag {
            Tag::Blockquote => {
                self.end_block(Break::Blank);
                self.prefixes.pop();
            }
            Tag::Li => {
                self.end_block(Break::Line);
                self.prefixes.pop();
                self.marker = None;
            }
            Tag::Ul | Tag::Ol => {
                self.counters.retain(|(list, _)| *list != node);
                self.end_block(if self.is_nested_list() {
                    Break::Line
                } else {
                    Break::Blank
                });
            }
            Tag::Pre | Tag::Listing | Tag::Xmp => self.end_code(),
            _ if tag.is_block() || matches!(tag, Tag::Button | Tag::Label) => {
                self.end_block(Self::break_for(tag))
            }
            _ => self.inline.leave(node, &mut self.out.markdown),
        }
    }

    /// `- `, or the item's number in an ordered list.
    fn list_marker(&mut self, item: NodeId) -> String {
        let list = self.document.parent(item);
        match self.counters.last_mut() {
            Some((open, next)) if *open == list => {
                let marker = format!("{next}. ");
                *next = next.saturating_add(1);
                marker
            }
            _ => "- ".to_owned(),
        }
    }

    fn is_nested_list(&self) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| matches!(prefix, Prefix::Item { .. }))
    }

    fn end_block(&mut self, separator: Break) {
        self.inline.close_all(&mut self.out.markdown);
        // An item's first block stands beside its marker.
        let separator = if self.marker.is_some() {
            separator.min(Break::Line)
        } else {
            separator
        };
        self.pending = self.pending.max(separator);
    }

    fn text(&mut self, node: NodeId) {
        let text = self.document.text(node);
        if self.inline.in_code_block {
            self.flush(false);
            self.out.text.push_str(text);
            self.out.markdown.push_str(text);
            return;
        }
        for (at, word) in text
            .split(|character: char| character.is_whitespace())
            .enumerate()
        {
            if at > 0 {
                self.pending = self.pending.max(Break::Space);
            }
            if !word.is_empty() {
                self.flush(true);
                self.inline.open_all(&mut self.out.markdown);
                self.out.text.push_str(word);
                inline::push_escaped(word, self.inline.in_code(), &mut self.out.markdown);
            }
        }
    }

    /// Writes the pending break, the prefixes of a new line and a heading's or item's marker.
    fn flush(&mut self, may_space: bool) {
        let pending = std::mem::replace(&mut self.pending, Break::None);
        let is_first = self.out.text.is_empty();
        if pending == Break::None && !is_first && self.marker.is_none() {
            return;
        }
        if pending == Break::Space && !is_first && self.marker.is_none() {
            if may_space {
                self.out.markdown.push(' ');
                self.out.text.push(' ');
            }
            return;
        }
        if !is_first {
            self.new_line(pending);
        }
        self.line_start();
        if let Some(level) = self.heading_level() {
            self.out
                .markdown
                .extend(std::iter::repeat_n('#', usize::from(level)));
            self.out.markdown.push(' ');
        }
    }

    fn new_line(&mut self, pending: Break) {
        if pending == Break::Hard {
            self.inline.close_all(&mut self.out.markdown);
            self.out.markdown.push_str("  ");
        }
        self.out.text.push('\n');
        self.out.markdown.push('\n');
        if pending == Break::Blank {
            // A blank line belongs to a quote when the lines on both sides do.
            let quotes = self.quotes().min(self.quotes_before);
            self.out.markdown.extend(std::iter::repeat_n('>', quotes));
            self.out.text.push('\n');
            self.out.markdown.push('\n');
        }
    }

    fn quotes(&self) -> usize {
        self.prefixes
            .iter()
            .filter(|prefix| matches!(prefix, Prefix::Quote))
            .count()
    }

    fn line_start(&mut self) {
        self.quotes_before = self.quotes();
        let marker = self.marker.take();
        let last = self.prefixes.len();
        let mut indent_text = 0;
        for (at, prefix) in self.prefixes.iter().enumerate() {
            match (prefix, &marker) {
                (Prefix::Quote, _) => self.out.markdown.push_str("> "),
                (Prefix::Item { .. }, Some(marker)) if at + 1 == last => {
                    self.out.text.extend(std::iter::repeat_n(' ', indent_text));
                    self.out.text.push_str(marker);
                    self.out.markdown.push_str(marker);
                }
                (Prefix::Item { indent }, _) => {
                    self.out
                        .markdown
                        .extend(std::iter::repeat_n(' ', usize::from(*indent)));
                    indent_text += usize::from(*indent);
                }
            }
        }
    }

    fn heading_level(&self) -> Option<u8> {
        self.open
            .iter()
            .rev()
            .find_map(|(element, _)| self.document.tag(*element).heading_level())
    }

    fn start_code(&mut self, node: NodeId) {
        self.end_block(Break::Blank);
        self.flush(false);
        let class = self
            .document
            .raw_attribute(node, "class")
            .unwrap_or_default();
        let inner = self
            .document
            .children(node)
            .find(|child| self.document.tag(*child) == Tag::Code);
        let inner_class = inner
            .and_then(|code| self.document.raw_attribute(code, "class"))
            .unwrap_or_default();
        let language = [class, inner_class]
            .into_iter()
            .flat_map(str::split_ascii_whitespace)
            .find_map(|name| {
                name.strip_prefix("language-")
                    .or_else(|| name.strip_prefix("lang-"))
            });
        self.out.markdown.push_str("```");
        self.out.markdown.push_str(language.unwrap_or_default());
        self.out.markdown.push('\n');
        self.inline.in_code_block = true;
    }

    fn end_code(&mut self) {
        self.inline.in_code_block = false;
        self.out
            .text
            .truncate(self.out.text.trim_end_matches('\n').len());
        if !self.out.markdown.ends_with('\n') {
            self.out.markdown.push('\n');
        }
        self.out.markdown.push_str("```");
        self.pending = Break::Blank;
    }

    /// Images stand in the Markdown only, where text around them was kept.
    fn image(&mut self, node: NodeId) {
        let parent = self.document.parent(node) as usize;
        if !self.selection.kept[parent] || self.out.text.is_empty() || self.inline.in_code_block {
            return;
        }
        let alt = self.document.attribute(node, "alt").unwrap_or_default();
        let source = self.document.attribute(node, "src").unwrap_or_default();
        if alt.trim().is_empty() || source.is_empty() || source.starts_with("data:") {
            return;
        }
        let markdown = &mut self.out.markdown;
        self.inline.close_all(markdown);
        markdown.push_str(if self.pending >= Break::Line {
            "\n\n!["
        } else {
            " !["
        });
        inline::push_escaped(
            alt.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .as_str(),
            false,
            markdown,
        );
        markdown.push_str("](");
        inline::push_target(&source, self.selection.base, markdown);
        markdown.push(')');
        if self.pending == Break::None {
            self.pending = Break::Space;
        }
    }

    fn table(&mut self, node: NodeId) {
        self.end_block(Break::Blank);
        let rows = table::rows(self.document, node);
        let mut is_first = true;
        for cells in rows {
            let rendered: Vec<Rendered> = cells
                .iter()
                .map(|cell| render_cell(self.document, *cell, self.selection))
                .collect();
            if rendered.iter().all(|cell| cell.text.is_empty()) {
                continue;
            }
            self.flush(false);
            table::push_row(&rendered, is_first, &mut self.out);
            is_first = false;
            self.pending = Break::Line;
            if self.out.text.len() > self.selection.text_bytes_max {
                break;
            }
        }
        self.pending = Break::Blank;
    }
}

/// A cell's text on one line.
fn render_cell(document: &Document<'_>, cell: NodeId, selection: &Selection<'_>) -> Rendered {
    let mut rendered = render(document, cell, selection);
    rendered.text = rendered
        .text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    rendered.markdown = rendered
        .markdown
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|");
    rendered
}

/// Plain text as Markdown paragraphs.
pub(crate) fn escaped_paragraphs(text: &str) -> String {
    let mut markdown = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !markdown.is_empty() {
            markdown.push_str("\n\n");
        }
        for (at, word) in line.split_whitespace().enumerate() {
            if at > 0 {
                markdown.push(' ');
            }
            inline::push_escaped(word, false, &mut markdown);
        }
    }
    markdown
}
