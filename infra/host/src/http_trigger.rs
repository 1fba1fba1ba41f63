//! Instances that answer HTTP: begun when needed, used for many requests at once, dropped when idle.

mod dispatch;
mod instance;
mod life;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use http::{Request, Response};
use tokio::runtime::Handle;
use trawl_core::limits::host as limits;
use wasmtime::{Engine, PoolConcurrencyLimitError, Store};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{InstantiationError, Proxy, TrapOrPanicError};

use self::dispatch::{Dispatch, Next, Seat};
use self::life::Life;
use crate::failure;
use crate::part::{Part, Rights};
use crate::state::Guest;
use crate::streamed::GivenTo;

/// The request comes back with it.
pub(crate) type NoInstance = InstantiationError<()>;

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

/// Makes the instances of one component in one replica.
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

/// Has the requests for one component answered by its instances in one replica.
pub(crate) struct Handler {
    instances: Instances,
    dispatch: Dispatch<Asked>,
}

/// A request that waits for an instance.
struct Asked {
    request: Request<WasiBody>,
    given: Arc<GivenTo>,
    since: Instant,
    answer: oneshot::Sender<wasmtime::Result<Response<WasiBody>>>,
}

impl Asked {
    fn give_back(self, error: Arc<wasmtime::Error>) {
        let error = NoInstance {
            request_data: (),
            request: Mutex::new(self.request),
            error,
        };
        // Whoever asked may be gone.
        let _ = self.answer.send(Err(error.into()));
    }
}

impl Handler {
    /// No instance is begun before there is a request.
    pub(crate) fn new(instances: Instances) -> Arc<Self> {
        // As many as tokio has threads.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            instances,
            dispatch: Dispatch::new(cores),
        })
    }

    /// The component.
    pub(crate) fn part(&self) -> &Arc<Part> {
        &self.instances.part
    }

    /// The answer of an instance.
    ///
    /// # Errors
    /// [`NoInstance`] when none could be begun; what the instance failed with, or that the request took too long.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        given: &Arc<GivenTo>,
        request: Request<WasiBody>,
    ) -> wasmtime::Result<Response<WasiBody>> {
        let (answer, answered) = oneshot::channel();
        let next = self.dispatch.ask(Asked {
            request,
            given: Arc::clone(given),
            since: Instant::now(),
            answer,
        });
        self.go_on(next);
        // An instance that fails answers nobody.
        answered.await.map_err(|_| TrapOrPanicError)?
    }

    fn go_on(self: &Arc<Self>, next: Next) {
        if let Some(seat) = next.call {
            seat.call();
        }
        if next.begin.is_none() && !next.watch {
            return;
        }
        // There is no runtime for what is dropped with it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if let Some(seat) = next.begin {
            let place = Place {
                handler: Arc::clone(self),
                seat,
                has_begun: false,
            };
            runtime.spawn(place.work());
        }
        if next.watch {
            runtime.spawn(Arc::clone(self).watch());
        }
    }

    /// Looks after the queue as long as somebody waits.
    async fn watch(self: Arc<Self>) {
        let patience = Duration::from_millis(limits::INSTANCE_WAIT_MS);
        let lack = Arc::new(wasmtime::format_err!(
            "there are as many instances as there may be, and none had room"
        ));
        loop {
            tokio::time::sleep(Duration::from_millis(limits::QUEUE_LOOK_MS)).await;
            let now = Instant::now();
            let look = self.dispatch.look(now, |asked| {
                now.saturating_duration_since(asked.since) >= patience
            });
            self.go_on(look.next);
            for asked in look.given_up {
                asked.give_back(Arc::clone(&lack));
            }
            if look.is_over {
                return;
            }
        }
    }
}

/// The place of one instance, from before it is begun until it is gone.
struct Place {
    handler: Arc<Handler>,
    seat: Arc<Seat>,
    /// Its task has run.
    has_begun: bool,
}

impl Place {
    async fn work(mut self) {
        self.has_begun = true;
        // One that does not come to an end is noticed like one that computes for long.
        let dispatch = &self.handler.dispatch;
        dispatch.begin_turn(&self.seat, Instant::now());
        let instances = &self.handler.instances;
        match instances.instantiate().await {
            Ok((mut store, proxy)) => {
                let life = Life::new(&instances.part, instances.reuse.idle, &self.seat.writing);
                let ended = instance::work(&self, &mut store, &proxy, life).await;
                // Once the host has stopped, what is left is dropped wherever it stands.
                if let Err(error) = ended
                    && !instances.rights.stopping.load(Relaxed)
                {
                    self.failed(&error);
                }
            }
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                dispatch.lack();
            }
            Err(error) => {
                if let Some(asked) = dispatch.give_up() {
                    asked.give_back(Arc::new(error));
                }
            }
        }
    }

    fn failed(&self, error: &wasmtime::Error) {
        let Instances { part, rights, .. } = &self.handler.instances;
        part.figures.failed(error);
        failure::log(&part.id, &rights.replica, error);
    }

    fn begin_turn(&self, context: &Context<'_>, now: Instant) {
        self.seat.listen(context);
        self.handler.dispatch.begin_turn(&self.seat, now);
    }

    fn pause(&self) {
        let next = self.handler.dispatch.pause(&self.seat);
        self.handler.go_on(next);
    }

    fn take(&self, now: Instant) -> Option<Asked> {
        loop {
            let (asked, next) = self.handler.dispatch.take(&self.seat, now);
            self.handler.go_on(next);
            match asked {
                // Nobody waits for the answer any more.
                Some(asked) if asked.answer.is_canceled() => {}
                other => return other,
            }
        }
    }

    /// Whether its turn is over; it is not when a request has come meanwhile for which it has room.
    fn end_turn(&self, is_full: bool) -> bool {
        if is_full {
            self.rest();
            return true;
        }
        match self.handler.dispatch.end_turn(&self.seat) {
            None => false,
            Some(next) => {
                self.handler.go_on(next);
                true
            }
        }
    }

    fn rest(&self) {
        let next = self.handler.dispatch.rest(&self.seat);
        self.handler.go_on(next);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed(&TrapOrPanicError.into());
        }
        // A runtime that ends drops tasks at once, and would drop the next one too.
        if self.has_begun {
            self.rest();
        } else {
            self.handler.dispatch.drop_unbegun(&self.seat);
        }
    }
}

impl Instances {
    async fn instantiate(&self) -> wasmtime::Result<(Store<Guest>, Proxy)> {
        let Some(component) = &self.part.http else {
            wasmtime::bail!(
                "the component {} does not export wasi:http/handler",
                self.part.id
            );
        };
        let mut store = Guest::store(&self.engine, &self.rights);
        let proxy = component.instantiate_async(&mut store).await?;
        Ok((store, Proxy::P3(proxy)))
    }
}
