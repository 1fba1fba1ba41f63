//! Each block as a row of numbers: itself, its ancestors, its neighbours and its page.

use super::blocks::{Block, Blocks};
use super::candidates::Candidates;
use super::hints::HINTS;
use super::layout::{Layout, above, at_least_one};
use super::page::PageFacts;
use super::topics::TOPICS;
use crate::dom::{Document, Tag};

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
    pub(crate) fn rows(&self, page_odds: &[f32]) -> Rows {
        let list = &self.blocks.list;
        let basics: Vec<[f32; 4]> = list.iter().map(|block| self.basics(block)).collect();
        let repeats = self.repeats();
        let mut values = Vec::with_capacity(list.len() * 192);
        let mut heading = Heading::default();
        let mut whole = Vec::new();
        self.whole_page(&mut whole);
        let total_words = at_least_one(self.facts.words);
        for (index, block) in list.iter().enumerate() {
            self.own(block, &mut values);
            self.ancestors(block, index, total_words, &mut values);
            self.repetition(block, &mut values);
            self.candidates(block, index, &mut values);
            for offset in NEIGHBOURS {
                let neighbour = index
                    .checked_add_signed(offset)
                    .and_then(|at| basics.get(at));
                values.extend(neighbour.copied().unwrap_or([-1.0; 4]));
            }
            self.surroundings(index, &mut values);
            heading.push(index, &mut values);
            if self.document.tag(block.container).heading_level().is_some() {
                heading = Heading::of(self.document, block, index);
            }
            values.push(f32::from(repeats[index].min(20)));
            values.extend(&whole);
            values.extend(page_odds);
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

    fn own(&self, block: &Block, values: &mut Vec<f32>) {
        let counts = &block.counts;
        let words = counts.words.max(1) as f32;
        let share = |count: u32| count as f32 / words;
        values.extend(self.basics(block));
        values.extend([
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
        let read = counts.words.clamp(1, super::topics::WORDS_READ) as f32;
        let topics: [f32; TOPICS] = counts.topics.map(|count| f32::from(count) / read);
        values.extend(topics);
    }

    fn ancestors(&self, block: &Block, index: usize, total_words: f32, values: &mut Vec<f32>) {
        let flags = self.layout.above[self.document.parent(block.first) as usize];
        values.extend((0..above::COUNT).map(|bit| ((flags >> bit) & 1) as f32));
        let distance: [f32; HINTS] = self.layout.distance[index].map(f32::from);
        values.extend(distance);
        values.push(f32::from(self.document.depth(block.container)));
        let mut level = 0;
        let mut wanted = LEVELS.into_iter().peekable();
        let mut node = block.container;
        while let Some(next) = wanted.peek().copied() {
            let parent = self.document.parent(node);
            if level < next && parent != node {
                node = parent;
                level += usize::from(self.document.tag(node).is_block());
                continue;
            }
            let sums = self.layout.sums_in(self.document, node);
            values.extend([
                sums.words,
                sums.link_density(),
                sums.prose / at_least_one(sums.words),
                sums.words / total_words,
                sums.blocks,
            ]);
            wanted.next();
        }
    }

    fn repetition(&self, block: &Block, values: &mut Vec<f32>) {
        for (node, count) in self.layout.repetitions(block.container) {
            if count == 0 {
                values.extend([0.0; 7]);
                continue;
            }
            let sums = self.layout.sums_in(self.document, node);
            let list = self
                .layout
                .sums_in(self.document, self.document.parent(node));
            values.extend([
                count as f32,
                f32::from(self.document.depth(block.container))
                    - f32::from(self.document.depth(node)),
                sums.words,
                sums.link_density(),
                list.prose / at_least_one(list.words),
                list.words / at_least_one(self.facts.words),
                tag_code(self.document.tag(node)),
            ]);
        }
    }

    fn candidates(&self, block: &Block, index: usize, values: &mut Vec<f32>) {
        for candidate in [
            self.candidates.scored,
            self.candidates.declared,
            self.candidates.dense,
        ] {
            let inside = self.document.contains(candidate, block.container);
            let mut up = 0;
            let mut node = candidate;
            while !self.document.contains(node, block.first) {
                node = self.document.parent(node);
                up += 1;
            }
            let before = block.first < candidate;
            let sums = self.layout.sums_in(self.document, candidate);
            values.extend([
                f32::from(u8::from(inside && candidate != 0)),
                up.min(12) as f32,
                f32::from(u8::from(before)),
                sums.prose / at_least_one(self.layout.sums_in(self.document, 0).prose),
            ]);
        }
        let from_title = self
            .candidates
            .title_block
            .map_or(-1000.0, |title| index as f32 - title as f32);
        values.push(from_title.clamp(-50.0, 200.0));
        let count = self.blocks.list.len().max(1) as f32;
        values.push(index as f32 / count);
        values.push(count - index as f32);
    }

    fn surroundings(&self, index: usize, values: &mut Vec<f32>) {
        let count = self.blocks.list.len();
        for reach in [3, 10] {
            let sums = self
                .layout
                .sums_of(index.saturating_sub(reach)..(index + reach + 1).min(count));
            values.extend([
                sums.words,
                sums.link_density(),
                sums.prose / at_least_one(sums.words),
            ]);
        }
        let (before, after) = (
            self.layout.sums_of(0..index),
            self.layout.sums_of(index..count),
        );
        let prose = at_least_one(before.prose + after.prose);
        values.extend([
            before.prose / prose,
            before.words / at_least_one(self.facts.words),
        ]);
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
        for candidate in [
            self.candidates.scored,
            self.candidates.declared,
            self.candidates.dense,
        ] {
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

    fn push(&self, index: usize, values: &mut Vec<f32>) {
        values.push(
            self.index
                .map_or(-1.0, |heading| (index - heading).min(60) as f32),
        );
        values.push(self.level);
        // Of a heading, what it says about other pages, talk, accounts and commerce matters.
        values.extend([
            self.topics[7],
            self.topics[5],
            self.topics[1],
            self.topics[3],
            self.topics[2],
        ]);
    }
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
