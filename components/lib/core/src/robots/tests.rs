use super::*;
use crate::limits::robots::{BODY_BYTES_MAX, CRAWL_DELAY_MS_MAX, LINE_BYTES_MAX};
use std::time::Instant;
use url::Url;

fn allowed(body: impl AsRef<[u8]>, agent: &str, url: &str) -> bool {
    let url = Url::parse(url).unwrap();
    RobotsState::new(Found::Rules, body.as_ref(), agent).verdict(&url) == RobotsVerdict::Allowed
}

/// One text, one agent, and the paths that are allowed and disallowed.
fn check(body: &str, agent: &str, allowed_paths: &[&str], disallowed_paths: &[&str]) {
    for (paths, wanted) in [(allowed_paths, true), (disallowed_paths, false)] {
        for path in paths {
            assert_eq!(
                allowed(body, agent, &format!("http://foo.bar{path}")),
                wanted,
                "{agent} {path}\n{body}"
            );
        }
    }
}

// The facts of the next tests are those of Google's published cases (google/robotstxt, robots_test.cc), all of them, with two
// exceptions: we do not read `Sitemap` lines, so that nothing but their doing no harm is tested; and what a URL says is
// compared as RFC 9309 (2.2.2) has it, see `escapes_are_compared_in_one_form`.

#[test]
fn lines_and_groups() {
    check("", "FooBot", &["/", "/x"], &[]);
    check("user-agent: FooBot\ndisallow: /\n", "", &["/"], &[]);
    check(
        "user-agent: FooBot\ndisallow: /\n",
        "FooBot",
        &[],
        &["/", "/x/y"],
    );
    check("foo: FooBot\nbar: /\n", "FooBot", &["/x/y"], &[]);
    check("user-agent FooBot\ndisallow /\n", "FooBot", &[], &["/x/y"]);
    let groups = "allow: /foo/bar/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\nuser-agent: BarBot\ndisallow: /\n\
                  allow: /y/\n\n\nallow: /w/\nuser-agent: BazBot\n\nuser-agent: FooBot\nallow: /z/\ndisallow: /\n";
    check(groups, "FooBot", &["/x/b", "/z/d"], &["/y/c", "/foo/bar/"]);
    check(groups, "BarBot", &["/y/c", "/w/a"], &["/z/d", "/foo/bar/"]);
    check(groups, "BazBot", &["/z/d"], &["/foo/bar/"]);
}

#[test]
fn what_is_empty_is_the_root_or_says_nothing() {
    let verdict = |body: &str, agent: &str, path: &str| {
        Rules::parse(body.as_bytes(), agent).verdict_of_path(path.as_bytes()) == Verdict::Allowed
    };
    let closed = "user-agent: FooBot\ndisallow: /\n";
    for (body, agent, wanted) in [
        ("", "FooBot", true),
        (closed, "", true),
        (closed, "FooBot", false),
        ("", "", true),
    ] {
        assert_eq!(verdict(body, agent, ""), wanted, "{body:?} {agent:?}");
    }
}

#[test]
fn a_url_is_its_path_and_query() {
    for (url, path) in [
        ("http://www.example.com", "/"),
        ("http://www.example.com/", "/"),
        ("http://www.example.com/a", "/a"),
        ("http://www.example.com/a/", "/a/"),
        (
            "http://www.example.com/a/b?c=http://d.e/",
            "/a/b?c=http://d.e/",
        ),
        (
            "http://www.example.com/a/b?c=d&e=f#fragment",
            "/a/b?c=d&e=f",
        ),
        ("http://example.com?a", "/?a"),
        ("http://example.com/a;b#c", "/a;b"),
        ("http://example.com//a/b/c", "//a/b/c"),
    ] {
        let only = format!("user-agent: FooBot\nallow: {path}$\ndisallow: /\n");
        assert!(allowed(only, "FooBot", url), "{url}");
    }
}

