//! Who wrote it: JSON-LD, meta elements, microdata, `rel="author"`, then bylines.

use super::{JsonLd, Scan, Sourced};
use crate::dom::{Document, NodeId, Tag};

const NAMED: [&str; 9] = [
    "author",
    "article:author",
    "og:article:author",
    "parsely-author",
    "sailthru.author",
    "dc.creator",
    "dcterms.creator",
    "citation_author",
    "byl",
];
/// A name has at most so many words and bytes.
const NAME_WORDS_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 90;

pub(super) fn find(
    document: &Document<'_>,
    scan: &Scan<'_>,
    json: &JsonLd,
    site: Option<&str>,
    may_have: bool,
) -> Option<Sourced> {
    let named: Vec<String> = json
        .main_authors()
        .iter()
        .filter_map(|name| clean(name, site))
        .collect();
    if !named.is_empty() {
        let mut unique: Vec<String> = Vec::new();
        for name in named {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        return Sourced::new(unique.join(", "), "json-ld");
    }
    if !may_have {
        return None;
    }
    for name in NAMED {
        if let Some(found) = scan.meta(name).and_then(|value| clean(value, site)) {
            return Sourced::new(found, "meta");
        }
    }
    for (list, source) in scan.authors.iter().zip(["microdata", "link", "byline"]) {
        if let Some(found) = list
            .iter()
            .find_map(|node| clean(&name_in(document, *node)?, site))
        {
            return Sourced::new(found, source);
        }
    }
    None
}

/// The name in an element that is about an author: its `itemprop="name"`, its only link, or its short text.
fn name_in(document: &Document<'_>, node: NodeId) -> Option<String> {
    let inner = node..document.end(node);
    if let Some(name) = inner
        .clone()
        .find(|inner| document.raw_attribute(*inner, "itemprop") == Some("name"))
    {
        let content = document
            .attribute(name, "content")
            .map(std::borrow::Cow::into_owned);
        return Some(content.unwrap_or_else(|| document.text_content(name)));
    }
    if document.tag(node) == Tag::Meta {
        return document
            .attribute(node, "content")
            .map(std::borrow::Cow::into_owned);
    }
    let text = document.text_content(node);
    if text.len() <= NAME_BYTES_MAX {
        return Some(text);
    }
    let link = inner.clone().find(|inner| document.tag(*inner) == Tag::A)?;
    Some(document.text_content(link))
}

/// A name without what introduces it; nothing when it cannot be one.
fn clean(value: &str, site: Option<&str>) -> Option<String> {
    let mut name = value.trim();
    for prefix in [
        "written by",
        "posted by",
        "published by",
        "reviewed by",
        "author:",
        "author",
        "by:",
        "by",
        "von",
        "par",
        "por",
    ] {
        if let Some(head) = name.get(..prefix.len())
            && head.eq_ignore_ascii_case(prefix)
            && name[prefix.len()..].starts_with([' ', ':', '\n', '\u{a0}'])
        {
            name = name[prefix.len()..].trim_start_matches([' ', ':', '\n', '\u{a0}']);
        }
    }
    for end in [" | ", " • ", " · ", " – ", " on ", "@", " in "] {
        name = name.split(end).next().unwrap_or(name);
    }
    let name = name
        .trim()
        .trim_end_matches([',', '.', '|', '-', ':'])
        .trim();
    let words = name.split_whitespace().count();
    let is_name = words > 0
        && words <= NAME_WORDS_MAX
        && name.len() <= NAME_BYTES_MAX
        && name.chars().any(char::is_alphabetic)
        && !name.contains("://")
        && !name.starts_with("www.")
        && site.is_none_or(|site| !site.eq_ignore_ascii_case(name))
        && !NOBODY
            .iter()
            .any(|nobody| name.eq_ignore_ascii_case(nobody));
    is_name.then(|| name.to_owned())
}

/// What systems put where a name should be.
const NOBODY: [&str; 17] = [
    "admin",
    "administrator",
    "author",
    "authors",
    "guest",
    "anonymous",
    "unknown",
    "editor",
    "editorial",
    "staff",
    "team",
    "user",
    "webmaster",
    "null",
    "undefined",
    "default",
    "about the author",
];

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_lose_what_introduces_them() {
        for (value, expected) in [
            ("By Jane Doe", Some("Jane Doe")),
            ("Written by: Jane Doe | Staff", Some("Jane Doe")),
            ("Byron Smith", Some("Byron Smith")),
            ("https://example.org/jane", None),
            ("admin", None),
            ("Example", None),
            ("", None),
        ] {
            assert_eq!(
                clean(value, Some("example")).as_deref(),
                expected,
                "{value}"
            );
        }
    }
}
