//! Element names as one byte, with the properties that the tree builder and the extractors ask for.

/// Longer names are no known ones.
pub(super) const NAME_BYTES_MAX: usize = 15;

/// Packs a name of at most so many bytes and its length into a number, so that names compare in one step.
const fn pack(name: &[u8]) -> u128 {
    let mut padded = [0; NAME_BYTES_MAX + 1];
    let mut at = 0;
    while at < name.len() {
        padded[at] = name[at];
        at += 1;
    }
    pack_padded(padded, name.len())
}

const fn pack_padded(mut padded: [u8; NAME_BYTES_MAX + 1], length: usize) -> u128 {
    padded[NAME_BYTES_MAX] = length as u8;
    u128::from_le_bytes(padded)
}

/// A power of two, several times the number of names.
const PLACES: usize = 1024;

/// The first place of a packed name.
const fn place(packed: u128) -> usize {
    let folded = packed as u64 ^ (packed >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize % PLACES
}

/// A table of what an expression gives for each tag: to look there takes no jump, where a `match` over many names becomes one
/// over a table of jumps in WASM.
macro_rules! by_tag {
    (|$tag:ident| $of:expr) => {{
        let $tag = $crate::dom::Tag::Text;
        let mut table = [$of; 256];
        let mut at = 1;
        while at < $crate::dom::Tag::ALL.len() {
            let $tag = $crate::dom::Tag::ALL[at];
            table[$tag as usize] = $of;
            at += 1;
        }
        table
    }};
}
pub(crate) use by_tag;

macro_rules! tags {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// The kind of a node: text, the root, a known element, or [`Tag::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Tag {
            /// A run of character data.
            Text,
            /// The document itself.
            Root,
            /// An element whose name no rule here asks for.
            Other,
            $(#[doc = concat!("The element `", $name, "`.")] $variant,)*
        }

        const COUNT: usize = [$($name),*].len();

        static NAMES: [(u128, Tag); COUNT] = [$((pack($name.as_bytes()), Tag::$variant)),*];

        impl Tag {
            /// Every kind, [`Tag::Text`] first.
            pub(crate) const ALL: [Tag; COUNT + 3] =
                [Tag::Text, Tag::Root, Tag::Other, $(Tag::$variant),*];

            /// The element's name in lower case; empty for text, root and unknown names.
            pub fn name(self) -> &'static str {
                match self {
                    $(Tag::$variant => $name,)*
                    Tag::Text | Tag::Root | Tag::Other => "",
                }
            }
        }
    };
}

/// For each name its number, counted from one, at a place that the name tells, or the next free one. Made while compiling, so
/// that nothing is built at the first page.
static BY_NAME: [u8; PLACES] = {
    let mut table = [0; PLACES];
    let mut number = 0;
    while number < COUNT {
        let mut place = place(NAMES[number].0);
        while table[place] != 0 {
            place = (place + 1) % PLACES;
        }
        number += 1;
        assert!(number <= u8::MAX as usize);
        table[place] = number as u8;
    }
    table
};

tags! {
    A "a", Abbr "abbr", Address "address", Applet "applet", Area "area", Article "article", Aside "aside", Audio "audio",
    B "b", Base "base", Big "big", Blockquote "blockquote", Body "body", Br "br", Button "button", Canvas "canvas",
    Caption "caption", Center "center", Cite "cite", Code "code", Col "col", Colgroup "colgroup", Dd "dd", Del "del",
    Details "details", Dialog "dialog", Dir "dir", Div "div", Dl "dl", Dt "dt", Em "em", Embed "embed",
    Fieldset "fieldset", Figcaption "figcaption", Figure "figure", Font "font", Footer "footer", Form "form",
    Frame "frame", Frameset "frameset", H1 "h1", H2 "h2", H3 "h3", H4 "h4", H5 "h5", H6 "h6", Head "head",
    Header "header", Hgroup "hgroup", Hr "hr", Html "html", I "i", Iframe "iframe", Img "img", Input "input",
    Ins "ins", Kbd "kbd", Label "label", Legend "legend", Li "li", Link "link", Listing "listing", Main "main",
    Mark "mark", Marquee "marquee", Math "math", Menu "menu", Meta "meta", Nav "nav", Noembed "noembed",
    Noframes "noframes", Noscript "noscript", Object "object", Ol "ol", Optgroup "optgroup", Option "option",
    Output "output", P "p", Picture "picture", Pre "pre", Q "q", S "s", Samp "samp", Script "script",
    Search "search", Section "section", Select "select", Small "small", Source "source", Span "span",
    Strike "strike", Strong "strong", Style "style", Sub "sub", Summary "summary", Sup "sup", Svg "svg",
    Table "table", Tbody "tbody", Td "td", Template "template", Textarea "textarea", Tfoot "tfoot", Th "th",
    Thead "thead", Time "time", Title "title", Tr "tr", Track "track", Tt "tt", U "u", Ul "ul", Var "var",
    Video "video", Wbr "wbr", Xmp "xmp",
}

