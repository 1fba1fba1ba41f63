//! Instances that answer HTTP: made when needed, used for many requests at once, dropped when idle.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::time::Sleep;
use trawl_core::limits::host as limits;
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};

use crate::failure;
use crate::part::{Part, Rights};
use crate::state::Guest;
use crate::streamed::{GivenTo, Writing};

/// How instances are used.
#[derive(Debug, Clone)]
pub(crate) struct Reuse {
    /// Requests that one instance works on at once.
    pub(crate) concurrent_max: usize,
    /// Requests in the life of one instance.
    pub(crate) requests_max: usize,
    /// An instance without work is dropped after this.
    pub(crate) idle: Duration,
}

/// Hands the requests for one component to its instances in one replica.
pub(crate) struct Handler {
    instances: Instances,
    current: ArcSwap<ProxyHandler<Instances>>,
}

impl Handler {
    /// No instance is made before there is a request.
    pub(crate) fn new(instances: Instances) -> Self {
        let current = ProxyHandler::new(instances.clone());
        Self {
            instances,
            current: ArcSwap::from_pointee(current),
        }
    }

    /// The component.
    pub(crate) fn part(&self) -> &Arc<Part> {
        &self.instances.part
    }

    /// What takes requests now.
    pub(crate) fn current(&self) -> Arc<ProxyHandler<Instances>> {
        self.current.load_full()
    }

    /// From now on requests get instances of their own, unless that is so since `used`, which had one that should be given no more.
    /// Its instances end what they have begun.
    pub(crate) fn renew(&self, used: &Arc<ProxyHandler<Instances>>) {
        let new = Arc::new(ProxyHandler::new(self.instances.clone()));
        self.current.compare_and_swap(used, new);
    }
}

/// Makes the instances of one component in one replica.
#[derive(Clone)]
pub(crate) struct Instances {
    /// The component.
    pub(crate) part: Arc<Part>,
    /// Its rights in this replica.
    pub(crate) rights: Arc<Rights>,
    /// What runs them.
    pub(crate) engine: Engine,
    /// How long they live.
    pub(crate) reuse: Reuse,
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Life;
    type WorkerState = Work;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Life, Work>> {
        let Some(component) = &self.part.http else {
            wasmtime::bail!(
                "the component {} does not export wasi:http/handler",
                self.part.id
            );
        };
        let mut store = Guest::store(&self.engine, &self.rights);
        let proxy = Proxy::P3(component.instantiate_async(&mut store).await?);
        let writing = Arc::new(Writing::default());
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Life {
                idle: self.reuse.idle,
                writing: Arc::clone(&writing),
                sleep: Box::pin(tokio::time::sleep(self.reuse.idle)),
                busy: Busy {
                    part: Arc::clone(&self.part),
                    counted: false,
                },
            },
            state: Work {
                part: Arc::clone(&self.part),
                reuse: self.reuse.clone(),
                writing,
            },
        })
    }
}

/// Decides when an instance ends.
pub(crate) struct Life {
    idle: Duration,
    writing: Arc<Writing>,
    sleep: Pin<Box<Sleep>>,
    busy: Busy,
}

/// Counts an instance among the busy ones, until it is dropped at the latest.
struct Busy {
    part: Arc<Part>,
    counted: bool,
}

impl Busy {
    fn set(&mut self, busy: bool) {
        if busy != self.counted {
            self.counted = busy;
            let count = &self.part.figures.busy;
            if busy {
                count.fetch_add(1, Relaxed)
            } else {
                count.fetch_sub(1, Relaxed)
            };
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl WorkerExpiration for Life {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        self.busy.set(status != WorkerStatus::Idle);
        // Requests have their own deadline; this is the second line, for a guest that does not even yield to it.
        let second_line = Duration::from_millis(limits::REQUEST_MS_MAX) * 2;
        let ends = match status {
            WorkerStatus::Idle => start + self.idle,
            WorkerStatus::Requests => start + second_line,
            // A client may take its time with a large result; the front door ends those that take nothing.
            WorkerStatus::PostReturn => start.max(self.writing.taken()) + second_line,
        };
        // Every request makes an instance busy and idle again. Setting the timer anew each time would cost more than letting it
        // ring for nothing once in a while: it never stands later than an idle time from when it was set, and the deadlines
        // of both states come after that.
        let deadline = tokio::time::Instant::from_std(ends);
        while self.sleep.as_mut().poll(context).is_ready() {
            let now = tokio::time::Instant::now();
            if deadline <= now {
                return Poll::Ready(());
            }
            let next = deadline.min(now + self.idle);
            self.sleep.as_mut().reset(next);
        }
        Poll::Pending
    }
}

/// Decides how many requests an instance takes.
pub(crate) struct Work {
    part: Arc<Part>,
    reuse: Reuse,
    writing: Arc<Writing>,
}

impl WorkerState for Work {
    type StoreData = Guest;
    type RequestData = Arc<GivenTo>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        // Only what changes when a request is taken may decide. An instance that waits for requests, and then refuses for another
        // reason, still stands first in the queue of those that wait: it is told of the next request, and does not pass that on
        // to one that would take it. For other reasons there is `Handler::renew`.
        if total >= self.reuse.requests_max {
            ShouldAccept::Never
        } else if concurrent >= self.reuse.concurrent_max {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        given: Arc<GivenTo>,
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        given.tell(&self.writing);
        Box::pin(tokio::time::sleep(Duration::from_millis(
            limits::REQUEST_MS_MAX,
        )))
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        let rights = &store.data().rights;
        // Once the host has stopped, what is left is dropped wherever it stands.
        if let Err(error) = result
            && !rights.stopping.load(Relaxed)
        {
            self.part.figures.failed(&error);
            failure::log(&self.part.id, &rights.replica, &error);
        }
    }
}
