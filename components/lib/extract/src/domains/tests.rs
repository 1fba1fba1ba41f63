use super::*;
use crate::dom::Tag;

fn find(html: &str) -> DomainsResult {
    find_at("https://www.example.com/dir/page", html)
}

fn find_at(url: &str, html: &str) -> DomainsResult {
    related_domains(html, Syntax::Html, &Url::parse(url).unwrap(), &[], &[])
}

fn domain<'r>(result: &'r DomainsResult, domain: &str) -> &'r RelatedDomain {
    result
        .domains
        .iter()
        .find(|d| d.domain == domain)
        .unwrap_or_else(|| panic!("{domain} is missing: {result:#?}"))
}

/// `domain source` of every domain of a page.
fn sources(html: &str) -> Vec<String> {
    find(html)
        .domains
        .iter()
        .map(|d| format!("{} {}", d.domain, d.sources.join("+")))
        .collect()
}

/// A page with one reference, and the domain and source that come of it.
const PLACES: &[(&str, &str)] = &[
    ("<a href=https://e.org/>", "e.org a"),
    ("<svg><a xlink:href=https://e.org/>", "e.org a"),
    ("<area href=//e.org>", "e.org area"),
    ("<link rel=canonical href=https://e.org/>", "e.org link"),
    (
        "<link rel=alternate hreflang=de href=https://e.org/de>",
        "e.org link",
    ),
    (
        "<link rel=preload imagesrcset='https://e.org/a 1x'>",
        "e.org link",
    ),
    ("<script src=https://e.org/x.js></script>", "e.org script"),
    ("<img src=https://e.org/x.png>", "e.org img"),
    (
        "<img srcset='https://e.org/x 1x, https://e.org/y 2x'>",
        "e.org img",
    ),
    ("<img data-src=https://e.org/x>", "e.org img"),
    (
        "<picture><source srcset=https://e.org/x></picture>",
        "e.org source",
    ),
    ("<form action=https://e.org/post>", "e.org form"),
    ("<button formaction=https://e.org/post>", "e.org form"),
    ("<iframe src=https://e.org/></iframe>", "e.org iframe"),
    ("<video poster=https://e.org/p>", "e.org video"),
    ("<object data=https://e.org/o>", "e.org object"),
    ("<q cite=https://e.org/>", "e.org cite"),
    ("<a ping='https://e.org/a https://e.org/b'>", "e.org ping"),
    (
        "<svg><image xlink:href=https://e.org/i /></svg>",
        "e.org svg",
    ),
    (
        "<meta property=og:url content=https://e.org/>",
        "e.org opengraph",
    ),
    (
        "<meta name=twitter:image content=https://e.org/>",
        "e.org opengraph",
    ),
    ("<meta itemprop=image content=https://e.org/>", "e.org meta"),
    (
        "<meta http-equiv=Refresh content='0; url=https://e.org/'>",
        "e.org refresh",
    ),
    (
        "<meta http-equiv=Content-Security-Policy content=\"img-src *.e.org\">",
        "e.org csp",
    ),
    ("<table background=https://e.org/i>", "e.org img"),
    ("<td BACKGROUND=https://e.org/i>", "e.org img"),
    (
        "<p style=\"background:url('https://e.org/i')\">",
        "e.org style",
    ),
    (
        "<p style='background:url(https\\:\\2f/e.org/i)'>",
        "e.org style",
    ),
    (
        "<p style='background:url(&quot;https://e.org/i&quot;)'>",
        "e.org style",
    ),
    (
        "<style>@import 'https://e.org/c.css';</style>",
        "e.org style",
    ),
    (
        "<script type=application/ld+json>{\"sameAs\":[\"https://e.org/u\"]}</script>",
        "e.org same-as",
    ),
    (
        "<script type='application/ld+json'>{\"@context\":\"https://schema.org\",\"logo\":\"https://e.org/l\"}</script>",
        "e.org json-ld",
    ),
    (
        "<script type='application/ld+json; charset=utf-8'>/*<![CDATA[*/{\"logo\":\"https://e.org/l\",}/*]]>*/</script>",
        "e.org json-ld",
    ),
    (
        "<noscript><img src=https://e.org/pixel></noscript>",
        "e.org img",
    ),
    (
        "<noscript><iframe /></noscript><a href=https://e.org/>",
        "e.org a",
    ),
    ("<svg></svg><image src=https://e.org/i>", "e.org img"),
    ("<div href=https://e.org/>", "e.org other"),
    ("<my-card href=https://e.org/>", "e.org other"),
    ("<lite-video data-src=https://e.org/>", "e.org other"),
    ("<amp-img srcset='https://e.org/x 1x'>", "e.org other"),
    ("<a href='https&#58;//e.org/?a=1&amp;b=2'>", "e.org a"),
    ("<a href='\n https://E.ORG:8443/x '>", "e.org a"),
    ("<a href='ht\ntps://e.org/x'>", "e.org a"),
    ("<a href='https:\\\\e.org\\x'>", "e.org a"),
    ("<a href='///e.org/'>", "e.org a"),
    ("<a href=' ////e.org/'>", "e.org a"),
    ("<a href='/\\/e.org/'>", "e.org a"),
    (
        "<style>A{background:image-set('https://e.org/x' 1x)}</style>",
        "e.org style",
    ),
];

