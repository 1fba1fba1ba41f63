use super::{Mode, Syntax, TextError, TextOptions, TextResult, extract_text};

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
fn stray_end_tags_part_words() {
    check(
        "<body><div>one</p>two</div><div>a</br>b</div>",
        "one\n\ntwo\n\na\nb",
        "one\n\ntwo\n\na  \nb",
    );
    assert_eq!(best("<body><div>one</p>two</div>").text, "one\n\ntwo");
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
        "a [b](https://example.org/a/b#x) c",
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
        "1 \\* 2 \\[x\\] \\`y\\` ``a`b*``",
    );
}

#[test]
fn no_spelling_of_a_script_or_of_data_is_a_link() {
    for target in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " \tjavascript:alert(1)",
        "java&Tab;script:alert(1)",
        "java&NewLine;script:alert(1)",
        "java\nscript:alert(1)",
        "&#106;avascript:alert(1)",
        "javascript&colon;alert(1)",
        "javascript&#58;alert(1)",
        "&#x01;javascript:alert(1)",
        "&#x1f; &nbsp;javascript:alert(1)",
        "\u{1}javascript:alert(1)",
        "java\u{1}script:alert(1)",
        "data&colon;text/html,x",
        "v&#98;script:x",
    ] {
        let html = format!("<body><p>a <a href='{target}'>x</a> b<img src='{target}' alt=y>");
        for url in [None, Some("https://example.org/a/b")] {
            let options = TextOptions {
                selector: Some("body"),
                url,
                ..TextOptions::default()
            };
            let markdown = extract_text(&html, &options).unwrap().markdown;
            assert_eq!(markdown, "a x b", "{target} on {url:?}");
        }
    }
    check(
        "<body><p><a href='javascript/x?a=1&amp;b'>x</a> <a href='data&amp;x'>y</a>",
        "x y",
        "[x](https://example.org/a/javascript/x?a=1&b) [y](https://example.org/a/data&x)",
    );
}

#[test]
fn headings_do_not_link_to_themselves() {
    // mdBook, Sphinx, rustdoc, MkDocs, GitHub, Docusaurus, AsciiDoc, old pages.
    for html in [
        "<h2 id=set-up><a class=header href='#set-up'>Set up</a></h2>",
        "<section id=set-up><h2>Set up<a class=headerlink href='#set-up' title='Link to this heading'>¶</a></h2></section>",
        "<h2 id=set-up><a class=doc-anchor href='#set-up'>§</a>Set up</h2>",
        "<h2 id=set-up>Set up<a class=headerlink href='#set-up'>&para;</a></h2>",
        "<h2><a id=user-content-set-up class=anchor aria-hidden=true href='#set-up'><svg><path/></svg></a>Set up</h2>",
        "<h2 id=set-up>Set up<a class=hash-link href='#set-up' title='Direct link'>&#8203;</a></h2>",
        "<h2 id=set-up><a class=anchor href='#set-up'></a><a class=link href='#set-up'>Set up</a></h2>",
        "<a name=set-up></a><h2><a href='#set-up'>Set up</a></h2>",
        "<h2 id=set-up><a href='https://example.org/a/b#set-up'>Set up</a></h2>",
        "<h2 id=set-up>Set up <a class='permalink' href='b#set-up'>Permalink</a></h2>",
        "<h2 id='set up'><a href='#set%20up'>Set up</a></h2>",
    ] {
        check(&format!("<body>{html}"), "Set up", "## Set up");
    }
    check(
        "<body><h3 id=x><a href='#x'><code>x</code></a> and <code><a href='#x'>y</a></code></h3>",
        "x and y",
        "### `x` and `y`",
    );
}

#[test]
fn a_heading_has_one_line() {
    check(
        "<body><h2>Two<br>lines</h2><h3><br>a<br><br>b</h3>c<br>d",
        "Two lines\n\na b\n\nc\nd",
        "## Two lines\n\n### a b\n\nc  \nd",
    );
    check(
        "<body><h2><a href='/b'>Two<br>lines</a></h2><h2>a<select><option>x</select>b</p>c</h2>",
        "Two lines\n\na b c",
        "## [Two lines](https://example.org/b)\n\n## a b c",
    );
}

#[test]
fn headings_keep_the_links_that_lead_elsewhere() {
    for (html, markdown) in [
        (
            "<h2><a href='#b'>B</a></h2>",
            "## [B](https://example.org/a/b#b)",
        ),
        (
            "<h2 id=b><a href='/c#b'>B</a></h2>",
            "## [B](https://example.org/c#b)",
        ),
        (
            "<h2 id=b>A <a href='/b'>B</a></h2>",
            "## A [B](https://example.org/b)",
        ),
        (
            "<h2 id=b><a class=anchor href='#b'>Anchor</a></h2>",
            "## Anchor",
        ),
        (
            "<h2><a class=anchor href='/b'>C#</a></h2>",
            "## [C#](https://example.org/b)",
        ),
    ] {
        assert_eq!(
            selected(&format!("<body>{html}"), "body").markdown,
            markdown,
            "{html}"
        );
    }
}

