//! Threads of their own for the workers that the doorbell calls. Workers parse pages, which is work for the processor without
//! end; on the threads of the front door a node that posts would wait for them. Where both want the same core, the front
//! door's threads have it first.

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};
use trawl_core::limits::host::WORKER_NICENESS;

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
            .on_thread_start(step_back)
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

/// Makes this thread nicer than the others. One that may not stays as it is, which costs nobody but the waiting nodes.
#[expect(
    unsafe_code,
    reason = "setpriority(2) has no safe form in the standard library"
)]
fn step_back() {
    // SAFETY: it takes no pointers. On Linux 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, WORKER_NICENESS) };
}
