//! Which content each scraper reads, by its declared type or, without one, by its first bytes.

use crate::fetch_policy::FetchCode;
use crate::limits::fetch::SNIFF_BYTES;
use crate::state::Kind;

/// What a body is, as far as reading it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `text/html`.
    Html,
    /// `application/xhtml+xml`, read as HTML is but for `/>`.
    Xhtml,
    /// XML of another kind.
    Xml,
    /// Text of another kind.
    Text,
    /// JSON.
    Json,
}

/// A `Content-Type` field taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype`, in lower case.
    pub essence: String,
    /// The value of `charset`, as sent, without quotes.
    pub charset: Option<String>,
}

impl ContentType {
    /// Reads the field; `None` when it holds no type. Of several types in one field, which proxies make of several
    /// fields, the last counts, and keeps the charset of one before that is the same; `*/*` counts for none (Fetch, "extract a
    /// MIME type").
    #[must_use]
    pub fn parse(field: &str) -> Option<Self> {
        unquoted_parts(field, ',')
            .filter_map(Self::parse_one)
            .filter(|one| one.essence != "*/*")
            .reduce(|before, last| {
                if before.essence == last.essence && last.charset.is_none() {
                    before
                } else {
                    last
                }
            })
    }

    /// WHATWG MIME Sniffing (4.4) as far as it matters here.
    fn parse_one(text: &str) -> Option<Self> {
        let mut parts = unquoted_parts(text, ';');
        let essence = parts.next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            // A blank before the equals sign is part of the name, which is then another one.
            let value = unquoted(value.trim());
            (name.trim_start().eq_ignore_ascii_case("charset") && !value.is_empty())
                .then_some(value)
        });
        Some(Self { essence, charset })
    }

    /// The form that the type declares; `None` for a type that says nothing or nothing we know.
    fn form(&self) -> Declared {
        match self.essence.as_str() {
            "text/html" => Declared::Form(Form::Html),
            "application/xhtml+xml" => Declared::Form(Form::Xhtml),
            "text/xml" | "application/xml" => Declared::Form(Form::Xml),
            "application/json" | "text/json" => Declared::Form(Form::Json),
            "unknown/unknown" | "application/unknown" => Declared::Nothing,
            essence if essence.ends_with("+xml") => Declared::Form(Form::Xml),
            essence if essence.ends_with("+json") => Declared::Form(Form::Json),
            essence if essence.starts_with("text/") => Declared::Form(Form::Text),
            _ => Declared::Other,
        }
    }
}

/// The parts between separators that do not stand in a quoted string.
fn unquoted_parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut escaped) = (false, false);
    text.split(move |c: char| {
        let is_escaped = std::mem::replace(&mut escaped, false);
        match c {
            '\\' if in_quotes && !is_escaped => escaped = true,
            '"' if !is_escaped => in_quotes = !in_quotes,
            _ => return c == separator && !in_quotes,
        }
        false
    })
}

/// The content of a quoted string, which may lack its end; anything else as it is.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let mut content = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => content.extend(letters.next()),
            letter => content.push(letter),
        }
    }
    content.trim().to_owned()
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

enum Declared {
    Form(Form),
    Nothing,
    Other,
}

/// Judges the header alone, before the body is read. `Ok(None)` means that the first bytes decide, with [`accept`].
///
/// # Errors
/// [`FetchCode::UnsupportedContentType`].
pub fn accept_header(kind: Kind, field: Option<&str>) -> Result<Option<Form>, FetchCode> {
    match field
        .and_then(ContentType::parse)
        .map_or(Declared::Nothing, |content_type| content_type.form())
    {
        Declared::Nothing => Ok(None),
        // XHTML is often served as XML; its first bytes tell.
        Declared::Form(Form::Xml) if kind != Kind::Html => Ok(None),
        Declared::Form(form) if reads(kind, form) => Ok(Some(form)),
        Declared::Form(_) | Declared::Other => Err(FetchCode::UnsupportedContentType),
    }
}

