//! What each element passes on to the blocks in it: hints of names, kinds of ancestors, repetition, and how much text of
//! which kind its subtree holds.

use super::blocks::Blocks;
use super::hints::{self, HINTS, Hint, Hints};
use crate::dom::{Document, NodeId, Tag, by_tag};

/// A distance that says "nowhere above".
pub(crate) const FAR: u8 = 24;
/// Siblings of one shape that make a list of cards, posts or results.
const REPEATED_MIN: u32 = 3;

/// Kinds of ancestors, as bits.
pub(crate) mod above {
    pub(crate) const NAV: u32 = 1;
    pub(crate) const HEADER: u32 = 1 << 1;
    pub(crate) const FOOTER: u32 = 1 << 2;
    pub(crate) const ASIDE: u32 = 1 << 3;
    pub(crate) const MAIN: u32 = 1 << 4;
    pub(crate) const ARTICLE: u32 = 1 << 5;
    pub(crate) const FORM: u32 = 1 << 6;
    pub(crate) const SECTION: u32 = 1 << 7;
    pub(crate) const FIGURE: u32 = 1 << 8;
    pub(crate) const TABLE: u32 = 1 << 9;
    pub(crate) const LIST: u32 = 1 << 10;
    pub(crate) const QUOTE: u32 = 1 << 11;
    pub(crate) const BUTTON: u32 = 1 << 12;
    pub(crate) const NOSCRIPT: u32 = 1 << 13;
    pub(crate) const HIDDEN: u32 = 1 << 14;
    pub(crate) const ARIA_HIDDEN: u32 = 1 << 15;
    pub(crate) const DIALOG: u32 = 1 << 16;
    pub(crate) const LINK: u32 = 1 << 17;
    pub(crate) const CODE: u32 = 1 << 18;
    pub(crate) const DETAILS: u32 = 1 << 19;
    pub(crate) const HEADING: u32 = 1 << 20;
    pub(crate) const PARAGRAPH: u32 = 1 << 21;
    pub(crate) const COUNT: usize = 22;
}

/// Facts about every element, by node.
pub(crate) struct Layout {
    pub(crate) above: Vec<u32>,
    /// What the element's own names hint at, and those together with the ones above it.
    own: Vec<Hints>,
    around: Vec<Hints>,
    /// For each block, how far above it each hint is.
    pub(crate) distance: Vec<[u8; HINTS]>,
    /// Like siblings of the element, where there are enough of them.
    alike: Vec<u32>,
    /// The nearest ancestor (or the element) that has like siblings; the outermost such, too.
    repeated: Vec<NodeId>,
    repeated_outer: Vec<NodeId>,
    /// Blocks that start before this node.
    before: Vec<u32>,
    /// Sums over the blocks before the one with this index.
    sums: Vec<Sums>,
    /// What any element has.
    pub(crate) rare: Rare,
}

/// Attributes that on most pages no element has, so that none needs to be asked for them.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) itemprop: bool,
    pub(crate) itemtype: bool,
    pub(crate) rel_author: bool,
}

/// Sums over a range of blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) blocks: f32,
    pub(crate) words: f32,
    pub(crate) link_words: f32,
    /// Words in blocks that read like running text.
    pub(crate) prose: f32,
    pub(crate) chars: f32,
    pub(crate) commas: f32,
}

impl Sums {
    fn minus(self, other: Sums) -> Sums {
        Sums {
            blocks: self.blocks - other.blocks,
            words: self.words - other.words,
            link_words: self.link_words - other.link_words,
            prose: self.prose - other.prose,
            chars: self.chars - other.chars,
            commas: self.commas - other.commas,
        }
    }

    pub(crate) fn link_density(&self) -> f32 {
        self.link_words / at_least_one(self.words)
    }
}

/// For divisions. In WASM `f32::max` is a call, for the sake of values that are no numbers.
pub(crate) fn at_least_one(value: f32) -> f32 {
    if value > 1.0 { value } else { 1.0 }
}

impl Layout {
    pub(crate) fn new(document: &Document<'_>, blocks: &Blocks) -> Layout {
        let count = document.len() as usize;
        let mut layout = Layout {
            above: vec![0; count],
            own: vec![0; count],
            around: vec![0; count],
            distance: Vec::with_capacity(blocks.list.len()),
            alike: vec![0; count],
            repeated: vec![0; count],
            repeated_outer: vec![0; count],
            before: vec![0; count + 1],
            sums: Vec::with_capacity(blocks.list.len() + 1),
            rare: Rare::default(),
        };
        let shapes = layout.inherit(document);
        for block in &blocks.list {
            let distances = layout.distances(document, block.container);
            layout.distance.push(distances);
        }
        layout.find_repetition(document, &shapes);
        layout.sum(blocks);
        layout
    }

