//! This very program, built for WASM and run on one thread by the engine that runs the components.

use std::path::Path;

use anyhow::{Context, Result};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

use crate::speed::Speed;

/// Where the guest sees the pages.
const PAGES: &str = "/pages";
/// What the guest may print.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

struct State {
    context: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.table,
        }
    }
}

/// Runs `program` over the pages of `folder` and reads the figures that it prints.
pub(crate) fn measure(program: &Path, folder: &Path, with_hostile: bool) -> Result<Speed> {
    let mut config = Config::new();
    // As the host has it, since the checks for it cost time.
    config.epoch_interruption(true);
    let engine = Engine::new(&config).map_err(anyhow::Error::from)?;
    let component = Component::from_file(&engine, program)
        .map_err(anyhow::Error::from)
        .with_context(|| program.display().to_string())?;
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(anyhow::Error::from)?;
    let printed = MemoryOutputPipe::new(OUTPUT_BYTES_MAX);
    let mut context = WasiCtx::builder();
    context
        .args(&["quality", PAGES, "--speed"])
        .stdout(printed.clone())
        .inherit_stderr()
        .preopened_dir(folder, PAGES, FsPerms::ReadOnly)
        .map_err(anyhow::Error::from)?;
    if with_hostile {
        context.arg("--hostile");
    }
    let state = State {
        context: context.build(),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(&engine, state);
    store.set_epoch_deadline(u64::MAX / 2);
    let command =
        Command::instantiate(&mut store, &component, &linker).map_err(anyhow::Error::from)?;
    let ended = command
        .wasi_cli_run()
        .call_run(&mut store)
        .map_err(anyhow::Error::from)?;
    anyhow::ensure!(ended.is_ok(), "the program failed in WASM");
    drop(store);
    serde_json::from_slice(&printed.contents()).context("what the program printed in WASM")
}
