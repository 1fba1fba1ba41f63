//! Each block as a row of numbers: itself, its ancestors, its neighbours and its page.

use super::blocks::{Block, Blocks};
use super::candidates::Candidates;
use super::hints::HINTS;
use super::layout::{Layout, above, at_least_one};
use super::page::PageFacts;
use super::topics::TOPICS;
use crate::dom::{Document, NodeId, Tag};

/// What the rows are made from.
pub(crate) struct Page<'a> {
    pub(crate) document: &'a Document<'a>,
    pub(crate) blocks: &'a Blocks,
    pub(crate) layout: &'a Layout,
    pub(crate) candidates: &'a Candidates,
    pub(crate) facts: &'a PageFacts,
}

/// The rows of a page, one after another in one array.
pub(crate) struct Rows {
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
}

/// Neighbours on each side whose numbers stand in a block's row.
const NEIGHBOURS: [isize; 4] = [-2, -1, 1, 2];
/// Ancestors, counted in block-level elements, whose sums stand in a block's row.
const LEVELS: [usize; 4] = [1, 2, 4, 6];

impl Page<'_> {
    /// The rows of all blocks, each with these numbers of the page at its end.
    #[inline(never)]
    pub(crate) fn rows(&self, page_odds: &[f32]) -> Rows {
        let list = &self.blocks.list;
        let basics: Vec<[f32; 4]> = list.iter().map(|block| self.basics(block)).collect();
        let repeats = self.repeats();
        let mut values = Vec::with_capacity((list.len() + 2) * 192);
        let mut heading = Heading::default();
        let mut whole = Vec::new();
        self.whole_page(&mut whole);
        whole.extend(page_odds);
        let shares = self
            .candidates()
            .map(|candidate| self.prose_share(candidate));
        for (index, block) in list.iter().enumerate() {
            values.extend(basics[index]);
            values.extend(own(block));
            self.ancestors(block, index, &mut values);
            values.extend(self.repetition(block));
            values.extend(self.position(block, index, shares));
            for offset in NEIGHBOURS {
                let neighbour = index
                    .checked_add_signed(offset)
                    .and_then(|at| basics.get(at));
                values.extend(neighbour.copied().unwrap_or([-1.0; 4]));
            }
            values.extend(self.surroundings(index));
            values.extend(heading.values(index));
            if self.document.tag(block.container).heading_level().is_some() {
                heading = Heading::of(self.document, block, index);
            }
            values.push(f32::from(repeats[index].min(20)));
            values.extend(&whole);
        }
        let width = values.len() / list.len().max(1);
        Rows { values, width }
    }

    fn basics(&self, block: &Block) -> [f32; 4] {
        let counts = &block.counts;
        [
            counts.words as f32,
            counts.link_chars as f32 / counts.chars.max(1) as f32,
            tag_code(self.document.tag(block.container)),
            f32::from(u8::from(counts.ends_sentence)),
        ]
    }

    /// The kinds of elements above a block, how far above it each hint is, and how much text of which kind its ancestors hold.
    fn ancestors(&self, block: &Block, index: usize, values: &mut Vec<f32>) {
        let flags = self.layout.above[self.document.parent(block.first) as usize];
        let above: [f32; above::COUNT] =
            std::array::from_fn(|bit| if flags & (1 << bit) != 0 { 1.0 } else { 0.0 });
        values.extend(above);
        let distance: [f32; HINTS] = self.layout.distance[index].map(f32::from);
        values.extend(distance);
        values.push(f32::from(self.document.depth(block.container)));
        let mut level = 0;
        let mut node = block.container;
        let total_words = at_least_one(self.facts.words);
        for wanted in LEVELS {
            while level < wanted && node != 0 {
                node = self.document.parent(node);
                level += usize::from(self.document.tag(node).is_block());
            }
            let sums = self.layout.sums_in(self.document, node);
            values.extend([
                sums.words,
                sums.link_density(),
                sums.prose / at_least_one(sums.words),
                sums.words / total_words,
                sums.blocks,
            ]);
        }
    }

    fn repetition(&self, block: &Block) -> [f32; 14] {
        let mut values = [0.0; 14];
        let found = self.layout.repetitions(block.container);
        for ((node, count), values) in found.into_iter().zip(values.as_chunks_mut().0) {
            if count == 0 {
                continue;
            }
            let sums = self.layout.sums_in(self.document, node);
            let list = self
                .layout
                .sums_in(self.document, self.document.parent(node));
            *values = [
                count as f32,
                f32::from(self.document.depth(block.container))
                    - f32::from(self.document.depth(node)),
                sums.words,
                sums.link_density(),
                list.prose / at_least_one(list.words),
                list.words / at_least_one(self.facts.words),
                tag_code(self.document.tag(node)),
            ];
        }
        values
    }

    fn candidates(&self) -> [NodeId; 3] {
        [
            self.candidates.scored,
            self.candidates.declared,
            self.candidates.dense,
        ]
    }

    /// The share of the page's prose that an element holds.
    fn prose_share(&self, node: NodeId) -> f32 {
        let all = self.layout.sums_in(self.document, 0).prose;
        self.layout.sums_in(self.document, node).prose / at_least_one(all)
    }

    /// Where a block stands: by each candidate, by the title, and on the page. `shares` are those of the candidates.
    fn position(&self, block: &Block, index: usize, shares: [f32; 3]) -> [f32; 15] {
        let mut values = [0.0; 15];
        let (of_candidates, _) = values.as_chunks_mut();
        let candidates = self.candidates().into_iter().zip(shares);
        for ((candidate, share), values) in candidates.zip(of_candidates) {
            let inside = self.document.contains(candidate, block.container);
            let mut up = 0;
            let mut node = candidate;
            while !self.document.contains(node, block.first) {
                node = self.document.parent(node);
                up += 1;
            }
            let before = block.first < candidate;
            *values = [
                f32::from(u8::from(inside && candidate != 0)),
                up.min(12) as f32,
                f32::from(u8::from(before)),
                share,
            ];
        }
        let from_title = self
            .candidates
            .title_block
            .map_or(-1000.0, |title| index as f32 - title as f32);
        let count = self.blocks.list.len().max(1) as f32;
        values[12] = from_title.clamp(-50.0, 200.0);
        values[13] = index as f32 / count;
        values[14] = count - index as f32;
        values
    }

    fn surroundings(&self, index: usize) -> [f32; 8] {
        let count = self.blocks.list.len();
        let [near, far] = [3, 10].map(|reach| {
            self.layout
                .sums_of(index.saturating_sub(reach)..(index + reach + 1).min(count))
        });
        let (before, after) = (
            self.layout.sums_of(0..index),
            self.layout.sums_of(index..count),
        );
        let prose = at_least_one(before.prose + after.prose);
        [
            near.words,
            near.link_density(),
            near.prose / at_least_one(near.words),
            far.words,
            far.link_density(),
            far.prose / at_least_one(far.words),
            before.prose / prose,
            before.words / at_least_one(self.facts.words),
        ]
    }

    /// The page as one row: its facts, and the share of its words that each hint and each kind of ancestor has.
    pub(crate) fn page_row(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(128);
        self.whole_page(&mut values);
        let facts = self.facts;
        values.extend([
            facts.paragraphs,
            facts.headings,
            facts.articles,
            facts.code_share,
            facts.prose_share,
            facts.link_share,
        ]);
        values.extend([facts.words, self.blocks.list.len() as f32]);
        let total = at_least_one(facts.words);
        let mut hints = [0.0f32; HINTS];
        let mut flags = [0.0f32; above::COUNT];
        let mut topics = [0.0f32; TOPICS];
        let (mut repeated, mut prose_repeated, mut marks, mut digits) = (0.0, 0.0, 0.0, 0.0);
        for (block, distances) in self.blocks.list.iter().zip(&self.layout.distance) {
            let words = block.counts.words as f32 / total;
            for (sum, distance) in hints.iter_mut().zip(distances) {
                *sum += if *distance <= 5 { words } else { 0.0 };
            }
            let above = self.layout.above[self.document.parent(block.first) as usize];
            for (bit, sum) in flags.iter_mut().enumerate() {
                *sum += ((above >> bit) & 1) as f32 * words;
            }
            for (sum, count) in topics.iter_mut().zip(block.counts.topics) {
                *sum += f32::from(count) / total;
            }
            let [_, (_, count)] = self.layout.repetitions(block.container);
            repeated += if count > 0 { words } else { 0.0 };
            prose_repeated += if count > 0 && block.counts.words >= 12 {
                words
            } else {
                0.0
            };
            marks += block.counts.marks as f32 / total;
            digits += block.counts.digits as f32 / total;
        }
        values.extend(hints);
        values.extend(flags);
        values.extend(topics);
        values.extend([repeated, prose_repeated, marks, digits]);
        let all = self.layout.sums_in(self.document, 0);
        for candidate in self.candidates() {
            let sums = self.layout.sums_in(self.document, candidate);
            values.extend([
                sums.prose / at_least_one(all.prose),
                sums.words / total,
                sums.link_density(),
                sums.blocks / at_least_one(sums.words),
            ]);
        }
        values
    }

    fn whole_page(&self, values: &mut Vec<f32>) {
        let facts = self.facts;
        let bit = |set: u32, index: u32| ((set >> index) & 1) as f32;
        values.extend((0..5).map(|index| bit(facts.declared, index)));
        values.extend((0..5).map(|index| bit(facts.suggested, index)));
        values.extend([
            facts.path_depth.min(6.0),
            facts.slug_words.min(10.0),
            f32::from(u8::from(facts.has_query)),
            log(facts.paragraphs).round(),
            log(facts.headings).round(),
            log(facts.articles).round(),
            (facts.code_share * 10.0).round(),
            (facts.prose_share * 10.0).round(),
            (facts.link_share * 10.0).round(),
            log(facts.words).round(),
            f32::from(u8::from(facts.has_buy_form)),
        ]);
    }

    /// How often each block's text occurs on the page.
    fn repeats(&self) -> Vec<u8> {
        let mut hashes: Vec<u64> = self.blocks.list.iter().map(|block| block.hash).collect();
        hashes.sort_unstable();
        let count = |hash: u64| {
            let from = hashes.partition_point(|other| *other < hash);
            let to = hashes.partition_point(|other| *other <= hash);
            u8::try_from(to - from).unwrap_or(u8::MAX)
        };
        self.blocks
            .list
            .iter()
            .map(|block| count(block.hash))
            .collect()
    }
}

