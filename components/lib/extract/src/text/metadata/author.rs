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
    CITED,
    "byl",
];
/// The name of the elements that have the family name first.
const CITED: &str = "citation_author";
/// Some papers have thousands of authors.
const AUTHORS_MAX: usize = 20;
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
        return Sourced::new(joined(named), "json-ld");
    }
    if !may_have {
        return None;
    }
    for name in NAMED {
        // Papers have an element for each author.
        let all = (scan.metas.iter()).filter(|(found, _)| found == name);
        let named: Vec<String> = all
            .filter_map(|(_, value)| clean(value, site))
            .map(|found| if name == CITED { turned(found) } else { found })
            .take(AUTHORS_MAX)
            .collect();
        if !named.is_empty() {
            return Sourced::new(joined(named), "meta");
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
    Sourced::new(byline(document, *scan.headings.first()?, site)?, "byline")
}

/// Names, each once.
fn joined(names: Vec<String>) -> String {
    let mut unique: Vec<String> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique.join(", ")
}

/// A name with the family name last, so that the comma in it is not read as one between two names.
fn turned(name: String) -> String {
    match name.split_once(',') {
        Some((family, given)) if !given.contains(',') => {
            format!("{} {}", given.trim(), family.trim())
        }
        _ => name,
    }
}

/// Nodes of an element about an author that are looked at; such elements may stand in one another.
const AUTHOR_NODES_MAX: NodeId = 500;
/// Nodes after the heading in which a byline is looked for.
const BYLINE_NODES_MAX: NodeId = 300;

/// A text after the heading that begins with "by".
fn byline(document: &Document<'_>, heading: NodeId, site: Option<&str>) -> Option<String> {
    let mut follows_by = false;
    for node in document.end(heading)..document.len().min(document.end(heading) + BYLINE_NODES_MAX)
    {
        let text = document.text(node).trim();
        if text.is_empty() || !document.is_prose(node) {
            continue;
        }
        let introduced = ["by", "written by", "posted by", "author:"]
            .iter()
            .find_map(|word| {
                let head = text
                    .get(..word.len())
                    .filter(|head| head.eq_ignore_ascii_case(word))?;
                Some(&text[head.len()..]).filter(|rest| !rest.starts_with(char::is_alphanumeric))
            });
        let name = if follows_by {
            Some(text)
        } else {
            introduced.filter(|rest| !rest.trim().is_empty())
        };
        if let Some(name) =
            name.and_then(|name| clean(name.trim_start_matches([':', ' ', '\u{a0}']), site))
        {
            let is_person = name.starts_with(char::is_uppercase)
                && name.split_whitespace().count() <= 5
                && !name.contains(|c: char| c.is_ascii_digit());
            return is_person.then_some(name);
        }
        follows_by = introduced.is_some();
    }
    None
}

/// The name in an element that is about an author: its `itemprop="name"`, its only link, or its short text.
fn name_in(document: &Document<'_>, node: NodeId) -> Option<String> {
    let inner = node..document.end(node).min(node + AUTHOR_NODES_MAX);
    if let Some(name) = inner
        .clone()
        .find(|inner| document.raw_attribute(*inner, "itemprop") == Some("name"))
    {
        let content = document
            .attribute(name, "content")
            .map(std::borrow::Cow::into_owned);
        return Some(content.unwrap_or_else(|| short_text(document, name)));
    }
    if document.tag(node) == Tag::Meta {
        return document
            .attribute(node, "content")
            .map(std::borrow::Cow::into_owned);
    }
    let text = short_text(document, node);
    if text.len() <= NAME_BYTES_MAX {
        return Some(text);
    }
    let link = inner.clone().find(|inner| document.tag(*inner) == Tag::A)?;
    Some(short_text(document, link))
}

/// As much of a text as may be a name, and a little more, which shows that it is none.
fn short_text(document: &Document<'_>, node: NodeId) -> String {
    document.text_content_up_to(node, NAME_BYTES_MAX)
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
    for end in [
        " | ",
        " • ",
        " · ",
        " – ",
        " on ",
        " in ",
        ". Reviewed",
        " Updated",
        " Published",
    ] {
        name = name.split(end).next().unwrap_or(name);
    }
    // A date runs on after many names.
    if let Some(digit) = name.find(|character: char| character.is_ascii_digit())
        && digit > 3
        && name[..digit].contains(' ')
    {
        let head = name[..digit].trim_end();
        let (rest, last) = head.rsplit_once(' ').unwrap_or((head, ""));
        name = if is_month(last) { rest } else { head };
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

fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    word.get(..3)
        .is_some_and(|head| MONTHS.iter().any(|month| head.eq_ignore_ascii_case(month)))
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
            ("Jane Doe March 2, 2026", Some("Jane Doe")),
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
