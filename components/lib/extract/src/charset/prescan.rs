//! The search for an encoding in the first bytes of a page (HTML 13.2.3.3, "prescan a byte stream").

use std::ops::Range;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// Where `<meta>` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Wherever it stands, as the standard says for the first 1,024 bytes.
    Everything,
    /// Before the first element that is not of the head, and not inside a script, style or title.
    Head,
}

/// The encoding that the first sound `<meta>` declares.
pub(super) fn meta(bytes: &[u8], scope: Scope) -> Option<&'static Encoding> {
    Labels::new(bytes, scope).find_map(|at| match Encoding::for_label(&bytes[at])? {
        // A page whose `<meta>` can be read as ASCII is not in UTF-16.
        encoding if encoding == UTF_16BE || encoding == UTF_16LE => Some(UTF_8),
        encoding if encoding == X_USER_DEFINED => Some(WINDOWS_1252),
        encoding => Some(encoding),
    })
}

/// The encoding that an XML declaration names.
pub(super) fn xml_declaration(bytes: &[u8]) -> Option<&'static Encoding> {
    let at = xml_label(bytes)?;
    match Encoding::for_label(&bytes[at])? {
        encoding if encoding == UTF_16BE || encoding == UTF_16LE => Some(UTF_8),
        encoding => Some(encoding),
    }
}

/// Where the label of an XML declaration stands.
pub(crate) fn xml_label(bytes: &[u8]) -> Option<Range<usize>> {
    const START: &[u8] = b"<?xml";
    let declaration = bytes.strip_prefix(START)?;
    let declaration = &declaration[..memchr::memchr(b'>', declaration)?];
    let mut at = memchr::memmem::find(declaration, b"encoding")? + b"encoding".len();
    let skip_blanks = |at: usize| at + declaration[at..].iter().take_while(|&&b| b <= b' ').count();
    at = skip_blanks(at);
    if declaration.get(at) != Some(&b'=') {
        return None;
    }
    at = skip_blanks(at + 1);
    let quote = *declaration.get(at).filter(|&&b| b == b'"' || b == b'\'')?;
    let length = memchr::memchr(quote, &declaration[at + 1..])?;
    let start = START.len() + at + 1;
    Some(start..start + length)
}

/// The places of encoding labels in the `<meta>` elements of a page, in order. Only whole, effective ones count.
pub(crate) struct Labels<'a> {
    bytes: &'a [u8],
    at: usize,
    scope: Scope,
}

/// Elements that a head holds; any other start tag ends it.
const HEAD: &[&[u8]] = &[
    b"html",
    b"head",
    b"title",
    b"base",
    b"meta",
    b"link",
    b"style",
    b"script",
    b"noscript",
    b"template",
    b"object",
];
/// Elements whose content is text.
const RAW: &[&[u8]] = &[b"title", b"style", b"script"];

impl<'a> Labels<'a> {
    pub(crate) const fn new(bytes: &'a [u8], scope: Scope) -> Self {
        Self {
            bytes,
            at: 0,
            scope,
        }
    }

    /// Goes past the next occurrence of `end`.
    fn skip_past(&mut self, from: usize, end: &[u8]) -> Option<()> {
        let found = memchr::memmem::find(self.bytes.get(from..)?, end)?;
        self.at = from + found + end.len();
        Some(())
    }

