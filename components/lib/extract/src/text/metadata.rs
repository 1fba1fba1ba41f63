//! What a page says about itself, each field with the place it was found in.

mod author;
mod date;
mod json_ld;
mod scan;
mod title;

use std::collections::BTreeMap;

use serde::Serialize;
use trawl_core::url_guard;
use url::Url;

use super::model::{PageType, TypeOdds};
use crate::dom::{Document, NodeId};
pub(crate) use json_ld::JsonLd;
pub(crate) use scan::Scan;

/// A value and where it was found: `json-ld`, `og`, `meta`, `twitter`, `h1`, `title`, `link`, `microdata`, `time`,
/// `byline`, `html` or `model`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sourced {
    /// The value, with white space collapsed.
    pub value: String,
    /// The place.
    pub source: &'static str,
}

impl Sourced {
    fn new(value: impl AsRef<str>, source: &'static str) -> Option<Sourced> {
        let value = value
            .as_ref()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let length = value.len();
        (length > 0 && length <= FIELD_BYTES_MAX).then_some(Sourced { value, source })
    }
}

/// Longer values are not titles, names or descriptions.
const FIELD_BYTES_MAX: usize = 4_000;
/// OpenGraph properties that are kept.
const OPEN_GRAPH_MAX: usize = 100;

/// The fields of a page; absent ones are left out of the JSON.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Metadata {
    /// The title without the site's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Sourced>,
    /// Who wrote it; several names are joined with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Sourced>,
    /// The day of publication, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<Sourced>,
    /// The page's own summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Sourced>,
    /// A language tag as the page gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Sourced>,
    /// The name of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_name: Option<Sourced>,
    /// The address that the page declares as its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<Sourced>,
    /// The directives of the page's `robots` meta element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robots: Option<Sourced>,
    /// The kind of page that the engine takes this for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_type: Option<Sourced>,
    /// OpenGraph properties without their `og:`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub open_graph: BTreeMap<String, String>,
    /// What JSON-LD says of the article, or of the page's main thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub article: Option<ArticleData>,
}

/// The fields of a JSON-LD article, as far as it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArticleData {
    /// The type, such as `NewsArticle`.
    #[serde(rename = "@type")]
    pub kind: String,
    /// Its headline or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// Its authors' names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// As written.
    #[serde(rename = "datePublished", skip_serializing_if = "Option::is_none")]
    pub date_published: Option<String>,
    /// As written.
    #[serde(rename = "dateModified", skip_serializing_if = "Option::is_none")]
    pub date_modified: Option<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The publisher's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Its section.
    #[serde(rename = "articleSection", skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Its keywords.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// The address of its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Reads the metadata, and which heading the title is, if it is one. `types` says which kind of page it is, and with it whether it may have a date and an author;
/// `masthead` is the heading of the site.
pub(crate) fn read(
    document: &Document<'_>,
    scan: &Scan<'_>,
    json: &JsonLd,
    base: Option<&Url>,
    types: &TypeOdds,
    masthead: Option<NodeId>,
) -> (Metadata, Option<NodeId>) {
    let page_type = types.likeliest();
    let may_be_signed = matches!(
        page_type,
        PageType::Article | PageType::Forum | PageType::Documentation
    );
    let site_name = site_name(scan, json);
    let (title, heading) = title::find(
        document,
        scan,
        json,
        site_name.as_ref().map(|name| name.value.as_str()),
        base,
        masthead,
    )
    .map_or((None, None), |(title, heading)| (Some(title), heading));
    let canonical = scan.canonical.as_deref().map(|href| {
        match base.and_then(|base| url_guard::join(base, href.trim()).ok()) {
            Some(url) => url.to_string(),
            None => href.to_owned(),
        }
    });
    let metadata = Metadata {
        author: author::find(
            document,
            scan,
            json,
            site_name.as_ref().map(|name| name.value.as_str()),
            may_be_signed,
        ),
        date: date::find(document, scan, json, types),
        description: description(scan, json),
        language: language(scan, json),
        canonical: canonical
            .and_then(|href| Sourced::new(href, "link"))
            .or_else(|| {
                scan.meta("og:url")
                    .and_then(|href| Sourced::new(href, "og"))
            }),
        robots: scan
            .meta("robots")
            .and_then(|value| Sourced::new(value, "meta")),
        page_type: Sourced::new(page_type.name(), "model"),
        open_graph: open_graph(scan),
        article: json.article(),
        title,
        site_name,
    };
    (metadata, heading)
}

fn site_name(scan: &Scan<'_>, json: &JsonLd) -> Option<Sourced> {
    let og = scan
        .meta("og:site_name")
        .and_then(|name| Sourced::new(name, "og"));
    og.or_else(|| {
        json.site_name()
            .and_then(|name| Sourced::new(name, "json-ld"))
    })
    .or_else(|| {
        scan.meta("application-name")
            .and_then(|name| Sourced::new(name, "meta"))
    })
}

fn description(scan: &Scan<'_>, json: &JsonLd) -> Option<Sourced> {
    let named = |name: &str, source| {
        scan.meta(name)
            .and_then(|value| Sourced::new(value, source))
    };
    named("description", "meta")
        .or_else(|| named("og:description", "og"))
        .or_else(|| named("twitter:description", "twitter"))
        .or_else(|| {
            json.article()?
                .description
                .and_then(|value| Sourced::new(value, "json-ld"))
        })
}

fn language(scan: &Scan<'_>, json: &JsonLd) -> Option<Sourced> {
    let html = scan
        .language
        .as_deref()
        .and_then(|value| Sourced::new(value, "html"));
    html.or_else(|| {
        scan.meta("content-language")
            .and_then(|value| Sourced::new(value, "meta"))
    })
    .or_else(|| {
        scan.meta("og:locale")
            .and_then(|value| Sourced::new(value.replace('_', "-"), "og"))
    })
    .or_else(|| {
        json.language()
            .and_then(|value| Sourced::new(value, "json-ld"))
    })
}

fn open_graph(scan: &Scan<'_>) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for (name, content) in &scan.metas {
        if let Some(property) = name.strip_prefix("og:")
            && properties.len() < OPEN_GRAPH_MAX
            && content.len() <= FIELD_BYTES_MAX
        {
            properties
                .entry(property.to_owned())
                .or_insert_with(|| content.clone().into_owned());
        }
    }
    properties
}
