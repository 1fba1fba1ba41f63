//! ingest: takes requests, over HTTP and from Redis producers, and tells about messages. A thin entry over
//! [`trawl_app::api`].
#![allow(unsafe_code, reason = "the entry macros write the exported functions")]

use std::rc::Rc;

use bytes::Bytes;
use spin_sdk::redis_subscriber;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use trawl_app::api::Api;
use trawl_app::ports::{Bell as _, Ports as _};
use trawl_spin::{SpinPorts, after_answer, log_failure, serve};

thread_local! {
    /// What this instance remembers between requests.
    static API: Rc<Api> = Rc::default();
}

struct Ingest;
spin_sdk::wasip3::http::service::export!(Ingest);

impl Guest for Ingest {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let ports = SpinPorts::open();
        serve(request, async |request| {
            let answer = API.with(Rc::clone).messages(&ports, request).await;
            if let Some(channel) = answer.ring {
                // After the commit and after the answer: a slow doorbell costs the node nothing.
                let ports = ports.clone();
                after_answer(async move { ports.bell().ring(channel).await });
            }
            answer
        })
        .await
    }
}

/// A request of a producer, or a ring that says that the list holds some. The clock rings too: a ring may be lost.
#[redis_subscriber]
async fn on_message(payload: Bytes) -> anyhow::Result<()> {
    let ports = SpinPorts::open();
    let list = ports.producer_list().await;
    let recorded = API
        .with(Rc::clone)
        .from_producers(&ports, list.as_ref(), payload)
        .await;
    log_failure("producers", recorded);
    Ok(())
}
