//! Tables of data; tables for layout are walked like any other block.

use super::Rendered;
use crate::dom::{Document, NodeId, Tag};

/// Blocks in a cell, on average, from which on a table is taken for layout.
const CELL_BLOCKS_MAX: usize = 4;

/// Whether the table holds data: at least two rows and two columns, no table in it, and short cells.
pub(super) fn is_data(document: &Document<'_>, table: NodeId) -> bool {
    let (mut cells, mut rows, mut blocks) = (0usize, 0usize, 0usize);
    for node in table + 1..document.end(table) {
        match document.tag(node) {
            Tag::Table => return false,
            Tag::Tr => rows += 1,
            Tag::Td | Tag::Th => cells += 1,
            Tag::Div
            | Tag::P
            | Tag::Ul
            | Tag::Ol
            | Tag::Blockquote
            | Tag::Pre
            | Tag::H2
            | Tag::H3 => blocks += 1,
            _ => {}
        }
    }
    rows >= 2 && cells >= rows + 2 && blocks <= cells * CELL_BLOCKS_MAX
}

/// The cells of each row.
pub(super) fn rows(document: &Document<'_>, table: NodeId) -> Vec<Vec<NodeId>> {
    let mut rows: Vec<Vec<NodeId>> = Vec::new();
    for node in table + 1..document.end(table) {
        match document.tag(node) {
            Tag::Tr => rows.push(Vec::new()),
            Tag::Caption => rows.push(vec![node]),
            Tag::Td | Tag::Th => {
                if let Some(row) = rows.last_mut() {
                    row.push(node);
                }
            }
            _ => {}
        }
    }
    rows.retain(|row| !row.is_empty());
    rows
}

/// Writes a row as `a | b` and as a row of a Markdown table, whose first row is its head.
pub(super) fn push_row(cells: &[Rendered], is_first: bool, out: &mut Rendered) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.text.push_str(" | ");
        }
        out.text.push_str(&cell.text);
        out.markdown.push_str(if at == 0 { "| " } else { " | " });
        out.markdown.push_str(&cell.markdown);
    }
    out.markdown.push_str(" |");
    if is_first {
        out.markdown.push_str("\n|");
        out.markdown.push_str(&" --- |".repeat(cells.len()));
    }
}
