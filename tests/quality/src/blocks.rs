//! What the block model is trained on: every block's row and the share of its words that belong to the truth.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use trawl_extract::text::training::table;

use crate::corpus::Page;
use crate::score::words;

#[derive(Serialize)]
struct PageTable<'a> {
    id: &'a str,
    page_type: &'a str,
    truth: Vec<String>,
    row: Vec<f32>,
    blocks: Vec<BlockRow>,
}

#[derive(Serialize)]
struct BlockRow {
    row: Vec<f32>,
    words: Vec<String>,
    label: f32,
}

/// Words that a run shared with the truth must have to count out of order.
const SHINGLE_WORDS: usize = 5;
/// Cells of the alignment table; longer pages are aligned by runs only.
const CELLS_MAX: usize = 150_000_000;

/// Writes one JSON line a page.
pub(crate) fn write(pages: &[Page], file: &Path) -> Result<()> {
    let mut out =
        BufWriter::new(std::fs::File::create(file).with_context(|| file.display().to_string())?);
    for page in pages {
        let table = table(&page.html, &page.truth.url);
        let truth = words(&page.truth.main_content);
        let texts: Vec<Vec<String>> = table.texts.iter().map(|text| words(text)).collect();
        let labels = labels(&texts, &truth);
        let rows = table.rows.into_iter().zip(texts).zip(labels);
        let blocks = rows.map(|((row, words), label)| BlockRow { row, words, label });
        let page = PageTable {
            id: &page.truth.id,
            page_type: &page.truth.page_type,
            truth,
            row: table.page,
            blocks: blocks.collect(),
        };
        serde_json::to_writer(&mut out, &page)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The share of each block's words that an alignment of page and truth, or a long run, finds in the truth.
fn labels(blocks: &[Vec<String>], truth: &[String]) -> Vec<f32> {
    let page: Vec<&String> = blocks.iter().flatten().collect();
    let mut found = aligned(&page, truth);
    let shingles: std::collections::HashSet<&[String]> = truth.windows(SHINGLE_WORDS).collect();
    let mut at = 0;
    for block in blocks {
        for (start, window) in block.windows(SHINGLE_WORDS).enumerate() {
            if shingles.contains(window) {
                found[at + start..at + start + SHINGLE_WORDS].fill(true);
            }
        }
        at += block.len();
    }
    let mut at = 0;
    let mut label = |block: &Vec<String>| {
        let hits = found[at..at + block.len()]
            .iter()
            .filter(|hit| **hit)
            .count();
        at += block.len();
        hits as f32 / block.len().max(1) as f32
    };
    blocks.iter().map(&mut label).collect()
}

/// The words of the page on a longest common subsequence with the truth.
fn aligned(page: &[&String], truth: &[String]) -> Vec<bool> {
    let mut found = vec![false; page.len()];
    let width = truth.len() + 1;
    if page.len() * width > CELLS_MAX {
        return found;
    }
    let mut ids = std::collections::HashMap::new();
    let mut id = |word| {
        let next = ids.len() as u32;
        *ids.entry(word).or_insert(next)
    };
    let page: Vec<u32> = page.iter().map(|word| id(word.as_str())).collect();
    let truth: Vec<u32> = truth.iter().map(|word| id(word.as_str())).collect();
    let mut table = vec![0u16; (page.len() + 1) * width];
    for (row, word) in page.iter().enumerate().rev() {
        let (above, below) = table.split_at_mut((row + 1) * width);
        let (current, next) = (&mut above[row * width..], &below[..width]);
        for column in (0..truth.len()).rev() {
            current[column] = if *word == truth[column] {
                next[column + 1] + 1
            } else {
                next[column].max(current[column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < page.len() && column < truth.len() {
        let here = table[row * width + column];
        if page[row] == truth[column] {
            found[row] = true;
            (row, column) = (row + 1, column + 1);
        } else if table[(row + 1) * width + column] == here {
            row += 1;
        } else {
            column += 1;
        }
    }
    found
}
