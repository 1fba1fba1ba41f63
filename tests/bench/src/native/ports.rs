//! The ports of `trawl-app` over ordinary crates.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Notify;
use trawl_app::channels::{
    CALLBACK_QUEUE, DATA_QUEUE, MESSAGE_QUEUE, TYPE_1_QUEUE, TYPE_2_QUEUE, TYPE_3_QUEUE,
};
use trawl_app::ports::{
    Bell, Body, Clock, Http, Phase, Ports, Purpose, Random, SendError, Timeouts, Variables,
};
use trawl_outbound::{Class, Client, OutboundError, ResponseBody};
use trawl_sqlite::{Connection, Database};
use trawl_store::sql::{Rows, Sql, SqlError, Value};

/// Rings of a channel within this time count as one, as in the components.
const COALESCED: Duration = Duration::from_millis(50);
const CHANNELS: [&str; 6] = [
    DATA_QUEUE,
    MESSAGE_QUEUE,
    TYPE_1_QUEUE,
    TYPE_2_QUEUE,
    TYPE_3_QUEUE,
    CALLBACK_QUEUE,
];

/// What the threads have in common.
pub(super) struct Shared {
    pub(super) database: Database,
    pub(super) client: Client,
    pub(super) bells: Bells,
    pub(super) secret: String,
}

