//! Requests of Redis producers. A durable producer pushes to the list and rings; what it pushed is taken into a list of our
//! own first, recorded, and only then forgotten. A request that names no idempotency key gets one from its place in what was
//! taken, so that a batch whose recorder died is recorded again without making any message twice. What is wrong is kept as a dead
//! request with its reason, of such a batch once more; what meets a full queue goes back to the end of the list.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use trawl_core::email::Email;
use trawl_core::ids::AccountId;
use trawl_core::limits::inbound::BODY_BYTES_MAX;
use trawl_core::limits::producers::{
    BATCH_MAX, BATCHES_IN_VAIN_MAX, DEAD_BODY_BYTES_MAX, DRAIN_MS_MAX, FULL_PAUSE_MS,
    FULL_WAIT_MS_MAX,
};
use trawl_core::limits::scrape::RING_EVERY_MS;
use trawl_core::problem::{Code, Problem};
use trawl_store::{NewMessage, Store, StoreError, Submitted};
use trawl_wire::object::Object;
use trawl_wire::submission::Submission;

use super::Api;
use super::body::{bad_field, not_an_object};
use super::receive::{check, check_idempotency_key, conflict, full};
use super::settings::Settings;
use crate::channels::{DATA_QUEUE, MESSAGE_QUEUE};
use crate::patience::patiently;
use crate::ports::{Bell as _, Clock as _, Ports, ProducerList};
use crate::settings::stop_was_asked;

/// What became of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Messages made, or made before under the same idempotency key.
    pub accepted: u64,
    /// Put aside with a reason.
    pub dead: u64,
    /// Given back to the list, because the account's queue or the whole one is full.
    pub given_back: u64,
}

/// What becomes of requests that meet a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    /// They came as messages, which nobody keeps for us: they wait a while, and are then put aside with the reason.
    PutAside,
    /// They came from a list that can hold them.
    GiveBack,
}

/// A request to record.
struct Request<'a> {
    body: &'a Bytes,
    /// The idempotency key of a request that names none.
    key: Option<String>,
}

/// Why the requests could not be recorded; they are still in the list.
#[derive(Debug, thiserror::Error)]
pub enum ProducersError {
    /// The database did not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis could not be asked.
    #[error("{0:#}")]
    List(anyhow::Error),
}

impl Api {
    /// Handles a message of the channel `data_queue` (or a tick): a body is one request, an empty one says that the list holds
    /// some. `list` is `None` where there is no Redis to ask.
    ///
    /// # Errors
    /// See [`ProducersError`]; what is in the list stays there for the next ring.
    pub async fn from_producers<P: Ports>(
        &self,
        ports: &P,
        list: Option<&impl ProducerList>,
        payload: Bytes,
    ) -> Result<Recorded, ProducersError> {
        let settings = self.settings(ports).await;
        let intake = Intake { ports, settings };
        let recorded = if !payload.is_empty() {
            let request = Request {
                body: &payload,
                key: None,
            };
            intake.record(&[request], WhenFull::PutAside).await?.0
        } else if let Some(list) = list {
            intake.drain(list).await?
        } else {
            Recorded::default()
        };
        if recorded.accepted > 0 {
            ports.bell().ring(MESSAGE_QUEUE).await;
        }
        Ok(recorded)
    }
}

struct Intake<'a, P: Ports> {
    ports: &'a P,
    settings: Rc<Settings>,
}

