//! One component's lane: what waits for it, and the workers that take it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use trawl_core::ids::worker_name;
use trawl_core::limits::host as limits;
use wasmtime::Store;
use wasmtime::component::Accessor;

use super::crew::Crew;
use super::pulse::Pulse;
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
    /// Tells a worker whose instance may take more that something has come.
    arrived: Notify,
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
            arrived: Notify::new(),
            running: AtomicUsize::new(0),
        })
    }

    /// Takes a message; starts a worker when one more may run. While the host stops it takes what nobody else keeps.
    pub(crate) fn ring(self: &Arc<Self>, payload: Bytes) {
        if self.stopping.load(Relaxed) && !self.alone_has(&payload) {
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
        } else if !self.part.local.rings {
            self.arrived.notify_one();
        }
    }

    /// Whether a message says what stands nowhere else: one with content, where the component gets each message. What a ring tells of
    /// is in the database, or in a list.
    fn alone_has(&self, payload: &Bytes) -> bool {
        !self.part.local.rings && !payload.is_empty()
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

    /// Whether workers are there, which the end of the host waits for: they work, or will look at what waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting().workers > 0
    }

    /// Gives up what still waits when the host ends, and says so where nobody else has it.
    pub(crate) fn give_up(&self) {
        let mut waiting = self.waiting();
        let left = std::iter::from_fn(|| waiting.pop());
        let lost = left.filter(|payload| self.alone_has(payload)).count();
        if lost > 0 {
            self.part.figures.dropped.fetch_add(lost as u64, Relaxed);
            tracing::error!(
                component = &*self.part.id,
                "{lost} messages that came over Redis were not recorded before the host ended"
            );
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message; while the host stops, the next that nobody else has.
    fn next_of(&self, waiting: &mut Waiting) -> Option<Bytes> {
        let stops = self.stopping.load(Relaxed);
        std::iter::from_fn(|| waiting.pop()).find(|payload| !stops || self.alone_has(payload))
    }

    /// A message to be worked on in one instance beside others of so many `bytes`: one request of a producer is a short wait for
    /// the database, and many of them share a commit. None that says nothing, since there is one list to look at.
    fn next_beside(&self, bytes: usize) -> Option<Bytes> {
        let mut waiting = self.waiting();
        let next = waiting.payloads.front()?;
        let fits = bytes + next.len() <= limits::PAYLOAD_BYTES_TOGETHER_MAX;
        if fits && self.alone_has(next) {
            waiting.pop()
        } else {
            None
        }
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
        let mut left = limits::INVOCATIONS_PER_INSTANCE_MAX;
        let mut payload = Some(first);
        while let Some(message) = payload {
            invoke(&mut store, &instance, message, self, &mut left).await?;
            payload = if left > 0 {
                self.next_of(&mut self.waiting())
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
        let first = self.lane.next_of(&mut waiting);
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
        let is_followed = std::thread::panicking() && !waiting.payloads.is_empty();
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

/// Calls `handle-message` with the first message and, beside it, with others that may be, to the end of what they spawned. As many as are
/// `left` at most.
async fn invoke(
    store: &mut Store<Guest>,
    instance: &bindings::Component,
    first: Bytes,
    lane: &Lane,
    left: &mut usize,
) -> wasmtime::Result<()> {
    let pulse = Pulse::new(Duration::from_millis(limits::COMPUTING_MS_MAX));
    let work = async |accessor: &Accessor<Guest>| {
        let mut calls = FuturesUnordered::new();
        let (mut bytes, mut next) = (0, Some(first));
        loop {
            let has_room = loop {
                if let Some(message) = next.take() {
                    *left = left.saturating_sub(1);
                    bytes += message.len();
                    calls.push(call(accessor, instance, message, lane));
                }
                let has_room = *left > 0 && calls.len() < limits::PAYLOADS_TOGETHER_MAX;
                next = has_room.then(|| lane.next_beside(bytes)).flatten();
                if next.is_none() {
                    break has_room;
                }
            };
            tokio::select! {
                biased;
                ended = calls.next() => match ended {
                    Some(length) => bytes -= length?,
                    None => break,
                },
                () = lane.arrived.notified(), if has_room => {}
            }
        }
        let spawned = poll_fn(|context| accessor.poll_no_interesting_tasks(context));
        in_time(spawned).await
    };
    let run = store.run_concurrent(async |accessor| {
        tokio::select! {
            biased;
            outcome = work(accessor) => outcome,
            never = pulse.beat() => match never {},
        }
    });
    let run = lane.precedence.give_way(run);
    pulse.listen(run).await?
}

/// One call; how long its message was.
async fn call(
    accessor: &Accessor<Guest>,
    instance: &bindings::Component,
    message: Bytes,
    lane: &Lane,
) -> wasmtime::Result<usize> {
    lane.part.figures.invocations.fetch_add(1, Relaxed);
    let _running = Running::begin(&lane.running);
    let inbound = instance.spin_redis_inbound_redis();
    let called = inbound.call_handle_message(accessor, message.to_vec());
    if let Err(error) = in_time(called).await?? {
        lane.part.figures.failures.fetch_add(1, Relaxed);
        tracing::info!(
            component = &*lane.part.id,
            "a message was answered with an error: {error:?}"
        );
    }
    Ok(message.len())
}

/// What a call comes to, unless it hangs.
async fn in_time<F: Future>(call: F) -> wasmtime::Result<F::Output> {
    let time_max = Duration::from_millis(limits::INVOCATION_MS_MAX);
    let outcome = tokio::time::timeout(time_max, call).await;
    outcome.map_err(|_| {
        wasmtime::format_err!(
            "ended after {} s without an end of its own",
            time_max.as_secs()
        )
    })
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
    async fn a_host_that_stops_still_takes_what_nobody_else_has() {
        let lane = lane();
        lane.stopping.store(true, Relaxed);
        lane.waiting().workers = 1;
        for payload in ["", "of a producer", "", "of another"] {
            lane.ring(Bytes::from(payload));
        }
        assert_eq!(lane.queued(), 2);
        lane.waiting().payloads.push_front(Bytes::new());
        let next = lane.next_of(&mut lane.waiting());
        assert_eq!(next, Some(Bytes::from("of a producer")));
        lane.give_up();
        assert_eq!(lane.part.figures.dropped.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn messages_stand_beside_each_other_by_their_bytes() {
        let lane = lane();
        let most = limits::PAYLOAD_BYTES_TOGETHER_MAX;
        let rest = [&vec![0; most - 1][..], b"a", b"", b"b"];
        for payload in rest {
            lane.waiting().push(Bytes::copy_from_slice(payload), false);
        }
        assert_eq!(lane.next_beside(2), None);
        assert!(
            lane.next_beside(1)
                .is_some_and(|next| next.len() == most - 1)
        );
        assert_eq!(lane.next_beside(0), Some(Bytes::from("a")));
        assert_eq!(lane.next_beside(0), None, "a look at the list comes alone");
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
