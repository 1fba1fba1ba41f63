//! `GET /messages/{id}/result`: the stored result in the form that the client wants.

use http::StatusCode;
use http::header::ACCEPT;
use trawl_core::limits::api::JSON_PIECE_BYTES;
use trawl_core::problem::{Code, Problem};
use trawl_core::state::{JobError, Kind, State};
use trawl_store::{ResultLookup, StoredResult};
use trawl_wire::result::{HtmlDocument, HtmlMeta, TextParts};

use super::answer::{Answer, Content, internal, json, unavailable};
use super::messages::message_id;
use super::negotiate::choose;
use super::{Exchange, Handled, no_message};
use crate::ports::Ports;
use crate::result_codec;

const JSON: &str = "application/json";

pub(super) async fn result<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let stored = match exchange
        .store()
        .result(account, message_id(id)?)
        .await
        .map_err(unavailable)?
    {
        ResultLookup::Ready(stored) => stored,
        ResultLookup::NoMessage => return Err(no_message()),
        ResultLookup::NotReady(State::Cancelled) => {
            return Err(Problem::new(
                Code::Cancelled,
                "Queue it again with POST /messages/{id}/retry.",
            ));
        }
        ResultLookup::NotReady(state) => {
            return Err(Problem::new(
                Code::NotReady,
                format!("The message is {state}; ask again later."),
            ));
        }
        ResultLookup::Failed(JobError { code, detail, .. }) => {
            return Err(Problem::new(Code::Failed, format!("{code}: {detail}")));
        }
        ResultLookup::Expired => {
            return Err(Problem::new(
                Code::Expired,
                "Queue it again with POST /messages/{id}/retry.",
            ));
        }
    };
    let accept = exchange
        .request
        .headers()
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let accept = accept.collect::<Vec<_>>().join(",");
    render(stored, Some(&accept)).map(Answer::private)
}

fn render(mut stored: StoredResult, accept: Option<&str>) -> Handled {
    let offered: &[&str] = match stored.kind {
        Kind::Text => &[JSON, "text/plain", "text/markdown"],
        Kind::Html => &["text/html", JSON],
        Kind::Domains => &[JSON],
    };
    let chosen = choose(accept, offered).ok_or_else(|| {
        Problem::new(
            Code::NotAcceptable,
            format!("It can be had as {}.", offered.join(", ")),
        )
    })?;
    let body = result_codec::decode(&stored.encoding, std::mem::take(&mut stored.body))
        .map_err(|error| internal(&error))?;
    match (stored.kind, offered[chosen]) {
        (Kind::Html, JSON) => html_document(&stored, body),
        (Kind::Html, _) => Ok(page(body)),
        (_, JSON) => Ok(Answer::new(StatusCode::OK, JSON, body)),
        (_, media_type) => text(&body, media_type == "text/markdown"),
    }
}

fn text(document: &[u8], is_markdown: bool) -> Handled {
    let parts: TextParts<'_> =
        serde_json::from_slice(document).map_err(|error| internal(&error))?;
    let (content_type, text) = if is_markdown {
        ("text/markdown; charset=utf-8", parts.markdown)
    } else {
        ("text/plain; charset=utf-8", parts.text)
    };
    Ok(Answer::new(StatusCode::OK, content_type, text.into_owned())
        .with("x-content-type-options", "nosniff"))
}

/// A stranger's page from our own origin: the sandbox keeps its scripts from acting here with the reader's rights.
fn page(body: Vec<u8>) -> Answer {
    Answer::new(StatusCode::OK, "text/html; charset=utf-8", body)
        .with(
            "content-security-policy",
            "sandbox; default-src 'none'; style-src 'unsafe-inline'",
        )
        .with("x-content-type-options", "nosniff")
}

