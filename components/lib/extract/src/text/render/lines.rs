//! Lines of both forms: what stands between two texts, and what each line of a quote or an item starts with.

use super::Rendered;
use super::escape::ends_with_sign;

/// What has to stand before the next text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    #[default]
    None,
    Space,
    /// A line break that the page asks for.
    Hard,
    /// The next item, row or the like.
    Line,
    Blank,
}

/// What every line in a quote or a list item starts with.
#[derive(Clone, Debug)]
enum Prefix {
    Quote,
    Item(Item),
}

/// A list item: its first line starts with the marker, the others with as many spaces.
#[derive(Clone, Debug)]
struct Item {
    marker: String,
    indent: usize,
    is_in_text: bool,
    is_in_markdown: bool,
}

/// Both forms as far as they are written.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) out: Rendered,
    /// A cell of a table has one line, and no quotes, items or headings of its own.
    pub(super) is_cell: bool,
    text_pending: Break,
    pending: Break,
    /// Where the break before the last line across starts, and where that line ends.
    rule: Option<(usize, usize)>,
    prefixes: Vec<Prefix>,
    /// Items among them whose marker does not stand in the text yet, and in the Markdown.
    fresh_in_text: usize,
    fresh_in_markdown: usize,
    /// The fewest prefixes since the current line began, and those it began with.
    floor: usize,
    written: usize,
    /// Where the text of the current Markdown line starts.
    line_at: usize,
    /// Bytes of signs that were taken back.
    taken_back: usize,
}

impl Lines {
    pub(super) fn new(is_cell: bool) -> Lines {
        Lines {
            is_cell,
            ..Lines::default()
        }
    }

    /// Asks for a break before the next text; of several the widest counts.
    pub(super) fn want(&mut self, wanted: Break) {
        // An item's first block stands beside its marker.
        let is_fresh_item =
            matches!(self.prefixes.last(), Some(Prefix::Item(item)) if !item.is_in_markdown);
        let wanted = if is_fresh_item {
            wanted.min(Break::Line)
        } else {
            wanted
        };
        self.pending = self.pending.max(wanted);
        self.text_pending = self.text_pending.max(wanted);
    }

    /// The break that stands before the next text of the Markdown.
    pub(super) fn pending(&self) -> Break {
        self.pending
    }

    /// Takes back a space that was asked for; whether there was one.
    pub(super) fn unwant_space(&mut self) -> bool {
        let is_space = self.pending == Break::Space;
        if is_space {
            self.pending = Break::None;
            self.text_pending = Break::None;
        }
        is_space
    }

    /// Writes a thematic break (`---`), where there is something above it.
    pub(super) fn rule(&mut self) {
        let has_marker = self.fresh_in_markdown > 0;
        let from = self.out.markdown.len();
        let is_doubled = self.rule.is_some_and(|(_, end)| end == from);
        if self.is_cell || from == 0 || has_marker || is_doubled {
            return;
        }
        self.flush_markdown();
        self.out.markdown.push_str("---");
        self.rule = Some((from, self.out.markdown.len()));
        self.want(Break::Blank);
    }

    /// What was written, without a thematic break that nothing stands under.
    pub(super) fn finish(mut self) -> Rendered {
        if let Some((from, end)) = self.rule
            && end == self.out.markdown.len()
        {
            self.out.markdown.truncate(from);
        }
        self.out
    }

    pub(super) fn open_quote(&mut self) {
        self.prefixes.push(Prefix::Quote);
    }

    pub(super) fn open_item(&mut self, marker: String) {
        self.fresh_in_text += 1;
        self.fresh_in_markdown += 1;
        self.prefixes.push(Prefix::Item(Item {
            indent: marker.len(),
            marker,
            is_in_text: false,
            is_in_markdown: false,
        }));
    }

    /// Goes on with an item that has ended, whose marker was so wide.
    pub(super) fn reopen_item(&mut self, width: usize) {
        self.prefixes.push(Prefix::Item(Item {
            marker: String::new(),
            indent: width,
            is_in_text: true,
            is_in_markdown: true,
        }));
    }

    /// Adds to the marker of an item of which nothing is written yet.
    pub(super) fn extend_marker(&mut self, more: &str) {
        if let Some(Prefix::Item(item)) = self.prefixes.last_mut()
            && !item.is_in_markdown
            && !item.is_in_text
            && item.marker.len() == item.indent
        {
            item.marker.push_str(more);
        }
    }

    /// Ends the innermost quote or item; whether it shows in any form.
    pub(super) fn close_prefix(&mut self) -> bool {
        let closed = self.prefixes.pop();
        self.floor = self.floor.min(self.prefixes.len());
        match closed {
            Some(Prefix::Item(item)) => {
                self.fresh_in_text -= usize::from(!item.is_in_text);
                self.fresh_in_markdown -= usize::from(!item.is_in_markdown);
                item.is_in_text || item.is_in_markdown
            }
            _ => true,
        }
    }

