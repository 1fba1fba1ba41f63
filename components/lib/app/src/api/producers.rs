//! Requests of Redis producers. A durable producer pushes to the list and rings; what it pushed is taken into a list of our
//! own first, recorded, and only then forgotten. What can't be recorded is kept as a dead request with its reason.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use trawl_core::email::Email;
use trawl_core::ids::AccountId;
use trawl_core::limits::inbound::BODY_BYTES_MAX;
use trawl_core::limits::producers::{
    BATCH_MAX, DEAD_BODY_BYTES_MAX, DRAIN_MS_MAX, FULL_PAUSE_MS, FULL_WAIT_MS_MAX,
};
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
            intake.record(&[payload]).await?
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
        let started_ms = self.ports.clock().monotonic_ms();
        let mut sum = Recorded::default();
        while self.ports.clock().monotonic_ms() - started_ms < DRAIN_MS_MAX
            && !stop_was_asked(self.ports.variables()).await
        {
            let taken = list.take(BATCH_MAX).await.map_err(ProducersError::List)?;
            if taken.is_empty() {
                break;
            }
            let recorded = self.record(&taken).await?;
            list.acknowledge().await.map_err(ProducersError::List)?;
            sum.accepted += recorded.accepted;
            sum.dead += recorded.dead;
            self.ports.bell().ring(MESSAGE_QUEUE).await;
        }
        Ok(sum)
    }

    /// Records all of `bodies`, as messages or as dead requests; an error means that some may be in neither.
    async fn record(&self, bodies: &[Bytes]) -> Result<Recorded, StoreError> {
        let mut accounts = HashMap::new();
        let mut recorded = Recorded::default();
        let (mut messages, mut sources) = (
            Vec::with_capacity(bodies.len()),
            Vec::with_capacity(bodies.len()),
        );
        for body in bodies {
            match self.message(body, &mut accounts).await? {
                Ok(message) => {
                    messages.push(message);
                    sources.push(body);
                }
                Err(refused) => {
                    self.put_aside(body, &refused).await?;
                    recorded.dead += 1;
                }
            }
        }
        for (body, outcome) in sources.into_iter().zip(self.submit(messages).await?) {
            match outcome {
                Submitted::Accepted(_) | Submitted::Repeat(_) => recorded.accepted += 1,
                Submitted::Conflict => self.put_aside(body, &conflict()).await?,
                Submitted::TenantFull => self.put_aside(body, &full(Code::TenantQueueFull)).await?,
                Submitted::Full => self.put_aside(body, &full(Code::QueueFull)).await?,
            }
            recorded.dead += u64::from(!matches!(
                outcome,
                Submitted::Accepted(_) | Submitted::Repeat(_)
            ));
        }
        Ok(recorded)
    }

    /// Submits; those that met a full queue are tried again for a while, since a list can wait as no client of HTTP can.
    async fn submit(&self, messages: Vec<NewMessage>) -> Result<Vec<Submitted>, StoreError> {
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
        body: &[u8],
        accounts: &mut HashMap<String, Option<AccountId>>,
    ) -> Result<Result<NewMessage, Problem>, StoreError> {
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
        let Some(tenant) = self
            .account(submission.account.unwrap_or_default(), accounts)
            .await?
        else {
            return Ok(Err(Problem::new(
                Code::InvalidField,
                "`account` must be the e-mail of a registered account.",
            )
            .at("account")));
        };
        let idem_key = match object.text(&["idempotency_key"]) {
            Ok(key) => key
                .map(|key| check_idempotency_key(key, "idempotency_key"))
                .transpose(),
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
