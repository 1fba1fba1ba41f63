//! JSON-LD: the things that a page describes in its scripts.

use serde_json::Value;
use trawl_core::limits::text::JSON_LD_BYTES_MAX;

use super::scan::Scan;
use super::{ArticleData, title};
use crate::dom::Document;
use crate::json_ld;

/// Things that are looked at.
const THINGS_MAX: usize = 2_000;

/// Articles that are compared with the page; more make a list.
const ARTICLES_MAX: usize = 64;

const ARTICLES: [&str; 16] = [
    "Article",
    "NewsArticle",
    "BlogPosting",
    "Report",
    "TechArticle",
    "ScholarlyArticle",
    "OpinionNewsArticle",
    "ReportageNewsArticle",
    "AnalysisNewsArticle",
    "ReviewNewsArticle",
    "SocialMediaPosting",
    "LiveBlogPosting",
    "DiscussionForumPosting",
    "Recipe",
    "Review",
    "MedicalWebPage",
];

/// The parsed scripts, flattened: every object with a type.
#[derive(Default)]
pub(crate) struct JsonLd {
    things: Vec<Value>,
    /// The article, by its place among them.
    article: Option<usize>,
}

impl JsonLd {
    pub(crate) fn new(document: &Document<'_>, scan: &Scan<'_>) -> JsonLd {
        let mut left = JSON_LD_BYTES_MAX;
        let mut json = JsonLd::default();
        for script in &scan.scripts {
            let source = document
                .children(*script)
                .next()
                .map_or("", |text| document.text(text));
            if source.len() > left {
                break;
            }
            left -= source.len();
            if let Some(value) = json_ld::parse(source) {
                json.flatten(value);
            }
        }
        let title = scan.title.map(|title| document.text_content(title));
        json.article = json.first_article(&title.unwrap_or_default());
        json
    }

    /// Takes lists and graphs apart, without recursion.
    fn flatten(&mut self, value: Value) {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(values) => open.extend(values.into_iter().rev()),
                Value::Object(mut object) => {
                    let inner = ["@graph", "mainEntity", "mainEntityOfPage", "subjectOf"];
                    let nested: Vec<Value> =
                        inner.iter().filter_map(|key| object.remove(*key)).collect();
                    if object.contains_key("@type") && self.things.len() < THINGS_MAX {
                        self.things.push(Value::Object(object));
                    }
                    open.extend(nested.into_iter().rev());
                }
                _ => {}
            }
        }
    }

    /// The article that the page is about: one that is called as the page is before the others, which may be what the page
    /// links to, and one of which more is said. Of equal ones the first.
    fn first_article(&self, title: &str) -> Option<usize> {
        let is_article = |thing: &Value| kinds_of(thing).any(|kind| ARTICLES.contains(&kind));
        let articles: Vec<(usize, &Value)> = (self.things.iter().enumerate())
            .filter(|(_, thing)| is_article(thing))
            .take(ARTICLES_MAX)
            .collect();
        let is_one_of_many = articles.len() > 1;
        let best = articles.into_iter().rev().max_by_key(|(_, thing)| {
            let has = |key: &str| thing.get(key).is_some();
            let is_named = is_one_of_many
                && headline_of(thing).is_some_and(|headline| title::agrees(&headline, title));
            let said = (has("datePublished"), has("author"), has("headline"));
            (is_named, said)
        });
        best.map(|(at, _)| at)
    }

    fn of_kind<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        self.things
            .iter()
            .filter(move |thing| kinds_of(thing).any(|kind| kinds.contains(&kind)))
    }

    /// The article, else the first question or other thing that has a headline.
    pub(crate) fn main(&self) -> Option<&Value> {
        let article = self.article.and_then(|at| self.things.get(at));
        article.or_else(|| {
            self.of_kind(&["Question", "Course", "VideoObject", "PodcastEpisode"])
                .next()
        })
    }

    pub(crate) fn article(&self) -> Option<ArticleData> {
        let thing = self.main()?;
        let text = |key: &str| thing.get(key).and_then(text_of);
        Some(ArticleData {
            kind: kinds_of(thing).next().unwrap_or_default().to_owned(),
            headline: text("headline").or_else(|| text("name")),
            authors: self.authors(thing),
            date_published: text("datePublished")
                .or_else(|| text("dateCreated"))
                .or_else(|| text("uploadDate")),
            date_modified: text("dateModified"),
            description: text("description"),
            publisher: thing.get("publisher").and_then(|value| self.name_of(value)),
            section: text("articleSection"),
            keywords: keywords(thing.get("keywords")),
            image: thing.get("image").and_then(image_of),
        })
    }

    /// The date of publication, of the article or else of the page.
    pub(crate) fn date_published(&self) -> Option<String> {
        let of = |thing: &Value| {
            thing
                .get("datePublished")
                .or_else(|| thing.get("dateCreated"))
                .and_then(text_of)
        };
        self.main().and_then(of)
    }

    /// The date of the page as such, which also pages without an author have.
    pub(crate) fn page_date(&self) -> Option<String> {
        self.of_kind(&["WebPage", "ItemPage", "AboutPage", "FAQPage"])
            .find_map(|thing| thing.get("datePublished").and_then(text_of))
    }

    /// The full text of the article, where a page carries it.
    pub(crate) fn body(&self) -> Option<String> {
        let long = |thing: &Value| {
            ["articleBody", "text", "reviewBody"]
                .iter()
                .find_map(|key| thing.get(*key).and_then(text_of))
        };
        self.things.iter().filter_map(long).max_by_key(String::len)
    }

    pub(crate) fn site_name(&self) -> Option<String> {
        self.of_kind(&["WebSite"])
            .find_map(|thing| thing.get("name").and_then(text_of))
    }

    pub(crate) fn language(&self) -> Option<String> {
        self.things
            .iter()
            .find_map(|thing| thing.get("inLanguage").and_then(text_of))
    }

    /// The headline of the article.
    pub(crate) fn headline(&self) -> Option<String> {
        headline_of(self.main()?)
    }

    /// The name of the first product.
    pub(crate) fn product_name(&self) -> Option<String> {
        self.of_kind(&["Product", "ProductGroup"])
            .find_map(|thing| thing.get("name").and_then(text_of))
    }

    /// The authors' names of the main thing.
    pub(crate) fn main_authors(&self) -> Vec<String> {
        self.main()
            .map(|thing| self.authors(thing))
            .unwrap_or_default()
    }

    fn authors(&self, thing: &Value) -> Vec<String> {
        let Some(author) = thing.get("author").or_else(|| thing.get("creator")) else {
            return Vec::new();
        };
        let listed = author
            .as_array()
            .map_or(std::slice::from_ref(author), Vec::as_slice);
        listed
            .iter()
            .take(20)
            .filter_map(|value| self.name_of(value))
            .collect()
    }

    /// A name given as text, as an object, or by reference to another object of the page.
    fn name_of(&self, value: &Value) -> Option<String> {
        if let Some(name) = value
            .get("name")
            .and_then(text_of)
            .or_else(|| value.as_str().and_then(|_| text_of(value)))
        {
            return Some(name);
        }
        let id = value.get("@id")?;
        self.things
            .iter()
            .find(|thing| thing.get("@id") == Some(id))?
            .get("name")
            .and_then(text_of)
    }
}

