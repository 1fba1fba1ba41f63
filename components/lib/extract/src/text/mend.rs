//! What a choice block by block tears apart or lets through: headings go with their text, items with their list, rows with
//! their table, and what a page hides stays hidden.

use super::analysis::Analysis;
use super::blocks::Block;
use super::hints::{HINTS, Hint};
use super::layout::{FAR, above};
use crate::dom::{Document, NodeId, Tag};

/// With so many words kept that are seen, those that are not seen are left out: elsewhere a script shows the text.
const SEEN_WORDS_MIN: u32 = 25;
/// A heading above another, or at the end of another part of the page than kept text, and code beside such text are kept from
/// these odds on.
const HEADING_ODDS_MIN: f32 = 0.1;
const CODE_ODDS_MIN: f32 = 0.05;
/// The title stands at most so many blocks above the text.
const TITLE_BLOCKS_MAX: usize = 4;
/// Shorter texts in an element named after sharing or advertising are its labels.
const SHARE_WORDS_MAX: u32 = 12;
const ADVERT_WORDS_MAX: u32 = 6;
/// A paragraph with so many tenths of its words in links is one of links.
const TEASER_TENTHS: u32 = 8;
/// Where more than one in so many words of an article stands in such paragraphs, they are what it is about.
const TEASERS_SHARE_MAX: u32 = 4;
/// A page with none of these above or about any block has nothing but its text.
const FRAME: u32 =
    above::NAV | above::HEADER | above::FOOTER | above::ASIDE | above::FORM | above::DIALOG;
const FRAME_HINTS: [Hint; 10] = [
    Hint::Navigation,
    Hint::Footer,
    Hint::Sidebar,
    Hint::Comment,
    Hint::Related,
    Hint::Share,
    Hint::Advert,
    Hint::Consent,
    Hint::Signup,
    Hint::Header,
];

/// Mends the choice; the heading of an article that was left out because it is the title.
pub(super) fn mend(
    document: &Document<'_>,
    analysis: &Analysis,
    odds: &[f32],
    is_article: bool,
    kept: &mut [bool],
) -> Option<NodeId> {
    let page = Page { document, analysis };
    if page.is_plain() {
        page.keep_plain(kept);
    }
    page.drop_labels(kept);
    page.keep_code(odds, kept);
    page.keep_whole(kept);
    // After the lists that they stand above.
    page.keep_headings(odds, kept);
    page.drop_hidden(kept);
    page.drop_popups(kept);
    page.drop_way(kept);
    let mut title = None;
    if is_article {
        title = page.drop_title(kept);
        page.drop_teasers(kept);
    } else {
        page.keep_title(kept);
    }
    page.drop_masthead(kept);
    title.filter(|title| analysis.masthead != Some(*title))
}

struct Page<'a> {
    document: &'a Document<'a>,
    analysis: &'a Analysis,
}

