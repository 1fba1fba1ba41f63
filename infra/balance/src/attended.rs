//! A call of a local replica, to its end.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use tokio::runtime::Handle;

use crate::{
    backend::{BackendError, Call},
    body::Body,
};

/// A call, and what is held while it is under way. A component works on when the client has left, or when no answer came in time: then the
/// call goes on by itself and holds all that until its end. Otherwise whoever asks and leaves, again and again, would have far more under
/// way than anybody may have.
pub struct Attended<H: Send + 'static> {
    under_way: Option<(Call, H)>,
}

impl<H: Send + Unpin + 'static> Attended<H> {
    /// Of a call, which begins when this is first waited for.
    pub fn new(call: Call, held: H) -> Self {
        Self {
            under_way: Some((call, held)),
        }
    }
}

impl<H: Send + Unpin + 'static> Future for Attended<H> {
    type Output = Result<Response<Body>, BackendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((call, _)) = &mut self.under_way else {
            return Poll::Pending;
        };
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            self.under_way = None;
        }
        polled
    }
}

impl<H: Send + 'static> Drop for Attended<H> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some((call, held)), Ok(runtime)) = (self.under_way.take(), Handle::try_current()) {
            runtime.spawn(async move {
                drop(call.await);
                drop(held);
            });
        }
    }
}

impl<H: Send + 'static> fmt::Debug for Attended<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attended")
            .field("is_under_way", &self.under_way.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::*;
    use crate::body::empty;

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_holds_what_it_has_until_its_end() {
        for leaves in [true, false] {
            let held = Arc::new(());
            let (answer, answered) = oneshot::channel::<()>();
            let call: Call = Box::pin(async move {
                let _ = answered.await;
                Ok(Response::new(empty()))
            });
            let mut attended = Attended::new(call, Arc::clone(&held));
            assert!(futures::poll!(&mut attended).is_pending());
            if leaves {
                drop(attended);
                tokio::task::yield_now().await;
                assert_eq!(Arc::strong_count(&held), 2, "still under way");
                answer.send(()).unwrap();
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            } else {
                answer.send(()).unwrap();
                attended.await.unwrap();
            }
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }
}
