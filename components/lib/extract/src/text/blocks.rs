//! The page as a sequence of blocks: runs of text that stand in one block-level element, with what can be counted in them.

use trawl_core::limits::text::BLOCKS_MAX;

use super::topics;
use crate::dom::{Document, NodeId, Tag};
use crate::octets::{self, MARKS, SMALL, Words};

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

/// What a node stands in, as one number: the nearest container, and whether a link and a strong element are around it.
const IN_LINK: u64 = 1;
const IN_STRONG: u64 = 1 << 1;
const CONTAINER_SHIFT: u32 = 2;

/// Cuts the page into blocks, in document order.
/// `title` has the words of the title.
#[inline(never)]
pub(crate) fn segment(document: &Document<'_>, title: &WordSet) -> Blocks {
    let count = document.len();
    let mut surroundings = vec![0u64; count as usize];
    let mut list: Vec<Block> = Vec::new();
    let mut counter = Counter::new(title);
    let mut open: Option<Block> = None;
    let mut breaks = 0;
    let mut node = 1;
    while node < count && list.len() <= BLOCKS_MAX {
        let tag = document.tag(node);
        let parent = document.parent(node) as usize;
        if tag.is_silent() {
            node = document.end(node);
            continue;
        }
        let mut around = surroundings[parent];
        if tag.is_apart() {
            around = u64::from(node) << CONTAINER_SHIFT | around & (IN_LINK | IN_STRONG);
        }
        match tag {
            Tag::A => around |= IN_LINK,
            Tag::B | Tag::Strong => around |= IN_STRONG,
            _ => {}
        }
        surroundings[node as usize] = around;
        if tag == Tag::Br {
            breaks += 1;
            counter.text(" ", false, false);
        } else if tag == Tag::P && document.end(node) == node + 1 {
            // An empty one parts words as well.
            counter.text(" ", false, false);
        } else if tag == Tag::A {
            counter.link(super::links::kind(document, node));
        } else if tag == Tag::Text {
            let text = document.text(node);
            let container = (around >> CONTAINER_SHIFT) as NodeId;
            let (is_link, is_strong) = (around & IN_LINK != 0, around & IN_STRONG != 0);
            let is_space = document.is_space(node);
            let continues = open
                .as_ref()
                .is_some_and(|block| block.container == container && (breaks < 2 || is_space));
            if !continues && !is_space {
                let (links, kind) = (counter.counts.links, counter.last_link);
                close(&mut open, &mut counter, &mut list);
                // A link that was opened since the last text belongs to the text that follows.
                if links > 0 && is_link {
                    counter.link(kind);
                }
                open = Some(Block {
                    container,
                    first: node,
                    ..Block::default()
                });
            }
            if let (Some(block), true) = (&mut open, continues || !is_space) {
                if !is_space {
                    block.end = node + 1;
                    breaks = 0;
                }
                counter.text(text, is_link, is_strong);
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

/// A hash of a word in lower case, made of one character after another, however many texts they stand in. Words that differ
/// have the same hash by chance only; up to seven letters never.
#[derive(Clone, Copy)]
pub(crate) struct WordHash {
    mixed: u64,
    /// Up to seven bytes, the first one lowest, and a one behind them.
    pending: u64,
}

impl WordHash {
    pub(crate) const START: WordHash = WordHash {
        mixed: 0,
        pending: 1,
    };

    /// Adds a letter, a digit or an underscore.
    pub(crate) const fn push_ascii(self, byte: u8) -> WordHash {
        // Of the bytes that stand in words, none but the two cases of a letter become the same by this.
        self.push_byte(byte | 0x20)
    }

    const fn push_byte(self, byte: u8) -> WordHash {
        let bits = self.pending.ilog2();
        let pending = self.pending ^ 1 << bits | (0x100 | byte as u64) << bits;
        if bits < 48 {
            return WordHash { pending, ..self };
        }
        WordHash {
            mixed: mix(self.mixed ^ pending),
            pending: 1,
        }
    }

    /// The hash of a word so far: the letters, digits and underscores that stand there. `bytes` is what it stands in.
    fn of_ascii(bytes: &[u8], from: usize, end: usize) -> WordHash {
        let mut hash = WordHash::START;
        let mut from = from;
        loop {
            let count = (end - from).min(7);
            let one = 1 << (count * 8);
            hash.pending = (octets::at(bytes, from) | SMALL) & (one - 1) | one;
            if count < 7 {
                return hash;
            }
            hash.mixed = mix(hash.mixed ^ hash.pending);
            hash.pending = 1;
            from += 7;
        }
    }

    /// Adds a character in lower case.
    fn push(self, character: char) -> WordHash {
        let code = u32::from(character);
        if code < 0x80 {
            return self.push_ascii(code as u8);
        }
        let [_, bytes @ ..] = code.to_be_bytes();
        bytes.into_iter().fold(self, WordHash::push_byte)
    }

    pub(crate) const fn finish(self) -> u64 {
        mix(self.mixed ^ self.pending)
    }
}

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(value: u64) -> u64 {
    let product = value.wrapping_mul(MIX);
    product ^ (product >> 32)
}

/// The words of a title, by their hashes.
#[derive(Default)]
pub(crate) struct WordSet {
    /// A bit for the last digits of each hash: most words that are asked for have none.
    bits: u64,
    sorted: Vec<u64>,
}

impl WordSet {
    pub(crate) fn of(text: &str) -> WordSet {
        let mut sorted = word_hashes(text);
        sorted.sort_unstable();
        WordSet {
            bits: sorted.iter().fold(0, |bits, hash| bits | 1 << (hash % 64)),
            sorted,
        }
    }

    fn contains(&self, hash: u64) -> bool {
        (self.bits >> (hash % 64)) & 1 != 0 && self.sorted.binary_search(&hash).is_ok()
    }
}

/// The hashes of a text's words in lower case, parted as [`Counter`] parts them.
pub(crate) fn word_hashes(text: &str) -> Vec<u64> {
    let mut hashes = Vec::new();
    let (mut hash, mut chars) = (WordHash::START, 0);
    for character in text.chars() {
        let is_word = is_word_char(character);
        if chars > 0 && (!is_word || chars >= unspaced_word(character)) {
            hashes.push(hash.finish());
            (hash, chars) = (WordHash::START, 0);
        }
        if is_word {
            hash = character.to_lowercase().fold(hash, WordHash::push);
            chars += 1;
        }
    }
    if chars > 0 {
        hashes.push(hash.finish());
    }
    hashes
}

/// What an ASCII character is to the counter, as bits.
mod class {
    pub(super) const WORD: u8 = 1;
    pub(super) const SPACE: u8 = 1 << 1;
    pub(super) const SENTENCE: u8 = 1 << 2;
    pub(super) const COMMA: u8 = 1 << 3;
    pub(super) const MARK: u8 = 1 << 4;
    /// Not ASCII.
    pub(super) const WIDE: u8 = 1 << 5;
    /// The class of each byte.
    pub(super) static OF: [u8; 256] = {
        let mut table = [0; 256];
        let mut byte = 0u8;
        loop {
            table[byte as usize] = match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' => WORD,
                b' ' | 9..=13 => SPACE,
                b'.' | b'!' | b'?' => SENTENCE,
                b',' | b';' => COMMA,
                b'|' | b'$' | b'/' | b'>' | b'+' | b'#' | b'@' => MARK,
                128.. => WIDE,
                _ => 0,
            };
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        table
    };
}

/// Counts over the texts of one block; a word may go on over several text nodes.
struct Counter<'t> {
    title: &'t WordSet,
    counts: Counts,
    hash: u64,
    word: Word,
    last: char,
    last_link: u8,
}

#[derive(Clone, Copy)]
struct Word {
    hash: WordHash,
    chars: u32,
    starts_capital: bool,
    is_all_capital: bool,
    has_digit: bool,
    is_link: bool,
    is_strong: bool,
}

impl Word {
    const NONE: Word = Word {
        hash: WordHash::START,
        chars: 0,
        starts_capital: false,
        is_all_capital: true,
        has_digit: false,
        is_link: false,
        is_strong: false,
    };
}

const BLOCK_HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

impl<'t> Counter<'t> {
    fn new(title: &'t WordSet) -> Self {
        Counter {
            title,
            counts: Counts::default(),
            hash: BLOCK_HASH_START,
            word: Word::NONE,
            last: ' ',
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
        let bytes = text.as_bytes();
        let before = self.counts.chars;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let class = class::OF[usize::from(*byte)];
            if class & class::WORD != 0 {
                at = self.ascii_word(bytes, at, is_link, is_strong);
                continue;
            }
            if class & class::WIDE != 0 {
                let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                    break;
                };
                self.wide_char(character, is_link, is_strong);
                at += character.len_utf8();
                continue;
            }
            at += 1;
            self.end_word();
            if class & class::SPACE == 0 {
                self.counts.chars += 1;
                self.last = char::from(*byte);
                self.counts.sentences += u32::from(class & class::SENTENCE != 0);
                self.counts.commas += u32::from(class & class::COMMA != 0);
                self.counts.marks += u32::from(class & class::MARK != 0);
            }
        }
        if is_link {
            self.counts.link_chars += self.counts.chars - before;
        }
    }

    /// Reads a word, or more of one, as far as it is ASCII, and the space behind a whole one; where that ends.
    fn ascii_word(&mut self, bytes: &[u8], from: usize, is_link: bool, is_strong: bool) -> usize {
        let (mut digits, mut others) = (0, 0);
        let mut at = from;
        loop {
            let found = Words::of(octets::at(bytes, at));
            let outside = !found.all & MARKS;
            // The marks before the first one outside.
            let inside = (outside & outside.wrapping_neg()).wrapping_sub(1);
            digits |= found.digits & inside;
            others |= found.all & !found.capitals & inside;
            at += octets::before(outside);
            if outside != 0 {
                break;
            }
        }
        let chars = (at - from) as u32;
        self.counts.chars += chars;
        self.last = 'a';
        let (is_all_capital, has_digit) = (others == 0, digits != 0);
        if self.word.chars == 0 {
            let word = Word {
                hash: WordHash::of_ascii(bytes, from, at),
                chars,
                starts_capital: bytes[from].is_ascii_uppercase(),
                is_all_capital,
                has_digit,
                is_link,
                is_strong,
            };
            if bytes.get(at).is_some_and(u8::is_ascii) {
                // The whole word stands here, as nearly all do.
                self.count(&word);
                return at + usize::from(bytes[at] == b' ');
            }
            self.word = word;
            return at;
        }
        self.word.hash = bytes[from..at]
            .iter()
            .fold(self.word.hash, |hash, byte| hash.push_ascii(*byte));
        self.word.chars += chars;
        self.word.is_all_capital &= is_all_capital;
        self.word.has_digit |= has_digit;
        at
    }

    /// Reads a character that is not ASCII.
    #[inline(never)]
    fn wide_char(&mut self, character: char, is_link: bool, is_strong: bool) {
        if !is_word_char(character) {
            self.end_word();
            if character.is_whitespace() {
                return;
            }
            self.counts.chars += 1;
            self.last = character;
            match character {
                '…' | '。' | '！' | '？' | '؟' | '।' => self.counts.sentences += 1,
                '、' | '，' | '،' => self.counts.commas += 1,
                '»' | '›' | '·' | '•' | '©' | '€' | '£' | '→' => self.counts.marks += 1,
                _ => {}
            }
            return;
        }
        if self.word.chars >= unspaced_word(character) {
            self.end_word();
        }
        if self.word.chars == 0 {
            self.word = Word {
                starts_capital: character.is_uppercase(),
                is_link,
                is_strong,
                ..Word::NONE
            };
        }
        self.word.chars += 1;
        self.word.is_all_capital &= character.is_uppercase();
        self.word.hash = character
            .to_lowercase()
            .fold(self.word.hash, WordHash::push);
        self.counts.chars += 1;
        self.last = character;
    }

    #[inline(always)]
    fn end_word(&mut self) {
        if self.word.chars > 0 {
            self.end_open_word();
        }
    }

    #[inline(never)]
    fn end_open_word(&mut self) {
        let word = std::mem::replace(&mut self.word, Word::NONE);
        self.count(&word);
    }

    #[inline(always)]
    fn count(&mut self, word: &Word) {
        let hash = word.hash.finish();
        self.hash = mix(self.hash ^ hash);
        let counts = &mut self.counts;
        counts.words += 1;
        counts.title_words += u32::from(self.title.contains(hash));
        if counts.words <= topics::WORDS_READ
            && let Some(topic) = topics::of_word(hash)
        {
            counts.topics[topic] += 1;
        }
        counts.link_words += u32::from(word.is_link);
        counts.strong_words += u32::from(word.is_strong);
        counts.capitals += u32::from(word.starts_capital);
        counts.all_caps += u32::from(word.is_all_capital && word.chars > 1);
        counts.digits += u32::from(word.has_digit);
        counts.short_words += u32::from(word.chars <= 3 && !word.has_digit);
    }

    fn finish(mut self) -> (Counts, u64) {
        self.end_word();
        self.counts.ends_sentence = matches!(
            self.last,
            '.' | '!' | '?' | '…' | ':' | '"' | '”' | ')' | '。' | '！' | '？' | '؟' | '।'
        );
        (self.counts, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, WordSet, word_hashes};

    /// What is counted of a text is the same in however many pieces it comes.
    #[test]
    fn a_word_may_stand_in_several_texts() {
        let text = "Überraschungsgroß ABC_1 internationalization, 日本語 naïve ÉTÉ ok… İx";
        let counts = |pieces: &[&str]| {
            let title = WordSet::of("naïve");
            let mut counter = Counter::new(&title);
            for piece in pieces {
                counter.text(piece, true, false);
            }
            let (counts, hash) = counter.finish();
            (format!("{counts:?}"), hash)
        };
        let whole = counts(&[text]);
        for (at, _) in text.char_indices() {
            let (head, tail) = text.split_at(at);
            assert_eq!(counts(&[head, tail]), whole, "{at}");
        }
        let characters: Vec<&str> = text.split_inclusive(|_| true).collect();
        assert_eq!(counts(&characters), whole);
    }

    #[test]
    fn the_words_of_a_title_are_parted_as_those_of_a_text() {
        for text in [
            "国家统计局公布2024年第三季度数据",
            "東京都、来年度 iPhone15を",
            "ภาษาไทย ok",
            "A title_x",
        ] {
            let title = WordSet::of(text);
            let mut counter = Counter::new(&title);
            counter.text(text, false, false);
            let (counts, _) = counter.finish();
            assert_eq!(counts.title_words, counts.words, "{text}");
            assert_eq!(word_hashes(text).len(), counts.words as usize, "{text}");
        }
    }

    #[test]
    fn words_hash_alike_whatever_their_case_and_else_apart() {
        let hashes = |text: &str| word_hashes(text);
        assert_eq!(hashes("Straße ÄPFEL WORD_9"), hashes("straße äpfel word_9"));
        let mut apart = hashes("a b A_ a_ aa a0 abcdefg abcdefgh abcdefghi é e ŧ 日 日本 本");
        // `A_` and `a_` are one word.
        let count = apart.len();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), count - 1);
    }
}