#[test]
fn every_place_of_a_reference_is_known() {
    for (html, wanted) in PLACES {
        assert_eq!(sources(html), [*wanted], "{html}");
    }
}

#[test]
fn an_overlong_url_counts_by_its_host() {
    let long = "é&amp;".repeat(4_000);
    let url = Url::parse("https://www.example.com/").unwrap();
    for (front, sample) in [
        ("https://e.org/x?", "https://e.org/"),
        ("//E.org/", "https://e.org/"),
        ("///u:p@e.org:8443/", "https://u:p@e.org:8443/"),
    ] {
        let html = format!("<a href='{front}{long}'>");
        let result = related_domains(&html, Syntax::Html, &url, &[], &[]);
        assert_eq!(domain(&result, "e.org").sample_url, sample);
    }
    for front in ["data:text/html,https://e.org/", "#", "https://", "x:"] {
        let html = format!("<a href='{front}{long}'>");
        let found = related_domains(&html, Syntax::Html, &url, &[], &[]).domains;
        assert!(found.is_empty(), "{front}: {found:?}");
    }
}

#[test]
fn what_is_no_reference_does_not_count() {
    for html in [
        "<a href=mailto:a@e.org>",
        "<a href='javascript:location=\"https://e.org\"'>",
        "<img src=data:image/png;base64,xx>",
        "<a href='#top'>",
        "<a href=tel:+49>",
        "<a href=''>",
        "<a>",
        "<!-- <a href=https://e.org/> -->",
        "https://e.org/",
        "<script>var a = '<a href=https://e.org/>';</script>",
        "<title><a href=https://e.org/></title>",
        "<meta name=description content='see https://e.org/'>",
        "<a href='https://e.org'",
        "<a href='https://[::1'>",
        "<a href=https://256.256.256.256/>",
        "<a href='https://{{host}}/x'>",
        "<a href='https://${h}.example.org/'>",
        "<a href=https://.example.org/>",
        "<a href=https://a..example.org/>",
        "<a href='https://*.example.org/'>",
        "<a href='https://a,b.example.org/'>",
        "<meta http-equiv=Content-Security-Policy content='img-src https://a..e.org/ $x.e.org'>",
        "<script type=application/ld+json>{broken</script>",
        "<meta property=og:title content=x>",
        "<p cite=https://e.org/>",
        "<meta itemprop=availability content=https://schema.org/InStock>",
        "<script type=application/ld+json>{\"availability\":\"http://schema.org/InStock\"}</script>",
    ] {
        let found = find(html).domains;
        assert!(found.is_empty(), "{html}: {found:?}");
    }
}

#[test]
fn what_stands_behind_an_element_that_ends_itself_counts_in_xhtml() {
    let html = "<head><script src='https://s.org/a.js'/><title/></head><body><nav/><a href='https://e.org/'>x</a></body>";
    let url = Url::parse("https://www.example.com/").unwrap();
    let result = related_domains(html, Syntax::Xhtml, &url, &[], &[]);
    assert_eq!(domain(&result, "s.org").regions, ["head"]);
    assert_eq!(domain(&result, "e.org").regions, ["body"]);
}

