//! Type 1, as a worker runs it.

use serde::{Deserialize, Serialize};
use trawl_core::content_type::Form;
use trawl_core::fetch_policy::FetchCode;
use trawl_core::state::{JobError, Kind, Mode};
use trawl_extract::nul;
use trawl_extract::text::{self, Metadata, TextError, TextOptions, TextResult, extract_text};
use trawl_store::Job;
use trawl_wire::result::TextDocument;

use super::written;
use crate::fetch::Page;
use crate::scrape::{Extracted, Extractor};

/// Type 1: the main content as text and Markdown, with metadata.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text;

/// The options that a result was made with, kept beside it so that a later request with others does not get it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Options<'a> {
    mode: Mode,
    selector: Option<std::borrow::Cow<'a, str>>,
}

impl<'a> Options<'a> {
    fn of(job: &'a Job) -> Self {
        Self {
            mode: job.mode,
            selector: job.selector.as_deref().map(Into::into),
        }
    }
}

/// The page's own metadata with what the answer's head and our limits add to it.
#[derive(Serialize)]
struct Extended<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    x_robots_tag: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<&'static str>,
}

impl Extractor for Text {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn is_same_request(&self, job: &Job, meta: &str) -> bool {
        serde_json::from_str::<Options<'_>>(meta).is_ok_and(|options| options == Options::of(job))
    }

    fn extract(&self, job: &Job, page: Page) -> Result<Extracted, JobError> {
        let decoded = page.decode();
        let result = match page.form {
            // Plain text is its own main content.
            Form::Text => {
                let text = nul::without(decoded.text).into_owned();
                TextResult {
                    markdown: text.clone(),
                    text,
                    ..TextResult::default()
                }
            }
            Form::Html | Form::Xhtml | Form::Xml | Form::Json => read(job, &page, &decoded.text)?,
        };
        let metadata = Extended {
            metadata: &result.metadata,
            x_robots_tag: &page.robots_tags,
            truncated: result.truncated,
        };
        let document = TextDocument {
            url: &job.request_url,
            final_url: page.final_url.as_str(),
            status: page.status,
            title: result.title.as_deref(),
            text: &result.text,
            markdown: &result.markdown,
            metadata,
        };
        let meta = serde_json::to_string(&Options::of(job)).unwrap_or_else(|_| "{}".to_owned());
        Ok(Extracted {
            body: written(document.to_json())?,
            gzip: None,
            meta,
        })
    }
}

fn read(job: &Job, page: &Page, html: &str) -> Result<TextResult, JobError> {
    let options = TextOptions {
        mode: match job.mode {
            Mode::Best => text::Mode::Best,
            Mode::Fast => text::Mode::Fast,
        },
        selector: job.selector.as_deref(),
        url: Some(page.final_url.as_str()),
        syntax: page.form.into(),
    };
    extract_text(html, &options).map_err(|error| match error {
        TextError::Selector(_) => FetchCode::InvalidSelector.job_error(Some(error.to_string())),
    })
}