#[test]
fn signs_that_lead_nowhere_and_badges() {
    check(
        "<body><p>a <a href='#' title=tip>ⓘ</a> b<p><a href='/x'>ⓘ</a>",
        "a b\n\nⓘ",
        "a b\n\n[ⓘ](https://example.org/x)",
    );
    check(
        "<body><pre>a <a href='#'>ⓘ</a><details open><summary>Show more</summary>b</details></pre>",
        "a \nb",
        "```\na \nb\n```",
    );
    check(
        "<body><p>name<span class='badge new'>New</span>, <span class=x>in</span>side",
        "name New , inside",
        "name New , inside",
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
        "a\nb\n\nc\nd",
        "**a**  \nb\n\n**c**  \nd",
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
        "x\n\n| a | b\\|c |\n| --- | --- |\n| 1 | 2<br>3 |\n\ny",
    );
    check(
        "<body><table><tr><td>one cell for layout</table>",
        "one cell for layout",
        "one cell for layout",
    );
}

#[test]
fn lists_in_lists_and_beside_others() {
    check(
        "<body><ul><li>a<ol start=3><li>b</ol>c</ul>",
        "- a\n\n  3. b\nc",
        "- a\n\n  3. b\n\n  c",
    );
    check(
        "<body><ul><li>a</ul><ul><li>b</ul>",
        "- a\n\n* b",
        "- a\n\n* b",
    );
    check("<body><ul><li><ul><li>a</ul></ul>", "- - a", "- - a");
    check(
        "<body><ul><li><input type=checkbox checked> a<li><input type=checkbox> b</ul>",
        "- [x] a\n- [ ] b",
        "- [x] a\n- [ ] b",
    );
}

#[test]
fn lists_beside_the_items_of_another_are_in_it() {
    check(
        "<body><ul><li>a</li><ul><li>b</li><li>c<ul><li>d</ul></li></ul><li>e</li></ul>f",
        "- a\n  - b\n  - c\n    - d\n- e\n\nf",
        "- a\n  - b\n  - c\n    - d\n- e\n\nf",
    );
    check(
        "<body><ol><li>a</li><ol><li>b</li></ol><ul><li>c</li></ul><li>d</li></ol>",
        "1. a\n   1. b\n   - c\n2. d",
        "1. a\n   1. b\n   - c\n2. d",
    );
    check("<body><ul><ul><li>a</li></ul></ul>", "- a", "- a");
}

#[test]
fn tables_with_spans_heads_and_code() {
    check(
        "<body><table><caption>T</caption><tr><th>a<td>1<tr><th>b<td>2</table>",
        "T\n\na | 1\nb | 2",
        "T\n\n|  |  |\n| --- | --- |\n| a | 1 |\n| b | 2 |",
    );
    check(
        "<body><table><tr><th colspan=2>a<th align=right>b<tr><td rowspan=2>1<td>2<td>3<tr><td>4<td><code>5|6</code></table>",
        "a |  | b\n1 | 2 | 3\n | 4 | 5|6",
        "| a |  | b |\n| --- | --- | ---: |\n| 1 | 2 | 3 |\n|  | 4 | `5\\|6` |",
    );
}

#[test]
fn a_table_too_wide_for_markdown_loses_nothing() {
    let row = |letter: &str| {
        let cells = (0..120).map(|at| format!("<td>{letter}{at}"));
        format!("<tr>{}", cells.collect::<String>())
    };
    for (html, last) in [
        (format!("<table>{}{}</table>", row("a"), row("b")), "b119"),
        (
            "<table><tr><td>a<td colspan=999>b<td>c<tr><td>d<td>e</table>".to_owned(),
            "c",
        ),
        (
            "<table><tr><td rowspan=2 colspan=100>a<tr><td>b<td>c<tr><td>d</table>".to_owned(),
            "c",
        ),
    ] {
        let result = selected(&format!("<body>{html}"), "body");
        for form in [&result.text, &result.markdown] {
            assert!(form.lines().any(|line| line.trim() == last), "{form}");
        }
        assert!(!result.markdown.contains('|'), "{}", result.markdown);
    }
    let wide = selected(
        "<body><table><tr><td colspan=999>a<tr><td>b<td>c<tr><td>d<td>e</table>",
        "body",
    );
    assert_eq!(wide.text, "a\nb | c\nd | e");
}