fn html_document(stored: &StoredResult, body: Vec<u8>) -> Handled {
    let meta: HtmlMeta<'_> =
        serde_json::from_str(&stored.meta).map_err(|error| internal(&error))?;
    let html = String::from_utf8(body).map_err(|error| internal(&error))?;
    let mut document = HtmlDocument {
        url: &meta.url,
        final_url: &stored.final_url,
        status: stored.http_status,
        charset: &meta.charset,
        content_type: &stored.content_type,
        html: "",
        headers: &meta.headers,
        redirects: &meta.redirects,
        truncated: meta.truncated,
    };
    // One piece either way: then it leaves as every other answer does.
    if html.len() <= JSON_PIECE_BYTES {
        document.html = &html;
        return Ok(json(StatusCode::OK, &document));
    }
    let pieces = document.in_pieces(html).map_err(|error| internal(&error))?;
    Ok(Answer::of(StatusCode::OK, JSON, Content::Pieces(pieces)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(kind: Kind, body: &str, meta: &str) -> StoredResult {
        StoredResult {
            kind,
            final_url: "https://example.org/".into(),
            http_status: 200,
            content_type: "text/html".into(),
            encoding: "identity".into(),
            meta: meta.into(),
            body: body.into(),
        }
    }

    #[track_caller]
    fn check(stored: StoredResult, accept: &str, content_type: &str, body: &str) {
        let answer = render(stored, Some(accept)).unwrap();
        assert_eq!(answer.response.headers()["content-type"], content_type);
        assert_eq!(answer.response.into_body().into_whole(), body);
    }

    #[test]
    fn text_in_three_forms() {
        let document = r##"{"text":"a\nb","markdown":"# a"}"##;
        check(stored(Kind::Text, document, "{}"), "*/*", JSON, document);
        check(
            stored(Kind::Text, document, "{}"),
            "text/plain",
            "text/plain; charset=utf-8",
            "a\nb",
        );
        check(
            stored(Kind::Text, document, "{}"),
            "text/markdown",
            "text/markdown; charset=utf-8",
            "# a",
        );
        assert_eq!(
            render(stored(Kind::Text, document, "{}"), Some("image/png"))
                .unwrap_err()
                .code,
            Code::NotAcceptable
        );
    }

    #[test]
    fn html_in_two_forms() {
        let meta = r#"{"url":"https://example.org/a","charset":"UTF-8","headers":[["etag","x"]]}"#;
        check(
            stored(Kind::Html, "<p>", meta),
            "",
            "text/html; charset=utf-8",
            "<p>",
        );
        let answer = render(stored(Kind::Html, "<p>", meta), Some(JSON)).unwrap();
        let document = answer.response.into_body().into_whole();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(
            (
                &document["html"],
                &document["headers"]["etag"],
                &document["status"]
            ),
            (&"<p>".into(), &"x".into(), &200.into())
        );
    }

    #[test]
    fn a_large_page_as_json_is_never_held_as_a_whole() {
        let html = "\u{1b}".repeat(10 * JSON_PIECE_BYTES);
        let answer = render(
            stored(Kind::Html, &html, r#"{"url":"u","charset":"c"}"#),
            Some(JSON),
        );
        let content = answer.unwrap().response.into_body();
        let bytes = content.bytes();
        let pieces: Vec<_> = content.collect();
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() <= 6 * JSON_PIECE_BYTES + 1_000)
        );
        let whole = pieces.concat();
        assert_eq!(
            whole.len(),
            bytes,
            "the length is stated before it is written"
        );
        let document: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        assert!(document["html"] == html);
    }

    #[test]
    fn a_strangers_page_is_sandboxed() {
        let answer = render(stored(Kind::Html, "<script>", "{}"), None).unwrap();
        assert!(
            answer.response.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("sandbox;")
        );
    }

    #[test]
    fn damage_is_a_fault_of_ours() {
        let mut damaged = stored(Kind::Text, "{}", "{}");
        damaged.encoding = "rot13".into();
        assert_eq!(render(damaged, None).unwrap_err().code, Code::Internal);
        assert_eq!(
            render(stored(Kind::Text, "{", "{}"), Some("text/plain"))
                .unwrap_err()
                .code,
            Code::Internal
        );
    }
}
