//! Type 1: the main text of a page, as text and as Markdown, with the page's metadata.

mod blocks;
mod hints;
mod render;

use serde::Serialize;
use url::Url;

use crate::dom::{Document, Limits, Selector, SelectorError, Tag};

/// How a page is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions<'a> {
    /// How much work goes into the choice of the text.
    pub mode: Mode,
    /// A CSS selector: the text is that of the matching elements, whatever it is.
    pub selector: Option<&'a str>,
    /// The page's address, for links and for what an address says about the kind of page.
    pub url: Option<&'a str>,
}

/// How much work goes into the choice of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every extractor, and the choice among them.
    #[default]
    Best,
    /// One extractor.
    Fast,
}

/// Why a page has no text result; only the request can be at fault, never the page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The selector cannot be read.
    #[error("invalid selector: {0}")]
    Selector(#[from] SelectorError),
}

/// The text of a page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TextResult {
    /// The page's title.
    pub title: Option<String>,
    /// The main content as plain text.
    pub text: String,
    /// The same content as Markdown.
    pub markdown: String,
    /// The limit that cut the page, if one did.
    pub truncated: Option<&'static str>,
}

/// Bytes of text in a result; longer ones are cut.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// The main text of a page. Pure; bounded in time and memory on any input.
///
/// # Errors
/// [`TextError::Selector`] when the selector is not understood.
pub fn extract_text(html: &str, options: &TextOptions<'_>) -> Result<TextResult, TextError> {
    let selector = options.selector.map(Selector::parse).transpose()?;
    let document = Document::parse(html, &Limits::default());
    let blocks = blocks::segment(&document);
    let base = options.url.and_then(|url| Url::parse(url).ok());
    let mut kept = vec![false; document.len() as usize];
    if let Some(selector) = selector {
        for node in selector.select(&document) {
            kept[node as usize..document.end(node) as usize].fill(true);
        }
    } else {
        for block in &blocks.list {
            if block.counts.link_words * 2 < block.counts.words {
                kept[block.first as usize..block.end as usize].fill(true);
            }
        }
    }
    mark_ancestors(&document, &mut kept);
    let selection = render::Selection {
        kept: &kept,
        base: base.as_ref(),
        text_bytes_max: TEXT_BYTES_MAX,
    };
    let rendered = render::render(&document, 0, &selection);
    let title = document
        .elements(Tag::Title)
        .next()
        .map(|node| document.text_content(node));
    let truncated = document
        .cut()
        .map(|cut| cut.name())
        .or(rendered.is_cut.then_some("text"));
    Ok(TextResult {
        title,
        text: rendered.text,
        markdown: rendered.markdown,
        truncated,
    })
}

/// Marks the elements that a kept text stands in, so that the renderer can skip the others whole.
fn mark_ancestors(document: &Document<'_>, kept: &mut [bool]) {
    for node in (1..document.len()).rev() {
        if kept[node as usize] {
            kept[document.parent(node) as usize] = true;
        }
    }
}

/// Builds what would otherwise be built at the first page. Every table of this engine is made while compiling, so that
/// nothing is left to do.
pub fn warm_up() {}