/// One bell for each thread and channel.
pub(super) struct Bells(Vec<HashMap<&'static str, Notify>>);

impl Bells {
    pub(super) fn new(threads: usize) -> Self {
        let thread = |_| {
            CHANNELS
                .into_iter()
                .map(|name| (name, Notify::new()))
                .collect()
        };
        Self((0..threads).map(thread).collect())
    }
}

/// The ports of one thread.
pub(super) struct NativePorts {
    sql: NativeSql,
    http: NativeHttp,
    clock: NativeClock,
    random: NativeRandom,
    bell: NativeBell,
    variables: NativeVariables,
    thread: usize,
}

impl NativePorts {
    pub(super) fn new(shared: &Arc<Shared>, thread: usize) -> Self {
        Self {
            sql: NativeSql::new(shared),
            http: NativeHttp {
                client: shared.client.clone(),
                pages: Class::new("page"),
                callbacks: Class::new("callback"),
            },
            clock: NativeClock(Instant::now()),
            random: NativeRandom,
            bell: NativeBell {
                shared: Arc::clone(shared),
                rung: RefCell::default(),
            },
            variables: NativeVariables {
                secret: shared.secret.clone(),
            },
            thread,
        }
    }

    /// Waits until somebody rings `channel`.
    pub(super) async fn rung(&self, channel: &'static str) {
        match self.bell.shared.bells.0[self.thread].get(channel) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Ports for NativePorts {
    type Sql = NativeSql;
    type Http = NativeHttp;
    type Clock = NativeClock;
    type Random = NativeRandom;
    type Bell = NativeBell;
    type Variables = NativeVariables;

    fn sql(&self) -> &NativeSql {
        &self.sql
    }

    fn http(&self) -> &NativeHttp {
        &self.http
    }

    fn clock(&self) -> &NativeClock {
        &self.clock
    }

    fn random(&self) -> &NativeRandom {
        &self.random
    }

    fn bell(&self) -> &NativeBell {
        &self.bell
    }

    fn variables(&self) -> &NativeVariables {
        &self.variables
    }
}

/// The database.
pub(super) struct NativeSql(Connection);

impl NativeSql {
    pub(super) fn new(shared: &Shared) -> Self {
        Self(shared.database.connection())
    }
}

impl Sql for NativeSql {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        let params = params.into_iter().map(into_sqlite).collect();
        let rows = self
            .0
            .execute(statement, params)
            .await
            .map_err(|error| SqlError::classify(&error.to_string()))?;
        let from = |row: Vec<trawl_sqlite::Value>| row.into_iter().map(from_sqlite).collect();
        Ok(Rows {
            columns: rows.columns.to_vec(),
            rows: rows.rows.into_iter().map(from).collect(),
        })
    }
}

fn into_sqlite(value: Value) -> trawl_sqlite::Value {
    match value {
        Value::Integer(number) => trawl_sqlite::Value::Integer(number),
        Value::Real(number) => trawl_sqlite::Value::Real(number),
        Value::Text(text) => trawl_sqlite::Value::Text(text),
        Value::Blob(bytes) => trawl_sqlite::Value::Blob(bytes),
        Value::Null => trawl_sqlite::Value::Null,
    }
}

fn from_sqlite(value: trawl_sqlite::Value) -> Value {
    match value {
        trawl_sqlite::Value::Integer(number) => Value::Integer(number),
        trawl_sqlite::Value::Real(number) => Value::Real(number),
        trawl_sqlite::Value::Text(text) => Value::Text(text),
        trawl_sqlite::Value::Blob(bytes) => Value::Blob(bytes),
        trawl_sqlite::Value::Null => Value::Null,
    }
}

/// The outbound client.
pub(super) struct NativeHttp {
    client: Client,
    pages: Class,
    callbacks: Class,
}

impl Http for NativeHttp {
    type Body = NativeBody;

    async fn send(
        &self,
        purpose: Purpose,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<NativeBody>, SendError> {
        let class = match purpose {
            Purpose::Page | Purpose::Robots => &self.pages,
            Purpose::Callback => &self.callbacks,
        };
        let timeouts = trawl_outbound::Timeouts {
            connect: timeouts.connect,
            first_byte: timeouts.first_byte,
            between_bytes: timeouts.between_bytes,
        };
        let sent = self.client.send(class, request.map(Full::new), timeouts);
        match sent.await {
            Ok(response) => Ok(response.map(NativeBody)),
            Err(error) => Err(send_error(error, Phase::FirstByte)),
        }
    }
}

/// A response body.
pub(super) struct NativeBody(ResponseBody);

impl Body for NativeBody {
    async fn chunk(&mut self) -> Option<Result<Bytes, SendError>> {
        let frame = self.0.frame().await?;
        Some(match frame {
            Ok(frame) => Ok(frame.into_data().unwrap_or_default()),
            Err(error) => Err(send_error(error, Phase::BetweenBytes)),
        })
    }
}

fn send_error(error: OutboundError, waited: Phase) -> SendError {
    match error {
        OutboundError::DestinationIpProhibited | OutboundError::HttpRequestDenied(_) => {
            SendError::AddressNotAllowed
        }
        OutboundError::DnsError(_) => SendError::Dns,
        OutboundError::ConnectionRefused(why) => SendError::Connect(why),
        OutboundError::ConnectionTimeout => SendError::Timeout(Phase::Connect),
        OutboundError::ConnectionReadTimeout => SendError::Timeout(waited),
        OutboundError::ResponseHeadTooLarge => SendError::HeadersTooLarge,
        OutboundError::ResponseBodyInCrumbs => SendError::BodyTooLarge,
        OutboundError::ConnectionLimitReached => SendError::Busy,
        other => SendError::Protocol(other.to_string()),
    }
}

/// The clocks.
pub(super) struct NativeClock(Instant);

impl Clock for NativeClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }
}

/// The system's random numbers.
pub(super) struct NativeRandom;

impl Random for NativeRandom {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the system has random numbers");
    }
}

/// Wakes the workers of all threads.
pub(super) struct NativeBell {
    shared: Arc<Shared>,
    rung: RefCell<HashMap<&'static str, Instant>>,
}

impl Bell for NativeBell {
    async fn ring(&self, channel: &'static str) {
        let now = Instant::now();
        let last = self.rung.borrow().get(channel).copied();
        if last.is_some_and(|last| now < last + COALESCED) {
            return;
        }
        self.rung.borrow_mut().insert(channel, now);
        for bell in self
            .shared
            .bells
            .0
            .iter()
            .filter_map(|thread| thread.get(channel))
        {
            bell.notify_one();
        }
    }
}

/// What `trawl up --allow-private 127.0.0.0/8` would set.
pub(super) struct NativeVariables {
    secret: String,
}

impl Variables for NativeVariables {
    async fn get(&self, name: &'static str) -> Option<String> {
        match name {
            "jwt_secret" => Some(self.secret.clone()),
            "replica_id" => Some("native".to_owned()),
            "allow_private" => Some(super::LOOPBACK.to_owned()),
            _ => None,
        }
    }
}
