use super::*;

fn hints(form: Form) -> Hints<'static> {
    Hints {
        http_charset: None,
        tld: None,
        form,
    }
}

fn named(bytes: &[u8]) -> &'static str {
    decode(bytes, &hints(Form::Html)).encoding
}

/// The facts of html5lib's encoding cases (html5lib-tests, `encoding/`). Each follows a doctype.
const HTML5LIB: &[(&str, &str)] = &[
    ("<!-- nothing -->", "windows-1252"),
    ("<meta charset=\"ISO-8859-1\">", "windows-1252"),
    ("<meta charset=\"iso8859-2\">", "ISO-8859-2"),
    ("<meta charset='iso8859-2'>", "ISO-8859-2"),
    ("<meta charset=iso8859-2>", "ISO-8859-2"),
    ("<meta\ncharset=iso8859-2>", "ISO-8859-2"),
    ("<metacharset=iso8859-2>", "windows-1252"),
    (
        "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso8859-2\">",
        "ISO-8859-2",
    ),
    (
        "<meta content=\"text/html; charset=iso8859-2\" http-equiv=\"Content-Type\">",
        "ISO-8859-2",
    ),
    (
        "<meta http-equiv=\"Content-Type\" content=text/html; charset=iso8859-2>",
        "ISO-8859-2",
    ),
    (
        "<meta http-equiv=\"Content-Type content=\"text/html; charset=iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta http-equiv=\"Content-Type \" content=\"text/html; charset=iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta content=\"text/html; charset=iso8859-2\" http-equiv=\"Content-Type \">",
        "windows-1252",
    ),
    (
        "<meta http-equiv=\"Content-Type>\" content=\"text/html; charset=iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta http-equiv=\"Content-Style-Type\" content=\"text/html; charset=iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta name=\"Content-Style-Type\" content=\"text/html; charset=iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta content=\"text/html; charset=iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta content=\" text/html; charset = iso8859-2 \">",
        "windows-1252",
    ),
    (
        "<meta content=\"\ntext/html; charset=iso8859-2\n\" http-equiv=\"Content-Type\">",
        "ISO-8859-2",
    ),
    ("<meta charset=\"\niso8859-2\n\">", "ISO-8859-2"),
    ("<meta charset=\niso8859-2\n>", "ISO-8859-2"),
    ("<meta charset=\"iso8859-2>\n<p>\"</p>", "windows-1252"),
    ("<meta charset=iso8859-2\">\n<p>\"</p>", "windows-1252"),
    ("<meta \" charset=iso8859-2>\n<p>\"</p>", "ISO-8859-2"),
    ("<meta test\" charset=iso8859-2>\n<p>\"</p>", "ISO-8859-2"),
    (
        "<meta test=\" charset=iso8859-2>\n<p>\"</p>",
        "windows-1252",
    ),
    (
        "<meta test=\"' charset=iso8859-2>\n<p>\"'</p>",
        "windows-1252",
    ),
    (
        "<meta test='\" charset=iso8859-2>\n<p>'\"</p>",
        "windows-1252",
    ),
    ("<meta test=\"\" charset=iso8859-2>", "ISO-8859-2"),
    ("<meta test=x\" charset=iso8859-2>\n<p>\"</p>", "ISO-8859-2"),
    (
        "<head></head><p title=\"x>\n<meta test=x\" charset=iso8859-2>\n<p>\"</p>",
        "windows-1252",
    ),
    (
        "<head></head><p title=\"x>\n<meta charset=iso8859-2>\n<p>\"</p>",
        "windows-1252",
    ),
    (
        "<head></head><p title=\"x>\">\n<meta charset=iso8859-2>\n<p>\"</p>",
        "ISO-8859-2",
    ),
    (
        "<meta charset=\"ISO-8859-1\">\n<meta charset=\"iso8859-2\">",
        "windows-1252",
    ),
    (
        "<meta charset=\"iso8859-2\">\n<meta charset=\"ISO-8859-1\">",
        "ISO-8859-2",
    ),
    (
        "<!--<meta charset=\"ISO-8859-1\">-->\n<meta charset=\"iso8859-2\">",
        "ISO-8859-2",
    ),
    (
        "<!--<meta charset=\"iso8859-2\">-->\n<meta charset=\"ISO-8859-1\">",
        "windows-1252",
    ),
    (
        "<script>document.write('<meta charset=\"iso8859-2\">')</script>",
        "ISO-8859-2",
    ),
    (
        "<style type=\"text/plain\"><meta charset=\"iso8859-2\"></style>",
        "ISO-8859-2",
    ),
    ("<p><meta charset=\"iso8859-2\"></p>", "ISO-8859-2"),
    (
        "<meta charset=\"bogus\">\n<meta charset=\"iso8859-2\">",
        "ISO-8859-2",
    ),
    ("<meta", "windows-1252"),
    ("<", "windows-1252"),
    ("<!", "windows-1252"),
    ("<meta charset = \"", "windows-1252"),
    ("<meta charset=euc-jp", "windows-1252"),
    ("<meta <meta charset='euc-jp'>", "EUC-JP"),
    ("<meta       charset    =     'euc-jp'>", "EUC-JP"),
    (
        "<!-- -->\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">",
        "UTF-8",
    ),
    (
        "<!-- -->\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf",
        "windows-1252",
    ),
    (
        "<meta http-equiv=\"Content-Type<meta charset=\"utf-8\">",
        "windows-1252",
    ),
    (
        "<meta http-equiv=\"Content-Type\" content=\"text/html; charset='utf-8'\">",
        "UTF-8",
    ),
    (
        "<meta http-equiv=\"Content-Type\" content=\"text/html; charset='utf-8\">",
        "windows-1252",
    ),
    ("<meta content = \"text/html;", "windows-1252"),
    ("<meta charset=\"UTF-16\">", "UTF-8"),
    ("<meta charset=\"UTF-16LE\">", "UTF-8"),
    ("<meta charset=\"UTF-16BE\">", "UTF-8"),
    ("<html a=ñ>\n<meta charset=\"utf-8\">", "UTF-8"),
    ("<html ñ>\n<meta charset=\"utf-8\">", "UTF-8"),
    ("<html>ñ\n<meta charset=\"utf-8\">", "UTF-8"),
    (
        "<meta content='text/html; charset=iso8859-2' http-equiv='Content-Type>'>",
        "windows-1252",
    ),
    (
        "<meta content='text/html; charset=iso8859-2' http-equiv=Content-Style-Type>",
        "windows-1252",
    ),
    (
        "<meta content='text/html; charset=iso8859-2' name=Content-Style-Type>",
        "windows-1252",
    ),
    (
        "<head></head><p title='x>\n<meta test=x charset=iso8859-2>\n<p>'</p>",
        "windows-1252",
    ),
    (
        "<script type=text/plain><meta charset=iso8859-2></script>",
        "ISO-8859-2",
    ),
];

