//! Names and their addresses: each is asked for by one look-up at a time, and remembered for a little while.
//!
//! A look-up runs to its end by itself, since the system's can't be ended: whoever asked may leave before, and its place (see
//! [`Places`]) is free only when it has really ended.

use crate::places::{Place, Places};
use crate::request::Origin;
use crate::{Options, OutboundError, Resolve};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use trawl_core::limits::outbound::{ADDRESSES_MAX, DNS_NAMES_MAX};

type Key = (Arc<str>, u16);
type Addresses = Arc<[SocketAddr]>;
/// What a look-up came to, when it has.
type Outcome = Option<Result<Addresses, OutboundError>>;

/// A resolver with a memory.
pub(crate) struct Names {
    shared: Arc<Shared>,
}

struct Shared {
    resolver: Arc<dyn Resolve>,
    ttl: Duration,
    /// A look-up that takes longer is unanswered.
    patience: Duration,
    /// How long an unanswered name is refused.
    unanswered: Duration,
    lookups: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Key, Known>,
    asked: HashMap<Key, Asked>,
    /// Names that wait for a place, the newest last.
    waiting: Vec<Key>,
    places: Places,
}

struct Known {
    /// `None` when nobody answered.
    addresses: Option<Addresses>,
    until: Instant,
}

/// A name that waits for its look-up or has one under way.
struct Asked {
    number: u64,
    word: watch::Sender<Outcome>,
    has_begun: bool,
}

impl Names {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, options: &Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                resolver,
                ttl: Duration::from_millis(options.dns_ttl_ms),
                patience: Duration::from_millis(options.lookup_ms_max),
                unanswered: Duration::from_millis(options.unanswered_ms),
                lookups: AtomicU64::new(0),
                state: Mutex::default(),
            }),
        }
    }

    /// Names looked up so far.
    pub(crate) fn lookups(&self) -> u64 {
        self.shared.lookups.load(Ordering::Relaxed)
    }

    /// The addresses of an origin. The caller checks this very list and dials from it.
    pub(crate) async fn addresses(&self, origin: &Origin) -> Result<Addresses, OutboundError> {
        if let Ok(address) = origin.host.parse::<IpAddr>() {
            return Ok(Arc::from([SocketAddr::new(address, origin.port)]));
        }
        let key = (Arc::clone(&origin.host), origin.port);
        let mut asking = match self.shared.ask(key) {
            Ask::Known(outcome) => return outcome,
            Ask::Wait(asking) => asking,
        };
        // A sender that is gone was a resolver that panicked.
        let outcome = match asking.word.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        outcome.unwrap_or_else(|| Err(OutboundError::DnsError("the look-up broke off".to_owned())))
    }
}

enum Ask {
    Known(Result<Addresses, OutboundError>),
    Wait(Asking),
}

/// Somebody who waits for a name.
struct Asking {
    shared: Arc<Shared>,
    key: Key,
    /// Of the look-up.
    number: u64,
    word: watch::Receiver<Outcome>,
}

impl Drop for Asking {
    /// A name for which nobody waits any more needs no look-up, if it has none yet.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let is_last = state.asked.get(&self.key).is_some_and(|asked| {
            let is_this = asked.number == self.number && !asked.has_begun;
            // This one still counts.
            is_this && asked.word.receiver_count() <= 1
        });
        if is_last {
            state.asked.remove(&self.key);
            state.waiting.retain(|key| *key != self.key);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a name, or the wait for the look-up of it that all share.
    fn ask(self: &Arc<Self>, key: Key) -> Ask {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(known) = state.known.get(&key).filter(|known| now < known.until) {
            let addresses = known.addresses.as_ref().map(Arc::clone);
            return Ask::Known(addresses.ok_or(OutboundError::ConnectionTimeout));
        }
        // The word of a look-up that is late is there before its end.
        let (number, word) = match state.asked.get(&key) {
            Some(asked) => (asked.number, asked.word.subscribe()),
            None => {
                let number = self.lookups.fetch_add(1, Ordering::Relaxed);
                let (sender, word) = watch::channel(None);
                let asked = Asked {
                    number,
                    word: sender,
                    has_begun: false,
                };
                state.asked.insert(key.clone(), asked);
                state.waiting.push(key.clone());
                (number, word)
            }
        };
        let begun = state.begin(now);
        drop(state);
        self.run(begun);
        Ask::Wait(Asking {
            shared: Arc::clone(self),
            key,
            number,
            word,
        })
    }

    /// Runs look-ups that have got a place. Not under the lock: a runtime that is shutting down drops them at once.
    fn run(self: &Arc<Self>, begun: Vec<(Key, Place)>) {
        for (key, place) in begun {
            let lookup = Lookup {
                shared: Arc::clone(self),
                key,
                place: Some(place),
            };
            tokio::spawn(lookup.run());
        }
    }

    fn remember(&self, state: &mut State, key: &Key, addresses: Option<Addresses>, now: Instant) {
        let kept = if addresses.is_some() {
            self.ttl
        } else {
            self.unanswered
        };
        if kept.is_zero() {
            return;
        }
        if state.known.len() >= DNS_NAMES_MAX {
            state.known.retain(|_, known| now < known.until);
        }
        if state.known.len() >= DNS_NAMES_MAX {
            state.known.clear();
        }
        let until = now + kept;
        state.known.insert(key.clone(), Known { addresses, until });
    }
}

