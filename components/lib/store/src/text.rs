//! Statements without what is only for people. A host gets the whole text with each call: it checks and copies it, and looks it up among
//! those that it knows. Half of the files in `sql/` is comments and indentation.

/// The statement in a file of `sql/`.
macro_rules! statement {
    ($file:literal) => {{
        const SOURCE: &str = include_str!(concat!("../sql/", $file));
        const TEXT: [u8; $crate::text::length(SOURCE)] = $crate::text::compact(SOURCE);
        // What is left out is ASCII, so the rest is UTF-8 as it was.
        const STATEMENT: &str = match core::str::from_utf8(&TEXT) {
            Ok(text) => text,
            Err(_) => SOURCE,
        };
        STATEMENT
    }};
}

pub(crate) use statement;

/// Bytes of a statement without comments, and with one space for any white space.
pub(crate) const fn length(source: &str) -> usize {
    let mut writer = Writer::<0>::new();
    writer.write(source.as_bytes());
    writer.length
}

/// The statement itself; `LENGTH` is its [`length`].
pub(crate) const fn compact<const LENGTH: usize>(source: &str) -> [u8; LENGTH] {
    let mut writer = Writer::<LENGTH>::new();
    writer.write(source.as_bytes());
    writer.text
}

/// Counts what it writes, and keeps what it has room for.
struct Writer<const ROOM: usize> {
    text: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Writer<ROOM> {
    const fn new() -> Self {
        Self {
            text: [b' '; ROOM],
            length: 0,
        }
    }

    const fn write(&mut self, source: &[u8]) {
        let mut at = 0;
        while at < source.len() {
            let end = token_end(source, at);
            if is_blank(source, at) {
                // One at the end would be for nothing.
                if self.length > 0 && !only_blank(source, end) {
                    self.push(b' ');
                }
                at = blank_end(source, end);
            } else {
                while at < end {
                    self.push(source[at]);
                    at += 1;
                }
            }
        }
    }

    const fn push(&mut self, byte: u8) {
        if self.length < ROOM {
            self.text[self.length] = byte;
        }
        self.length += 1;
    }
}

/// Whether white space or a comment begins here.
const fn is_blank(source: &[u8], at: usize) -> bool {
    match source[at] {
        b' ' | b'\t' | b'\n' | b'\r' => true,
        b'-' => at + 1 < source.len() && source[at + 1] == b'-',
        _ => false,
    }
}

/// Where the comment, the quoted text or the single byte ends that begins here.
const fn token_end(source: &[u8], at: usize) -> usize {
    let last = match source[at] {
        quote @ (b'\'' | b'"') => quote,
        b'-' if is_blank(source, at) => b'\n',
        _ => return at + 1,
    };
    let mut end = at + 1;
    while end < source.len() && source[end] != last {
        end += 1;
    }
    if end < source.len() { end + 1 } else { end }
}

/// Where something follows that is not blank, or the text ends.
const fn blank_end(source: &[u8], mut at: usize) -> usize {
    while at < source.len() && is_blank(source, at) {
        at = token_end(source, at);
    }
    at
}

const fn only_blank(source: &[u8], at: usize) -> bool {
    blank_end(source, at) == source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<const LENGTH: usize>(source: &str, expected: &[u8; LENGTH]) {
        assert_eq!(length(source), LENGTH, "{source}");
        assert_eq!(&compact::<LENGTH>(source), expected, "{source}");
    }

    #[test]
    fn comments_and_white_space_are_one_space_each() {
        check("SELECT 1", b"SELECT 1");
        check(
            "-- why\nSELECT  a,\n\t  b -- and\n-- why\n  FROM t\n",
            b"SELECT a, b FROM t",
        );
        check("SELECT 1 - -1, 2-1 -- the end", b"SELECT 1 - -1, 2-1");
        check("-- nothing", b"");
        check("", b"");
    }

    #[test]
    fn what_is_quoted_stays() {
        check(
            "SELECT '  -- a''  b', \"c  d\"  --",
            b"SELECT '  -- a''  b', \"c  d\"",
        );
        check("SELECT 'never  ends", b"SELECT 'never  ends");
        check("SELECT '\u{e4}  '  ", b"SELECT '\xc3\xa4  '");
    }

    #[test]
    fn a_file_is_read_at_compile_time() {
        const STATE: &str = statement!("state.sql");
        assert!(STATE.starts_with("SELECT"), "{STATE}");
    }
}
