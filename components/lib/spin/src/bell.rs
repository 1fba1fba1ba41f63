//! Rings, coalesced, and given up for a while when Redis does not answer.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::redis::Connection;
use trawl_app::ports::{Bell, Variables};
use trawl_core::limits::bell::{COALESCED_MS, SILENT_AFTER_FAILURE_MS, WAITED_FOR_MS};

use crate::time::{monotonic_ms, within};
use crate::variables::SpinVariables;

/// The doorbell over Redis publish.
#[derive(Default)]
pub struct SpinBell {
    connection: RefCell<Option<Rc<Connection>>>,
    last_rung_ms: RefCell<HashMap<&'static str, u64>>,
    /// Channels that somebody waits to ring; whoever comes meanwhile is served by that ring.
    put_off: RefCell<HashSet<&'static str>>,
    silent_until_ms: Cell<u64>,
    variables: SpinVariables,
}

impl Bell for SpinBell {
    async fn ring(&self, channel: &'static str) {
        if !self.waits_its_turn(channel).await || monotonic_ms() < self.silent_until_ms.get() {
            return;
        }
        self.last_rung_ms
            .borrow_mut()
            .insert(channel, monotonic_ms());
        if !matches!(
            within(Duration::from_millis(WAITED_FOR_MS), self.publish(channel)).await,
            Some(Ok(()))
        ) {
            self.connection.borrow_mut().take();
            self.silent_until_ms
                .set(monotonic_ms() + SILENT_AFTER_FAILURE_MS);
        }
    }
}

impl SpinBell {
    /// Waits until [`COALESCED_MS`] have passed since the last ring of the channel; false when somebody else waits already.
    async fn waits_its_turn(&self, channel: &'static str) -> bool {
        if self.put_off.borrow().contains(channel) {
            return false;
        }
        let last_ms = self.last_rung_ms.borrow().get(channel).copied();
        let Some(wait_ms) = last_ms.and_then(|last_ms| {
            (last_ms + COALESCED_MS)
                .checked_sub(monotonic_ms())
                .filter(|wait_ms| *wait_ms > 0)
        }) else {
            return true;
        };
        self.put_off.borrow_mut().insert(channel);
        // Given back also when the wait is dropped half-way, or nobody would ring the channel any more.
        let _turn = Turn {
            bell: self,
            channel,
        };
        spin_sdk::time::sleep(Duration::from_millis(wait_ms)).await;
        true
    }

    async fn publish(&self, channel: &str) -> Result<(), spin_sdk::redis::Error> {
        // Cloned out of the cell first: a borrow must not live across an await.
        let kept = self.connection.borrow().clone();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let Some(address) = self.variables.get("redis_url").await else {
                    return Ok(());
                };
                let opened = Rc::new(Connection::open(address).await?);
                self.connection.borrow_mut().replace(Rc::clone(&opened));
                opened
            }
        };
        connection.publish(channel, []).await
    }
}

/// A ring that was put off.
struct Turn<'a> {
    bell: &'a SpinBell,
    channel: &'static str,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.bell.put_off.borrow_mut().remove(self.channel);
    }
}
