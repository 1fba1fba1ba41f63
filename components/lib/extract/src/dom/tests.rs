use trawl_core::limits::api::SELECTOR_CHARS_MAX;
use trawl_core::limits::text::{SELECTOR_BYTES_MAX, SELECTOR_TESTS_MAX};

use super::{Cut, Document, Limits, Selector, SelectorError, Syntax, Tag};

/// The tree in short: names with their children in brackets, text in quotes.
fn outline(html: &str) -> String {
    outline_of(&Document::parse(html, &Limits::default()))
}

fn outline_of(document: &Document<'_>) -> String {
    let mut shown = String::new();
    let mut open: Vec<u32> = Vec::new();
    for node in 1..document.len() {
        while open.last().is_some_and(|end| *end <= node) {
            open.pop();
            shown.push(')');
        }
        if !shown.is_empty() && !shown.ends_with('(') {
            shown.push(' ');
        }
        if document.tag(node) == Tag::Text {
            shown.push_str(&format!("{:?}", document.text(node)));
        } else {
            shown.push_str(&document.name(node).to_ascii_lowercase());
            if document.end(node) > node + 1 {
                shown.push('(');
                open.push(document.end(node));
            }
        }
    }
    shown.push_str(&")".repeat(open.len()));
    shown
}

#[test]
fn trees_come_out_as_in_a_browser() {
    for (html, expected) in [
        ("<p>a<p>b", r#"p("a") p("b")"#),
        (
            "<ul><li>a<li>b<ul><li>c</ul><li>d</ul>",
            r#"ul(li("a") li("b" ul(li("c"))) li("d"))"#,
        ),
        ("<dl><dt>a<dd>b<dt>c</dl>", r#"dl(dt("a") dd("b") dt("c"))"#),
        (
            "<table><tr><td>a<td>b<tr><th>c</table>x",
            r#"table(tr(td("a") td("b")) tr(th("c"))) "x""#,
        ),
        (
            "<table><tr><td><div>a</table>b",
            r#"table(tr(td(div("a")))) "b""#,
        ),
        ("<p><b>a</p>b</b>", r#"p(b("a")) "b""#),
        ("<a><h3>a</a>b</h3>c", r#"a(h3("a")) h3("b") "c""#),
        ("<a>x<a>y</a>", r#"a("x") a("y")"#),
        ("<div><span>a</div>b</span>c", r#"div(span("a")) "b" "c""#),
        ("a < b &lt; c", r#""a " "<" " b < c""#),
        (
            "<script>if (a<b) '</div>'</script>x",
            r#"script("if (a<b) '</div>'") "x""#,
        ),
        (
            "<script><!--\n'<script></script><p>b' //--></script>x",
            r#"script("<!--\n'<script></script><p>b' //-->") "x""#,
        ),
        ("<title>a &amp; <b></title>x", r#"title("a & <b>") "x""#),
        (
            "a<!-- > -- x -->b<!-->c<!--->d<!doctype x>e",
            r#""a" "b" "c" "d" "e""#,
        ),
        (
            "<svg><path/><circle></circle></svg>x",
            r#"svg(path circle) "x""#,
        ),
        (
            "<html><head><meta><body class=x>a</body></html>b",
            r#"html(head(meta) body("a" "b"))"#,
        ),
        (
            "<head><title>t</title><div>x</div>",
            r#"head(title("t")) div("x")"#,
        ),
        (
            "<select><option>a<option>b</select>",
            r#"select(option("a") option("b"))"#,
        ),
        ("<h1>a<h2>b</h2>", r#"h1("a") h2("b")"#),
        ("<iframe />a</iframe>b", r#"iframe("a") "b""#),
        (
            "<noscript><iframe src=x /></noscript><p>a",
            r#"noscript(iframe) p("a")"#,
        ),
        (
            "<noscript><style>a</noscript>b",
            r#"noscript(style("a")) "b""#,
        ),
        (
            "<noscript></noscript><iframe></noscript>a</iframe>b",
            r#"noscript iframe("</noscript>a") "b""#,
        ),
        ("<div a=\"x", ""),
    ] {
        assert_eq!(outline(html), expected, "{html}");
    }
}

#[test]
fn html_ends_svg_and_mathml_whatever_was_left_open_in_them() {
    for (html, expected) in [
        (
            "<p>a</p><svg><g><path></g><p>b</p><p>c</p>",
            r#"p("a") svg(g(path)) p("b") p("c")"#,
        ),
        ("<svg><g><svg><g><p>a", r#"svg(g(svg(g))) p("a")"#),
        ("<svg><g></p>a", r#"svg(g) p "a""#),
        ("<svg><g></br>a", r#"svg(g) br "a""#),
        ("<math><mrow><sup>a", r#"math(mrow) sup("a")"#),
        ("<svg><g><nobr>a", r#"svg(g) nobr("a")"#),
        ("<svg><g><font>a", r#"svg(g(font("a")))"#),
        ("<svg><g><font size=1>a", r#"svg(g) font("a")"#),
        ("<svg><mi><p>a", r#"svg(mi) p("a")"#),
        ("<math><desc><p>a", r#"math(desc) p("a")"#),
        (
            "<math><annotation-xml><p>a",
            r#"math(annotation-xml) p("a")"#,
        ),
        // Where HTML may stand.
        (
            "<svg><foreignObject><g><p>a</p></g></foreignObject><g></svg>b",
            r#"svg(foreignobject(g(p("a"))) g) "b""#,
        ),
        (
            "<svg><desc><p>a</p></desc></svg>b",
            r#"svg(desc(p("a"))) "b""#,
        ),
        (
            "<svg><foreignobject><svg><g><p>a</p></foreignobject></svg>b",
            r#"svg(foreignobject(svg(g) p("a"))) "b""#,
        ),
        (
            "<math><mtext><b>a</b></mtext></math>b",
            r#"math(mtext(b("a"))) "b""#,
        ),
        (
            "<math><annotation-xml encoding=Text/HTML><p>a</p></annotation-xml></math>b",
            r#"math(annotation-xml(p("a"))) "b""#,
        ),
        (
            "<svg><title>a</title><g></svg>b",
            r#"svg(title("a") g) "b""#,
        ),
    ] {
        assert_eq!(outline(html), expected, "{html}");
    }
}

#[test]
fn the_template_of_a_shadow_root_is_what_its_parent_shows() {
    let seen = |html: &str| {
        let document = Document::parse(html, &Limits::default());
        !(0..document.len()).any(|node| document.tag(node) == Tag::Template)
    };
    for attribute in [
        "shadowrootmode=open",
        "SHADOWROOTMODE=Closed",
        "shadowroot=open",
    ] {
        let html = format!("<x-a><template {attribute}><p>a</template><p>b</p></x-a>c");
        assert_eq!(outline(&html), r#"x-a(template(p("a")) p("b")) "c""#);
        assert!(seen(&html), "{html}");
    }
    for attribute in [
        "",
        "shadowrootmode",
        "shadowrootmode=none",
        "data-shadowroot=open",
    ] {
        assert!(!seen(&format!(
            "<x-a><template {attribute}>a</template></x-a>"
        )));
    }
}

#[test]
fn stray_ends_part_what_stands_around_them() {
    for (html, expected) in [
        (
            "<div>one</p>two</div>three</BR>four",
            r#"div("one" p "two") "three" br "four""#,
        ),
        (
            "<head></p><title>t</title></head><p>a<div>b</div></p>c<table></p><tr></p><td></p>d",
            r#"head(title("t")) p("a") div("b") p "c" table(tr(td(p "d")))"#,
        ),
        ("<svg></p>a", r#"svg p "a""#),
    ] {
        assert_eq!(outline(html), expected, "{html}");
    }
}

#[test]
fn any_element_may_end_itself_in_xhtml() {
    let outline = |html: &str| {
        let document = Document::parse_as(html, Syntax::Xhtml, &Limits::default());
        outline_of(&document)
    };
    for name in [
        "script", "style", "title", "iframe", "textarea", "select", "xmp", "noscript", "a", "p",
    ] {
        let html = format!("<div>a<{name} src='x'/>b</div>c");
        assert_eq!(outline(&html), format!(r#"div("a" {name} "b") "c""#));
    }
    for (html, expected) in [
        (
            "<script>if (a<b) '</div>'</script>x<br/>y",
            r#"script("if (a<b) '</div>'") "x" br "y""#,
        ),
        ("a<br></br>b", r#""a" br "b""#),
        (
            "<head><title/><script src='a'/></head><body>x</body>",
            r#"head(title script) body("x")"#,
        ),
        // The slash belongs to the value.
        ("<div><a href=x/>b</a></div>", r#"div(a("b"))"#),
    ] {
        assert_eq!(outline(html), expected, "{html}");
    }
    let deep = format!("{}<p/>", "<div>".repeat(5_000));
    let document = Document::parse_as(&deep, Syntax::Xhtml, &Limits::default());
    assert_eq!(document.elements(Tag::P).count(), 1);
}

#[test]
fn cdata_is_text_in_xhtml() {
    let html = "<p>a <![CDATA[b < c <b>&amp;</b>]]>d<![CDATA[]]> <![CDATA[e";
    let document = Document::parse_as(html, Syntax::Xhtml, &Limits::default());
    assert_eq!(
        outline_of(&document),
        r#"p("a " "b < c <b>&amp;</b>" "d" " " "e")"#
    );
    assert_eq!(outline(html), r#"p("a " "&" "]]>d" " ")"#);
}

#[test]
fn attributes_read_as_written() {
    let document = Document::parse(
        "<A HREF='?a=1&amp;b' data-x=y/z checked = \"\" q>",
        &Limits::default(),
    );
    assert_eq!(document.attribute(1, "href").as_deref(), Some("?a=1&b"));
    assert_eq!(document.attribute(1, "data-x").as_deref(), Some("y/z"));
    assert_eq!(document.attribute(1, "checked").as_deref(), Some(""));
    assert_eq!(document.attribute(1, "q").as_deref(), Some(""));
    assert_eq!(document.attribute(1, "x"), None);
}

fn cut(html: &str) -> Option<Cut> {
    Document::parse(html, &Limits::default()).cut()
}

#[test]
fn hostile_pages_are_cut() {
    assert_eq!(cut(&"<div>".repeat(50_000)), Some(Cut::Depth));
    assert_eq!(cut(&"<p>x".repeat(200_000)), Some(Cut::Nodes));
    assert_eq!(
        cut(&format!("<div{}>x", " a=1".repeat(1_000_000))),
        Some(Cut::Attributes)
    );
    assert_eq!(cut(&"<b><i>".repeat(10_000)), Some(Cut::Depth));
    let limits = Limits {
        bytes_max: 4,
        ..Limits::default()
    };
    let document = Document::parse("<p>äöü", &limits);
    assert_eq!(
        (document.cut(), document.text_content(0)),
        (Some(Cut::Bytes), String::new())
    );
}

#[test]
fn text_past_the_depth_limit_is_kept() {
    let html = format!(
        "{}deep{}<p>after",
        "<div>".repeat(5_000),
        "</div>".repeat(5_000)
    );
    let document = Document::parse(&html, &Limits::default());
    assert_eq!(document.text_content(0), "deep after");
    let after = document.elements(Tag::P).next().unwrap();
    assert_eq!(document.parent(after), 0);
}

fn selected(selector: &str) -> String {
    let html = "<main id=m><p class='a b'>1<p>2<a href='/x.pdf' lang=en-GB>3</a><div><p>4</p></div></main><p>5";
    let document = Document::parse(html, &Limits::default());
    let found = Selector::parse(selector).unwrap().select(&document);
    assert!(!found.is_cut);
    found
        .nodes
        .iter()
        .map(|node| document.text_content(*node))
        .collect::<Vec<_>>()
        .join("|")
}

#[test]
fn selectors_find_their_elements() {
    for (selector, expected) in [
        ("#m > p", "1|23"),
        ("main p", "1|23|4"),
        ("p", "1|23|4|5"),
        (".b.a", "1"),
        (".b:not(.c)", "1"),
        (".a.c", ""),
        ("[class~=b]", "1"),
        ("[CLASS~='a b']", ""),
        ("[class='a b']", "1"),
        ("[class*='a b'], [lang^=en][lang$=GB]", "1|3"),
        ("[id='']", ""),
        ("[href], [nope]", "3"),
        ("[href$='.pdf']", "3"),
        ("a[lang|=en]", "3"),
        ("p + p", "23"),
        ("p ~ div", "4"),
        ("div, .a", "1|4"),
        ("main > :nth-child(2)", "23"),
        ("main > p:not(.a)", "23"),
        ("main > *:last-child", "4"),
        ("main div > p:first-child", "4"),
        ("p ~ p + div > *", "4"),
        (":nth-child(2):last-child", "5"),
        (":not(main) > p", "4"),
        ("nope", ""),
    ] {
        assert_eq!(selected(selector), expected, "{selector}");
    }
}

#[test]
fn selectors_may_have_escapes() {
    for (attributes, selector) in [
        ("id=123", "#\\31 23"),
        ("id=123", "#\\00003123"),
        ("class=2xl:flex", ".\\32xl\\:flex"),
        ("class='a 2'", "p.a.\\32"),
        ("class='a b'", ".\\61.\\62 "),
        ("id=x", "\\70#x"),
        ("id=x", "body \\000070#x"),
        ("a='x\"]y'", "[a=\"x\\\"]y\"]"),
        ("a=1", "[a='\\31']"),
        ("a='b\\c'", "[a='b\\\\c']"),
    ] {
        let html = format!("<body><p {attributes}>x</p>");
        let document = Document::parse(&html, &Limits::default());
        let found = Selector::parse(selector).unwrap().select(&document);
        assert_eq!(found.nodes.len(), 1, "{selector} in {html}");
    }
}

#[test]
fn a_bad_selector_is_explained() {
    assert_eq!(Selector::parse("").unwrap_err(), SelectorError::Empty);
    assert_eq!(Selector::parse("p,").unwrap_err(), SelectorError::Empty);
    assert_eq!(Selector::parse("p > ").unwrap_err(), SelectorError::Empty);
    assert_eq!(
        Selector::parse("p:hover").unwrap_err(),
        SelectorError::Unsupported(":hover".into())
    );
    for early in ["p[", "p[a", "p[a=", "p[a='b'", "#", ".", "p:not("] {
        let error = Selector::parse(early).unwrap_err();
        assert_eq!(error.to_string(), "the selector ends too early", "{early}");
    }
    for odd in ["p.\\", "p[a='b", "p[a='b\\']"] {
        let error = Selector::parse(odd).unwrap_err();
        assert!(matches!(error, SelectorError::Unsupported(_)), "{odd}");
    }
    assert!(matches!(
        Selector::parse(&"p".repeat(SELECTOR_BYTES_MAX + 1)),
        Err(SelectorError::TooLong { .. })
    ));
    // What the API lets through is no longer, whatever its characters.
    assert!(Selector::parse(&"\u{20000}".repeat(SELECTOR_CHARS_MAX)).is_ok());
    let parts = |count: usize| Selector::parse(&vec!["p"; count].join(" "));
    assert!(parts(SELECTOR_TESTS_MAX).is_ok());
    assert_eq!(
        parts(SELECTOR_TESTS_MAX + 1).unwrap_err(),
        SelectorError::TooManyTests {
            max: SELECTOR_TESTS_MAX
        }
    );
}
