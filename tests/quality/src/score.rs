//! The measure: F1 over the multiset of words, and whether title, author and date are right.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use trawl_extract::text::{Mode, Sourced, TextOptions, TextResult};

use crate::corpus::{Page, Truth};
use crate::unseen::Unseen;

/// The figures of one mode over all pages.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) mode: String,
    /// Mean F1 over all pages.
    pub(crate) f1: f64,
    pub(crate) f1_by_type: BTreeMap<String, f64>,
    /// Shares of the pages that have one.
    pub(crate) title: f64,
    pub(crate) author: f64,
    pub(crate) dates_right: usize,
    pub(crate) dates: usize,
    pub(crate) dates_false: usize,
    pub(crate) undated: usize,
}

/// Extracts every page and scores it.
pub(crate) fn run(
    pages: &[Page],
    unseen: &Unseen,
    mode: Mode,
    name: &str,
    details: bool,
) -> Figures {
    let results: Vec<TextResult> = pages
        .iter()
        .map(|page| unseen.extract(page, &options(page, mode)))
        .collect();
    let scores: Vec<[f64; 3]> = pages
        .iter()
        .zip(&results)
        .map(|(page, result)| f1(&result.text, &page.truth.main_content))
        .collect();
    let mut by_type: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (page, score) in pages.iter().zip(&scores) {
        by_type
            .entry(page.truth.page_type.clone())
            .or_default()
            .push(score[2]);
    }
    if details {
        print_details(name, pages, &scores, &results);
    }
    let mut metadata = Metadata::default();
    for (page, result) in pages.iter().zip(&results) {
        metadata.count(&page.truth, result);
    }
    Figures {
        mode: name.to_owned(),
        f1: mean(scores.iter().map(|score| score[2])),
        f1_by_type: by_type
            .into_iter()
            .map(|(kind, scores)| (kind, mean(scores.into_iter())))
            .collect(),
        title: mean(metadata.titles.into_iter()),
        author: mean(metadata.authors.into_iter()),
        dates_right: metadata.dates_right,
        dates: metadata.dates,
        dates_false: metadata.dates_false,
        undated: pages.len() - metadata.dates,
    }
}

/// A page a line with its score, and a line for each field as known and as found.
fn print_details(name: &str, pages: &[Page], scores: &[[f64; 3]], results: &[TextResult]) {
    let field = |field: &Option<Sourced>| {
        field
            .as_ref()
            .map(|field| format!("{} ({})", field.value, field.source))
    };
    for ((page, [precision, recall, f1]), result) in pages.iter().zip(scores).zip(results) {
        let (truth, found) = (&page.truth, &result.metadata);
        let id = &truth.id;
        println!(
            "{name} {id} {} P={precision:.3} R={recall:.3} F1={f1:.3} {}",
            truth.page_type, truth.url
        );
        println!(
            "{name} {id} title {:?} / {:?}",
            truth.title,
            field(&found.title)
        );
        println!(
            "{name} {id} author {:?} / {:?}",
            truth.author,
            field(&found.author)
        );
        println!(
            "{name} {id} date {:?} / {:?}",
            truth.publish_date,
            field(&found.date)
        );
    }
}

fn options(page: &Page, mode: Mode) -> TextOptions<'_> {
    TextOptions {
        mode,
        url: Some(&page.truth.url),
        ..TextOptions::default()
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    if count == 0 {
        0.0
    } else {
        values.sum::<f64>() / count as f64
    }
}

/// The words of a text in lower case: runs of letters, digits and underscores.
pub(crate) fn words(text: &str) -> Vec<String> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    text.to_lowercase()
        .split(|character| !is_word(character))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Precision, recall and F1 of a text's words.
fn f1(text: &str, truth: &str) -> [f64; 3] {
    let (found, wanted) = (words(text), words(truth));
    if found.is_empty() || wanted.is_empty() {
        let score = f64::from(u8::from(found.is_empty() && wanted.is_empty()));
        return [score; 3];
    }
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for word in &wanted {
        *counts.entry(word).or_default() += 1;
    }
    let mut shared = 0.0;
    for word in &found {
        if let Some(left) = counts.get_mut(word.as_str()).filter(|left| **left > 0) {
            *left -= 1;
            shared += 1.0;
        }
    }
    let (precision, recall) = (shared / found.len() as f64, shared / wanted.len() as f64);
    let sum = precision + recall;
    [
        precision,
        recall,
        if sum > 0.0 {
            2.0 * precision * recall / sum
        } else {
            0.0
        },
    ]
}

#[derive(Default)]
struct Metadata {
    titles: Vec<f64>,
    authors: Vec<f64>,
    dates_right: usize,
    dates: usize,
    dates_false: usize,
}

impl Metadata {
    fn count(&mut self, truth: &Truth, result: &TextResult) {
        let known = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
        if let Some(title) = known(&truth.title) {
            self.titles
                .push(is_alike(result.title.as_deref(), &title, 0.75));
        }
        let value = |field: &Option<Sourced>| field.as_ref().map(|field| field.value.clone());
        if let Some(author) = known(&truth.author) {
            self.authors.push(is_alike(
                value(&result.metadata.author).as_deref(),
                &author,
                0.5,
            ));
        }
        let found = value(&result.metadata.date);
        match known(&truth.publish_date) {
            Some(date) => {
                self.dates += 1;
                self.dates_right +=
                    usize::from(found.is_some_and(|found| found.get(..10) == date.get(..10)));
            }
            None => self.dates_false += usize::from(found.is_some()),
        }
    }
}

fn is_alike(found: Option<&str>, wanted: &str, share_min: f64) -> f64 {
    let (found, wanted) = (words(found.unwrap_or_default()), words(wanted));
    if found == wanted {
        return 1.0;
    }
    let (found, wanted): (BTreeSet<_>, BTreeSet<_>) =
        (found.into_iter().collect(), wanted.into_iter().collect());
    let shared = found.intersection(&wanted).count() as f64;
    let all = found.union(&wanted).count() as f64;
    f64::from(u8::from(all > 0.0 && shared / all >= share_min))
}
