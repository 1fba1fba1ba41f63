//! Threads of their own for the workers that the doorbell calls. Workers parse pages, which is work for the processor without
//! end; on the threads of the front door a node that posts would wait for them. The system
//! shares the cores among threads, and one that mostly waits has its turn soon.

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};

/// The threads, until it is dropped. What they still do then is left where it stands.
pub(crate) struct WorkerThreads {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl WorkerThreads {
    /// Starts one for each core.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("worker")
            .enable_all()
            .build()
            .context("can't start the threads of the workers")?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        // Waiting for it is not allowed here: this may be a task of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
