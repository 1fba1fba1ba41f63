//! A stream of tags out of a page, without a tree: start tags with their attributes, end tags, and the text of scripts
//! and styles. It borrows everything and keeps nothing but one tag's attributes.

use std::ops::Range;

use trawl_core::limits::domains::ATTRIBUTES_MAX;

use crate::dom::{Syntax, Tag, raw};
use crate::octets::{self, MARKS, SMALL, Words};

/// What the scanner met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A start tag; its attributes can be asked for until the next event.
    Start(Name),
    /// An end tag.
    End(Name),
    /// The text of the raw element that was just opened ([`Scanner::raw`]).
    Raw(Name),
}

/// Longer names are cut: none that matters is as long.
const NAME_BYTES_MAX: usize = 15;
/// Deeper nesting of SVG and MathML than any page has; what stands deeper is read as what is around it.
const FOREIGN_MAX: usize = 64;

/// An element's name in lower case; longer ones than any that matters are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    length: u8,
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; NAME_BYTES_MAX];
        for (small, byte) in bytes.iter_mut().zip(name) {
            *small = byte.to_ascii_lowercase();
        }
        // A cut name must not pass for a known one of that length; none is as long as the array.
        Self {
            bytes,
            length: name.len().min(NAME_BYTES_MAX) as u8,
        }
    }

    /// A name of letters and digits, less than eight, the first one lowest.
    fn from_eight(eight: u64, length: usize) -> Self {
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes[..8].copy_from_slice(&octets::first(eight | SMALL, length).to_le_bytes());
        Self {
            bytes,
            length: length as u8,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn is_noscript(&self) -> bool {
        self.as_bytes() == b"noscript"
    }

    /// Elements whose content is SVG or MathML.
    fn is_foreign(&self) -> bool {
        matches!(self.as_bytes(), b"svg" | b"math")
    }

    /// Elements of SVG and MathML whose content is HTML again. (A further one, `title`, is raw here.)
    fn holds_html(&self) -> bool {
        matches!(
            self.as_bytes(),
            b"foreignobject" | b"desc" | b"mi" | b"mo" | b"mn" | b"ms" | b"mtext"
        )
    }

    /// Elements whose content is text up to their own end tag (scripting off, as we run none).
    fn is_raw(&self) -> bool {
        matches!(
            self.as_bytes(),
            b"script"
                | b"style"
                | b"title"
                | b"textarea"
                | b"xmp"
                | b"iframe"
                | b"noembed"
                | b"noframes"
        )
    }
}

/// Walks over a page once.
pub(crate) struct Scanner<'a> {
    page: &'a str,
    at: usize,
    attributes: Vec<(Range<usize>, Range<usize>)>,
    raw: Range<usize>,
    /// What follows the tag that was just read: the text of a raw element, or the end of one that ended itself.
    pending: Option<Event>,
    in_noscript: bool,
    is_xhtml: bool,
    /// The open SVG and MathML, and what holds HTML in them: whether a tag stands in foreign content is what the last one says.
    foreign: Vec<Name>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(page: &'a str, syntax: Syntax) -> Self {
        Self {
            page,
            at: 0,
            attributes: Vec::with_capacity(16),
            raw: 0..0,
            pending: None,
            in_noscript: false,
            is_xhtml: syntax == Syntax::Xhtml,
            foreign: Vec::new(),
        }
    }

    /// The value of an attribute of the current start tag, as written. The first of its name counts.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        let page = self.page;
        let same =
            |at: &Range<usize>| page.as_bytes()[at.clone()].eq_ignore_ascii_case(name.as_bytes());
        self.attributes
            .iter()
            .find(|(at, _)| same(at))
            .and_then(|(_, value)| page.get(value.clone()))
    }

    /// The names of the attributes of the current start tag, as written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let page = self.page.as_bytes();
        self.attributes.iter().map(|(name, _)| &page[name.clone()])
    }

    /// The text of the raw element.
    pub(crate) fn raw(&self) -> &'a str {
        let page = self.page;
        page.get(self.raw.clone()).unwrap_or_default()
    }

    /// The next event; `None` at the end of the page. A tag that the page's end cuts is dropped.
    #[inline(never)]
    pub(crate) fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.pending.take() {
            match event {
                Event::Raw(name) => self.take_raw(name),
                Event::Start(name) | Event::End(name) => self.in_noscript &= !name.is_noscript(),
            }
            return Some(event);
        }
        let bytes = self.page.as_bytes();
        loop {
            self.at += memchr::memchr(b'<', &bytes[self.at..])? + 1;
            match *bytes.get(self.at)? {
                b'!' => self.skip_declaration()?,
                b'?' => self.skip_past_angle()?,
                b'/' if bytes.get(self.at + 1)?.is_ascii_alphabetic() => {
                    self.at += 1;
                    let name = self.name()?;
                    self.skip_past_angle()?;
                    self.in_noscript &= !name.is_noscript();
                    self.end_foreign(name);
                    return Some(Event::End(name));
                }
                b'/' => self.skip_past_angle()?,
                byte if byte.is_ascii_alphabetic() => {
                    let name = self.name()?;
                    let is_self_closing = self.read_attributes()?;
                    self.in_noscript |= name.is_noscript();
                    let is_foreign = self.start_foreign(name, is_self_closing);
                    if is_self_closing && (self.is_xhtml || is_foreign) {
                        self.pending = Some(Event::End(name));
                    } else if name.is_raw() {
                        self.pending = Some(Event::Raw(name));
                    }
                    return Some(Event::Start(name));
                }
                _ => {}
            }
        }
    }

    fn in_foreign(&self) -> bool {
        self.foreign.last().is_some_and(Name::is_foreign)
    }

    /// Whether a start tag stands in SVG or MathML, where any element may end itself. It may begin them, and HTML that stands in them
    /// by mistake ends them.
    fn start_foreign(&mut self, name: Name, is_self_closing: bool) -> bool {
        if self.in_foreign() && Tag::of_name(name.as_bytes()).ends_foreign() {
            while self.in_foreign() {
                self.foreign.pop();
            }
        }
        let is_foreign = self.in_foreign();
        let opens = name.is_foreign() || (is_foreign && name.holds_html());
        if opens && !is_self_closing && self.foreign.len() < FOREIGN_MAX {
            self.foreign.push(name);
        }
        is_foreign
    }

    fn end_foreign(&mut self, name: Name) {
        if let Some(at) = self.foreign.iter().rposition(|open| *open == name) {
            self.foreign.truncate(at);
        }
    }

    /// One byte is searched for without preparing a searcher, which would cost more than the search.
    fn skip_past_angle(&mut self) -> Option<()> {
        self.at += memchr::memchr(b'>', &self.page.as_bytes()[self.at..])? + 1;
        Some(())
    }

    fn skip_past(&mut self, end: &[u8]) -> Option<()> {
        self.at += memchr::memmem::find(&self.page.as_bytes()[self.at..], end)? + end.len();
        Some(())
    }

    fn skip_declaration(&mut self) -> Option<()> {
        let rest = &self.page.as_bytes()[self.at..];
        if (self.is_xhtml || self.in_foreign()) && rest.starts_with(b"![CDATA[") {
            return self.skip_past(b"]]>");
        }
        if !rest.starts_with(b"!--") {
            return self.skip_past_angle();
        }
        // `<!-->` and `<!--->` are whole comments; `--!>` ends one too.
        if rest.starts_with(b"!-->") || rest.starts_with(b"!--->") {
            return self.skip_past_angle();
        }
        self.at += 3;
        loop {
            self.skip_past(b"--")?;
            let rest = &self.page.as_bytes()[self.at..];
            if rest.starts_with(b">") || rest.starts_with(b"!>") {
                return self.skip_past_angle();
            }
            // `--->`: the last two dashes end it.
            self.at -= 1;
        }
    }

    fn name(&mut self) -> Option<Name> {
        let ends = |&byte: &u8| is_blank(byte) || byte == b'/' || byte == b'>';
        let bytes = self.page.as_bytes();
        let eight = octets::at(bytes, self.at);
        let Words {
            letters, digits, ..
        } = Words::of(eight);
        // Nearly all names are short, and have letters and digits alone.
        let length = octets::before(!(letters | digits) & MARKS);
        if length < 8 && bytes.get(self.at + length).is_some_and(ends) {
            self.at += length;
            return Some(Name::from_eight(eight, length));
        }
        let rest = &bytes[self.at..];
        let length = rest.iter().position(ends)?;
        self.at += length;
        Some(Name::new(&rest[..length]))
    }

    /// Whether the tag ends its element, too; nothing when the page ends first.
    #[inline(never)]
    fn read_attributes(&mut self) -> Option<bool> {
        let bytes = self.page.as_bytes();
        let skip = |at: usize, slash: bool| {
            let mut at = at;
            while bytes
                .get(at)
                .is_some_and(|&b| is_blank(b) || (slash && b == b'/'))
            {
                at += 1;
            }
            at
        };
        self.attributes.clear();
        loop {
            let start = skip(self.at, true);
            if *bytes.get(start)? == b'>' {
                let is_self_closing = start > self.at && bytes[start - 1] == b'/';
                self.at = start + 1;
                return Some(is_self_closing);
            }
            // An equals sign at the start of a name belongs to it.
            let ends = |&b: &u8| is_blank(b) || matches!(b, b'/' | b'>' | b'=');
            let end = start + 1 + bytes[start + 1..].iter().position(ends)?;
            let mut value = end..end;
            self.at = skip(end, false);
            if *bytes.get(self.at)? == b'=' {
                self.at = skip(self.at + 1, false);
                value = self.value()?;
            }
            if self.attributes.len() < ATTRIBUTES_MAX {
                self.attributes.push((start..end, value));
            }
        }
    }

    fn value(&mut self) -> Option<Range<usize>> {
        let bytes = self.page.as_bytes();
        match *bytes.get(self.at)? {
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                let end = start + memchr::memchr(quote, &bytes[start..])?;
                self.at = end + 1;
                Some(start..end)
            }
            _ => {
                let start = self.at;
                self.at += bytes[start..]
                    .iter()
                    .position(|&b| is_blank(b) || b == b'>')?;
                Some(start..self.at)
            }
        }
    }

    /// Everything up to the element's own end tag, or the end of the page.
    fn take_raw(&mut self, name: Name) {
        let bytes = self.page.as_bytes();
        let start = self.at;
        let found = raw::end(&bytes[start..], name.as_bytes(), self.in_noscript);
        self.at = found.map_or(bytes.len(), |end| start + end.at);
        self.raw = start..self.at;
    }
}

pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(page: &str) -> Vec<String> {
        events_as(page, Syntax::Html)
    }

    fn events_as(page: &str, syntax: Syntax) -> Vec<String> {
        let mut scanner = Scanner::new(page, syntax);
        let mut found = Vec::new();
        while let Some(event) = scanner.next() {
            let text = |name: Name| String::from_utf8(name.as_bytes().to_vec()).unwrap();
            found.push(match event {
                Event::Start(name) => format!("{} a={:?}", text(name), scanner.attribute("a")),
                Event::End(name) => format!("/{}", text(name)),
                Event::Raw(_) => format!("raw {}", scanner.raw()),
            });
        }
        found
    }

    #[test]
    fn any_element_may_end_itself_in_xhtml() {
        for (page, wanted) in [
            (
                "<script a='1'/><p>",
                &["script a=Some(\"1\")", "/script", "p a=None"][..],
            ),
            (
                "<title/><style >x</style>",
                &["title a=None", "/title", "style a=None", "raw x", "/style"],
            ),
            (
                "<noscript/><style></noscript></style>",
                &[
                    "noscript a=None",
                    "/noscript",
                    "style a=None",
                    "raw </noscript>",
                    "/style",
                ],
            ),
            ("<![CDATA[a < b <i>]]><p><![CDATA[<i>", &["p a=None"]),
            // The slash belongs to the value.
            ("<xmp a=1/>x", &["xmp a=Some(\"1/\")", "raw x"]),
        ] {
            assert_eq!(events_as(page, Syntax::Xhtml), wanted, "{page}");
        }
        assert_eq!(events("<xmp/><p>"), ["xmp a=None", "raw <p>"]);
    }

    #[test]
    fn any_element_may_end_itself_in_svg_and_mathml() {
        for (page, wanted) in [
            (
                "<svg><title/><path/></svg><xmp/>x",
                &[
                    "svg a=None",
                    "title a=None",
                    "/title",
                    "path a=None",
                    "/path",
                    "/svg",
                    "xmp a=None",
                    "raw x",
                ][..],
            ),
            (
                "<math><style/></math><p>",
                &["math a=None", "style a=None", "/style", "/math", "p a=None"],
            ),
            ("<SVG/><xmp/>x", &["svg a=None", "xmp a=None", "raw x"]),
            (
                "<svg><svg/><xmp/></svg>",
                &[
                    "svg a=None",
                    "svg a=None",
                    "/svg",
                    "xmp a=None",
                    "/xmp",
                    "/svg",
                ],
            ),
            (
                "<svg><title>x</title><xmp/>",
                &[
                    "svg a=None",
                    "title a=None",
                    "raw x",
                    "/title",
                    "xmp a=None",
                    "/xmp",
                ],
            ),
        ] {
            assert_eq!(events(page), wanted, "{page}");
        }
        let deep = format!("{}{}<xmp/>x", "<svg>".repeat(200), "</svg>".repeat(200));
        assert_eq!(events(&deep).last().unwrap(), "raw x");
    }

    #[test]
    fn html_ends_svg_that_it_stands_in_by_mistake_but_not_where_it_may() {
        for (page, wanted) in [
            (
                "<svg><svg><div><xmp/>x",
                &[
                    "svg a=None",
                    "svg a=None",
                    "div a=None",
                    "xmp a=None",
                    "raw x",
                ][..],
            ),
            (
                "<svg><foreignObject><div></foreignObject><xmp/>",
                &[
                    "svg a=None",
                    "foreignobject a=None",
                    "div a=None",
                    "/foreignobject",
                    "xmp a=None",
                    "/xmp",
                ],
            ),
            (
                "<svg><desc><xmp/>x",
                &["svg a=None", "desc a=None", "xmp a=None", "raw x"],
            ),
            (
                "<math><mtext><code></code></mtext><xmp/>",
                &[
                    "math a=None",
                    "mtext a=None",
                    "code a=None",
                    "/code",
                    "/mtext",
                    "xmp a=None",
                    "/xmp",
                ],
            ),
            (
                "<desc><svg></desc><xmp/>",
                &["desc a=None", "svg a=None", "/desc", "xmp a=None", "/xmp"],
            ),
            (
                "<svg><![CDATA[><p>]]><g></svg><![CDATA[><p>",
                &["svg a=None", "g a=None", "/svg", "p a=None"],
            ),
        ] {
            assert_eq!(events(page), wanted, "{page}");
        }
    }

    #[test]
    fn a_script_may_write_scripts_in_a_comment() {
        let inner = "<!-- '<script></script><p>' -->";
        assert_eq!(
            events(&format!("<script>{inner}</script><p>")),
            [
                "script a=None",
                &format!("raw {inner}"),
                "/script",
                "p a=None"
            ]
        );
    }

    #[test]
    fn tags_and_attributes_are_read_as_browsers_do() {
        for (page, wanted) in [
            ("<p a=b>x</p>", &["p a=Some(\"b\")", "/p"][..]),
            ("<P A='x>y' a=z>", &["p a=Some(\"x>y\")"]),
            ("<p a>", &["p a=Some(\"\")"]),
            ("<p/a=1/>", &["p a=Some(\"1/\")"]),
            ("<p b=\"<i a=1>\">", &["p a=None"]),
            ("<p =a=1>", &["p a=None"]),
            (
                "<p a = 1 ><p a=\n'2'>",
                &["p a=Some(\"1\")", "p a=Some(\"2\")"],
            ),
            ("a < b <1> <p>", &["p a=None"]),
            (
                "<!-- <p> --><!--><i><!---><b><!-- x --!><u><!-- ---><s>",
                &["i a=None", "b a=None", "u a=None", "s a=None"],
            ),
            ("<!doctype html><?php <p> ?></ ><br>", &["br a=None"]),
            (
                "<script a=1>if (a<b) '</p>'</script ><p>",
                &[
                    "script a=Some(\"1\")",
                    "raw if (a<b) '</p>'",
                    "/script",
                    "p a=None",
                ],
            ),
            (
                "<title><p></title><style></style>",
                &[
                    "title a=None",
                    "raw <p>",
                    "/title",
                    "style a=None",
                    "raw ",
                    "/style",
                ],
            ),
            (
                "<noscript><iframe a=1/></noscript><p>",
                &[
                    "noscript a=None",
                    "iframe a=Some(\"1/\")",
                    "raw ",
                    "/noscript",
                    "p a=None",
                ],
            ),
            (
                "<noscript></noscript><style></noscript></style>",
                &[
                    "noscript a=None",
                    "/noscript",
                    "style a=None",
                    "raw </noscript>",
                    "/style",
                ],
            ),
            ("<script></scripts>", &["script a=None", "raw </scripts>"]),
            ("<p a='", &[]),
            ("<p a=x", &[]),
            ("<!-- <p>", &[]),
            ("<", &[]),
            (
                "<extraordinarily-long a=1>",
                &["extraordinarily a=Some(\"1\")"],
            ),
        ] {
            assert_eq!(events(page), wanted, "{page}");
        }
    }
}
