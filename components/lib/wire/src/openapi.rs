//! The OpenAPI 3.1 description, checked in as a file so that clients can generate from it.

/// The document, as served by `GET /openapi.json`.
pub const DOCUMENT: &str = include_str!("openapi.json");
