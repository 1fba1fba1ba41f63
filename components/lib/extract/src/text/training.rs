//! What the block model is trained on: the rows that the engine sees, with the text of each block.

use super::analysis::Analysis;
use super::model::Model;
use super::{TextError, TextOptions, TextResult, extract_with};
use crate::dom::{Document, Limits};

/// A page as the model sees it.
pub struct Table {
    /// One row of numbers for each block.
    pub rows: Vec<Vec<f32>>,
    /// The row of the page as a whole.
    pub page: Vec<f32>,
    /// The text of each block.
    pub texts: Vec<String>,
}

/// The table of one page.
pub fn table(html: &str, url: &str) -> Table {
    let document = Document::parse(html, &Limits::default());
    let analysis = Analysis::new(&document, Some(url));
    let page = analysis.page(&document);
    let rows = page.rows(&[]);
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
        rows: rows
            .values
            .chunks(rows.width.max(1))
            .map(<[f32]>::to_vec)
            .collect(),
    }
}

/// [`super::extract_text`] by another model, to score pages by one that has not seen them.
///
/// # Errors
/// As [`super::extract_text`].
pub fn extract_text_by(
    model: &[u8],
    html: &str,
    options: &TextOptions<'_>,
) -> Result<TextResult, TextError> {
    extract_with(
        html,
        options,
        &Model::from_bytes(model, options.mode.effort()),
    )
}
