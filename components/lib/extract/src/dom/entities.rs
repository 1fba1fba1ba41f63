//! Character references, decoded as the HTML standard says (13.2.5.72 and following).

use std::borrow::Cow;

/// The standard's named references, one a line, sorted by bytes: the name and its code points. They are all 2,231 of the list
/// `entities.json` that the WHATWG publishes beside its HTML standard (13.5, "Named character references"). The standard says
/// that the list will never change; it lets programs use what is part of it under the BSD 3-Clause licence.
const NAMED: &str = include_str!("entities.txt");
/// The longest name in the list, `CounterClockwiseContourIntegral;`, has 32 bytes.
const NAME_BYTES_MAX: usize = 32;

/// Where a line of the list stands and how long its name is.
#[derive(Clone, Copy)]
struct Line {
    start: u16,
    name_len: u8,
}

const LINES_COUNT: usize = {
    let (bytes, mut at, mut count) = (NAMED.as_bytes(), 0, 0);
    while at < bytes.len() {
        count += (bytes[at] == b'\n') as usize;
        at += 1;
    }
    count
};

/// The lines of the list, found while compiling.
static LINES: [Line; LINES_COUNT] = {
    let bytes = NAMED.as_bytes();
    assert!(bytes.len() <= u16::MAX as usize);
    let empty = Line {
        start: 0,
        name_len: 0,
    };
    let mut lines = [empty; LINES_COUNT];
    let (mut at, mut start, mut line) = (0, 0, 0);
    while at < bytes.len() {
        if bytes[at] == b' ' && lines[line].name_len == 0 {
            lines[line] = Line {
                start: start as u16,
                name_len: (at - start) as u8,
            };
        } else if bytes[at] == b'\n' {
            (start, line) = (at + 1, line + 1);
        }
        at += 1;
    }
    lines
};

impl Line {
    fn name(self) -> &'static [u8] {
        let start = usize::from(self.start);
        &NAMED.as_bytes()[start..start + usize::from(self.name_len)]
    }

    /// The code points in hexadecimal.
    fn points(self) -> &'static str {
        let rest = &NAMED[usize::from(self.start) + usize::from(self.name_len) + 1..];
        &rest[..memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len())]
    }
}

/// The text with its character references replaced. `in_attribute` keeps `&copy=` as it is, as browsers do.
pub fn decode(text: &str, in_attribute: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'&', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut decoded = String::with_capacity(text.len());
    decoded.push_str(&text[..first]);
    decode_into(&text[first..], in_attribute, &mut decoded);
    Cow::Owned(decoded)
}

