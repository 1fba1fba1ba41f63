//! Registrable domains by the Public Suffix List, with and without its private part.

/// A host cut where a registrar, or the operator of a private suffix, hands out names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrable<'a> {
    /// By the suffixes of registries alone: `github.io`.
    pub icann: Option<&'a str>,
    /// With the private suffixes too, as browsers tell sites apart: `somebody.github.io`.
    pub private: Option<&'a str>,
}

/// Cuts a host name that is in lower case, without a trailing dot, in ASCII (punycode) form or not.
/// `None` where the host is itself a suffix, or not a name.
#[must_use]
pub fn registrable(host: &str) -> Registrable<'_> {
    // An address has no suffix: no top-level domain is a number, and brackets are for IPv6.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_address = host.starts_with('[') || last.bytes().all(|b| b.is_ascii_digit());
    if is_address || host.starts_with('.') || host.contains("..") {
        return Registrable {
            icann: None,
            private: None,
        };
    }
    Registrable {
        icann: one_more_label(host, icann_suffix(host)),
        private: one_more_label(host, suffix(host)),
    }
}

/// Whether the name belongs to everybody who has a name below it, private suffixes counted. What is no name counts as one.
#[must_use]
pub fn is_public_suffix(name: &str) -> bool {
    registrable(name).private.is_none()
}

fn suffix(host: &str) -> Option<&str> {
    let length = psl::suffix(host.as_bytes())?.as_bytes().len();
    host.get(host.len() - length..)
}

/// The suffix by the registries' part of the list: a private suffix lies below one, so drop its first label and ask
/// again.
fn icann_suffix(host: &str) -> Option<&str> {
    let mut name = host;
    loop {
        let found = psl::suffix(name.as_bytes())?;
        let text = name.get(name.len() - found.as_bytes().len()..)?;
        if found.typ() != Some(psl::Type::Private) {
            return Some(text);
        }
        name = text.split_once('.')?.1;
    }
}