#[test]
fn text_of_a_table_that_stands_in_no_cell_is_above_it() {
    check(
        "<body><p>before<table><caption>of</caption>Stray <b>words</b><div>Block <i>one</i></div>\
         <tr><td>a<td>b<td>c</tr>between rows<tr><script>no()</script><form>\n</form>loose<td>d<td>e<td>f</table>after",
        "before\n\nStray words\n\nBlock one\n\nbetween rows loose\n\nof\n\na | b | c\nd | e | f\n\nafter",
        "before\n\nStray words\n\nBlock one\n\nbetween rows loose\n\nof\n\n\
         | a | b | c |\n| --- | --- | --- |\n| d | e | f |\n\nafter",
    );
}

#[test]
fn a_table_may_have_a_line_of_code_in_its_cells() {
    let table = |class: &str, code: &str| {
        format!(
            "<body><table><tr><th>Option<th>Example<tr><td class={class}>--foo<td><pre>{code}</pre></table>"
        )
    };
    for code in [
        "cmd --foo",
        "\ncmd <b>--foo</b>\n\n",
        "<div>cmd --foo</div><br>",
    ] {
        check(
            &table("a", code),
            "Option | Example\n--foo | cmd --foo",
            "| Option | Example |\n| --- | --- |\n| --foo | `cmd --foo` |",
        );
    }
    for (class, code) in [
        ("a", "one\ntwo"),
        ("a", "one<br>two"),
        ("a", "<div>one</div><div>two</div>"),
        ("linenos", "one"),
    ] {
        let found = selected(&table(class, code), "body");
        assert!(found.markdown.contains("```"), "{}", found.markdown);
    }
}

#[test]
fn code_keeps_its_lines_and_its_language() {
    check(
        "<body><div class='highlight-python notranslate'><div class=highlight><table><tr><td class=linenos><pre>1\n2</pre><td class=code><pre>\na\n  b</pre></table></div></div>",
        "a\n  b",
        "```python\na\n  b\n```",
    );
    check(
        "<body><ul><li>x<pre class='brush: js'>a<br>```<br><br>b</pre></ul>",
        "- x\n\na\n```\n\nb",
        "- x\n\n  ````js\n  a\n  ```\n\n  b\n  ````",
    );
    check(
        "<body><p><code>a</code><code>`</code> <code><a href=/x>b</a></code> <code> </code>",
        "a` b",
        "`` a` `` [`b`](https://example.org/x)",
    );
}

#[test]
fn pieces_of_code_side_by_side_have_lines_of_their_own() {
    for (pieces, text) in [
        (
            "<code class='language-js mjs'>import a;</code><code class='language-js cjs'>const b;</code>",
            "import a;\nconst b;",
        ),
        (
            "<code>a\n</code><code>b\n</code><code>\n</code><code>c</code>",
            "a\nb\n\nc",
        ),
        ("<code>a</code>\n<code>b</code>", "a\nb"),
        ("<code>a</code> <code>b</code>", "a b"),
        ("see <code>a</code><code>b</code>", "see ab"),
        ("<code><code>a</code><code>b</code></code>", "ab"),
    ] {
        let found = selected(&format!("<body><pre>{pieces}</pre>"), "body");
        assert_eq!(found.text, text, "{pieces}");
    }
}

#[test]
fn the_numbers_of_lines_are_no_code() {
    for html in [
        // rustdoc
        "<pre class=rust><code><a href=#1 id=1 data-nosnippet>1</a>a\n<a href=#2 id=2 data-nosnippet>2</a>b\n</code></pre>",
        "<pre><a href='#1'>1</a>a\n<a href='#2'>2</a>b\n</pre>",
        // Chroma: with classes, without, and in a table
        "<pre><code><span class=line><span class=ln>1</span><span class=cl>a\n</span></span>\
         <span class=line><span class=ln>2</span><span class=cl>b\n</span></span></code></pre>",
        "<pre><code><span style='display:flex;'><span style='-webkit-user-select:none;user-select:none'>1</span><span>a\n</span></span>\
         <span style='display:flex;'><span style='user-select : none;color:#7f7f7f'>2</span><span>b\n</span></span></code></pre>",
        "<div class=lntable><div class=lntd><pre><code><span class=lnt>1\n</span><span class=lnt>2\n</span></code></pre></div>\
         <div class=lntd><pre><code>a\nb\n</code></pre></div></div>",
        "<pre><span class=crayon-num>1</span>a\n<span class=linenr> 2</span>b</pre>",
    ] {
        check(&format!("<body>{html}"), "a\nb", "```\na\nb\n```");
    }
    for html in [
        // SyntaxHighlighter
        "<table><tr><td class=gutter><div class='line number1'>1</div><div class='line number2'>2</div>\
         <td class=code><div class='line number1'><code>a</code></div><div class='line number2'><code>b</code></div></table>",
        // Crayon
        "<table><tr><td class=crayon-nums><div><div class=crayon-num>1</div><div class=crayon-num>2</div></div>\
         <td><div><code>a</code></div><div><code>b</code></div></table>",
        // gitweb
        "<div class=pre><a id=l1 href='#l1' class=linenr>   1</a> <code>a</code></div>\
         <div class=pre><a id=l2 href='#l2' class=linenr>   2</a> <code>b</code></div>",
        // doxygen
        "<div class=line><a name=l1></a><span class=lineno>    1</span> <code>a</code></div>\
         <div class=line><a name=l2></a><span class=lineno>    2</span> <code>b</code></div>",
    ] {
        check(&format!("<body>{html}"), "a\n\nb", "`a`\n\n`b`");
    }
}

