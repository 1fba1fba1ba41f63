use super::{Mode, TextError, TextOptions, TextResult, extract_text};

fn selected(html: &str, selector: &str) -> TextResult {
    let options = TextOptions {
        selector: Some(selector),
        url: Some("https://example.org/a/b"),
        ..TextOptions::default()
    };
    extract_text(html, &options).unwrap()
}

#[track_caller]
fn check(html: &str, text: &str, markdown: &str) {
    let result = selected(html, "body");
    assert_eq!(result.text, text, "text of {html}");
    assert_eq!(result.markdown, markdown, "markdown of {html}");
    assert_eq!(result.truncated, None);
}

#[test]
fn headings_and_paragraphs() {
    check(
        "<body><h1>A</h1><p>b\n c<p>d<h3>e</h3>f",
        "A\n\nb c\n\nd\n\ne\n\nf",
        "# A\n\nb c\n\nd\n\n### e\n\nf",
    );
    check("<body><p>a<br>b<br><br>c", "a\nb\n\nc", "a  \nb\n\nc");
    check("<body><div>a</div> <div>b</div>", "a\n\nb", "a\n\nb");
}

#[test]
fn emphasis_links_and_images() {
    check(
        "<body><p>a <b>b</b> <i>c </i>d <a href='../x?y=1&amp;z'>e <b>f</b></a>.",
        "a b c d e f.",
        "a **b** *c* d [e **f**](https://example.org/x?y=1&z).",
    );
    check(
        "<body><p>a <a href='#x'>b</a> <a href='javascript:x()'>c</a>",
        "a b c",
        "a b c",
    );
    check(
        "<body><p>a <img src=/i.png alt='An image'> b",
        "a b",
        "a ![An image](https://example.org/i.png) b",
    );
    check(
        "<body><a href=/x><h3>t</h3><p>d</p></a>",
        "t\n\nd",
        "### [t](https://example.org/x)\n\n[d](https://example.org/x)",
    );
    check(
        "<body><p>1 * 2 [x] `y` <code>a`b*</code>",
        "1 * 2 [x] `y` a`b*",
        "1 \\* 2 \\[x\\] \\`y\\` `a'b*`",
    );
}

#[test]
fn lists() {
    check(
        "<body><ul><li>a<li>b<ul><li>c</ul><li>d</ul>e",
        "- a\n- b\n  - c\n- d\n\ne",
        "- a\n- b\n  - c\n- d\n\ne",
    );
    check(
        "<body><ol start=3><li>a<li><p>b<p>c</ol>",
        "3. a\n4. b\n\nc",
        "3. a\n4. b\n\n   c",
    );
    check(
        "<body><dl><dt>a<dd>b<dt>c<dd>d</dl>",
        "a\nb\nc\nd",
        "a\nb\nc\nd",
    );
}

#[test]
fn quotes_and_code() {
    check(
        "<body><p>a<blockquote><p>b<p>c</blockquote>d",
        "a\n\nb\n\nc\n\nd",
        "a\n\n> b\n>\n> c\n\nd",
    );
    check(
        "<body><p>a<pre><code class='language-rust'>fn a() {\n    b &lt; c\n}\n</code></pre>d",
        "a\n\nfn a() {\n    b < c\n}\n\nd",
        "a\n\n```rust\nfn a() {\n    b < c\n}\n```\n\nd",
    );
}

#[test]
fn tables() {
    check(
        "<body>x<table><tr><th>a<th>b|c<tr><td>1<td><p>2<p>3</table>y",
        "x\n\na | b|c\n1 | 2 3\n\ny",
        "x\n\n| a | b\\|c |\n| --- | --- |\n| 1 | 2 3 |\n\ny",
    );
    check(
        "<body><table><tr><td>one cell for layout</table>",
        "one cell for layout",
        "one cell for layout",
    );
}

#[test]
fn scripts_of_the_world() {
    check(
        "<body><p dir=rtl>שלום &amp; עולם<p>这是中文。<p>ภาษาไทย &eacute;",
        "שלום & עולם\n\n这是中文。\n\nภาษาไทย é",
        "שלום & עולם\n\n这是中文。\n\nภาษาไทย é",
    );
}

#[test]
fn what_nobody_reads_is_left_out() {
    check(
        "<body>a<script>b</script><style>c</style><template>d</template><svg><title>e</title></svg>f",
        "a f",
        "a f",
    );
}

