//! `quality PAGES_DIR [--mode fast|best] [--json FILE] [--check FILE]`: how well and how fast the text engine does on pages
//! whose text is known. `PAGES_DIR` holds `truth.jsonl` and `html/ID.html.gz`.
//!
//! `quality PAGES_DIR --blocks FILE` writes what the block model is trained on instead (see `train/README.md`).

mod blocks;
mod corpus;
mod report;
mod score;
mod unseen;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use trawl_extract::text::Mode;

struct Arguments {
    pages: PathBuf,
    modes: Vec<(Mode, &'static str)>,
    json: Option<PathBuf>,
    check: Option<PathBuf>,
    blocks: Option<PathBuf>,
    details: bool,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = std::env::args().skip(1);
    let mut parsed = Arguments {
        pages: PathBuf::new(),
        modes: vec![(Mode::Best, "best"), (Mode::Fast, "fast")],
        json: None,
        check: None,
        blocks: None,
        details: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .with_context(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--mode" => {
                let wanted = value()?;
                parsed.modes.retain(|(_, name)| *name == wanted);
                if parsed.modes.is_empty() {
                    bail!("--mode is fast or best");
                }
            }
            "--json" => parsed.json = Some(value()?.into()),
            "--check" => parsed.check = Some(value()?.into()),
            "--blocks" => parsed.blocks = Some(value()?.into()),
            "--details" => parsed.details = true,
            _ if argument.starts_with('-') => bail!("unknown option {argument}"),
            _ => parsed.pages = argument.into(),
        }
    }
    if parsed.pages.as_os_str().is_empty() {
        bail!(
            "usage: quality PAGES_DIR [--mode fast|best] [--json FILE] [--check FILE] [--details] [--blocks FILE]"
        );
    }
    Ok(parsed)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let pages = corpus::load(&arguments.pages)?;
    if let Some(file) = &arguments.blocks {
        return blocks::write(&pages, file);
    }
    let unseen = unseen::Unseen::load()?;
    let figures: Vec<score::Figures> = arguments
        .modes
        .iter()
        .map(|(mode, name)| score::run(&pages, &unseen, *mode, name, arguments.details))
        .collect();
    report::print(&figures, pages.len());
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures)? + "\n")
            .with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &arguments.check {
        report::check(&figures, file)?;
    }
    Ok(())
}