impl<P: Ports> Intake<'_, P> {
    fn store(&self) -> Store<'_, P::Sql> {
        Store::new(self.ports.sql())
    }

    async fn drain(&self, list: &impl ProducerList) -> Result<Recorded, ProducersError> {
        let clock = self.ports.clock();
        let started_ms = clock.monotonic_ms();
        let mut rung_ms = None;
        let mut in_vain = 0;
        let mut sum = Recorded::default();
        while clock.monotonic_ms() - started_ms < DRAIN_MS_MAX
            && in_vain < BATCHES_IN_VAIN_MAX
            && !stop_was_asked(self.ports.variables()).await
        {
            let batch = list.take(BATCH_MAX).await.map_err(ProducersError::List)?;
            if batch.entries.is_empty() {
                break;
            }
            let requests: Vec<Request<'_>> = batch
                .entries
                .iter()
                .enumerate()
                .map(|(place, body)| Request {
                    body,
                    key: Some(format!("{}:{place}", batch.name)),
                })
                .collect();
            let (recorded, back) = self.record(&requests, WhenFull::GiveBack).await?;
            list.acknowledge(&batch, &back)
                .await
                .map_err(ProducersError::List)?;
            sum.accepted += recorded.accepted;
            sum.dead += recorded.dead;
            sum.given_back += recorded.given_back;
            // What was given back comes round again; when nothing else is left it can wait for the clock.
            in_vain = if recorded.accepted + recorded.dead == 0 {
                in_vain + 1
            } else {
                0
            };
            let now_ms = clock.monotonic_ms();
            if rung_ms.is_none_or(|rung_ms| now_ms >= rung_ms + RING_EVERY_MS) {
                rung_ms = Some(now_ms);
                self.ports.bell().ring(MESSAGE_QUEUE).await;
            }
        }
        Ok(sum)
    }

    /// Records all requests, as messages or as dead requests, and returns those that have to go back to their list; an error
    /// means that some may be in none of them.
    async fn record(
        &self,
        requests: &[Request<'_>],
        when_full: WhenFull,
    ) -> Result<(Recorded, Vec<Bytes>), StoreError> {
        let mut accounts = HashMap::new();
        let (mut recorded, mut back) = (Recorded::default(), Vec::new());
        let (mut messages, mut sources) = (
            Vec::with_capacity(requests.len()),
            Vec::with_capacity(requests.len()),
        );
        for request in requests {
            match self.message(request, &mut accounts).await? {
                Ok(message) => {
                    messages.push(message);
                    sources.push(request.body);
                }
                Err(refused) => {
                    self.put_aside(request.body, &refused).await?;
                    recorded.dead += 1;
                }
            }
        }
        for (body, outcome) in sources
            .into_iter()
            .zip(self.submit(messages, when_full).await?)
        {
            let refused = match (outcome, when_full) {
                (Submitted::Accepted(_) | Submitted::Repeat { .. }, _) => {
                    recorded.accepted += 1;
                    continue;
                }
                (Submitted::TenantFull | Submitted::Full, WhenFull::GiveBack) => {
                    recorded.given_back += 1;
                    back.push(body.clone());
                    continue;
                }
                (Submitted::Conflict, _) => conflict(),
                (Submitted::TenantFull, _) => full(Code::TenantQueueFull),
                (Submitted::Full, _) => full(Code::QueueFull),
            };
            self.put_aside(body, &refused).await?;
            recorded.dead += 1;
        }
        Ok((recorded, back))
    }

    /// Submits; while the whole queue is full, those that have no list to go back to are tried again for a while. An account that is
    /// at its own limit is told at once: it would wait for its own messages, and keep others' waiting behind it.
    async fn submit(
        &self,
        messages: Vec<NewMessage>,
        when_full: WhenFull,
    ) -> Result<Vec<Submitted>, StoreError> {
        let clock = self.ports.clock();
        let started_ms = clock.monotonic_ms();
        let mut outcomes = vec![Submitted::Full; messages.len()];
        loop {
            let waiting: Vec<usize> = (0..outcomes.len())
                .filter(|index| outcomes[*index] == Submitted::Full)
                .collect();
            if waiting.is_empty() {
                return Ok(outcomes);
            }
            let again: Vec<NewMessage> = waiting
                .iter()
                .map(|index| messages[*index].clone())
                .collect();
            let answers = patiently(clock, async || {
                self.store()
                    .submit_many(&again, &self.settings.limits)
                    .await
            })
            .await?;
            for (index, answer) in waiting.into_iter().zip(answers) {
                outcomes[index] = answer;
            }
            let is_full = outcomes.contains(&Submitted::Full);
            if !is_full
                || when_full == WhenFull::GiveBack
                || clock.monotonic_ms() - started_ms >= FULL_WAIT_MS_MAX
                || stop_was_asked(self.ports.variables()).await
            {
                return Ok(outcomes);
            }
            clock.sleep(Duration::from_millis(FULL_PAUSE_MS)).await;
        }
    }

    /// One request as a message. The outer error is the database's, the inner one the producer's.
    async fn message(
        &self,
        request: &Request<'_>,
        accounts: &mut HashMap<String, Option<AccountId>>,
    ) -> Result<Result<NewMessage, Problem>, StoreError> {
        let body = request.body;
        if u64::try_from(body.len()).is_ok_and(|length| length > BODY_BYTES_MAX) {
            return Ok(Err(Problem::new(
                Code::BodyTooLarge,
                format!("A request has at most {BODY_BYTES_MAX} bytes."),
            )));
        }
        let object = match Object::parse(body) {
            Ok(object) => object,
            Err(error) => return Ok(Err(not_an_object(&error))),
        };
        let submission = match Submission::read(&object) {
            Ok(submission) => submission,
            Err(error) => return Ok(Err(bad_field(error))),
        };
        let account = match object.text(&["account"]) {
            Ok(account) => account.unwrap_or_default(),
            Err(error) => return Ok(Err(bad_field(error))),
        };
        let Some(tenant) = self.account(account, accounts).await? else {
            return Ok(Err(Problem::new(
                Code::InvalidField,
                "`account` must be the e-mail of a registered account.",
            )
            .at("account")));
        };
        let idem_key = match object.text(&["idempotency_key"]) {
            Ok(key) => key.map_or(Ok(request.key.clone()), |key| {
                check_idempotency_key(key, "idempotency_key").map(Some)
            }),
            Err(error) => Err(bad_field(error)),
        };
        Ok(idem_key.and_then(|key| {
            check(
                tenant,
                submission,
                key,
                &self.settings.request_urls,
                &self.settings.callback_urls,
            )
        }))
    }

    async fn account(
        &self,
        email: &str,
        accounts: &mut HashMap<String, Option<AccountId>>,
    ) -> Result<Option<AccountId>, StoreError> {
        let Ok(email) = Email::parse(email) else {
            return Ok(None);
        };
        if let Some(known) = accounts.get(&email.key) {
            return Ok(*known);
        }
        let found = patiently(self.ports.clock(), async || {
            self.store().account_by_email_key(&email.key).await
        })
        .await?;
        let id = found.map(|account| account.id);
        accounts.insert(email.key, id);
        Ok(id)
    }

    async fn put_aside(&self, body: &[u8], refused: &Problem) -> Result<(), StoreError> {
        let kept = &body[..body.len().min(DEAD_BODY_BYTES_MAX)];
        let reason = refused.to_string();
        patiently(self.ports.clock(), async || {
            self.store().dead_request(DATA_QUEUE, kept, &reason).await
        })
        .await
    }
}