#[test]
fn a_selector_takes_what_it_matches() {
    let html = "<nav>menu</nav><main><p class=x>one<p>two<p class=x>three</main>";
    assert_eq!(selected(html, ".x").text, "one\n\nthree");
    assert_eq!(
        selected(html, "nav, main > :nth-child(2)").text,
        "menu\n\ntwo"
    );
    assert_eq!(selected(html, "aside").text, "");
    let options = TextOptions {
        selector: Some("p:hover"),
        ..TextOptions::default()
    };
    let error = extract_text(html, &options).unwrap_err();
    assert!(matches!(&error, TextError::Selector(_)));
    assert_eq!(
        error.to_string(),
        "invalid selector: the selector is not understood from \":hover\" on"
    );
}

/// A plain page: navigation, an article, related links, a footer.
fn article() -> String {
    let sentence = "The committee met on Tuesday to discuss the plan, and after a long debate it agreed to publish the report. ";
    let paragraphs: String = (0..8)
        .map(|at| format!("<p>Paragraph {at}. {}</p>", sentence.repeat(3)))
        .collect();
    format!(
        "<html lang=en><head><title>A fine title | Example News</title>
        <meta property=og:site_name content='Example News'><meta name=description content='What it is about'>
        <meta name=robots content=noarchive><link rel=canonical href=/canonical>
        <script type=application/ld+json>{{\"@type\":\"NewsArticle\",\"headline\":\"A fine title\",
        \"datePublished\":\"2024-03-04T05:06:07Z\",\"author\":[{{\"name\":\"Jane Doe\"}},{{\"name\":\"John Roe\"}}]}}</script></head>
        <body><nav><ul><li><a href=/>Home</a><li><a href=/news>News</a><li><a href=/sport>Sport</a></ul></nav>
        <main><article><h1>A fine title</h1><div class=content>{paragraphs}</div></article></main>
        <aside class=related><h4>Related</h4><ul><li><a href=/1>Another story</a><li><a href=/2>One more story</a></ul></aside>
        <footer><p>Copyright 2024 Example News. All rights reserved. <a href=/privacy>Privacy policy</a></footer></body></html>"
    )
}

#[test]
fn an_article_is_told_from_what_surrounds_it() {
    for mode in [Mode::Best, Mode::Fast] {
        let options = TextOptions {
            mode,
            url: Some("https://news.example.org/2024/a-fine-title"),
            selector: None,
        };
        let result = extract_text(&article(), &options).unwrap();
        for at in 0..8 {
            assert!(
                result.text.contains(&format!("Paragraph {at}.")),
                "{mode:?} {at}"
            );
        }
        for absent in ["Sport", "Another story", "Privacy policy"] {
            assert!(!result.text.contains(absent), "{mode:?} {absent}");
        }
    }
}

#[test]
fn each_field_carries_its_source() {
    let options = TextOptions {
        url: Some("https://news.example.org/2024/a-fine-title"),
        ..TextOptions::default()
    };
    let result = extract_text(&article(), &options).unwrap();
    let metadata = serde_json::to_value(&result.metadata).unwrap();
    for (field, value, source) in [
        ("title", "A fine title", "h1"),
        ("author", "Jane Doe, John Roe", "json-ld"),
        ("date", "2024-03-04", "json-ld"),
        ("description", "What it is about", "meta"),
        ("language", "en", "html"),
        ("site_name", "Example News", "og"),
        ("canonical", "https://news.example.org/canonical", "link"),
        ("robots", "noarchive", "meta"),
        ("page_type", "article", "model"),
    ] {
        assert_eq!(metadata[field]["value"], value, "{field}");
        assert_eq!(metadata[field]["source"], source, "{field}");
    }
    assert_eq!(metadata["article"]["@type"], "NewsArticle");
    assert_eq!(metadata["open_graph"]["site_name"], "Example News");
    assert_eq!(result.title.as_deref(), Some("A fine title"));
}

#[test]
fn a_page_built_by_script_falls_back_to_what_it_says_of_itself() {
    let html = "<title>T</title><meta property=og:description content='A summary of *some* words'><body><div id=app></div>";
    let result = extract_text(html, &TextOptions::default()).unwrap();
    assert_eq!(result.text, "A summary of *some* words");
    assert_eq!(result.markdown, "A summary of \\*some\\* words");
}
