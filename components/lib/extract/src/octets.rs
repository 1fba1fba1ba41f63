//! Eight bytes of a text at a time, as one number with the first byte lowest: a word is found in one step, not in one for each
//! byte, which is slow in WASM. What is found is marked by the highest bit of each byte.

/// The highest bit of each byte.
pub(crate) const MARKS: u64 = 0x8080_8080_8080_8080;
/// What makes letters small; digits have it already.
pub(crate) const SMALL: u64 = 0x2020_2020_2020_2020;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The bytes from a place on; zeros past the end.
pub(crate) fn at(bytes: &[u8], from: usize) -> u64 {
    let rest = bytes.get(from..).unwrap_or_default();
    if let Some(eight) = rest.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    match bytes.last_chunk() {
        Some(eight) if !rest.is_empty() => u64::from_le_bytes(*eight) >> (64 - rest.len() * 8),
        _ => {
            let put = |eight: u64, byte: &u8| eight << 8 | u64::from(*byte);
            rest.iter().rev().fold(0, put)
        }
    }
}

/// As many of the first bytes as this, and zeros.
pub(crate) fn first(eight: u64, count: usize) -> u64 {
    if count < 8 {
        eight & ((1 << (count * 8)) - 1)
    } else {
        eight
    }
}

/// How many bytes stand before the first mark.
pub(crate) fn before(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Marks each byte that is this one, which is ASCII.
pub(crate) fn equal(eight: u64, byte: u8) -> u64 {
    within(eight & !MARKS, byte, byte) & !eight
}

/// Marks the bytes from one to another, both of them ASCII.
pub(crate) fn between(eight: u64, low: u8, high: u8) -> u64 {
    within(eight & !MARKS, low, high) & !eight
}

/// Whether all bytes are white space of ASCII.
pub(crate) fn are_space(bytes: &[u8]) -> bool {
    let mut at = 0;
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        let eight = self::at(bytes, at);
        let spaces =
            equal(eight, b' ') | between(eight, b'\t', b'\n') | between(eight, 0x0c, b'\r');
        at += before(!spaces & MARKS);
    }
    at >= bytes.len()
}

/// Letters, digits and underscores of ASCII, and among them the digits and the capital letters.
pub(crate) struct Words {
    pub(crate) all: u64,
    pub(crate) letters: u64,
    pub(crate) capitals: u64,
    pub(crate) digits: u64,
}

impl Words {
    pub(crate) fn of(eight: u64) -> Words {
        let ascii = eight & !MARKS;
        let letters = within(ascii | SMALL, b'a', b'z') & !eight;
        let digits = within(ascii, b'0', b'9') & !eight;
        let underscores = within(ascii, b'_', b'_') & !eight;
        Words {
            all: letters | digits | underscores,
            letters,
            // What makes a letter small, moved to the place of the mark.
            capitals: letters & !(eight << 2),
            digits,
        }
    }
}

/// Marks the bytes from one to another; all of them are ASCII.
fn within(ascii: u64, low: u8, high: u8) -> u64 {
    let from = ascii + ONES * u64::from(0x80 - low);
    let past = ascii + ONES * u64::from(0x7f - high);
    from & !past & MARKS
}

#[cfg(test)]
mod tests {
    use super::{MARKS, Words, are_space, at, before, first};

    #[test]
    fn bytes_are_told_apart_wherever_they_stand() {
        let marks = |marks: u64, place: usize| (marks >> (place * 8)) & 0xff;
        for byte in 0..=u8::MAX {
            for beside in [0, b'a', 0x7f, 0xff] {
                for place in 0..8 {
                    let mut bytes = [beside; 8];
                    bytes[place] = byte;
                    let words = Words::of(u64::from_le_bytes(bytes));
                    let mark = |is_marked: bool| if is_marked { 0x80 } else { 0 };
                    let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
                    assert_eq!(marks(words.all, place), mark(is_word), "{byte}");
                    assert_eq!(
                        marks(words.letters, place),
                        mark(byte.is_ascii_alphabetic())
                    );
                    assert_eq!(
                        marks(words.capitals, place),
                        mark(byte.is_ascii_uppercase())
                    );
                    assert_eq!(marks(words.digits, place), mark(byte.is_ascii_digit()));
                }
            }
        }
    }

    #[test]
    fn space_is_found_as_the_standard_library_does() {
        for length in 0..20 {
            for at in 0..=length {
                for byte in [b' ', b'\t', b'\n', 0x0b, 0x0c, b'\r', b'x', 0xa0, 0] {
                    let mut bytes = vec![b' '; length];
                    bytes
                        .iter_mut()
                        .skip(at)
                        .take(1)
                        .for_each(|found| *found = byte);
                    let wanted = bytes.iter().all(u8::is_ascii_whitespace);
                    assert_eq!(are_space(&bytes), wanted, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn past_the_end_there_are_zeros() {
        let text = b"0123456789";
        for length in 0..=text.len() {
            for from in 0..=length {
                let mut wanted = [0; 8];
                for (byte, found) in wanted.iter_mut().zip(&text[from..length]) {
                    *byte = *found;
                }
                let found = at(&text[..length], from);
                assert_eq!(found.to_le_bytes(), wanted, "{from} of {length}");
            }
        }
        assert_eq!(first(at(b"abcdefgh", 0), 3), at(b"abc", 0));
        assert_eq!(first(at(b"abcdefgh", 0), 8), at(b"abcdefgh", 0));
        assert_eq!(before(MARKS & !0xff_ffff), 3);
        assert_eq!(before(0), 8);
    }
}