#[test]
fn numbers_that_are_no_lines_are_kept() {
    for (html, text) in [
        (
            "<pre>a <a href='#2'>1</a> <b style='user-select:all'>2</b> <i class=lnx>3</i></pre>",
            "a 1 2 3",
        ),
        ("<pre>a <span class=ln>x1</span></pre>", "a x1"),
        ("<div data-nosnippet><pre>42</pre></div>", "42"),
        (
            "<p>Line <span class=line-number>42</span> and <span class=ln>7</span></p>",
            "Line 42 and 7",
        ),
        ("<div class='gutter row'>150</div>", "150"),
    ] {
        assert_eq!(
            selected(&format!("<body>{html}"), "body").text,
            text,
            "{html}"
        );
    }
}

#[test]
fn the_language_of_code_is_named_without_its_prefix() {
    for (class, language) in [
        ("hljs language-js", "js"),
        ("hljs lang-js", "js"),
        ("hljs js", "js"),
        ("sourceCode language-r", "r"),
        ("src src-sh", "sh"),
        ("hljs language-plaintext", ""),
        ("hljs", ""),
    ] {
        let html = format!("<body><pre><code class='{class}'>a\nb</code></pre>");
        let markdown = format!("```{language}\na\nb\n```");
        assert_eq!(selected(&html, "body").markdown, markdown, "{class}");
    }
}

#[test]
fn what_can_be_done_with_a_heading_is_no_part_of_it() {
    for (html, markdown) in [
        (
            "<h1>Title <b>here</b> <button>Copy path</button></h1>",
            "# Title **here**",
        ),
        (
            "<h2><button>Edit</button>Title<button>Copy</button></h2>",
            "## Title",
        ),
        // What opens the text under it is the heading.
        ("<h2><button>Question?</button></h2>", "## Question?"),
        (
            "<h2><svg><title>plus</title></svg><button>Question?</button> +</h2>",
            "## Question? +",
        ),
        ("<h2>3. <button>Question?</button></h2>", "## 3. Question?"),
        (
            "<h2>FAQ <button aria-expanded=false>Question?</button></h2>",
            "## FAQ Question?",
        ),
        (
            "<h2><button>One</button> <button>Two</button></h2>",
            "## One Two",
        ),
        ("<p>Press <button>Copy</button>", "Press\n\nCopy"),
    ] {
        assert_eq!(
            selected(&format!("<body>{html}"), "body").markdown,
            markdown,
            "{html}"
        );
    }
}

#[test]
fn marks_that_would_not_be_read_are_left_out() {
    check("<body><b>Note:</b>text", "Note:text", "Note:text");
    check(
        "<body><b>a</b><b>b</b> <b>c </b>d",
        "ab c d",
        "**ab** **c** d",
    );
    check(
        "<body>!<a href=/x>y</a>",
        "!y",
        "\\![y](https://example.org/x)",
    );
}

#[test]
fn marks_end_before_a_block_that_is_left_out() {
    check(
        "<body><p><a href=/x>one <select><option>no</select> two</a> <b>a<select></select>b</b>",
        "one\n\ntwo a\n\nb",
        "[one](https://example.org/x)\n\n[two](https://example.org/x) **a**\n\n**b**",
    );
}

#[test]
fn what_reads_as_markdown_is_escaped() {
    for (html, markdown) in [
        ("# a", "\\# a"),
        ("1. a", "1\\. a"),
        (
            "- a<br>---<br>&gt;b<br>+ c",
            "\\- a  \n\\---  \n\\>b  \n\\+ c",
        ),
        ("a_b _c_ (_d_)", "a_b \\_c\\_ (\\_d\\_)"),
        (
            "&amp;amp; &lt;b> a &lt; b AT&amp;T; c:\\d",
            "\\&amp; \\<b> a \\< b AT\\&T; c:\\d",
        ),
        ("a~b~ ~~c~~", "a\\~b\\~ \\~\\~c\\~\\~"),
    ] {
        assert_eq!(
            selected(&format!("<body><p>{html}"), "body").markdown,
            markdown,
            "{html}"
        );
    }
}

