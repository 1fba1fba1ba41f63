//! auth: accounts, tokens, API keys and webhook secrets over HTTP. A thin entry over [`trawl_app::api`].
#![allow(unsafe_code, reason = "the entry macro writes the exported functions")]

use std::rc::Rc;

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use trawl_app::api::Api;
use trawl_spin::{SpinPorts, serve};

thread_local! {
    /// What this instance remembers between requests.
    static API: Rc<Api> = Rc::default();
}

struct Auth;
spin_sdk::wasip3::http::service::export!(Auth);

impl Guest for Auth {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let ports = SpinPorts::open();
        serve(request, async |request| {
            API.with(Rc::clone).accounts(&ports, request).await
        })
        .await
    }
}