/// The two readers of a page agree on where elements end.
#[test]
fn the_links_are_those_of_the_tree() {
    const LINK: &str = "<a href=https://e.org/>x</a>";
    for before in [
        "<svg><title/><path/></svg>",
        "<svg><style/><script/><textarea/><iframe/><xmp/></svg>",
        "<svg><title>x</title></svg>",
        "<math><title/></math>",
        "<svg/><title/>",
        "<svg><path></svg><title/>",
        "<svg><g><path/></g><svg/><title/></svg>",
        "<svg><path/><p></p><title/>",
        "<svg><foreignObject><p>x</p></foreignObject><title/></svg>",
        "<svg><![CDATA[><title>]]></svg>",
        "<svg><![CDATA[><a href=https://e.org/>]]></svg><title>",
    ] {
        let html = format!("{before}{LINK}");
        let document = crate::dom::Document::parse(&html, &crate::dom::Limits::default());
        let in_tree = document.elements(Tag::A).count();
        let found = find(&html).domains;
        let in_scan = found
            .iter()
            .map(|domain| domain.count as usize)
            .sum::<usize>();
        assert_eq!(in_scan, in_tree, "{html}");
        let is_swallowed = before.ends_with("<title/>") || before.ends_with("<title>");
        assert_eq!(in_scan, usize::from(!is_swallowed), "{html}");
    }
}

#[test]
fn addresses_and_names_with_underscores_are_hosts() {
    for (url, host) in [
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]"),
        ("https://1.2.3.4/", "1.2.3.4"),
        ("https://_a.-b-.example.org/", "_a.-b-.example.org"),
        ("https://bücher.example./", "xn--bcher-kva.example"),
        ("https://localhost/", "localhost"),
    ] {
        let found = find(&format!("<a href='{url}'>"));
        assert_eq!(found.domains[0].hosts, [host], "{url}");
    }
}

#[test]
fn relations_follow_the_pages_host() {
    let page = "<a href=/x><a href=https://example.com/><a href=https://blog.example.com/><a href=https://e.org/><a href=https://www.a.example.com/>";
    let relations = |url| {
        let mut found: Vec<String> = find_at(url, page)
            .domains
            .iter()
            .map(|d| {
                format!(
                    "{} {} {}",
                    serde_json::to_string(&d.relation)
                        .unwrap()
                        .trim_matches('"'),
                    d.domain,
                    d.hosts.join("+")
                )
            })
            .collect();
        found.sort();
        found
    };
    assert_eq!(
        relations("https://www.example.com/"),
        [
            "external e.org e.org",
            "self example.com example.com+www.example.com",
            "subdomain example.com blog.example.com+www.a.example.com"
        ]
    );
    assert_eq!(
        relations("https://blog.example.com/"),
        [
            "external e.org e.org",
            "self example.com blog.example.com",
            "sibling example.com example.com+www.a.example.com"
        ]
    );
    assert_eq!(
        relations("http://127.0.0.1:8080/"),
        [
            "external e.org e.org",
            "external example.com blog.example.com+example.com+www.a.example.com",
            "self 127.0.0.1 127.0.0.1"
        ]
    );
    let hosted = find_at(
        "https://me.github.io/",
        "<a href=https://you.github.io/><a href=https://github.com/>",
    );
    assert_eq!(domain(&hosted, "you.github.io").relation, Relation::Sibling);
    assert_eq!(
        domain(&hosted, "you.github.io")
            .registrable_icann
            .as_deref(),
        Some("github.io")
    );
    assert_eq!(domain(&hosted, "github.com").relation, Relation::External);
    assert_eq!(hosted.domain.as_deref(), Some("me.github.io"));
}

#[test]
fn a_domain_tells_all_about_its_references() {
    let html = "<head><link rel='Canonical' href=https://shop.bücher.example/a></head><body><nav>\
        <a rel='nofollow noopener' href=https://shop.xn--bcher-kva.example/b>x</a></nav>\
        <footer><a rel=nofollow href=//www.bücher.example/></footer><img src=https://shop.bücher.example/i>";
    let result = find(html);
    let found = domain(&result, "xn--bcher-kva.example");
    assert_eq!(found.domain_unicode, "bücher.example");
    assert_eq!((found.count, found.relation), (4, Relation::External));
    assert_eq!(
        found.hosts,
        ["shop.xn--bcher-kva.example", "www.xn--bcher-kva.example"]
    );
    assert_eq!(found.regions, ["head", "nav", "body", "footer"]);
    assert_eq!(found.sources, ["link", "a", "img"]);
    assert_eq!(found.rel, ["canonical", "nofollow", "noopener"]);
    assert_eq!(found.sample_url, "https://shop.xn--bcher-kva.example/a");
}

#[test]
fn regions_end_where_they_end() {
    let html = "<body><header><nav><a href=//n.org></header><a href=//b.org><main><aside><a href=//s.org></aside><a href=//m.org></main></nav><a href=//x.org>";
    let result = find(html);
    for (name, region) in [
        ("n.org", "nav"),
        ("b.org", "body"),
        ("s.org", "aside"),
        ("m.org", "main"),
        ("x.org", "body"),
    ] {
        assert_eq!(domain(&result, name).regions, [region], "{name}");
    }
}

