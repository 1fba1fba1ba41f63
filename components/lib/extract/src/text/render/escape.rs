//! Text written so that Markdown reads it as text.

use crate::octets::{self, MARKS};

/// Characters that show nothing: soft hyphens, marks of where a word may break, and the private ones of icon fonts.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}'
    )
}

/// Writes a word. `is_line_start` says that it is the first on its line, `in_heading` that it stands in a heading.
pub(super) fn push_word(word: &str, is_line_start: bool, in_heading: bool, markdown: &mut String) {
    let is_copied = |byte: u8| matches!(RUNS[usize::from(byte)], Run::GoesOn | Run::Wide);
    let is_plain = |byte: u8| !byte.is_ascii_punctuation();
    if word.bytes().all(is_copied) && (!is_line_start || word.bytes().all(is_plain)) {
        markdown.push_str(word);
        return;
    }
    let word = if is_line_start {
        line_start(word, markdown)
    } else {
        word
    };
    if in_heading && word.bytes().all(|byte| byte == b'#') {
        // Behind a heading's text they would be taken for its end.
        markdown.push('\\');
    }
    let mut before = markdown.chars().next_back().unwrap_or(' ');
    for (at, character) in word.char_indices() {
        let after = word[at + character.len_utf8()..].chars().next();
        let is_mark = match character {
            '`' | '*' | '[' | ']' => true,
            '\\' => after.is_none_or(|after| after.is_ascii_punctuation()),
            '_' => !(before.is_alphanumeric() && after.is_some_and(char::is_alphanumeric)),
            '<' => after.is_none_or(|after| {
                after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?')
            }),
            // Two of them strike text through, where the second follows a text.
            '~' => !before.is_whitespace() || !after.is_some_and(char::is_alphanumeric),
            '&' => is_reference(&word[at..]),
            _ => false,
        };
        if is_mark {
            markdown.push('\\');
        }
        markdown.push(character);
        before = character;
    }
}

/// What a byte does to a run of words that are written as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    GoesOn,
    Space,
    /// White space that is not written as it is.
    Break,
    /// The word may need a backslash.
    Sign,
    Underscore,
    /// The first byte of characters among which there are spaces and invisible ones.
    Wide,
}

static RUNS: [Run; 256] = {
    let mut table = [Run::GoesOn; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match byte as u8 {
            b' ' => Run::Space,
            9..=13 => Run::Break,
            b'`' | b'*' | b'[' | b']' | b'\\' | b'<' | b'~' | b'&' | b'#' => Run::Sign,
            b'_' => Run::Underscore,
            0xc2 | 0xe1..=0xe3 | 0xee | 0xef => Run::Wide,
            _ => Run::GoesOn,
        };
        byte += 1;
    }
    table
};

/// Marks the bytes that may not go on with a run, and zeros; a few of them do.
fn may_stop(eight: u64) -> u64 {
    eight & MARKS
        | octets::between(eight, 0, 0x1f)
        | octets::equal(eight, b'#')
        | octets::equal(eight, b'&')
        | octets::equal(eight, b'*')
        | octets::equal(eight, b'<')
        | octets::between(eight, b'[', b'`')
        | octets::between(eight, b'~', 0x7f)
}

/// The bytes at the start that go on with a run. Apart from what else there is, since a `match` for each byte becomes a jump
/// over a table in WASM.
fn going_on(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| RUNS[usize::from(*byte)] != Run::GoesOn)
        .unwrap_or(bytes.len())
}

/// The bytes of the white space at the start of a text.
pub(super) fn spaces(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match RUNS[usize::from(*byte)] {
            Run::Space | Run::Break => at += 1,
            Run::Wide => match text[at..].chars().next() {
                Some(character) if character.is_whitespace() => at += character.len_utf8(),
                _ => break,
            },
            _ => break,
        }
    }
    at
}

