//! Type 2: the page as UTF-8, saying so itself.

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};
use trawl_core::content_type::Form;
use trawl_core::limits::charset::{LATE_META_BYTES, PRESCAN_BYTES};

use crate::charset::{self, Decided, Hints, Labels, Scope, xml_label};

/// A page that was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlPage<'a> {
    /// The encoding that the bytes were in, by its WHATWG name.
    pub charset: &'static str,
    /// What decided it.
    pub decided: Decided,
    /// Some bytes were no text in that encoding.
    pub had_errors: bool,
    /// What `html` is now: its type with `charset=utf-8`.
    pub content_type: &'static str,
    /// The text. Its `<meta charset>` or XML declaration, if it has one, says UTF-8.
    pub html: Cow<'a, str>,
}

/// Decodes a body and makes its own word about its encoding true.
#[must_use]
pub fn page<'a>(bytes: &'a [u8], hints: &Hints<'_>) -> HtmlPage<'a> {
    let decoded = charset::decode(bytes, hints);
    let labels = labels(decoded.text.as_bytes(), hints.form);
    HtmlPage {
        charset: decoded.encoding,
        decided: decoded.decided,
        had_errors: decoded.had_errors,
        content_type: content_type(hints.form),
        html: relabelled(decoded.text, &labels),
    }
}

const fn content_type(form: Form) -> &'static str {
    match form {
        Form::Html => "text/html; charset=utf-8",
        Form::Xhtml => "application/xhtml+xml; charset=utf-8",
        Form::Xml => "application/xml; charset=utf-8",
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    }
}

/// Where a reader of the text would find an encoding that is not UTF-8, in order.
fn labels(text: &[u8], form: Form) -> Vec<Range<usize>> {
    let mut labels: Vec<Range<usize>> = Vec::new();
    if matches!(form, Form::Html | Form::Xhtml | Form::Xml) {
        labels.extend(xml_label(text));
    }
    if matches!(form, Form::Html | Form::Xhtml) {
        labels.extend(Labels::new(
            &text[..text.len().min(PRESCAN_BYTES)],
            Scope::Everything,
        ));
        labels.extend(Labels::new(
            &text[..text.len().min(LATE_META_BYTES)],
            Scope::Head,
        ));
    }
    labels.retain(|at| {
        Encoding::for_label(&text[at.clone()]).is_some_and(|encoding| encoding != UTF_8)
    });
    labels.sort_by_key(|at| at.start);
    labels.dedup();
    labels
}

fn relabelled<'a>(text: Cow<'a, str>, labels: &[Range<usize>]) -> Cow<'a, str> {
    if labels.is_empty() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for at in labels {
        // The two searches may only disagree about places, never overlap; a page is not worth trusting that.
        if let Some(before) = text.get(from..at.start) {
            out.push_str(before);
            out.push_str("utf-8");
            from = at.end;
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(form: Form, http_charset: Option<&'static str>) -> Hints<'static> {
        Hints {
            http_charset,
            tld: None,
            form,
        }
    }

    fn html(bytes: &[u8]) -> String {
        page(bytes, &hints(Form::Html, None)).html.into_owned()
    }

    #[test]
    fn the_charset_of_the_result_is_made_true() {
        for (source, wanted) in [
            (
                "<meta charset=\"iso-8859-1\"><p>",
                "<meta charset=\"utf-8\"><p>",
            ),
            ("<meta charset=iso-8859-1><p>", "<meta charset=utf-8><p>"),
            (
                "<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'>",
                "<meta http-equiv=Content-Type content='text/html; charset=utf-8'>",
            ),
            (
                "<meta charset=koi8-r><meta charset=\" big5 \">",
                "<meta charset=utf-8><meta charset=\" utf-8 \">",
            ),
            ("<meta charset=UTF-8>", "<meta charset=UTF-8>"),
            ("<meta charset=bogus>", "<meta charset=bogus>"),
            (
                "<meta name=a content='charset=koi8-r'>",
                "<meta name=a content='charset=koi8-r'>",
            ),
            (
                "<!--<meta charset=koi8-r>--><p>",
                "<!--<meta charset=koi8-r>--><p>",
            ),
            (
                "<?xml version='1.0' encoding='koi8-r'?><p>",
                "<?xml version='1.0' encoding='utf-8'?><p>",
            ),
            ("<p>no word about it", "<p>no word about it"),
        ] {
            assert_eq!(html(source.as_bytes()), wanted, "{source}");
            let again = page(wanted.as_bytes(), &hints(Form::Html, None));
            assert!(
                matches!(again.html, Cow::Borrowed(_)),
                "nothing is left to change: {wanted}"
            );
        }
    }

    #[test]
    fn bytes_become_text_and_a_late_meta_is_changed_too() {
        let late = format!("<head><!--{}--><meta charset=shift_jis>", "x".repeat(5_000));
        let bytes = [late.as_bytes(), b"\x93\xFA\x96{"].concat();
        let page = page(&bytes, &hints(Form::Html, None));
        assert_eq!((page.charset, page.had_errors), ("Shift_JIS", false));
        assert!(
            page.html.ends_with("<meta charset=utf-8>日本"),
            "{}",
            &page.html[5_000..]
        );
    }

    #[test]
    fn http_decides_against_the_page_and_nothing_is_inserted() {
        let page = page(
            b"<meta charset=koi8-r>\xE9",
            &hints(Form::Html, Some("latin1")),
        );
        assert_eq!(
            (page.charset, page.html.as_ref()),
            ("windows-1252", "<meta charset=utf-8>é")
        );
        let page = super::page(b"<p>\xE9", &hints(Form::Html, Some("latin1")));
        assert_eq!(page.html, "<p>é");
    }

    #[test]
    fn utf16_pages_lose_their_mark_and_their_label() {
        let text = "\u{FEFF}<meta charset=utf-16><p>✓";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let page = page(&bytes, &hints(Form::Html, None));
        assert_eq!(
            (page.charset, page.html.as_ref()),
            ("UTF-16LE", "<meta charset=utf-8><p>✓")
        );
    }

    #[test]
    fn other_forms_pass_as_they_are() {
        let xml = page(
            b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xE9</a>",
            &hints(Form::Xml, None),
        );
        assert_eq!(
            (xml.html.as_ref(), xml.content_type),
            (
                "<?xml version='1.0' encoding='utf-8'?><a>é</a>",
                "application/xml; charset=utf-8"
            )
        );
        let json = page(
            b"{\"html\":\"<meta charset=koi8-r>\"}",
            &hints(Form::Json, None),
        );
        assert_eq!(
            (json.html.as_ref(), json.content_type),
            ("{\"html\":\"<meta charset=koi8-r>\"}", "application/json")
        );
        assert_eq!(
            page("é".as_bytes(), &hints(Form::Text, None)).charset,
            "UTF-8"
        );
    }

    #[test]
    fn many_attributes_take_linear_time() {
        let hostile = format!(
            "<meta {}charset=koi8-r>",
            "a b=c content=x ".repeat(LATE_META_BYTES / 16)
        );
        let started = std::time::Instant::now();
        assert_eq!(
            page(hostile.as_bytes(), &hints(Form::Html, None)).charset,
            "windows-1252"
        );
        assert!(started.elapsed().as_millis() < 500);
    }
}