#[test]
fn rules_quotes_figures_and_formulas() {
    check("<body><hr>a<hr><hr>b<hr>", "a\n\nb", "a\n\n---\n\nb");
    check(
        "<body>10<sup>6</sup> H<sub>2</sub>O x<sup>th</sup> <q>y</q>",
        "10⁶ H₂O xth “y”",
        "10⁶ H₂O xth “y”",
    );
    check(
        "<body>a <math><mi>x</mi><annotation encoding=application/x-tex>x_1</annotation></math> b",
        "a $x_1$ b",
        "a $x_1$ b",
    );
    check(
        "<body><blockquote>a</blockquote><blockquote>b<ul><li>c</ul></blockquote>",
        "a\n\nb\n\n- c",
        "> a\n\n> b\n>\n> - c",
    );
    check("<body>so\u{ad}ft wo\u{200b}rd", "soft word", "soft word");
}

#[test]
fn a_formula_that_katex_drew_stands_there_once() {
    let drawn = "<span class=katex-html><span>m</span><span>=2</span></span>";
    let source = "<span class=katex-mathml><math alttext='m=2'></math></span>";
    for (formula, text) in [
        (format!("{source}{drawn}"), "$m=2$"),
        (drawn.to_owned(), "m=2"),
    ] {
        let html = format!("<body><p>so <span class=katex>{formula}</span> it is");
        let text = format!("so {text} it is");
        check(&html, &text, &text);
    }
}

#[test]
fn no_markup_comes_out_of_a_formula() {
    for (math, markdown) in [
        (
            "<math alttext='&lt;img src=x onerror=alert(1)&gt;'></math>",
            "$< img src=x onerror=alert(1)>$",
        ),
        (
            "<math><annotation encoding=application/x-tex>&lt;/p>&lt;!-- a&lt;b</annotation></math>",
            "$< /p>< !-- a< b$",
        ),
        (
            "<math alttext='$ ![click](javascript:alert(1)) $'></math>",
            "$$ ![click] (javascript:alert(1)) $$",
        ),
        // Code in the line would end at the formula.
        (
            "<math alttext='`'></math><code>&lt;img src=x></code>",
            "\\``<img src=x>`",
        ),
        (
            "<math alttext='``a'><mi>a</mi></math><code>&lt;b></code>",
            "a`<b>`",
        ),
        (
            "<math alttext='1 &lt; 2 &lt;= 3 [0,1] f(x)'></math>",
            "$1 < 2 <= 3 [0,1] f(x)$",
        ),
        ("<math alttext=' '><mi>a</mi></math>", "a"),
    ] {
        let html = format!("<body><p>{math}");
        assert_eq!(selected(&html, "body").markdown, markdown, "{math}");
    }
}

#[test]
fn formulas_without_a_source_say_what_their_places_mean() {
    for (math, text) in [
        ("<mfrac><mn>1</mn><mn>2</mn></mfrac>", "1/2"),
        ("<mfrac> <mn>1</mn> <mn>2</mn> </mfrac>", "1/2"),
        (
            "<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mi>y</mi>",
            "x^2+y",
        ),
        (
            "<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><msqrt><mn>2</mn></msqrt></mfrac>",
            "(a+b)/√2",
        ),
        ("<msqrt><mi>a</mi><mi>b</mi></msqrt><mi>c</mi>", "√(ab)c"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "x^(1/3)"),
        ("<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>", "x_1^2"),
        (
            "<semantics><mrow><mi>x</mi><mo>=</mo><mn>1</mn></mrow><annotation-xml><ci>x</ci></annotation-xml></semantics>",
            "x=1",
        ),
        ("<mi>x</mi> <mo>=</mo> <mn>1</mn>", "x = 1"),
    ] {
        check(
            &format!("<body>so <math>{math}</math> it is"),
            &format!("so {text} it is"),
            &format!("so {text} it is"),
        );
    }
}

#[test]
fn images_lazy_and_in_pictures() {
    for (html, markdown) in [
        (
            "<img src='data:x' data-src=/a.png alt=a>",
            "![a](https://example.org/a.png)",
        ),
        (
            "<picture><source srcset='/s.webp 1x, /l.webp 2x'><img alt=a></picture>",
            "![a](https://example.org/l.webp)",
        ),
        (
            "<a href=/x><img src=/a.png alt='a [b]'></a>",
            "[![a \\[b\\]](https://example.org/a.png)](https://example.org/x)",
        ),
        ("<img src=/a.png>", "![](https://example.org/a.png)"),
        ("<img src=/a.png alt=''>", ""),
        ("<img src=/a.png width=1 alt=a>", ""),
    ] {
        let result = selected(&format!("<body><p>{html}"), "body");
        assert_eq!(result.markdown, markdown, "{html}");
        assert_eq!(result.text, "", "{html}");
    }
}