    /// Passes tags and hints from parent to child; the shape of each element.
    #[inline(never)]
    fn inherit(&mut self, document: &Document<'_>) -> Vec<u32> {
        let mut cache = hints::Cache::new();
        let mut shapes = vec![0; document.len() as usize];
        for node in 1..document.len() {
            let at = node as usize;
            let parent = document.parent(node) as usize;
            self.above[at] = self.above[parent];
            let tag = document.tag(node);
            if tag == Tag::Text {
                continue;
            }
            let own = Own::of(document, node, &mut cache, &mut self.rare);
            self.above[at] |= own.above;
            self.own[at] = own.hints;
            self.around[at] = self.around[parent] | own.hints;
            shapes[at] = own.shape;
        }
        shapes
    }

    /// Whether the names of an element hint at this.
    pub(crate) fn hints_at(&self, node: NodeId, hint: Hint) -> bool {
        (self.own[node as usize] >> hint as u32) & 1 != 0
    }

    /// How far above an element each hint is, 0 for its own.
    pub(crate) fn distances(&self, document: &Document<'_>, node: NodeId) -> [u8; HINTS] {
        let mut distances = [FAR; HINTS];
        let mut left = self.around[node as usize];
        let (mut node, mut level) = (node, 0);
        while left != 0 && level < FAR {
            let mut found = self.own[node as usize] & left;
            left &= !found;
            while found != 0 {
                distances[found.trailing_zeros() as usize] = level;
                found &= found - 1;
            }
            node = document.parent(node);
            level += 1;
        }
        distances
    }

    /// The nearest element with like siblings that an element is or stands in, and the outermost, each with their number.
    pub(crate) fn repetitions(&self, node: NodeId) -> [(NodeId, u32); 2] {
        let at = node as usize;
        [self.repeated[at], self.repeated_outer[at]]
            .map(|found| (found, self.alike[found as usize]))
    }

    #[inline(never)]
    fn find_repetition(&mut self, document: &Document<'_>, shapes: &[u32]) {
        let mut children = vec![0u32; document.len() as usize];
        for node in 1..document.len() {
            children[document.parent(node) as usize] += u32::from(document.tag(node).may_repeat());
        }
        let mut order: Vec<(NodeId, u32, NodeId)> = Vec::new();
        for node in 1..document.len() {
            let parent = document.parent(node);
            if children[parent as usize] >= REPEATED_MIN && document.tag(node).may_repeat() {
                order.push((parent, shapes[node as usize], node));
            }
        }
        order.sort_unstable();
        for group in order.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            if group.len() >= REPEATED_MIN as usize {
                for (_, _, node) in group {
                    self.alike[*node as usize] = group.len() as u32;
                }
            }
        }
        for node in 1..document.len() {
            let at = node as usize;
            let parent = document.parent(node) as usize;
            self.repeated[at] = self.repeated[parent];
            self.repeated_outer[at] = self.repeated_outer[parent];
            if self.alike[at] > 0 {
                self.repeated[at] = node;
                if self.repeated_outer[at] == 0 {
                    self.repeated_outer[at] = node;
                }
            }
        }
    }

    fn sum(&mut self, blocks: &Blocks) {
        let mut sums = Sums::default();
        self.sums.push(sums);
        let mut next = 0;
        for (index, block) in blocks.list.iter().enumerate() {
            self.before[next..=block.first as usize].fill(index as u32);
            next = block.first as usize + 1;
            let counts = &block.counts;
            let is_prose = counts.words >= 12 && counts.link_words * 3 < counts.words;
            sums.blocks += 1.0;
            sums.words += counts.words as f32;
            sums.link_words += counts.link_words as f32;
            sums.prose += if is_prose { counts.words as f32 } else { 0.0 };
            sums.chars += counts.chars as f32;
            sums.commas += counts.commas as f32;
            self.sums.push(sums);
        }
        self.before[next..].fill(blocks.list.len() as u32);
    }

    /// The blocks that start in the subtree of `node`.
    pub(crate) fn blocks_in(
        &self,
        document: &Document<'_>,
        node: NodeId,
    ) -> std::ops::Range<usize> {
        self.before[node as usize] as usize..self.before[document.end(node) as usize] as usize
    }

    /// The sums over the subtree of `node`.
    pub(crate) fn sums_in(&self, document: &Document<'_>, node: NodeId) -> Sums {
        self.sums_of(self.blocks_in(document, node))
    }

    /// The sums over a range of blocks.
    pub(crate) fn sums_of(&self, range: std::ops::Range<usize>) -> Sums {
        self.sums[range.end].minus(self.sums[range.start])
    }
}

/// What one element says itself.
struct Own {
    above: u32,
    hints: Hints,
    shape: u32,
}

