//! Pages made to hurt: each is cheap to send and was, or could be, dear to read.

/// A page and what it is asked for.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) html: String,
    pub(crate) selector: Option<&'static str>,
}

/// Name, what stands before, a piece and how many times it is repeated, what stands behind.
const REPEATED: [(&str, &str, &str, usize, &str); 30] = [
    (
        "div 5,000 deep",
        "",
        "<div>",
        5_000,
        "<p>Some text that is kept.",
    ),
    (
        "div 50,000 deep",
        "",
        "<div>",
        50_000,
        "<p>Some text that is kept.",
    ),
    ("li 50,000 deep", "", "<ul><li>x", 50_000, ""),
    ("quotes 50,000 deep", "", "<blockquote>x", 50_000, ""),
    ("tables 50,000 deep", "", "<table><tr><td>x", 50_000, ""),
    ("a and b soup", "", "<a><b>", 50_000, ""),
    ("a, p, b, div soup", "", "<a><p><b><div>x", 30_000, ""),
    ("misnested b and i", "", "<b><i></b>x</i>", 100_000, ""),
    ("unclosed p with attributes", "", "<p><b a=1>x", 100_000, ""),
    ("foster parents", "", "<table>x<a>", 100_000, ""),
    ("1,000,000 attributes", "<p", " a=b", 1_000_000, ">x"),
    (
        "200,000 elements of 16 attributes",
        "",
        "<i a b c d e f g h i j k l m n o p>x",
        200_000,
        "",
    ),
    ("a class of 4 MB", "<p class='", "content-", 500_000, "'>x"),
    ("1,000,000 elements", "", "<p>x", 1_000_000, ""),
    ("1,000,000 breaks", "", "<br>", 1_000_000, ""),
    ("100,000 items", "<ul>", "<li class=c>x", 100_000, ""),
    (
        "a table of 50,000 rows",
        "<table>",
        "<tr><td>1<td>2<td>3<td>4",
        50_000,
        "",
    ),
    (
        "spans of a table",
        "<table>",
        "<tr><td colspan=1000 rowspan=65000>x<td>y",
        5_000,
        "",
    ),
    (
        "entities",
        "",
        "&amp;&lt;&notit;&CounterClockwiseContourIntegral;",
        100_000,
        "",
    ),
    (
        "entities that are none",
        "",
        "&ampersandandandandandandandandand",
        100_000,
        "",
    ),
    ("comments", "", "<!--", 1_000_000, ""),
    ("less-than signs", "", "<", 1_000_000, ""),
    ("quotes of attributes", "", "<a href='", 500_000, ""),
    ("one word of 10 MB", "", "x", 10_000_000, ""),
    ("signs of Markdown", "<p>", "*_[`~ ", 200_000, ""),
    ("bold letters", "<p>", "<b>\"x\"</b>y", 20_000, ""),
    ("code", "<p>", "<code>`x</code>", 20_000, ""),
    (
        "images",
        "<p>Some text.",
        "<img src=x alt=y>",
        50_000,
        "<p>Some text.",
    ),
    (
        "scripts of JSON",
        "",
        "<script type=application/ld+json>{\"@type\":\"Article\",\"name\":\"x\"}</script>",
        10_000,
        "",
    ),
    (
        "JSON of brackets",
        "<script type=application/ld+json>",
        "[",
        900_000,
        "</script>",
    ),
];
/// Name, an element that is nested as deep as the parser keeps, and a piece that is repeated in the innermost one: slow for
/// whatever looks through its whole content at each level.
const NESTED: [(&str, &str, &str, usize); 8] = [
    ("code in code", "<code>", "x <i>y</i> ", 100_000),
    ("code around a block", "<code>", "x<p>", 100_000),
    (
        "line numbers in line numbers",
        "<pre><b class=gutter>",
        "1<i>2</i>",
        100_000,
    ),
    ("headings in headings", "<h1><object>", "1 ", 2_000_000),
    (
        "titles in titles",
        "<h1 class=author><object>",
        "<b>1</b> ",
        100_000,
    ),
    (
        "paragraphs in lists",
        "<ol><li value=999999999>",
        "<p>x",
        100_000,
    ),
    ("tables in tables", "<table><td>a<td>", "b<i>c</i>", 100_000),
    (
        "links in spans",
        "<span class=author itemprop=author>",
        "<a href=/x>y</a> ",
        70_000,
    ),
];
/// Deeper than the parser keeps.
const DEPTH: usize = 400;

/// Selectors that a matcher could be slow at, over deep nesting and many siblings.
const SELECTORS: [(&str, &str); 3] = [
    ("selector of descendants", "div div div div div p .x"),
    ("selector of later siblings", "i ~ i ~ i ~ i ~ b"),
    (
        "selector of children by number",
        "i:nth-child(2n+1):last-child",
    ),
];

/// All of them.
pub(crate) fn pages() -> Vec<Hostile> {
    let repeated = REPEATED
        .iter()
        .map(|(name, before, piece, times, after)| Hostile {
            name,
            html: format!("{before}{}{after}", piece.repeat(*times)),
            selector: None,
        });
    let selected = SELECTORS.iter().map(|(name, selector)| Hostile {
        name,
        html: format!("{}{}", "<div>".repeat(300), "<i>x</i>".repeat(100_000)),
        selector: Some(selector),
    });
    let nested = NESTED.iter().map(|(name, outer, piece, times)| Hostile {
        name,
        html: format!("{}{}", outer.repeat(DEPTH), piece.repeat(*times)),
        selector: None,
    });
    // Without the limits of the choice of blocks.
    let lines = [
        (
            "lines of code in quotes, selected",
            "<pre>",
            "\nx",
            1_000_000,
        ),
        ("paragraphs in quotes, selected", "", "<p>x", 150_000),
        ("words in quotes, selected", "", "x ", 1_000_000),
    ];
    let lines = lines.map(|(name, before, piece, times)| Hostile {
        name,
        html: format!(
            "{}{before}{}",
            "<blockquote>".repeat(DEPTH - 20),
            piece.repeat(times)
        ),
        selector: Some("blockquote"),
    });
    repeated
        .chain(nested)
        .chain(lines)
        .chain(selected)
        .collect()
}
