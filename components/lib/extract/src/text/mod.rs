//! Type 1: the main text of a page, as text and as Markdown, with the page's metadata.

mod analysis;
mod blocks;
mod candidates;
mod choose;
mod features;
mod hints;
mod layout;
mod metadata;
mod model;
mod page;
mod render;
mod topics;
#[cfg(feature = "training")]
pub mod training;

use std::sync::OnceLock;

use serde::Serialize;
use trawl_core::limits::text::TEXT_BYTES_MAX;
use url::Url;

use crate::dom::{Document, Limits, Selector, SelectorError};
use analysis::Analysis;
pub use metadata::{ArticleData, Metadata, Sourced};
use model::{Effort, Model};

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

impl Mode {
    fn effort(self) -> Effort {
        match self {
            Mode::Best => Effort::Full,
            Mode::Fast => Effort::Trees(FAST_TREES_MAX),
        }
    }

    /// Read once in the life of an instance: reading it for each page took an eighth of a fast extraction.
    fn model(self) -> &'static Model {
        static BEST: OnceLock<Model> = OnceLock::new();
        static FAST: OnceLock<Model> = OnceLock::new();
        let kept = match self {
            Mode::Best => &BEST,
            Mode::Fast => &FAST,
        };
        kept.get_or_init(|| Model::read(self.effort()))
    }
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
    /// What the page says about itself.
    pub metadata: Metadata,
    /// The limit that cut the page, if one did.
    pub truncated: Option<&'static str>,
}

/// Trees that judge each block in [`Mode::Fast`]; the first ones tell the most.
const FAST_TREES_MAX: usize = 40;
/// With fewer words the page is taken to build its text by script, and what it says about itself stands in.
const WORDS_MIN: usize = 25;

/// The main text of a page. Pure; bounded in time and memory on any input.
///
/// # Errors
/// [`TextError::Selector`] when the selector is not understood.
pub fn extract_text(html: &str, options: &TextOptions<'_>) -> Result<TextResult, TextError> {
    extract_with(html, options, options.mode.model())
}

fn extract_with(
    html: &str,
    options: &TextOptions<'_>,
    model: &Model,
) -> Result<TextResult, TextError> {
    let selector = options.selector.map(Selector::parse).transpose()?;
    let document = Document::parse(html, &Limits::default());
    let base = options.url.and_then(|url| Url::parse(url).ok());
    let analysis = Analysis::new(&document, options.url);
    let mut kept = vec![false; document.len() as usize];
    let types = if let Some(selector) = &selector {
        for node in selector.select(&document) {
            kept[node as usize..document.end(node) as usize].fill(true);
        }
        model.types(&analysis.page(&document).page_row())
    } else {
        let choice = choose::choose(&document, &analysis, model);
        for (block, _) in analysis
            .blocks
            .list
            .iter()
            .zip(&choice.kept)
            .filter(|(_, kept)| **kept)
        {
            kept[block.first as usize..block.end as usize].fill(true);
        }
        choice.types
    };
    mark_ancestors(&document, &mut kept);
    let selection = render::Selection {
        kept: &kept,
        base: base.as_ref(),
        text_bytes_max: TEXT_BYTES_MAX,
    };
    let mut rendered = render::render(&document, 0, &selection);
    let scan = metadata::Scan::new(&document);
    let json = metadata::JsonLd::new(&document, &scan);
    let metadata = metadata::read(&document, &scan, &json, base.as_ref(), &types);
    if selector.is_none() && rendered.text.split_whitespace().take(WORDS_MIN).count() < WORDS_MIN {
        stand_in(&mut rendered, &metadata, &json);
    }
    let title = metadata.title.as_ref().map(|title| title.value.clone());
    let too_many = (analysis.blocks.is_cut && selector.is_none()).then_some("blocks");
    let truncated = document.cut().map(|cut| cut.name()).or(too_many);
    let truncated = truncated.or(rendered.is_cut.then_some("text"));
    Ok(TextResult {
        title,
        text: rendered.text,
        markdown: rendered.markdown,
        metadata,
        truncated,
    })
}

/// Replaces the text of a page that has next to none by the text or the description that it carries for machines.
fn stand_in(rendered: &mut render::Rendered, metadata: &Metadata, json: &metadata::JsonLd) {
    let body = json.body().or_else(|| {
        metadata
            .description
            .as_ref()
            .map(|description| description.value.clone())
    });
    let og = metadata.open_graph.get("description").cloned();
    let longest = body
        .into_iter()
        .chain(og)
        .max_by_key(String::len)
        .unwrap_or_default();
    if longest.len() > rendered.text.len() {
        rendered.markdown = render::escaped_paragraphs(&longest);
        rendered.text = longest;
    }
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

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
