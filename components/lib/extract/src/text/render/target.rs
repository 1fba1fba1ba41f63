//! Addresses of links and images, absolute when they can be made so.

use trawl_core::url_guard;
use url::{Position, Url};

use super::escape::is_reference;

/// Writes an address, absolute when it can be made so, with what would end the link escaped.
pub(super) fn push(target: &str, base: Option<&Url>, markdown: &mut String) {
    let target = target.trim();
    let Some(base) = base else {
        return push_escaped(target, markdown);
    };
    if let Some((head, tail)) = joined(target, base) {
        push_escaped(head, markdown);
        markdown.push_str(tail);
        return;
    }
    let joined = url_guard::join(base, target).ok();
    push_escaped(joined.as_ref().map_or(target, Url::as_str), markdown);
}

/// Whether an address has one of these schemes, as a browser will read what is written here: control characters in it count
/// for nothing, since [`push`] and parsers of URLs leave them out.
pub(super) fn has_scheme(address: &str, schemes: &[&str]) -> bool {
    let counts = |character: &char| !character.is_control();
    let address =
        address.trim_start_matches(|first: char| first.is_whitespace() || first.is_control());
    let begins_with = |scheme: &&str| {
        let mut found = address.chars().filter(counts);
        scheme.chars().all(|letter| {
            found
                .next()
                .is_some_and(|found| found.eq_ignore_ascii_case(&letter))
        })
    };
    schemes.iter().any(begins_with)
}

/// What joining gives, in two pieces, for addresses whose parts stay as they are: most of them are, and to parse each takes
/// a fiftieth of a whole extraction. The second piece needs no escapes.
fn joined<'t>(target: &'t str, base: &'t Url) -> Option<(&'t str, &'t str)> {
    if !matches!(base.scheme(), "http" | "https") {
        return None;
    }
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    if !fragment.bytes().all(is_kept) {
        return None;
    }
    if path.is_empty() {
        return (!fragment.is_empty()).then_some((&base[..Position::AfterQuery], target));
    }
    if let Some((host, inner)) = path
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
    {
        return (is_name(host) && stays(inner)).then_some(("", target));
    }
    if let Some(inner) = path.strip_prefix('/') {
        let is_path = !inner.starts_with('/') && stays(inner);
        return is_path.then_some((&base[..Position::BeforePath], target));
    }
    let mut directory = parent(&base[..Position::AfterPath]);
    let root = base[..Position::BeforePath].len();
    let (mut path, mut target) = (path, target);
    while let Some(inner) = path.strip_prefix("../") {
        let above = parent(&directory[..directory.len() - 1]);
        if above.len() > root {
            directory = above;
        }
        (path, target) = (inner, &target[3..]);
    }
    stays(path).then_some((directory, target))
}

/// An address up to its last slash.
fn parent(address: &str) -> &str {
    &address[..address.rfind('/').map_or(0, |slash| slash + 1)]
}

/// Whether a host is a name, and one that is written in no other way than this. One that ends with a number is an address.
fn is_name(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    host.bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && last.starts_with(|first: char| first.is_ascii_lowercase())
        && !host.contains("xn--")
}

/// Whether a path is written in no other way than this: it has letters, digits and few signs, and no part with a dot in
/// front.
fn stays(path: &str) -> bool {
    path.bytes().all(is_kept) && !path.starts_with('.') && !path.contains("/.")
}

/// The bytes that stay what they are in a path, in a fragment and in Markdown.
fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'~')
}

fn push_escaped(address: &str, markdown: &mut String) {
    let mut rest = address;
    loop {
        let plain = rest.bytes().take_while(|byte| is_plain(*byte)).count();
        let (head, tail) = rest.split_at(plain);
        markdown.push_str(head);
        let Some(character) = tail.chars().next() else {
            return;
        };
        match character {
            ' ' => markdown.push_str("%20"),
            '(' => markdown.push_str("%28"),
            ')' => markdown.push_str("%29"),
            '<' => markdown.push_str("%3C"),
            '>' => markdown.push_str("%3E"),
            '\\' => markdown.push_str("%5C"),
            '|' => markdown.push_str("%7C"),
            '&' if is_reference(tail) => markdown.push_str("&amp;"),
            control if control.is_control() => {}
            other => markdown.push(other),
        }
        rest = &tail[character.len_utf8()..];
    }
}

/// What is written as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'<' | b'>' | b'\\' | b'|' | b'&')
}

#[cfg(test)]
mod tests {
    use trawl_core::url_guard;
    use url::Url;

    use super::{joined, push, push_escaped};

    const BASES: [&str; 7] = [
        "https://www.example.org/docs/a/page.html?a=1&amp;b#part",
        "http://user@example.org:8080",
        "https://example.org/a//b//c",
        "https://example.org/a(1)/b|c/",
        "https://example.org/%2e%2e/x/..%2f/y",
        "file:///a/b/c",
        "mailto:a@example.org",
    ];

    /// Pieces that addresses are put together from.
    const PIECES: [&str; 24] = [
        "a",
        "page.html",
        "/",
        "//",
        "../",
        "./",
        "..",
        ".",
        "#",
        "#part",
        "?",
        "?q=1&x",
        "%2e",
        "https://",
        "HTTPS://",
        "http:",
        "example.com",
        "1.2",
        "0x7f",
        "xn--a",
        ":",
        "é",
        " ",
        "a_b-c~d",
    ];

    #[test]
    fn the_short_way_gives_what_joining_does() {
        let mut short = 0;
        for base in BASES {
            let base = Url::parse(base).unwrap();
            for one in PIECES {
                for other in PIECES {
                    for last in PIECES {
                        let target = format!("{one}{other}{last}");
                        let mut wanted = String::new();
                        let whole = url_guard::join(&base, target.trim()).ok();
                        push_escaped(
                            whole.as_ref().map_or(target.trim(), Url::as_str),
                            &mut wanted,
                        );
                        let mut markdown = String::new();
                        push(&target, Some(&base), &mut markdown);
                        assert_eq!(markdown, wanted, "{target} on {base}");
                        short += usize::from(joined(target.trim(), &base).is_some());
                    }
                }
            }
        }
        assert!(short > 5_000, "{short}");
    }

    #[test]
    fn what_ends_a_link_is_escaped() {
        let mut markdown = String::new();
        push(" a b(c)<d>\\e|f&amp;g&h\u{7}é ", None, &mut markdown);
        assert_eq!(markdown, "a%20b%28c%29%3Cd%3E%5Ce%7Cf&amp;amp;g&hé");
    }
}