    /// Reads one start tag from after its name's first letter; a label when it is a `<meta>` that holds one. The
    /// outer `None` means the end of what is to be read.
    #[expect(
        clippy::option_option,
        reason = "the end of the page and a tag without a label are two things"
    )]
    fn start_tag(&mut self) -> Option<Option<Range<usize>>> {
        let bytes = self.bytes;
        let rest = &bytes[self.at..];
        let length = rest
            .iter()
            .position(|&b| is_blank(b) || b == b'>' || b == b'/')?;
        let name = &rest[..length];
        self.at += length;
        if self.scope == Scope::Head && !is_one_of(name, HEAD) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"meta") {
            return self.meta_label();
        }
        while self.attribute()?.is_some() {}
        if self.scope == Scope::Head && is_one_of(name, RAW) {
            self.skip_raw(name)?;
        }
        Some(None)
    }

    fn skip_raw(&mut self, name: &[u8]) -> Option<()> {
        loop {
            self.skip_past(self.at, b"</")?;
            if self
                .bytes
                .get(self.at..self.at + name.len())?
                .eq_ignore_ascii_case(name)
            {
                return Some(());
            }
        }
    }

    #[expect(clippy::option_option, reason = "as for a start tag")]
    fn meta_label(&mut self) -> Option<Option<Range<usize>>> {
        // Of attributes that repeat, the first counts.
        let (mut pragma, mut by_charset, mut by_content) = (None, None, None);
        while let Some((name, value)) = self.attribute()? {
            let text = &self.bytes[value.clone()];
            if pragma.is_none() && name.eq_ignore_ascii_case(b"http-equiv") {
                pragma = Some(text.eq_ignore_ascii_case(b"content-type"));
            } else if by_charset.is_none() && name.eq_ignore_ascii_case(b"charset") {
                by_charset = Some(trimmed(self.bytes, value));
            } else if by_content.is_none() && name.eq_ignore_ascii_case(b"content") {
                let label = label_in_content(text);
                by_content = Some(label.map(|at| value.start + at.start..value.start + at.end));
            }
        }
        // A charset attribute decides, a bad one too.
        Some(by_charset.or_else(|| by_content.flatten().filter(|_| pragma == Some(true))))
    }

    /// One attribute of a tag: its name as it stands there, and where its value stands. `Some(None)` after the last one.
    #[expect(clippy::option_option, reason = "as for a start tag")]
    fn attribute(&mut self) -> Option<Option<(&'a [u8], Range<usize>)>> {
        let bytes = self.bytes;
        let skip = |at: usize, also_slash: bool| {
            at + bytes[at..]
                .iter()
                .take_while(|&&b| is_blank(b) || (also_slash && b == b'/'))
                .count()
        };
        self.at = skip(self.at, true);
        if *bytes.get(self.at)? == b'>' {
            self.at += 1;
            return Some(None);
        }
        let start = self.at;
        // An equals sign at the start of a name belongs to it.
        let ends = |&(i, &b): &(usize, &u8)| {
            is_blank(b) || matches!(b, b'/' | b'>') || (b == b'=' && i > 0)
        };
        let length = bytes[start..].iter().enumerate().find(ends)?.0;
        let name = &bytes[start..start + length];
        self.at = skip(start + length, false);
        if *bytes.get(self.at)? != b'=' {
            return Some(Some((name, self.at..self.at)));
        }
        self.at = skip(self.at + 1, false);
        let value = match *bytes.get(self.at)? {
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                let end = start + memchr::memchr(quote, &bytes[start..])?;
                self.at = end + 1;
                start..end
            }
            _ => {
                let start = self.at;
                let length = bytes[start..]
                    .iter()
                    .position(|&b| is_blank(b) || b == b'>')?;
                self.at = start + length;
                start..self.at
            }
        };
        Some(Some((name, value)))
    }
}

impl Iterator for Labels<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.skip_past(self.at, b"<")?;
            match *self.bytes.get(self.at)? {
                b'!' if self.bytes[self.at..].starts_with(b"!--") => {
                    self.skip_past(self.at + 1, b"-->")?
                }
                b'!' | b'?' => self.skip_past(self.at, b">")?,
                b'/' if self
                    .bytes
                    .get(self.at + 1)
                    .is_some_and(u8::is_ascii_alphabetic) =>
                {
                    self.at += 1;
                    while !matches!(*self.bytes.get(self.at)?, b'>')
                        && !is_blank(self.bytes[self.at])
                    {
                        self.at += 1;
                    }
                    while self.attribute()?.is_some() {}
                }
                b'/' => self.skip_past(self.at, b">")?,
                byte if byte.is_ascii_alphabetic() => {
                    if let Some(label) = self.start_tag()? {
                        return Some(label);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The label after `charset=` in the value of a content attribute (HTML 2.5, "extracting a character encoding").
fn label_in_content(value: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    loop {
        let found = value[at..]
            .windows(7)
            .position(|seven| seven.eq_ignore_ascii_case(b"charset"))?;
        at += found + 7;
        let skip = |at: usize| at + value[at..].iter().take_while(|&&b| is_blank(b)).count();
        at = skip(at);
        if value.get(at) != Some(&b'=') {
            continue;
        }
        at = skip(at + 1);
        return match *value.get(at)? {
            quote @ (b'"' | b'\'') => {
                memchr::memchr(quote, &value[at + 1..]).map(|length| at + 1..at + 1 + length)
            }
            _ => {
                let length = value[at..]
                    .iter()
                    .position(|&b| is_blank(b) || b == b';')
                    .unwrap_or(value.len() - at);
                Some(at..at + length)
            }
        };
    }
}

fn trimmed(bytes: &[u8], at: Range<usize>) -> Range<usize> {
    let text = &bytes[at.clone()];
    let start = at.start + (text.len() - text.trim_ascii_start().len());
    start..start.max(at.start + text.trim_ascii_end().len())
}

/// Names are compared without their case, as everywhere in HTML.
fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}
