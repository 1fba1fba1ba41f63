//! The heading of the site above the page's own, as on every page of a book: it is no part of the text.

use super::blocks::unspaced_word;
use super::hints::Hint;
use super::layout::{Layout, above};
use crate::dom::{Document, NodeId, Tag};

/// What stands between the page's name and the site's in a title.
pub(super) const SEPARATORS: [&str; 10] = [
    " | ", " - ", " – ", " — ", " » ", " :: ", " · ", " • ", " / ", " ‹ ",
];
/// The same where no space is put between words.
const UNSPACED: [char; 8] = ['｜', '|', '_', '-', '–', '—', '：', '・'];

/// Where a title is parted by a sign without spaces: what stands before each such sign, and behind it.
pub(super) fn unspaced_parts(title: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    let is_unspaced = |character: Option<char>| {
        character.is_some_and(|character| unspaced_word(character) < u32::MAX)
    };
    title
        .match_indices(UNSPACED)
        .map(move |(at, sign)| (&title[..at], &title[at + sign.len()..]))
        .filter(move |(head, tail)| {
            is_unspaced(head.chars().next_back()) || is_unspaced(tail.chars().next())
        })
}

/// An element named after menus so near above a heading makes it one of the menu.
const MENU_DISTANCE_MAX: u8 = 1;

/// No heading that names a page or a site has more nodes or bytes; headings may stand in headings, so that each is read again.
const HEADING_NODES_MAX: NodeId = 64;
const HEADING_BYTES_MAX: usize = 1_000;

/// The first heading of level 1 when it names the site and not the page. The title of the page then ends with it; and it stands in
/// a menu, or another heading holds what the title begins with.
pub(super) fn find(document: &Document<'_>, layout: &Layout) -> Option<NodeId> {
    let title = document.text_content(document.title()?);
    let spaced = SEPARATORS.iter().find_map(|s| title.rsplit_once(s));
    let (page, site) = spaced.or_else(|| unspaced_parts(&title).next_back())?;
    let (page, site) = (fold(page), fold(site));
    if page.is_empty() || site.is_empty() {
        return None;
    }
    let named = |node: NodeId| (node, folded(document, node));
    let (first, name) = document
        .elements(Tag::H1)
        .map(named)
        .find(|(_, name)| !name.is_empty())?;
    if name != site {
        return None;
    }
    let is_menu = layout.above[first as usize] & above::NAV != 0
        || layout.distances(document, first)[Hint::Navigation as usize] <= MENU_DISTANCE_MAX;
    let names_page = |node: NodeId| {
        matches!(document.tag(node), Tag::H1 | Tag::H2 | Tag::H3) && folded(document, node) == page
    };
    (is_menu || (first + 1..document.len()).any(names_page)).then_some(first)
}

/// The letters and digits of a heading; none when it is too long to be a name.
fn folded(document: &Document<'_>, heading: NodeId) -> String {
    let end = document.end(heading).min(heading + HEADING_NODES_MAX);
    let bytes: usize = (heading..end).map(|node| document.text(node).len()).sum();
    if end < document.end(heading) || bytes > HEADING_BYTES_MAX {
        return String::new();
    }
    fold(&document.text_content(heading))
}

/// Letters and digits in lower case.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = String::with_capacity(text.len());
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric);
        folded.extend(letters.map(|letter| char::from(letter.to_ascii_lowercase())));
        return folded;
    }
    text.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::text::{TextOptions, extract_text};

    /// The Markdown of a page of a book whose bar has the book's name.
    fn markdown(title: &str, bar: &str, heading: &str) -> String {
        let words =
            "A word of explanation, and one more, so that it reads as running text. ".repeat(9);
        let html = format!(
            "<title>{title}</title><body><div class=bar>{bar}</div><main>{heading}<p>{words}</p><p>{words}</p></main>"
        );
        extract_text(&html, &TextOptions::default())
            .unwrap()
            .markdown
    }

    #[test]
    fn a_masthead_is_left_out() {
        let bar = "<h1 class=menu-title>The Big Book</h1>";
        for (title, heading, first) in [
            ("Setup - The Big Book", "<h2>Setup</h2>", "## Setup"),
            ("Setup - The Big Book", "<h1>Setup</h1>", "# Setup"),
            // The contents may call a page otherwise than the page does.
            ("Setup - The Big Book", "<h1>How to set it up</h1>", "# How"),
            (
                "The Big Book - The Big Book",
                "<h1>The Big Book</h1>",
                "# The Big Book\n\nA word",
            ),
        ] {
            let markdown = markdown(title, bar, heading);
            assert!(markdown.starts_with(first), "{title}: {markdown}");
        }
    }

    #[test]
    fn a_title_is_kept_even_behind_the_name_of_the_site() {
        for (title, bar, heading, first) in [
            (
                "Example - On Kestrels",
                "<h1>On Kestrels</h1>",
                "<h2>Flight</h2>",
                "# On Kestrels",
            ),
            (
                "The Big Book",
                "<h1 class=menu-title>The Big Book</h1>",
                "",
                "# The Big Book",
            ),
            ("Setup - The Big Book", "", "<h1>Setup</h1>", "# Setup"),
        ] {
            let markdown = markdown(title, bar, heading);
            assert!(markdown.starts_with(first), "{title}: {markdown}");
        }
    }
}
