//! The host's side of the interfaces that components import: `spin:*` here, `wasi:*` from wasmtime's own crates.

pub(crate) mod http;
pub(crate) mod redis;
pub(crate) mod sqlite;
pub(crate) mod variables;

use wasmtime::component::{HasSelf, Linker};

use crate::state::Guest;

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "trawl:host/component",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "spin:sqlite/sqlite.connection": crate::links::sqlite::Open,
            "spin:redis/redis.connection": crate::links::redis::Open,
        },
    });
}

/// Everything that a component of ours may import.
///
/// # Errors
/// Two definitions of one name, which would be a mistake in this file.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    // Rust's standard library imports the 0.2 interfaces, the SDK the 0.3 ones.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bindings::Component::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}