impl Tag {
    /// The tag for a name of this length in lower case, with zeros behind it.
    pub(super) fn from_padded(name: [u8; NAME_BYTES_MAX + 1], length: usize) -> Tag {
        if length > NAME_BYTES_MAX {
            return Tag::Other;
        }
        Tag::from_packed(pack_padded(name, length))
    }

    /// The tag for a name of less than eight bytes in lower case, the first byte lowest.
    pub(super) fn from_eight(name: u64, length: usize) -> Tag {
        Tag::from_packed(u128::from(name) | (length as u128) << (NAME_BYTES_MAX * 8))
    }

    /// The tag for a name in lower case.
    pub(crate) fn of_name(name: &[u8]) -> Tag {
        let mut padded = [0; NAME_BYTES_MAX + 1];
        let known = name.len().min(NAME_BYTES_MAX);
        padded[..known].copy_from_slice(&name[..known]);
        Tag::from_padded(padded, name.len())
    }

    fn from_packed(packed: u128) -> Tag {
        let mut place = place(packed);
        while let Some(number) = usize::from(BY_NAME[place]).checked_sub(1) {
            let (name, tag) = NAMES[number];
            if name == packed {
                return tag;
            }
            place = (place + 1) % PLACES;
        }
        Tag::Other
    }

    /// The level of a heading, 1 to 6.
    pub const fn heading_level(self) -> Option<u8> {
        let (first, last) = (Tag::H1 as u8, Tag::H6 as u8);
        if first <= self as u8 && self as u8 <= last {
            Some(self as u8 - first + 1)
        } else {
            None
        }
    }