#[test]
fn patterns_are_escaped_as_urls_are() {
    for (text, wanted) in [
        ("http://www.example.com", "http%3A//www.example.com"),
        ("/a/b/c", "/a/b/c"),
        ("á", "%C3%A1"),
        ("%aa", "%AA"),
        ("/?#&=+%~-._", "/?#&=+%~-._"),
        ("%2f%3F%26", "%2F%3F%26"),
        ("\"<>[]\\^`{|}", "%22%3C%3E%5B%5D%5C%5E%60%7B%7C%7D"),
        ("':@!(),;", "%27%3A%40%21%28%29%2C%3B"),
    ] {
        assert_eq!(pattern::normalised(text.as_bytes()), wanted.as_bytes());
    }
}

#[test]
fn a_rule_forbids_what_it_names_whichever_of_both_is_escaped() {
    let both = |rule: &str, path: &str| {
        let body = format!("user-agent: *\ndisallow: {rule}\n");
        let url = format!("https://example.org{path}");
        !allowed(&body, "FooBot", &url)
    };
    for (rule, path) in [
        ("/a{b", "/a{b"),
        ("/*{{", "/x{{y}}"),
        ("/a\"b", "/a\"b"),
        ("/a<b>", "/a%3Cb%3e"),
        ("/a`b", "/a`b"),
        ("/a?q='", "/a?q=%27x"),
        ("/a?q=%27", "/a?q='x"),
        ("/a%5Bb", "/a[b"),
        ("/a[b", "/a%5bb"),
        ("/a%7Cb", "/a|b"),
        ("/a?q=%7B", "/a?q={x"),
        ("/a%2Cb%3A", "/a,b:c"),
        ("/a%28b%29$", "/a(b)"),
        ("/%40a%21", "/@a!"),
    ] {
        assert!(both(rule, path), "{rule} does not forbid {path}");
    }
    for (rule, path) in [
        ("/a%2Fb", "/a/b"),
        ("/a%3Fb", "/a?b"),
        ("/a?b%26c", "/a?b&c"),
        ("/a?b%3Dc", "/a?b=c"),
        ("/a%2Bb", "/a+b"),
        ("/a[b", "/a]b"),
    ] {
        assert!(!both(rule, path), "{rule} forbids {path}");
    }
    // An escape counts no more than what it stands for.
    check(
        "user-agent: *\nallow: /page\ndisallow: /*:x\n",
        "FooBot",
        &["/page:x"],
        &["/pag:x"],
    );
    check(
        "user-agent: *\nallow: /a\ndisallow: /%3A\nallow: /:\n",
        "FooBot",
        &["/:"],
        &[],
    );
}

#[test]
fn names_ignore_case_and_end_at_the_first_odd_letter() {
    for (agent, allow, disallow) in [
        ("USER-AGENT", "ALLOW", "DISALLOW"),
        ("user-agent", "allow", "disallow"),
        ("uSeR-aGeNt", "AlLoW", "dIsAlLoW"),
    ] {
        let body = format!("{agent}: FooBot\n{allow}: /x/\n{disallow}: /\n");
        check(&body, "FooBot", &["/x/y"], &["/a/b"]);
    }
    for name in ["FOO BAR", "foo bar", "FoO bAr", "foo/1.2", "Foo"] {
        for agent in ["Foo", "foo"] {
            check(
                &format!("User-Agent: {name}\nAllow: /x/\nDisallow: /\n"),
                agent,
                &["/x/y"],
                &["/a/b"],
            );
        }
    }
    let spaced = "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n";
    check(spaced, "Foo", &["/x/y"], &[]);
    check(spaced, "Foo Bar", &[], &["/x/y"]);
}

#[test]
fn the_group_for_all_counts_when_none_names_us() {
    let global = "user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n";
    check(global, "FooBot", &[], &["/x/y"]);
    check(global, "BarBot", &["/x/y"], &[]);
    let specific = "user-agent: FooBot\nallow: /\nuser-agent: BarBot\ndisallow: /\nuser-agent: BazBot\ndisallow: /\n";
    check(specific, "QuxBot", &["/x/y"], &[]);
    let both = "User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n";
    check(both, "FooBot", &["/x/page"], &["/y/page"]);
    check(
        "User-agent: *\nDisallow: /\nUser-agent: FooBot\n",
        "FooBot",
        &["/x"],
        &[],
    );
    check(
        "User-agent: * and a remark\nDisallow: /\n",
        "FooBot",
        &[],
        &["/x"],
    );
}

