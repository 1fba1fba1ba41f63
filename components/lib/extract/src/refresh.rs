//! Pages that only send their visitor on: `<meta http-equiv=refresh>`, and the header field of that name.

use std::borrow::Cow;

use trawl_core::url_guard::join;
use url::Url;

use crate::dom::{Syntax, entities};
use crate::domains::scanner::{Event, Name, Scanner};
use crate::domains::urls;

/// A wish to be shown another page after some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Whole seconds until then.
    pub after_s: u64,
    /// Where, as written; `None` for the page itself.
    pub target: Option<String>,
}

impl Refresh {
    /// Reads a value: `0; url=/there`. `None` for one that begins with no time (HTML, 4.2.5.3, "shared declarative refresh steps").
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let value = value.trim_start_matches(is_blank);
        let digits = value.bytes().take_while(u8::is_ascii_digit).count();
        let (time, rest) = value.split_at(digits);
        // `.5` is no whole second.
        if time.is_empty() && !rest.starts_with('.') {
            return None;
        }
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if !rest.is_empty() && !rest.starts_with(|c| matches!(c, ';' | ',') || is_blank(c)) {
            return None;
        }
        let after_s = match time {
            "" => 0,
            // More digits than fit are a very long time.
            time => time.parse().unwrap_or(u64::MAX),
        };
        Some(Self {
            after_s,
            target: urls::refresh(value).map(str::to_owned),
        })
    }
}

/// Whether the bytes of a page may hold a `<meta http-equiv>`, in whatever encoding. Most hold none, and need not be decoded then. The name
/// is searched as bytes, because names of attributes hold no entities; zeros between them are UTF-16.
#[must_use]
pub fn may_be_in(body: &[u8]) -> bool {
    const NAME: &[u8] = b"http-equiv";
    let is_name = |dash: usize| {
        let name = dash
            .checked_sub(4)
            .and_then(|at| body.get(at..at + NAME.len()));
        name.is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    };
    memchr::memchr_iter(b'-', body).any(is_name) || body.contains(&0)
}

/// What a page of HTML wishes with the first `<meta http-equiv=refresh>` that can be read, its target resolved where the page has
/// a `<base>`. What browsers that run scripts do not see of the page counts for nothing: comments, scripts, `<noscript>`.
#[must_use]
pub fn in_page(html: &str, syntax: Syntax, page_url: &Url) -> Option<Refresh> {
    let mut scanner = Scanner::new(html, syntax);
    let mut hidden: u32 = 0;
    let (mut base, mut refresh) = (None, None);
    while let Some(event) = scanner.next() {
        match event {
            Event::Start(name) if hides(name) => hidden = hidden.saturating_add(1),
            Event::End(name) if hides(name) => hidden = hidden.saturating_sub(1),
            Event::Start(name) if hidden == 0 => match name.as_bytes() {
                b"base" if base.is_none() => base = attribute(&scanner, "href"),
                b"meta" if refresh.is_none() => refresh = of_meta(&scanner),
                _ => {}
            },
            _ => {}
        }
    }
    let mut refresh = refresh?;
    if let (Some(target), Some(base)) = (&refresh.target, base)
        && let Ok(base) = join(page_url, &base)
        && let Ok(resolved) = join(&base, target)
    {
        refresh.target = Some(resolved.into());
    }
    Some(refresh)
}

fn of_meta(tag: &Scanner<'_>) -> Option<Refresh> {
    if !attribute(tag, "http-equiv")?.eq_ignore_ascii_case("refresh") {
        return None;
    }
    Refresh::read(&attribute(tag, "content")?)
}

fn attribute<'a>(tag: &Scanner<'a>, name: &str) -> Option<Cow<'a, str>> {
    Some(entities::decode(tag.attribute(name)?, true))
}

/// Elements whose content is not part of the page that is shown.
fn hides(name: Name) -> bool {
    matches!(name.as_bytes(), b"noscript" | b"template")
}

