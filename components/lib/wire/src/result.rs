//! Results as they are stored and answered. The scrapers write these, the API reads them, so both sides
//! share one definition:
//!
//! - type 1: the stored body is a [`TextDocument`] as JSON, which is also the JSON answer, byte for byte;
//! - type 2: the stored body is the page as UTF-8; the stored `meta` is an [`HtmlMeta`] as JSON;
//! - type 3: the stored body is a [`DomainsDocument`] as JSON, which is also the answer, byte for byte.
//!
//! `meta` is `{}` for types 1 and 3.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trawl_core::limits::api::JSON_PIECE_BYTES;

use crate::string;

/// Type 1. `metadata` is the extractor's own JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct TextDocument<'a, M: Serialize> {
    /// What was asked for.
    pub url: &'a str,
    /// Where the redirects ended.
    pub final_url: &'a str,
    /// The HTTP status of the page.
    pub status: u16,
    /// The page's title.
    pub title: Option<&'a str>,
    /// The main content as text.
    pub text: &'a str,
    /// The main content as Markdown.
    pub markdown: &'a str,
    /// Title, author, date and the like with their sources.
    pub metadata: M,
}

/// What stands before the texts of a [`TextDocument`].
#[derive(Serialize)]
struct TextHead<'a> {
    url: &'a str,
    final_url: &'a str,
    status: u16,
    title: Option<&'a str>,
}

/// Room for what is no text in the JSON of a [`TextDocument`]; it may take more.
const HEAD_AND_METADATA_BYTES: usize = 2_048;

impl<M: Serialize> TextDocument<'_, M> {
    /// The document as JSON: the bytes that `serde_json` makes of it, in a fraction of the time.
    ///
    /// # Errors
    /// When the metadata cannot be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let texts = self.text.len() + self.markdown.len();
        let mut json = Vec::with_capacity(texts + texts / 16 + HEAD_AND_METADATA_BYTES);
        let head = TextHead {
            url: self.url,
            final_url: self.final_url,
            status: self.status,
            title: self.title,
        };
        serde_json::to_writer(&mut json, &head)?;
        // The object goes on.
        json.pop();
        json.extend_from_slice(b",\"text\":");
        string::push(self.text, &mut json);
        json.extend_from_slice(b",\"markdown\":");
        string::push(self.markdown, &mut json);
        json.extend_from_slice(b",\"metadata\":");
        serde_json::to_writer(&mut json, &self.metadata)?;
        json.push(b'}');
        Ok(json)
    }
}

/// The two texts of a stored [`TextDocument`], for `text/plain` and `text/markdown`.
#[derive(Debug, Clone, Deserialize)]
pub struct TextParts<'a> {
    /// The main content as text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// The main content as Markdown.
    #[serde(borrow)]
    pub markdown: Cow<'a, str>,
}

/// What is stored beside a type 2 page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HtmlMeta<'a> {
    /// What was asked for.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    /// The encoding that the bytes were decoded from, by its WHATWG name.
    #[serde(borrow)]
    pub charset: Cow<'a, str>,
    /// The response headers, in order; names in lower case.
    #[serde(borrow, default)]
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The URLs that redirected, in order.
    #[serde(default)]
    pub redirects: Vec<String>,
    /// True when the page was cut at a limit.
    #[serde(default)]
    pub truncated: bool,
}

/// Type 2 as `application/json`.
#[derive(Debug, Clone, Serialize)]
pub struct HtmlDocument<'a> {
    /// What was asked for.
    pub url: &'a str,
    /// Where the redirects ended.
    pub final_url: &'a str,
    /// The HTTP status of the page.
    pub status: u16,
    /// The encoding that the bytes were decoded from.
    pub charset: &'a str,
    /// As the server sent it.
    pub content_type: &'a str,
    /// The page.
    pub html: &'a str,
    /// The response headers; repeated ones joined with `, `.
    #[serde(serialize_with = "joined")]
    pub headers: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// The URLs that redirected, in order.
    pub redirects: &'a [String],
    /// True when the page was cut at a limit.
    pub truncated: bool,
}

impl HtmlDocument<'_> {
    /// The document as JSON, with `page` in the place of `html`: the bytes that `serde_json` makes of it, one piece at a time.
    ///
    /// # Errors
    /// When what stands beside the page cannot be written as JSON.
    pub fn in_pieces(&self, page: String) -> serde_json::Result<JsonPieces> {
        // Its quotes are not escaped: no text before it can hold it.
        const PLACE: &[u8] = b"\"html\":\"";
        let mut before = serde_json::to_vec(&HtmlDocument { html: "", ..*self })?;
        let place = before.windows(PLACE.len()).position(|seen| seen == PLACE);
        let after = before.split_off(place.map_or(before.len(), |at| at + PLACE.len()));
        let bytes = before.len() + string::escaped_length(page.as_bytes()) + after.len();
        Ok(JsonPieces {
            before,
            text: page.into_bytes(),
            written: 0,
            after,
            bytes,
        })
    }
}

