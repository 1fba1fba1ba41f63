//! Pages a second on one thread by scraper type, and the time that pages made to hurt take; the same program natively and in
//! WASM.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trawl_core::content_type::Form;
use trawl_extract::charset::{self, Hints};
use trawl_extract::domains::related_domains;
use trawl_extract::html;
use trawl_extract::text::{Mode, TextOptions, extract_text};
use url::Url;

use crate::corpus::Page;
use crate::hostile;

/// Times that each page is read; the quickest counts, since everything else on the machine only makes it slower.
const PASSES: usize = 5;

/// What a scraper does with a page.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Text(Mode),
    Html,
    Domains,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::Text(Mode::Best) => "type 1 best",
            Work::Text(Mode::Fast) => "type 1 fast",
            Work::Html => "type 2",
            Work::Domains => "type 3",
        }
    }

    /// Does it, from the bytes that came; `selector` is for the text alone.
    fn run(self, bytes: &[u8], url: &Url, selector: Option<&str>) {
        let hints = Hints {
            http_charset: None,
            tld: charset::tld(url),
            form: Form::Html,
        };
        match self {
            Work::Text(mode) => {
                let options = TextOptions {
                    mode,
                    selector,
                    url: Some(url.as_str()),
                    syntax: hints.form.into(),
                };
                let decoded = charset::decode(bytes, &hints);
                black_box(extract_text(&decoded.text, &options).ok());
            }
            Work::Html => {
                black_box(html::page(bytes, &hints));
            }
            Work::Domains => {
                let decoded = charset::decode(bytes, &hints);
                black_box(related_domains(
                    &decoded.text,
                    hints.form.into(),
                    url,
                    &[],
                    &[],
                ));
            }
        }
    }
}

/// What was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Speed {
    /// By mode.
    pub(crate) pages_per_second: Vec<(String, f64)>,
    /// The first page of a fresh instance, and the same page once more, in milliseconds.
    pub(crate) first_ms: f64,
    pub(crate) again_ms: f64,
    /// Milliseconds by hostile page.
    pub(crate) hostile_ms: Vec<(String, f64)>,
}

/// Measures all of it, the text in these modes; the hostile pages only when they are wanted.
pub(crate) fn measure(pages: &[Page], modes: &[(Mode, &str)], with_hostile: bool) -> Result<Speed> {
    let mut speed = Speed::default();
    // Some pages of the corpus have no address.
    let nowhere = Url::parse("https://www.example.org/page")?;
    let url = |page: &Page| Url::parse(&page.truth.url).unwrap_or_else(|_| nowhere.clone());
    let works: Vec<Work> = modes
        .iter()
        .map(|(mode, _)| Work::Text(*mode))
        .chain([Work::Html, Work::Domains])
        .collect();
    if let Some(page) = pages.first() {
        let once = || milliseconds(|| works[0].run(page.html.as_bytes(), &url(page), None));
        speed.first_ms = once();
        speed.again_ms = once();
    }
    for work in &works {
        let seconds: f64 = pages
            .iter()
            .map(|page| {
                let url = url(page);
                quickest(|| work.run(page.html.as_bytes(), &url, None)) / 1_000.0
            })
            .sum();
        let figure = pages.len() as f64 / seconds;
        speed
            .pages_per_second
            .push((work.name().to_owned(), figure));
    }
    if with_hostile {
        speed.hostile_ms = hostile(&nowhere);
    }
    Ok(speed)
}

/// Each hostile page in each type; those with a selector are for the text alone.
fn hostile(url: &Url) -> Vec<(String, f64)> {
    let mut figures = Vec::new();
    for page in hostile::pages() {
        for work in [Work::Text(Mode::Best), Work::Html, Work::Domains] {
            if page.selector.is_some() && !matches!(work, Work::Text(_)) {
                continue;
            }
            let best = quickest(|| work.run(page.html.as_bytes(), url, page.selector));
            figures.push((format!("{}, {}", page.name, work.name()), best));
        }
    }
    figures
}

fn quickest(work: impl Fn()) -> f64 {
    (0..PASSES)
        .map(|_| milliseconds(&work))
        .fold(f64::MAX, f64::min)
}

fn milliseconds(work: impl Fn()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1_000.0
}
