//! Tables of data; tables for layout are walked like any other block.

use super::code::names_gutter;
use super::lines::Break;
use super::{Rendered, Renderer, rendered};
use crate::dom::{Document, NodeId, Tag};

/// Blocks in a cell, on average, from which on a table is taken for layout.
const CELL_BLOCKS_MAX: usize = 4;
/// Columns; a table with more is no table of Markdown, and is walked like any other block, so that nothing is lost.
const COLUMNS_MAX: usize = 100;
/// Rows that one cell spans; pages that ask for more do so by mistake.
const ROW_SPAN_MAX: usize = 1_000;

/// Whether the table holds data: at least two rows and two columns, no table or lines of code in it, and short cells.
fn is_data(document: &Document<'_>, table: NodeId) -> bool {
    let (mut cells, mut rows, mut blocks) = (0usize, 0usize, 0usize);
    let mut has_code = false;
    for node in table + 1..document.end(table) {
        match document.tag(node) {
            Tag::Table => return false,
            Tag::Pre if has_lines(document, node) => return false,
            Tag::Pre => has_code = true,
            Tag::Tr => rows += 1,
            Tag::Td | Tag::Th => cells += 1,
            Tag::Div | Tag::P | Tag::Ul | Tag::Ol | Tag::Blockquote | Tag::H2 | Tag::H3 => {
                blocks += 1
            }
            _ => {}
        }
    }
    rows >= 2
        && cells >= rows + 2
        && blocks <= cells * CELL_BLOCKS_MAX
        && !(has_code && has_gutter(document, table))
}

/// Whether a piece of code has more than one line that is not empty.
fn has_lines(document: &Document<'_>, code: NodeId) -> bool {
    let (mut lines, mut is_begun) = (0, false);
    for node in code + 1..document.end(code) {
        let tag = document.tag(node);
        if tag == Tag::Br || tag.is_block() {
            is_begun = false;
        }
        for line in document.text(node).split_inclusive('\n') {
            lines += usize::from(!is_begun && !line.trim_ascii().is_empty());
            is_begun = !line.ends_with('\n') && (is_begun || !line.trim_ascii().is_empty());
            if lines > 1 {
                return true;
            }
        }
    }
    false
}

/// Whether a table is a listing, with the numbers of its lines beside them.
fn has_gutter(document: &Document<'_>, table: NodeId) -> bool {
    (table..document.end(table)).any(|node| {
        document
            .raw_attribute(node, "class")
            .is_some_and(names_gutter)
    })
}

/// One row: its cells by column, none where a cell spans several.
struct Row {
    cells: Vec<Option<NodeId>>,
    is_head: bool,
}

/// The rows with every span resolved; none when there are too many columns.
fn rows(document: &Document<'_>, table: NodeId) -> Option<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    // For each column, how many further rows the cell above covers.
    let mut covered: Vec<usize> = Vec::new();
    for node in table + 1..document.end(table) {
        let tag = document.tag(node);
        if tag == Tag::Tr {
            rows.push(Row {
                cells: Vec::new(),
                is_head: document.tag(document.parent(node)) == Tag::Thead,
            });
        }
        let (Tag::Td | Tag::Th, Some(row)) = (tag, rows.last_mut()) else {
            continue;
        };
        skip_covered(&mut row.cells, &mut covered);
        let span = |name: &str, most: usize| {
            let span = document.raw_attribute(node, name);
            span.and_then(|span| span.trim().parse::<usize>().ok())
                .unwrap_or(1)
                .clamp(1, most)
        };
        let (columns, down) = (span("colspan", COLUMNS_MAX), span("rowspan", ROW_SPAN_MAX));
        let from = row.cells.len();
        if from >= COLUMNS_MAX {
            return None;
        }
        let to = (from + columns).min(COLUMNS_MAX);
        row.cells.resize(to, None);
        row.cells[from] = Some(node);
        covered.resize(covered.len().max(to), 0);
        covered[from..to].fill(down);
    }
    rows.retain(|row| row.cells.iter().any(Option::is_some));
    Some(rows)
}

/// Leaves the columns empty that cells of rows above reach down to; a row's end needs none of it.
fn skip_covered(cells: &mut Vec<Option<NodeId>>, covered: &mut [usize]) {
    if cells.is_empty() {
        covered
            .iter_mut()
            .for_each(|left| *left = left.saturating_sub(1));
    }
    while covered.get(cells.len()).is_some_and(|left| *left > 0) {
        cells.push(None);
    }
}

/// Whether the first row says what the columns are.
fn has_head(document: &Document<'_>, rows: &[Row]) -> bool {
    let is_th = |cell: &Option<NodeId>| cell.is_some_and(|cell| document.tag(cell) == Tag::Th);
    let Some((first, rest)) = rows.split_first() else {
        return false;
    };
    first.is_head
        || first.cells.iter().skip(1).any(is_th)
        // Without any `th` the first row mostly is the head; with one in each row the first column is.
        || !is_th(&first.cells[0]) && !rest.iter().any(|row| row.cells.iter().any(is_th))
}

