//! One component's lane: what waits for it, and the workers that take it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use trawl_core::ids::worker_name;
use trawl_core::limits::host as limits;
use wasmtime::Store;

use super::crew::Crew;
use crate::failure;
use crate::links::bindings;
use crate::own_statements::take_back_of;
use crate::part::{Part, Rights};
use crate::precedence::Precedence;
use crate::state::Guest;

/// A component that the doorbell calls, with at most so many invocations at once.
pub(crate) struct Lane {
    part: Arc<Part>,
    crew: Arc<Crew>,
    precedence: Arc<Precedence>,
    workers_max: usize,
    threads: Handle,
    stopping: Arc<AtomicBool>,
    waiting: Mutex<Waiting>,
    running: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    payloads: VecDeque<Bytes>,
    bytes: usize,
    /// Workers that will look at `payloads` again before they end.
    workers: usize,
}

impl Waiting {
    /// Keeps a message for later. A ring, and a payload without a byte, says nothing that one before it did not.
    fn push(&mut self, payload: Bytes, is_ring: bool) -> bool {
        let says_nothing_new = if is_ring {
            !self.payloads.is_empty()
        } else {
            payload.is_empty() && self.payloads.back().is_some_and(Bytes::is_empty)
        };
        if says_nothing_new {
            return true;
        }
        let is_full = self.payloads.len() >= limits::PAYLOADS_WAITING_MAX
            || self.bytes + payload.len() > limits::PAYLOAD_BYTES_WAITING_MAX;
        if is_full {
            return false;
        }
        self.bytes += payload.len();
        self.payloads.push_back(payload);
        true
    }

    fn pop(&mut self) -> Option<Bytes> {
        let payload = self.payloads.pop_front()?;
        self.bytes -= payload.len();
        Some(payload)
    }
}

impl Lane {
    /// A lane for `part`, whose invocations go round the `crew`, on `threads`.
    pub(crate) fn new(
        part: Arc<Part>,
        crew: Arc<Crew>,
        precedence: Arc<Precedence>,
        workers_max: usize,
        threads: Handle,
        stopping: Arc<AtomicBool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            part,
            crew,
            precedence,
            workers_max,
            threads,
            stopping,
            waiting: Mutex::default(),
            running: AtomicUsize::new(0),
        })
    }

    /// Takes a message; starts a worker when one more may run.
    pub(crate) fn ring(self: &Arc<Self>, payload: Bytes) {
        if self.stopping.load(Relaxed) {
            return;
        }
        let mut waiting = self.waiting();
        if !waiting.push(payload, self.part.local.rings) {
            self.part.figures.dropped.fetch_add(1, Relaxed);
            return;
        }
        if waiting.workers < self.workers_max {
            waiting.workers += 1;
            drop(waiting);
            self.start_counted_worker();
        }
    }

    /// Not under the lock: threads that have ended drop the worker, which then takes itself out of the count.
    fn start_counted_worker(self: &Arc<Self>) {
        let worker = Worker {
            lane: Arc::clone(self),
            has_left: false,
        };
        self.threads.spawn(worker.work());
    }

    /// The component's id.
    pub(crate) fn component(&self) -> &str {
        &self.part.id
    }

    /// Messages that wait for a worker.
    pub(crate) fn queued(&self) -> usize {
        self.waiting().payloads.len()
    }

    /// Invocations that run now.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message, unless the host stops.
    fn take(&self) -> Option<Bytes> {
        if self.stopping.load(Relaxed) {
            return None;
        }
        self.waiting().pop()
    }

    /// One instance, called for the first message and for those that have come meanwhile.
    async fn session(
        &self,
        engine: &wasmtime::Engine,
        rights: &Arc<Rights>,
        worker: Option<Arc<str>>,
        first: Bytes,
    ) -> wasmtime::Result<()> {
        let Some(inbound) = &self.part.inbound else {
            wasmtime::bail!("the component does not export spin:redis/inbound-redis");
        };
        let mut store = Guest::store(engine, rights);
        store.data_mut().worker = worker;
        let instance = inbound.instantiate_async(&mut store).await?;
        let mut payload = Some(first);
        let mut count = 0;
        while let Some(message) = payload {
            self.part.figures.invocations.fetch_add(1, Relaxed);
            invoke(&mut store, &instance, message, self).await?;
            count += 1;
            payload = if count < limits::INVOCATIONS_PER_INSTANCE_MAX {
                self.take()
            } else {
                None
            };
        }
        Ok(())
    }
}

/// One worker of a lane. When it panics its place is free for another one, which looks after what waits.
struct Worker {
    lane: Arc<Lane>,
    /// It is not counted any more.
    has_left: bool,
}