#[test]
fn html5libs_cases_hold() {
    for (page, wanted) in HTML5LIB {
        for page in [page.to_string(), format!("<!DOCTYPE HTML>\n{page}")] {
            assert_eq!(named(page.as_bytes()), *wanted, "{page}");
        }
    }
    for length in [
        511, 512, 1_024, 1_025, 2_048, 2_049, 4_096, 4_097, 8_192, 8_193, 30_000,
    ] {
        let page = format!(
            "<!-- {} -->\n<meta charset=\"iso8859-2\">",
            "x".repeat(length)
        );
        assert_eq!(
            named(page.as_bytes()),
            "ISO-8859-2",
            "after a comment of {length}"
        );
        let page = format!("<meta charset={}utf-8\n>", " ".repeat(length.min(900)));
        assert_eq!(named(page.as_bytes()), "UTF-8");
    }
}

#[test]
fn more_of_the_standards_prescan() {
    for (page, wanted) in [
        ("<meta charset=x-user-defined>", "windows-1252"),
        ("<meta charset=hz-gb-2312>", "replacement"),
        ("<meta charset=utf8 charset=koi8-r>", "UTF-8"),
        (
            "<meta charset=bogus content='text/html;charset=koi8-r' http-equiv=content-type>",
            "windows-1252",
        ),
        ("<META CHARSET=KOI8-R>", "KOI8-R"),
        ("<meta/charset=koi8-r/>", "windows-1252"),
        ("<meta/charset='koi8-r'/>", "KOI8-R"),
        (
            "<meta http-equiv=content-type content='charset charset = koi8-r'>",
            "KOI8-R",
        ),
        (
            "<meta http-equiv=content-type content='a;charset=\"koi8-r\"'>",
            "KOI8-R",
        ),
        (
            "<meta http-equiv=content-type content='charset=koi8-r;x'>",
            "KOI8-R",
        ),
        (
            "<meta http-equiv=content-type content='charset='>",
            "windows-1252",
        ),
        ("<!--><meta charset=koi8-r>-->", "KOI8-R"),
        ("<!-- ><meta charset=koi8-r>", "windows-1252"),
        (
            "</p a='<meta charset=utf-8>'><meta charset=koi8-r>",
            "KOI8-R",
        ),
        ("</ <meta charset=utf-8><meta charset=koi8-r>", "KOI8-R"),
        ("<?php <meta charset=utf-8?><meta charset=koi8-r>", "KOI8-R"),
        ("<1><meta charset=koi8-r>", "KOI8-R"),
        ("<?xml version='1.0' encoding='koi8-r'?><p>", "KOI8-R"),
        ("<?xml version='1.0' encoding=koi8-r?><p>", "windows-1252"),
        ("<?xml encoding = \"koi8-r\"?><meta charset=utf-8>", "UTF-8"),
        ("<?xml encoding='utf-16'?>", "UTF-8"),
        ("<?xml encoding='bogus'?>", "windows-1252"),
        (" <?xml encoding='koi8-r'?>", "windows-1252"),
    ] {
        assert_eq!(named(page.as_bytes()), wanted, "{page}");
    }
    assert_eq!(named(b"<\0?\0x\0m\0l\0"), "UTF-16LE");
    assert_eq!(named(b"\0<\0?\0x\0m\0l"), "UTF-16BE");
}