const fn is_blank(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\x0C' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(u64, Option<String>)> {
        Refresh::read(value).map(|refresh| (refresh.after_s, refresh.target))
    }

    #[test]
    fn the_value_is_a_time_and_a_target() {
        for (value, after_s, target) in [
            ("0; url=/x", 0, Some("/x")),
            ("0;URL='/x'", 0, Some("/x")),
            (" 5 , Url = \"/x\" rest", 5, Some("/x")),
            ("3;/x", 3, Some("/x")),
            ("3 /x", 3, Some("/x")),
            ("0.9;url=/x", 0, Some("/x")),
            (".5;url=/x", 0, Some("/x")),
            ("1.5.2;url=/x", 1, Some("/x")),
            ("0", 0, None),
            ("0;", 0, None),
            ("0; url=", 0, None),
            ("99999999999999999999;url=/x", u64::MAX, Some("/x")),
        ] {
            assert_eq!(
                read(value),
                Some((after_s, target.map(str::to_owned))),
                "{value:?}"
            );
        }
        for value in ["", "url=/x", "; url=/x", "-1; url=/x", "0x; url=/x", "/x"] {
            assert_eq!(read(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_page_without_one_need_not_be_read() {
        let utf_16: Vec<u8> = "<meta http-equiv=refresh>"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        for page in [
            b"<META HTTP-Equiv=refresh>".as_slice(),
            b"http-equiv",
            &utf_16,
        ] {
            assert!(may_be_in(page), "{page:?}");
        }
        for page in [
            b"".as_slice(),
            b"-",
            b"tp-equiv",
            b"http-equi",
            b"a-b http_equiv",
        ] {
            assert!(!may_be_in(page), "{page:?}");
        }
    }

    #[test]
    fn the_first_one_that_is_seen_counts() {
        const THERE: &str = "<meta http-equiv=refresh content='0;url=there'>";
        let page_url = Url::parse("https://a.example/dir/page").unwrap();
        let target =
            |html: &str| in_page(html, Syntax::Html, &page_url).and_then(|refresh| refresh.target);
        for (html, wanted) in [
            (THERE.to_owned(), Some("there")),
            (
                format!("<!doctype html><html><body><p>{THERE}"),
                Some("there"),
            ),
            (
                "<META CONTENT='0;URL=a?b&amp;c' HTTP-EQUIV=Refresh>".to_owned(),
                Some("a?b&c"),
            ),
            (
                format!("<base href=/else/>{THERE}"),
                Some("https://a.example/else/there"),
            ),
            (
                format!("{THERE}<base href=//b.example>"),
                Some("https://b.example/there"),
            ),
            (
                format!("<base href=///b.example/x/>{THERE}"),
                Some("https://b.example/x/there"),
            ),
            (format!("<svg><title/></svg>{THERE}"), Some("there")),
            (format!("<base href='http://['>{THERE}"), Some("there")),
            (format!("<!-- {THERE} -->"), None),
            (format!("<script>'{THERE}'</script>"), None),
            (
                format!("<script><!-- '<script></script>{THERE}' --></script>"),
                None,
            ),
            (format!("<title>{THERE}</title>"), None),
            (format!("<noscript>{THERE}</noscript>"), None),
            (format!("<noscript><p></noscript>{THERE}"), Some("there")),
            (format!("<template>{THERE}</template>"), None),
            (format!("<meta http-equiv=refresh content=9>{THERE}"), None),
            (
                format!("<meta http-equiv=refresh content=x>{THERE}"),
                Some("there"),
            ),
            (format!("<meta http-equiv=refresh>{THERE}"), Some("there")),
            ("<meta name=refresh content='0;url=there'>".to_owned(), None),
            (
                "<meta http-equiv=refresh content='0;url=there'".to_owned(),
                None,
            ),
        ] {
            assert_eq!(target(&html).as_deref(), wanted, "{html}");
        }
        let html = format!("<script src='a.js'/><title/><noscript/>{THERE}");
        assert!(target(&html).is_none());
        assert!(in_page(&html, Syntax::Xhtml, &page_url).is_some());
    }
}