fn one_more_label<'a>(host: &'a str, suffix: Option<&str>) -> Option<&'a str> {
    let before = host.strip_suffix(suffix?)?.strip_suffix('.')?;
    let start = before.rfind('.').map_or(0, |dot| dot + 1);
    (start < before.len()).then(|| &host[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The facts of the list's own test vectors (publicsuffix.org, `tests/test_psl.txt`; public domain), with the
    /// private part of the list in use.
    const VECTORS: &[(&str, Option<&str>)] = &[
        ("com", None),
        ("example.com", Some("example.com")),
        ("www.example.com", Some("example.com")),
        (".com", None),
        (".example", None),
        (".example.com", None),
        (".example.example", None),
        ("example", None),
        ("example.example", Some("example.example")),
        ("b.example.example", Some("example.example")),
        ("a.b.example.example", Some("example.example")),
        ("biz", None),
        ("domain.biz", Some("domain.biz")),
        ("b.domain.biz", Some("domain.biz")),
        ("a.b.domain.biz", Some("domain.biz")),
        ("b.example.com", Some("example.com")),
        ("a.b.example.com", Some("example.com")),
        ("uk.com", None),
        ("example.uk.com", Some("example.uk.com")),
        ("b.example.uk.com", Some("example.uk.com")),
        ("a.b.example.uk.com", Some("example.uk.com")),
        ("test.ac", Some("test.ac")),
        ("mm", None),
        ("c.mm", None),
        ("b.c.mm", Some("b.c.mm")),
        ("a.b.c.mm", Some("b.c.mm")),
        ("jp", None),
        ("test.jp", Some("test.jp")),
        ("www.test.jp", Some("test.jp")),
        ("ac.jp", None),
        ("test.ac.jp", Some("test.ac.jp")),
        ("www.test.ac.jp", Some("test.ac.jp")),
        ("kyoto.jp", None),
        ("test.kyoto.jp", Some("test.kyoto.jp")),
        ("ide.kyoto.jp", None),
        ("b.ide.kyoto.jp", Some("b.ide.kyoto.jp")),
        ("a.b.ide.kyoto.jp", Some("b.ide.kyoto.jp")),
        ("c.kobe.jp", None),
        ("b.c.kobe.jp", Some("b.c.kobe.jp")),
        ("a.b.c.kobe.jp", Some("b.c.kobe.jp")),
        ("city.kobe.jp", Some("city.kobe.jp")),
        ("www.city.kobe.jp", Some("city.kobe.jp")),
        ("ck", None),
        ("test.ck", None),
        ("b.test.ck", Some("b.test.ck")),
        ("a.b.test.ck", Some("b.test.ck")),
        ("www.ck", Some("www.ck")),
        ("www.www.ck", Some("www.ck")),
        ("us", None),
        ("test.us", Some("test.us")),
        ("www.test.us", Some("test.us")),
        ("ak.us", None),
        ("test.ak.us", Some("test.ak.us")),
        ("www.test.ak.us", Some("test.ak.us")),
        ("k12.ak.us", None),
        ("test.k12.ak.us", Some("test.k12.ak.us")),
        ("www.test.k12.ak.us", Some("test.k12.ak.us")),
        ("食狮.com.cn", Some("食狮.com.cn")),
        ("食狮.公司.cn", Some("食狮.公司.cn")),
        ("www.食狮.公司.cn", Some("食狮.公司.cn")),
        ("shishi.公司.cn", Some("shishi.公司.cn")),
        ("公司.cn", None),
        ("食狮.中国", Some("食狮.中国")),
        ("www.食狮.中国", Some("食狮.中国")),
        ("shishi.中国", Some("shishi.中国")),
        ("中国", None),
        ("xn--85x722f.com.cn", Some("xn--85x722f.com.cn")),
        (
            "xn--85x722f.xn--55qx5d.cn",
            Some("xn--85x722f.xn--55qx5d.cn"),
        ),
        (
            "www.xn--85x722f.xn--55qx5d.cn",
            Some("xn--85x722f.xn--55qx5d.cn"),
        ),
        ("shishi.xn--55qx5d.cn", Some("shishi.xn--55qx5d.cn")),
        ("xn--55qx5d.cn", None),
        ("xn--85x722f.xn--fiqs8s", Some("xn--85x722f.xn--fiqs8s")),
        ("www.xn--85x722f.xn--fiqs8s", Some("xn--85x722f.xn--fiqs8s")),
        ("shishi.xn--fiqs8s", Some("shishi.xn--fiqs8s")),
        ("xn--fiqs8s", None),
    ];

    #[test]
    fn the_lists_own_vectors_hold() {
        for (host, wanted) in VECTORS {
            assert_eq!(registrable(host).private, *wanted, "{host}");
        }
    }

    #[test]
    fn a_suffix_is_known_as_one() {
        for name in ["com", "co.uk", "github.io", "example", "xn--fiqs8s", ""] {
            assert!(is_public_suffix(name), "{name}");
        }
        for name in ["example.com", "www.example.co.uk", "somebody.github.io"] {
            assert!(!is_public_suffix(name), "{name}");
        }
    }

    #[test]
    fn the_private_part_can_be_left_out() {
        for (host, icann, private) in [
            (
                "somebody.github.io",
                Some("github.io"),
                Some("somebody.github.io"),
            ),
            (
                "a.somebody.github.io",
                Some("github.io"),
                Some("somebody.github.io"),
            ),
            ("github.io", Some("github.io"), None),
            (
                "a.b.blogspot.com",
                Some("blogspot.com"),
                Some("b.blogspot.com"),
            ),
            (
                "bucket.s3.amazonaws.com",
                Some("amazonaws.com"),
                Some("bucket.s3.amazonaws.com"),
            ),
            (
                "www.example.co.uk",
                Some("example.co.uk"),
                Some("example.co.uk"),
            ),
            ("example.uk.com", Some("uk.com"), Some("example.uk.com")),
            ("co.uk", None, None),
            ("", None, None),
            (".", None, None),
            ("a..b", None, None),
            ("127.0.0.1", None, None),
            ("[2606:4700::1111]", None, None),
        ] {
            assert_eq!(registrable(host), Registrable { icann, private }, "{host}");
        }
    }
}