#[test]
fn the_longest_match_wins_and_allow_wins_ties() {
    let of = |rules: &str| format!("user-agent: FooBot\n{rules}");
    check(&of("disallow: /x/\n"), "FooBot", &["/X/y"], &["/x/y"]);
    check(&of("disallow: /X/\n"), "FooBot", &["/x/y"], &["/X/y"]);
    check(
        &of("disallow: /x/page.html\nallow: /x/\n"),
        "FooBot",
        &["/x/"],
        &["/x/page.html"],
    );
    check(
        &of("allow: /x/page.html\ndisallow: /x/\n"),
        "FooBot",
        &["/x/page.html"],
        &["/x/"],
    );
    check(
        &of("disallow: \nallow: \n"),
        "FooBot",
        &["/x/page.html"],
        &[],
    );
    check(
        &of("disallow: /\nallow: /\n"),
        "FooBot",
        &["/x/page.html"],
        &[],
    );
    check(
        &of("disallow: /x\nallow: /x/\n"),
        "FooBot",
        &["/x/"],
        &["/x"],
    );
    check(
        &of("disallow: /x/page.html\nallow: /x/page.html\n"),
        "FooBot",
        &["/x/page.html"],
        &[],
    );
    check(
        &of("allow: /page\ndisallow: /*.html\n"),
        "FooBot",
        &["/page"],
        &["/page.html"],
    );
    check(
        &of("allow: /x/page.\ndisallow: /*.html\n"),
        "FooBot",
        &["/x/page.html"],
        &["/x/y.html"],
    );
    check(
        &of("allow: /p\ndisallow: /\n"),
        "FooBot",
        &["/page"],
        &["/"],
    );
    check(
        &of("allow: /folder\ndisallow: /folder\n"),
        "FooBot",
        &["/folder/page"],
        &[],
    );
    check(
        &of("allow: /page\ndisallow: /*.htm\n"),
        "FooBot",
        &[],
        &["/page.htm"],
    );
    check(
        &of("allow: /$\ndisallow: /\n"),
        "FooBot",
        &["/"],
        &["/page.html"],
    );
}

#[test]
fn escapes_are_compared_in_one_form() {
    let of = |allow: &str| format!("User-agent: FooBot\nDisallow: /\nAllow: {allow}\n");
    let query = "/foo/bar?qux=taz&baz=http://foo.bar?tar&par";
    check(&of(query), "FooBot", &[query], &["/foo/bar?qux"]);
    // Google's cases leave it to the caller to escape the URL, and find no match where he did not; ours is always escaped.
    for rule in ["/foo/bar/ツ", "/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84"] {
        check(
            &of(rule),
            "FooBot",
            &["/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", "/foo/bar/ツ"],
            &["/foo/bar/"],
        );
    }
    // Here RFC 9309 (2.2.2) and Google's older case differ; the RFC says that both spellings are the same.
    check(
        &of("/foo/bar/%62%61%7A"),
        "FooBot",
        &["/foo/bar/baz", "/foo/bar/%62%61%7A"],
        &[],
    );
    check(&of("/foo/bar/baz"), "FooBot", &["/foo/bar/%62%61%7A"], &[]);
    // A reserved character and its escape stay two things.
    check(&of("/a%2Fb"), "FooBot", &["/a%2fb"], &["/a/b"]);
    // RFC 9309 (2.2.3): specials as themselves.
    check(
        &of("/file-%2A.html"),
        "FooBot",
        &["/file-*.html"],
        &["/file-a.html"],
    );
    check(&of("/foo-%24"), "FooBot", &["/foo-$"], &["/foo-"]);
    check(&of("/a$b"), "FooBot", &["/a$b", "/a%24b"], &["/a"]);
    check(&of("/100%"), "FooBot", &["/100%"], &["/100"]);
}

