//! The connections that are open: who may use which, and how many there may be.

use crate::connection::{Http1, Http2};
use crate::request::Origin;
use crate::shared_use::SharedUse;
use crate::{AddressCheck, Class, Options, OutboundError};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// Entries of the order in which connections became idle, for each connection that may be open: past that, entries that no
/// longer count are thrown out.
const IDLE_ENTRIES: usize = 4;

/// Only requests of the same class to the same origin share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) class: Class,
    pub(crate) origin: Origin,
}

/// Open connections by key.
pub(crate) struct Pool {
    hosts: Mutex<Hosts>,
    open: Arc<Semaphore>,
    /// Requests that wait for a connection to close before they may open theirs.
    waiting: AtomicUsize,
    check: Arc<dyn AddressCheck>,
    options: Options,
}

#[derive(Default)]
struct Hosts {
    by_key: HashMap<Arc<Key>, Host>,
    /// When connections became idle, and whose they are, oldest first. Those taken since are still in it: an entry counts only
    /// while it names the oldest idle connection of its host. So the oldest of all is found without a look at every host, of
    /// which there are thousands when every page is on another one.
    idle_order: VecDeque<(Instant, Arc<Key>)>,
}

impl Hosts {
    /// Takes out the connection that has been idle for longest.
    fn take_oldest(&mut self) -> Option<Idle> {
        while let Some((since, key)) = self.idle_order.pop_front() {
            if let Some(host) = self.by_key.get_mut(&key)
                && host.is_oldest(since)
            {
                return Some(host.idle.remove(0));
            }
        }
        None
    }

    /// Takes out the HTTP/2 connection that nobody has used for longest. A look at every host, but only for a new connection
    /// at the limit with no HTTP/1.1 connection idle.
    fn take_unused_http2(&mut self) -> Option<Arc<Http2>> {
        let unused = self.by_key.values_mut().filter_map(|host| {
            let unused_for = host.unused_http2()?.unused_for();
            Some((unused_for, host))
        });
        let (_, host) = unused.max_by_key(|(unused_for, _)| *unused_for)?;
        host.http2.take()
    }

    fn note_idle(&mut self, since: Instant, key: &Arc<Key>, entries_max: usize) {
        if self.idle_order.len() >= entries_max {
            let by_key = &self.by_key;
            self.idle_order.retain(|(since, key)| {
                let host = by_key.get(key);
                host.is_some_and(|host| host.idle.iter().any(|idle| idle.since == *since))
            });
        }
        self.idle_order.push_back((since, Arc::clone(key)));
    }
}

struct Host {
    slots: Arc<Semaphore>,
    /// The last one used is at the end and is used next, so that those too many grow old and close.
    idle: Vec<Idle>,
    http2: Option<Arc<Http2>>,
}

impl Host {
    fn is_oldest(&self, since: Instant) -> bool {
        self.idle.first().is_some_and(|idle| idle.since == since)
    }

    fn has_http2(&self, http2: &Arc<Http2>) -> bool {
        self.http2
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, http2))
    }

    /// The HTTP/2 connection, when no request is under way over it.
    fn unused_http2(&self) -> Option<&Arc<Http2>> {
        self.http2.as_ref().filter(|http2| !http2.is_used())
    }
}

struct Idle {
    /// Boxed once and for all: moving it from hand to hand would copy a kilobyte.
    connection: Box<Http1>,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(options: Options, check: Arc<dyn AddressCheck>) -> Self {
        let open = Arc::new(Semaphore::new(options.connections_max));
        Self {
            hosts: Mutex::default(),
            open,
            waiting: AtomicUsize::new(0),
            check,
            options,
        }
    }

