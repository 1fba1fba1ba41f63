//! Scoring without cheating: the engine's model was trained on these very pages, so each of them is scored by a model of
//! the same make that was trained without it.

use std::collections::HashMap;

use anyhow::{Context, Result};
use trawl_extract::text::training::extract_text_by;
use trawl_extract::text::{TextOptions, TextResult, extract_text};

use crate::corpus::Page;

/// Which page was left out of which model.
const FOLDS: &str = include_str!("../train/folds/folds.json");
const MODELS: [&[u8]; 7] = [
    include_bytes!("../train/folds/0.bin"),
    include_bytes!("../train/folds/1.bin"),
    include_bytes!("../train/folds/2.bin"),
    include_bytes!("../train/folds/3.bin"),
    include_bytes!("../train/folds/4.bin"),
    include_bytes!("../train/folds/5.bin"),
    include_bytes!("../train/folds/6.bin"),
];

/// The models and the pages each has not seen.
pub(crate) struct Unseen {
    folds: HashMap<String, usize>,
}

impl Unseen {
    pub(crate) fn load() -> Result<Unseen> {
        Ok(Unseen {
            folds: serde_json::from_str(FOLDS).context("folds.json")?,
        })
    }

    /// The text of a page by a model that has not seen it; for pages outside of the training set that is the engine's own.
    pub(crate) fn extract(&self, page: &Page, options: &TextOptions<'_>) -> TextResult {
        let model = self
            .folds
            .get(&page.truth.id)
            .and_then(|fold| MODELS.get(*fold));
        let result = match model {
            Some(model) => extract_text_by(model, &page.html, options),
            None => extract_text(&page.html, options),
        };
        // Only a selector can be at fault, and there is none.
        result.unwrap_or_default()
    }
}