#[test]
fn stars_ends_and_comments() {
    let of = |rules: &str| format!("User-agent: FooBot\n{rules}");
    check(
        &of("Disallow: /foo/bar/quz\nAllow: /foo/*/qux\n"),
        "FooBot",
        &["/foo/quz", "/foo//quz", "/foo/bax/quz"],
        &["/foo/bar/quz"],
    );
    check(
        &of("Disallow: /foo/bar$\nAllow: /foo/bar/qux\n"),
        "FooBot",
        &["/foo/bar/qux", "/foo/bar/", "/foo/bar/baz"],
        &["/foo/bar"],
    );
    check(
        &of("# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n"),
        "FooBot",
        &["/foo/bar"],
        &["/foo/quz"],
    );
    check(
        "User-Agent: *\nAllow: /allowed-slash/index.html\nDisallow: /\n",
        "foobot",
        &["/allowed-slash/", "/allowed-slash/index.html"],
        &["/allowed-slash/index.htm", "/anyother-url"],
    );
}

#[test]
fn the_documented_path_examples() {
    let of = |allow: &str| format!("user-agent: FooBot\ndisallow: /\nallow: {allow}\n");
    let fish = [
        "/fish",
        "/fish.html",
        "/fish/salmon.html",
        "/fishheads",
        "/fishheads/yummy.html",
        "/fish.html?id=anything",
    ];
    for rule in ["/fish", "/fish*"] {
        check(
            &of(rule),
            "FooBot",
            &fish,
            &["/bar", "/Fish.asp", "/catfish", "/?id=fish"],
        );
    }
    check(
        &of("/fish/"),
        "FooBot",
        &[
            "/fish/",
            "/fish/salmon",
            "/fish/?salmon",
            "/fish/salmon.html",
            "/fish/?id=anything",
        ],
        &["/bar", "/fish", "/fish.html", "/Fish/Salmon.html"],
    );
    check(
        &of("/*.php"),
        "FooBot",
        &[
            "/filename.php",
            "/folder/filename.php",
            "/folder/filename.php?parameters",
            "//folder/any.php.file.html",
            "/filename.php/",
            "/index?f=filename.php/",
        ],
        &["/bar", "/php/", "/index?php", "/windows.PHP"],
    );
    check(
        &of("/*.php$"),
        "FooBot",
        &["/filename.php", "/folder/filename.php"],
        &[
            "/bar",
            "/filename.php?parameters",
            "/filename.php/",
            "/filename.php5",
            "/php/",
            "/filename?php",
            "/aaaphpaaa",
            "//windows.PHP",
        ],
    );
    check(
        &of("/fish*.php"),
        "FooBot",
        &["/fish.php", "/fishheads/catfish.php?parameters"],
        &["/bar", "/Fish.PHP"],
    );
}

#[test]
fn lines_are_cut_where_googles_parser_cuts_them() {
    let body = |key: &str, rule: &str| format!("user-agent: FooBot\n{key}: {rule}/qux\n");
    let rule = |key: &str, letter: &str| {
        let kept = LINE_BYTES_MAX - 1 - key.len() - 2;
        format!("/x/{}", letter.repeat(kept - 3))
    };
    let long = rule("disallow", "a");
    check(
        &body("disallow", &long),
        "FooBot",
        &["/fux"],
        &[&format!("{long}/fux"), &long],
    );
    let long = rule("allow", "b");
    let both = format!("{}disallow: /\n", body("allow", &long));
    check(
        &both,
        "FooBot",
        &[&format!("{long}/qux"), &format!("{long}/fux")],
        &["/"],
    );
}

