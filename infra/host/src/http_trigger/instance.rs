//! One instance at work: takes requests as it has room, and gives each its answer.

use std::future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use trawl_core::limits::host as limits;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut as _, Store};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{Prepared, Proxy};

use super::life::{Doing, Life};
use super::{Asked, Place};
use crate::state::Guest;

/// Works until the instance has nothing to do for long, has had its number of requests, or fails.
///
/// wasmtime computes where the event loop of the store is polled, and while a guest computes, the loop and with it what is inside stand
/// still. So there are two parts: inside, requests are started and answered; outside, the time is kept, and it is noticed that the
/// loop has nothing to compute, which is when one more request can be started, or the instance has had its turn.
pub(super) async fn work(
    place: &Place,
    store: &mut Store<Guest>,
    proxy: &Proxy,
    mut life: Life,
) -> wasmtime::Result<()> {
    let shared = Shared::default();
    let paused = Arc::clone(store.data().paused());
    let inside = async |accessor: &Accessor<Guest>| {
        let inside = Inside {
            place,
            proxy,
            accessor,
            shared: &shared,
        };
        inside.run().await
    };
    let mut running = pin!(store.run_concurrent(inside));
    future::poll_fn(|context| {
        let now = Instant::now();
        place.begin_turn(context, now);
        shared.begin_turn(now);
        let mut stands_still = false;
        loop {
            paused.store(false, Relaxed);
            shared.has_room.store(stands_still, Relaxed);
            shared.is_done.store(false, Relaxed);
            if let Poll::Ready(ended) = running.as_mut().poll(context) {
                return Poll::Ready(ended.flatten());
            }
            let (doing, since) = shared.doing();
            if life.poll(context, doing, since).is_ready() {
                return Poll::Ready(match doing {
                    Doing::Nothing => Ok(()),
                    Doing::Requests | Doing::AfterAnswers => {
                        Err(wasmtime::format_err!("guest timed out"))
                    }
                });
            }
            if paused.load(Relaxed) {
                // A guest computes on when others have had the thread.
                place.pause();
                return Poll::Pending;
            }
            // What can go on without a request has gone on, and unless one was started just now the part inside knows it.
            let knew = stands_still && shared.has_room.load(Relaxed);
            if !knew {
                stands_still = true;
            } else if !shared.is_done.load(Relaxed) || place.end_turn(shared.is_full.load(Relaxed))
            {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// What both parts know.
struct Shared {
    /// What the instance does, and since when.
    doing: Mutex<(Doing, Instant)>,
    /// When this turn began.
    began: Mutex<Instant>,
    /// The loop has nothing to compute. Not any more, once a request was started.
    has_room: AtomicBool,
    /// The part inside has seen that, and has no room or nothing to fill it with.
    is_done: AtomicBool,
    /// It has no room.
    is_full: AtomicBool,
    /// Requests that were taken in this turn.
    taken: AtomicUsize,
}

impl Default for Shared {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            doing: Mutex::new((Doing::Nothing, now)),
            began: Mutex::new(now),
            has_room: AtomicBool::new(false),
            is_done: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            taken: AtomicUsize::new(0),
        }
    }
}

impl Shared {
    fn doing(&self) -> (Doing, Instant) {
        *lock(&self.doing)
    }

    fn does(&self, doing: Doing, since: Instant) {
        *lock(&self.doing) = (doing, since);
    }

    fn begin_turn(&self, now: Instant) {
        *lock(&self.began) = now;
        self.taken.store(0, Relaxed);
    }

    /// Whether those who were answered should have their turn before it takes one more.
    fn has_had_its_turn(&self, now: Instant) -> bool {
        let taken = self.taken.load(Relaxed);
        let long = Duration::from_millis(limits::YIELD_MS);
        taken >= limits::REQUESTS_IN_A_TURN
            || taken > 0 && now.saturating_duration_since(*lock(&self.began)) >= long
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Inside<'a> {
    place: &'a Place,
    proxy: &'a Proxy,
    accessor: &'a Accessor<Guest>,
    shared: &'a Shared,
}

impl Inside<'_> {
    async fn run(&self) -> wasmtime::Result<()> {
        let Proxy::P3(service) = self.proxy else {
            wasmtime::bail!("an instance of an interface that is not called here");
        };
        let func = *service.wasi_http_handler().func_handle().func();
        let reuse = &self.place.handler.instances.reuse;
        let mut requests = FuturesUnordered::new();
        let mut total = 0;
        future::poll_fn(|context| {
            loop {
                // What is answered, or late, comes before what is new.
                if let Poll::Ready(Some(ended)) = requests.poll_next_unpin(context) {
                    match ended {
                        Err(error) => return Poll::Ready(Err(error)),
                        Ok(true) => {}
                        // It may still be at it, and nothing tells it to stop: the instance ends when the others are answered.
                        Ok(false) => self.place.seat.retire(),
                    }
                    if requests.is_empty() {
                        self.shared.does(Doing::AfterAnswers, Instant::now());
                    }
                    continue;
                }
                // One that waits for its turn to compute goes first.
                if !requests.is_empty() && !self.shared.has_room.load(Relaxed) {
                    return Poll::Pending;
                }
                let now = Instant::now();
                if self.shared.has_had_its_turn(now) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if total >= reuse.requests_max {
                    self.place.seat.retire();
                }
                // The first one is given to it whatever it says: else an instance that never accepts any would be begun again and again.
                let accepts = self
                    .accessor
                    .poll_ready_for_concurrent_call(func, context)
                    .is_ready()
                    || total == 0;
                if accepts
                    && requests.len() < reuse.concurrent_max
                    && let Some(asked) = self.place.take(now)
                {
                    total += 1;
                    self.shared.taken.fetch_add(1, Relaxed);
                    self.shared.has_room.store(false, Relaxed);
                    self.shared.does(Doing::Requests, now);
                    requests.push(self.answer(asked));
                    continue;
                }
                let is_full = !accepts || requests.len() >= reuse.concurrent_max;
                self.shared.is_full.store(is_full, Relaxed);
                self.shared.is_done.store(true, Relaxed);
                if !requests.is_empty()
                    || self
                        .accessor
                        .poll_no_interesting_tasks(context)
                        .is_pending()
                {
                    return Poll::Pending;
                }
                if self.place.seat.is_leaving() || !accepts {
                    return Poll::Ready(Ok(()));
                }
                if self.shared.doing().0 != Doing::Nothing {
                    self.shared.does(Doing::Nothing, now);
                }
                return Poll::Pending;
            }
        })
        .await
    }

    /// Whether it was answered in time.
    fn answer(&self, asked: Asked) -> impl Future<Output = wasmtime::Result<bool>> {
        asked.given.tell(&self.place.seat.writing);
        let prepared = self.accessor.with(|mut store| {
            let store = store.as_context_mut();
            Prepared::new(store, self.proxy, asked.request, Guest::http, asked.answer)
        });
        async move {
            let late = tokio::time::sleep(Duration::from_millis(limits::REQUEST_MS_MAX));
            prepared?.run(self.accessor, late).await
        }
    }
}