#[test]
fn the_image_that_is_shown_later_comes_before_the_one_shown_first() {
    for (attributes, expected) in [
        (
            "src=/wait.gif data-srcset='/s.jpg 800w, /l.jpg 1600w'",
            "/l.jpg",
        ),
        (
            "src=/wait.gif data-lazy-srcset='/s.jpg 1x, /l.jpg 2x'",
            "/l.jpg",
        ),
        ("src=/wait.gif data-cfsrc=/real.png?w=3", "/real.png?w=3"),
        ("src=/a.jpg data-has-src=yes", "/a.jpg"),
        ("src=/a.jpg data-link=/b.jpg", "/a.jpg"),
        (
            "src=/wait.gif data-srcset='/l.jpg 2x' data-src=/real.jpg",
            "/real.jpg",
        ),
        ("src=/a.jpg srcset='/l.jpg 2x'", "/a.jpg"),
    ] {
        let found = selected(&format!("<body><p>a <img {attributes} alt=b>"), "body");
        assert_eq!(
            found.markdown,
            format!("a ![b](https://example.org{expected})"),
            "{attributes}"
        );
    }
    let hidden = "<body><p>a <img src=/a.jpg alt=b style='display: none'>";
    assert_eq!(selected(hidden, "body").markdown, "a");
}

#[test]
fn a_formula_stands_there_once() {
    let math = "<math alttext='m=\\rho V'><mi>m</mi></math>";
    let image = "<img src=m.svg alt='m=\\rho V'";
    for formula in [
        format!("<span>{math}</span>{image} class='mwe-math-fallback-image-inline mw-invert'>"),
        format!("{math}{image} aria-hidden=true>"),
    ] {
        let found = selected(&format!("<body><p>The mass is {formula} here."), "body");
        assert!(!found.markdown.contains("!["), "{}", found.markdown);
        assert!(found.markdown.contains("rho V"), "{}", found.markdown);
    }
    let beside = selected(&format!("<body><p>The mass is {math}{image}>"), "body");
    assert!(beside.markdown.contains("!["), "{}", beside.markdown);
}

#[test]
fn links_lead_where_browsers_follow_them() {
    check(
        "<body><p><a href='///a.example/x'>a</a> <a href='//\t/b.example/x'>b</a><img src='\\\\\\c.example/i' alt=c>",
        "a b",
        "[a](https://a.example/x) [b](https://b.example/x)![c](https://c.example/i)",
    );
    check(
        "<base href='///a.example/x/'><body><p><a href=y>a</a>",
        "a",
        "[a](https://a.example/x/y)",
    );
}

