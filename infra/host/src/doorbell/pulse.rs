//! Whether a guest lets anything else of its instance have a turn.
//!
//! While a guest computes, wasmtime polls nothing of its store but the guest itself, not even what was given to `run_concurrent`: a time
//! limit set in there never comes to an end. So something in there beats, and whoever polls the store from outside listens.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::moment::Moment;

/// Beats in the time that a guest may take for itself.
const BEATS: u32 = 16;

/// Beats inside of a store, and is listened to outside.
pub(crate) struct Pulse {
    silence_max: Duration,
    beaten: Moment,
}

impl Pulse {
    /// The pulse of a guest that may compute for `silence_max` at a stretch.
    pub(crate) fn new(silence_max: Duration) -> Self {
        Self {
            silence_max,
            beaten: Moment::default(),
        }
    }

    /// Beats as often as it has a turn; runs inside of the store, beside what it belongs to.
    pub(crate) async fn beat(&self) -> Infallible {
        loop {
            self.beaten.note();
            tokio::time::sleep(self.silence_max / BEATS).await;
        }
    }

    /// What `run`, which polls the store, comes to.
    ///
    /// # Errors
    /// Those of `run`, and that there was no beat for so long. The store can't be used any more then.
    pub(crate) async fn listen<T>(
        &self,
        run: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let mut run = pin!(run);
        let end = || Instant::from_std(self.beaten.last() + self.silence_max);
        let mut silence = pin!(sleep_until(end()));
        poll_fn(|context| {
            if let Poll::Ready(outcome) = run.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            // A guest that computes yields all the time, so this is not waited for as a rule.
            while silence.as_mut().poll(context).is_ready() {
                let end = end();
                if end <= Instant::now() {
                    return Poll::Ready(Err(wasmtime::format_err!(
                        "ended since it computed for {:?} without a pause",
                        self.silence_max
                    )));
                }
                silence.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use wasmtime::component::{Component, Linker};
    use wasmtime::{Config, Engine, Store};

    use super::*;

    /// A component that exports `f`, a function of nothing that never returns.
    const ENDLESS: &[u8] = &[
        b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, // a component
        1, 36, // a core module in it
        b'\0', b'a', b's', b'm', 1, 0, 0, 0, // with
        1, 4, 1, 0x60, 0, 0, // one type of function, from nothing to nothing,
        3, 2, 1, 0, // a function of that type,
        7, 5, 1, 1, b'f', 0, 0, // exported as `f`,
        10, 9, 1, 7, 0, 3, 0x40, 12, 0, 11,
        11, // which is a loop that goes back to its beginning
        2, 4, 1, 0, 0, 0, // an instance of the module
        7, 5, 1, 0x40, 0, 1, 0, // the type of a function from nothing to nothing
        6, 7, 1, 0, 0, 1, 0, 1, b'f', // the instance's `f`
        8, 6, 1, 0, 0, 0, 0, 0, // lifted to that type
        11, 7, 1, 0, 1, b'f', 1, 0, 0, // and exported
    ];

    fn short() -> Pulse {
        Pulse::new(Duration::from_millis(200))
    }

    #[tokio::test]
    async fn a_guest_that_only_computes_is_ended() {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let component = Component::from_binary(&engine, ENDLESS).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let linker = Linker::new(&engine);
        let instance = linker.instantiate_async(&mut store, &component).await;
        let instance = instance.unwrap();
        let endless = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        let pulse = short();
        let clock = std::thread::spawn({
            let engine = engine.weak();
            move || {
                while let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let inside = std::sync::atomic::AtomicBool::new(false);
        let run = store.run_concurrent(async |accessor| {
            // What the guest can't be held to from in here.
            let call = endless.call_concurrent(accessor, ());
            let ended = tokio::time::timeout(Duration::from_millis(50), call);
            tokio::select! {
                _ = ended => inside.store(true, Relaxed),
                never = pulse.beat() => match never {},
            }
        });
        let outcome = pulse.listen(run).await;
        let error = outcome.err().map(|error| error.to_string());
        assert!(error.is_some_and(|it| it.contains("200ms without a pause")));
        assert!(!inside.load(Relaxed), "then the limit inside is enough");
        drop((store, endless, component, linker, engine));
        clock.join().unwrap();
    }

    #[tokio::test]
    async fn whoever_pauses_may_go_on_for_longer() {
        let pulse = short();
        let run = async {
            tokio::select! {
                () = tokio::time::sleep(pulse.silence_max * 3) => Ok(7),
                never = pulse.beat() => match never {},
            }
        };
        assert_eq!(pulse.listen(run).await.unwrap(), 7);
    }
}
