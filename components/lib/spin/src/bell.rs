use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::redis::Connection;
use trawl_app::ports::{Bell, Variables};

use crate::time::{monotonic_ms, within};
use crate::variables::SpinVariables;

/// One ring per channel in this time; workers linger longer than that, so a ring left out loses nothing.
const COALESCED_MS: u64 = 50;
/// Nobody waits longer than this for a doorbell.
const WAITED_FOR: Duration = Duration::from_millis(100);
/// After a failure the bell stays silent for this long, so that a dead Redis costs one wait a second and not one per request.
const SILENT_AFTER_FAILURE_MS: u64 = 1_000;

/// The doorbell over Redis publish.
#[derive(Default)]
pub struct SpinBell {
    connection: RefCell<Option<Rc<Connection>>>,
    last_rung_ms: RefCell<HashMap<&'static str, u64>>,
    silent_until_ms: Cell<u64>,
    variables: SpinVariables,
}

impl Bell for SpinBell {
    async fn ring(&self, channel: &'static str) {
        let now_ms = monotonic_ms();
        if now_ms < self.silent_until_ms.get() || self.rang_lately(channel, now_ms) {
            return;
        }
        if !matches!(
            within(WAITED_FOR, self.publish(channel)).await,
            Some(Ok(()))
        ) {
            self.connection.borrow_mut().take();
            self.silent_until_ms
                .set(monotonic_ms() + SILENT_AFTER_FAILURE_MS);
        }
    }
}

impl SpinBell {
    /// Whether this channel was rung within [`COALESCED_MS`]; notes the ring when it was not.
    fn rang_lately(&self, channel: &'static str, now_ms: u64) -> bool {
        let mut rung = self.last_rung_ms.borrow_mut();
        if rung
            .get(channel)
            .is_some_and(|last_ms| now_ms < last_ms + COALESCED_MS)
        {
            return true;
        }
        rung.insert(channel, now_ms);
        false
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