#[test]
fn line_ends_and_marks() {
    for end in ["\n", "\r\n", "\r"] {
        let body = [
            "User-Agent: foo",
            "Allow: /some/path",
            "User-Agent: bar",
            "",
            "",
            "Disallow: /",
        ]
        .join(end);
        for body in [body.clone(), format!("{body}{end}")] {
            check(&body, "foo", &["/x"], &[]);
            check(&body, "bar", &[], &["/x"]);
        }
    }
    let mixed = "User-Agent: foo\nAllow: /some/path\r\nUser-Agent: bar\n\r\n\nDisallow: /";
    check(mixed, "foo", &["/x"], &[]);
    check(mixed, "bar", &[], &["/x"]);
    let rest = b"User-Agent: foo\nDisallow: /a\n";
    for (mark, counts) in [
        (&b"\xEF\xBB\xBF"[..], true),
        (b"\xEF\xBB", true),
        (b"\xEF", true),
        (b"\xEF\x11\xBF", false),
    ] {
        let body = [mark, rest].concat();
        assert_eq!(
            !allowed(&body, "foo", "http://foo.bar/a"),
            counts,
            "{mark:?}"
        );
    }
    assert!(
        allowed(
            b"User-Agent: foo\n\xEF\xBB\xBFDisallow: /\n",
            "foo",
            "http://foo.bar/a"
        ),
        "no mark in the middle"
    );
}

#[test]
fn other_records_do_not_part_a_group() {
    let body = "User-agent: a\nSitemap: https://x.example/s.xml\nUser-agent: b\nCrawl-delay: 3\nUser-agent: c\nDisallow: /\n";
    for agent in ["a", "b", "c"] {
        check(body, agent, &[], &["/x"]);
    }
    let groups = "User-Agent: foo\nAllow: /some/path\nUser-Agent: bar\n\n\n";
    let sitemap = "Sitemap: http://foo.bar/sitemap.xml\n";
    for body in [format!("{groups}{sitemap}"), format!("{sitemap}{groups}")] {
        check(&body, "foo", &["/some/path", "/sitemap.xml", "/x"], &[]);
        check(&body, "bar", &["/some/path", "/sitemap.xml", "/x"], &[]);
    }
}

// Ours.

#[test]
fn misspelt_keys_are_understood() {
    for key in [
        "disallow",
        "dissallow",
        "dissalow",
        "disalow",
        "diasllow",
        "disallaw",
        " Disallow ",
    ] {
        check(
            &format!("useragent: FooBot\n{key}: /x\n"),
            "FooBot",
            &["/y"],
            &["/x"],
        );
        check(
            &format!("User agent: FooBot\n{key}: /x\n"),
            "FooBot",
            &["/y"],
            &["/x"],
        );
    }
    check(
        "user-agent: FooBot\ndisallow /a /b\n",
        "FooBot",
        &["/a"],
        &[],
    );
}

#[test]
fn the_file_itself_is_always_allowed() {
    check(
        "user-agent: *\ndisallow: /\n",
        "FooBot",
        &["/robots.txt", "/robots.txt?x"],
        &["/robots.txt/x"],
    );
    let url = Url::parse("http://foo.bar/robots.txt").unwrap();
    assert_eq!(
        RobotsState::Unreachable.verdict(&url),
        RobotsVerdict::Allowed
    );
}

#[test]
fn a_text_is_cut_at_its_last_whole_line() {
    let mut body = b"user-agent: FooBot\n".to_vec();
    body.resize(BODY_BYTES_MAX - 12, b'\n');
    body.extend(b"disallow: /a");
    assert!(
        !allowed(&body, "FooBot", "http://foo.bar/abc"),
        "exactly the limit"
    );
    body.extend(b"bc\n");
    assert!(
        allowed(&body, "FooBot", "http://foo.bar/abc"),
        "half a rule does not count"
    );
    assert!(
        allowed(vec![b'a'; BODY_BYTES_MAX + 1], "FooBot", "http://foo.bar/"),
        "no line at all"
    );
}

