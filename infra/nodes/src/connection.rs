//! One kept-alive connection, opened when it is needed and again when it was lost.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use url::Url;

/// Of an answer at most this much is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// One connection to the server.
pub(crate) struct Connection {
    host: String,
    port: u16,
    patience: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// Why there was no answer; short, because the report counts by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Silence {
    Refused,
    /// It says nothing of the server: this process, or this machine, may open no more.
    OutOfFiles,
    Lost,
    TimedOut,
}

impl Silence {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::OutOfFiles => "too many open files here",
            Self::Lost => "connection lost",
            Self::TimedOut => "no answer in time",
        }
    }

    /// Why no connection could be opened.
    fn at_opening(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::OutOfFiles,
            _ => Self::Refused,
        }
    }
}

impl Connection {
    pub(crate) fn new(url: &Url, patience: Duration) -> Self {
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
            patience,
            sender: None,
        }
    }

    /// Sends `request` and reads the answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Silence> {
        match timeout(self.patience, self.exchange(request)).await {
            Ok(outcome) => {
                if outcome.is_err() {
                    self.sender = None;
                }
                outcome
            }
            Err(_) => {
                self.sender = None;
                Err(Silence::TimedOut)
            }
        }
    }

    async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer, Silence> {
        loop {
            let was_open = self.sender.is_some();
            let mut sender = self.ready().await?;
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => match error.take_message() {
                    // The server closed it while it was idle; not a byte of this request was sent.
                    Some(unsent) if was_open => {
                        request = unsent;
                        continue;
                    }
                    _ => return Err(Silence::Lost),
                },
            };
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX);
            let body = body.collect().await.map_err(|_| Silence::Lost)?.to_bytes();
            self.sender = Some(sender);
            return Ok(Answer {
                status: head.status,
                retry_after: head
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.parse().ok())
                    .map(Duration::from_secs),
                body,
            });
        }
    }

    async fn ready(&mut self) -> Result<SendRequest<Full<Bytes>>, Silence> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| Silence::at_opening(&error))?;
        stream.set_nodelay(true).map_err(|_| Silence::Refused)?;
        let (sender, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Silence::Lost)?;
        tokio::spawn(driver);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_are_not_taken_for_a_refusal() {
        for (code, expected) in [
            (libc::EMFILE, Silence::OutOfFiles),
            (libc::ENFILE, Silence::OutOfFiles),
            (libc::ECONNREFUSED, Silence::Refused),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(Silence::at_opening(&error), expected, "{error}");
        }
    }
}
