//! Which blocks are the main text: the model's odds, the profile of the page's kind, and the set that is best on the whole.

use super::analysis::Analysis;
use super::blocks::Block;
use super::hints::Hint;
use super::mend;
use super::model::{Model, PageType, TypeOdds};
use crate::dom::{Document, NodeId};

/// A page is a forum for the comment rule from these odds on. Where comments are the content the odds are far above, and
/// elsewhere far below.
const FORUM_ODDS_MIN: f32 = 0.25;
/// On products, reviews and comments may be content.
const PRODUCT_ODDS_MIN: f32 = 0.5;
/// An element named after comments this near above a block makes it a comment.
const COMMENT_DISTANCE_MAX: u8 = 6;
/// What is left of a comment's odds.
const COMMENT_SHARE: f32 = 0.15;

/// What was chosen.
pub(crate) struct Choice {
    /// For each block, whether it is kept.
    pub(crate) kept: Vec<bool>,
    /// Whether what is kept is little, and hardly likely to be the text.
    pub(crate) is_doubtful: bool,
    /// The kind of page.
    pub(crate) types: TypeOdds,
    /// The heading that is the title of the text, and no part of it.
    pub(crate) title: Option<NodeId>,
}

/// Judges every block and keeps the best set.
pub(crate) fn choose(document: &Document<'_>, analysis: &Analysis, model: &Model<'_>) -> Choice {
    let page = analysis.page(document);
    let types = model.types(&page.page_row());
    let rows = page.rows(&types.0);
    let mut odds = model.blocks(rows.values, rows.width);
    for (distances, odds) in analysis.layout.distance.iter().zip(&mut odds) {
        *odds *= profile(distances[Hint::Comment as usize], &types);
    }
    let mut kept = best_set(&analysis.blocks.list, &odds);
    let is_article = types.likeliest() == PageType::Article;
    let title = mend::mend(document, analysis, &odds, is_article, &mut kept);
    let is_doubtful = is_doubtful(&analysis.blocks.list, &kept, &odds);
    Choice {
        kept,
        is_doubtful,
        types,
        title,
    }
}

/// With fewer words that are no likelier a page is taken to build its text by script.
const WORDS_MIN: u32 = 25;
const ODDS_MIN: f32 = 0.5;

fn is_doubtful(blocks: &[Block], kept: &[bool], odds: &[f32]) -> bool {
    let (mut words, mut right) = (0, 0.0);
    for ((block, _), odds) in blocks
        .iter()
        .zip(kept)
        .zip(odds)
        .filter(|((_, kept), _)| **kept)
    {
        words += block.counts.words;
        right += odds * block.counts.words as f32;
    }
    words < WORDS_MIN && right < ODDS_MIN * words.max(1) as f32
}

/// What the kind of page makes of a block's odds, by how far above it an element is named after comments.
fn profile(distance: u8, types: &TypeOdds) -> f32 {
    let may_talk = types.of(PageType::Forum) >= FORUM_ODDS_MIN
        || types.of(PageType::Product) >= PRODUCT_ODDS_MIN;
    if distance <= COMMENT_DISTANCE_MAX && !may_talk {
        COMMENT_SHARE
    } else {
        1.0
    }
}

/// The set of blocks with the highest expected F1 over words. Taken in the order of their odds, each further block adds
/// expected right words to the numerator and all its words to the denominator, so one pass finds the best end.
fn best_set(blocks: &[Block], odds: &[f32]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by(|one, other| odds[*other].total_cmp(&odds[*one]));
    let words = |index: usize| blocks[index].counts.words as f32;
    let wanted: f32 = order.iter().map(|index| odds[*index] * words(*index)).sum();
    let (mut right, mut taken) = (0.0, 0.0);
    let mut best = (0.0, 0);
    for (count, index) in order.iter().enumerate() {
        right += odds[*index] * words(*index);
        taken += words(*index);
        let expected = 2.0 * right / (taken + wanted + 1e-6);
        if expected > best.0 {
            best = (expected, count + 1);
        }
    }
    let mut kept = vec![false; blocks.len()];
    for index in &order[..best.1] {
        kept[*index] = true;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::best_set;
    use crate::text::blocks::{Block, Counts};

    #[test]
    fn the_best_set_weighs_words() {
        let block = |words| Block {
            counts: Counts {
                words,
                ..Counts::default()
            },
            ..Block::default()
        };
        let blocks = [block(100), block(10), block(100), block(1)];
        assert_eq!(
            best_set(&blocks, &[0.9, 0.5, 0.1, 0.8]),
            [true, true, false, true]
        );
        assert_eq!(best_set(&blocks, &[0.3, 0.3, 0.3, 0.3]), [true; 4]);
        assert!(best_set(&[], &[]).is_empty());
    }
}
