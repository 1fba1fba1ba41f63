//! The one renderer: kept text nodes in, text and Markdown out of the same walk, so that the two agree.

mod code;
mod escape;
mod fence;
mod heading;
mod image;
mod inline;
mod lines;
mod math;
#[cfg(test)]
mod round_trip_tests;
mod table;
mod target;

use trawl_core::limits::text::MARKDOWN_BYTES_MAX;
use url::Url;

use crate::dom::{Document, NodeId, Tag};
pub(crate) use escape::escaped_paragraphs;
pub(crate) use heading::Around;
pub(crate) use image::mark as mark_images;
use inline::Inline;
use lines::{Break, Lines};

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
    rendered(document, root, selection, false)
}

fn rendered(
    document: &Document<'_>,
    root: NodeId,
    selection: &Selection<'_>,
    is_cell: bool,
) -> Rendered {
    let mut renderer = Renderer {
        document,
        selection,
        lines: Lines::new(is_cell),
        open: Vec::new(),
        inline: Inline::new(document, selection.base),
        lists: Vec::new(),
        list_ended: None,
        heading: None,
        code_ended: None,
        numbers: code::Numbers::default(),
        picture: None,
        terms_ended: None,
    };
    renderer.walk(root, document.end(root));
    renderer.end_block(Break::None);
    renderer.lines.finish()
}

/// An open list.
struct List {
    node: NodeId,
    /// The number of the next item of an ordered list.
    next: Option<u32>,
    /// The sign of its items, another one than that of the list right before it, with which it would become one.
    sign: char,
    /// The width of the marker of its last item, and the length of the Markdown when the last one that shows ended.
    width: usize,
    item_ended: Option<usize>,
    /// It stands beside the items of another one and goes on with the last of them.
    is_in_item: bool,
}

/// The open heading.
struct Heading<'d> {
    around: Around<'d>,
    level: u8,
    /// Whether its marker stands.
    is_begun: bool,
}

struct Renderer<'a, 'd> {
    document: &'a Document<'d>,
    selection: &'a Selection<'a>,
    lines: Lines,
    /// Open elements that have something to undo, with their ends.
    open: Vec<(NodeId, NodeId)>,
    inline: Inline<'a, 'd>,
    lists: Vec<List>,
    /// The length of the Markdown and the sign of the list when the last one ended.
    list_ended: Option<(usize, char)>,
    heading: Option<Heading<'d>>,
    /// The last code span.
    code_ended: Option<code::Span>,
    numbers: code::Numbers,
    /// The `<picture>` that was last asked for its address, with the answer: each image in it asks.
    picture: Option<(NodeId, Option<String>)>,
    /// The length of the Markdown when the last term of a definition list ended.
    terms_ended: Option<usize>,
}