#[test]
fn the_head_ends_where_what_it_may_have_does() {
    let head = "<title>t</title><base target=x><link href=//l.org><meta name=x><style></style><script src=//s.org></script>\
        <noscript><img src=//p.org></noscript><template><div></div></template><link href=//k.org>";
    for (before, after) in [
        ("<!doctype html><html><head>", "</head><body>"),
        ("<head>", "<body>"),
        ("<html>", ""),
        ("", ""),
    ] {
        let html = format!("{before}{head}{after}<p><a href=//a.org>x</a><link href=//m.org>");
        let result = find(&html);
        for (name, region) in [
            ("l.org", "head"),
            ("s.org", "head"),
            ("p.org", "head"),
            ("k.org", "head"),
            ("a.org", "body"),
            ("m.org", "body"),
        ] {
            assert_eq!(domain(&result, name).regions, [region], "{html}: {name}");
        }
    }
    // What was left open in the head does not keep the body out.
    let open = find("<noscript><link href=//l.org><body><a href=//a.org>");
    assert_eq!(domain(&open, "a.org").regions, ["body"]);
}

#[test]
fn words_have_no_nul() {
    let result = find("<a rel='no\0follow' href='https://a.e\0xample/'>");
    let found = domain(&result, "a.example");
    assert_eq!(found.rel, ["nofollow"]);
}

#[test]
fn base_moves_relative_references_once() {
    let result = find(
        "<base href=https://cdn.org/x/><base href=https://no.org/><a href=y><img src=/z><a href='?q'>",
    );
    assert_eq!(domain(&result, "cdn.org").count, 4);
    assert_eq!(domain(&result, "cdn.org").sources, ["base", "a", "img"]);
    assert_eq!(result.domains.len(), 1);
    let found = find("<base href=///cdn.org/><a href=y>").domains;
    assert_eq!((found[0].domain.as_str(), found[0].count), ("cdn.org", 2));
    assert_eq!(
        find("<base href=javascript:x><a href=y>").domains[0].relation,
        Relation::Own
    );
}

#[test]
fn headers_and_redirects_count() {
    let url = |text| Url::parse(text).unwrap();
    let headers = [
        ("Link", "<https://cdn.org/a.css>; rel=preload"),
        ("CONTENT-SECURITY-POLICY", "script-src https://js.org"),
        ("Refresh", "3; url=https://next.org/"),
        ("Server", "https://no.org"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let chain = [url("https://short.ly/x"), url("https://example.com/")];
    let result = related_domains(
        "",
        Syntax::Html,
        &url("https://www.example.com/"),
        &chain,
        &headers,
    );
    assert_eq!(result.url, "https://short.ly/x");
    let mut found: Vec<String> = result
        .domains
        .iter()
        .map(|d| format!("{} {}", d.domain, d.sources.join("+")))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "cdn.org link-header",
            "example.com redirect",
            "js.org csp",
            "next.org refresh",
            "short.ly redirect"
        ]
    );
    assert!(result.domains.iter().all(|d| d.regions.is_empty()));
    assert_eq!(domain(&result, "cdn.org").rel, ["preload"]);
}

#[test]
fn the_json_is_that_of_the_contract() {
    let result = find("<a href=https://e.org/>");
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "url": "https://www.example.com/dir/page", "final_url": "https://www.example.com/dir/page", "domain": "example.com",
            "domains": [{
                "domain": "e.org", "domain_unicode": "e.org", "relation": "external", "count": 1, "hosts": ["e.org"],
                "sources": ["a"], "regions": ["body"], "rel": [], "sample_url": "https://e.org/",
                "registrable_icann": "e.org", "registrable_private": "e.org",
            }],
            "truncated": false,
        })
    );
}

#[test]
fn order_is_by_relation_then_count() {
    let result = find(
        "<a href=//b.org><a href=//a.org><a href=//c.org><a href=//c.org><a href=//x.example.com><a href=/>",
    );
    let order: Vec<&str> = result.domains.iter().map(|d| d.domain.as_str()).collect();
    assert_eq!(
        order,
        ["example.com", "example.com", "c.org", "a.org", "b.org"]
    );
}

