//! What components print, as lines of the host's log.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use trawl_core::limits::host::{LOG_LINE_BYTES_MAX, REPEATED_LINE_MS};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::part::Rights;

/// The standard output, or error, of one instance.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    rights: Arc<Rights>,
    stream: Stream,
    line: Vec<u8>,
}

/// Where a component printed it, which decides how much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output: for whoever wants to know.
    Out,
    /// Standard error: something failed. Clients were told that the reason is logged, so that `--quiet` must not hide it.
    Error,
}

/// The last line of a component, so that one which says the same again and again fills no disk.
#[derive(Default)]
pub(crate) struct LastLine(Mutex<Option<(Vec<u8>, Instant)>>);

impl LastLine {
    /// Whether this line is news: another one than the last, or the same after [`REPEATED_LINE_MS`].
    fn is_news(&self, line: &[u8], now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_repeated = last.as_ref().is_some_and(|(same, at)| {
            same == line && now.duration_since(*at) < Duration::from_millis(REPEATED_LINE_MS)
        });
        if !is_repeated {
            *last = Some((line.to_vec(), now));
        }
        !is_repeated
    }
}

impl GuestOutput {
    /// Lines are marked with the component and its replica.
    pub(crate) fn new(rights: &Arc<Rights>, stream: Stream) -> Self {
        Self {
            rights: Arc::clone(rights),
            stream,
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
        let rights = &self.rights;
        if rights.last_line.is_news(&self.line, Instant::now()) {
            let line = String::from_utf8_lossy(&self.line);
            let (line, component, replica) =
                (line.trim_end(), &*rights.component, &*rights.replica);
            match self.stream {
                Stream::Out => tracing::info!(target: "component", component, replica, "{line}"),
                Stream::Error => tracing::warn!(target: "component", component, replica, "{line}"),
            }
        }
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
        Box::new(Self::new(&self.rights, self.stream))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_again_is_no_news_for_a_while() {
        let last = LastLine::default();
        let start = Instant::now();
        let later = start + Duration::from_millis(REPEATED_LINE_MS);
        assert!(last.is_news(b"a", start));
        assert!(!last.is_news(b"a", start));
        assert!(last.is_news(b"b", start));
        assert!(last.is_news(b"a", start));
        assert!(last.is_news(b"a", later));
    }
}
