//! trawl-app: the use cases of trawl, async over the ports in [`ports`]; no SDK, no SQL text, no socket.
#![allow(
    async_fn_in_trait,
    reason = "a component is one thread; the futures need not be Send"
)]

pub mod channels;
pub mod ports;
pub mod result_codec;
