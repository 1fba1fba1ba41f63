//! Type 1: the main text of a page, as text and as Markdown, with the page's metadata.

mod analysis;
mod blocks;
mod candidates;
mod choose;
mod features;
mod hints;
mod layout;
mod links;
mod masthead;
mod mend;
mod metadata;
mod model;
mod page;
mod render;
mod topics;
pub mod training;

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Serialize;
use trawl_core::limits::fetch::URL_BYTES_MAX;
use trawl_core::limits::text::TEXT_BYTES_MAX;
use trawl_core::url_guard;
use url::Url;

use crate::dom::{Document, Limits, NodeId, Selector, SelectorError, Syntax, Tag};
use crate::nul;
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
    /// How its markup is read.
    pub syntax: Syntax,
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
    fn model(self) -> &'static Model<'static> {
        static BEST: OnceLock<Model<'static>> = OnceLock::new();
        static FAST: OnceLock<Model<'static>> = OnceLock::new();
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
    /// The main content as plain text; that of an article does not repeat its title.
    pub text: String,
    /// The same content as Markdown, under its title.
    pub markdown: String,
    /// What the page says about itself.
    pub metadata: Metadata,
    /// The limit that cut the page, if one did.
    pub truncated: Option<&'static str>,
}

/// Trees that judge each block in [`Mode::Fast`]; the first ones tell the most.
const FAST_TREES_MAX: usize = 40;

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
    model: &Model<'_>,
) -> Result<TextResult, TextError> {
    let selector = options.selector.map(Selector::parse).transpose()?;
    let html = nul::without(Cow::Borrowed(html));
    let document = Document::parse_as(&html, options.syntax, &Limits::default());
    let base = base(&document, options.url);
    let analysis = Analysis::new(&document, options.url);
    let selection = selector.map(|selector| selector.select(&document));
    let chosen = match &selection {
        Some(selection) => Chosen {
            kept: selected(&document, &selection.nodes),
            types: model.types(&analysis.page(&document).page_row()),
            is_doubtful: false,
            title: None,
        },
        None => chosen(&document, &analysis, model),
    };
    let mut rendered = rendered(&document, &chosen, base.as_ref());
    let is_empty = analysis.blocks.list.is_empty();
    if is_empty && selection.is_none() {
        rendered = without_frames(&document, options, model, base.as_ref()).unwrap_or(rendered);
    }
    let scan = metadata::Scan::new(&document, &analysis.layout);
    let json = metadata::JsonLd::new(&document, &scan);
    let (mut metadata, heading) = metadata::read(
        &document,
        &scan,
        &json,
        base.as_ref(),
        &chosen.types,
        analysis.masthead,
    );
    if is_empty {
        // Nothing was judged.
        metadata.page_type = None;
    }
    // A selector takes what it matches, and no more.
    let is_left_out = |heading: &NodeId| !chosen.kept[*heading as usize] && selection.is_none();
    if chosen.title.is_none()
        && let Some(heading) = heading.filter(is_left_out)
        && let Some(title) = &metadata.title
        && !begins_with(&rendered.text, &title.value)
    {
        put_title(&document, heading, base.as_ref(), &mut rendered);
    }
    if chosen.is_doubtful {
        stand_in(&mut rendered, &metadata, &json);
    }
    let title = metadata.title.as_ref().map(|title| title.value.clone());
    let too_many = match &selection {
        Some(selection) => selection.is_cut.then_some("selector"),
        None => analysis.blocks.is_cut.then_some("blocks"),
    };
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

/// What of a page is its text.
struct Chosen {
    /// By node.
    kept: Vec<bool>,
    types: model::TypeOdds,
    /// Whether it may well not be the text.
    is_doubtful: bool,
    /// The heading that is the title of the text, and no part of it.
    title: Option<NodeId>,
}

/// Both forms of what was chosen. The Markdown is a document that is handed out alone, so that it begins with the title; the
/// text is what stands under it.
fn rendered(document: &Document<'_>, chosen: &Chosen, base: Option<&Url>) -> render::Rendered {
    let mut rendered = render_nodes(document, 0, &chosen.kept, base);
    if let Some(title) = chosen.title {
        put_title(document, title, base, &mut rendered);
    }
    rendered
}

fn render_nodes(
    document: &Document<'_>,
    root: NodeId,
    kept: &[bool],
    base: Option<&Url>,
) -> render::Rendered {
    let selection = render::Selection {
        kept,
        base,
        text_bytes_max: TEXT_BYTES_MAX,
    };
    render::render(document, root, &selection)
}

/// Puts a heading above the Markdown.
fn put_title(
    document: &Document<'_>,
    title: NodeId,
    base: Option<&Url>,
    rendered: &mut render::Rendered,
) {
    let mut heading = vec![false; document.len() as usize];
    heading[title as usize..document.end(title) as usize].fill(true);
    let mut markdown = render_nodes(document, title, &heading, base).markdown;
    if !markdown.is_empty() && !rendered.markdown.is_empty() {
        markdown.push_str("\n\n");
        markdown.push_str(&rendered.markdown);
        rendered.markdown = markdown;
    }
}

/// Whether the first line of a text is this title.
fn begins_with(text: &str, title: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.len() <= title.len() * 2 && masthead::fold(first) == masthead::fold(title)
}

/// The text that a set of frames has for those who see none. What stands in it is a page of its own; a set of frames in that
/// is not looked into.
fn without_frames(
    document: &Document<'_>,
    options: &TextOptions<'_>,
    model: &Model<'_>,
    base: Option<&Url>,
) -> Option<render::Rendered> {
    document.elements(Tag::Frameset).next()?;
    let frameless = document.elements(Tag::Noframes).next()?;
    let markup = document.text(document.children(frameless).next()?);
    let inner = Document::parse_as(markup, options.syntax, &Limits::default());
    let analysis = Analysis::new(&inner, options.url);
    Some(rendered(&inner, &chosen(&inner, &analysis, model), base))
}

/// What relative addresses are resolved against: the first `<base href>`, else the page's own address.
fn base(document: &Document<'_>, url: Option<&str>) -> Option<Url> {
    let page = url.and_then(|url| Url::parse(url).ok());
    let href = document
        .elements(Tag::Base)
        .find_map(|base| document.attribute(base, "href"))
        // A longer one is none, and would be copied for each link.
        .filter(|href| href.len() <= URL_BYTES_MAX);
    let Some(href) = href else { return page };
    let declared = match &page {
        Some(page) => url_guard::join(page, href.trim()),
        None => Url::parse(href.trim()),
    };
    declared
        .ok()
        .filter(|base| matches!(base.scheme(), "http" | "https"))
        .or(page)
}

/// The nodes that a selector takes with these.
fn selected(document: &Document<'_>, matching: &[NodeId]) -> Vec<bool> {
    let mut kept = vec![false; document.len() as usize];
    for &node in matching {
        kept[node as usize..document.end(node) as usize].fill(true);
    }
    mark_ancestors(document, &mut kept);
    kept
}

/// The nodes that the engine takes.
fn chosen(document: &Document<'_>, analysis: &Analysis, model: &Model<'_>) -> Chosen {
    let choice = choose::choose(document, analysis, model);
    let mut kept = vec![false; document.len() as usize];
    let mut words = vec![(0, 0); document.len() as usize + 1];
    let (mut sums, mut next) = ((0, 0), 0);
    for (block, is_kept) in analysis.blocks.list.iter().zip(&choice.kept) {
        words[next..=block.first as usize].fill(sums);
        next = block.first as usize + 1;
        sums.0 += block.counts.words;
        if *is_kept {
            sums.1 += block.counts.words;
            kept[block.first as usize..block.end as usize].fill(true);
        }
    }
    words[next..].fill(sums);
    mark_ancestors(document, &mut kept);
    // It stands above the text, whether it is a part of that or not.
    let title_block = analysis.candidates.title_block;
    let title = title_block
        .map(|at| analysis.blocks.list[at].container)
        .filter(|title| document.tag(*title) == Tag::H1 && analysis.masthead != Some(*title));
    let title = choice.title.or(title);
    render::mark_images(document, &analysis.layout, &words, title, &mut kept);
    Chosen {
        kept,
        types: choice.types,
        is_doubtful: choice.is_doubtful,
        title: choice.title,
    }
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

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
