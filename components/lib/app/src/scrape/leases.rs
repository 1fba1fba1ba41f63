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
    pub(super) fn hold(&mut self, id: MessageId, lease: i64, now_ms: u64, abort: AbortHandle) {
        self.0.insert(
            id,
            Held {
                lease,
                renewed_ms: now_ms,
                abort,
            },
        );
    }

    pub(super) fn drop_held(&mut self, id: MessageId) {
        self.0.remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    /// Stops the attempts whose lease was asked for and not granted: they belong to somebody else now, or were cancelled.
    /// Returns how many.
    pub(super) fn abandon_lost(
        &mut self,
        asked: &[(MessageId, i64)],
        granted: &[MessageId],
    ) -> u32 {
        let mut lost = 0;
        for (id, lease) in asked.iter().filter(|(id, _)| !granted.contains(id)) {
            // The attempt may have ended since we asked.
            if self.0.get(id).is_some_and(|held| held.lease == *lease)
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
