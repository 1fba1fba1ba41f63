//! Random bytes, by WASI.

use trawl_app::ports::Random;

/// Random bytes of the host.
#[derive(Default)]
pub struct SpinRandom(());

impl Random for SpinRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // Going on without randomness would hand out guessable keys; stopping this instance is the lesser harm.
        // WASI's generator has no error to return, so this never happens on a host that keeps the interface.
        if getrandom::fill(buffer).is_err() {
            std::process::abort();
        }
    }
}