impl Renderer<'_, '_> {
    /// Writes a table of data; whether it is one.
    pub(super) fn table(&mut self, node: NodeId) -> bool {
        let document = self.document;
        let rows = is_data(document, node).then(|| rows(document, node));
        let Some(rows) = rows.flatten() else {
            return false;
        };
        self.outside_cells(node);
        self.caption(node);
        self.end_block(Break::Blank);
        self.rows(&rows);
        self.lines.want(Break::Blank);
        true
    }

    /// Writes the text that stands in a table and in none of its cells, which browsers show above it.
    fn outside_cells(&mut self, table: NodeId) {
        let document = self.document;
        let (mut node, mut last) = (table + 1, None);
        while node < document.end(table) {
            let tag = document.tag(node);
            if tag.is_silent() || matches!(tag, Tag::Td | Tag::Th | Tag::Caption) {
                node = document.end(node);
                continue;
            }
            if tag == Tag::Text && self.selection.kept[node as usize] && !document.is_space(node) {
                last = Some(self.outside_cell(table, node, last));
            }
            node += 1;
        }
    }

    /// Writes one such text, apart from the one before it when that stands in another block; the block that it stands in.
    #[cold]
    fn outside_cell(&mut self, table: NodeId, text: NodeId, last: Option<NodeId>) -> NodeId {
        let document = self.document;
        let is_block = |inner: &NodeId| {
            let tag = document.tag(*inner);
            let is_part = matches!(tag, Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Tr);
            *inner == table || tag.is_apart() && !is_part
        };
        let block = document.ancestors(text).find(is_block).unwrap_or(table);
        if last == Some(block) {
            self.lines.want(Break::Space);
        } else {
            self.end_block(Break::Blank);
        }
        self.text(document.text(text));
        block
    }

    fn caption(&mut self, table: NodeId) {
        let document = self.document;
        let caption = (table + 1..document.end(table))
            .find(|inner| document.tag(*inner) == Tag::Caption)
            .filter(|caption| self.selection.kept[*caption as usize]);
        if let Some(caption) = caption {
            self.end_block(Break::Blank);
            for inner in caption..document.end(caption) {
                if self.selection.kept[inner as usize] {
                    self.text(document.text(inner));
                }
            }
        }
    }

    fn rows(&mut self, rows: &[Row]) {
        let document = self.document;
        let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let aligned = alignment(document, rows.first(), columns);
        let mut is_first = true;
        for (at, row) in rows.iter().enumerate() {
            let mut cells: Vec<Rendered> = row.cells.iter().map(|cell| self.cell(*cell)).collect();
            if cells.iter().all(|cell| cell.text.is_empty()) {
                continue;
            }
            cells.resize_with(columns, Rendered::default);
            if is_first {
                self.lines.flush();
                if at > 0 || !has_head(document, rows) {
                    self.lines.out.markdown.push('|');
                    self.lines.out.markdown.push_str(&"  |".repeat(columns));
                    self.lines.next_line(&aligned);
                    self.lines.next_line("");
                }
            } else {
                self.lines.out.text.push('\n');
                self.lines.next_line("");
            }
            let in_text = row.cells.iter().rposition(Option::is_some).unwrap_or(0) + 1;
            push_row(&cells, in_text, &mut self.lines.out);
            if is_first && at == 0 && has_head(document, rows) {
                self.lines.next_line(&aligned);
            }
            is_first = false;
            if self.is_full() {
                break;
            }
        }
    }

    /// A cell's text on one line.
    fn cell(&self, cell: Option<NodeId>) -> Rendered {
        let Some(cell) = cell.filter(|cell| self.selection.kept[*cell as usize]) else {
            return Rendered::default();
        };
        let mut rendered = rendered(self.document, cell, self.selection, true);
        if rendered.markdown.contains('|') {
            rendered.markdown = rendered.markdown.replace('|', "\\|");
        }
        rendered
    }
}

/// The row under the head, with the alignment that its cells ask for.
fn alignment(document: &Document<'_>, first: Option<&Row>, columns: usize) -> String {
    let mut line = "|".to_owned();
    for column in 0..columns {
        let cell = first.and_then(|row| row.cells.get(column).copied().flatten());
        let of = |name: &str| cell.and_then(|cell| document.raw_attribute(cell, name));
        let style = of("style").and_then(|style| style.split_once("text-align:"));
        let wanted = of("align")
            .or(style.map(|(_, rest)| rest))
            .unwrap_or_default();
        let wanted = wanted.trim_start();
        line.push_str(match wanted {
            _ if wanted.starts_with("center") => " :---: |",
            _ if wanted.starts_with("right") => " ---: |",
            _ if wanted.starts_with("left") => " :--- |",
            _ => " --- |",
        });
    }
    line
}

/// Writes a row as `a | b` and as a row of a Markdown table. The text has no more cells than the page has in this row.
fn push_row(cells: &[Rendered], in_text: usize, out: &mut Rendered) {
    out.markdown.push('|');
    for (at, cell) in cells.iter().enumerate() {
        if at < in_text {
            if at > 0 {
                out.text.push_str(" | ");
            }
            out.text.push_str(&cell.text);
        }
        out.markdown.push(' ');
        out.markdown.push_str(&cell.markdown);
        out.markdown.push_str(" |");
    }
}
