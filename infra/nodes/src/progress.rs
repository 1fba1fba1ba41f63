//! Progress on standard error: a bar for people, now and then a line for logs.

use std::{
    io::{IsTerminal, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress of all nodes together.
#[derive(Clone)]
pub(crate) struct Progress {
    view: View,
    total: u64,
    done: Arc<AtomicU64>,
}

#[derive(Clone)]
enum View {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    pub(crate) fn new(total: u64, is_quiet: bool) -> Self {
        let view = if is_quiet {
            View::Nothing
        } else if std::io::stderr().is_terminal() {
            // Drawn ten times a second: the bar must not cost what it shows.
            let bar =
                ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            if let Ok(style) =
                ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {per_sec}, {eta} left")
            {
                bar.set_style(style);
            }
            View::Bar(bar)
        } else {
            View::Lines
        };
        Self {
            view,
            total,
            done: Arc::default(),
        }
    }

    /// One request is done.
    pub(crate) fn step(&self) {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        match &self.view {
            View::Bar(bar) => bar.inc(1),
            // A line for each tenth.
            View::Lines if done * 10 / self.total > (done - 1) * 10 / self.total => {
                // Whoever reads it may have closed the other end, which `eprintln!` would panic at.
                let _ = writeln!(std::io::stderr(), "{done} of {} requests", self.total);
            }
            View::Lines | View::Nothing => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}
