//! What components print, as lines of the host's log.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use trawl_core::limits::host::LOG_LINE_BYTES_MAX;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// The standard output and error of one instance.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    component: Arc<str>,
    replica: Arc<str>,
    line: Vec<u8>,
}

impl GuestOutput {
    /// Lines are marked with the component and its replica.
    pub(crate) fn new(component: &Arc<str>, replica: &Arc<str>) -> Self {
        Self {
            component: Arc::clone(component),
            replica: Arc::clone(replica),
            line: Vec::new(),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.log();
            } else if self.line.len() < LOG_LINE_BYTES_MAX {
                self.line.push(byte);
            }
        }
    }

    fn log(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        tracing::info!(target: "component", component = &*self.component, replica = &*self.replica, "{}", line.trim_end());
        self.line.clear();
    }
}

impl Drop for GuestOutput {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.log();
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Self::new(&self.component, &self.replica))
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
