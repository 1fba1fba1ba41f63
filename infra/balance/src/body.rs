//! The one body type that passes through the front door.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// Any error, as it crosses the seam between the balancer and a backend.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streaming body. It is `Send` but not `Sync`, because guests' bodies are not.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body without a byte.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is already there as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
