//! Where elements end whose content is characters up to their own end tag.

/// How the content of such an element ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Where the end tag begins.
    pub(crate) at: usize,
    /// Whether it is the element's own, and not that of a `noscript` around it.
    pub(crate) is_own: bool,
}

/// Finds the end of the content that begins here, of an element with this name in lower case; none when it lasts to the end
/// of the page. A `noscript` around it ends it too: browsers that run scripts take the inside of that for text, so that pages
/// with an `<iframe/>` there look right.
pub(crate) fn end(content: &[u8], name: &[u8], in_noscript: bool) -> Option<End> {
    let is_script = name == b"script";
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'<', &content[from..])?;
        match content.get(at + 1) {
            Some(b'/') => {
                let end = end_at(content, at, name, in_noscript);
                if end.is_some() {
                    return end;
                }
            }
            Some(b'!') if is_script && content[at..].starts_with(b"<!--") => {
                return end_of_commented(content, at, in_noscript);
            }
            _ => {}
        }
        from = at + 1;
    }
}

/// The same of a script in which `<!--` stands here. From there up to `-->` a start tag of a script begins one that ends first
/// (HTML, 13.2.5.20 to 13.2.5.31): pages hide scripts so that write scripts. Without the `-->` all up to the end of the page
/// may be script, as it is in browsers.
#[cold]
fn end_of_commented(content: &[u8], open: usize, in_noscript: bool) -> Option<End> {
    const NAME: &[u8] = b"script";
    let (mut is_commented, mut has_inner) = (true, false);
    let mut from = open + 1;
    loop {
        let at = from + memchr::memchr2(b'<', b'>', &content[from..])?;
        match (content[at], content.get(at + 1)) {
            // The dashes may be those of `<!--`.
            (b'>', _) if content[..at].ends_with(b"--") => {
                (is_commented, has_inner) = (false, false);
            }
            (b'>', _) => {}
            (_, Some(b'/')) => match end_at(content, at, NAME, in_noscript) {
                Some(End { is_own: true, .. }) if has_inner => has_inner = false,
                None => {}
                end => return end,
            },
            (_, Some(b'!')) => is_commented |= content[at..].starts_with(b"<!--"),
            _ => has_inner |= is_commented && is_name(content, at + 1, NAME),
        }
        from = at + 1;
    }
}

/// The end tag that stands at this `</`, if it ends the element.
fn end_at(content: &[u8], at: usize, name: &[u8], in_noscript: bool) -> Option<End> {
    let is_own = is_name(content, at + 2, name);
    let ends = is_own || in_noscript && is_name(content, at + 2, b"noscript");
    ends.then_some(End { at, is_own })
}

/// Whether a tag's whole name, which stands here, is this one.
fn is_name(content: &[u8], at: usize, name: &[u8]) -> bool {
    let end = at + name.len();
    content
        .get(at..end)
        .is_some_and(|found| found.eq_ignore_ascii_case(name))
        && super::parser::name_length(&content[end..(end + 1).min(content.len())]) == 0
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn a_script_ends_as_in_browsers() {
        for (content, rest) in [
            ("a</script>", Some("</script>")),
            ("a</scripts></SCRIPT\n>", Some("</SCRIPT\n>")),
            ("a<script>b</script>c", Some("</script>c")),
            ("<!-- a</script>b", Some("</script>b")),
            ("<!-- <script>a</script>b</script>c", Some("</script>c")),
            ("<!-- <SCRIPT/a</Script/b</script >c", Some("</script >c")),
            ("<!-- <scripts>a</script>b", Some("</script>b")),
            ("<!-- <script--></script>b", Some("</script>b")),
            ("<!-- <script>--></script>b", Some("</script>b")),
            (
                "<!-- <script> <script> </script></script>b",
                Some("</script>b"),
            ),
            (
                "<!-- <script> </script> <script> </script></script>b",
                Some("</script>b"),
            ),
            ("<!-- --><script></script>b", Some("</script>b")),
            (
                "<!-- --> <!-- <script></script></script>b",
                Some("</script>b"),
            ),
            ("<!--><script></script>b", Some("</script>b")),
            ("<!---><script></script>b", Some("</script>b")),
            ("<!-- - -><script></script></script>b", Some("</script>b")),
            ("<!-<script></script>b", Some("</script>b")),
            ("<!-- <script></script>b", None),
            ("<!-- a", None),
            ("<!--", None),
            ("a<", None),
        ] {
            let found = end(content.as_bytes(), b"script", false);
            assert!(found.is_none_or(|end| end.is_own), "{content}");
            assert_eq!(found.map(|end| &content[end.at..]), rest, "{content}");
        }
    }

    #[test]
    fn what_is_no_script_ends_at_its_first_end_tag() {
        let content = "<!-- <style>a</style>b</style>";
        assert_eq!(end(content.as_bytes(), b"style", false).unwrap().at, 13);
    }

    #[test]
    fn a_noscript_ends_what_stands_in_it() {
        for content in [
            "a</noscript>b</script>",
            "<!--<script></noscript>b</script>",
        ] {
            let found = end(content.as_bytes(), b"script", true).unwrap();
            assert!(content[found.at..].starts_with("</noscript>"), "{content}");
            assert!(!found.is_own);
            assert!(end(content.as_bytes(), b"script", false).is_none_or(|end| end.is_own));
        }
    }
}
