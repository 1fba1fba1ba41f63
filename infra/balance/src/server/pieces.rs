//! Answers in small pieces, for HTTP/2: what the stream below was given it keeps, however little its reader takes, and an answer whose
//! last piece was given is none any more for whoever counts them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use trawl_core::limits::inbound::H2_PIECE_BYTES;

use crate::body::{Body, BoxError, Polled};

/// A body that comes in pieces of `H2_PIECE_BYTES` at most.
pub(super) struct Pieces {
    body: Body,
    left: Bytes,
}

impl Pieces {
    pub(super) const fn of(body: Body) -> Self {
        Self {
            body,
            left: Bytes::new(),
        }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        if self.left.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.into_data() {
                Ok(data) if data.len() > H2_PIECE_BYTES => self.left = data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let size = self.left.len().min(H2_PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + left);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn what_is_long_comes_in_pieces_and_knows_its_end() {
        let long: Vec<u8> = (0..2 * H2_PIECE_BYTES + 1)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let mut pieces = Pieces::of(crate::body::full(long.clone()));
        let mut seen = Vec::new();
        for size in [H2_PIECE_BYTES, H2_PIECE_BYTES, 1] {
            assert!(!pieces.is_end_stream());
            let left = (long.len() - seen.len()) as u64;
            assert_eq!(pieces.size_hint().exact(), Some(left));
            let frame = pieces.frame().await.unwrap().unwrap();
            let data = frame.into_data().unwrap();
            assert_eq!(data.len(), size);
            seen.extend_from_slice(&data);
        }
        assert!(pieces.is_end_stream());
        assert_eq!(seen, long);
    }

    #[tokio::test]
    async fn trailers_come_after_what_is_left() {
        let trailers =
            http::HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("a"))]);
        let frames = [
            Frame::data(Bytes::from(vec![b'x'; H2_PIECE_BYTES + 1])),
            Frame::trailers(trailers.clone()),
        ];
        let frames = futures::stream::iter(frames.map(Ok::<_, BoxError>));
        let whole = Pieces::of(StreamBody::new(frames).boxed_unsync())
            .collect()
            .await;
        let whole = whole.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes().len(), H2_PIECE_BYTES + 1);
    }
}
