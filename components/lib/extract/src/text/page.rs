//! What the page as a whole says about its kind: its address, its declared types, and what it is made of.

use super::blocks::Blocks;
use super::layout::{Layout, above, at_least_one};
use crate::dom::{Document, Tag};

/// Kinds of pages, as bits of what a page declares or its address suggests.
pub(crate) mod kind {
    pub(crate) const ARTICLE: u32 = 1;
    pub(crate) const PRODUCT: u32 = 1 << 1;
    pub(crate) const LIST: u32 = 1 << 2;
    pub(crate) const FORUM: u32 = 1 << 3;
    pub(crate) const DOCUMENTATION: u32 = 1 << 4;
}

/// Facts about the whole page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageFacts {
    /// Kinds that JSON-LD, microdata or OpenGraph declare.
    pub(crate) declared: u32,
    /// Kinds that the address suggests.
    pub(crate) suggested: u32,
    pub(crate) path_depth: f32,
    /// Words in the last part of the address.
    pub(crate) slug_words: f32,
    pub(crate) has_query: bool,
    pub(crate) paragraphs: f32,
    pub(crate) headings: f32,
    pub(crate) articles: f32,
    pub(crate) code_share: f32,
    pub(crate) prose_share: f32,
    pub(crate) link_share: f32,
    pub(crate) words: f32,
    pub(crate) has_buy_form: bool,
}

/// Words of an address and the kind they suggest.
const ADDRESS_WORDS: &[(&str, u32)] = &[
    ("blog", kind::ARTICLE),
    ("news", kind::ARTICLE),
    ("article", kind::ARTICLE),
    ("articles", kind::ARTICLE),
    ("post", kind::ARTICLE),
    ("posts", kind::ARTICLE),
    ("story", kind::ARTICLE),
    ("product", kind::PRODUCT),
    ("products", kind::PRODUCT),
    ("item", kind::PRODUCT),
    ("itm", kind::PRODUCT),
    ("dp", kind::PRODUCT),
    ("p", kind::PRODUCT),
    ("produkt", kind::PRODUCT),
    ("category", kind::LIST),
    ("categories", kind::LIST),
    ("collection", kind::LIST),
    ("collections", kind::LIST),
    ("c", kind::LIST),
    ("tag", kind::LIST),
    ("tags", kind::LIST),
    ("topics", kind::LIST),
    ("archive", kind::LIST),
    ("search", kind::LIST),
    ("shop", kind::LIST),
    ("list", kind::LIST),
    ("all", kind::LIST),
    ("forum", kind::FORUM),
    ("forums", kind::FORUM),
    ("thread", kind::FORUM),
    ("threads", kind::FORUM),
    ("topic", kind::FORUM),
    ("viewtopic", kind::FORUM),
    ("showthread", kind::FORUM),
    ("discussion", kind::FORUM),
    ("discussions", kind::FORUM),
    ("community", kind::FORUM),
    ("questions", kind::FORUM),
    ("question", kind::FORUM),
    ("comments", kind::FORUM),
    ("t", kind::FORUM),
    ("issues", kind::FORUM),
    ("docs", kind::DOCUMENTATION),
    ("doc", kind::DOCUMENTATION),
    ("documentation", kind::DOCUMENTATION),
    ("api", kind::DOCUMENTATION),
    ("reference", kind::DOCUMENTATION),
    ("guide", kind::DOCUMENTATION),
    ("guides", kind::DOCUMENTATION),
    ("manual", kind::DOCUMENTATION),
    ("learn", kind::DOCUMENTATION),
    ("tutorial", kind::DOCUMENTATION),
    ("help", kind::DOCUMENTATION),
];

/// Types of schema.org and OpenGraph and the kind they declare.
const DECLARED_TYPES: &[(&str, u32)] = &[
    ("Article", kind::ARTICLE),
    ("NewsArticle", kind::ARTICLE),
    ("BlogPosting", kind::ARTICLE),
    ("Report", kind::ARTICLE),
    ("TechArticle", kind::DOCUMENTATION),
    ("APIReference", kind::DOCUMENTATION),
    ("Product", kind::PRODUCT),
    ("ProductGroup", kind::PRODUCT),
    ("CollectionPage", kind::LIST),
    ("ItemList", kind::LIST),
    ("SearchResultsPage", kind::LIST),
    ("Blog", kind::LIST),
    ("DiscussionForumPosting", kind::FORUM),
    ("QAPage", kind::FORUM),
    ("Question", kind::FORUM),
];

