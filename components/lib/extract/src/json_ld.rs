//! Reading JSON-LD scripts, in one way for every extractor.

use serde_json::Value;

use crate::nul;

/// What old pages wrap scripts in, to hide them from browsers that knew no scripts, or from XML parsers.
const OPENINGS: [&str; 6] = ["\u{feff}", "<!--", "<![CDATA[", "//", "/*", "*/"];
/// None of these ends a JSON text either.
const ENDINGS: [&str; 6] = ["-->", "]]>", "//", "/*", "*/", ";"];

/// Whether the `type` of a script says that it holds JSON-LD; parameters may follow.
pub(crate) fn is_type(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/ld+json")
}

/// Parses a script. Wrapping comments, line breaks within strings and commas at the end of a list are common mistakes.
pub(crate) fn parse(source: &str) -> Option<Value> {
    let source = unwrapped(source);
    let parsed = serde_json::from_str(source).ok().or_else(|| {
        // What stands behind the first value is dropped with its error.
        serde_json::Deserializer::from_str(&mended(source))
            .into_iter()
            .next()?
            .ok()
    });
    let mut value = parsed?;
    nul::remove_from_json(source, &mut value);
    Some(value)
}

fn unwrapped(source: &str) -> &str {
    let mut rest = source.trim();
    while let Some(inner) = OPENINGS.iter().find_map(|sign| rest.strip_prefix(sign)) {
        rest = inner.trim_start();
    }
    while let Some(inner) = ENDINGS.iter().find_map(|sign| rest.strip_suffix(sign)) {
        rest = inner.trim_end();
    }
    rest
}

/// The same with spaces for control characters, and without commas that nothing follows.
fn mended(source: &str) -> String {
    let mut mended = String::with_capacity(source.len());
    let (mut in_string, mut is_escaped) = (false, false);
    // Where the last comma stands, while nothing but space has followed it.
    let mut comma = None;
    for character in source.chars() {
        let character = if character.is_control() {
            ' '
        } else {
            character
        };
        if in_string {
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
        } else {
            match character {
                ' ' => {}
                ',' => comma = Some(mended.len()),
                '}' | ']' => {
                    if let Some(at) = comma.take() {
                        mended.truncate(at);
                    }
                }
                _ => {
                    comma = None;
                    in_string = character == '"';
                }
            }
        }
        mended.push(character);
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_forgiven() {
        let wanted = serde_json::json!({"a": ["b, ]", 1]});
        for source in [
            r#"{"a":["b, ]",1]}"#,
            "\u{feff}\n{\"a\":[\"b, ]\",1]};",
            "<!--{\"a\":[\"b, ]\",1]}-->",
            "<!--\n//<![CDATA[\n{\"a\":[\"b, ]\",1]}\n//]]>\n-->",
            "/*<![CDATA[*/{\"a\":[\"b, ]\",1]}/*]]>*/",
            "/* <![CDATA[ */ {\"a\":[\"b, ]\",1]} /* ]]> */",
            "{\"a\":[\"b,\n]\",1,\n],}",
            "{\"a\":[\"b, ]\",1]} and more",
        ] {
            assert_eq!(parse(source).as_ref(), Some(&wanted), "{source}");
        }
        assert_eq!(
            parse(r#"{"a":"\",]\\",}"#),
            Some(serde_json::json!({"a": "\",]\\"}))
        );
        assert_eq!(
            parse(r#"{"a":["b\u0000c",{"d":"\u0000"}]}"#),
            Some(serde_json::json!({"a": ["bc", {"d": ""}]}))
        );
        for broken in ["", "{broken", "//", "<!---->", ",", "[,", "\"a"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn types_may_have_parameters() {
        assert!(is_type(" Application/LD+JSON ; charset=utf-8"));
        assert!(!is_type("application/ld+json2") && !is_type("") && !is_type("text/javascript"));
    }
}
