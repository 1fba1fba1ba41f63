//! Pages made to hurt: each is read within a second of the processor, and cut where it is too much.

use std::time::Instant;

use proptest::prelude::*;
use trawl_core::limits::text::MARKDOWN_BYTES_MAX;

use crate::dom::{Document, Limits, NodeId, Selector};

use super::{Mode, TEXT_BYTES_MAX, TextOptions, TextResult, extract_text};

fn extract(html: &str) -> TextResult {
    extract_text(html, &TextOptions::default()).unwrap()
}

/// Natively such a page takes well under 100 ms of the processor; the bound is for slower machines.
const SECONDS_MAX: f64 = 1.0;

/// Seconds that this thread has had a processor, which others on the machine do not lengthen; where the system does not
/// tell, those that have passed.
fn seconds(since: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(
        || since.elapsed().as_secs_f64(),
        |nanoseconds| nanoseconds / 1e9,
    )
}

#[track_caller]
fn cut(html: &str, truncated: Option<&str>) {
    assert_eq!(bounded(html).truncated, truncated);
}

#[track_caller]
fn bounded(html: &str) -> TextResult {
    bounded_with(html, None)
}

#[track_caller]
fn bounded_with(html: &str, selector: Option<&str>) -> TextResult {
    let options = TextOptions {
        selector,
        ..TextOptions::default()
    };
    let since = Instant::now();
    let before = seconds(since);
    let result = extract_text(html, &options).unwrap();
    let took = seconds(since) - before;
    assert!(took < SECONDS_MAX, "took {took} s");
    result
}

#[test]
fn deep_nesting() {
    for depth in [5_000, 50_000] {
        let html = format!(
            "{}<p>{}</p>",
            "<div>".repeat(depth),
            "Some text that is kept. ".repeat(20)
        );
        let result = bounded(&html);
        assert_eq!(result.truncated, Some("depth"));
        assert!(result.text.contains("text that is kept"));
    }
    cut(&"<ul><li>x".repeat(50_000), Some("depth"));
    cut(&"<blockquote>".repeat(50_000), Some("depth"));
    cut(&"<table><tr><td>".repeat(50_000), Some("depth"));
}

#[test]
fn lines_in_deep_quotes() {
    let quotes = "<blockquote>".repeat(380);
    for lines in [
        format!("{quotes}<pre>{}", "\nx".repeat(1_000_000)),
        format!("{quotes}{}", "<p>x".repeat(100_000)),
    ] {
        let options = TextOptions {
            selector: Some("blockquote"),
            ..TextOptions::default()
        };
        let result = extract_text(&lines, &options).unwrap();
        assert_eq!(result.truncated, Some("text"));
        assert!(result.markdown.len() < 2 * MARKDOWN_BYTES_MAX);
    }
    bounded(&format!("{quotes}{}", "x ".repeat(1_000_000)));
}

#[test]
fn adoption_and_foster_parenting() {
    bounded(&"<a><b>".repeat(50_000));
    bounded(&"<a><p><b><div>".repeat(20_000));
    bounded(&"<b><i></b>x</i>".repeat(20_000));
    cut(
        &format!("<table>{}", "<div>x</table><table>".repeat(20_000)),
        Some("blocks"),
    );
    bounded(&"<p><b a=1>".repeat(50_000));
    bounded(&"<table>x<a>".repeat(30_000));
}

#[test]
fn attributes_and_names() {
    cut(
        &format!("<p{}>x", " a=b".repeat(1_000_000)),
        Some("attributes"),
    );
    cut(&format!("<p {}=1>x", "a".repeat(5_000_000)), None);
    cut(
        &format!("<p class='{}'>x", "content-".repeat(500_000)),
        None,
    );
    cut(&format!("<p style='{}'>x", "display".repeat(500_000)), None);
    bounded(&"<a href='".repeat(200_000));
}

