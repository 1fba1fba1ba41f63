//! auth: accounts, tokens, API keys and webhook secrets over HTTP. A thin entry over [`trawl_app::api`].
#![allow(unsafe_code, reason = "the entry macro writes the exported functions")]

use std::rc::Rc;

use http::header::CONTENT_LENGTH;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use trawl_app::api::{Answer, Api, BODY_BYTES_MAX, body_broken, body_too_large};
use trawl_spin::{BodyRefused, SpinPorts, bounded_body, respond};

thread_local! {
    /// What this instance remembers between requests.
    static API: Rc<Api> = Rc::default();
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let is_head = request.method() == http::Method::HEAD;
    let mut response = respond(answer(request).await.response);
    if is_head {
        // The body was left out; its length is not known to be 0.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

async fn answer(request: Request) -> Answer {
    match bounded_body(request, BODY_BYTES_MAX).await {
        Ok(request) => {
            API.with(Rc::clone)
                .accounts(&SpinPorts::open().await, request)
                .await
        }
        Err(BodyRefused::TooLarge) => body_too_large(),
        Err(BodyRefused::Broken) => body_broken(),
    }
}
