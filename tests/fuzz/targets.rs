//! What must hold for any bytes, one function per parser. A function panics when it does not.
//!
//! Two runners share this file: libFuzzer (`fuzz_targets/`) and the bounded run in `make test`
//! (components/lib/extract/tests/mutations.rs).

use std::net::{IpAddr, SocketAddr};

use trawl_core::address::{AddressPolicy, is_public};
use trawl_core::content_type::{ContentType, Form, accept, sniff};
use trawl_core::cookies::Jar;
use trawl_core::limits;
use trawl_core::redirect::{Purpose, Redirects};
use trawl_core::retry_after::{http_date_ms, retry_after_ms};
use trawl_core::robots::{Found, RobotsState, RobotsVerdict, x_robots_tag};
use trawl_core::state::Kind;
use trawl_core::url_guard::{UrlPolicy, parse_target};
use trawl_extract::charset::{Decided, Hints, decode};
use trawl_extract::dom::Syntax;
use trawl_extract::domains::{registrable, related_domains};
use trawl_extract::html::page;
use trawl_extract::refresh;
use trawl_extract::text::{Mode, TextOptions, extract_text};
use url::{Host, Url};

const FORMS: [Form; 5] = [Form::Html, Form::Xhtml, Form::Xml, Form::Text, Form::Json];

/// The first byte chooses, the rest is the input.
fn choice(data: &[u8]) -> (usize, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}

/// HTML to text: no page is at fault, and what comes out is bounded by what went in.
pub fn text(data: &[u8]) {
    let html = String::from_utf8_lossy(data);
    for (mode, syntax) in [(Mode::Fast, Syntax::Xhtml), (Mode::Best, Syntax::Html)] {
        let options = TextOptions {
            mode,
            syntax,
            url: Some("https://www.example.com/a/page"),
            ..TextOptions::default()
        };
        let result =
            extract_text(&html, &options).expect("without a selector nothing can be wrong");
        assert!(
            result.text.len() <= html.len() * 8 + 1_024,
            "{} bytes of text out of {}",
            result.text.len(),
            html.len()
        );
    }
    let selector = String::from_utf8_lossy(&data[..data.len().min(200)]);
    let options = TextOptions {
        selector: Some(&selector),
        ..TextOptions::default()
    };
    // A selector may be wrong; saying so is all that is asked.
    let _ = extract_text("<main><p class=a id=b>x</p></main>", &options);
}

/// Bytes to text: what is UTF-8 already does not change, and the page tells the truth about itself afterwards.
pub fn charset(data: &[u8]) {
    let (choice, bytes) = choice(data);
    let form = FORMS[choice % FORMS.len()];
    let label = String::from_utf8_lossy(&bytes[..bytes.len().min(12)]);
    let labels = [
        None,
        Some("utf-8"),
        Some("shift_jis"),
        Some("utf-16"),
        Some("iso-2022-jp"),
        Some("gb18030"),
        Some(&*label),
    ];
    let tlds = [None, Some("jp"), Some("ru"), Some(&*label)];
    let hints = Hints {
        http_charset: labels[choice / 5 % labels.len()],
        tld: tlds[choice % tlds.len()],
        form,
    };
    let decoded = decode(bytes, &hints);
    if decoded.encoding == "UTF-8" && !decoded.had_errors {
        assert!(
            bytes.ends_with(decoded.text.as_bytes()),
            "UTF-8 is passed as it is"
        );
    }
    let made = page(bytes, &hints);
    assert_eq!(made.charset, decoded.encoding);
    let again = decode(
        made.html.as_bytes(),
        &Hints {
            http_charset: None,
            ..hints
        },
    );
    if matches!(again.decided, Decided::Meta | Decided::Xml) && !made.html.contains('\0') {
        assert_eq!(
            again.encoding, "UTF-8",
            "the page tells the truth about itself"
        );
    }
}

/// robots.txt and its kin: any text has a verdict, and the file itself is always allowed.
pub fn robots(data: &[u8]) {
    let state = RobotsState::new(Found::Rules, data, "trawl");
    let path = String::from_utf8_lossy(&data[data.len() / 2..]);
    for path in ["/", "/robots.txt", "/a/b?c=*$", &path] {
        let mut url = Url::parse("https://www.example.com/").expect("a constant");
        url.set_path(path);
        let verdict = state.verdict(&url);
        assert_ne!(verdict, RobotsVerdict::Unreachable);
        assert_eq!(verdict, state.verdict(&url));
        assert!(url.path() != "/robots.txt" || verdict == RobotsVerdict::Allowed);
    }
    assert!(
        state
            .crawl_delay_ms()
            .is_none_or(|ms| ms <= limits::robots::CRAWL_DELAY_MS_MAX)
    );
    // An Allow as long as the longest rule can't be beaten, whatever stands before it.
    let all = [
        data,
        b"\nuser-agent: trawl\nallow: ",
        b"*".repeat(data.len().min(8_000) + 1).as_slice(),
        b"\n",
    ]
    .concat();
    if data.len() < 8_000 && !has_escapable(data) {
        let url = Url::parse("https://www.example.com/x").expect("a constant");
        assert_eq!(
            RobotsState::new(Found::Rules, &all, "trawl").verdict(&url),
            RobotsVerdict::Allowed
        );
    }
    let field = String::from_utf8_lossy(data);
    assert!(x_robots_tag([&*field], "trawl").len() <= limits::robots::DIRECTIVES_MAX);
}

