//! Path patterns: `*` for any run of bytes, `$` for the end.

use memchr::memmem;

/// A pattern in the form in which it is compared. A star in it is always one that stands for any run of bytes: a real one is
/// escaped. Stars part it only while it is matched, so that it takes no more memory than its text, however many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Box<[u8]>,
    anchored: bool,
    /// Escapes in the text of characters that a URL may also have as they are.
    either_way: u32,
}

impl Pattern {
    /// Reads the value of a rule. Empty values are no patterns.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        if value.is_empty() {
            return None;
        }
        let (body, anchored) = value
            .strip_suffix(b"$")
            .map_or((value, false), |body| (body, true));
        let literals: Vec<Vec<u8>> = body.split(|&b| b == b'*').map(normalised).collect();
        let text = literals.join(&b'*').into_boxed_slice();
        let escaped = memchr::memchr_iter(b'%', &text).filter_map(|at| text.get(at + 1..at + 3));
        let either_way = escaped.filter_map(hex_pair).filter(|b| is_either_way(*b));
        Some(Self {
            either_way: either_way.count() as u32,
            text,
            anchored,
        })
    }

    /// Octets of the pattern after normalisation, specials included: the longer match is the more specific one. What may be
    /// written in two ways counts as one, so that a rule for `/a:b` is no more specific than one for `/a/b`.
    pub(super) fn octets(&self) -> usize {
        self.text.len() + usize::from(self.anchored) - 2 * self.either_way as usize
    }

    /// Bytes of memory that the text of the pattern takes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether the pattern matches a normalised path from its start. Time is linear in both: each literal is sought
    /// once, from where the one before ended, and taking the first place that fits is never worse than a later one.
    /// What of the path was searched for that is added to `searched`.
    pub(super) fn matches(&self, path: &[u8], searched: &mut usize) -> bool {
        let (first, mut rest) = until_star(&self.text);
        let Some(mut left) = path.strip_prefix(first) else {
            return false;
        };
        if rest.is_some() {
            *searched += left.len();
        }
        while let Some(text) = rest {
            let (literal, after) = until_star(text);
            if after.is_none() && self.anchored {
                return left.ends_with(literal);
            }
            let Some(at) = memmem::find(left, literal) else {
                return false;
            };
            left = &left[at + literal.len()..];
            rest = after;
        }
        !self.anchored || left.is_empty()
    }
}

/// What stands before the first star, and what behind it if there is one.
fn until_star(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    memchr::memchr(b'*', text).map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// The form in which paths and patterns are compared (RFC 9309, 2.2.2): escapes of unreserved characters undone, other
/// escapes in upper case, octets outside printable ASCII escaped. Of the others in it those stay that part a path or a query, and
/// mean another thing when they are escaped. The rest are escaped, since URLs have some of them in one form and some in the other,
/// whatever the rule has. `*` and `$` in a path are escaped, so that a rule
/// can name them as `%2A` and `%24`; in a pattern the stars that stand for more part what is brought into this form.
pub(super) fn normalised(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        let byte = text[i];
        if let (b'%', Some(escaped)) = (byte, text.get(i + 1..i + 3).and_then(hex_pair)) {
            if is_unreserved(escaped) {
                out.push(escaped)
            } else {
                push_escaped(&mut out, escaped)
            }
            i += 3;
            continue;
        }
        if is_unreserved(byte) || is_parting(byte) {
            out.push(byte)
        } else {
            push_escaped(&mut out, byte)
        }
        i += 1;
    }
    out
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let value = digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?;
    u8::try_from(value).ok()
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]);
}

/// RFC 3986 (2.3).
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Signs that part a path or a query, and that of an escape.
const fn is_parting(byte: u8) -> bool {
    matches!(byte, b'/' | b'?' | b'#' | b'&' | b'=' | b'+' | b'%')
}

/// Signs that mean the same in a URL whether they are escaped or not.
const fn is_either_way(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !is_unreserved(byte)
        && !is_parting(byte)
        && !matches!(byte, b'*' | b'$')
}
