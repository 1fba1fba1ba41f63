//! What the scrapers make of pages, without fetching them: one thread, natively and in WASM. The program is that of
//! `make quality`, which does the same over pages whose text is known.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use trawl_kit::pages::rust_docs;
use trawl_kit::workspace_root;

use super::Plan;
use crate::table::Table;

const NATIVE: &str = "target/release/quality";
const WASM: &str = "target/wasm32-wasip2/release/quality.wasm";

/// The pages of the Rust book.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let pages = rust_docs().join("book");
    let (mut native, mut in_wasm) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeats {
        native.push(measure(&pages, None)?);
        in_wasm.push(measure(&pages, Some(&workspace_root().join(WASM)))?);
    }
    let works: Vec<String> = native[0].iter().map(|(name, _)| name.clone()).collect();
    for (at, work) in works.iter().enumerate() {
        let of = |runs: &[Vec<(String, f64)>]| runs.iter().map(|run| run[at].1).collect();
        let (natively, wasm) = (
            format!("pages read, {work}, native"),
            format!("pages read, {work}, WASM"),
        );
        table.add(&natively, "pages/s", of(&native));
        table.add(&wasm, "pages/s", of(&in_wasm));
        table.ratio(format!("WASM / native, {work}"), &wasm, &natively, None);
    }
    Ok(())
}

/// Pages a second by kind of work.
fn measure(pages: &Path, wasm: Option<&Path>) -> anyhow::Result<Vec<(String, f64)>> {
    let mut command = Command::new(workspace_root().join(NATIVE));
    command.arg(pages).arg("--speed");
    if let Some(program) = wasm {
        command.arg("--wasm").arg(program);
    }
    let output = command
        .output()
        .with_context(|| format!("{NATIVE}: build it with `make quality-build`"))?;
    ensure!(
        output.status.success(),
        "{NATIVE} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let speed: Value = serde_json::from_slice(&output.stdout)?;
    let figures = speed["pages_per_second"].as_array();
    figures
        .context("no pages_per_second in its answer")?
        .iter()
        .map(|figure| {
            let name = figure[0].as_str().context("a figure without a name")?;
            let value = figure[1].as_f64().context("a figure without a value")?;
            Ok((name.to_owned(), value))
        })
        .collect()
}