#[test]
fn the_fast_look_agrees_with_the_parser() {
    let base = Url::parse("https://www.example.com/dir/page").unwrap();
    for url in [
        "https://e.org",
        "https://e.org/",
        "HTTPS://E.org/x",
        "//e.org?x",
        "//e.org#x",
        "https://e.org:8080/",
        "https://e.org:/",
        "https://e.org.:80/x",
        "https://user@e.org/",
        "https://e.org:99999/",
        "https://a_b.e.org/",
        "https://-e.org/",
        "https://e..org/",
        "https://.e.org/",
        "https://1.2.3.4/",
        "https://0x7f.1/",
        "https://1.2.3.4.5/",
        "https://e.123/",
        "https://e.0x1/",
        "https://e.org.123",
        "https://xn--bcher-kva.example/",
        "https://xn--a/",
        "https://[::1]/",
        "https:///e.org/",
        "https:e.org",
        "https:/e.org",
        "//",
        "///e.org",
        "////e.org:8443/x",
        "\\\\\\e.org",
        "/x",
        "x",
        "x:y",
        "x/y:z",
        "?a:b",
        "#a:b",
        "./a:b",
        "mailto:a@b.c",
        "1x:y",
        "a b",
        "https://exa mple.org/",
        "https://e.org|x/",
        "https://bücher.example/",
        "https://e%2eorg/",
        "https://e.org\\x",
        "ftp://e.org/",
        "https://e.org%/",
        "https://a/b",
        "https://e.org:x/",
        "https://e.1a/",
        "https://e.a1/",
        "https://e.org:80:80/",
    ] {
        let (fast, slow) = hosts::hosts_by_both_ways(&base, url);
        // A mere fragment leads nowhere new, so it does not count.
        let wanted = if url.starts_with('#') { None } else { slow };
        assert_eq!(fast, wanted, "{url}");
    }
}

/// What this thread has used of a processor, so that a busy machine does not count; where that can't be asked, the time.
fn cpu_ms() -> u64 {
    static STARTED: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    let used_ns = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    used_ns.map_or_else(
        || STARTED.elapsed().as_millis() as u64,
        |used_ns| used_ns / 1_000_000,
    )
}

#[test]
fn hostile_pages_take_bounded_time_and_memory() {
    let many_hosts: String = (0..50_000)
        .map(|i| format!("<a href=//h{i}.org>"))
        .collect();
    let result = find(&many_hosts);
    assert!(result.truncated);
    assert_eq!(result.domains.len(), trawl_core::limits::domains::HOSTS_MAX);
    let size = 2_000_000;
    for hostile in [
        "<".repeat(size),
        "<a ".repeat(size / 3),
        "<a href='".repeat(size / 9),
        "<!--".repeat(size / 4),
        "<!----!".repeat(size / 7),
        "<script>".repeat(size / 8),
        "</script".repeat(size / 8),
        "<nav>".repeat(size / 5),
        format!("<a {}>", "b=c ".repeat(size / 4)),
        format!("<style>{}</style>", "url(".repeat(size / 4)),
        format!("<style>{}</style>", "@import '".repeat(size / 9)),
        format!("<img srcset='{}'>", "(".repeat(size)),
        format!("<img srcset='{}'>", "a, ".repeat(size / 3)),
        format!("<a rel='{}' href=/>", "x ".repeat(size / 2)),
        format!(
            "<img rel='{}' srcset='{}'>",
            "x ".repeat(size / 4),
            "a, ".repeat(size / 6)
        ),
        format!(
            "<a rel='{}' ping='{}'>",
            "x".repeat(size / 2),
            "a ".repeat(size / 4)
        ),
        format!(
            "<base href='/{}'>{}",
            "b".repeat(size / 2),
            "<a href='?'>".repeat(size / 24)
        ),
        format!("<script type=application/ld+json>{}", "[".repeat(size)),
        format!("<style>{}", "url('(".repeat(size / 6)),
        format!("<style>{}", "/*".repeat(size / 2)),
        format!("<style>{}", "image-set('".repeat(size / 11)),
        format!("<style>{}", "@import ".repeat(size / 8)),
        "<svg>".repeat(size / 5),
        "<svg><desc>".repeat(size / 11),
        format!("{}{}", "<svg><desc>".repeat(99), "</x>".repeat(size / 4)),
        format!("<svg>{}", "<![CDATA[".repeat(size / 9)),
        format!("<script type=application/ld+json>{}", ",]".repeat(250_000)),
        format!("<script type=application/ld+json>{}", "//".repeat(250_000)),
        "<a href=a&amp;b>".repeat(size / 16),
    ] {
        let started_ms = cpu_ms();
        let _ = find(&hostile);
        let took_ms = cpu_ms() - started_ms;
        assert!(took_ms < 2_000, "{took_ms} ms for {}…", &hostile[..30]);
    }
}
