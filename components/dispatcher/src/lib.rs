//! The dispatcher: rings the scrapers that have work, and does the chores of the clock.
#![allow(unsafe_code, reason = "the entry macro writes the exported functions")]

use bytes::Bytes;
use spin_sdk::redis_subscriber;
use trawl_spin::{SpinPorts, log_failure};

/// A message only says that it is worth looking: what there is to do stands in the database.
#[redis_subscriber]
async fn on_message(_ring: Bytes) -> anyhow::Result<()> {
    let ports = SpinPorts::open();
    log_failure("dispatch", trawl_app::dispatch::dispatch(&ports).await);
    Ok(())
}
