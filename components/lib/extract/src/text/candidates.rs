//! Extractors that point at one element: each has its own idea of where the main text stands.

use super::blocks::Blocks;
use super::hints::Hint;
use super::layout::{Layout, above};
use crate::dom::{Document, NodeId, Tag};

/// The elements that the extractors point at; the root where one has no idea.
pub(crate) struct Candidates {
    /// Scored by paragraphs, as the readability family does.
    pub(crate) scored: NodeId,
    /// The element that says by its tag, role or name that it is the content, the one with the most prose.
    pub(crate) declared: NodeId,
    /// The smallest element with most of the page's prose.
    pub(crate) dense: NodeId,
    /// The first heading of level 1 that is seen, as a block.
    pub(crate) title_block: Option<usize>,
}

/// The share of the prose that the dense element has to hold.
const DENSE_SHARE: f32 = 0.7;

impl Candidates {
    #[inline(never)]
    pub(crate) fn new(document: &Document<'_>, blocks: &Blocks, layout: &Layout) -> Candidates {
        Candidates {
            scored: scored(document, blocks, layout),
            declared: declared(document, layout),
            dense: dense(document, layout),
            title_block: title_block(document, blocks, layout),
        }
    }
}

/// Every long text gives its parent a score, and its grandparents less; the score counts for less in a link list.
fn scored(document: &Document<'_>, blocks: &Blocks, layout: &Layout) -> NodeId {
    let mut scores = vec![0f32; document.len() as usize];
    for block in &blocks.list {
        let counts = &block.counts;
        let is_boilerplate = layout.above[block.container as usize]
            & (above::NAV | above::FOOTER | above::ASIDE)
            != 0;
        if counts.chars < 25 || counts.link_chars * 2 > counts.chars || is_boilerplate {
            continue;
        }
        let score = 1.0 + counts.commas as f32 + (counts.chars as f32 / 100.0).min(3.0);
        let levels = std::iter::once(block.container)
            .chain(document.ancestors(block.container))
            .filter(|node| {
                let tag = document.tag(*node);
                tag.is_block() && tag.heading_level().is_none() && !matches!(tag, Tag::P | Tag::Li)
            });
        for (level, node) in levels.take(4).enumerate() {
            scores[node as usize] += score / [1.0, 2.0, 5.0, 8.0][level];
        }
    }
    best(document, |node| {
        let score = scores[node as usize];
        if score == 0.0 {
            0.0
        } else {
            score * (1.0 - layout.sums_in(document, node).link_density())
        }
    })
}

fn declared(document: &Document<'_>, layout: &Layout) -> NodeId {
    best(document, |node| {
        let tag = document.tag(node);
        if tag == Tag::Text
            || layout.above[node as usize] & (above::NAV | above::FOOTER | above::ASIDE) != 0
        {
            return 0.0;
        }
        let says = |hint: Hint| layout.hints_at(node, hint);
        let weight = if says(Hint::Article) && says(Hint::Content)
            || layout.rare.itemprop
                && document.raw_attribute(node, "itemprop") == Some("articleBody")
        {
            1.3
        } else if tag == Tag::Article || says(Hint::Content) && says(Hint::Post) {
            1.2
        } else if tag == Tag::Main {
            1.0
        } else {
            return 0.0;
        };
        weight * layout.sums_in(document, node).prose
    })
}

fn dense(document: &Document<'_>, layout: &Layout) -> NodeId {
    let wanted = layout.sums_in(document, 0).prose * DENSE_SHARE;
    let mut at = 0;
    // Each step goes down, so the walk ends after as many steps as the tree is deep.
    while let Some(child) = document
        .children(at)
        .find(|child| wanted > 0.0 && layout.sums_in(document, *child).prose >= wanted)
    {
        at = child;
    }
    at
}

fn title_block(document: &Document<'_>, blocks: &Blocks, layout: &Layout) -> Option<usize> {
    let is_heading = |tag: Tag| {
        blocks.list.iter().position(|block| {
            document.tag(block.container) == tag
                && layout.above[block.container as usize] & above::HIDDEN == 0
        })
    };
    is_heading(Tag::H1).or_else(|| is_heading(Tag::H2))
}

fn best(document: &Document<'_>, score: impl Fn(NodeId) -> f32) -> NodeId {
    let mut found = (0.0, 0);
    for node in 1..document.len() {
        let score = score(node);
        if score > found.0 {
            found = (score, node);
        }
    }
    found.1
}