/// Appends the decoded text to `out`.
pub(crate) fn decode_into(text: &str, in_attribute: bool, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let used = if rest.as_bytes().get(1) == Some(&b'#') {
            numeric(&rest.as_bytes()[2..], out).map(|used| used + 2)
        } else {
            named(&rest.as_bytes()[1..], in_attribute, out).map(|used| used + 1)
        };
        if let Some(used) = used {
            rest = &rest[used..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
}

/// Decodes what follows `&#`; the number of bytes used.
fn numeric(bytes: &[u8], out: &mut String) -> Option<usize> {
    let hex = matches!(bytes.first(), Some(b'x' | b'X'));
    let start = usize::from(hex);
    let radix = if hex { 16 } else { 10 };
    let mut at = start;
    let mut value = 0u32;
    while let Some(digit) = bytes
        .get(at)
        .and_then(|byte| char::from(*byte).to_digit(radix))
    {
        // Past the last code point the value only has to stay too large.
        value = value
            .saturating_mul(radix)
            .saturating_add(digit)
            .min(0x0011_0000);
        at += 1;
    }
    if at == start {
        return None;
    }
    out.push(code_point(value));
    Some(at + usize::from(bytes.get(at) == Some(&b';')))
}

/// The character of a numeric reference, with the standard's table for the C1 range (windows-1252).
fn code_point(value: u32) -> char {
    const C1: [u16; 32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013,
        0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
    ];
    let value = match value {
        0 => 0xFFFD,
        0x80..=0x9F => u32::from(C1[(value - 0x80) as usize]),
        other => other,
    };
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The references that make up nearly all of those on real pages, which need no search in the list.
const COMMON: [(&[u8], char); 14] = [
    (b"amp;", '&'),
    (b"nbsp;", '\u{a0}'),
    (b"quot;", '"'),
    (b"lt;", '<'),
    (b"gt;", '>'),
    (b"rsquo;", '\u{2019}'),
    (b"lsquo;", '\u{2018}'),
    (b"rdquo;", '\u{201d}'),
    (b"ldquo;", '\u{201c}'),
    (b"mdash;", '\u{2014}'),
    (b"ndash;", '\u{2013}'),
    (b"hellip;", '\u{2026}'),
    (b"copy;", '\u{a9}'),
    (b"middot;", '\u{b7}'),
];

/// Decodes the longest name that follows `&`; the number of bytes used.
fn named(bytes: &[u8], in_attribute: bool, out: &mut String) -> Option<usize> {
    if let Some((name, character)) = COMMON.iter().find(|(name, _)| bytes.starts_with(name)) {
        out.push(*character);
        return Some(name.len());
    }
    let window = &bytes[..bytes.len().min(NAME_BYTES_MAX)];
    let letters = window
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let with_semicolon = letters + usize::from(window.get(letters) == Some(&b';'));
    let line = longest_name(&window[..with_semicolon])?;
    let name = line.name();
    let next = bytes.get(name.len()).copied().unwrap_or(b' ');
    if in_attribute && name.last() != Some(&b';') && (next == b'=' || next.is_ascii_alphanumeric())
    {
        return None;
    }
    let points = line.points().split(' ');
    out.extend(
        points
            .filter_map(|hex| u32::from_str_radix(hex, 16).ok())
            .filter_map(char::from_u32),
    );
    Some(name.len())
}

/// The longest name that the text starts with.
///
/// Every name that starts the text is not greater than it, and the greatest such name starts with all the others. So where
/// that name is not the one, no more than what it shares with the text can be, and the search goes on with that.
fn longest_name(text: &[u8]) -> Option<Line> {
    let mut text = text;
    loop {
        let after = LINES.partition_point(|line| line.name() <= text);
        let line = LINES[after.checked_sub(1)?];
        let name = line.name();
        let shared = name
            .iter()
            .zip(text)
            .take_while(|(one, other)| one == other)
            .count();
        if shared == name.len() {
            return Some(line);
        }
        text = &text[..shared];
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES, NAMED, decode, longest_name};

    #[test]
    fn references_decode_as_browsers_do() {
        for (source, expected) in [
            ("a &amp; b", "a & b"),
            ("&nbsp;&quot;&lt;&gt;&rsquo;&lsquo;", "\u{a0}\"<>’‘"),
            (
                "&rdquo;&ldquo;&mdash;&ndash;&hellip;&copy;&middot;",
                "”“—–…©·",
            ),
            ("&AElig&AElig;", "ÆÆ"),
            ("&zwnj;", "\u{200c}"),
            ("&notit; &notin;", "¬it; ∉"),
            ("&#8212;&#x2014&#150;", "——–"),
            ("&#0;&#xD800;&#99999999999;", "\u{fffd}\u{fffd}\u{fffd}"),
            ("&unknown; & &;&#; &#x;", "&unknown; & &;&#; &#x;"),
            ("&acE;", "\u{223e}\u{333}"),
            ("&CounterClockwiseContourIntegral;", "∳"),
            (
                "&CounterClockwiseContourIntegralx",
                "&CounterClockwiseContourIntegralx",
            ),
            ("&ampersand; &zz; &A &Z", "&ersand; &zz; &A &Z"),
        ] {
            assert_eq!(decode(source, false), expected, "{source}");
        }
    }

    #[test]
    fn every_name_of_the_list_is_found_as_itself() {
        for line in NAMED.lines() {
            let (name, points) = line.split_once(' ').unwrap();
            let wanted: String = points
                .split(' ')
                .map(|hex| char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap())
                .collect();
            assert_eq!(decode(&format!("&{name}"), false), wanted, "{name}");
            assert_eq!(decode(&format!("&{name} x"), true), format!("{wanted} x"));
            // Without its semicolon it is found only where the list has it so, or a shorter one.
            let plain = name.trim_end_matches(';');
            let longest = (1..=plain.len()).rev().find_map(|length| {
                let line = LINES
                    .iter()
                    .find(|line| line.name() == &plain.as_bytes()[..length]);
                line.map(|line| line.name().len())
            });
            assert_eq!(
                longest_name(plain.as_bytes()).map(|line| line.name().len()),
                longest
            );
        }
    }

    #[test]
    fn an_attribute_keeps_its_query() {
        assert_eq!(decode("?a=1&copy=2&amp;lt=3&lt", true), "?a=1&copy=2&lt=3<");
    }
}