/// A document of JSON that is written while it is sent. One text is nearly all of it, and escaped it may have six times the length:
/// whoever holds the document as a whole holds that much, for as long as its reader likes.
#[derive(Debug, Clone)]
pub struct JsonPieces {
    before: Vec<u8>,
    text: Vec<u8>,
    /// Bytes of `text` that are written.
    written: usize,
    after: Vec<u8>,
    bytes: usize,
}

impl JsonPieces {
    /// Bytes of the whole document.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Iterator for JsonPieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let rest = &self.text[self.written..];
        let text = &rest[..rest.len().min(JSON_PIECE_BYTES)];
        let mut piece = std::mem::take(&mut self.before);
        piece.reserve(text.len() + self.after.len());
        string::escape(text, &mut piece);
        self.written += text.len();
        if self.written == self.text.len() {
            piece.append(&mut self.after);
        }
        (!piece.is_empty()).then_some(piece)
    }
}

/// Headers as an object whose repeated names are joined (RFC 9110 5.3); `set-cookie` too, since this is for reading.
fn joined<S: serde::Serializer>(
    headers: &[(Cow<'_, str>, Cow<'_, str>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut merged: Vec<(&str, String)> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        match merged.iter_mut().find(|(seen, _)| seen == name) {
            Some((_, all)) => {
                all.push_str(", ");
                all.push_str(value);
            }
            None => merged.push((name, value.clone().into_owned())),
        }
    }
    serializer.collect_map(merged)
}

/// Type 3. `domains` is the extractor's own list.
#[derive(Debug, Clone, Serialize)]
pub struct DomainsDocument<'a, D: Serialize> {
    /// What was asked for.
    pub url: &'a str,
    /// Where the redirects ended.
    pub final_url: &'a str,
    /// The registrable domain of the page.
    pub domain: Option<&'a str>,
    /// The domains it relates to.
    pub domains: D,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_json_that_serde_makes_of_it() {
        for title in [None, Some("A \"title\"")] {
            let document = TextDocument {
                url: "https://example.org/\\",
                final_url: "https://example.org/",
                status: 200,
                title,
                text: "One\ntwo \"three\"\u{1}",
                markdown: "# One\n\ntwo",
                metadata: serde_json::json!({"language": {"value": "en"}}),
            };
            assert_eq!(
                document.to_json().unwrap(),
                serde_json::to_vec(&document).unwrap()
            );
        }
    }

    #[test]
    fn repeated_headers_are_joined() {
        let headers = [
            ("a".into(), "1".into()),
            ("b".into(), "2".into()),
            ("a".into(), "3".into()),
        ];
        let document = HtmlDocument {
            url: "u",
            final_url: "f",
            status: 200,
            charset: "UTF-8",
            content_type: "text/html",
            html: "<p>",
            headers: &headers,
            redirects: &[],
            truncated: false,
        };
        let json: serde_json::Value = serde_json::to_value(&document).unwrap();
        assert_eq!(json["headers"], serde_json::json!({"a": "1, 3", "b": "2"}));
    }

    #[test]
    fn a_page_in_pieces_is_the_json_that_serde_makes_of_it() {
        let headers = [("a".into(), "\"1\"".into()), ("a".into(), "2".into())];
        let redirects = ["https://example.org/\\".to_owned()];
        let sign = "é\u{1b}\"\n";
        for count in [0, 1, 3 * JSON_PIECE_BYTES / sign.len()] {
            let page = sign.repeat(count);
            let document = HtmlDocument {
                url: "u\"",
                final_url: "f",
                status: 200,
                charset: "UTF-8",
                content_type: "text/html",
                html: &page,
                headers: &headers,
                redirects: &redirects,
                truncated: true,
            };
            let whole = serde_json::to_vec(&document).unwrap();
            let pieces = document.in_pieces(page.clone()).unwrap();
            assert_eq!(pieces.bytes(), whole.len());
            let pieces: Vec<_> = pieces.collect();
            assert!(
                pieces
                    .iter()
                    .all(|piece| piece.len() < 7 * JSON_PIECE_BYTES)
            );
            assert_eq!(pieces.len(), page.len().div_ceil(JSON_PIECE_BYTES).max(1));
            assert!(pieces.concat() == whole, "{count} signs");
        }
    }

    #[test]
    fn the_texts_come_out_of_a_stored_document() {
        let document = TextDocument {
            url: "u",
            final_url: "f",
            status: 200,
            title: None,
            text: "a\n\"b\"",
            markdown: "# a",
            metadata: serde_json::json!({"x": 1}),
        };
        let stored = serde_json::to_vec(&document).unwrap();
        let parts: TextParts<'_> = serde_json::from_slice(&stored).unwrap();
        assert_eq!(
            (parts.text.as_ref(), parts.markdown.as_ref()),
            ("a\n\"b\"", "# a")
        );
    }

    #[test]
    fn html_meta_comes_back_with_escapes() {
        let meta = HtmlMeta {
            url: "u\"x".into(),
            charset: "Shift_JIS".into(),
            headers: vec![("etag".into(), "\"1\"".into())],
            ..HtmlMeta::default()
        };
        let stored = serde_json::to_string(&meta).unwrap();
        let back: HtmlMeta<'_> = serde_json::from_str(&stored).unwrap();
        assert_eq!(back.url, "u\"x");
        assert_eq!(back.headers[0].1, "\"1\"");
    }
}
