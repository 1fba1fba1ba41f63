//! The end: who asks for it, and who has heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Shared by everything that has to end.
#[derive(Clone)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    sender: Arc<watch::Sender<bool>>,
}

impl Stop {
    /// Nobody has asked yet.
    pub(crate) fn new() -> Self {
        Self {
            asked: Arc::default(),
            sender: Arc::new(watch::Sender::new(false)),
        }
    }

    /// The flag that hot paths look at.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Asks everything to end.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Relaxed);
        self.sender.send_replace(true);
    }

    /// Comes back once the end was asked for.
    pub(crate) fn asked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.sender.subscribe();
        async move {
            let _ = receiver.wait_for(|asked| *asked).await;
        }
    }

    /// Asks for the end at SIGTERM or Ctrl-C. A second signal ends the process at once.
    ///
    /// # Errors
    /// When the system does not let us listen for signals.
    pub(crate) fn at_signals(&self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("can't listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("can't listen for Ctrl-C")?;
        let stop = self.clone();
        tokio::spawn(async move {
            let mut next =
                async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
            next().await;
            stop.ask();
            next().await;
            std::process::exit(130);
        });
        Ok(())
    }
}