impl<'d> Renderer<'_, 'd> {
    fn walk(&mut self, from: NodeId, to: NodeId) {
        let mut node = from;
        while node < to {
            while let Some((element, end)) = self.open.last().copied()
                && end <= node
            {
                self.open.pop();
                self.leave(element);
            }
            node = self.visit(node);
            if self.is_full() {
                self.lines.out.is_cut = true;
                break;
            }
        }
        while let Some((element, _)) = self.open.pop() {
            self.leave(element);
        }
    }

    fn is_full(&self) -> bool {
        let out = &self.lines.out;
        out.text.len() > self.selection.text_bytes_max || out.markdown.len() > MARKDOWN_BYTES_MAX
    }

    /// Renders a node or enters it; the node to go on with.
    fn visit(&mut self, node: NodeId) -> NodeId {
        let (tag, end) = (self.document.tag(node), self.document.end(node));
        let is_kept = self.selection.kept[node as usize];
        if tag == Tag::Text {
            if is_kept {
                self.text(self.document.text(node));
            } else {
                self.lines.want(Break::Space);
            }
            return end;
        }
        let is_shown_empty = matches!(tag, Tag::Br | Tag::Img | Tag::Hr | Tag::Input | Tag::Wbr);
        if tag.is_silent() || !is_kept && !is_shown_empty || self.is_ornament(node, tag) {
            self.skip(node, tag);
            return end;
        }
        match tag {
            Tag::Table if !self.is_one_line() && self.table(node) => {}
            Tag::Pre | Tag::Listing | Tag::Xmp => self.code_block(node),
            Tag::Code | Tag::Kbd | Tag::Samp | Tag::Tt if self.code(node) => {}
            Tag::Math => self.math(node),
            Tag::Sup | Tag::Sub if self.script(node, tag) => {}
            _ => {
                self.enter(node, tag);
                if end > node + 1 {
                    self.open.push((node, end));
                }
                return node + 1;
            }
        }
        end
    }

    fn skip(&mut self, node: NodeId, tag: Tag) {
        if tag == Tag::Li
            && let Some(list) = self.lists.last_mut()
            && list.node == self.document.parent(node)
        {
            list.next = list.next.map(|next| next.saturating_add(1));
        }
        let is_break = tag.is_block() && !self.is_in_heading_line();
        if is_break {
            // A mark cannot go on behind an empty line.
            self.end_block(Break::Blank);
        } else {
            self.lines.want(Break::Space);
        }
    }

    /// Whether the line of a heading is begun, which is the only one it has.
    fn is_in_heading_line(&self) -> bool {
        self.heading.as_ref().is_some_and(|open| open.is_begun)
    }

    /// The signs that link to the place where they stand, the second form of a formula, the numbers of lines, and what can be
    /// done with a heading.
    fn is_ornament(&self, node: NodeId, tag: Tag) -> bool {
        match tag {
            Tag::A => {
                heading::is_permalink(self.document, node, self.around(), self.base())
                    || self.is_listing_gutter(node, tag)
            }
            Tag::Span => {
                let class = self.document.raw_attribute(node, "class");
                class == Some("mw-editsection")
                    || class == Some("katex-html") && math::is_repeated(self.document, node)
                    || class.is_some() && self.is_listing_gutter(node, tag)
            }
            Tag::Div | Tag::Td => self.is_listing_gutter(node, tag),
            Tag::Button => self
                .around()
                .is_some_and(|heading| heading.is_control(self.document, node)),
            _ => false,
        }
    }

    fn around(&self) -> Option<&Around<'d>> {
        self.heading.as_ref().map(|heading| &heading.around)
    }

    /// Whether a link of the open heading leads to that heading.
    fn is_own_link(&self, link: NodeId) -> bool {
        self.around()
            .is_some_and(|heading| heading.is_linked(self.document, link, self.base()))
    }

    fn base(&self) -> Option<&Url> {
        self.selection.base
    }

    fn enter(&mut self, node: NodeId, tag: Tag) {
        match tag {
            Tag::Br if self.heading.is_some() => self.lines.want(Break::Space),
            Tag::Br if self.lines.pending() == Break::Hard => self.end_block(Break::Blank),
            Tag::Br => self.lines.want(Break::Hard),
            Tag::Img => self.image(node),
            Tag::Hr => {
                self.end_block(Break::Blank);
                if self.heading.is_none() {
                    self.lines.rule();
                }
            }
            Tag::Input => self.checkbox(node),
            // The text of a heading that links to itself is no link.
            Tag::A if self.is_own_link(node) => {}
            Tag::Span if is_badge(self.document, node) => self.lines.want(Break::Space),
            Tag::Q => self.glyph("“", '“'),
            Tag::Blockquote => {
                self.end_block(Break::Blank);
                if !self.is_one_line() {
                    self.lines.open_quote();
                }
            }
            Tag::Li => self.item(node),
            Tag::Ul | Tag::Ol | Tag::Menu | Tag::Dir => self.list(node, tag),
            Tag::Dt => {
                let goes_on = self.terms_ended == Some(self.lines.out.markdown.len());
                self.end_block(if goes_on { Break::Hard } else { Break::Blank });
                self.inline.enter(node, tag);
            }
            Tag::Dd => self.end_block(Break::Hard),
            _ if tag.is_apart() => {
                self.end_block(break_for(tag));
                if let (Some(level), None) = (tag.heading_level(), &self.heading) {
                    self.heading = Some(Heading {
                        around: Around::new(node),
                        level,
                        is_begun: false,
                    });
                }
            }
            _ => self.inline.enter(node, tag),
        }
    }

    fn leave(&mut self, node: NodeId) {
        let tag = self.document.tag(node);
        match tag {
            Tag::Q => {
                let had_space = self.lines.unwant_space();
                self.glyph("”", '”');
                if had_space {
                    self.lines.want(Break::Space);
                }
            }
            Tag::Blockquote => {
                self.end_block(Break::Blank);
                if !self.is_one_line() {
                    self.lines.close_prefix();
                }
            }
            Tag::Li => self.leave_item(),
            Tag::Ul | Tag::Ol | Tag::Menu | Tag::Dir => self.leave_list(node),
            Tag::Dt => {
                self.inline.leave(node);
                self.end_block(Break::Hard);
                self.terms_ended = Some(self.lines.out.markdown.len());
            }
            Tag::Dd => self.end_block(Break::Hard),
            Tag::Span if is_badge(self.document, node) => self.lines.want(Break::Space),
            _ if tag.is_apart() => {
                if self
                    .heading
                    .as_ref()
                    .is_some_and(|open| open.around.heading() == node)
                {
                    self.heading = None;
                }
                self.end_block(break_for(tag));
            }
            _ => self.inline.leave(node),
        }
    }

    fn list(&mut self, node: NodeId, tag: Tag) {
        let start = self.document.raw_attribute(node, "start");
        let start = start.and_then(|start| start.trim().parse::<u32>().ok());
        let next = (tag == Tag::Ol).then(|| start.unwrap_or(1).min(NUMBER_MAX));
        let is_in_item = self.reopen_item(node);
        let is_nested = self.lines.in_item() || self.lines.is_cell;
        // Only a list that starts with 1 can stand right behind a paragraph.
        self.end_block(if is_nested && matches!(next, None | Some(1)) {
            Break::Line
        } else {
            Break::Blank
        });
        let signs = if tag == Tag::Ol {
            ['.', ')']
        } else {
            ['-', '*']
        };
        let follows = self.list_ended == Some((self.lines.out.markdown.len(), signs[0]));
        self.lists.push(List {
            node,
            next,
            sign: signs[usize::from(follows)],
            width: 0,
            item_ended: None,
            is_in_item,
        });
    }

    /// Goes on with the item that was written last, for a list that stands right behind it in the list of the item; whether it
    /// is one. Many pages put lists in lists so, and browsers show them below the item.
    fn reopen_item(&mut self, list: NodeId) -> bool {
        let Some(outer) = self.lists.last() else {
            return false;
        };
        let width = outer.width;
        let goes_on = outer.node == self.document.parent(list)
            && outer.item_ended == Some(self.lines.out.markdown.len())
            && !self.is_one_line();
        if goes_on {
            self.lines.reopen_item(width);
        }
        goes_on
    }

    fn leave_list(&mut self, node: NodeId) {
        let list = self.lists.pop_if(|list| list.node == node);
        if list.as_ref().is_some_and(|list| list.is_in_item) {
            self.end_block(Break::Line);
            self.lines.close_prefix();
            if let Some(outer) = self.lists.last_mut() {
                outer.item_ended = Some(self.lines.out.markdown.len());
            }
        } else {
            self.end_block(if self.lines.in_item() {
                Break::Line
            } else {
                Break::Blank
            });
        }
        if let Some(list) = list {
            self.list_ended = Some((self.lines.out.markdown.len(), list.sign));
        }
    }

    fn item(&mut self, node: NodeId) {
        self.end_block(Break::Line);
        if self.is_one_line() {
            return;
        }
        let value = self.document.raw_attribute(node, "value");
        let value = value.and_then(|value| value.trim().parse::<u32>().ok());
        let marker = match self.lists.last_mut() {
            Some(List {
                next: Some(next),
                sign,
                ..
            }) => {
                let number = value.unwrap_or(*next).min(NUMBER_MAX);
                *next = number.saturating_add(1);
                format!("{number}{sign} ")
            }
            Some(list) => format!("{} ", list.sign),
            None => "- ".to_owned(),
        };
        if let Some(list) = self.lists.last_mut() {
            list.width = marker.len();
        }
        self.lines.open_item(marker);
    }

    fn leave_item(&mut self) {
        self.end_block(Break::Line);
        if self.is_one_line() {
            return;
        }
        let is_shown = self.lines.close_prefix();
        let Some(list) = self.lists.last_mut() else {
            return;
        };
        if is_shown {
            list.item_ended = Some(self.lines.out.markdown.len());
        } else {
            // An empty item does not show, and so has no number either.
            list.next = list.next.map(|next| next.saturating_sub(1));
        }
    }

    /// Whether all that is rendered now goes into one line: a heading or a cell.
    fn is_one_line(&self) -> bool {
        self.lines.is_cell || self.heading.is_some()
    }

    /// The box of a task list.
    fn checkbox(&mut self, node: NodeId) {
        if self.document.raw_attribute(node, "type") == Some("checkbox") {
            let is_checked = self.document.raw_attribute(node, "checked").is_some();
            self.lines
                .extend_marker(if is_checked { "[x] " } else { "[ ] " });
        }
    }

    fn end_block(&mut self, wanted: Break) {
        if self.is_in_heading_line() && wanted >= Break::Hard {
            // Whatever stands in it.
            return self.lines.want(Break::Space);
        }
        if wanted != Break::Hard {
            self.inline.close_all(&mut self.lines);
        }
        self.lines.want(wanted);
    }

    fn text(&mut self, text: &str) {
        let mut rest = text;
        loop {
            let spaces = escape::spaces(rest);
            if spaces > 0 {
                self.lines.want(Break::Space);
            }
            let words = &rest[spaces..];
            if words.is_empty() {
                return;
            }
            let (word, after) = words.split_at(escape::first_word(words));
            let is_written = if !word.is_ascii() && word.contains(escape::is_invisible) {
                self.word(&word.replace(escape::is_invisible, ""))
            } else {
                self.word(word)
            };
            rest = if is_written { self.plain(after) } else { after };
        }
    }

    /// Writes the words that follow on a word of the same text, as far as they mean the same in both forms; what is left.
    ///
    /// No mark is due before them, and none of them is the first on its line, so that they are written as they are, many at
    /// a time.
    fn plain<'t>(&mut self, text: &'t str) -> &'t str {
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            if !first.is_ascii_whitespace() {
                break;
            }
            let words = rest.trim_ascii_start();
            let length = escape::plain_words(words);
            if length == 0 {
                break;
            }
            let (words, after) = words.split_at(length);
            let out = &mut self.lines.out;
            out.text.push(' ');
            out.text.push_str(words);
            out.markdown.push(' ');
            out.markdown.push_str(words);
            rest = after;
        }
        rest
    }

    /// Writes a word; whether there is any.
    fn word(&mut self, word: &str) -> bool {
        let Some(first) = word.chars().next() else {
            return false;
        };
        self.begin(first);
        let is_start = self.lines.is_at_start();
        self.lines.out.text.push_str(word);
        let in_heading = self.heading.is_some();
        escape::push_word(word, is_start, in_heading, &mut self.lines.out.markdown);
        true
    }

    /// Text that is Markdown as it is.
    fn glyph(&mut self, text: &str, first: char) {
        self.begin(first);
        self.lines.out.text.push_str(text);
        self.lines.out.markdown.push_str(text);
    }

    /// Writes all that stands before a text that begins with `next`.
    fn begin(&mut self, next: char) {
        let follows = self.lines.pending() == Break::None && !self.lines.out.markdown.is_empty();
        self.inline.settle(follows.then_some(next), &mut self.lines);
        self.lines.flush();
        if let Some(heading) = &mut self.heading
            && !std::mem::replace(&mut heading.is_begun, true)
            && !self.lines.is_cell
        {
            let markdown = &mut self.lines.out.markdown;
            markdown.extend(std::iter::repeat_n('#', usize::from(heading.level)));
            markdown.push(' ');
        }
        self.inline.open_all(next, &mut self.lines.out.markdown);
    }
}

/// Longer numbers make no list in Markdown.
const NUMBER_MAX: u32 = 999_999_999;

/// Whether a style sets an element apart from the words around it, as a small box.
fn is_badge(document: &Document<'_>, node: NodeId) -> bool {
    document.raw_attribute(node, "class").is_some_and(|class| {
        class
            .split_ascii_whitespace()
            .any(|name| matches!(name, "badge" | "chip" | "label" | "pill" | "stab" | "tag"))
    })
}

fn break_for(tag: Tag) -> Break {
    match tag {
        Tag::Tr | Tag::Td | Tag::Th | Tag::Option => Break::Line,
        _ => Break::Blank,
    }
}
