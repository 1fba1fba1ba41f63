//! What the use cases need from the outside, as small traits. `trawl-spin` implements them over
//! spin-sdk; the native baseline of the benchmarks and the tests implement them over ordinary crates.
//!
//! Futures are not `Send`: a component is one thread, and native users run them on a `LocalSet`.

use std::time::Duration;

use bytes::Bytes;
use trawl_store::sql::Sql;

/// Which outbound policy a request falls under: the address lists for pages and callbacks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Fetching a page for a tenant.
    Page,
    /// Fetching a robots.txt.
    Robots,
    /// Calling a node back.
    Callback,
}

/// Why a request could not be answered, in terms that decide between retrying and giving up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The address list of the host refused the destination. Permanent; the tenant is never told why.
    #[error("the address is not allowed")]
    AddressNotAllowed,
    /// The name did not resolve.
    #[error("the name could not be resolved")]
    Dns,
    /// Nothing listens there, or the network refused.
    #[error("the connection failed: {0}")]
    Connect(String),
    /// The connection ended before the answer did.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A timeout of the transport.
    #[error("timed out: {0:?}")]
    Timeout(Phase),
    /// The head of the answer is larger than the host takes.
    #[error("the headers are too large")]
    HeadersTooLarge,
    /// The body of the answer is larger than the host takes, or comes in too many pieces.
    #[error("the body is too large")]
    BodyTooLarge,
    /// Too many connections at once; try later.
    #[error("too many connections")]
    Busy,
    /// The peer broke the protocol.
    #[error("the answer could not be read: {0}")]
    Protocol(String),
}

/// A part of an exchange that has a timeout of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To a connected socket.
    Connect,
    /// From there to the end of the response headers.
    FirstByte,
    /// Between two pieces of the body.
    BetweenBytes,
}

/// Timeouts of the parts of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connected socket.
    pub connect: Duration,
    /// To the end of the response headers.
    pub first_byte: Duration,
    /// Between two pieces of the body.
    pub between_bytes: Duration,
}

/// A response body, read piece by piece so that limits are counted while reading.
pub trait Body {
    /// The next piece, `None` at the end.
    async fn chunk(&mut self) -> Option<Result<Bytes, SendError>>;
}

/// One exchange over HTTP: no redirects, no decompression, no cookies; those are policy and stand in this crate.
pub trait Http {
    /// The body of a response.
    type Body: Body;
    /// Sends `request` and waits for the response headers. An empty body sends none.
    async fn send(
        &self,
        purpose: Purpose,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Self::Body>, SendError>;
}

/// Time, for pacing and budgets inside one invocation. Queue time is the database's.
pub trait Clock {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
    /// Monotonic milliseconds, for durations.
    fn monotonic_ms(&self) -> u64;
    /// Waits.
    async fn sleep(&self, duration: Duration);
    /// Lets other tasks of the instance run; called every few milliseconds of CPU work.
    async fn yield_now(&self);
}

/// Random bytes from the system.
pub trait Random {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);

    /// Any number.
    fn draw(&self) -> u32 {
        let mut draw = [0; 4];
        self.fill(&mut draw);
        u32::from_be_bytes(draw)
    }
}

/// The doorbell: a hint that work waits. It carries no data, may be lost, and is never waited for long.
pub trait Bell {
    /// Rings `channel` (see [`crate::channels`]), coalesced to one ring a channel per 50 ms in an instance: one that
    /// comes sooner waits, and serves all that come meanwhile. Errors are swallowed: the clock covers them.
    async fn ring(&self, channel: &'static str);
}

/// Entries of a list of producers that were taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Names the batch for ever: whoever records it again, because the one before died, records it under the same keys.
    pub name: String,
    /// The entries, in their order.
    pub entries: Vec<Bytes>,
}

/// The lists of durable Redis producers (`data_queue`). Only ingest has one.
pub trait ProducerList {
    /// Moves up to `max` entries from the list into an in-progress list and returns them; nothing is lost when we die now.
    /// A batch that somebody took and left for dead comes first.
    async fn take(&self, max: usize) -> anyhow::Result<Batch>;
    /// Forgets a batch that was recorded. The entries in `back` could not be, and go to the end of the list in the same step.
    async fn acknowledge(&self, batch: &Batch, back: &[Bytes]) -> anyhow::Result<()>;
}

/// Application variables of the manifest.
pub trait Variables {
    /// The value, `None` when it is not set or empty; also when it can't be read and never could be.
    async fn get(&self, name: &'static str) -> Option<String>;

    /// The same for a variable whose default must not stand in for what can't be read.
    ///
    /// # Errors
    /// When it can't be read, and never could be.
    async fn read(&self, name: &'static str) -> Result<Option<String>, Unreadable> {
        Ok(self.get(name).await)
    }
}

/// A variable can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// All ports of one instance.
pub trait Ports {
    /// The database.
    type Sql: Sql;
    /// Outbound HTTP.
    type Http: Http;
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Random: Random;
    /// The doorbell.
    type Bell: Bell;
    /// Variables.
    type Variables: Variables;
    /// The database.
    fn sql(&self) -> &Self::Sql;
    /// Outbound HTTP.
    fn http(&self) -> &Self::Http;
    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Randomness.
    fn random(&self) -> &Self::Random;
    /// The doorbell.
    fn bell(&self) -> &Self::Bell;
    /// Variables.
    fn variables(&self) -> &Self::Variables;
}
