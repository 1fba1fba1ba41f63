//! Bytes to text, as a browser would: byte order mark, HTTP charset, the first 1,024 bytes, a guess.
//!
//! The order is that of the WHATWG standards (HTML 13.2.3.2, Encoding 6). Two choices are ours. A `<meta>` past the
//! first 1,024 bytes still counts while nothing but the head was seen, where a browser would reload the page. And an
//! unlabelled page may be guessed to be UTF-8 or ISO-2022-JP, which browsers rule out for the sake of scripts; we run
//! none.

mod prescan;

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use trawl_core::content_type::Form;
use trawl_core::limits::charset::{GUESS_BYTES, LATE_META_BYTES, PRESCAN_BYTES};
use url::{Host, Url};

pub(crate) use prescan::{Labels, Scope, xml_label};

/// What decided the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// A byte order mark.
    Bom,
    /// The charset of the Content-Type field.
    Http,
    /// A `<meta>` element.
    Meta,
    /// An XML declaration.
    Xml,
    /// The format has one encoding (JSON, XML without a declaration).
    Format,
    /// The bytes look like it.
    Guess,
    /// Nothing but ASCII was found.
    Default,
}

/// What is known about a body beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Hints<'a> {
    /// The `charset` of the Content-Type field.
    pub http_charset: Option<&'a str>,
    /// The last label of the host, see [`tld`]; pages under `.jp` are seldom Cyrillic.
    pub tld: Option<&'a str>,
    /// What the body is.
    pub form: Form,
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text without a byte order mark. Borrowed when the bytes were UTF-8 already.
    pub text: Cow<'a, str>,
    /// The encoding's WHATWG name.
    pub encoding: &'static str,
    /// What decided it.
    pub decided: Decided,
    /// Some bytes were no text in this encoding and became U+FFFD.
    pub had_errors: bool,
}

/// Decodes a body.
#[must_use]
pub fn decode<'a>(bytes: &'a [u8], hints: &Hints<'_>) -> Decoded<'a> {
    let (encoding, decided, mark) = decide(bytes, hints);
    let (text, had_errors) = encoding.decode_without_bom_handling(&bytes[mark..]);
    Decoded {
        text,
        encoding: encoding.name(),
        decided,
        had_errors,
    }
}

/// The encoding, what decided it, and the length of the byte order mark.
fn decide(bytes: &[u8], hints: &Hints<'_>) -> (&'static Encoding, Decided, usize) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return (encoding, Decided::Bom, mark);
    }
    if let Some(encoding) = hints
        .http_charset
        .and_then(|label| Encoding::for_label(label.as_bytes()))
    {
        return (encoding, Decided::Http, 0);
    }
    let declared = match hints.form {
        Form::Json => Some((UTF_8, Decided::Format)),
        Form::Xml | Form::Xhtml => Some(xml(bytes)),
        Form::Html => html(bytes),
        Form::Text => None,
    };
    let (encoding, decided) = declared.unwrap_or_else(|| guess(bytes, hints.tld));
    (encoding, decided, 0)
}

fn xml(bytes: &[u8]) -> (&'static Encoding, Decided) {
    utf16_declaration(bytes)
        .or_else(|| prescan::xml_declaration(bytes))
        .map_or((UTF_8, Decided::Format), |encoding| {
            (encoding, Decided::Xml)
        })
}

fn html(bytes: &[u8]) -> Option<(&'static Encoding, Decided)> {
    if let Some(encoding) = utf16_declaration(bytes) {
        return Some((encoding, Decided::Xml));
    }
    let meta = |bytes, scope| prescan::meta(bytes, scope).map(|encoding| (encoding, Decided::Meta));
    meta(&bytes[..bytes.len().min(PRESCAN_BYTES)], Scope::Everything)
        .or_else(|| prescan::xml_declaration(bytes).map(|encoding| (encoding, Decided::Xml)))
        .or_else(|| meta(&bytes[..bytes.len().min(LATE_META_BYTES)], Scope::Head))
}

/// `<?x` in 16 bits, as the prescan begins.
fn utf16_declaration(bytes: &[u8]) -> Option<&'static Encoding> {
    if bytes.starts_with(b"<\0?\0x\0") {
        Some(UTF_16LE)
    } else if bytes.starts_with(b"\0<\0?\0x") {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn guess(bytes: &[u8], tld: Option<&str>) -> (&'static Encoding, Decided) {
    // Plain ASCII tells nothing: the window begins a little before the first byte that does.
    let telling = |byte: &u8| !byte.is_ascii() || *byte == 0x1B;
    let Some(first) = bytes.iter().position(telling) else {
        return (WINDOWS_1252, Decided::Default);
    };
    let start = first.saturating_sub(GUESS_BYTES / 64);
    let window = &bytes[start..bytes.len().min(start + GUESS_BYTES)];
    if is_mostly_utf_8(window) {
        return (UTF_8, Decided::Guess);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(window, start + window.len() == bytes.len());
    // The detector asserts what a label of a host name is.
    let tld = tld.filter(|tld| {
        tld.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    });
    (
        detector.guess(tld.map(str::as_bytes), Utf8Detection::Allow),
        Decided::Guess,
    )
}

/// So many letters that UTF-8 writes in several bytes do not come about by chance.
const UTF_8_LETTERS_MIN: usize = 16;
/// With so many of them for each fault, the fault is that of a page in UTF-8: a text that was cut, or pasted in.
const UTF_8_LETTERS_PER_FAULT: usize = 50;

/// Whether bytes are UTF-8 but for a few faults. The detector takes none for UTF-8 that has a single one.
fn is_mostly_utf_8(window: &[u8]) -> bool {
    let (mut letters, mut faults) = (0, 0);
    for chunk in window.utf8_chunks() {
        let text = chunk.valid();
        letters += text.chars().count() - text.bytes().filter(u8::is_ascii).count();
        faults += usize::from(!chunk.invalid().is_empty());
    }
    letters >= UTF_8_LETTERS_MIN && letters >= faults * UTF_8_LETTERS_PER_FAULT
}

/// Whether `word` names a character encoding (WHATWG Encoding, 4.2).
#[must_use]
pub fn is_label(word: &str) -> bool {
    Encoding::for_label(word.as_bytes()).is_some()
}

/// The last label of a URL's host, in the form that [`Hints`] wants.
#[must_use]
pub fn tld(url: &Url) -> Option<&str> {
    match url.host() {
        Some(Host::Domain(name)) => name
            .trim_end_matches('.')
            .rsplit('.')
            .next()
            .filter(|label| !label.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
