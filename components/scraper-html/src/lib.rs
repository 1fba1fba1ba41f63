//! Type 2: a page as UTF-8.
#![allow(unsafe_code, reason = "the entry macro writes the exported functions")]

use bytes::Bytes;
use spin_sdk::redis_subscriber;
use trawl_app::scrape::{Html, drain};
use trawl_spin::{SpinPorts, log_failure};

/// A message only says that it is worth looking: what there is to do stands in the database.
#[redis_subscriber]
async fn on_message(_ring: Bytes) -> anyhow::Result<()> {
    let ports = SpinPorts::open();
    log_failure("scrape", drain(&ports, &Html).await);
    Ok(())
}