/// Judges the header and the first bytes of the decoded body ([`SNIFF_BYTES`] are enough). A body that can't be what is
/// declared is refused: servers send every download as `text/html` when nobody told them better.
///
/// # Errors
/// [`FetchCode::UnsupportedContentType`].
pub fn accept(kind: Kind, field: Option<&str>, body: &[u8]) -> Result<Form, FetchCode> {
    let form = match accept_header(kind, field)? {
        Some(form) => (!is_no_text(field, body)).then_some(form),
        None if is_xml(field) => sniff_xml(body),
        None => sniff(body).filter(|&form| reads(kind, form)),
    };
    form.ok_or(FetchCode::UnsupportedContentType)
}

fn is_xml(field: Option<&str>) -> bool {
    let form = field
        .and_then(ContentType::parse)
        .map(|content_type| content_type.form());
    matches!(form, Some(Declared::Form(Form::Xml)))
}

/// The form of a body that is declared as XML, if it is a page: a feed or a picture, which need not say that they are XML, would
/// be taken for plain text. What stands behind the comments at its start tells.
fn sniff_xml(body: &[u8]) -> Option<Form> {
    let is_page = |rest: &[u8]| rest.is_empty() || sniff_text(rest) == Form::Html;
    match sniff(body)? {
        Form::Html if !past_comments(body).is_none_or(is_page) => None,
        form @ (Form::Html | Form::Xhtml) => Some(form),
        Form::Xml | Form::Json | Form::Text => None,
    }
}

/// What of the first bytes stands behind comments, where a body begins with any.
fn past_comments(body: &[u8]) -> Option<&[u8]> {
    let head = &body[..body.len().min(SNIFF_BYTES)];
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let mut rest = head.trim_ascii_start();
    if !rest.starts_with(b"<!--") {
        return None;
    }
    while rest.starts_with(b"<!--")
        && let Some(length) = memchr::memmem::find(rest, b"-->")
    {
        rest = rest[length + 3..].trim_ascii_start();
    }
    Some(rest)
}

/// How files begin that are no text (WHATWG MIME Sniffing, 6.1 and 6.4).
const MAGICS: &[&[u8]] = &[
    b"%PDF-",
    b"\x89PNG\r\n\x1A\n",
    b"\xFF\xD8\xFF",
    b"GIF87a",
    b"GIF89a",
    b"PK\x03\x04",
    b"\x1F\x8B\x08",
];

/// Whether a body that is declared as text is something else.
fn is_no_text(field: Option<&str>, body: &[u8]) -> bool {
    let head = &body[..body.len().min(SNIFF_BYTES)];
    let is_webp = head.starts_with(b"RIFF") && head.get(8..14) == Some(&b"WEBPVP"[..]);
    if is_webp || MAGICS.iter().any(|magic| head.starts_with(magic)) {
        return true;
    }
    // Half of a text in 16 bits may be zeros, and a zero that slipped into a page which begins as one does no harm.
    head.contains(&0) && !is_wide(field, head) && sniff_text(head) != Form::Html
}

/// Whether the letters have 16 or 32 bits, by the charset, by a byte order mark, or by how XML begins.
fn is_wide(field: Option<&str>, head: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] = &[
        b"\xFE\xFF",
        b"\xFF\xFE",
        b"\0\0\xFE\xFF",
        b"<\0?\0x\0",
        b"\0<\0?\0x",
    ];
    const CHARSETS: &[&str] = &["utf-16", "utf-32", "ucs-2", "iso-10646-ucs-2", "unicode"];
    let charset = field
        .and_then(ContentType::parse)
        .and_then(|content_type| content_type.charset)
        .map(|charset| charset.to_ascii_lowercase());
    let declared = charset
        .as_deref()
        .is_some_and(|charset| CHARSETS.iter().any(|wide| charset.starts_with(wide)));
    declared
        || BEGINNINGS
            .iter()
            .any(|beginning| head.starts_with(beginning))
}