#[test]
fn a_base_moves_links() {
    check(
        "<base href='/docs/'><body><a href=x>a</a>",
        "a",
        "[a](https://example.org/docs/x)",
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
fn what_has_a_nul_in_it_is_read_without() {
    let page = "<html lang=e\0n><title>On Kes\0trels</title><meta name=description content='Bi\0rds'>\
        <script type=application/ld+json>{\"@type\":\"Article\",\"headline\":\"On\\u0000 Kestrels\"}</script>\
        <body><h1>On Kes\0trels</h1><p>They ho\0ver in the <a href='/w\0ind'>wind</a>.</p><p>\0</p><pre>a\0b</pre>";
    let clean = page.replace(['\0'], "").replace("\\u0000", "");
    for selector in [None, Some("body")] {
        let read = |html: &str| {
            let options = TextOptions {
                selector,
                ..TextOptions::default()
            };
            serde_json::to_string(&extract_text(html, &options).unwrap()).unwrap()
        };
        assert_eq!(read(page), read(&clean));
    }
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
            ..TextOptions::default()
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
fn what_stands_behind_an_element_that_ends_itself_is_read_in_xhtml() {
    let html = article().replace("<head>", "<head><script src='/a.js'/>");
    let html = html.replace("<p>Paragraph 3.", "<iframe src='/b'/><p>Paragraph 3.");
    let options = TextOptions {
        syntax: Syntax::Xhtml,
        ..TextOptions::default()
    };
    let result = extract_text(&html, &options).unwrap();
    assert_eq!(result.title.as_deref(), Some("A fine title"));
    for part in ["Paragraph 0.", "Paragraph 7."] {
        assert!(result.text.contains(part), "{part} in {}", result.text);
    }
}

#[test]
fn an_articles_text_is_what_stands_under_its_title() {
    let teaser = "<p><a href=/other>Another story that you may like to read</a></p><p>Paragraph 3.";
    let html = article().replace("<p>Paragraph 3.", teaser);
    let result = best(&html);
    assert_eq!(result.title.as_deref(), Some("A fine title"));
    assert!(result.text.starts_with("Paragraph 0."), "{}", result.text);
    let start = "# A fine title\n\nParagraph 0.";
    assert!(result.markdown.starts_with(start), "{}", result.markdown);
    assert!(!result.text.contains("Another story"), "{}", result.text);
    // A heading that is not the title says more than the field does.
    let other = article().replace("<h1>A fine title", "<h1>What nobody expected");
    assert!(best(&other).text.starts_with("What nobody expected"));
    // An article of links is not emptied.
    let links = "<p><a href=/other>Another story that you may like to read</a></p>".repeat(60);
    let html = article().replace("<p>Paragraph 3.", &format!("{links}<p>Paragraph 3."));
    assert!(best(&html).text.contains("Another story"));
}

#[test]
fn an_articles_text_does_not_repeat_its_title_where_no_space_parts_words() {
    let text =
        "国家统计局今天公布的数据显示，前三季度国内生产总值同比增长，生产需求平稳增长。".repeat(4);
    let page = article()
        .replace("<h1>A fine title", "<h1>国家统计局公布第三季度经济数据")
        .replace(
            "A fine title | Example News",
            "国家统计局公布第三季度经济数据_新华网财经",
        )
        .replace("Paragraph", &text);
    let result = best(&page);
    assert!(!result.text.contains("第三季度经济数据"), "{}", result.text);
    assert!(
        result
            .markdown
            .starts_with("# 国家统计局公布第三季度经济数据\n\n国家")
    );
    assert_eq!(result.metadata.title.unwrap().source, "h1");
}

#[test]
fn markdown_begins_with_the_title_however_far_above_the_text_it_stands() {
    let metas = "<div class=meta>2 May 2024</div>".repeat(9);
    let page = article().replace("</h1>", &format!("</h1>{metas}"));
    let result = best(&page);
    assert_eq!(result.metadata.title.unwrap().source, "h1");
    assert_eq!(result.markdown.matches("A fine title").count(), 1);
    assert!(
        result.markdown.starts_with("# A fine title\n\n"),
        "{}",
        result.markdown
    );
    assert!(!result.text.contains("A fine title"), "{}", result.text);
    // What a selector takes is what was asked for.
    let taken = selected(&page, "div.content").markdown;
    assert!(taken.starts_with("Paragraph 0"), "{taken}");
    // One that the text has already, by another heading.
    let twice = page
        .replace("<h1", "<header class=page-header><h1")
        .replace(
            "<div class=content>",
            "</header><div class=content><h2>A fine title</h2>",
        );
    let twice = best(&twice).markdown;
    assert_eq!(twice.matches("A fine title").count(), 1, "{twice}");
}

#[test]
fn images_right_above_and_below_the_text_are_of_the_article() {
    let page = article()
        .replace("</h1>", "</h1><figure><img src=/lead.jpg alt=lead></figure>\
            <div class=author><img src=/jane.jpg alt=jane>Jane Doe</div><p><img src=/dot.png alt=dot width=40></p>")
        .replace("</div></article>", "<figure><img src=/last.jpg alt=last><figcaption>The last one</figcaption></figure>\
            <a href=/9><img src=/next.jpg alt=next>The next story</a></div><p><img src=/out.jpg alt=out></p></article>");
    let markdown = best(&page).markdown;
    let at = |name: &str| markdown.find(&format!("![{name}]"));
    assert!(
        at("lead") < at("last") && at("lead").is_some(),
        "{markdown}"
    );
    assert!(at("lead") < markdown.find("Paragraph 0"), "{markdown}");
    for name in ["jane", "dot", "next", "out"] {
        assert_eq!(at(name), None, "{name}: {markdown}");
    }
}

#[test]
fn dates_in_numbers_are_read_where_they_are_shown_alone() {
    for (shown, expected) in [
        ("<span>2024-10-18 10:00</span>", Some("2024-10-18")),
        ("<div> <!-- a --> 2024年10月18日 </div>", Some("2024-10-18")),
        ("<div>18.10.2024</div>", Some("2024-10-18")),
        ("<div>5.3.2024</div>", Some("2024-03-05")),
        ("<div>10/18/2024</div>", Some("2024-10-18")),
        ("<div>18/10/2024 10:00</div>", Some("2024-10-18")),
        ("<div>18 октября 2024</div>", Some("2024-10-18")),
        ("<div>10/11/2024</div>", None),
        ("<div>2024-10-18 <b>id</b></div>", None),
        ("<div>1.2.3</div>", None),
    ] {
        let page = article()
            .replace("application/ld+json", "text/plain")
            .replace("</h1>", &format!("</h1>{shown}"));
        let date = best(&page).metadata.date;
        let day = date.as_ref().map(|date| date.value.as_str());
        assert_eq!(day, expected, "{shown}");
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
fn papers_name_all_their_authors_and_their_own_day() {
    let metas: String = [
        ("citation_author", "Vaswani, Ashish"),
        ("citation_author", "Shazeer, Noam"),
        ("citation_author", "Vaswani, Ashish"),
        ("citation_author", "Niki Parmar"),
        ("citation_online_date", "2023/08/02"),
        ("citation_date", "2017/06/12"),
    ]
    .iter()
    .map(|(name, value)| format!("<meta name={name} content='{value}'>"))
    .collect();
    let metadata = best(
        &article()
            .replace("application/ld+json", "text/plain")
            .replace("<head>", &format!("<head>{metas}")),
    )
    .metadata;
    let author = metadata.author.unwrap();
    assert_eq!(author.value, "Ashish Vaswani, Noam Shazeer, Niki Parmar");
    assert_eq!(author.source, "meta");
    assert_eq!(metadata.date.unwrap().value, "2017-06-12");
}

#[test]
fn a_page_built_by_script_falls_back_to_what_it_says_of_itself() {
    let html = "<title>T</title><meta property=og:description content='A summary of *some* words'><body><div id=app></div>";
    let result = extract_text(html, &TextOptions::default()).unwrap();
    assert_eq!(result.text, "A summary of *some* words");
    assert_eq!(result.markdown, "A summary of \\*some\\* words");
}

fn best(html: &str) -> TextResult {
    extract_text(html, &TextOptions::default()).unwrap()
}

#[test]
fn a_set_of_frames_gives_what_it_has_for_those_who_see_none() {
    let html = "<title>T</title><frameset cols=50,*><frame src=a><noframes><body><h2>Contents</h2>\
        <p>All &amp; <a href=/b>more</a></body></noframes></frameset>";
    let result = best(html);
    assert_eq!(result.text, "Contents\n\nAll & more");
    assert_eq!(result.markdown, "## Contents\n\nAll & [more](/b)");
    let other = "<noframes><p>a</noframes>";
    assert_eq!(best(other).text, "");
    assert_eq!(best(&format!("{other}<frameset></frameset>b")).text, "b");
    let nested = "<frameset>".to_owned() + &"<noframes>".repeat(100_000);
    assert_eq!(best(&nested).text, "");
}

#[test]
fn a_page_of_nothing_is_of_no_kind() {
    let kind = |html: &str| best(html).metadata.page_type.map(|kind| kind.value);
    assert_eq!(kind(""), None);
    assert_eq!(kind("<html><body><script>a()</script>"), None);
    assert!(kind("<p>a").is_some());
}

#[test]
fn a_plain_page_is_kept_whole() {
    let page = best(
        "<title>T</title><h1>Small</h1><p>First.</p><p>Second.</p><ul><li>a<li><a href=/b>b</a></ul><p>Third.",
    );
    assert_eq!(
        page.text,
        "Small\n\nFirst.\n\nSecond.\n\n- a\n- b\n\nThird."
    );
    let table =
        best("<table><tr><th>Item<th>Price<tr><td>Pear<td>1.50<tr><td>Plum<td>2.00</table>");
    assert_eq!(table.text, "Item | Price\nPear | 1.50\nPlum | 2.00");
}

#[test]
fn a_page_made_of_shadow_roots_has_its_text() {
    let html = article()
        .replace("<main>", "<x-page><template shadowrootmode=open><main>")
        .replace("</main>", "</main></template></x-page>");
    let text = best(&html).text;
    assert!(
        text.starts_with("Paragraph 0.") && text.contains("Paragraph 7."),
        "{text}"
    );
    let hidden = best(&html.replace("shadowrootmode=open", "")).text;
    assert!(!hidden.contains("Paragraph 0."), "{hidden}");
}

#[test]
fn what_a_page_hides_is_left_out() {
    let html = article().replace(
        "<p>Paragraph 3.",
        "<p style='display: none'>Seen by nobody, whatever it says.</p><div hidden><p>Neither is this.</p></div>\
        <dialog><p>Nor is this, until it is opened.</p></dialog><dialog open><p>Shown at once.</p></dialog><p>Paragraph 3.",
    );
    let html = html.replace(
        "<p>Paragraph 4.",
        "<details open><summary class=hideme>Expand description</summary><p>Paragraph 4.",
    );
    let text = best(&html).text;
    for shown in ["Paragraph 3.", "Paragraph 4."] {
        assert!(text.contains(shown), "{shown}");
    }
    for hidden in [
        "Seen by nobody",
        "Neither is this",
        "Nor is this",
        "Expand description",
    ] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[test]
fn lists_tables_and_code_of_an_article_stay_whole() {
    let html = article().replace(
        "<p>Paragraph 5.",
        "<h2>Steps</h2><ul><li>Take the plan and read it with care<li>Ok<li>Write down what you think of it</ul>
        <pre>x = 1</pre><table><tr><th>Year<th>Members<tr><td>2022<td>12 in all<tr><td>2023<td>14</table><p>Paragraph 5.",
    );
    let text = best(&html).text;
    for part in [
        "Steps\n\n- Take the plan",
        "- Ok\n",
        "x = 1",
        "Year | Members\n2022 | 12 in all\n2023 | 14",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}
