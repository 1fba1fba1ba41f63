//! The page as a sequence of blocks: runs of text that stand in one block-level element, with what can be counted in them.

use trawl_core::limits::text::BLOCKS_MAX;

use super::topics;
use crate::dom::{Document, NodeId, Tag};

/// Letters, digits and the underscore make words, as in the measure that pages are scored by.
pub(crate) fn is_word_char(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A run of text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// The block-level element that the text stands in.
    pub(crate) container: NodeId,
    /// The first text node and one past the last.
    pub(crate) first: NodeId,
    pub(crate) end: NodeId,
    pub(crate) counts: Counts,
    /// Of the words in lower case, to find repeated text.
    pub(crate) hash: u64,
}

/// What can be counted in a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) words: u32,
    pub(crate) chars: u32,
    pub(crate) link_words: u32,
    pub(crate) link_chars: u32,
    pub(crate) links: u32,
    pub(crate) sentences: u32,
    pub(crate) commas: u32,
    pub(crate) capitals: u32,
    pub(crate) all_caps: u32,
    pub(crate) digits: u32,
    pub(crate) short_words: u32,
    pub(crate) strong_words: u32,
    pub(crate) marks: u32,
    pub(crate) ends_sentence: bool,
    /// Words that the page's title has, too.
    pub(crate) title_words: u32,
    /// Where the first link leads, as [`super::links`] tells them apart; 0 without one.
    pub(crate) link_kind: u8,
    /// Words of each topic of [`super::topics`], among the first ones.
    pub(crate) topics: [u8; topics::TOPICS],
}

/// A page cut into blocks.
pub(crate) struct Blocks {
    pub(crate) list: Vec<Block>,
    /// Whether the page has more of them than are judged.
    pub(crate) is_cut: bool,
}

/// Elements whose text nobody reads.
pub(crate) fn is_silent(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::Head
            | Tag::Script
            | Tag::Style
            | Tag::Template
            | Tag::Svg
            | Tag::Iframe
            | Tag::Noembed
            | Tag::Noframes
            | Tag::Canvas
            | Tag::Video
            | Tag::Audio
            | Tag::Textarea
            | Tag::Title
            | Tag::Object
            | Tag::Select
    )
}

/// Elements that make a block of their own.
fn is_container(tag: Tag) -> bool {
    tag.is_block() || matches!(tag, Tag::Button | Tag::Label | Tag::Noscript)
}

/// Cuts the page into blocks, in document order.
/// `title` has the sorted hashes of the title's words.
pub(crate) fn segment(document: &Document<'_>, title: &[u64]) -> Blocks {
    let count = document.len();
    let mut container: Vec<NodeId> = vec![0; count as usize];
    let mut in_link = vec![false; count as usize];
    let mut in_strong = vec![false; count as usize];
    let mut list: Vec<Block> = Vec::new();
    let mut counter = Counter::new(title);
    let mut open: Option<Block> = None;
    let mut breaks = 0;
    let mut node = 1;
    while node < count && list.len() <= BLOCKS_MAX {
        let tag = document.tag(node);
        let parent = document.parent(node) as usize;
        if is_silent(tag) {
            node = document.end(node);
            continue;
        }
        let at = node as usize;
        container[at] = if is_container(tag) {
            node
        } else {
            container[parent]
        };
        in_link[at] = tag == Tag::A || in_link[parent];
        in_strong[at] = matches!(tag, Tag::B | Tag::Strong) || in_strong[parent];
        if tag == Tag::Br {
            breaks += 1;
            counter.text(" ", false, false);
        } else if tag == Tag::A {
            counter.link(super::links::kind(document, node));
        } else if tag == Tag::Text {
            let text = document.text(node);
            let is_space = text.bytes().all(|byte| byte.is_ascii_whitespace());
            let continues = open
                .as_ref()
                .is_some_and(|block| block.container == container[at] && (breaks < 2 || is_space));
            if !continues && !is_space {
                let (links, kind) = (counter.counts.links, counter.last_link);
                close(&mut open, &mut counter, &mut list);
                // A link that was opened since the last text belongs to the text that follows.
                if links > 0 && in_link[at] {
                    counter.link(kind);
                }
                open = Some(Block {
                    container: container[at],
                    first: node,
                    ..Block::default()
                });
            }
            if let (Some(block), true) = (&mut open, continues || !is_space) {
                if !is_space {
                    block.end = node + 1;
                    breaks = 0;
                }
                counter.text(text, in_link[at], in_strong[at]);
            }
        }
        node += 1;
    }
    close(&mut open, &mut counter, &mut list);
    let is_cut = list.len() > BLOCKS_MAX;
    list.truncate(BLOCKS_MAX);
    Blocks { list, is_cut }
}

fn close(open: &mut Option<Block>, counter: &mut Counter<'_>, list: &mut Vec<Block>) {
    let (counts, hash) = std::mem::replace(counter, Counter::new(counter.title)).finish();
    if let Some(mut block) = open.take()
        && counts.chars > 0
    {
        block.counts = counts;
        block.hash = hash;
        list.push(block);
    }
}

