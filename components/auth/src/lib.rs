//! auth: accounts, tokens, API keys and webhook secrets over HTTP. A thin entry over [`trawl_app::api`].
#![allow(unsafe_code, reason = "the entry macro writes the exported functions")]

use std::rc::Rc;

use bytes::Bytes;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use trawl_app::api::{Answer, Api, BODY_BYTES_MAX, body_broken, body_too_large};
use trawl_spin::{BodyRefused, SpinPorts, serve};

thread_local! {
    /// What this instance remembers between requests.
    static API: Rc<Api> = Rc::default();
}

struct Auth;
spin_sdk::wasip3::http::service::export!(Auth);

impl Guest for Auth {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        serve(request, BODY_BYTES_MAX, async |request| {
            answer(request).await.response
        })
        .await
    }
}

async fn answer(request: Result<http::Request<Bytes>, BodyRefused>) -> Answer {
    match request {
        Ok(request) => {
            API.with(Rc::clone)
                .accounts(&SpinPorts::open().await, request)
                .await
        }
        Err(BodyRefused::TooLarge) => body_too_large(),
        Err(BodyRefused::Broken) => body_broken(),
    }
}