#[test]
fn crawl_delays_follow_their_group_and_are_capped() {
    let delay =
        |body: &str| RobotsState::new(Found::Rules, body.as_bytes(), "FooBot").crawl_delay_ms();
    for (body, wanted) in [
        ("user-agent: FooBot\ncrawl-delay: 10\n", Some(10_000)),
        ("user-agent: *\nCrawl-Delay: 0.5\n", Some(500)),
        (
            "user-agent: *\ncrawl-delay: 5\nuser-agent: FooBot\ndisallow: /x\n",
            None,
        ),
        (
            "user-agent: BarBot\ncrawl-delay: 5\nuser-agent: FooBot\ncrawl-delay: 2\ndisallow: /x\n",
            Some(2_000),
        ),
        (
            "user-agent: FooBot\ncrawl-delay: 2\n\nuser-agent: FooBot\ncrawl-delay: 7\n",
            Some(7_000),
        ),
        (
            "user-agent: FooBot\ncrawl-delay: 86400\n",
            Some(CRAWL_DELAY_MS_MAX),
        ),
        (
            "user-agent: FooBot\ncrawl-delay: 99999999999999999999999999999\n",
            Some(CRAWL_DELAY_MS_MAX),
        ),
        ("user-agent: FooBot\ncrawl-delay: 0\n", Some(0)),
        ("user-agent: FooBot\ncrawl-delay: -1\n", None),
        ("user-agent: FooBot\ncrawl-delay: NaN\n", None),
        ("user-agent: FooBot\ncrawl-delay: 1e9\n", None),
        ("user-agent: FooBot\ncrawl-delay:\n", None),
        ("crawl-delay: 4\n", None),
    ] {
        assert_eq!(delay(body), wanted, "{body}");
    }
}

#[test]
fn statuses_mean_what_the_rfc_says() {
    for (status, found) in [
        (200, Found::Rules),
        (204, Found::Rules),
        (301, Found::Unreachable),
        (304, Found::Unreachable),
        (400, Found::AllowAll),
        (401, Found::AllowAll),
        (403, Found::AllowAll),
        (404, Found::AllowAll),
        (410, Found::AllowAll),
        (429, Found::Unreachable),
        (500, Found::Unreachable),
        (503, Found::Unreachable),
    ] {
        assert_eq!(Found::from_status(status), found, "{status}");
        assert_eq!(Found::parse(found.as_str()), Some(found));
    }
    let url = Url::parse("http://foo.bar/x").unwrap();
    assert_eq!(
        RobotsState::new(Found::AllowAll, b"user-agent: *\ndisallow: /", "a").verdict(&url),
        RobotsVerdict::Allowed
    );
    assert_eq!(
        RobotsState::new(Found::Unreachable, b"", "a").verdict(&url),
        RobotsVerdict::Unreachable
    );
}

#[test]
fn copies_age_by_the_given_clock() {
    const HOUR_MS: i64 = 3_600_000;
    let rules = RobotsState::new(Found::Rules, b"user-agent: *\ndisallow: /x", "a");
    assert_eq!(
        while_unreachable(Some(rules.clone()), 0, 29 * 24 * HOUR_MS),
        rules
    );
    assert_eq!(
        while_unreachable(None, 0, 29 * 24 * HOUR_MS),
        RobotsState::Unreachable
    );
    assert_eq!(
        while_unreachable(Some(rules), 0, 30 * 24 * HOUR_MS),
        RobotsState::AllowAll
    );
    assert_eq!(
        while_unreachable(Some(RobotsState::AllowAll), 0, HOUR_MS),
        RobotsState::Unreachable,
        "that there was none is no copy of one"
    );
}

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

/// A verdict natively takes well under 100 ms; the bound is for slower machines and for tests that are not optimised.
const VERDICT_SECONDS_MAX: f64 = if cfg!(debug_assertions) { 3.0 } else { 0.25 };

