//! A message's beginning, gathered so that head and body leave the machine together: of an answer, and of a request with a body.
//!
//! A component hands over the head first and writes the body afterwards. Passed on like that, every small answer, and every
//! callback, is two writes to a socket and two turns of its connection; a write is dearer than everything else that the front
//! door does for a request.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use trawl_core::limits::host as limits;
use wasmtime_wasi_http::{Error, WasiBody};

const _: () = assert!(
    trawl_wire::openapi::DOCUMENT.len() < limits::GATHER_BYTES,
    "what anybody may ask for takes no place while it is read"
);

/// Waits for the body to end, for `GATHER_BYTES` of it, or for `GATHER_MS`, whichever comes first; what follows is passed on as
/// it comes. A guest that streams loses no more than that time, and only before its head. Says also whether that is all of it.
///
/// # Errors
/// The body failed. Nothing was sent yet, so the client can be told properly.
pub(crate) async fn gathered(mut body: WasiBody) -> Result<(WasiBody, bool), Error> {
    let mut frames = VecDeque::new();
    let mut bytes = 0;
    // Registered only when the body has to be waited for.
    let mut time = pin!(tokio::time::sleep(Duration::from_millis(limits::GATHER_MS)));
    let has_ended = std::future::poll_fn(|context| {
        loop {
            if body.is_end_stream() || body.size_hint().exact() == Some(0) {
                return Poll::Ready(Ok::<_, Error>(true));
            }
            match Pin::new(&mut body).poll_frame(context) {
                Poll::Ready(Some(frame)) => {
                    let frame = frame?;
                    bytes += frame.data_ref().map_or(0, Bytes::len);
                    frames.push_back(frame);
                }
                Poll::Ready(None) => return Poll::Ready(Ok(true)),
                Poll::Pending => return time.as_mut().poll(context).map(|()| Ok(false)),
            }
            if bytes >= limits::GATHER_BYTES {
                return Poll::Ready(Ok(false));
            }
        }
    })
    .await?;
    if has_ended && let Some(whole) = whole(&mut frames) {
        let whole = Full::new(whole).map_err(|never| match never {});
        return Ok((whole.boxed_unsync(), true));
    }
    let rest = (!has_ended).then_some(body);
    Ok((Begun { frames, rest }.boxed_unsync(), has_ended))
}

/// The one piece that an answer is, as a rule.
fn whole(frames: &mut VecDeque<Frame<Bytes>>) -> Option<Bytes> {
    match frames.len() {
        0 => Some(Bytes::new()),
        1 => frames
            .pop_front()?
            .into_data()
            .map_err(|trailers| frames.push_back(trailers))
            .ok(),
        _ => None,
    }
}

/// What was gathered, and what is still to come.
struct Begun {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<WasiBody>,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(WasiBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // With trailers behind it, a stated length would make them go missing.
        if self.frames.iter().any(Frame::is_trailers) {
            return SizeHint::default();
        }
        let begun: usize = self
            .frames
            .iter()
            .filter_map(|frame| Some(frame.data_ref()?.len()))
            .sum();
        let rest = self
            .rest
            .as_ref()
            .map_or(SizeHint::with_exact(0), WasiBody::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(begun as u64 + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(begun as u64 + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt as _;
    use http_body_util::{Empty, StreamBody};

    use super::*;

    /// A body of these frames that then goes on as `end` says.
    fn body(frames: Vec<Result<Frame<Bytes>, Error>>, ends: bool) -> WasiBody {
        let frames = futures::stream::iter(frames);
        if ends {
            StreamBody::new(frames).boxed_unsync()
        } else {
            StreamBody::new(frames.chain(futures::stream::pending())).boxed_unsync()
        }
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, Error> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn a_short_answer_becomes_one_piece_of_known_length() {
        let (answer, is_whole) = gathered(body(vec![data("hello")], true)).await.unwrap();
        assert!(is_whole);
        assert_eq!(answer.size_hint().exact(), Some(5));
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "hello");
        let none = Empty::new()
            .map_err(|never: Infallible| match never {})
            .boxed_unsync();
        assert!(gathered(none).await.unwrap().0.is_end_stream());
    }

    #[tokio::test]
    async fn several_pieces_keep_their_order_and_their_sum() {
        let (answer, is_whole) = gathered(body(vec![data("a"), data("bc")], true))
            .await
            .unwrap();
        assert!(is_whole);
        assert_eq!(answer.size_hint().exact(), Some(3));
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn trailers_are_kept_and_keep_the_length_open() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        let frames = vec![data("a"), Ok(Frame::trailers(trailers))];
        let (answer, _) = gathered(body(frames, true)).await.unwrap();
        assert_eq!(answer.size_hint().exact(), None);
        let whole = answer.collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "1");
    }

    #[tokio::test]
    async fn a_body_that_goes_on_is_passed_on_with_what_it_began() {
        let (mut answer, is_whole) = gathered(body(vec![data("begun")], false)).await.unwrap();
        assert!(!is_whole);
        assert_eq!(answer.size_hint().exact(), None);
        let first = answer.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "begun");
        assert!(!answer.is_end_stream());
    }

    #[tokio::test]
    async fn a_long_body_is_not_read_ahead_without_end() {
        let piece = "x".repeat(limits::GATHER_BYTES / 4);
        let endless =
            futures::stream::repeat_with(move || Ok(Frame::data(Bytes::from(piece.clone()))));
        let (answer, _) = gathered(StreamBody::new(endless).boxed_unsync())
            .await
            .unwrap();
        assert_eq!(answer.size_hint().lower(), limits::GATHER_BYTES as u64);
    }

    #[tokio::test]
    async fn a_body_that_fails_at_once_is_a_failed_request() {
        let failing = body(vec![data("a"), Err(Error::InternalError(None))], true);
        assert!(gathered(failing).await.is_err());
    }
}
