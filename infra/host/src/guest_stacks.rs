//! Stacks of guests, taken by the host itself where they yield: a profile for machines where no profiler may look into a
//! process. It says what guests spend their own time on, and nothing about the host. A guest that was called after a pause
//! is seen at its first step, so short calls weigh a little more than they should.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use wasmtime::{AsContext, WasmBacktrace};

/// How often guests yield, and are looked at, while stacks are taken.
pub(crate) const EVERY_MS: u64 = 1;

/// How often each stack was seen.
#[derive(Debug)]
pub(crate) struct GuestStacks {
    file: PathBuf,
    counts: Mutex<HashMap<String, u64>>,
}

impl GuestStacks {
    /// Nothing seen yet; what will be is written to `file`.
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            counts: Mutex::default(),
        }
    }

    /// Counts the stack of a guest that has just yielded.
    pub(crate) fn note(&self, component: &str, store: impl AsContext) {
        let backtrace = WasmBacktrace::force_capture(store);
        let mut stack = component.to_owned();
        for frame in backtrace.frames().iter().rev() {
            stack.push_str(";wasm: ");
            match frame.func_name() {
                Some(name) => stack.push_str(&name.replace([';', '\n'], ",")),
                None => stack.push_str(&format!("function {}", frame.func_index())),
            }
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(stack).or_default() += 1;
    }

    /// Writes a line for each stack: its frames from the outermost inwards, and its count.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = counts
            .iter()
            .map(|(stack, count)| format!("{stack} {count}\n"))
            .collect();
        std::fs::write(&self.file, lines.concat())
    }
}
