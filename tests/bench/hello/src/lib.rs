//! A component that answers a constant: what a host itself costs.
#![allow(unsafe_code, reason = "the entry macro writes the exported functions")]

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(_request: Request) -> impl IntoResponse {
    "hello"
}