    pub(super) fn in_item(&self) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| matches!(prefix, Prefix::Item(_)))
    }

    /// Whether nothing but opened marks stands on the current Markdown line.
    pub(super) fn is_at_start(&self) -> bool {
        let markdown = self.out.markdown.as_bytes();
        markdown[self.line_at.min(markdown.len())..]
            .iter()
            .all(|byte| matches!(byte, b'*' | b'~' | b'['))
    }

    /// Takes a sign out of the Markdown that was written at `opened`, with which the line moves that began behind it.
    pub(super) fn take_back(&mut self, opened: usize, sign: &str) {
        let markdown = &mut self.out.markdown;
        let end = opened + sign.len();
        let mut removed = sign.len();
        if ends_with_sign(&markdown[..opened], '!') && markdown[end..].starts_with('[') {
            // Together they would make an image.
            markdown.replace_range(opened - 1..end, "\\!");
            removed -= 1;
        } else {
            markdown.replace_range(opened..end, "");
        }
        if opened < self.line_at {
            self.line_at -= removed;
        }
        self.taken_back += removed;
    }

    /// How much Markdown was ever written, with what was taken back: a place that nothing later can have.
    pub(super) fn place(&self) -> usize {
        self.out.markdown.len() + self.taken_back
    }

    /// Writes the breaks before a text.
    pub(super) fn flush(&mut self) {
        self.flush_text();
        self.flush_markdown();
    }

    fn flush_text(&mut self) {
        let pending = std::mem::take(&mut self.text_pending);
        let has_marker = self.fresh_in_text > 0;
        let text = &mut self.out.text;
        if !text.is_empty() {
            match pending {
                Break::None if !has_marker => return,
                Break::Space if !has_marker => return text.push(' '),
                _ if self.is_cell => return text.push(' '),
                Break::Blank => text.push_str("\n\n"),
                _ => text.push('\n'),
            }
        }
        if has_marker {
            for prefix in &mut self.prefixes {
                if let Prefix::Item(item) = prefix {
                    if item.is_in_text {
                        text.extend(std::iter::repeat_n(' ', item.indent));
                    } else {
                        text.push_str(&item.marker);
                        item.is_in_text = true;
                    }
                }
            }
            self.fresh_in_text = 0;
        }
    }

    /// Writes the break before something that stands in the Markdown only.
    pub(super) fn flush_markdown(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        let markdown = &mut self.out.markdown;
        if self.is_cell {
            return match pending {
                _ if markdown.is_empty() => {}
                Break::None => {}
                Break::Space => markdown.push(' '),
                _ => markdown.push_str("<br>"),
            };
        }
        let has_marker = self.fresh_in_markdown > 0;
        if markdown.is_empty() {
            return self.begin_line();
        }
        if !has_marker && pending <= Break::Space {
            if pending == Break::Space {
                markdown.push(' ');
            }
            return;
        }
        // Text behind a quote or an item would be read as one with it, and an item behind a paragraph as a part of that.
        let has_left = self.floor < self.written;
        let is_inner_number = self.written < self.prefixes.len()
            && matches!(self.prefixes.last(), Some(Prefix::Item(item)) if !item.marker.starts_with(['-', '*']) && !item.marker.starts_with("1."));
        if !has_marker && has_left || has_marker && (self.written == 0 || is_inner_number) {
            pending = Break::Blank;
        }
        match pending {
            Break::Blank => {
                self.blank_line();
            }
            _ if has_marker => markdown.push('\n'),
            _ => markdown.push_str("  \n"),
        }
        self.begin_line();
    }

    /// Ends the line and leaves one empty, which belongs to the quotes that go on.
    fn blank_line(&mut self) {
        let markdown = &mut self.out.markdown;
        markdown.push('\n');
        let kept = &self.prefixes[..self.floor.min(self.prefixes.len())];
        let quotes = kept
            .iter()
            .rposition(|prefix| matches!(prefix, Prefix::Quote));
        for (at, prefix) in kept[..quotes.map_or(0, |last| last + 1)].iter().enumerate() {
            match prefix {
                Prefix::Quote if Some(at) == quotes => markdown.push('>'),
                Prefix::Quote => markdown.push_str("> "),
                Prefix::Item(item) => markdown.extend(std::iter::repeat_n(' ', item.indent)),
            }
        }
        markdown.push('\n');
    }

    /// Starts a line with what every line here starts with.
    fn begin_line(&mut self) {
        for prefix in &mut self.prefixes {
            match prefix {
                Prefix::Quote => self.out.markdown.push_str("> "),
                Prefix::Item(item) if item.is_in_markdown => {
                    self.out
                        .markdown
                        .extend(std::iter::repeat_n(' ', item.indent));
                }
                Prefix::Item(item) => {
                    self.out.markdown.push_str(&item.marker);
                    item.is_in_markdown = true;
                }
            }
        }
        self.fresh_in_markdown = 0;
        self.line_at = self.out.markdown.len();
        self.floor = self.prefixes.len();
        self.written = self.prefixes.len();
    }

    /// A further line of a code block or a table.
    pub(super) fn next_line(&mut self, line: &str) {
        self.out.markdown.push('\n');
        self.begin_line();
        self.out.markdown.push_str(line);
    }

    /// An empty line of a code block.
    pub(super) fn empty_line(&mut self) {
        self.next_line("");
        let end = self.out.markdown.trim_end_matches(' ').len();
        self.out.markdown.truncate(end);
    }
}
