//! What may be sent a second time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use trawl_core::limits::balance::REPEATABLE_BODY_BYTES_MAX;

use crate::body::{Body, BoxError, Polled, Seen, Watch, empty, full};

/// The one route that reads an `Idempotency-Key`. To all others it says nothing: whoever adds one to what they send would have it
/// done twice.
const KEYED: &str = "/receive_data";

/// May the request be repeated although it was sent? By its method (RFC 9110, 9.2.2), or because the client's
/// `Idempotency-Key` makes the replicas take both for one.
pub(crate) fn is_repeatable(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE => true,
        Method::POST => path == KEYED && headers.contains_key("idempotency-key"),
        _ => false,
    }
}

/// Is the answer one that another replica might do better? A 502 or 504 speaks of something broken behind the replica, a
/// 503 of a replica that is full or going down.
pub(crate) fn is_worth_another(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The body of a request, as far as it can still be sent.
pub(crate) enum Upload {
    /// All of it is here, and can be sent again.
    Kept(Bytes),
    /// It streams, and can be sent once.
    Once(Body),
    /// It was sent.
    Spent,
}

impl Upload {
    /// Keeps a body that is short enough; a longer one goes on streaming, what was read of it in front.
    ///
    /// # Errors
    /// The client did not send its body.
    pub(crate) async fn keep(mut body: Body) -> Result<Self, BoxError> {
        if body.is_end_stream() {
            return Ok(Self::Kept(Bytes::new()));
        }
        if body.size_hint().lower() > REPEATABLE_BODY_BYTES_MAX as u64 {
            return Ok(Self::Once(body));
        }
        let mut kept = Bytes::new();
        while let Some(frame) = body.frame().await {
            // Trailers are hop-by-hop for our purposes and end here.
            if let Ok(data) = frame?.into_data() {
                kept = joined(kept, data);
                if kept.len() > REPEATABLE_BODY_BYTES_MAX {
                    return Ok(Self::Once(prefixed(kept, body)));
                }
            }
        }
        Ok(Self::Kept(kept))
    }

    /// The same, setting `arriving` as long as a body streams that has not come to its end.
    pub(crate) fn watched(self, arriving: &Arc<AtomicBool>) -> Self {
        match self {
            Self::Once(body) if !body.is_end_stream() => {
                arriving.store(true, Relaxed);
                let arriving = Arriving(Arc::clone(arriving));
                Self::Once(Seen::new(body, arriving).boxed_unsync())
            }
            other => other,
        }
    }

    pub(crate) const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// The body for the next try.
    pub(crate) fn take(&mut self) -> Option<Body> {
        match std::mem::replace(self, Self::Spent) {
            Self::Kept(bytes) => {
                let body = if bytes.is_empty() {
                    empty()
                } else {
                    full(bytes.clone())
                };
                *self = Self::Kept(bytes);
                Some(body)
            }
            Self::Once(body) => Some(body),
            Self::Spent => None,
        }
    }
}

/// Says when a body has come to its end.
struct Arriving(Arc<AtomicBool>);

impl Watch for Arriving {
    fn seen(&mut self, polled: Polled, body: &Body) -> Polled {
        if matches!(polled, Poll::Ready(None)) || body.is_end_stream() {
            self.0.store(false, Relaxed);
        }
        polled
    }
}

/// Both in one; a body that came in one piece, as nearly all do, is not copied.
fn joined(kept: Bytes, data: Bytes) -> Bytes {
    if kept.is_empty() {
        return data;
    }
    let mut joined = BytesMut::from(kept);
    joined.extend_from_slice(&data);
    joined.freeze()
}

fn prefixed(start: Bytes, rest: Body) -> Body {
    let start = futures::stream::once(async { Ok::<_, BoxError>(Frame::data(start)) });
    let rest = http_body_util::BodyStream::new(rest);
    http_body_util::StreamBody::new(futures::StreamExt::chain(start, rest)).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(size: usize) -> Body {
        let chunk = |_| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![7; 1_000])));
        http_body_util::StreamBody::new(futures::stream::iter((0..size / 1_000).map(chunk)))
            .boxed_unsync()
    }

    #[test]
    fn only_what_is_idempotent_may_be_repeated() {
        let mut headers = HeaderMap::new();
        for (method, expected) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::PUT, true),
            (Method::DELETE, true),
            (Method::POST, false),
            (Method::PATCH, false),
        ] {
            assert_eq!(
                is_repeatable(&method, KEYED, &headers),
                expected,
                "{method}"
            );
        }
        headers.insert("idempotency-key", http::HeaderValue::from_static("k"));
        assert!(is_repeatable(&Method::POST, KEYED, &headers));
        assert!(!is_repeatable(&Method::PATCH, KEYED, &headers));
        for other in ["/", "/auth/register", "/receive_data/", "/receive_data/x"] {
            assert!(!is_repeatable(&Method::POST, other, &headers), "{other}");
        }
    }

    #[tokio::test]
    async fn a_short_body_can_be_sent_twice_and_a_long_one_arrives_whole_once() {
        let mut short = Upload::keep(streamed(64_000)).await.unwrap();
        assert!(short.is_kept());
        for _ in 0..2 {
            let body = short.take().unwrap().collect().await.unwrap().to_bytes();
            assert_eq!(body.len(), 64_000);
        }
        let mut long = Upload::keep(streamed(200_000)).await.unwrap();
        assert!(!long.is_kept());
        assert_eq!(
            long.take()
                .unwrap()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .len(),
            200_000
        );
        assert!(long.take().is_none());
    }
}