/// The bytes at the start of a text up to white space.
pub(super) fn first_word(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += going_on(&bytes[at..]);
        match bytes.get(at).map(|byte| RUNS[usize::from(*byte)]) {
            None | Some(Run::Space | Run::Break) => return at,
            Some(Run::Wide) => match text[at..].chars().next() {
                Some(character) if !character.is_whitespace() => at += character.len_utf8(),
                _ => return at,
            },
            Some(Run::GoesOn | Run::Sign | Run::Underscore) => at += 1,
        }
    }
}

/// The bytes of the words at the start of a text that mean the same in Markdown where they are not the first on their line,
/// with one space between each two of them.
pub(super) fn plain_words(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    // Where the last whole word ends.
    let (mut at, mut end) = (0, 0);
    loop {
        let eight = octets::at(bytes, at);
        let spaces = octets::equal(eight, b' ');
        let follows = at == 0 || bytes[at - 1] == b' ';
        let doubled = spaces & (spaces << 8 | if follows { 0x80 } else { 0 });
        let stops = may_stop(eight) | doubled;
        let count = octets::before(stops);
        let passed = octets::first(spaces, count);
        if passed != 0 {
            end = at + passed.ilog2() as usize / 8;
        }
        at += count;
        if stops == 0 {
            continue;
        }
        let Some(byte) = bytes.get(at) else { break };
        match RUNS[usize::from(*byte)] {
            Run::GoesOn => at += 1 + going_on(&bytes[at + 1..]),
            Run::Underscore if at > 0 && is_letter(at - 1) && is_letter(at + 1) => at += 1,
            Run::Space if at > 0 && bytes[at - 1] != b' ' => {
                end = at;
                at += 1;
            }
            Run::Break if at > 0 && bytes[at - 1] != b' ' => return at,
            Run::Wide => match text[at..].chars().next() {
                Some(character) if !(character.is_whitespace() || is_invisible(character)) => {
                    at += character.len_utf8();
                }
                _ => return end,
            },
            Run::Space | Run::Break | Run::Underscore | Run::Sign => return end,
        }
    }
    if bytes.ends_with(b" ") { end } else { at }
}

/// Writes what makes a line a heading, a quote, an item or a rule as text; the rest of the word.
fn line_start<'w>(word: &'w str, markdown: &mut String) -> &'w str {
    let bytes = word.as_bytes();
    let only = |byte: u8| bytes.iter().all(|found| *found == byte);
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if (1..10).contains(&digits) && matches!(&bytes[digits..], b"." | b")") {
        markdown.push_str(&word[..digits]);
        markdown.push('\\');
        markdown.push_str(&word[digits..]);
        return "";
    }
    let is_marker = bytes.starts_with(b">")
        || word == "+"
        || only(b'-')
        || only(b'=')
        || only(b'#') && word.len() <= 6
        || bytes.starts_with(b"|-")
        || bytes.starts_with(b":-");
    if is_marker {
        markdown.push('\\');
        markdown.push_str(&word[..1]);
        return &word[1..];
    }
    word
}

/// The longest name of a reference and its signs; no more is looked at, since a word may be as long as the page.
const REFERENCE_BYTES_MAX: usize = 36;

/// Whether a text starts with what reads as a character reference.
pub(super) fn is_reference(text: &str) -> bool {
    let bytes = &text.as_bytes()[1..text.len().min(REFERENCE_BYTES_MAX)];
    let name = bytes.strip_prefix(b"#").unwrap_or(bytes);
    let length = name
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    length > 0 && name.get(length) == Some(&b';')
}

/// Whether a text ends with a sign that no backslash takes its meaning from.
pub(super) fn ends_with_sign(text: &str, sign: char) -> bool {
    text.strip_suffix(sign).is_some_and(|before| {
        let slashes = before.bytes().rev().take_while(|byte| *byte == b'\\');
        slashes.count() % 2 == 0
    })
}

/// Plain text as Markdown paragraphs.
pub(crate) fn escaped_paragraphs(text: &str) -> String {
    let mut markdown = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !markdown.is_empty() {
            markdown.push_str("\n\n");
        }
        for (at, word) in line.split_whitespace().enumerate() {
            if at > 0 {
                markdown.push(' ');
            }
            push_word(word, at == 0, false, &mut markdown);
        }
    }
    markdown
}
