//! The end: who asks for it, and who has heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

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

    /// Asks for the end at SIGTERM, Ctrl-C, SIGQUIT, or SIGHUP when the terminal is closed. A second signal ends the process at
    /// once.
    ///
    /// # Errors
    /// When the system does not let us listen for signals.
    pub(crate) fn at_signals(&self) -> anyhow::Result<()> {
        let (told, mut signals) = mpsc::unbounded_channel();
        let always = [SignalKind::terminate(), SignalKind::interrupt()];
        // What `nohup`, or a shell that put us in the background, wants us to outlive must not end us.
        let ignored = ignored_signals();
        let unless_ignored = [SignalKind::hangup(), SignalKind::quit()]
            .into_iter()
            .filter(|kind| !is_in(ignored, kind.as_raw_value()));
        for kind in always.into_iter().chain(unless_ignored) {
            let mut signals = signal(kind)
                .with_context(|| format!("can't listen for signal {}", kind.as_raw_value()))?;
            let told = told.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() && told.send(()).is_ok() {}
            });
        }
        let stop = self.clone();
        tokio::spawn(async move {
            // Without a signal it only comes back when the runtime ends, which is no reason for anything.
            if signals.recv().await.is_some() {
                stop.ask();
            }
            if signals.recv().await.is_some() {
                std::process::exit(130);
            }
        });
        Ok(())
    }
}

/// The signals that this process ignores since it was started, as Linux tells them; elsewhere none is known.
fn ignored_signals() -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored_in(&status))
}

fn ignored_in(status: &str) -> u64 {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    // The first signal has the lowest bit.
    let bit = u32::try_from(signal - 1)
        .ok()
        .and_then(|place| 1_u64.checked_shl(place));
    bit.is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_as_linux_tells_them() {
        let mask =
            ignored_in("Name:\ttrawl\nSigBlk:\t0000000000000004\nSigIgn:\t0000000000001001\n");
        assert!(is_in(mask, SignalKind::hangup().as_raw_value()));
        assert!(!is_in(mask, SignalKind::quit().as_raw_value()));
        assert_eq!(ignored_in("nothing of the kind"), 0);
    }
}