impl Page<'_> {
    fn list(&self) -> &[Block] {
        &self.analysis.blocks.list
    }

    fn flags(&self, block: &Block) -> u32 {
        self.analysis.layout.above[self.document.parent(block.first) as usize]
    }

    /// Whether the page does not show it, by an attribute, or by a style that the name of a summary tells of: there its
    /// words are "show more" and the like.
    fn is_hidden(&self, block: &Block) -> bool {
        let is_summary = self.document.tag(block.container) == Tag::Summary;
        self.flags(block) & above::HIDDEN != 0
            || is_summary && self.analysis.layout.hints_at(block.container, Hint::Hidden)
    }

    /// For each block, how far above it each hint is.
    fn distances(&self) -> &[[u8; HINTS]] {
        &self.analysis.layout.distance
    }

    fn is_in_heading(&self, block: &Block) -> bool {
        self.flags(block) & above::HEADING != 0
    }

    fn heading_level(&self, block: &Block) -> Option<u8> {
        self.document.tag(block.container).heading_level()
    }

    /// Whether nothing on the page stands in a frame around the text: such pages are written by hand, and whole.
    fn is_plain(&self) -> bool {
        let is_framed = |distances: &[u8; HINTS]| {
            FRAME_HINTS
                .iter()
                .any(|hint| distances[*hint as usize] < FAR)
        };
        (self.list().iter().zip(self.distances()))
            .all(|(block, distances)| self.flags(block) & FRAME == 0 && !is_framed(distances))
    }

    /// Keeps all of a plain page but the links above its title.
    fn keep_plain(&self, kept: &mut [bool]) {
        let title = self.analysis.candidates.title_block.unwrap_or(0);
        for (at, block) in self.list().iter().enumerate() {
            let is_link = block.counts.link_chars == block.counts.chars;
            kept[at] |= !(self.is_hidden(block) || is_link && at < title);
        }
    }

    fn drop_labels(&self, kept: &mut [bool]) {
        for (at, kept) in kept.iter_mut().enumerate() {
            *kept &= !self.is_label(at);
        }
    }

    /// Whether a block is but a label of sharing or advertising.
    fn is_label(&self, at: usize) -> bool {
        let words = self.list()[at].counts.words;
        let distance = |hint: Hint| self.distances()[at][hint as usize];
        distance(Hint::Share) <= 2 && words < SHARE_WORDS_MAX
            || distance(Hint::Advert) <= 1 && words < ADVERT_WORDS_MAX
    }

    /// Keeps what stands in a heading right above kept text.
    fn keep_headings(&self, odds: &[f32], kept: &mut [bool]) {
        for at in (1..kept.len()).rev() {
            let heading = at - 1;
            if kept[at] && !kept[heading] && self.is_in_heading(&self.list()[heading]) {
                kept[heading] = odds[heading] > HEADING_ODDS_MIN || self.is_heading_of(heading, at);
            }
        }
    }

    /// Whether a heading is that of the text under it, so that one goes with the other.
    fn is_heading_of(&self, heading: usize, text: usize) -> bool {
        let (above, below) = (&self.list()[heading], &self.list()[text]);
        let is_shown = !self.is_label(heading) && (!self.is_hidden(above) || self.is_hidden(below));
        let is_of_text =
            !self.is_in_heading(below) || self.document.contains(above.container, below.container);
        is_shown && is_of_text && !self.is_apart(heading, text)
    }

    /// Whether the first of two blocks stands in a part of the page that is none of the text and does not reach to the second.
    fn is_apart(&self, first: usize, second: usize) -> bool {
        // Elements named after headers are around headings of parts, too.
        let frame = FRAME & !above::HEADER;
        let only_first = self.flags(&self.list()[first]) & !self.flags(&self.list()[second]);
        let (first, second) = (&self.distances()[first], &self.distances()[second]);
        only_first & frame != 0
            || FRAME_HINTS
                .iter()
                .filter(|hint| **hint != Hint::Header)
                .any(|hint| first[*hint as usize] < FAR && second[*hint as usize] == FAR)
    }

    fn keep_code(&self, odds: &[f32], kept: &mut [bool]) {
        for (at, odds) in odds.iter().enumerate() {
            let is_beside = at > 0 && kept[at - 1] || kept.get(at + 1).copied().unwrap_or(false);
            let is_code = self.flags(&self.list()[at]) & above::CODE != 0;
            kept[at] |= is_code && is_beside && *odds > CODE_ODDS_MIN;
        }
    }

    /// Keeps a whole list of which at least half is kept, and a whole table of which a third is; and terms with what is said
    /// of them.
    fn keep_whole(&self, kept: &mut [bool]) {
        let mut words = vec![(0u32, 0u32)];
        let mut sums = (0, 0);
        for (block, kept) in self.list().iter().zip(kept.iter()) {
            sums.0 += block.counts.words;
            sums.1 += if *kept { block.counts.words } else { 0 };
            words.push(sums);
        }
        for node in 1..self.document.len() {
            let tag = self.document.tag(node);
            // Pages may put each term and what is said of it into an element of their own.
            if tag == Tag::Dl
                || tag == Tag::Div && self.document.tag(self.document.parent(node)) == Tag::Dl
            {
                self.keep_terms(node, &words, kept);
            }
            let times = match tag {
                Tag::Ul | Tag::Ol | Tag::Dl => 2,
                Tag::Table => 3,
                _ => continue,
            };
            let range = self.analysis.layout.blocks_in(self.document, node);
            let all = words[range.end].0 - words[range.start].0;
            let chosen = words[range.end].1 - words[range.start].1;
            if chosen < all && chosen * times >= all {
                for at in range {
                    kept[at] |= !self.is_hidden(&self.list()[at]);
                }
            }
        }
    }

    /// Keeps the terms of a group of which anything is kept, and all that is said of them but what is kept in part.
    /// `words` are those before each block, and those of them that are kept.
    fn keep_terms(&self, list: NodeId, words: &[(u32, u32)], kept: &mut [bool]) {
        let document = self.document;
        let blocks = |node| self.analysis.layout.blocks_in(document, node);
        let chosen = |node| {
            let range = blocks(node);
            words[range.end].1 - words[range.start].1
        };
        let end = document.end(list);
        let mut next = list + 1;
        while next < end {
            // A group: some terms, and what is said of them.
            let (first, mut said, mut is_kept) = (next, false, false);
            while next < end && !(said && document.tag(next) == Tag::Dt) {
                said |= document.tag(next) == Tag::Dd;
                is_kept |= matches!(document.tag(next), Tag::Dt | Tag::Dd) && chosen(next) > 0;
                next = document.end(next);
            }
            let mut member = first;
            while said && is_kept && member < next {
                let tag = document.tag(member);
                if tag == Tag::Dt || tag == Tag::Dd && chosen(member) == 0 {
                    for at in blocks(member) {
                        kept[at] |= !(self.is_hidden(&self.list()[at]) || self.is_label(at));
                    }
                }
                member = document.end(member);
            }
        }
    }

    fn drop_hidden(&self, kept: &mut [bool]) {
        let seen: u32 = self
            .list()
            .iter()
            .zip(kept.iter())
            .filter(|(block, kept)| **kept && !self.is_hidden(block))
            .map(|(block, _)| block.counts.words)
            .sum();
        if seen >= SEEN_WORDS_MIN {
            for (kept, block) in kept.iter_mut().zip(self.list()) {
                *kept &= !self.is_hidden(block);
            }
        }
    }

    /// Whether a block stands in an element named so that has no part in another one.
    fn is_beside(&self, at: usize, hint: Hint, other: NodeId) -> bool {
        let level = self.distances()[at][hint as usize];
        if level == FAR {
            return false;
        }
        let container = self.list()[at].container;
        std::iter::once(container)
            .chain(self.document.ancestors(container))
            .nth(usize::from(level))
            .is_some_and(|named| !self.document.contains(named, other))
    }

    /// Leaves out popups that stand outside of the page's one main part, where that has text: a page of few words is not told
    /// from them by their number.
    fn drop_popups(&self, kept: &mut [bool]) {
        let is_popup = |at: usize| self.distances()[at][Hint::Consent as usize] < FAR;
        if !(0..kept.len()).any(|at| kept[at] && is_popup(at)) {
            return;
        }
        let mut mains = self.document.elements(Tag::Main);
        let (Some(main), None) = (mains.next(), mains.next()) else {
            return;
        };
        let inside = self.analysis.layout.blocks_in(self.document, main);
        if !kept[inside.clone()].contains(&true) {
            return;
        }
        for (at, kept) in kept.iter_mut().enumerate() {
            *kept &= inside.contains(&at) || !self.is_beside(at, Hint::Consent, main);
        }
    }

    /// Leaves out the way from the front page to this one, which stands above its title.
    fn drop_way(&self, kept: &mut [bool]) {
        let Some(title) = self.analysis.candidates.title_block else {
            return;
        };
        let heading = self.list()[title].container;
        if self.document.tag(heading) != Tag::H1 {
            return;
        }
        for (at, kept) in kept.iter_mut().enumerate().take(title) {
            let counts = &self.list()[at].counts;
            let is_link = counts.words > 0 && counts.link_words == counts.words;
            *kept &= !(is_link && self.is_beside(at, Hint::Navigation, heading));
        }
    }

    /// Keeps the page's first heading where the text begins right under it.
    fn keep_title(&self, kept: &mut [bool]) {
        let first = kept.iter().position(|kept| *kept);
        let (Some(title), Some(first)) = (self.analysis.candidates.title_block, first) else {
            return;
        };
        let is_title = self.heading_level(&self.list()[title]) == Some(1);
        if is_title && title < first && first - title <= TITLE_BLOCKS_MAX {
            kept[title] = true;
        }
    }
    /// Leaves out the heading of an article that is its title: the title is a field of its own, and readers expect the
    /// text to be what stands under it.
    fn drop_title(&self, kept: &mut [bool]) -> Option<NodeId> {
        let first = kept.iter().position(|kept| *kept)?;
        let title = self.analysis.candidates.title_block?;
        let block = &self.list()[title];
        let is_title = title <= first + TITLE_BLOCKS_MAX
            && first <= title + TITLE_BLOCKS_MAX
            && self.heading_level(block) == Some(1)
            && block.counts.title_words * 2 >= block.counts.words;
        if !is_title {
            return None;
        }
        kept[title] = false;
        Some(block.container)
    }

    /// Leaves out the paragraphs of an article that are nothing but links to others, unless much of it is such links.
    fn drop_teasers(&self, kept: &mut [bool]) {
        let is_teaser = |block: &Block| {
            let counts = &block.counts;
            counts.link_words * 10 >= counts.words * TEASER_TENTHS
                && counts.words > 0
                && self.flags(block) & (above::LIST | above::TABLE | above::HEADING) == 0
        };
        let (mut all, mut teasers) = (0, 0);
        for (block, _) in self.list().iter().zip(&*kept).filter(|(_, kept)| **kept) {
            all += block.counts.words;
            teasers += if is_teaser(block) {
                block.counts.words
            } else {
                0
            };
        }
        if teasers * TEASERS_SHARE_MAX <= all {
            for (kept, block) in kept.iter_mut().zip(self.list()) {
                *kept &= !is_teaser(block);
            }
        }
    }

    fn drop_masthead(&self, kept: &mut [bool]) {
        let Some(masthead) = self.analysis.masthead else {
            return;
        };
        for at in self.analysis.layout.blocks_in(self.document, masthead) {
            kept[at] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dom::Limits;

    /// The texts that are kept of a page once a choice of some of them is mended, all at odds of nothing.
    fn mended(html: &str, chosen: &[&str]) -> Vec<String> {
        // With a frame around it the page is not kept whole anyway.
        let html = format!("<nav>menu</nav><main>{html}</main>");
        let document = Document::parse(&html, &Limits::default());
        let analysis = Analysis::new(&document, None);
        let texts: Vec<String> = analysis
            .blocks
            .list
            .iter()
            .map(|block| {
                (block.first..block.end)
                    .map(|node| document.text(node))
                    .collect()
            })
            .collect();
        let mut kept: Vec<bool> = texts
            .iter()
            .map(|text| chosen.contains(&text.as_str()))
            .collect();
        let odds = vec![0.0; kept.len()];
        mend(&document, &analysis, &odds, false, &mut kept);
        let found = texts.into_iter().zip(kept).filter(|(_, kept)| *kept);
        found.map(|(text, _)| text).collect()
    }

    #[test]
    fn headings_go_with_the_text_under_them() {
        for (html, kept) in [
            ("<h2>head</h2><p>text</p>", &["head", "text"][..]),
            (
                "<h4>fn retain<div>where</div></h4><p>text</p>",
                &["fn retain", "where", "text"],
            ),
            (
                "<h2>head</h2><dl><dt>term<dd>text</dl>",
                &["head", "term", "text"],
            ),
            (
                "<header class=header><h2>head</h2></header><p>text</p>",
                &["head", "text"],
            ),
            ("<h2 hidden>head</h2><p>text</p>", &["text"]),
            ("<h2 class=share>head</h2><p>text</p>", &["text"]),
            ("<h2 class=advert>head</h2><p>text</p>", &["text"]),
            ("<h2>above</h2><h3>head</h3><p>text</p>", &["head", "text"]),
            ("<aside><h2>head</h2></aside><p>text</p>", &["text"]),
            (
                "<div class=sidebar><h2>head</h2></div><p>text</p>",
                &["text"],
            ),
            ("<aside><h2>head</h2><p>text</p></aside>", &["head", "text"]),
            ("<h2>head</h2><p>between</p><p>text</p>", &["text"]),
        ] {
            assert_eq!(mended(html, &["text"]), kept, "{html}");
        }
    }

    #[test]
    fn popups_and_the_way_to_a_page_are_no_part_of_it() {
        let kept = |html: &str| {
            let document = Document::parse(html, &Limits::default());
            let analysis = Analysis::new(&document, None);
            let mut kept = vec![true; analysis.blocks.list.len()];
            mend(
                &document,
                &analysis,
                &vec![1.0; kept.len()],
                false,
                &mut kept,
            );
            let blocks = analysis
                .blocks
                .list
                .iter()
                .zip(kept)
                .filter(|(_, kept)| *kept);
            let texts = blocks.map(|(block, _)| document.text(block.first).to_owned());
            texts.collect::<Vec<_>>()
        };
        let main = "<main><h1>title</h1><p>text</p><div class=notice>note</div></main>";
        for (frame, others) in [
            (
                "<div id=help-popup><h2>keys</h2><p>press</p></div>",
                &[][..],
            ),
            ("<div class=crumbs><a href=/>home</a></div>", &[]),
            ("<div class=crumbs>you are here</div>", &["you are here"]),
            ("<div class=lead><a href=/>home</a></div>", &["home"]),
        ] {
            let wanted = [others, &["title", "text", "note"]].concat();
            assert_eq!(kept(&format!("<body>{frame}{main}")), wanted, "{frame}");
            // A name of the whole page says nothing of its parts.
            let whole = format!("<body class='modal-open has-menu'>{frame}{main}");
            assert_eq!(kept(&whole), wanted, "{frame}");
        }
        let popup = "<div id=popup>words</div>";
        assert_eq!(
            kept(&format!("<body>{popup}<h1>title</h1>")),
            ["words", "title"]
        );
        assert_eq!(kept(&format!("<body>{popup}<main></main>")), ["words"]);
        let two = format!("<body>{popup}<main>a</main><main>b</main>");
        assert_eq!(kept(&two), ["words", "a", "b"]);
    }

    #[test]
    fn terms_go_with_what_is_said_of_them() {
        let list = |hidden: &str| {
            format!(
                "<dl><dt>one<dd>about one at some length<dt>two<dt {hidden}>zwei<dd>about two at some length\
                <dt>three<dd><p>about three</p><p>and more of it</p><dd>once more</dl>"
            )
        };
        for (chosen, kept) in [
            ("about one at some length", &["one"][..]),
            ("one", &["about one at some length"]),
            ("about two at some length", &["two", "zwei"]),
            ("zwei", &["two", "about two at some length"]),
            ("about three", &["three", "once more"]),
            ("menu", &[]),
        ] {
            let mut found = mended(&list(""), &[chosen]);
            found.retain(|text| text != chosen);
            assert_eq!(found, kept, "{chosen}");
        }
        let grouped = list("")
            .replace("<dt>one", "<div><dt>one")
            .replace("<dt>two", "</div><div><dt>two")
            .replace("<dt>three", "</div><div><dt>three");
        assert_eq!(
            mended(&grouped, &["about one at some length"]),
            ["one", "about one at some length"]
        );
        for attribute in ["hidden", "class=share", "class=advert"] {
            assert_eq!(
                mended(&list(attribute), &["two"]),
                ["two", "about two at some length"],
                "{attribute}"
            );
        }
    }
}