/// Bytes that grow when a pattern is normalised, so that a rule is longer than its text.
fn has_escapable(data: &[u8]) -> bool {
    data.iter().any(|b| {
        !b.is_ascii_graphic() && !b.is_ascii_whitespace() || *b == b'$' || *b == b' ' || *b == b'\t'
    })
}

/// Domains: counts fit, samples lead where they say, limits hold.
pub fn domains(data: &[u8]) {
    let html = String::from_utf8_lossy(data);
    let url = Url::parse("https://www.example.co.uk/dir/page").expect("a constant");
    let head: String = html.chars().take(300).collect();
    let headers = ["link", "content-security-policy", "refresh", "location"]
        .map(|name| (name.to_owned(), head.clone()));
    // Both are met, whatever a run begins with.
    let syntax = if data.len().is_multiple_of(2) {
        Syntax::Html
    } else {
        Syntax::Xhtml
    };
    let _ = (
        refresh::in_page(&html, syntax, &url),
        refresh::Refresh::read(&head),
    );
    let result = related_domains(&html, syntax, &url, &[], &headers);
    let hosts: usize = result.domains.iter().map(|domain| domain.hosts.len()).sum();
    assert!(hosts <= limits::domains::HOSTS_MAX);
    for domain in &result.domains {
        assert!(
            domain.count >= domain.hosts.len() as u64
                && !domain.hosts.is_empty()
                && !domain.sources.is_empty()
        );
        let sample = Url::parse(&domain.sample_url).expect("a sample is a URL");
        let host = sample
            .host_str()
            .expect("with a host")
            .trim_end_matches('.');
        assert!(
            domain.hosts.iter().any(|known| known == host),
            "{host} is not one of {:?}",
            domain.hosts
        );
        if let Some(name) = &domain.registrable_private {
            assert!(
                domain
                    .hosts
                    .iter()
                    .all(|host| host.ends_with(name.as_str()))
            );
        }
    }
    serde_json::to_string(&result).expect("it can be written");
    let _ = registrable(&head);
}

/// URLs: what is let through is a public web URL, read the same way a second time.
pub fn url_guard(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    let policy = UrlPolicy::default();
    if let Ok(target) = policy.target(&raw) {
        let url = &target.url;
        assert!(
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
        );
        assert!(url.fragment().is_none() && url.as_str().len() <= limits::fetch::URL_BYTES_MAX);
        assert!(matches!(
            url.port_or_known_default(),
            Some(80 | 443 | 8080 | 8443)
        ));
        match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                assert!(
                    name.is_ascii()
                        && name.contains('.')
                        && !name.ends_with("spin.internal")
                        && name.parse::<IpAddr>().is_err()
                );
            }
            Some(Host::Ipv4(ip)) => assert!(is_public(ip.into())),
            Some(Host::Ipv6(ip)) => assert!(is_public(ip.into())),
            None => panic!("a host is there"),
        }
        assert_eq!(
            parse_target(url.as_str()).map(|again| again.url),
            Ok(url.clone())
        );
    }
    if let Ok(ip) = raw.trim().parse::<IpAddr>() {
        assert_eq!(
            AddressPolicy::default().permits(SocketAddr::new(ip, 80)),
            is_public(ip)
        );
    }
}

/// Redirects, cookies and the other fields of an answer: every hop obeys the policy, chains end.
pub fn redirects(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let policy = UrlPolicy::default();
    let start = Url::parse("https://www.example.com/a/b").expect("a constant");
    let mut redirects = Redirects::new(&policy, Purpose::Scrape, start);
    let mut jar = Jar::new(|name| !name.contains('.'));
    for line in text.lines().take(50) {
        jar.set(redirects.current(), line.as_bytes(), 1_700_000_000_000);
        if let Some(cookies) = jar.header(redirects.current()) {
            assert!(
                cookies.len() <= limits::fetch::COOKIE_HEADER_BYTES_MAX
                    && !cookies.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            );
        }
        let _ = (retry_after_ms(line, 0), http_date_ms(line));
        let _ = ContentType::parse(line);
        if redirects.follow(302, Some(line), jar.revision()).is_err() {
            break;
        }
        assert_eq!(policy.check(redirects.current()), Ok(()));
        assert_eq!(
            redirects.current().scheme(),
            "https",
            "no way down from https"
        );
    }
    assert!(redirects.chain().len() <= limits::fetch::REDIRECTS_SCRAPE_MAX);
    let _ = (
        sniff(data),
        Kind::ALL.map(|kind| accept(kind, Some(&text), data)),
    );
}
