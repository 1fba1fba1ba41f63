//! `trawl extract`: a scraper's extraction over local files.

mod input;
mod native;
mod wasm;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use self::input::read;
use crate::cli::Extract;
use crate::output::goes_on;

/// One page and what is known about it.
pub(crate) struct Page<'a> {
    /// 1, 2 or 3.
    kind: u8,
    /// For type 1: the quicker way.
    is_fast: bool,
    /// Where it was fetched from.
    url: &'a url::Url,
    /// What the server said that it is.
    content_type: &'a str,
    /// Its bytes.
    bytes: Vec<u8>,
}

/// Prints each file's result as JSON: one line a file, with its name when there are several.
///
/// # Errors
/// With a single file, whatever stands in the way of its result. With several, each line tells of its own file.
pub(crate) fn run(options: &Extract) -> anyhow::Result<ExitCode> {
    let several = options.files.len() > 1;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut code = ExitCode::SUCCESS;
    for file in &options.files {
        let result = match (extract(options, file), several) {
            (Ok(result), false) => result,
            (Err(error), false) => return Err(error),
            (Ok(result), true) => named(file, result),
            (Err(error), true) => {
                code = ExitCode::FAILURE;
                named(file, json!({ "error": format!("{error:#}") }))
            }
        };
        if !goes_on(writeln!(out, "{result}"))? {
            return Ok(code);
        }
    }
    goes_on(out.flush())?;
    Ok(code)
}

fn extract(options: &Extract, file: &Path) -> anyhow::Result<Value> {
    let page = Page {
        kind: options.kind,
        is_fast: options.mode == crate::cli::Mode::Fast,
        url: &options.url,
        content_type: &options.content_type,
        bytes: read(file)?,
    };
    if options.wasm {
        wasm::extract(options, page)
    } else {
        native::extract(&page)
    }
}

/// The same with the file's name in front.
fn named(file: &Path, result: Value) -> Value {
    let mut with_name = serde_json::Map::new();
    with_name.insert("file".to_owned(), Value::String(file.display().to_string()));
    if let Value::Object(fields) = result {
        with_name.extend(fields);
    }
    Value::Object(with_name)
}
