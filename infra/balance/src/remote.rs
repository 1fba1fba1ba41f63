//! A remote replica: its connections, kept alive.
//!
//! A connection is driven by the task of the request that uses it, and by nobody while it is idle: there is no task per
//! connection and no hand-over between threads, and the poll that takes it out of the pool sees whether the other side
//! has closed it meanwhile.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep},
};
use trawl_core::limits::balance as limits;

use crate::{
    backend::{BackendError, FailureKind},
    body::{Body, BoxError},
    config::Origin,
};

/// The connections to one remote replica.
pub(crate) struct Remote {
    origin: Origin,
    /// Boxed, because a connection is a kilobyte that would be moved four times for each request.
    idle: Mutex<Vec<(Box<Link>, Instant)>>,
}

/// One connection.
struct Link {
    sender: SendRequest<Body>,
    driver: Connection<TokioIo<TcpStream>, Body>,
    closed: bool,
}

impl Link {
    /// Moves bytes. After the connection's end it does nothing.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.closed && Pin::new(&mut self.driver).poll(context).is_ready() {
            self.closed = true;
        }
    }

    fn is_ready(&self) -> bool {
        !self.closed && self.sender.is_ready()
    }
}

impl Remote {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            idle: Mutex::default(),
        }
    }

    /// Sends one request and waits for the head of the answer.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, BackendError> {
        loop {
            let (mut link, was_idle) = match self.idle_link().await {
                Some(link) => (link, true),
                None => match self.connect().await {
                    Ok(link) => (link, false),
                    Err(cause) => {
                        let kind = if is_own_lack(&cause) {
                            FailureKind::Overloaded
                        } else {
                            FailureKind::Unreachable
                        };
                        return Err(BackendError::new(kind, cause).unsent(request));
                    }
                },
            };
            let mut answer = pin!(link.sender.try_send_request(request));
            let Link { driver, closed, .. } = &mut *link;
            let outcome = poll_fn(|context| {
                // The connection first: it is what fills the answer.
                if !*closed && Pin::new(&mut *driver).poll(context).is_ready() {
                    *closed = true;
                }
                match answer.as_mut().poll(context) {
                    Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                    Poll::Pending if *closed => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            match outcome {
                Some(Ok(response)) => return Ok(self.answered(response, link)),
                Some(Err(mut failure)) => match failure.take_message() {
                    // Not a byte was sent. On a connection that had been idle, the other side simply closed it first.
                    Some(unsent) if was_idle => request = unsent,
                    Some(unsent) => {
                        return Err(BackendError::new(
                            FailureKind::Unreachable,
                            failure.into_error(),
                        )
                        .unsent(unsent));
                    }
                    None => {
                        let error = failure.into_error();
                        return Err(BackendError::new(FailureKind::Broken, error));
                    }
                },
                None => {
                    return Err(BackendError::new(
                        FailureKind::Broken,
                        "the connection ended without an answer",
                    ));
                }
            }
        }
    }

    fn answered(self: &Arc<Self>, response: Response<Incoming>, link: Box<Link>) -> Response<Body> {
        let (parts, body) = response.into_parts();
        let mut body = LinkedBody {
            body,
            stall: None,
            link: Some(link),
            remote: Arc::clone(self),
        };
        if http_body::Body::is_end_stream(&body.body) {
            body.give_back(None);
        }
        Response::from_parts(parts, body.boxed_unsync())
    }

    /// The connection that was used last and is still good.
    async fn idle_link(&self) -> Option<Box<Link>> {
        loop {
            let (mut link, since) = self.idle().pop()?;
            if since.elapsed() > Duration::from_millis(limits::REMOTE_IDLE_MS) {
                // All below it have been idle for longer.
                self.idle().clear();
                return None;
            }
            poll_fn(|context| {
                link.drive(context);
                Poll::Ready(())
            })
            .await;
            if link.is_ready() {
                return Some(link);
            }
        }
    }

    async fn connect(&self) -> Result<Box<Link>, BoxError> {
        let connecting =
            TcpStream::connect((self.origin.host.trim_matches(['[', ']']), self.origin.port));
        let stream = tokio::time::timeout(Duration::from_millis(limits::CONNECT_MS), connecting)
            .await
            .map_err(|_| "connecting took too long")??;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::Builder::new()
            // Heads and bodies are small, mostly: one copy costs less than a vectored write.
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Box::new(Link {
            sender,
            driver,
            closed: false,
        }))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Box<Link>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection failed for want of what this machine has too little of: files or memory. The replica has no part in it. (A lack
/// of ports looks like an address of a kind that this machine does not speak, which a name may have beside the right one.)
pub(crate) fn is_own_lack(cause: &BoxError) -> bool {
    let code = cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error);
    matches!(
        code,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// The body of an answer, which drives its connection and gives it back at the end.
struct LinkedBody {
    body: Incoming,
    /// Set while the body is waited for: one that lies ready costs no timer.
    stall: Option<Pin<Box<Sleep>>>,
    link: Option<Box<Link>>,
    remote: Arc<Remote>,
}

impl LinkedBody {
    fn give_back(&mut self, context: Option<&mut Context<'_>>) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        // The connection notices the end of the exchange when it is polled once more.
        link.drive(context.unwrap_or(&mut Context::from_waker(std::task::Waker::noop())));
        if link.is_ready() {
            let mut idle = self.remote.idle();
            if idle.len() < limits::REMOTE_IDLE_MAX {
                idle.push((link, Instant::now()));
            }
        }
    }
}

impl http_body::Body for LinkedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // What lies ready is taken before more is asked of the connection.
        let mut frame = Pin::new(&mut this.body).poll_frame(context);
        if frame.is_pending() {
            if let Some(link) = &mut this.link {
                link.drive(context);
            }
            frame = Pin::new(&mut this.body).poll_frame(context);
        }
        match &frame {
            Poll::Ready(None) => this.give_back(Some(context)),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.give_back(Some(context)),
            Poll::Ready(_) => this.stall = None,
            Poll::Pending => {
                let alarm = this.stall.get_or_insert_with(|| {
                    Box::pin(sleep(Duration::from_millis(limits::REMOTE_STALL_MS)))
                });
                ready!(alarm.as_mut().poll(context));
                this.link = None;
                return Poll::Ready(Some(Err("the replica stopped in its answer".into())));
            }
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_held_against_a_replica() {
        let told = |code| is_own_lack(&std::io::Error::from_raw_os_error(code).into());
        assert!(told(libc::EMFILE) && told(libc::ENOBUFS));
        assert!(!told(libc::ECONNREFUSED) && !told(libc::EADDRNOTAVAIL));
    }
}
