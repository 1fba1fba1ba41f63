//! Finding URLs inside the texts that hold several: srcset, CSS, header fields, JSON-LD.

use super::scanner::is_blank;
use crate::css;

/// The URLs of a `srcset` (HTML 4.8.4.2.1): candidates are parted by commas, but a comma may stand inside a URL.
pub(super) fn srcset<'a>(text: &'a str, mut keep: impl FnMut(&'a str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|&b| is_blank(b) || b == b',') {
            at += 1;
        }
        let start = at;
        while bytes.get(at).is_some_and(|&b| !is_blank(b)) {
            at += 1;
        }
        if start == at {
            return;
        }
        let url = &text[start..at];
        let bare = url.trim_end_matches(',');
        keep(bare);
        if bare.len() == url.len() {
            // Descriptors; a comma inside parentheses belongs to them.
            let mut depth = 0_u32;
            while let Some(&b) = bytes.get(at) {
                match b {
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    b',' if depth == 0 => break,
                    _ => {}
                }
                at += 1;
            }
        }
    }
}

/// The URLs of a style sheet or a style attribute: in `url(…)`, after `@import`, and the strings of an `image-set(…)`. Comments and
/// all other strings hold none. Each byte is looked at a bounded number of times, whatever stays unclosed.
pub(super) fn css(text: &str, mut keep: impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let begins = |b: &u8| matches!(b, b'(' | b')' | b'"' | b'\'' | b'/' | b'@' | b'\\');
    let mut at = 0;
    // How many parentheses are open, and how many were when an `image-set` began.
    let (mut depth, mut image_set) = (0_u32, None);
    // Where a string is a URL for what stands before it.
    let mut named = None;
    while let Some(start) = bytes[at..]
        .iter()
        .position(begins)
        .map(|offset| at + offset)
    {
        at = start + 1;
        match bytes[start] {
            b'\\' => at = bytes.len().min(at + 1),
            b'/' if bytes.get(at) == Some(&b'*') => {
                at = memchr::memmem::find(&bytes[at + 1..], b"*/")
                    .map_or(bytes.len(), |length| at + 1 + length + 2);
            }
            b'@' if starts_with(&bytes[at..], b"import") => {
                at += b"import".len();
                named = Some(at + blanks(&bytes[at..]));
            }
            b'(' if ends_with(&bytes[..start], b"url") => {
                let first = at + blanks(&bytes[at..]);
                if matches!(bytes.get(first), Some(b'"' | b'\'')) {
                    named = Some(first);
                    depth += 1;
                    continue;
                }
                let is_end = |end: &usize| !is_escaped(&bytes[first..*end]);
                let mut ends = memchr::memchr_iter(b')', &bytes[first..]).map(|end| first + end);
                let Some(end) = ends.find(is_end) else {
                    return;
                };
                keep(&css::unescaped(
                    text.get(first..end).unwrap_or_default().trim(),
                ));
                at = end + 1;
            }
            b'(' => {
                depth += 1;
                if image_set.is_none() && ends_with(&bytes[..start], b"image-set") {
                    image_set = Some(depth);
                }
            }
            b')' => {
                image_set.take_if(|begun| *begun == depth);
                depth = depth.saturating_sub(1);
            }
            b'"' | b'\'' => {
                let end = css::string_end(bytes, start);
                let is_whole = bytes.get(end) == bytes.get(start);
                if is_whole && (named == Some(start) || image_set == Some(depth)) {
                    keep(css::unescaped(text.get(at..end).unwrap_or_default()).trim());
                }
                at = bytes.len().min(end + 1);
            }
            _ => {}
        }
    }
}

/// Whether what follows on these bytes is escaped.
fn is_escaped(before: &[u8]) -> bool {
    let slashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    slashes.count() % 2 == 1
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&b| is_blank(b)).count()
}

fn starts_with(bytes: &[u8], word: &[u8]) -> bool {
    bytes
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn ends_with(bytes: &[u8], word: &[u8]) -> bool {
    let start = bytes.len().checked_sub(word.len());
    start.is_some_and(|start| bytes[start..].eq_ignore_ascii_case(word))
}

/// The targets of a `Link` field (RFC 8288) with their `rel`.
pub(super) fn link_header<'a>(field: &'a str, mut keep: impl FnMut(&'a str, &'a str)) {
    let mut rest = field;
    while let Some(open) = rest.find('<') {
        let Some(close) = rest[open..].find('>') else {
            return;
        };
        let target = &rest[open + 1..open + close];
        rest = &rest[open + close + 1..];
        let parameters = &rest[..rest.find('<').unwrap_or(rest.len())];
        let rel = parameters.split([';', ',']).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("rel")
                .then(|| value.trim().trim_matches('"'))
        });
        keep(target, rel.unwrap_or_default());
    }
}

