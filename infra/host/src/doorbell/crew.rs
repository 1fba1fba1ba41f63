//! The local replicas, among which the invocations of workers go round.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::replica::Replica;

/// The replicas that are there now. Replicas come and go with the balance file, so nothing here keeps one alive.
#[derive(Default)]
pub(crate) struct Crew {
    members: RwLock<Vec<Weak<Replica>>>,
    next: AtomicUsize,
}

impl Crew {
    /// Takes a replica in, and forgets those that are gone.
    pub(crate) fn join(&self, replica: &Arc<Replica>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(replica));
    }

    /// The one whose turn it is; `None` when no replica is local, as in a host that only balances.
    pub(crate) fn next(&self) -> Option<Arc<Replica>> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.next.fetch_add(1, Relaxed);
        let count = members.len();
        (0..count).find_map(|step| members[(turn.wrapping_add(step)) % count].upgrade())
    }
}
