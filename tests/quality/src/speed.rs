//! Pages a second on one thread, and the time that pages made to hurt take; the same program natively and in WASM.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use trawl_extract::text::{Mode, TextOptions, extract_text};

use crate::corpus::Page;
use crate::hostile;

/// Times that each page is read; the quickest counts, since everything else on the machine only makes it slower.
const PASSES: usize = 5;

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

/// Measures all of it; the hostile pages only when they are wanted.
pub(crate) fn measure(pages: &[Page], modes: &[(Mode, &str)], with_hostile: bool) -> Speed {
    let mut speed = Speed::default();
    if let Some(page) = pages.first() {
        speed.first_ms = milliseconds(&page.html, &options(page, Mode::Best));
        speed.again_ms = milliseconds(&page.html, &options(page, Mode::Best));
    }
    for (mode, name) in modes {
        let seconds: f64 = pages
            .iter()
            .map(|page| quickest(&page.html, &options(page, *mode)) / 1_000.0)
            .sum();
        let figure = pages.len() as f64 / seconds;
        speed.pages_per_second.push(((*name).to_owned(), figure));
    }
    if with_hostile {
        for page in hostile::pages() {
            let options = TextOptions {
                selector: page.selector,
                ..TextOptions::default()
            };
            let best = quickest(&page.html, &options);
            speed.hostile_ms.push((page.name.to_owned(), best));
        }
    }
    speed
}

fn quickest(html: &str, options: &TextOptions<'_>) -> f64 {
    (0..PASSES)
        .map(|_| milliseconds(html, options))
        .fold(f64::MAX, f64::min)
}

fn milliseconds(html: &str, options: &TextOptions<'_>) -> f64 {
    let started = Instant::now();
    std::hint::black_box(extract_text(html, options).ok());
    started.elapsed().as_secs_f64() * 1_000.0
}

fn options(page: &Page, mode: Mode) -> TextOptions<'_> {
    TextOptions {
        mode,
        selector: None,
        url: Some(&page.truth.url),
    }
}