impl State {
    /// Gives places to names that wait, as far as there are any. The newest come first: when there are not enough, those that
    /// have waited long would be given up before they are answered anyway.
    fn begin(&mut self, now: Instant) -> Vec<(Key, Place)> {
        let mut begun = Vec::new();
        for index in (0..self.waiting.len()).rev() {
            if self.places.are_full() {
                break;
            }
            let Some(place) = self.places.take(&self.waiting[index].0, now) else {
                continue;
            };
            let key = self.waiting.remove(index);
            if let Some(asked) = self.asked.get_mut(&key) {
                asked.has_begun = true;
            }
            begun.push((key, place));
        }
        begun
    }
}

/// A look-up under way.
struct Lookup {
    shared: Arc<Shared>,
    key: Key,
    place: Option<Place>,
}

impl Lookup {
    async fn run(mut self) {
        let mut lookup = self.shared.resolver.resolve(&self.key.0, self.key.1);
        let found = match tokio::time::timeout(self.shared.patience, &mut lookup).await {
            Ok(found) => {
                self.end(found, false);
                return;
            }
            Err(_) => {
                self.is_late();
                lookup.await
            }
        };
        self.end(found, true);
    }

    /// Nobody need wait any longer, and the name is refused until the look-up has ended.
    fn is_late(&self) {
        let mut state = self.shared.lock();
        if let Some(place) = &self.place {
            state.places.silent(place, &self.key.0, Instant::now());
        }
        if let Some(asked) = state.asked.get(&self.key) {
            asked
                .word
                .send_replace(Some(Err(OutboundError::ConnectionTimeout)));
        }
    }

    fn end(&mut self, found: io::Result<Vec<SocketAddr>>, was_late: bool) {
        let now = Instant::now();
        let outcome = judged(found);
        let mut state = self.shared.lock();
        if let Some(place) = self.place.take() {
            if outcome.is_ok() && !was_late {
                state.places.answered(&place, &self.key.0, now);
            }
            state.places.give_back(&place, now);
        }
        // Also an answer that came late: the next one who asks gets it at once.
        if outcome.is_ok() || was_late {
            let addresses = outcome.as_ref().ok().map(Arc::clone);
            self.shared.remember(&mut state, &self.key, addresses, now);
        }
        if let Some(asked) = state.asked.remove(&self.key) {
            asked.word.send_replace(Some(outcome));
        }
        let begun = state.begin(now);
        drop(state);
        self.shared.run(begun);
    }
}

impl Drop for Lookup {
    /// A resolver that panicked, or a runtime that ends: nothing else is begun here.
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let mut state = self.shared.lock();
            state.places.give_back(&place, Instant::now());
            state.asked.remove(&self.key);
        }
    }
}

fn judged(found: io::Result<Vec<SocketAddr>>) -> Result<Addresses, OutboundError> {
    let found = found.map_err(|error| OutboundError::DnsError(error.to_string()))?;
    if found.is_empty() {
        return Err(OutboundError::DnsError(
            "the name has no address".to_owned(),
        ));
    }
    if found.len() > ADDRESSES_MAX {
        return Err(OutboundError::DnsError(
            "the name has too many addresses".to_owned(),
        ));
    }
    Ok(alternate(found))
}

/// The two families in turn, in the resolver's order within each (RFC 8305, section 4): a broken one costs one try.
fn alternate(found: Vec<SocketAddr>) -> Arc<[SocketAddr]> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed.into()
}