#[test]
fn numbers_in_gutters_in_gutters() {
    for (open, close) in [
        ("<pre>", "</pre>"),
        ("<pre><span style=user-select:none>", "</span></pre>"),
        ("", ""),
    ] {
        let nested = |inner: &str| {
            let (starts, ends) = ("<span class=lineno>".repeat(400), "</span>".repeat(400));
            format!("{open}{starts}{inner}{ends}{close}")
        };
        bounded(&nested(&format!("{}x", "<b>1</b>".repeat(100_000))));
        bounded(&nested(&format!("{}x", "1".repeat(4_000_000))));
        bounded(&nested(&format!("{}x", "<b>1</b>".repeat(1_000))).repeat(50));
    }
    bounded(&format!(
        "<div class=linenums>{}",
        "<pre>1</pre>".repeat(50_000)
    ));
    bounded(&format!(
        "<div class=linenums>{}x",
        "<pre>1</pre>".repeat(50_000)
    ));
}

/// What stands above or beside many elements, and is asked for by each of them.
#[test]
fn what_many_elements_ask_for() {
    for class in ["a ".repeat(500_000), "a".repeat(1_000_000)] {
        let code = "<pre>x</pre>".repeat(60_000);
        bounded(&format!("<div class='{class}'>{code}"));
        bounded(&format!("<pre class='{class}'>x"));
        bounded(&format!("<div class='{class}'><b>1</b>{code}"));
    }
    let image = "<picture>word<img>".to_owned() + &"<img>".repeat(100_000);
    bounded(&image);
    bounded(&format!(
        "<picture><source srcset='{}'>{}",
        "data:, ".repeat(100_000),
        "<img>".repeat(100_000)
    ));
    for marks in ["&".repeat(500_000), "&#65;".repeat(100_000)] {
        let links = "<a href=#x>y</a>".repeat(40_000);
        bounded(&format!("<h2 id='{marks}'>word {links}</h2>"));
        bounded(&format!("<h2 id=x>{}{links}</h2>", "&bull;".repeat(80_000)));
    }
    let signs = "- ".repeat(300_000);
    for element in ["<button>word</button>", "<a class=anchor href=#x>word</a>"] {
        let all = element.repeat(20_000);
        bounded(&format!("<h1 id=x>{signs}{all}</h1><p>word"));
        bounded(&format!("<h2 id=x>{signs}{all}</h2><p>word"));
    }
    let base = "a".repeat(1_000_000);
    let links = "<a href=b>word</a>".repeat(50_000);
    bounded(&format!("<base href='/{base}/'><p>{links}"));
}

#[test]
fn many_nodes() {
    cut(&"<p>x".repeat(1_000_000), Some("nodes"));
    cut(&"<br>".repeat(1_000_000), Some("nodes"));
    cut(
        &format!("<ul>{}", "<li class=c>x".repeat(100_000)),
        Some("blocks"),
    );
    cut(
        &format!("<table>{}", "<tr><td>1<td>2".repeat(40_000)),
        Some("blocks"),
    );
    cut(&"&amp".repeat(1_000_000), None);
    cut(&"<!--".repeat(500_000), None);
    cut(&"<".repeat(1_000_000), Some("nodes"));
}

#[test]
fn broken_json() {
    let nested = "[".repeat(100_000);
    cut(
        &format!("<script type=application/ld+json>{nested}</script><p>x"),
        None,
    );
    cut(
        &format!(
            "<script type=application/ld+json>{{\"@graph\":[{}]}}</script>",
            "{\"@type\":\"Article\"},".repeat(50_000)
        ),
        None,
    );
}

/// Each selector over many siblings and deep nesting costs at most so many times what parsing the page does; a matcher that
/// looks back from every element costs thousands of times as much.
const PARSES_MAX: f64 = 50.0;
/// Less than this is not told from nothing by the clock of the processor.
const PARSE_SECONDS_MIN: f64 = 0.02;

#[test]
fn selectors_cost_no_more_than_the_page() {
    let siblings = "<i class=a>x</i>".repeat(100_000);
    let html = format!("{}{siblings}", "<div>".repeat(300));
    let since = Instant::now();
    let before = seconds(since);
    let document = Document::parse(&html, &Limits::default());
    let parse = (seconds(since) - before).max(PARSE_SECONDS_MIN);
    for source in [
        "i:nth-child(2n+1):last-child",
        "i:not(:nth-child(n+2)) ~ b",
        "i ~ i ~ i ~ i ~ b",
        "i + i + i + b",
        "div div div div div div > i > b",
        ":not(:last-child) ~ :last-child > b",
        "div div div i ~ i:first-child",
    ] {
        let selector = Selector::parse(source).unwrap();
        let before = seconds(since);
        let found = selector.select(&document);
        assert_eq!(found.nodes, Vec::<NodeId>::new(), "{source}");
        let took = seconds(since) - before;
        assert!(
            took < parse * PARSES_MAX,
            "{source} took {took} s, parsing {parse} s"
        );
    }
}

