//! Character references, decoded as the HTML standard says (13.2.5.72 and following).

use std::borrow::Cow;

/// The standard's named references, one a line, sorted by bytes: the name and its code points.
const NAMED: &str = include_str!("entities.txt");
/// The longest name in the list, `CounterClockwiseContourIntegral;`, has 32 bytes.
const NAME_BYTES_MAX: usize = 32;

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
    for length in (2..=with_semicolon).rev() {
        let name = &bytes[..length];
        let Some(points) = lookup(name) else { continue };
        let next = bytes.get(length).copied().unwrap_or(b' ');
        if in_attribute
            && name.last() != Some(&b';')
            && (next == b'=' || next.is_ascii_alphanumeric())
        {
            return None;
        }
        out.extend(
            points
                .split(' ')
                .filter_map(|hex| u32::from_str_radix(hex, 16).ok())
                .filter_map(char::from_u32),
        );
        return Some(length);
    }
    None
}

/// Binary search over the lines of the list.
fn lookup(name: &[u8]) -> Option<&'static str> {
    let list = NAMED.as_bytes();
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let start = memchr::memrchr(b'\n', &list[low..middle]).map_or(low, |at| low + at + 1);
        let end = memchr::memchr(b'\n', &list[start..high]).map_or(high, |at| start + at);
        let line = &NAMED[start..end];
        let (key, points) = line.split_once(' ')?;
        match key.as_bytes().cmp(name) {
            std::cmp::Ordering::Equal => return Some(points),
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::decode;

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
        ] {
            assert_eq!(decode(source, false), expected, "{source}");
        }
    }

    #[test]
    fn an_attribute_keeps_its_query() {
        assert_eq!(decode("?a=1&copy=2&amp;lt=3&lt", true), "?a=1&copy=2&lt=3<");
    }
}
