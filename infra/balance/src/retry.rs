//! What may be sent a second time.

use std::{net::IpAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use trawl_core::limits::balance::LARGE_BODY_BYTES;

use crate::{
    body::{Body, empty, full},
    large::LargeBodies,
    problem::Problem,
    tally::Counted,
};

const BAD_BODY: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "bad_body",
    "The body of the request did not arrive whole; send it again.",
);

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

/// The body of a request: all of it is here, and can be sent again.
#[derive(Debug)]
pub(crate) struct Upload {
    bytes: Bytes,
    /// A large one is counted as long as anybody works on the request.
    large: Option<Arc<Counted>>,
}

impl Upload {
    /// Reads the body to its end: until then its client takes no place in a replica, however slowly it sends. How long that may be, and
    /// how much it may send, is up to the server in front.
    ///
    /// # Errors
    /// The client did not send its body, or it is one large body too many.
    pub(crate) async fn read(
        mut body: Body,
        large: &LargeBodies,
        network: Option<IpAddr>,
    ) -> Result<Self, Problem> {
        let mut counted = None;
        if body.size_hint().lower() > LARGE_BODY_BYTES as u64 {
            counted = Some(large.enter(network)?);
        }
        let mut bytes = Bytes::new();
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            let frame = frame.map_err(|_| BAD_BODY)?;
            // Trailers are hop-by-hop for our purposes and end here.
            if let Ok(data) = frame.into_data() {
                bytes = joined(bytes, data);
            }
            if bytes.len() > LARGE_BODY_BYTES && counted.is_none() {
                counted = Some(large.enter(network)?);
            }
        }
        Ok(Self {
            bytes,
            large: counted.map(Arc::new),
        })
    }

    /// What counts it, if it is large.
    pub(crate) fn large(&self) -> Option<Arc<Counted>> {
        self.large.clone()
    }

    /// The body for the next try.
    pub(crate) fn body(&self) -> Body {
        if self.bytes.is_empty() {
            empty()
        } else {
            full(self.bytes.clone())
        }
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

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use trawl_core::limits::balance as limits;

    use super::*;
    use crate::body::BoxError;

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

    #[test]
    fn only_what_another_replica_might_do_better_is_asked_again() {
        for (status, expected) in [
            (200, false),
            (404, false),
            (429, false),
            // It failed at this request, and may do so at each replica.
            (500, false),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_worth_another(status), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn a_body_can_be_sent_twice_and_a_large_one_is_counted_until_it_is_dropped() {
        let large = LargeBodies::default();
        let network = Some(IpAddr::from([192, 0, 2, 1]));
        let mut kept = Vec::new();
        for size in [0, 64_000, 200_000] {
            let upload = Upload::read(streamed(size), &large, network).await.unwrap();
            for _ in 0..2 {
                let body = upload.body().collect().await.unwrap().to_bytes();
                assert_eq!(body.len(), size);
            }
            kept.push(upload);
        }
        for _ in 1..limits::LARGE_BODIES_PER_CLIENT_MAX {
            kept.push(
                Upload::read(streamed(66_000), &large, network)
                    .await
                    .unwrap(),
            );
        }
        let refused = Upload::read(streamed(66_000), &large, network).await;
        assert_eq!(refused.unwrap_err().code, "too_many_large_bodies");
        kept.push(
            Upload::read(streamed(64_000), &large, network)
                .await
                .unwrap(),
        );
        drop(kept);
        assert!(
            Upload::read(streamed(66_000), &large, network)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let pieces = [Ok(Frame::data(Bytes::from("half"))), Err("gone".into())];
        let body = http_body_util::StreamBody::new(futures::stream::iter(pieces)).boxed_unsync();
        let read = Upload::read(body, &LargeBodies::default(), None).await;
        assert_eq!(read.unwrap_err().code, "bad_body");
    }
}