/// The nearest heading before a block.
#[derive(Default)]
struct Heading {
    index: Option<usize>,
    level: f32,
    topics: [f32; TOPICS],
}

impl Heading {
    fn of(document: &Document<'_>, block: &Block, index: usize) -> Heading {
        let level = document
            .tag(block.container)
            .heading_level()
            .unwrap_or_default();
        let words = block.counts.words.clamp(1, super::topics::WORDS_READ) as f32;
        Heading {
            index: Some(index),
            level: f32::from(level),
            topics: block.counts.topics.map(|count| f32::from(count) / words),
        }
    }

    fn values(&self, index: usize) -> [f32; 7] {
        let distance = |heading: usize| (index - heading).min(60) as f32;
        // Of a heading, what it says about other pages, talk, accounts and commerce matters.
        [
            self.index.map_or(-1.0, distance),
            self.level,
            self.topics[7],
            self.topics[5],
            self.topics[1],
            self.topics[3],
            self.topics[2],
        ]
    }
}

/// What is counted in a block, but for [`Page::basics`].
fn own(block: &Block) -> [f32; 14 + TOPICS] {
    let counts = &block.counts;
    let words = counts.words.max(1) as f32;
    let share = |count: u32| count as f32 / words;
    let read = counts.words.clamp(1, super::topics::WORDS_READ) as f32;
    let mut values = [0.0; 14 + TOPICS];
    let (of_words, of_topics) = values.split_at_mut(14);
    of_words.copy_from_slice(&[
        counts.chars as f32,
        counts.chars as f32 / words,
        counts.links as f32 / words,
        share(counts.sentences),
        share(counts.commas),
        share(counts.capitals),
        share(counts.all_caps),
        share(counts.digits),
        share(counts.short_words),
        share(counts.strong_words),
        share(counts.marks),
        share(counts.title_words),
        counts.link_words as f32,
        f32::from(counts.link_kind),
    ]);
    for (value, count) in of_topics.iter_mut().zip(counts.topics) {
        *value = f32::from(count) / read;
    }
    values
}

fn log(value: f32) -> f32 {
    (1.0 + value).log2()
}

/// Tags in an order that makes sense to a threshold: from navigation-like to text-like.
fn tag_code(tag: Tag) -> f32 {
    match tag {
        Tag::Button | Tag::Label | Tag::Option | Tag::Legend => 0.0,
        Tag::Li => 1.0,
        Tag::Div | Tag::Section | Tag::Article | Tag::Main | Tag::Body => 3.0,
        Tag::Td | Tag::Th | Tag::Dd | Tag::Dt => 4.0,
        Tag::H1 => 6.0,
        Tag::H2 => 7.0,
        Tag::H3 => 8.0,
        Tag::H4 | Tag::H5 | Tag::H6 => 9.0,
        Tag::Figcaption | Tag::Caption => 10.0,
        Tag::Blockquote => 11.0,
        Tag::P => 12.0,
        Tag::Pre => 13.0,
        _ => 2.0,
    }
}