#[test]
fn a_late_meta_counts_in_the_head_alone() {
    let page = |head: &str| format!("<html><head><style>{}</style>{head}", "x".repeat(2_000));
    assert_eq!(
        named(page("<title><p></title><link href='<p>'><meta charset=koi8-r>").as_bytes()),
        "KOI8-R"
    );
    assert_eq!(
        named(page("</head><body><meta charset=koi8-r>").as_bytes()),
        "windows-1252"
    );
    assert_eq!(
        named(page("<script>'<meta charset=koi8-r>'</script>").as_bytes()),
        "windows-1252"
    );
    assert_eq!(
        named(page("<script>'<meta charset=koi8-r>'").as_bytes()),
        "windows-1252"
    );
}

#[test]
fn the_order_is_mark_then_http_then_page_then_guess() {
    let meta = "<meta charset=koi8-r>é".as_bytes();
    let http = |label| Hints {
        http_charset: Some(label),
        ..hints(Form::Html)
    };
    let cases: [(&[u8], Hints<'_>, &str, Decided); 9] = [
        (
            b"\xEF\xBB\xBF<meta charset=koi8-r>",
            http("windows-1251"),
            "UTF-8",
            Decided::Bom,
        ),
        (b"\xFE\xFF\0a", http("utf-8"), "UTF-16BE", Decided::Bom),
        (b"\xFF\xFEa\0", hints(Form::Text), "UTF-16LE", Decided::Bom),
        (meta, http("Windows-1251"), "windows-1251", Decided::Http),
        (meta, http(" utf8 "), "UTF-8", Decided::Http),
        (meta, http("utf-16"), "UTF-16LE", Decided::Http),
        (meta, http("bogus"), "KOI8-R", Decided::Meta),
        (meta, hints(Form::Text), "UTF-8", Decided::Guess),
        (
            b"plain",
            hints(Form::Html),
            "windows-1252",
            Decided::Default,
        ),
    ];
    for (bytes, hints, encoding, decided) in cases {
        let decoded = decode(bytes, &hints);
        assert_eq!(
            (decoded.encoding, decoded.decided),
            (encoding, decided),
            "{bytes:?}"
        );
    }
    assert_eq!(
        decode(b"{\"a\":\"\xC3\xA9\"}", &hints(Form::Json)).decided,
        Decided::Format
    );
    assert_eq!(
        decode(b"<?xml version='1.0'?><a/>", &hints(Form::Xml)).encoding,
        "UTF-8"
    );
    assert_eq!(
        decode(b"<?xml encoding='iso-8859-2'?><a/>", &hints(Form::Xhtml)).encoding,
        "ISO-8859-2"
    );
}

#[test]
fn text_comes_out_right_and_faults_are_told() {
    let decoded = decode(b"\xEF\xBB\xBFcaf\xC3\xA9", &hints(Form::Html));
    assert_eq!((decoded.text.as_ref(), decoded.had_errors), ("café", false));
    assert!(
        matches!(decoded.text, Cow::Borrowed(_)),
        "UTF-8 is not copied"
    );
    let decoded = decode(b"<meta charset=utf-8>\xFF", &hints(Form::Html));
    assert!(decoded.had_errors && decoded.text.ends_with('\u{FFFD}'));
    let decoded = decode(b"<meta charset=shift_jis>\x93\xFA\x96{", &hints(Form::Html));
    assert_eq!(
        (decoded.text.as_ref(), decoded.had_errors),
        ("<meta charset=shift_jis>日本", false)
    );
    assert_eq!(
        decode(
            b"\x80 5",
            &Hints {
                http_charset: Some("latin1"),
                ..hints(Form::Text)
            }
        )
        .text,
        "€ 5"
    );
    assert_eq!(decode(b"", &hints(Form::Html)).text, "");
}

#[test]
fn a_guess_uses_the_bytes_and_the_country() {
    let of = |encoding: &'static Encoding, text: &str| encoding.encode(text).0.into_owned();
    let russian = of(
        encoding_rs::WINDOWS_1251,
        "Это обычный русский текст без указания кодировки, как на старых сайтах.",
    );
    let japanese = of(
        encoding_rs::SHIFT_JIS,
        "これは文字コードの指定がない日本語の文章です。",
    );
    let czech = of(
        encoding_rs::WINDOWS_1250,
        "Příliš žluťoučký kůň úpěl ďábelské ódy, řekl starý žid.",
    );
    for (bytes, tld, encoding) in [
        (&russian, Some("ru"), "windows-1251"),
        (&japanese, Some("jp"), "Shift_JIS"),
        (&czech, Some("cz"), "windows-1250"),
    ] {
        let decoded = decode(
            bytes,
            &Hints {
                tld,
                ..hints(Form::Html)
            },
        );
        assert_eq!(
            (decoded.encoding, decoded.decided),
            (encoding, Decided::Guess)
        );
    }
    assert_eq!(named("Ein Café in Köln".as_bytes()), "UTF-8");
    assert_eq!(named(b"Ein Caf\xE9 in K\xF6ln"), "windows-1252");
    let late = format!("{}Ein Café in Köln", "plain ".repeat(40_000));
    assert_eq!(
        named(late.as_bytes()),
        "UTF-8",
        "what tells stands behind 64 KB of ASCII"
    );
    for odd in ["RU", "xn--p1ai", "ru.", "é", ""] {
        let _ = decode(
            &russian,
            &Hints {
                tld: Some(odd),
                ..hints(Form::Html)
            },
        );
    }
}

#[test]
fn a_fault_does_not_make_a_page_of_utf_8_another() {
    let text = "Über Größe und Maß läßt sich schön streiten. ".repeat(40);
    let ends = [text.as_bytes(), b"\xC3"].concat();
    let inside = [text.as_bytes(), b"gek\xC3rzt ", text.as_bytes()].concat();
    let pasted = [text.as_bytes(), b"Stra\xDFe ", text.as_bytes()].concat();
    for bytes in [&ends, &inside, &pasted] {
        let decoded = decode(bytes, &hints(Form::Html));
        assert_eq!(
            (decoded.encoding, decoded.decided),
            ("UTF-8", Decided::Guess)
        );
        assert!(decoded.had_errors);
    }
    // Too few to tell, or too many faults.
    assert_eq!(named("Größe läßt Gr\u{f6}\u{df}e".as_bytes()), "UTF-8");
    let few = [
        &"Ein Café in Köln, ".repeat(5).into_bytes()[..],
        b"Stra\xDFe",
    ]
    .concat();
    assert_eq!(named(&few), "windows-1252");
    let mixed = ["Größe, läßt. ".as_bytes(), b"Gr\xF6\xDFe, l\xE4\xDFt. "]
        .concat()
        .repeat(40);
    assert_ne!(named(&mixed), "UTF-8");
}

#[test]
fn the_tld_comes_from_names_alone() {
    for (url, wanted) in [
        ("https://www.example.co.jp/", Some("jp")),
        ("https://example.ru./", Some("ru")),
        ("https://127.0.0.1/", None),
        ("https://[::1]/", None),
        ("https://пример.рф/", Some("xn--p1ai")),
        ("data:x", None),
    ] {
        assert_eq!(tld(&Url::parse(url).unwrap()), wanted, "{url}");
    }
}
