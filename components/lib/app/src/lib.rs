//! trawl-app: the use cases of trawl, async over the ports in [`ports`]; no SDK, no SQL text, no socket.
#![allow(
    async_fn_in_trait,
    reason = "a component is one thread; the futures need not be Send"
)]

pub mod api;
pub mod callback;
pub mod channels;
mod claims;
pub mod decode;
pub mod dispatch;
pub mod fetch;
mod gather;
mod patience;
pub mod ports;
pub mod result_codec;
pub mod scrape;
pub mod settings;
mod slots;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
mod turns;
