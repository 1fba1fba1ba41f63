//! `quality PAGES_DIR [--mode fast|best] [--json FILE] [--check FILE] [--details] [--wasm FILE] [--hostile]`: how well and how
//! fast the text engine does on pages whose text is known. `PAGES_DIR` holds `truth.jsonl` and `html/ID.html.gz`.
//! `--wasm` names this program built for WASM, to measure the speed there, too; `--hostile` adds the time that pages made to
//! hurt take.
//!
//! `quality PAGES_DIR --blocks FILE` writes what the block model is trained on instead (see `train/README.md`), and
//! `quality PAGES_DIR --speed` prints the speed alone, as JSON: that of this program, or with `--wasm` that of the other one.
//! A folder of HTML files will do for that.

mod blocks;
mod corpus;
mod hostile;
mod report;
mod score;
mod speed;
mod unseen;
#[cfg(not(target_family = "wasm"))]
mod wasm;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use trawl_extract::text::Mode;

struct Arguments {
    pages: PathBuf,
    modes: Vec<(Mode, &'static str)>,
    json: Option<PathBuf>,
    check: Option<PathBuf>,
    blocks: Option<PathBuf>,
    wasm: Option<PathBuf>,
    details: bool,
    with_hostile: bool,
    only_speed: bool,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = std::env::args().skip(1);
    let mut parsed = Arguments {
        pages: PathBuf::new(),
        modes: vec![(Mode::Best, "best"), (Mode::Fast, "fast")],
        json: None,
        check: None,
        blocks: None,
        wasm: None,
        details: false,
        with_hostile: false,
        only_speed: false,
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
            "--wasm" => parsed.wasm = Some(value()?.into()),
            "--details" => parsed.details = true,
            "--hostile" => parsed.with_hostile = true,
            "--speed" => parsed.only_speed = true,
            _ if argument.starts_with('-') => bail!("unknown option {argument}"),
            _ => parsed.pages = argument.into(),
        }
    }
    if parsed.pages.as_os_str().is_empty() {
        bail!(
            "usage: quality PAGES_DIR [--mode fast|best] [--json FILE] [--check FILE] [--details] [--wasm FILE] [--hostile] [--blocks FILE] [--speed]"
        );
    }
    Ok(parsed)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let pages = if arguments.only_speed {
        corpus::load_any(&arguments.pages)?
    } else {
        corpus::load(&arguments.pages)?
    };
    if let Some(file) = &arguments.blocks {
        return blocks::write(&pages, file);
    }
    let native = || speed::measure(&pages, &arguments.modes, arguments.with_hostile);
    if arguments.only_speed {
        let speed = match in_wasm(&arguments)? {
            Some(speed) => speed,
            None => native()?,
        };
        println!("{}", serde_json::to_string(&speed)?);
        return Ok(());
    }
    let (native, in_wasm) = (native()?, in_wasm(&arguments)?);
    let unseen = unseen::Unseen::load()?;
    let figures: Vec<score::Figures> = arguments
        .modes
        .iter()
        .map(|(mode, name)| score::run(&pages, &unseen, *mode, name, arguments.details))
        .collect();
    report::print(&figures, pages.len());
    report::print_speed(&native, in_wasm.as_ref());
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures)? + "\n")
            .with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &arguments.check {
        report::check(&figures, file)?;
    }
    Ok(())
}

#[cfg(not(target_family = "wasm"))]
fn in_wasm(arguments: &Arguments) -> Result<Option<speed::Speed>> {
    let program = arguments.wasm.as_deref();
    program
        .map(|program| wasm::measure(program, &arguments.pages, arguments.with_hostile))
        .transpose()
}

#[cfg(target_family = "wasm")]
fn in_wasm(arguments: &Arguments) -> Result<Option<speed::Speed>> {
    match &arguments.wasm {
        Some(_) => bail!("--wasm is for the native program"),
        None => Ok(None),
    }
}