    /// An element that never has content.
    pub const fn is_void(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Area
                | Tag::Base
                | Tag::Br
                | Tag::Col
                | Tag::Embed
                | Tag::Frame
                | Tag::Hr
                | Tag::Img
                | Tag::Input
                | Tag::Link
                | Tag::Meta
                | Tag::Source
                | Tag::Track
                | Tag::Wbr
        ));
        IS[self as usize]
    }

    /// An element whose content is characters up to its own end tag.
    pub const fn is_raw(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Script
                | Tag::Style
                | Tag::Iframe
                | Tag::Noembed
                | Tag::Noframes
                | Tag::Xmp
                | Tag::Textarea
                | Tag::Title
        ));
        IS[self as usize]
    }

    /// An element that starts a line of its own when shown.
    pub const fn is_block(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Root
                | Tag::Html
                | Tag::Body
                | Tag::Address
                | Tag::Article
                | Tag::Aside
                | Tag::Blockquote
                | Tag::Caption
                | Tag::Center
                | Tag::Dd
                | Tag::Details
                | Tag::Dialog
                | Tag::Dir
                | Tag::Div
                | Tag::Dl
                | Tag::Dt
                | Tag::Fieldset
                | Tag::Figcaption
                | Tag::Figure
                | Tag::Footer
                | Tag::Form
                | Tag::H1
                | Tag::H2
                | Tag::H3
                | Tag::H4
                | Tag::H5
                | Tag::H6
                | Tag::Header
                | Tag::Hgroup
                | Tag::Hr
                | Tag::Legend
                | Tag::Li
                | Tag::Listing
                | Tag::Main
                | Tag::Menu
                | Tag::Nav
                | Tag::Ol
                | Tag::Optgroup
                | Tag::Option
                | Tag::P
                | Tag::Pre
                | Tag::Search
                | Tag::Section
                | Tag::Select
                | Tag::Summary
                | Tag::Table
                | Tag::Tbody
                | Tag::Td
                | Tag::Tfoot
                | Tag::Th
                | Tag::Thead
                | Tag::Tr
                | Tag::Ul
                | Tag::Xmp
                | Tag::Textarea
        ));
        IS[self as usize]
    }

    /// A start tag of this kind ends an open paragraph.
    pub(crate) const fn closes_paragraph(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Address
                | Tag::Article
                | Tag::Aside
                | Tag::Blockquote
                | Tag::Center
                | Tag::Details
                | Tag::Dialog
                | Tag::Dir
                | Tag::Div
                | Tag::Dl
                | Tag::Fieldset
                | Tag::Figcaption
                | Tag::Figure
                | Tag::Footer
                | Tag::Header
                | Tag::Hgroup
                | Tag::Main
                | Tag::Menu
                | Tag::Nav
                | Tag::Ol
                | Tag::P
                | Tag::Search
                | Tag::Section
                | Tag::Summary
                | Tag::Ul
                | Tag::H1
                | Tag::H2
                | Tag::H3
                | Tag::H4
                | Tag::H5
                | Tag::H6
                | Tag::Pre
                | Tag::Listing
                | Tag::Form
                | Tag::Table
                | Tag::Hr
                | Tag::Li
                | Tag::Dd
                | Tag::Dt
                | Tag::Xmp
        ));
        IS[self as usize]
    }

    /// What the standard's "any other end tag" walk does not pass.
    pub(crate) const fn is_special(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| (tag.is_block()
            && !matches!(tag, Tag::Option | Tag::Optgroup | Tag::Dialog | Tag::Legend))
            || matches!(
                tag,
                Tag::Applet
                    | Tag::Button
                    | Tag::Marquee
                    | Tag::Object
                    | Tag::Template
                    | Tag::Head
                    | Tag::Noscript
            ));
        IS[self as usize]
    }

    /// What ends the search for an open paragraph or a matching start tag.
    pub(crate) const fn is_scope_boundary(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Root
                | Tag::Html
                | Tag::Applet
                | Tag::Caption
                | Tag::Table
                | Tag::Td
                | Tag::Th
                | Tag::Marquee
                | Tag::Object
                | Tag::Template
        ));
        IS[self as usize]
    }

    /// The formatting elements, which may be closed out of order.
    pub(crate) const fn is_formatting(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::A
                | Tag::B
                | Tag::Big
                | Tag::Code
                | Tag::Em
                | Tag::Font
                | Tag::I
                | Tag::S
                | Tag::Small
                | Tag::Strike
                | Tag::Strong
                | Tag::Tt
                | Tag::U
        ));
        IS[self as usize]
    }

    /// HTML that ends SVG and MathML where it stands in them by mistake (13.2.6.5; `font`, `nobr` and `ruby` are the parser's
    /// to tell). What is raw in HTML is an element like others there.
    pub(crate) const fn ends_foreign(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| (tag.is_block() && !tag.is_raw())
            || matches!(
                tag,
                Tag::Img
                    | Tag::Br
                    | Tag::Span
                    | Tag::B
                    | Tag::I
                    | Tag::Em
                    | Tag::Strong
                    | Tag::Big
                    | Tag::Code
                    | Tag::Embed
                    | Tag::Head
                    | Tag::Meta
                    | Tag::S
                    | Tag::Small
                    | Tag::Strike
                    | Tag::Sub
                    | Tag::Sup
                    | Tag::Tt
                    | Tag::U
                    | Tag::Var
            ));
        IS[self as usize]
    }

    /// What may stand in the head without ending it.
    pub(crate) const fn is_head_content(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Base
                | Tag::Link
                | Tag::Meta
                | Tag::Noscript
                | Tag::Script
                | Tag::Style
                | Tag::Template
                | Tag::Title
                | Tag::Head
                | Tag::Html
                | Tag::Noframes
        ));
        IS[self as usize]
    }

    /// An element whose text nobody reads.
    pub(crate) const fn is_silent(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| matches!(
            tag,
            Tag::Head
                | Tag::Script
                | Tag::Style
                | Tag::Template
                | Tag::Svg
                | Tag::Iframe
                | Tag::Noembed
                | Tag::Noframes
                | Tag::Canvas
                | Tag::Video
                | Tag::Audio
                | Tag::Textarea
                | Tag::Title
                | Tag::Object
                | Tag::Select
        ));
        IS[self as usize]
    }

    /// An element whose text stands apart from what is around it.
    pub(crate) const fn is_apart(self) -> bool {
        static IS: [bool; 256] = by_tag!(
            |tag| tag.is_block() || matches!(tag, Tag::Button | Tag::Label | Tag::Noscript)
        );
        IS[self as usize]
    }

    /// An element of which many alike make a list of cards, posts or results.
    pub(crate) const fn may_repeat(self) -> bool {
        static IS: [bool; 256] = by_tag!(|tag| (tag.is_block() && tag.heading_level().is_none()
            || matches!(tag, Tag::A | Tag::Other | Tag::Span))
            && !matches!(
                tag,
                Tag::P | Tag::Td | Tag::Th | Tag::Dt | Tag::Dd | Tag::Pre
            ));
        IS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Tag;

    fn tag(name: &str) -> Tag {
        Tag::of_name(name.as_bytes())
    }

    #[test]
    fn names_are_found_both_ways() {
        for name in [
            "a",
            "blockquote",
            "div",
            "h6",
            "xmp",
            "figcaption",
            "textarea",
        ] {
            assert_eq!(tag(name).name(), name);
        }
        assert_eq!(tag("my-element"), Tag::Other);
        assert_eq!(tag("p\0"), Tag::Other);
        assert_eq!(tag(""), Tag::Other);
        assert_eq!(tag("an-element-with-a-long-name"), Tag::Other);
        assert_eq!(Tag::H3.heading_level(), Some(3));
        assert_eq!(Tag::Hr.heading_level(), None);
    }
}
