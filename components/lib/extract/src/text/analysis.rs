//! A page after the passes that every extractor needs.

use super::blocks::{self, Blocks, WordSet};
use super::candidates::Candidates;
use super::features::Page;
use super::layout::Layout;
use super::masthead;
use super::page::PageFacts;
use crate::dom::{Document, NodeId};

/// Blocks, what their elements pass on, where extractors point, and what the page is.
pub(crate) struct Analysis {
    pub(crate) blocks: Blocks,
    pub(crate) layout: Layout,
    pub(crate) candidates: Candidates,
    pub(crate) facts: PageFacts,
    /// The site's heading, which is not the page's.
    pub(crate) masthead: Option<NodeId>,
}

impl Analysis {
    pub(crate) fn new(document: &Document<'_>, url: Option<&str>) -> Analysis {
        let blocks = blocks::segment(document, &title_words(document));
        let layout = Layout::new(document, &blocks);
        let candidates = Candidates::new(document, &blocks, &layout);
        let facts = PageFacts::new(document, &blocks, &layout, url);
        Analysis {
            masthead: masthead::find(document, &layout),
            blocks,
            layout,
            candidates,
            facts,
        }
    }

    pub(crate) fn page<'a>(&'a self, document: &'a Document<'a>) -> Page<'a> {
        Page {
            document,
            blocks: &self.blocks,
            layout: &self.layout,
            candidates: &self.candidates,
            facts: &self.facts,
        }
    }
}

/// The words of the page's title.
fn title_words(document: &Document<'_>) -> WordSet {
    let title = document.title().map(|node| document.text_content(node));
    WordSet::of(&title.unwrap_or_default())
}

/// The numbers in the row of a page and in that of a block, with the odds of the kinds of pages.
#[cfg(test)]
pub(crate) fn row_widths() -> (usize, usize) {
    let document = Document::parse("<p>text", &crate::dom::Limits::default());
    let analysis = Analysis::new(&document, None);
    let page = analysis.page(&document);
    (
        page.page_row().len(),
        page.rows(&[0.0; super::model::TYPES]).width,
    )
}