const fn reads(kind: Kind, form: Form) -> bool {
    match kind {
        Kind::Text => matches!(form, Form::Html | Form::Xhtml | Form::Text),
        Kind::Html => true,
        Kind::Domains => matches!(form, Form::Html | Form::Xhtml),
    }
}

/// Beginnings of HTML (WHATWG MIME Sniffing, 7.1); a space or `>` follows.
const HTML_BEGINNINGS: &[&[u8]] = &[
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
    b"<meta",
    b"<link",
    b"<section",
    b"<article",
    b"<main",
    b"<nav",
];

/// What the bytes look like, or `None` when they are no text.
#[must_use]
pub fn sniff(body: &[u8]) -> Option<Form> {
    let head = &body[..body.len().min(SNIFF_BYTES)];
    if head.starts_with(b"\xFE\xFF") || head.starts_with(b"\xFF\xFE") {
        // UTF-16: the tags are there, with a zero beside each letter.
        let narrow: Vec<u8> = head[2..]
            .iter()
            .copied()
            .filter(|&byte| byte != 0)
            .collect();
        return Some(sniff_text(&narrow));
    }
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    if head.starts_with(b"%PDF-") || head.iter().any(|&byte| is_binary(byte)) {
        return None;
    }
    Some(sniff_text(head))
}

fn sniff_text(head: &[u8]) -> Form {
    let head = head.trim_ascii_start();
    let is_html = head.starts_with(b"<!--")
        || HTML_BEGINNINGS.iter().any(|beginning| {
            starts_ignoring_case(head, beginning)
                && head
                    .get(beginning.len())
                    .is_none_or(|byte| matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace())
        });
    if is_html {
        Form::Html
    } else if starts_ignoring_case(head, b"<?xml") {
        if memchr::memmem::find(head, b"http://www.w3.org/1999/xhtml").is_some() {
            Form::Xhtml
        } else {
            Form::Xml
        }
    } else if matches!(head.first(), Some(b'{' | b'[')) {
        Form::Json
    } else {
        Form::Text
    }
}

fn starts_ignoring_case(head: &[u8], lower: &[u8]) -> bool {
    head.get(..lower.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(lower))
}

