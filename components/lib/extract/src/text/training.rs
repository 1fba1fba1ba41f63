//! What the block model is trained on: the rows that the engine sees, with the text of each block.

use super::analysis::Analysis;
use crate::dom::{Document, Limits};

/// A page as the model sees it.
pub struct Table {
    /// One row of numbers for each block.
    pub rows: Vec<Vec<f32>>,
    /// The row of the page as a whole.
    pub page: Vec<f32>,
    /// The text of each block.
    pub texts: Vec<String>,
    /// For each block the numbers of its enclosing elements, innermost first, for figures over groups of blocks.
    pub groups: Vec<[u32; 4]>,
}

/// The table of one page.
pub fn table(html: &str, url: &str) -> Table {
    let document = Document::parse(html, &Limits::default());
    let analysis = Analysis::new(&document, Some(url));
    let page = analysis.page(&document);
    let rows = page.rows();
    let texts = analysis.blocks.list.iter().map(|block| {
        let mut text = String::new();
        for node in block.first..block.end {
            text.push_str(document.text(node));
            if document.tag(node) == crate::dom::Tag::Br {
                text.push(' ');
            }
        }
        text
    });
    Table {
        page: page.page_row(),
        texts: texts.collect(),
        groups: analysis.groups(&document),
        rows: rows
            .values
            .chunks(rows.width.max(1))
            .map(<[f32]>::to_vec)
            .collect(),
    }
}