/// The hosts that a Content-Security-Policy names, as URLs without a path; a wildcard stands for its parent.
pub(super) fn csp(policy: &str, mut keep: impl FnMut(&str)) {
    for directive in policy.split([';', ',']) {
        let mut words = directive.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let is_report = name == "report-uri";
        if !is_report && !names_sources(&name) {
            continue;
        }
        // Only reports may go to a relative address.
        for source in words.filter(|source| !is_report || is_absolute(source)) {
            let (scheme, rest) = source.split_once("://").unwrap_or(("https", source));
            let host = rest.strip_prefix("*.").unwrap_or(rest);
            let end = host.find([':', '/', '?']).unwrap_or(host.len());
            let host = &host[..end];
            let is_host = host.contains('.')
                && !host.starts_with('\'')
                && matches!(scheme, "http" | "https" | "ws" | "wss");
            if is_host {
                keep(&format!("https://{host}/"));
            }
        }
    }
}

/// Whether a directive of a policy, by its name in lower case, has a list of sources.
fn names_sources(directive: &str) -> bool {
    let is_fetch = ["-src", "-src-elem", "-src-attr"]
        .iter()
        .any(|end| directive.ends_with(end));
    is_fetch || matches!(directive, "frame-ancestors" | "form-action" | "base-uri")
}

/// The URL of a meta refresh or a `Refresh` field: `5; url=…`.
pub(crate) fn refresh(text: &str) -> Option<&str> {
    let rest = text
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
        .trim_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_start();
    let url = match rest.get(..3) {
        // Without an equals sign the word is where a path begins.
        Some(word) if word.eq_ignore_ascii_case("url") => rest[3..]
            .trim_start()
            .strip_prefix('=')
            .map_or(rest, str::trim_start),
        _ => rest,
    };
    let url = match url.chars().next()? {
        quote @ ('"' | '\'') => url[1..].split(quote).next()?,
        _ => url,
    };
    (!url.trim().is_empty()).then(|| url.trim())
}

/// The URLs in a JSON-LD document, told whether they are said to be the same thing elsewhere (`sameAs`). The names of
/// vocabularies (`@context`, `@type`) are no relation of the page.
pub(super) fn json_ld(value: &serde_json::Value, same_as: bool, keep: &mut impl FnMut(&str, bool)) {
    match value {
        serde_json::Value::String(text)
            if is_absolute(text) && (same_as || !is_vocabulary(text)) =>
        {
            keep(text, same_as);
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| json_ld(item, same_as, keep))
        }
        serde_json::Value::Object(members) => {
            for (name, member) in members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "@context" | "@type"))
            {
                // Nested things have a life of their own: only what stands directly under sameAs is the same.
                json_ld(member, name == "sameAs" || (same_as && name == "@id"), keep);
            }
        }
        _ => {}
    }
}

/// A term of schema.org's vocabulary (`https://schema.org/InStock`): a word that is spelt as a URL.
pub(super) fn is_vocabulary(url: &str) -> bool {
    let url = url.trim_start();
    let host = url
        .split_once("//")
        .map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    host.eq_ignore_ascii_case("schema.org") || host.eq_ignore_ascii_case("www.schema.org")
}