    /// The right to one request to the host, when one is free before `deadline`.
    pub(crate) async fn slot(
        &self,
        key: &Arc<Key>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, OutboundError> {
        let slots = {
            let mut hosts = self.lock();
            let host = hosts.by_key.entry(Arc::clone(key)).or_insert_with(|| Host {
                slots: Arc::new(Semaphore::new(self.options.requests_per_host_max)),
                idle: Vec::new(),
                http2: None,
            });
            Arc::clone(&host.slots)
        };
        permit(slots, deadline).await
    }

    /// The right to open one more connection. An idle one of whatever host makes room if need be.
    ///
    /// Idle connections hold a right too, so whoever waits must get the one of the next connection that becomes idle: it is
    /// announced here before the idle ones are looked at, and `put_idle` and `end_use` look for announcements. Without that a
    /// request that came while all were in use would wait for its deadline beside hundreds of idle ones.
    pub(crate) async fn opening(
        &self,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, OutboundError> {
        if let Ok(permit) = Arc::clone(&self.open).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        self.close_oldest();
        permit(Arc::clone(&self.open), deadline).await
    }

    /// An idle connection that still lives and whose peer the class may still talk to.
    pub(crate) fn take_idle(&self, key: &Arc<Key>) -> Option<Box<Http1>> {
        loop {
            let mut idle = self.lock().by_key.get_mut(key)?.idle.pop()?;
            let young = idle.since.elapsed() < self.idle_max();
            if young && self.permits(key, idle.connection.peer) && idle.connection.is_fit() {
                return Some(idle.connection);
            }
        }
    }

    /// A use of the host's HTTP/2 connection, on the same conditions.
    pub(crate) fn http2(self: &Arc<Self>, key: &Arc<Key>) -> Option<SharedUse> {
        let http2 = {
            let hosts = self.lock();
            let http2 = Arc::clone(hosts.by_key.get(key)?.http2.as_ref()?);
            http2.begin_use();
            http2
        };
        let shared = SharedUse::counted(self, key, http2);
        if shared.is_fit() && self.permits(key, shared.peer) {
            return Some(shared);
        }
        shared.forget();
        None
    }

    /// Shares a new HTTP/2 connection, and uses it.
    pub(crate) fn put_http2(self: &Arc<Self>, key: &Arc<Key>, http2: Http2) -> SharedUse {
        let http2 = Arc::new(http2);
        http2.begin_use();
        if let Some(host) = self.lock().by_key.get_mut(key) {
            host.http2 = Some(Arc::clone(&http2));
        }
        SharedUse::counted(self, key, http2)
    }

    /// Ends a use of an HTTP/2 connection. After the last one it closes if somebody waits for a place.
    pub(crate) fn end_use(&self, key: &Arc<Key>, http2: &Arc<Http2>) {
        let mut hosts = self.lock();
        http2.end_use();
        let is_wanted = self.waiting.load(Ordering::SeqCst) > 0;
        let closed = match hosts.by_key.get_mut(key) {
            Some(host) if is_wanted && !http2.is_used() && host.has_http2(http2) => {
                host.http2.take()
            }
            _ => None,
        };
        drop(hosts);
        drop(closed);
    }

    pub(crate) fn forget_http2(&self, key: &Arc<Key>, dead: &Arc<Http2>) {
        if let Some(host) = self.lock().by_key.get_mut(key)
            && host.has_http2(dead)
        {
            host.http2 = None;
        }
    }

    /// Keeps a connection whose exchange is complete, if it can carry another.
    pub(crate) fn put_idle(&self, key: &Arc<Key>, mut connection: Box<Http1>) {
        if !connection.is_fit() {
            return;
        }
        let idle = Idle {
            connection,
            since: Instant::now(),
        };
        let mut hosts = self.lock();
        let is_wanted = self.waiting.load(Ordering::SeqCst) > 0;
        let since = idle.since;
        let surplus = match hosts.by_key.get_mut(key) {
            Some(host) if !is_wanted && host.idle.len() < self.options.idle_per_host_max => {
                host.idle.push(idle);
                None
            }
            _ => Some(idle),
        };
        if surplus.is_none() {
            hosts.note_idle(since, key, IDLE_ENTRIES * self.options.connections_max);
        }
        drop(hosts);
        drop(surplus);
    }

    /// Closes what has been idle for too long or has died, and forgets hosts without connections.
    fn sweep(&self) {
        let idle_max = self.idle_max();
        let mut closed = Vec::new();
        let mut hosts = self.lock();
        hosts.by_key.retain(|_, host| {
            closed.extend(host.idle.extract_if(.., |idle| {
                idle.since.elapsed() >= idle_max || !idle.connection.is_fit()
            }));
            let unused = host
                .unused_http2()
                .is_some_and(|http2| http2.unused_for() >= idle_max);
            let unfit = host.http2.as_ref().is_some_and(|http2| !http2.is_fit());
            if unused || unfit {
                host.http2 = None;
            }
            // A request on its way holds the semaphore or one of its permits.
            let busy = Arc::strong_count(&host.slots) > 1
                || host.slots.available_permits() < self.options.requests_per_host_max;
            busy || !host.idle.is_empty() || host.http2.is_some()
        });
        drop(hosts);
    }

    /// Sweeps from time to time for as long as the pool lives.
    pub(crate) async fn keep_swept(pool: Weak<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            match pool.upgrade() {
                Some(pool) => pool.sweep(),
                None => return,
            }
        }
    }

    pub(crate) fn open_count(&self) -> usize {
        self.options
            .connections_max
            .saturating_sub(self.open.available_permits())
    }

    pub(crate) fn idle_count(&self) -> usize {
        self.lock()
            .by_key
            .values()
            .map(|host| host.idle.len() + usize::from(host.unused_http2().is_some()))
            .sum()
    }

    pub(crate) fn idle_max(&self) -> Duration {
        Duration::from_millis(self.options.idle_ms_max)
    }

    fn permits(&self, key: &Key, peer: SocketAddr) -> bool {
        self.check.permits(&key.class, peer)
    }

    fn close_oldest(&self) {
        let mut hosts = self.lock();
        let http1 = hosts.take_oldest();
        let http2 = if http1.is_none() {
            hosts.take_unused_http2()
        } else {
            None
        };
        drop(hosts);
        // Closing is a call of the system's, which nobody need wait for.
        drop((http1, http2));
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request among those that wait, until it is dropped.
struct Waiting<'p>(&'p AtomicUsize);

impl<'p> Waiting<'p> {
    fn new(count: &'p AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn permit(
    semaphore: Arc<Semaphore>,
    deadline: Instant,
) -> Result<OwnedSemaphorePermit, OutboundError> {
    match Arc::clone(&semaphore).try_acquire_owned() {
        Ok(permit) => return Ok(permit),
        Err(TryAcquireError::Closed) => return Err(OutboundError::ConnectionLimitReached),
        Err(TryAcquireError::NoPermits) => {}
    }
    match tokio::time::timeout_at(deadline.into(), semaphore.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(OutboundError::ConnectionLimitReached),
    }
}
