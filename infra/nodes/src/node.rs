//! One node: takes the next request, posts it, and remembers the answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{StatusCode, header};
use serde::Deserialize;

use crate::{
    args::Args,
    connection::{Answer, Connection},
    progress::Progress,
    session::{ProblemAnswer, Session, Token, body, problem, request},
};

/// Times that one request is sent again.
const REPEATS_MAX: u32 = 5;
/// The longest `Retry-After` that is waited for: the report should come before the user gives up.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What is to be posted.
pub(crate) struct Plan {
    bodies: Vec<Bytes>,
    requests: u64,
    next: AtomicU64,
    patience: Duration,
    /// The start of each `Idempotency-Key`, if they carry one.
    key: Option<String>,
}

impl Plan {
    pub(crate) fn new(args: &Args) -> Self {
        let body = |target: &String| {
            let mut body = serde_json::json!({"request_url": target, "type": args.kind, "user_Id": "trawl-nodes"});
            if let Some(callback) = &args.callback {
                body["callback_url"] = callback.clone().into();
            }
            Bytes::from(body.to_string())
        };
        let started = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        Self {
            bodies: args.targets.iter().map(body).collect(),
            requests: args.requests,
            next: AtomicU64::new(0),
            patience: Duration::from_secs(args.timeout),
            key: args
                .idempotent
                .then(|| format!("nodes-{}-{started}", std::process::id())),
        }
    }

    /// The number of the next request, and its body: targets take turns.
    fn take(&self) -> Option<(u64, &Bytes)> {
        let number = self.next.fetch_add(1, Relaxed);
        if number >= self.requests {
            return None;
        }
        let place = usize::try_from(number % self.bodies.len() as u64).ok()?;
        Some((number, &self.bodies[place]))
    }
}

/// What one node saw.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The codes of answers that were not 202.
    pub(crate) problems: BTreeMap<String, u64>,
    /// What the server said to the first of each code.
    pub(crate) details: BTreeMap<String, String>,
    pub(crate) silences: BTreeMap<&'static str, u64>,
    pub(crate) replicas: BTreeMap<String, u64>,
    pub(crate) latencies_us: Vec<u64>,
}

#[derive(Deserialize)]
struct Accepted<'a> {
    #[serde(borrow)]
    data: AcceptedData<'a>,
}

#[derive(Deserialize)]
struct AcceptedData<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
}

/// Posts requests until there are none left.
pub(crate) async fn work(plan: Arc<Plan>, session: Arc<Session>, progress: Progress) -> Tally {
    let mut connection = Connection::new(session.url(), plan.patience);
    let mut token = session.token().await;
    let mut tally = Tally::default();
    while let Some((number, bytes)) = plan.take() {
        let key = plan.key.as_ref().map(|start| format!("{start}-{number}"));
        for _ in 0..=REPEATS_MAX {
            if !post(
                &session,
                &mut connection,
                &mut token,
                bytes,
                key.as_deref(),
                &mut tally,
            )
            .await
            {
                break;
            }
        }
        progress.step();
    }
    tally
}

/// Posts once. True when the same request should be posted again.
async fn post(
    session: &Session,
    connection: &mut Connection,
    token: &mut Token,
    bytes: &Bytes,
    key: Option<&str>,
    tally: &mut Tally,
) -> bool {
    let mut builder = request(session.url(), "/receive_data")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, token.header.clone());
    if let Some(key) = key {
        builder = builder.header("idempotency-key", key);
    }
    let Ok(request) = builder.body(body(bytes)) else {
        return false;
    };
    let begun = Instant::now();
    let answer = match connection.send(request).await {
        Ok(answer) => answer,
        Err(silence) => {
            *tally.silences.entry(silence.name()).or_default() += 1;
            if key.is_some() {
                // Whatever went down needs a moment to come back.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            return key.is_some();
        }
    };
    let latency_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    *tally.statuses.entry(answer.status.as_u16()).or_default() += 1;
    if answer.status == StatusCode::ACCEPTED {
        tally.accepted += 1;
        tally.latencies_us.push(latency_us);
        let replica = serde_json::from_slice::<Accepted<'_>>(&answer.body)
            .map_or_else(|_| "?".to_owned(), |accepted| accepted.data.id.into_owned());
        *tally.replicas.entry(replica).or_default() += 1;
        return false;
    }
    let ProblemAnswer { code, detail } = problem(&answer);
    if !code.is_empty() {
        tally.details.entry(code.clone()).or_insert(detail);
        *tally.problems.entry(code).or_default() += 1;
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        let Ok(renewed) = session.renew(token).await else {
            return false;
        };
        *token = renewed;
        return true;
    }
    let Some(pause) = pause_of(&answer) else {
        return false;
    };
    tokio::time::sleep(pause).await;
    true
}

/// How long the server wants us to wait before the same again; `None` when it said something else.
pub(crate) fn pause_of(answer: &Answer) -> Option<Duration> {
    let asks = matches!(
        answer.status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    asks.then(|| {
        answer
            .retry_after
            .unwrap_or(Duration::from_secs(1))
            .min(PAUSE_MAX)
    })
}
