//! Which jobs a worker holds, and which leases it has to extend.

use std::collections::BTreeMap;

use futures::future::AbortHandle;
use trawl_core::ids::MessageId;

/// The jobs that are being attempted, with the lease each is held under.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<MessageId, Held>);

#[derive(Debug)]
struct Held {
    lease: i64,
    renewed_ms: u64,
    abort: AbortHandle,
}

impl Leases {
    /// An attempt under an older lease of the same job is stopped: nobody wants its work any more. True when there was one.
    pub(super) fn hold(
        &mut self,
        id: MessageId,
        lease: i64,
        now_ms: u64,
        abort: AbortHandle,
    ) -> bool {
        let held = Held {
            lease,
            renewed_ms: now_ms,
            abort,
        };
        let older = self.0.insert(id, held);
        older.inspect(|older| older.abort.abort()).is_some()
    }

    /// The attempt under this lease has ended. One under a newer lease of the same job goes on.
    pub(super) fn drop_held(&mut self, id: MessageId, lease: i64) {
        if self.holds(id, lease) {
            self.0.remove(&id);
        }
    }

    fn holds(&self, id: MessageId, lease: i64) -> bool {
        self.0.get(&id).is_some_and(|held| held.lease == lease)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<(MessageId, i64)> {
        self.0.iter().map(|(id, held)| (*id, held.lease)).collect()
    }

    /// The leases older than `age_ms`, counted as renewed from now on.
    pub(super) fn due(&mut self, now_ms: u64, age_ms: u64) -> Vec<(MessageId, i64)> {
        let due = self
            .0
            .iter_mut()
            .filter(|(_, held)| now_ms.saturating_sub(held.renewed_ms) >= age_ms);
        due.map(|(id, held)| {
            held.renewed_ms = now_ms;
            (*id, held.lease)
        })
        .collect()
    }

    /// Stops the attempts whose lease was asked for and no longer stands: they belong to somebody else now, or were cancelled.
    /// Returns how many.
    pub(super) fn abandon_lost(
        &mut self,
        asked: &[(MessageId, i64)],
        standing: &[MessageId],
    ) -> u32 {
        let mut lost = 0;
        for (id, lease) in asked.iter().filter(|(id, _)| !standing.contains(id)) {
            // The attempt may have ended since we asked.
            if self.holds(*id, *lease)
                && let Some(held) = self.0.remove(id)
            {
                held.abort.abort();
                lost += 1;
            }
        }
        lost
    }

    /// Stops all attempts and returns their leases.
    pub(super) fn abandon_all(&mut self) -> Vec<(MessageId, i64)> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|(id, held)| {
                held.abort.abort();
                (id, held.lease)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_attempt_leaves_a_newer_lease_alone() {
        let (mut leases, id) = (Leases::default(), MessageId(1));
        let (older, _) = AbortHandle::new_pair();
        let (newer, _) = AbortHandle::new_pair();
        assert!(!leases.hold(id, 1, 0, older.clone()));
        assert!(leases.hold(id, 2, 0, newer.clone()));
        assert!(older.is_aborted() && !newer.is_aborted());
        leases.drop_held(id, 1);
        assert_eq!(leases.len(), 1);
        leases.drop_held(id, 2);
        assert!(leases.is_empty() && !newer.is_aborted());
    }
}