impl PageFacts {
    #[inline(never)]
    pub(crate) fn new(
        document: &Document<'_>,
        blocks: &Blocks,
        layout: &Layout,
        url: Option<&str>,
    ) -> PageFacts {
        let mut facts = PageFacts::default();
        facts.read_address(url.unwrap_or_default());
        for node in (1..document.len()).filter(|node| document.tag(*node) != Tag::Text) {
            facts.read_element(document, layout, node);
        }
        let all = layout.sums_in(document, 0);
        facts.words = all.words;
        facts.prose_share = all.prose / at_least_one(all.words);
        facts.link_share = all.link_density();
        for block in &blocks.list {
            if layout.above[block.container as usize] & above::CODE != 0 {
                facts.code_share += block.counts.words as f32 / at_least_one(all.words);
            }
        }
        facts
    }

    fn read_address(&mut self, url: &str) {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (path, query) = path.split_once(['?', '#']).unwrap_or((path, ""));
        self.has_query = !query.is_empty();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        self.path_depth = parts.len() as f32;
        if let Some(last) = parts.last() {
            self.slug_words = last.split(['-', '_', '+']).count() as f32;
        }
        let words = parts
            .iter()
            .flat_map(|part| part.split(['.', '-']))
            .chain(host.split('.').take(2));
        for word in words {
            let found = ADDRESS_WORDS
                .iter()
                .find(|(known, _)| word.eq_ignore_ascii_case(known));
            self.suggested |= found.map_or(0, |(_, kind)| *kind);
        }
    }

    fn read_element(&mut self, document: &Document<'_>, layout: &Layout, node: u32) {
        match document.tag(node) {
            Tag::P => self.paragraphs += 1.0,
            Tag::H2 | Tag::H3 => self.headings += 1.0,
            Tag::Article => self.articles += 1.0,
            Tag::Meta if document.raw_attribute(node, "property") == Some("og:type") => {
                let value = document.raw_attribute(node, "content").unwrap_or_default();
                self.declared |= match value {
                    "article" => kind::ARTICLE,
                    "product" | "og:product" | "product.item" => kind::PRODUCT,
                    "product.group" => kind::LIST,
                    _ => 0,
                };
            }
            Tag::Script if document.raw_attribute(node, "type") == Some("application/ld+json") => {
                let json = document
                    .children(node)
                    .next()
                    .map_or("", |text| document.text(text));
                self.declared |= types_in_json(json);
            }
            tag => {
                if layout.rare.itemtype
                    && let Some(kind) = document.raw_attribute(node, "itemtype")
                {
                    let name = kind.rsplit('/').next().unwrap_or_default();
                    self.declared |= DECLARED_TYPES
                        .iter()
                        .find(|(known, _)| *known == name)
                        .map_or(0, |(_, kind)| *kind);
                }
                if tag == Tag::Form {
                    let action = document.raw_attribute(node, "action").unwrap_or_default();
                    self.has_buy_form |= action.contains("cart") || action.contains("basket");
                }
            }
        }
    }
}

/// The types named in a JSON-LD text, by a scan that does not parse it.
fn types_in_json(json: &str) -> u32 {
    let mut kinds = 0;
    for at in memchr::memmem::find_iter(json.as_bytes(), b"\"@type\"") {
        let rest = json[at + 7..].trim_start_matches([' ', ':', '[', '\n', '\t', '\r']);
        if let Some(name) = rest
            .strip_prefix('"')
            .and_then(|rest| rest.split('"').next())
        {
            kinds |= DECLARED_TYPES
                .iter()
                .find(|(known, _)| *known == name)
                .map_or(0, |(_, kind)| *kind);
        }
    }
    kinds
}
