//! What belongs to one instance of a component: its resources, its rights and its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::figures::Alive;
use crate::guest_output::{GuestOutput, Stream};
use crate::links::http::Outbound;
use crate::part::{Rights, WORKER};

/// The data of a store.
pub(crate) struct Guest {
    /// What the component may do.
    pub(crate) rights: Arc<Rights>,
    /// By what name it claims, when it is a worker.
    pub(crate) worker: Option<Arc<str>>,
    /// Connections and streams that the guest holds.
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    memory: MemoryLimit,
    paused: Arc<AtomicBool>,
    _alive: Alive,
}

impl Guest {
    /// A store for one instance.
    pub(crate) fn store(engine: &Engine, rights: &Arc<Rights>) -> Store<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(GuestOutput::new(rights, Stream::Out))
            .stderr(GuestOutput::new(rights, Stream::Error))
            .envs(&rights.environment);
        // Not reachable by any means but the interfaces that check: no files, no sockets.
        wasi.allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        let guest = Self {
            rights: Arc::clone(rights),
            worker: None,
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound::new(Arc::clone(rights)),
            memory: MemoryLimit {
                bytes_max: rights.memory_bytes_max,
            },
            paused: Arc::default(),
            _alive: Alive::new(&rights.figures),
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(1);
        let stacks = rights.stacks.clone();
        store.epoch_deadline_callback(move |context| {
            let guest = context.data();
            guest.paused.store(true, Relaxed);
            if let Some(stacks) = &stacks {
                stacks.note(&guest.rights.component, &context);
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }

    /// Set when the guest makes a pause in what it computes, to let others have its thread.
    pub(crate) fn paused(&self) -> &Arc<AtomicBool> {
        &self.paused
    }

    /// A variable's value as of now, and for this instance.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let shared = self.rights.variable(name)?;
        let own = self.worker.as_deref().filter(|_| name == WORKER);
        Some(own.unwrap_or(shared))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

/// Refuses to grow past a number of bytes; the guest's allocator then fails, which ends its instance only.
struct MemoryLimit {
    bytes_max: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.bytes_max)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}