impl Own {
    fn of(document: &Document<'_>, node: NodeId, cache: &mut hints::Cache, rare: &mut Rare) -> Own {
        static OF_TAG: [u32; 256] = by_tag!(|tag| of_tag(tag));
        let tag = document.tag(node);
        let mut own = Own {
            above: OF_TAG[tag as usize],
            hints: 0,
            shape: tag as u32,
        };
        if tag == Tag::Dialog && document.raw_attribute(node, "open").is_none() {
            own.above |= above::HIDDEN;
        }
        if tag == Tag::Other {
            let name = document.name(node);
            own.hints |= hints::of_names(name);
            own.shape = own.shape.wrapping_mul(31).wrapping_add(name.len() as u32);
        }
        for (name, value) in document.attributes(node) {
            // Names are asked for whatever their case.
            rare.itemprop |= name.eq_ignore_ascii_case("itemprop");
            rare.itemtype |= name.eq_ignore_ascii_case("itemtype");
            match name.as_bytes() {
                b"class" => {
                    own.hints |= cache.of_classes(value);
                    for byte in value
                        .split_ascii_whitespace()
                        .next()
                        .unwrap_or_default()
                        .bytes()
                    {
                        own.shape = own.shape.wrapping_mul(31).wrapping_add(u32::from(byte));
                    }
                }
                b"id" | b"itemprop" | b"role" | b"data-testid" | b"data-component"
                | b"itemtype" => {
                    own.hints |= hints::of_names(value);
                    own.above |= of_role(name, value);
                }
                b"rel" => rare.rel_author |= value == "author",
                b"hidden" => own.above |= above::HIDDEN,
                b"aria-hidden" if value == "true" => own.above |= above::ARIA_HIDDEN,
                b"style" if hides(value) => own.above |= above::HIDDEN,
                _ => {}
            }
        }
        own
    }
}

const fn of_tag(tag: Tag) -> u32 {
    match tag {
        Tag::Nav | Tag::Menu => above::NAV,
        Tag::Header => above::HEADER,
        Tag::Footer => above::FOOTER,
        Tag::Aside => above::ASIDE,
        Tag::Main => above::MAIN,
        Tag::Article => above::ARTICLE,
        Tag::Form | Tag::Fieldset => above::FORM,
        Tag::Section => above::SECTION,
        Tag::Figure | Tag::Figcaption => above::FIGURE,
        Tag::Table => above::TABLE,
        Tag::Ul | Tag::Ol | Tag::Dl => above::LIST,
        Tag::Blockquote => above::QUOTE,
        Tag::Button | Tag::Label => above::BUTTON,
        Tag::Noscript => above::NOSCRIPT,
        Tag::Dialog => above::DIALOG,
        Tag::A => above::LINK,
        Tag::Pre | Tag::Code => above::CODE,
        Tag::Details => above::DETAILS,
        Tag::H1 | Tag::H2 | Tag::H3 | Tag::H4 | Tag::H5 | Tag::H6 => above::HEADING,
        Tag::P => above::PARAGRAPH,
        _ => 0,
    }
}

fn of_role(name: &str, value: &str) -> u32 {
    if name != "role" {
        return 0;
    }
    match value {
        "navigation" | "menu" | "menubar" => above::NAV,
        "banner" => above::HEADER,
        "contentinfo" => above::FOOTER,
        "complementary" => above::ASIDE,
        "main" => above::MAIN,
        "article" => above::ARTICLE,
        "dialog" | "alertdialog" => above::DIALOG,
        "button" => above::BUTTON,
        _ => 0,
    }
}

/// Whether a style attribute hides its element. Of several declarations of one property the last counts.
pub(crate) fn hides(style: &str) -> bool {
    let (mut is_gone, mut is_unseen) = (false, false);
    for declaration in style.split(';') {
        let Some((name, value)) = declaration.split_once(':') else {
            continue;
        };
        let name = name.trim_ascii();
        let (is_set, hiding) = if name.eq_ignore_ascii_case("display") {
            (&mut is_gone, "none")
        } else if name.eq_ignore_ascii_case("visibility") {
            (&mut is_unseen, "hidden")
        } else {
            continue;
        };
        let value = value.trim_ascii_start();
        let end = value.find(|c: char| c.is_ascii_whitespace() || c == '!');
        *is_set = value[..end.unwrap_or(value.len())].eq_ignore_ascii_case(hiding);
    }
    is_gone || is_unseen
}

#[cfg(test)]
mod tests {
    use super::hides;

    #[test]
    fn styles_that_hide() {
        for style in [
            "display:none",
            "DISPLAY : None",
            "color:red;display:none!important;",
            "visibility:\nhidden !important",
            "display:block;display:none",
            "a:b:c;;display;display:none",
        ] {
            assert!(hides(style), "{style}");
        }
        for style in [
            "backface-visibility:hidden",
            "-webkit-backface-visibility:hidden;color:red",
            "--x-display:none",
            "display:none;display:block",
            "display:nonesuch",
            "display-x:none",
            "content:'display';x:none",
            "display",
            "",
        ] {
            assert!(!hides(style), "{style}");
        }
    }
}