/// How many letters make a word in scripts that put no space between words, on average; elsewhere there is no limit.
pub(crate) fn unspaced_word(character: char) -> u32 {
    match character {
        '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => 2,
        // Thai, Lao, Burmese, Khmer.
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => 4,
        _ => u32::MAX,
    }
}

pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
pub(crate) const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The hash of a word in lower case, one character after another.
pub(crate) fn hash_char(hash: u64, character: char) -> u64 {
    (hash ^ u64::from(u32::from(character))).wrapping_mul(FNV_PRIME)
}

/// The hashes of a text's words in lower case.
pub(crate) fn word_hashes(text: &str) -> Vec<u64> {
    let words = text
        .split(|character| !is_word_char(character))
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.chars()
                .flat_map(char::to_lowercase)
                .fold(FNV_START, hash_char)
        })
        .collect()
}

/// Counts over the texts of one block; a word may go on over several text nodes.
struct Counter<'t> {
    title: &'t [u64],
    counts: Counts,
    hash: u64,
    word: Word,
    last: Option<char>,
    last_link: u8,
}

#[derive(Default, Clone, Copy)]
struct Word {
    hash: u64,
    chars: u32,
    capitals: u32,
    starts_capital: bool,
    has_digit: bool,
    is_link: bool,
    is_strong: bool,
}

impl<'t> Counter<'t> {
    fn new(title: &'t [u64]) -> Self {
        Counter {
            title,
            counts: Counts::default(),
            hash: FNV_START,
            word: Word::default(),
            last: None,
            last_link: 0,
        }
    }

    fn link(&mut self, kind: u8) {
        self.counts.links += 1;
        self.last_link = kind;
        if self.counts.link_kind == 0 {
            self.counts.link_kind = kind;
        }
    }

    fn text(&mut self, text: &str, is_link: bool, is_strong: bool) {
        for character in text.chars() {
            if is_word_char(character) {
                self.word_char(character, is_link, is_strong);
                continue;
            }
            self.end_word();
            if character.is_whitespace() {
                continue;
            }
            self.counts.chars += 1;
            self.counts.link_chars += u32::from(is_link);
            self.last = Some(character);
            match character {
                '.' | '!' | '?' | '…' | '。' | '！' | '？' | '؟' | '।' => {
                    self.counts.sentences += 1
                }
                ',' | ';' | '、' | '，' | '،' => self.counts.commas += 1,
                '|' | '»' | '›' | '·' | '•' | '©' | '$' | '€' | '£' | '/' | '→' | '>' | '+'
                | '#' | '@' => self.counts.marks += 1,
                _ => {}
            }
        }
    }

    fn word_char(&mut self, character: char, is_link: bool, is_strong: bool) {
        if self.word.chars >= unspaced_word(character) {
            self.end_word();
        }
        if self.word.chars == 0 {
            self.word = Word {
                hash: FNV_START,
                starts_capital: character.is_uppercase(),
                is_link,
                is_strong,
                ..Word::default()
            };
        }
        self.word.chars += 1;
        if character.is_ascii() {
            self.word.capitals += u32::from(character.is_ascii_uppercase());
            self.word.has_digit |= character.is_ascii_digit();
            self.word.hash = hash_char(self.word.hash, character.to_ascii_lowercase());
        } else {
            self.word.capitals += u32::from(character.is_uppercase());
            for small in character.to_lowercase() {
                self.word.hash = hash_char(self.word.hash, small);
            }
        }
        self.counts.chars += 1;
        self.counts.link_chars += u32::from(is_link);
        self.last = Some(character);
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if word.chars == 0 {
            return;
        }
        self.hash = (self.hash ^ word.hash).wrapping_mul(FNV_PRIME);
        let counts = &mut self.counts;
        counts.words += 1;
        counts.title_words += u32::from(self.title.binary_search(&word.hash).is_ok());
        if counts.words <= topics::WORDS_READ
            && let Some(topic) = topics::of_word(word.hash)
        {
            counts.topics[topic] += 1;
        }
        counts.link_words += u32::from(word.is_link);
        counts.strong_words += u32::from(word.is_strong);
        counts.capitals += u32::from(word.starts_capital);
        counts.all_caps += u32::from(word.capitals == word.chars && word.chars > 1);
        counts.digits += u32::from(word.has_digit);
        counts.short_words += u32::from(word.chars <= 3 && !word.has_digit);
    }

    fn finish(mut self) -> (Counts, u64) {
        self.end_word();
        let last = self.last.unwrap_or(' ');
        self.counts.ends_sentence = matches!(
            last,
            '.' | '!' | '?' | '…' | ':' | '"' | '”' | ')' | '。' | '！' | '？' | '؟' | '।'
        );
        (self.counts, self.hash)
    }
}
