use std::borrow::Cow;

use super::*;
use crate::fetch_policy::FetchCode;

fn code(raw: &str) -> Cow<'static, str> {
    match UrlPolicy::default().target(raw) {
        Ok(_) => Cow::Borrowed("ok"),
        Err(error) => FetchCode::from(error).code(),
    }
}

fn with(networks: &[&str]) -> UrlPolicy {
    UrlPolicy {
        allow_private: networks.iter().map(|n| n.parse().unwrap()).collect(),
        ..UrlPolicy::default()
    }
}

#[test]
fn a_url_is_read_as_a_browser_would() {
    for (raw, read) in [
        ("example.org", "https://example.org/"),
        ("example.org/a?b=c:d", "https://example.org/a?b=c:d"),
        ("example.org:8080/x", "https://example.org:8080/x"),
        ("example.org:8443", "https://example.org:8443/"),
        ("example.org:443?x", "https://example.org/?x"),
        ("//example.org/x", "https://example.org/x"),
        ("\\\\example.org\\x", "https://example.org/x"),
        ("  https://example.org/a b \n", "https://example.org/a%20b"),
        ("ht\ntp://exa\tmple.org/", "http://example.org/"),
        ("HTTPS://EXAMPLE.org/Path#frag", "https://example.org/Path"),
        ("http:example.org", "http://example.org/"),
        ("https:\\\\example.org\\a", "https://example.org/a"),
        (
            "https://bücher.example/ü",
            "https://xn--bcher-kva.example/%C3%BC",
        ),
        ("https://ｅｘａｍｐｌｅ.org/", "https://example.org/"),
        ("http://example.org:80/", "http://example.org/"),
        ("example.org/user@host", "https://example.org/user@host"),
        ("https://example.org./a.", "https://example.org/a."),
        ("example.org.:8443", "https://example.org:8443/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
    ] {
        let target = UrlPolicy::default().target(raw);
        assert_eq!(
            target.map(|t| t.url.to_string()),
            Ok(read.to_owned()),
            "{raw}"
        );
    }
}

#[test]
fn what_is_no_web_url_is_refused_with_its_code() {
    for (raw, wanted) in [
        ("", "invalid_url"),
        ("   \n", "invalid_url"),
        ("https://", "invalid_url"),
        ("/page", "invalid_url"),
        ("\\example.org", "invalid_url"),
        ("http://.", "invalid_url"),
        ("http://a..b/", "invalid_url"),
        ("http://example.org../", "invalid_url"),
        ("http://exa mple.org/", "invalid_url"),
        ("http://example.org:99999/", "invalid_url"),
        ("http://[::1", "invalid_url"),
        ("http://256.256.256.256/", "invalid_url"),
        ("http://a.0x7f/", "invalid_url"),
        ("ftp://example.org/", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("javascript:alert(1)", "scheme_not_allowed"),
        ("data:text/html,x", "scheme_not_allowed"),
        ("gopher://127.0.0.1:6379/_x", "scheme_not_allowed"),
        ("ws://example.org/", "scheme_not_allowed"),
        ("mailto:a@example.org", "scheme_not_allowed"),
        ("https://user:secret@example.org/", "userinfo_not_allowed"),
        ("https://user@example.org/", "userinfo_not_allowed"),
        ("https://:p@example.org/", "userinfo_not_allowed"),
        ("user@example.org", "userinfo_not_allowed"),
        ("https://example.org:22/", "port_not_allowed"),
        ("https://example.org:0/", "port_not_allowed"),
        ("example.org:6379", "port_not_allowed"),
    ] {
        assert_eq!(code(raw), wanted, "{raw}");
    }
}

#[test]
fn lengths_are_bounded() {
    let longest = format!("https://example.org/{}", "a".repeat(URL_BYTES_MAX - 20));
    assert_eq!(code(&longest), "ok");
    assert_eq!(code(&format!("{longest}a")), "url_too_long");
    let grows = format!("https://example.org/{}", "ü".repeat(URL_BYTES_MAX / 3));
    assert_eq!(code(&grows), "url_too_long");
    let label = "a".repeat(LABEL_BYTES_MAX);
    assert_eq!(code(&format!("https://{label}.org/")), "ok");
    assert_eq!(code(&format!("https://{label}a.org/")), "invalid_url");
    let name = format!("{label}.{label}.{label}.{}.org", "b".repeat(57));
    assert_eq!(name.len(), HOST_BYTES_MAX);
    assert_eq!(code(&format!("https://{name}/")), "ok");
    assert_eq!(code(&format!("https://{name}./")), "ok");
    assert_eq!(code(&format!("https://b{name}/")), "invalid_url");
}

#[path = "../../../../tests/data/ssrf.rs"]
mod spellings;
pub(crate) use spellings::{BYPASSES, OTHERWISE_REFUSED};

#[test]
fn addresses_that_are_not_the_web_are_refused_however_they_are_spelt() {
    for raw in BYPASSES {
        assert_eq!(code(raw), "address_not_allowed", "{raw:?}");
    }
    for (raw, wanted) in OTHERWISE_REFUSED {
        assert_eq!(code(raw), *wanted, "{raw:?}");
    }
}

#[test]
fn the_text_says_nothing_about_the_address() {
    let texts: Vec<String> = BYPASSES
        .iter()
        .map(|raw| UrlPolicy::default().target(raw).unwrap_err().to_string())
        .collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[test]
fn names_that_only_look_alike_pass() {
    for raw in [
        "https://notspin.internal.example.org/",
        "https://localhost.example.org/",
        "https://127.0.0.1.nip.example/",
        "https://myself.alt.example/",
        "https://localhost-example.org/",
        "https://metadata.example.org/",
        "https://notmetadata.goog/",
    ] {
        assert_eq!(code(raw), "ok", "{raw}");
    }
}

#[test]
fn an_opened_network_opens_its_addresses_and_their_ports() {
    let policy = with(&["127.0.0.0/8"]);
    for raw in [
        "http://127.0.0.1:34567/",
        "http://0x7f.1:5/",
        "http://localhost:34567/",
        "http://a.localhost:34567/",
    ] {
        assert!(policy.target(raw).is_ok(), "{raw}");
    }
    for (raw, error) in [
        ("http://10.0.0.1/", UrlError::Address),
        ("http://[::1]:34567/", UrlError::Address),
        ("http://[::ffff:127.0.0.1]:34567/", UrlError::Address),
        ("http://ingest.spin.internal/", UrlError::Address),
        ("http://self.alt/", UrlError::Address),
        ("http://metadata.google.internal/", UrlError::Address),
        ("http://127.0.0.1:0/", UrlError::Port),
        ("https://example.org:34567/", UrlError::Port),
        ("https://8.8.8.8:34567/", UrlError::Port),
    ] {
        assert_eq!(policy.target(raw), Err(error), "{raw}");
    }
    assert!(
        with(&["10.0.0.0/8"])
            .target("http://wiki.internal:3000/")
            .is_ok()
    );
    assert_eq!(
        with(&["10.0.0.0/8"]).target("http://localhost:3000/"),
        Err(UrlError::Address)
    );
}

#[test]
fn ports_follow_the_policy() {
    let with_ports = |text| UrlPolicy {
        ports: Ports::parse(text).unwrap(),
        ..UrlPolicy::default()
    };
    let open = with_ports("any");
    assert!(open.target("https://example.org:9999/").is_ok());
    assert_eq!(
        open.target("http://127.0.0.1:9999/"),
        Err(UrlError::Address)
    );
    let two = with_ports("443, 3000");
    assert_eq!(two.target("http://example.org/"), Err(UrlError::Port));
    assert!(two.target("http://example.org:3000/").is_ok());
    for text in ["", "443,", "http", "0", "65536", "all"] {
        assert_eq!(Ports::parse(text), None, "{text:?}");
    }
}

#[test]
fn the_keys_of_a_target_do_not_depend_on_spelling() {
    let target = parse_target("HTTP://Example.ORG./x").unwrap();
    assert_eq!(target.url.as_str(), "http://example.org/x");
    for text in ["https://example.org/y", "http://example.org:80/"] {
        let key = pace_key(&Url::parse(text).unwrap());
        assert_eq!(key, pace_key(&target.url), "{text}");
    }
    let other = Url::parse("http://[2606:4700::1]:8080/").unwrap();
    assert_eq!(pace_key(&other), "[2606:4700::1]:8080");
    assert_eq!(authority(&target.url), "http://example.org:80");
    assert_eq!(
        authority(&parse_target("https://[2606:4700::1]/").unwrap().url),
        "https://[2606:4700::1]:443"
    );
}

#[test]
fn what_is_dialled_with_a_dot_has_a_key_with_a_dot() {
    let url = Url::parse("https://example.org./x").unwrap();
    assert_eq!(authority(&url), "https://example.org.:443");
}

#[test]
fn a_reference_is_joined_as_browsers_do() {
    let base = Url::parse("https://a.example/x/y").unwrap();
    for (reference, wanted) in [
        ("z", "https://a.example/x/z"),
        ("/z\t/\n", "https://a.example/z/"),
        ("//b.example/", "https://b.example/"),
        ("///b.example/", "https://b.example/"),
        ("//\t/b.example/", "https://b.example/"),
        (" /\r\n\\/\t\tb.exa\tmple/", "https://b.example/"),
    ] {
        assert_eq!(join(&base, reference).unwrap().as_str(), wanted);
    }
}