/// As many tests as there may be, over attributes that make up the page and are slow to decode.
#[test]
fn selectors_over_attributes() {
    const PAGE_BYTES: usize = 2_000_000;
    let many = |test: fn(u8) -> String| (0..64).map(test).collect::<String>();
    let classes = many(|number| format!(".{}", two_letters(number)));
    let words = many(|number| format!("[class~={}]", two_letters(number)));
    let others = many(|number| format!(",[{}]", two_letters(number)));
    let others = &others[1..];
    let parts = many(|number| format!(":not([class*='f &{}'])", two_letters(number)));
    let names = many(|number| format!(",{}", two_letters(number)));
    let all = (0..64).map(|number| two_letters(number) + " ");
    let slow = "&NotSucceedsTildf ";
    let one = |bytes: usize| {
        let all = all.clone().collect::<String>();
        format!(
            "<div class=\"{}{all}\">x</div>",
            slow.repeat(bytes / slow.len())
        )
    };
    let (large, small) = (one(PAGE_BYTES), one(3_000).repeat(PAGE_BYTES / 3_000));
    for page in [&large, &small] {
        for selector in [&classes, &words] {
            let result = bounded_with(page, Some(selector));
            assert!(result.text.starts_with('x') && result.truncated.is_none());
        }
        let result = bounded_with(page, Some(&parts));
        assert_eq!(result.truncated, Some("selector"));
        bounded_with(page, Some(others));
    }
    let crowd = format!(
        "<i {}>",
        (0..64)
            .map(|number| two_letters(number) + "x ")
            .collect::<String>()
    );
    bounded_with(&crowd.repeat(PAGE_BYTES / crowd.len()), Some(others));
    bounded_with(
        &format!("<x{}>", "x".repeat(PAGE_BYTES)).repeat(2),
        Some(&names[1..]),
    );
}

/// A word of its own for each number.
fn two_letters(number: u8) -> String {
    let letter = |number: u8| char::from(b'a' + number);
    [letter(number / 26), letter(number % 26)]
        .into_iter()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_survived(html in ".{0,400}", fast in any::<bool>()) {
        let mode = if fast { Mode::Fast } else { Mode::Best };
        let result = extract_text(&html, &TextOptions { mode, ..TextOptions::default() }).unwrap();
        prop_assert!(result.text.len() <= TEXT_BYTES_MAX);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let html = String::from_utf8_lossy(&bytes);
        let result = extract(&html);
        // Nothing is made up: all text comes from the page, where a reference of two bytes may stand for more.
        prop_assert!(result.text.len() <= html.len() * 3);
    }

    #[test]
    fn any_soup_is_survived(parts in proptest::collection::vec(0usize..SOUP.len(), 0..200), selector in any::<bool>()) {
        let html: String = parts.into_iter().map(|part| SOUP[part]).collect();
        let options = TextOptions { selector: selector.then_some("p, li, td"), url: Some("https://example.org/"), ..TextOptions::default() };
        let result = extract_text(&html, &options).unwrap();
        prop_assert!(result.text.len() <= html.len() * 2 + 100);
    }
}

const SOUP: [&str; 40] = [
    "<p>",
    "</p>",
    "<div class='content post'>",
    "</div>",
    "<b>",
    "</b>",
    "<a href=/x>",
    "</a>",
    "<table>",
    "</table>",
    "<tr>",
    "<td>",
    "</td>",
    "<ul>",
    "<ol start=9>",
    "<li>",
    "</ul>",
    "<pre>",
    "</pre>",
    "<code>",
    "</code>",
    "<blockquote>",
    "</blockquote>",
    "<h2>",
    "</h2>",
    "<br>",
    "<img alt=a src=b>",
    "<svg>",
    "</svg>",
    "<script>",
    "</script>",
    "<select>",
    "<option>",
    "<button>",
    "<!--",
    "-->",
    "word ",
    "é&amp;&#x1F600; ",
    "\n  ",
    "<template>",
];