#[test]
fn hostile_patterns_take_little_time() {
    // Each of these is exponential or at least quadratic for a matcher that backtracks.
    let letters = "a".repeat(7_900);
    let stars = format!("disallow: /{}b\n", "*a".repeat(4_000)).repeat(50);
    let nearly = format!("disallow: /*{}b\n", "a".repeat(7_000)).repeat(70);
    // These take a long path as often as they have lines: nobody needs so many, and whoever writes them is refused.
    let many = "disallow: *a*b\n".repeat(30_000);
    let short = "allow:*abb\n".repeat(46_000);
    let pairs = "ab".repeat(3_900);
    for (rules, path, wanted) in [
        (&stars, &letters, RobotsVerdict::Allowed),
        (&nearly, &letters, RobotsVerdict::Allowed),
        (&many, &letters, RobotsVerdict::Disallowed),
        (&short, &pairs, RobotsVerdict::Disallowed),
    ] {
        let url = Url::parse(&format!("http://foo.bar/{path}")).unwrap();
        let body = format!("user-agent: *\n{rules}");
        let state = RobotsState::new(Found::Rules, body.as_bytes(), "a");
        let since = Instant::now();
        let before = seconds(since);
        let verdict = state.verdict(&url);
        let took = seconds(since) - before;
        assert!(
            took < VERDICT_SECONDS_MAX,
            "{took} s for {:?}…",
            &body[..40]
        );
        assert_eq!(verdict, wanted, "{:?}…", &body[..40]);
    }
}

/// More stars than real files have, with a path of a usual length and with one as long as there are.
#[test]
fn many_rules_with_stars_are_all_tried() {
    let rules = "disallow: /*abb\n".repeat(2_000);
    let body = format!("user-agent: *\n{rules}disallow: /*x$\n");
    for length in [100, 3_900] {
        let path = "ab".repeat(length);
        for (end, wanted) in [("x", false), ("y", true)] {
            let url = format!("http://foo.bar/{path}{end}");
            assert_eq!(allowed(&body, "a", &url), wanted, "{length} {end}");
        }
    }
}

/// What is remembered of many hosts must not depend on how they write: a text of stars took 14 times its size.
#[test]
fn rules_take_little_more_memory_than_their_text() {
    let stars = format!("disallow: /q{}\n", "a*".repeat(8_000)).repeat(30);
    let long = format!("disallow: /{}\n", "a".repeat(16_000)).repeat(30);
    let short = "allow:/\n".repeat(60_000);
    for (rules, times) in [(stars, 2), (long, 2), (short, 7)] {
        let body = format!("user-agent: *\n{rules}");
        let parsed = Rules::parse(body.as_bytes(), "a");
        assert!(parsed.len() >= 30);
        let bytes = parsed.bytes();
        assert!(bytes <= times * body.len(), "{bytes} for {}", body.len());
    }
}

#[test]
fn robots_tags_are_collected_for_us_alone() {
    let tags = |fields: &[&str]| x_robots_tag(fields.iter().copied(), "trawl");
    for (fields, wanted) in [
        (&["noindex, nofollow"][..], &["noindex", "nofollow"][..]),
        (&["NOINDEX", "noindex,  none ,"], &["noindex", "none"]),
        (&["googlebot: noindex, nofollow"], &[]),
        (
            &["otherbot: noindex", "trawl: noarchive, nosnippet"],
            &["noarchive", "nosnippet"],
        ),
        (
            &["max-snippet:50, max-image-preview: large"],
            &["max-snippet:50", "max-image-preview: large"],
        ),
        (
            &["unavailable_after: Sun, 06 Nov 1994 08:49:37 GMT, noindex"],
            &[
                "unavailable_after: sun, 06 nov 1994 08:49:37 gmt",
                "noindex",
            ],
        ),
        (
            &["unavailable_after: 2026-01-01, noindex"],
            &["unavailable_after: 2026-01-01", "noindex"],
        ),
        (&["", ",", ":"], &[]),
    ] {
        assert_eq!(tags(fields), wanted, "{fields:?}");
    }
    let many: Vec<String> = (0..100).map(|i| format!("d{i}")).collect();
    assert_eq!(tags(&[&many.join(",")]).len(), 32);
}