/// Begins with `http://`, `https://` or `//`.
pub(super) fn is_absolute(text: &str) -> bool {
    let text = text.trim_start();
    let starts = |prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    starts("https://") || starts("http://") || starts("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(find: impl FnOnce(&mut dyn FnMut(&str))) -> Vec<String> {
        let mut found = Vec::new();
        find(&mut |url| found.push(url.to_owned()));
        found
    }

    #[test]
    fn srcsets() {
        for (text, wanted) in [
            ("a.png", &["a.png"][..]),
            ("a.png 1x, b.png 2x", &["a.png", "b.png"]),
            ("a.png,b.png", &["a.png,b.png"]),
            ("a.png, b.png", &["a.png", "b.png"]),
            (" ,a.png (x,y) 1x,b.png", &["a.png", "b.png"]),
            (
                "https://e.org/i,w_1/x.jpg 1w",
                &["https://e.org/i,w_1/x.jpg"],
            ),
            ("", &[]),
            (",,", &[]),
        ] {
            assert_eq!(list(|keep| srcset(text, keep)), wanted, "{text}");
        }
    }

    #[test]
    fn style_sheets() {
        for (text, wanted) in [
            ("a{background:url(//e.org/a.png)}", &["//e.org/a.png"][..]),
            ("URL( 'b c.png' ) url(\"d\")", &["b c.png", "d"]),
            ("@import \"e.css\"; @import url(f.css)", &["e.css", "f.css"]),
            (
                "@IMPORT'e.css';@Import\n \"f.css\" print;",
                &["e.css", "f.css"],
            ),
            ("@import x 'e.css'; @important 'f.css'", &[]),
            (
                "a{background:-webkit-Image-Set('b.png' 1x, url(c.png) 2x, \"d.avif\" type('image/avif'))}",
                &["b.png", "c.png", "d.avif"],
            ),
            ("image-set(linear-gradient(red,'x') 1x);content:'y'", &[]),
            ("/* url(a) @import 'b'; */ url(c) /*/ url(d)", &["c"]),
            ("url(a/*b*/c) url(d)", &["a/*b*/c", "d"]),
            ("content:'/*';b:url(c)", &["c"]),
            ("content:'\\'/*';b:url(c)", &["c"]),
            ("content:'a\nb:url(c)", &["c"]),
            (".\\[\\'\\/*\\'\\]{b:url(c)}", &["c"]),
            ("content:'url(a)'", &[]),
            (
                "url(https\\:a.png) url('b\\2f c') url(\"\\64\\\n\\65 \")",
                &["https:a.png", "b/c", "de"],
            ),
            ("url(a\\)b) url(c\\\\) url(d\\)", &["a)b", "c\\"]),
            ("@import 'e\\.css'", &["e.css"]),
            ("image-set('", &[]),
            ("image-set(')", &[]),
            ("\\", &[]),
            ("'\\", &[]),
            ("/*", &[]),
            ("src: local(x), url(y", &[]),
            ("image-set(url('a') 1x, 'b' 2x) 'c'", &["a", "b"]),
            ("url('", &[]),
            ("url(", &[]),
            ("@import", &[]),
        ] {
            assert_eq!(list(|keep| css(text, keep)), wanted, "{text}");
        }
    }

    #[test]
    fn fields() {
        let links = |field| {
            let mut found = Vec::new();
            link_header(field, |url, rel| found.push(format!("{url} {rel}")));
            found
        };
        assert_eq!(
            links(
                "<https://e.org/a,b>; rel=\"canonical\", <//f.org>;rel=preconnect; crossorigin, <x>"
            ),
            ["https://e.org/a,b canonical", "//f.org preconnect", "x "]
        );
        assert_eq!(links("<unclosed"), Vec::<String>::new());
        assert_eq!(
            list(|keep| csp(
                "default-src 'self' https: data: *.e.org:443; img-src http://i.f.org/x * ; report-uri /r",
                |u| keep(u)
            )),
            ["https://e.org/", "https://i.f.org/"]
        );
        assert_eq!(
            list(|keep| csp(
                "Script-Src-Elem a.org; form-action https://b.org; base-uri c.org; frame-ancestors *.d.org; \
                 report-uri /r.php r.php https://e.org/r; require-trusted-types-for f.org; sandbox g.org; \
                 plugin-types h.org; trusted-types i.org; default-src",
                |u| keep(u)
            )),
            [
                "https://a.org/",
                "https://b.org/",
                "https://c.org/",
                "https://d.org/",
                "https://e.org/"
            ]
        );
        for (text, wanted) in [
            ("5; url=https://e.org/", Some("https://e.org/")),
            ("0;URL='a b'", Some("a b")),
            ("0, x", Some("x")),
            ("5", None),
            ("0; url=", None),
            ("0; urls/ok", Some("urls/ok")),
            ("0;URL", Some("URL")),
            ("1.5;url = \"q", Some("q")),
            ("", None),
        ] {
            assert_eq!(refresh(text), wanted, "{text}");
        }
    }

    #[test]
    fn json_ld_tells_same_as_from_the_rest() {
        let value = serde_json::json!({
            "@context": "https://schema.org", "url": "https://e.org/", "name": "x",
            "sameAs": ["https://f.org/u", "not a url", {"@id": "https://g.org/", "logo": "https://h.org/"}],
        });
        let mut found = Vec::new();
        json_ld(&value, false, &mut |url, same| {
            found.push((url.to_owned(), same))
        });
        found.sort();
        let wanted = [
            ("https://e.org/", false),
            ("https://f.org/u", true),
            ("https://g.org/", true),
            ("https://h.org/", false),
        ];
        assert_eq!(found, wanted.map(|(url, same)| (url.to_owned(), same)));
    }
}
