//! Escapes of CSS (CSS Syntax 3, 4.3.7), in selectors and in style sheets.

use std::borrow::Cow;

/// What an escape stands for and how long it is, from what follows the backslash; none where that escapes nothing.
pub(crate) fn escaped(rest: &str) -> Option<(char, usize)> {
    const DIGITS_MAX: usize = 6;
    let first = rest.chars().next()?;
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let digits = rest.bytes().take(DIGITS_MAX).take_while(is_digit).count();
    if digits == 0 {
        let is_line_end = matches!(first, '\n' | '\r' | '\x0C');
        return (!is_line_end).then_some((first, first.len_utf8()));
    }
    let number = u32::from_str_radix(&rest[..digits], 16).ok();
    let character = number
        .filter(|number| *number != 0)
        .and_then(char::from_u32);
    // One blank ends the number, so that a digit can follow it.
    let blank = match &rest.as_bytes()[digits..] {
        [b'\r', b'\n', ..] => 2,
        [b' ' | b'\t' | b'\n' | b'\r' | 0x0C, ..] => 1,
        _ => 0,
    };
    Some((
        character.unwrap_or(char::REPLACEMENT_CHARACTER),
        digits + blank,
    ))
}

/// A string or an address without its escapes.
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    let Some((plain, mut rest)) = text.split_once('\\') else {
        return Cow::Borrowed(text);
    };
    let mut out = plain.to_owned();
    loop {
        if let Some((character, length)) = escaped(rest) {
            out.push(character);
            rest = &rest[length..];
        } else {
            // A string goes on in the next line.
            rest = rest
                .strip_prefix("\r\n")
                .unwrap_or_else(|| rest.get(1..).unwrap_or_default());
        }
        let Some((plain, behind)) = rest.split_once('\\') else {
            out.push_str(rest);
            return Cow::Owned(out);
        };
        out.push_str(plain);
        rest = behind;
    }
}

/// Where the string that begins with this quote ends: with the next such quote, or broken off, with its line.
pub(crate) fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' | b'\r' | 0x0C => break,
            byte if byte == bytes[start] => break,
            _ => {}
        }
        at += 1;
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn escapes_are_read_as_css_does() {
        for (text, wanted) in [
            ("", ""),
            ("plain", "plain"),
            ("https\\:a", "https:a"),
            ("\\31 23", "123"),
            ("\\31\t\\32\r\n3", "123"),
            ("\\31  2", "1 2"),
            ("\\0000313", "13"),
            ("\\2d\\2Dx", "--x"),
            ("\\E9 t\\e9", "été"),
            ("\\é\\\\", "é\\"),
            ("\\0 \\d800 \\110000", "\u{fffd}\u{fffd}\u{fffd}"),
            ("a\\\nb\\\r\nc", "abc"),
            ("a\\", "a"),
        ] {
            assert_eq!(unescaped(text), wanted, "{text:?}");
        }
    }
}