impl Worker {
    async fn work(mut self) {
        let lane = Arc::clone(&self.lane);
        while let Some(first) = self.take_or_leave() {
            let replica = lane.crew.next();
            let rights = replica.as_ref().and_then(|it| it.rights(&lane.part.id));
            let (Some(replica), Some(rights)) = (replica.as_ref(), rights) else {
                lane.part.figures.dropped.fetch_add(1, Relaxed);
                continue;
            };
            let _running = Running::begin(&lane.running);
            let name = rights
                .takes_name()
                .then(|| Arc::from(worker_name(&rights.replica, rand::random())));
            let session = lane.session(replica.engine(), &rights, name.clone(), first);
            if let Err(error) = session.await {
                lane.part.figures.failed(&error);
                failure::log(&lane.part.id, &rights.replica, &error);
                if let (Some(database), Some(name)) = (&rights.database, name) {
                    take_back_of(database, &name).await;
                }
            }
        }
    }

    /// The next message, or none, which ends the worker. Looking and leaving are one step: a ring that comes between them would
    /// find a worker that is already gone.
    fn take_or_leave(&mut self) -> Option<Bytes> {
        let mut waiting = self.lane.waiting();
        let first = if self.lane.stopping.load(Relaxed) {
            None
        } else {
            waiting.pop()
        };
        if first.is_none() {
            waiting.workers -= 1;
            self.has_left = true;
        }
        first
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut waiting = self.lane.waiting();
        // Not when the threads end, which drops workers as well: nobody would be there to run another one.
        let is_followed = std::thread::panicking()
            && !waiting.payloads.is_empty()
            && !self.lane.stopping.load(Relaxed);
        if !is_followed {
            waiting.workers -= 1;
        }
        drop(waiting);
        if is_followed {
            self.lane.start_counted_worker();
        }
    }
}

/// Counts an invocation as running, however it ends.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// One call of `handle-message`, to the end of what it spawned.
async fn invoke(
    store: &mut Store<Guest>,
    instance: &bindings::Component,
    message: Bytes,
    lane: &Lane,
) -> wasmtime::Result<()> {
    let call = store.run_concurrent(async |accessor| {
        let inbound = instance.spin_redis_inbound_redis();
        let outcome = inbound
            .call_handle_message(accessor, message.to_vec())
            .await?;
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        wasmtime::error::Ok(outcome)
    });
    let time_max = Duration::from_millis(limits::INVOCATION_MS_MAX);
    match tokio::time::timeout(time_max, lane.precedence.give_way(call)).await {
        Err(_) => wasmtime::bail!(
            "ended after {} s without an end of its own",
            time_max.as_secs()
        ),
        Ok(ended) => {
            if let Err(error) = ended?? {
                lane.part.figures.failures.fetch_add(1, Relaxed);
                tracing::info!(
                    component = &*lane.part.id,
                    "a message was answered with an error: {error:?}"
                );
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lane whose crew is empty: its workers throw away what waits.
    fn lane() -> Arc<Lane> {
        let part = Part {
            id: Arc::from("a"),
            local: crate::manifest::Local::default(),
            http: None,
            inbound: None,
            costly: None,
            figures: Arc::default(),
        };
        let threads = Handle::current();
        Lane::new(
            Arc::new(part),
            Arc::default(),
            Arc::default(),
            1,
            threads,
            Arc::default(),
        )
    }

    #[tokio::test]
    async fn a_worker_that_panics_leaves_its_place_to_another_one() {
        let lane = lane();
        lane.waiting().workers = 1;
        lane.waiting().push(Bytes::from("left behind"), false);
        let worker = Worker {
            lane: Arc::clone(&lane),
            has_left: false,
        };
        let panicking = tokio::spawn(async move {
            let (_worker, _running) = (&worker, Running::begin(&worker.lane.running));
            panic!("as a defect of the host would");
        });
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(lane.running(), 0);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while lane.waiting().workers > 0 {
            assert!(tokio::time::Instant::now() < deadline, "nobody took it");
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.queued(), 0);
    }

    #[test]
    fn rings_that_wait_are_one() {
        let mut waiting = Waiting::default();
        for _ in 0..3 {
            assert!(waiting.push(Bytes::new(), true));
        }
        assert_eq!(waiting.pop(), Some(Bytes::new()));
        assert_eq!(waiting.pop(), None);
    }

    #[test]
    fn payloads_come_each_in_their_order() {
        let mut waiting = Waiting::default();
        for payload in ["a", "", "", "b", "a", ""] {
            assert!(waiting.push(Bytes::from(payload), false));
        }
        let taken: Vec<Bytes> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(taken, ["a", "", "b", "a", ""]);
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_in_number() {
        let mut waiting = Waiting::default();
        let large = Bytes::from(vec![0; limits::PAYLOAD_BYTES_WAITING_MAX]);
        assert!(waiting.push(large, false));
        assert!(!waiting.push(Bytes::from("x"), false));
        waiting.pop();
        for _ in 0..limits::PAYLOADS_WAITING_MAX {
            assert!(waiting.push(Bytes::from("x"), false));
        }
        assert!(!waiting.push(Bytes::from("x"), false));
    }
}