fn headline_of(thing: &Value) -> Option<String> {
    thing
        .get("headline")
        .or_else(|| thing.get("name"))
        .and_then(text_of)
}

fn kinds_of(thing: &Value) -> impl Iterator<Item = &str> {
    let kind = thing.get("@type");
    let listed = kind
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    kind.and_then(Value::as_str)
        .into_iter()
        .chain(listed.iter().filter_map(Value::as_str))
        .map(|kind| kind.rsplit('/').next().unwrap_or(kind))
}

/// A text, or the first of a list of texts; character references are decoded, since many pages escape twice.
fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Array(values) => values.first()?.as_str()?,
        Value::Object(object) => object
            .get("@value")
            .or_else(|| object.get("name"))?
            .as_str()?,
        _ => return None,
    };
    let text = crate::dom::decode_entities(text.trim(), false);
    (!text.is_empty()).then(|| text.into_owned())
}

fn keywords(value: Option<&Value>) -> Vec<String> {
    let split = |text: &str| {
        text.split(',')
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .take(50)
            .collect()
    };
    match value {
        Some(Value::String(text)) => split(text),
        Some(Value::Array(values)) => values.iter().take(50).filter_map(text_of).collect(),
        _ => Vec::new(),
    }
}

fn image_of(value: &Value) -> Option<String> {
    let first = value
        .as_array()
        .map_or(Some(value), |values| values.first())?;
    first
        .as_str()
        .or_else(|| first.get("url")?.as_str())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::text::{TextOptions, extract_text};

    #[test]
    fn of_several_articles_the_pages_own_is_read() {
        let article = |headline: &str, day: &str, more: &str| {
            format!(
                r#"{{"@type":"NewsArticle","headline":"{headline}","datePublished":"{day}"{more}}}"#
            )
        };
        let own = article("Trams are coming", "2024-05-02", "");
        let like = article("Trams are coming late", "2023-01-01", "");
        let other = article("Buses", "2019-01-01", r#","author":{"name":"John Roe"}"#);
        for (things, expected) in [
            ([&own, &like], "2024-05-02"),
            ([&like, &own], "2023-01-01"),
            ([&own, &other], "2024-05-02"),
            ([&other, &own], "2024-05-02"),
        ] {
            let [one, two] = things;
            let html = format!(
                r#"<title>Trams are coming | Example</title><script type="application/ld+json">[{one},{two}]</script><p>text"#
            );
            let result = extract_text(&html, &TextOptions::default()).unwrap();
            let article = result.metadata.article.unwrap();
            assert_eq!(article.date_published.as_deref(), Some(expected), "{html}");
        }
    }
}
