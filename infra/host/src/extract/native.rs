//! The extraction as machine code: the crate that the scrapers are made of, without the component around it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use trawl_core::content_type::{self, ContentType, Form};
use trawl_core::state::Kind;
use trawl_extract::charset::{self, Hints};
use trawl_extract::domains::related_domains;
use trawl_extract::html;
use trawl_extract::text::{Metadata, Mode, TextOptions, TextResult, extract_text};
use trawl_wire::result::{DomainsDocument, HtmlDocument, TextDocument};

use super::Page;

/// The status that a page from a file is given.
const STATUS: u16 = 200;

/// The document that the API would answer with for this page.
///
/// # Errors
/// A page of a kind that this type does not read.
pub(super) fn extract(page: &Page<'_>) -> anyhow::Result<Value> {
    let kind = match page.kind {
        1 => Kind::Text,
        2 => Kind::Html,
        _ => Kind::Domains,
    };
    let form =
        content_type::accept(kind, Some(page.content_type), &page.bytes).map_err(|code| {
            anyhow::anyhow!("type {} does not read this: {}", page.kind, code.code())
        })?;
    let declared =
        ContentType::parse(page.content_type).and_then(|content_type| content_type.charset);
    let hints = Hints {
        http_charset: declared.as_deref(),
        tld: charset::tld(page.url),
        form,
    };
    Ok(match kind {
        Kind::Text => text(page, &hints)?,
        Kind::Html => whole(page, &hints)?,
        Kind::Domains => domains(page, &hints)?,
    })
}

/// The page's own metadata with what our limits add to it, as the component gives it.
#[derive(Serialize)]
struct Extended<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<&'static str>,
}

fn text(page: &Page<'_>, hints: &Hints<'_>) -> anyhow::Result<Value> {
    let decoded = charset::decode(&page.bytes, hints);
    let url = page.url.as_str();
    let result = if hints.form == Form::Text {
        TextResult {
            markdown: decoded.text.to_string(),
            text: decoded.text.into_owned(),
            ..TextResult::default()
        }
    } else {
        let mode = if page.is_fast { Mode::Fast } else { Mode::Best };
        extract_text(
            &decoded.text,
            &TextOptions {
                mode,
                selector: None,
                url: Some(url),
                syntax: hints.form.into(),
            },
        )?
    };
    Ok(serde_json::to_value(TextDocument {
        url,
        final_url: url,
        status: STATUS,
        title: result.title.as_deref(),
        text: &result.text,
        markdown: &result.markdown,
        metadata: Extended {
            metadata: &result.metadata,
            truncated: result.truncated,
        },
    })?)
}

fn whole(page: &Page<'_>, hints: &Hints<'_>) -> anyhow::Result<Value> {
    let decoded = html::page(&page.bytes, hints);
    // All that a file was served with, as far as anybody knows.
    let headers = [(Cow::from("content-type"), Cow::from(page.content_type))];
    Ok(serde_json::to_value(HtmlDocument {
        url: page.url.as_str(),
        final_url: page.url.as_str(),
        status: STATUS,
        charset: decoded.charset,
        content_type: page.content_type,
        html: &decoded.html,
        headers: &headers,
        redirects: &[],
        truncated: false,
    })?)
}

fn domains(page: &Page<'_>, hints: &Hints<'_>) -> anyhow::Result<Value> {
    let decoded = charset::decode(&page.bytes, hints);
    let result = related_domains(&decoded.text, hints.form.into(), page.url, &[], &[]);
    Ok(serde_json::to_value(DomainsDocument {
        url: &result.url,
        final_url: &result.final_url,
        domain: result.domain.as_deref(),
        domains: &result.domains,
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted(kind: u8, html: &str) -> Value {
        let url = "https://www.example.org/a".parse().unwrap();
        let page = Page {
            kind,
            is_fast: false,
            url: &url,
            content_type: "text/html",
            bytes: html.as_bytes().to_vec(),
        };
        extract(&page).unwrap()
    }

    #[test]
    fn a_page_that_a_limit_cut_says_so() {
        let text = extracted(1, &"<p>Some words.".repeat(10_001));
        assert_eq!(text["metadata"]["truncated"], "blocks");
        let whole = extracted(1, "<p>Some words.");
        assert!(whole["metadata"].get("truncated").is_none(), "{whole}");
    }

    #[test]
    fn each_type_gives_its_document() {
        let html = "<!doctype html><title>T</title><body><p>Some words.</p><a href='https://other.example/x'>x</a>";
        let text = extracted(1, html);
        assert!(
            text["text"].as_str().unwrap().contains("Some words."),
            "{text}"
        );
        let whole = extracted(2, html);
        assert_eq!(whole["html"], html);
        assert_eq!(whole["headers"]["content-type"], "text/html");
        let domains = extracted(3, html);
        assert_eq!(domains["domain"], "example.org");
        assert!(
            domains["domains"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["domain"] == "other.example"),
            "{domains}"
        );
    }
}
