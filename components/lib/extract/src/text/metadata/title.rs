//! The title, without the name of the site.

use std::collections::HashSet;

use url::Url;

use super::super::blocks::unspaced_word;
use super::super::masthead::{SEPARATORS, fold, unspaced_parts};
use super::super::render::Around;
use super::{FIELD_BYTES_MAX, JsonLd, Scan, Sourced};
use crate::dom::{Document, NodeId, Tag};

/// The heading that readers see first, where the page's own title agrees with it; else that title, stripped. A heading comes
/// with its node.
pub(super) fn find(
    document: &Document<'_>,
    scan: &Scan<'_>,
    json: &JsonLd,
    site: Option<&str>,
    base: Option<&Url>,
    masthead: Option<NodeId>,
) -> Option<(Sourced, Option<NodeId>)> {
    let host = base.and_then(Url::host_str).unwrap_or_default();
    let tag = scan
        .title
        .map(|node| document.text_content(node))
        .filter(|title| !title.is_empty());
    let masthead = masthead.map(|node| document.text_content(node));
    let site = masthead.as_deref().or(site);
    let meta = |name: &str| scan.meta(name).map(str::to_owned);
    let declared = [
        (meta("og:title"), "og"),
        (tag, "title"),
        (meta("twitter:title"), "twitter"),
    ];
    let site_name = site.map(fold).unwrap_or_default();
    let heading =
        heading(document, scan).filter(|(_, heading)| !is_site(heading, &site_name, &fold(host)));
    if let Some((node, heading)) = &heading
        && declared
            .iter()
            .any(|(value, _)| value.as_deref().is_some_and(|value| agrees(heading, value)))
    {
        return Some((Sourced::new(heading, "h1")?, Some(*node)));
    }
    let first = declared
        .into_iter()
        .find_map(|(value, source)| Some((strip(&value?, site, host), source)));
    if first.is_none()
        && let Some((node, heading)) = heading
    {
        return Some((Sourced::new(heading, "h1")?, Some(node)));
    }
    let named = first.or_else(|| {
        json.headline()
            .or_else(|| json.product_name())
            .map(|value| (value, "json-ld"))
    });
    let (value, source) = named?;
    Some((Sourced::new(value, source)?, None))
}

/// Whether a heading and a title have enough words in common to speak of the same.
pub(super) fn agrees(heading: &str, title: &str) -> bool {
    if heading.len() > FIELD_BYTES_MAX || title.len() > FIELD_BYTES_MAX {
        return false;
    }
    let (heading, title) = (words(heading), words(title));
    let title: HashSet<&String> = title.iter().collect();
    let shared = heading.iter().filter(|word| title.contains(word)).count();
    shared > 0 && shared * 2 >= heading.len()
}