/// A byte that no text holds (WHATWG MIME Sniffing, 3: binary data byte).
const fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Result<Form, FetchCode> = Err(FetchCode::UnsupportedContentType);

    #[test]
    fn the_field_is_taken_apart() {
        for (field, essence, charset) in [
            ("text/html", "text/html", None),
            (" Text/HTML ;Charset=UTF-8", "text/html", Some("UTF-8")),
            (
                "text/html;a=b; charset=\"iso-8859-1\" ;c",
                "text/html",
                Some("iso-8859-1"),
            ),
            ("text/html; charset=", "text/html", None),
            ("text/html;charset=x;charset=y", "text/html", Some("x")),
            ("text/html; charset=\"x", "text/html", Some("x")),
            ("text/html; charset=\"a\\b\"c", "text/html", Some("ab")),
            (
                "text/html; a=\";charset=x\"; charset=y",
                "text/html",
                Some("y"),
            ),
            ("text/html; charset =x", "text/html", None),
            ("text/html; charset= x ", "text/html", Some("x")),
            ("text/html, text/html;charset=x", "text/html", Some("x")),
            ("text/html;charset=x, text/html", "text/html", Some("x")),
            ("text/html;charset=x, text/plain", "text/plain", None),
            ("text/html;charset=x, nonsense", "text/html", Some("x")),
            ("text/html;charset=x, */*;q=1", "text/html", Some("x")),
            ("application/ld+json", "application/ld+json", None),
        ] {
            let parsed = ContentType::parse(field).unwrap();
            assert_eq!(
                (parsed.essence.as_str(), parsed.charset.as_deref()),
                (essence, charset),
                "{field}"
            );
        }
        for field in [
            "",
            "html",
            "/",
            "text/",
            "te xt/html",
            "text/html charset=x",
            "*/*",
        ] {
            assert_eq!(ContentType::parse(field), None, "{field}");
        }
    }

    #[test]
    fn each_kind_reads_its_declared_types() {
        for (field, text, html, domains) in [
            (
                "text/html; charset=x",
                Ok(Form::Html),
                Ok(Form::Html),
                Ok(Form::Html),
            ),
            (
                "application/xhtml+xml",
                Ok(Form::Xhtml),
                Ok(Form::Xhtml),
                Ok(Form::Xhtml),
            ),
            ("text/plain", Ok(Form::Text), Ok(Form::Text), REFUSED),
            ("text/markdown", Ok(Form::Text), Ok(Form::Text), REFUSED),
            ("application/json", REFUSED, Ok(Form::Json), REFUSED),
            ("application/problem+json", REFUSED, Ok(Form::Json), REFUSED),
            ("text/xml", REFUSED, Ok(Form::Xml), REFUSED),
            ("application/rss+xml", REFUSED, Ok(Form::Xml), REFUSED),
            ("image/png", REFUSED, REFUSED, REFUSED),
            ("application/pdf", REFUSED, REFUSED, REFUSED),
            ("application/octet-stream", REFUSED, REFUSED, REFUSED),
            ("video/mp4", REFUSED, REFUSED, REFUSED),
        ] {
            let body = b"<?xml version='1.0'?><feed/>";
            assert_eq!(accept(Kind::Text, Some(field), body), text, "{field}");
            assert_eq!(accept(Kind::Html, Some(field), body), html, "{field}");
            assert_eq!(accept(Kind::Domains, Some(field), body), domains, "{field}");
        }
    }

    #[test]
    fn a_body_that_is_no_text_is_refused_whatever_it_is_declared_as() {
        let late_zero = [&[b'x'; SNIFF_BYTES - 1][..], b"\0"].concat();
        for body in [
            &b"%PDF-1.7 no zero in sight"[..],
            b"\x89PNG\r\n\x1A\n",
            b"\xFF\xD8\xFF\xE0",
            b"GIF87a",
            b"GIF89a",
            b"PK\x03\x04",
            b"RIFF\x01\x02\x03\x04WEBPVP8 ",
            b"\x1F\x8B\x08\x01",
            b"words\0",
            &late_zero,
        ] {
            for field in ["text/html", "text/html; charset=utf-8", "text/plain"] {
                assert_eq!(accept(Kind::Text, Some(field), body), REFUSED, "{body:?}");
                assert_eq!(accept(Kind::Html, Some(field), body), REFUSED, "{body:?}");
            }
            assert_eq!(accept(Kind::Domains, Some("text/html"), body), REFUSED);
        }
        let behind = [&[b'x'; SNIFF_BYTES][..], b"\0"].concat();
        for (field, body) in [
            ("text/html", &b"RIFF is a word, PK and GIF too"[..]),
            ("text/html; charset=UTF-16LE", b"w\0o\0r\0d\0"),
            ("text/html; charset=\"utf-16\"", b"\0w\0o\0r\0d"),
            ("text/html; charset=utf-32", b"w\0\0\0"),
            ("text/html", b"\xFF\xFEw\0"),
            ("text/html", b"\xFE\xFF\0w"),
            ("text/html", b"\0\0\xFE\xFF\0\0\0w"),
            ("application/xhtml+xml", b"<\0?\0x\0m\0l\0"),
            ("application/xhtml+xml", b"\0<\0?\0x\0m\0l"),
            ("text/html", b"<!doctype html><p>a zero \0 slipped in"),
            ("text/html", &behind),
            ("text/html", b""),
        ] {
            assert!(
                accept(Kind::Text, Some(field), body).is_ok(),
                "{field}: {body:?}"
            );
        }
    }

    #[test]
    fn xhtml_that_is_served_as_xml_is_found_by_its_namespace() {
        let body = b"<?xml version=\"1.0\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\">";
        assert_eq!(
            accept(Kind::Text, Some("application/xml"), body),
            Ok(Form::Xhtml)
        );
        assert_eq!(
            accept(Kind::Domains, Some("text/xml"), body),
            Ok(Form::Xhtml)
        );
        assert_eq!(accept(Kind::Html, Some("text/xml"), body), Ok(Form::Xml));
    }

    #[test]
    fn xml_need_not_say_that_it_is_xml() {
        let long = [&b"<!--"[..], &[b' '; SNIFF_BYTES - 7], b"--><html>"].concat();
        for (field, body) in [
            ("application/rss+xml", &b"<rss version='2.0'><channel>"[..]),
            (
                "application/atom+xml",
                b"\xEF\xBB\xBF<feed xmlns='http://www.w3.org/2005/Atom'>",
            ),
            (
                "image/svg+xml",
                b"<!-- drawn by hand --><svg xmlns='http://www.w3.org/2000/svg'>",
            ),
            ("text/xml", b"<!DOCTYPE rss><rss>"),
            ("text/xml", b"\n<!-- a --> <!-- b -->\n<rss>"),
            ("application/xml", b"{}"),
            ("application/xml", b""),
        ] {
            assert_eq!(accept(Kind::Text, Some(field), body), REFUSED, "{field}");
            assert_eq!(accept(Kind::Domains, Some(field), body), REFUSED, "{field}");
            assert_eq!(accept(Kind::Html, Some(field), body), Ok(Form::Xml));
        }
        for (field, body, form) in [
            (
                "text/xml",
                &b"<html xmlns='http://www.w3.org/1999/xhtml'>"[..],
                Form::Html,
            ),
            (
                "text/xml",
                b" <!-- a --><!-- b -->\n<!DOCTYPE html><html>",
                Form::Html,
            ),
            ("application/xml", b"<!-- never ended <p>", Form::Html),
            ("application/xml", &long, Form::Html),
            ("application/xml", b"\xFF\xFE<\0h\0t\0m\0l\0>\0", Form::Html),
            ("application/xhtml+xml", b"<html>", Form::Xhtml),
            ("application/xhtml+xml", b"<!-- a --><html>", Form::Xhtml),
            ("application/xhtml+xml", b"<!DOCTYPE html>", Form::Xhtml),
        ] {
            assert_eq!(accept(Kind::Text, Some(field), body), Ok(form), "{field}");
            assert_eq!(
                accept(Kind::Domains, Some(field), body),
                Ok(form),
                "{field}"
            );
        }
    }

    #[test]
    fn an_undeclared_body_is_told_by_its_first_bytes() {
        for (body, form) in [
            (&b"<!DOCTYPE HTML>"[..], Some(Form::Html)),
            (b"\xEF\xBB\xBF \n<HTML lang=de>", Some(Form::Html)),
            (b"<!-- x --><p>", Some(Form::Html)),
            (b"<p", Some(Form::Html)),
            (b"<pre>", Some(Form::Text)),
            (b"\xFF\xFE<\0h\0t\0m\0l\0>\0", Some(Form::Html)),
            (b"<?xml version='1.0'?><a/>", Some(Form::Xml)),
            (b" {\"a\":1}", Some(Form::Json)),
            (b"Just words, caf\xE9.", Some(Form::Text)),
            (b"", Some(Form::Text)),
            (b"\x89PNG\r\n\x1A\n\0", None),
            (b"GIF89a\x01\0", None),
            (b"%PDF-1.7 ...", None),
            (b"PK\x03\x04", None),
        ] {
            assert_eq!(sniff(body), form, "{:?}", String::from_utf8_lossy(body));
            for field in [None, Some(""), Some("*/*"), Some("nonsense")] {
                assert_eq!(accept(Kind::Html, field, body).ok(), form);
            }
        }
        assert_eq!(accept(Kind::Domains, None, b"words"), REFUSED);
        assert_eq!(accept(Kind::Text, None, b"words"), Ok(Form::Text));
    }
}
