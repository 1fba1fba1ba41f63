//! The doorbell: which component is called when a message is published on a channel.
//!
//! Embedded, it is a map in memory: what a component publishes goes straight to the lanes. With a Redis server, components
//! publish there, and one subscriber for each address of the manifest brings the messages to the lanes.

pub(crate) mod crew;
pub(crate) mod lane;
pub(crate) mod pulse;
pub(crate) mod subscriber;
pub(crate) mod threads;
pub(crate) mod ticker;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use self::lane::Lane;

/// Where rings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// To the lanes of this process.
    Embedded,
    /// To a Redis server, from which they come back.
    Redis,
    /// Nowhere: only the clock rings. For tests of what happens when every ring is lost.
    Cut {
        /// Whether a Redis server is there for the other commands.
        redis: bool,
    },
}

/// The channel of the clock.
const TICK: &str = "tick";

/// The lanes by channel.
pub(crate) struct Doorbell {
    wire: Wire,
    lanes: HashMap<String, Vec<Arc<Lane>>>,
    ticks_heard: AtomicU64,
    listeners: AtomicUsize,
}

/// One subscription of the manifest, its templates filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The channel.
    pub(crate) channel: String,
    /// The server.
    pub(crate) address: String,
    /// The component that is called.
    pub(crate) component: String,
}

impl Doorbell {
    /// Ties each subscription to its component's lane.
    pub(crate) fn new(
        wire: Wire,
        subscriptions: &[Subscription],
        lanes: &BTreeMap<String, Arc<Lane>>,
    ) -> Self {
        let mut by_channel: HashMap<String, Vec<Arc<Lane>>> = HashMap::new();
        for subscription in subscriptions {
            if let Some(lane) = lanes.get(&subscription.component) {
                by_channel
                    .entry(subscription.channel.clone())
                    .or_default()
                    .push(Arc::clone(lane));
            }
        }
        Self {
            wire,
            lanes: by_channel,
            ticks_heard: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
        }
    }

    /// Whether somebody may still bring messages from elsewhere.
    pub(crate) fn is_listening(&self) -> bool {
        self.listeners.load(Relaxed) > 0
    }

    /// Where rings of components go.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Hands a message to everybody who is subscribed to the channel.
    pub(crate) fn deliver(&self, channel: &str, payload: &Bytes) {
        for lane in self.lanes.get(channel).into_iter().flatten() {
            lane.ring(payload.clone());
        }
    }

    /// Hands over a message that came from Redis.
    fn hear(&self, channel: &str, payload: &Bytes) {
        if channel == TICK {
            self.ticks_heard.fetch_add(1, Relaxed);
        }
        self.deliver(channel, payload);
    }

    /// Ticks that came from Redis so far, whoever rang there.
    fn ticks_heard(&self) -> u64 {
        self.ticks_heard.load(Relaxed)
    }

    /// All lanes, each once.
    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        let mut lanes: Vec<Arc<Lane>> = Vec::new();
        for lane in self.lanes.values().flatten() {
            if !lanes.iter().any(|known| Arc::ptr_eq(known, lane)) {
                lanes.push(Arc::clone(lane));
            }
        }
        lanes
    }
}

/// Somebody who brings messages from elsewhere; counted until it is dropped.
pub(crate) struct Listener(Arc<Doorbell>);

impl Listener {
    /// One more.
    pub(crate) fn new(doorbell: &Arc<Doorbell>) -> Self {
        doorbell.listeners.fetch_add(1, Relaxed);
        Self(Arc::clone(doorbell))
    }

    /// Where it brings them.
    pub(crate) fn doorbell(&self) -> &Doorbell {
        &self.0
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Relaxed);
    }
}