/// The words of a text; where no space is put between words, each two letters that stand side by side.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace().map(fold) {
        if word.is_ascii() {
            words.push(word);
            continue;
        }
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunk_by(|one, other| is_unspaced(*one) == is_unspaced(*other)) {
            if is_unspaced(part[0]) && part.len() > 1 {
                words.extend(part.windows(2).map(|pair| pair.iter().collect::<String>()));
            } else {
                words.push(part.iter().collect());
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_unspaced(character: char) -> bool {
    unspaced_word(character) < u32::MAX
}

/// The first heading that says something.
fn heading(document: &Document<'_>, scan: &Scan<'_>) -> Option<(NodeId, String)> {
    scan.headings
        .iter()
        .map(|node| (*node, words_of(document, *node)))
        .map(|(node, text)| {
            let text = text.trim_end_matches(['¶', '#', ' ']);
            (node, text.replace('\u{ad}', ""))
        })
        .find(|(_, text)| text.chars().any(char::is_alphabetic))
}

/// What a heading says, without what can be done with it.
fn words_of(document: &Document<'_>, heading: NodeId) -> String {
    let mut skipped = heading;
    let around = Around::new(heading);
    let nodes = (heading..document.end(heading)).filter(|node| {
        if document.tag(*node) == Tag::Button && around.is_control(document, *node) {
            skipped = skipped.max(document.end(*node));
        }
        *node >= skipped
    });
    document.text_content_of(nodes, FIELD_BYTES_MAX)
}

/// Removes the site's name from the end or the start of a title.
fn strip(title: &str, site: Option<&str>, host: &str) -> String {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let site = site.map(fold).unwrap_or_default();
    let host = fold(host.trim_start_matches("www."));
    let is_site = |part: &str| is_site(part, &site, &host);
    let mut kept = title.as_str();
    for separator in SEPARATORS {
        if let Some((head, tail)) = kept.rsplit_once(separator)
            && is_site(tail)
            && !head.trim().is_empty()
        {
            kept = head.trim_end();
        }
        if let Some((head, tail)) = kept.split_once(separator)
            && is_site(head)
            && !tail.trim().is_empty()
        {
            kept = tail.trim_start();
        }
    }
    if let Some((head, tail)) = unspaced_parts(kept).next_back()
        && is_site(tail)
        && !head.trim().is_empty()
    {
        kept = head.trim_end();
    }
    if let Some((head, tail)) = unspaced_parts(kept).next()
        && is_site(head)
        && !tail.trim().is_empty()
    {
        kept = tail.trim_start();
    }
    // What stands behind one of these is the site or an advertisement for it.
    for separator in [" | ", " » ", " :: ", " • ", " · ", " — "] {
        if let Some((head, _)) = kept.split_once(separator)
            && head.len() >= TITLE_BYTES_MIN
        {
            kept = head.trim_end();
        }
    }
    kept.to_owned()
}

/// A shorter first part of a title may be a label, not the title.
const TITLE_BYTES_MIN: usize = 5;

/// Whether a part of a title names the site, by its own name or by its host; both are folded.
fn is_site(part: &str, site: &str, host: &str) -> bool {
    let part = fold(part);
    let host = host.strip_prefix("www").unwrap_or(host);
    let names_site = !site.is_empty() && (site.starts_with(&part) || part.starts_with(site));
    part.len() >= 3 && (host.starts_with(&part) || names_site) || part == site && !part.is_empty()
}

#[cfg(test)]
mod tests {
    use super::strip;
    use crate::text::{Mode, TextOptions, extract_text};

    fn title_of(html: &str) -> Option<String> {
        let options = TextOptions {
            mode: Mode::Fast,
            url: Some("https://example.org/a"),
            ..TextOptions::default()
        };
        extract_text(html, &options).ok()?.title
    }

    #[test]
    fn a_masthead_is_not_the_title() {
        let page = |head: &str, h1: &str, h2: &str| {
            format!(
                "<title>{head}</title><h1>{h1}</h1><main><h2>{h2}</h2><p>Words of a page that goes on for a while.</p></main>"
            )
        };
        let book = page(
            "Installation - The Big Book",
            "The Big Book",
            "Installation",
        );
        assert_eq!(title_of(&book).as_deref(), Some("Installation"));
        let article = page("Example - On Kestrels", "On Kestrels", "Flight");
        assert_eq!(title_of(&article).as_deref(), Some("On Kestrels"));
    }

    #[test]
    fn buttons_beside_the_words_of_a_heading_are_not_the_title() {
        let page = |heading: &str| {
            format!("<title>Title here - Site</title><h1>{heading}</h1><p>Words of a page.</p>")
        };
        for (heading, title) in [
            ("Title <b>here</b> <button>Copy path</button>", "Title here"),
            (
                "<button>Edit</button>Title here<button>Copy</button>",
                "Title here",
            ),
            ("<button>Title here?</button>", "Title here?"),
            ("1. <button>Title here?</button>", "1. Title here?"),
        ] {
            assert_eq!(
                title_of(&page(heading)).as_deref(),
                Some(title),
                "{heading}"
            );
        }
    }

    #[test]
    fn headings_agree_with_titles_where_no_space_parts_words() {
        let text = "<p>前三季度国内生产总值同比增长，分产业看，第一产业增加值同比增长。</p>";
        for title in [
            "公布第三季度经济数据_新华网财经",
            "新华网：公布第三季度经济数据",
            "公布第三季度经济数据｜新华网",
        ] {
            let page = format!("<title>{title}</title><h1>公布第三季度经济数据</h1>{text}");
            assert_eq!(title_of(&page).as_deref(), Some("公布第三季度经济数据"));
        }
        let other = format!("<title>公布第三季度经济数据</title><h1>新闻中心</h1>{text}");
        assert_eq!(title_of(&other).as_deref(), Some("公布第三季度经济数据"));
    }

    #[test]
    fn the_title_of_a_picture_is_not_that_of_the_page() {
        let icon = "<svg><title>Menu icon</title><path/></svg>";
        let text = "<p>Words of a page that goes on for a while.</p>";
        let behind = format!("<body>{icon}<title>On Kestrels</title>{text}");
        assert_eq!(title_of(&behind).as_deref(), Some("On Kestrels"));
        assert_eq!(title_of(&format!("<body>{icon}{text}")), None);
        let headed = format!("<body>{icon}<h1>On Kestrels</h1>{text}");
        assert_eq!(title_of(&headed).as_deref(), Some("On Kestrels"));
    }

    #[test]
    fn the_site_is_stripped() {
        for (title, expected) in [
            ("A thing | Example", "A thing"),
            ("Example News - A thing", "A thing"),
            ("A thing - part two", "A thing - part two"),
            ("A thing – example.org", "A thing"),
            ("Example", "Example"),
            ("新しい図書館の建設_Example News", "新しい図書館の建設"),
            ("Example News：新しい図書館", "新しい図書館"),
            ("東京-大阪", "東京-大阪"),
            ("sub-example", "sub-example"),
        ] {
            assert_eq!(
                strip(title, Some("Example News"), "www.example.org"),
                expected,
                "{title}"
            );
        }
    }
}
