//! The clock: a message on `tick` once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use tokio::time::MissedTickBehavior;
use trawl_core::limits::host as limits;

use super::{Doorbell, TICK, Wire};

/// Rings until the host stops. With Redis it rings there, so that hosts without a clock of their own hear it too; here as well
/// when Redis did not take it, or when nothing comes from there: that others heard it does not mean that we do.
pub(crate) async fn run(doorbell: Arc<Doorbell>, redis: Option<String>, stopping: Arc<AtomicBool>) {
    let mut redis = redis
        .filter(|_| *doorbell.wire() == Wire::Redis)
        .map(|url| Bell {
            url,
            connection: None,
        });
    let mut clock = tokio::time::interval(Duration::from_millis(limits::TICK_MS));
    // A host that was suspended does not make up for the seconds that it slept.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hearing = Hearing::default();
    while !stopping.load(Relaxed) {
        clock.tick().await;
        let is_deaf = hearing.is_deaf(doorbell.ticks_heard());
        let rang = match &mut redis {
            Some(redis) => redis.ring().await,
            None => false,
        };
        if !rang || is_deaf {
            doorbell.deliver(TICK, &Bytes::new());
        }
    }
}

/// Whether ticks come back from Redis.
#[derive(Default)]
struct Hearing {
    heard: u64,
    beats_unheard: u32,
}

impl Hearing {
    /// At each beat: whether nothing was heard for so long that the clock has to ring here.
    fn is_deaf(&mut self, heard: u64) -> bool {
        if heard == self.heard {
            self.beats_unheard = self.beats_unheard.saturating_add(1);
        } else {
            (self.heard, self.beats_unheard) = (heard, 0);
        }
        self.beats_unheard >= limits::BEATS_UNHEARD_MAX
    }
}

/// The clock's own way to Redis.
struct Bell {
    url: String,
    connection: Option<MultiplexedConnection>,
}

impl Bell {
    /// Whether Redis took the ring and somebody heard it. When it is gone the clock rings here, and work goes on.
    async fn ring(&mut self) -> bool {
        let sent =
            tokio::time::timeout(Duration::from_millis(limits::TICK_MS / 2), self.publish()).await;
        if !matches!(sent, Ok(Ok(_))) {
            self.connection = None;
        }
        matches!(sent, Ok(Ok(heard)) if heard > 0)
    }

    async fn publish(&mut self) -> redis::RedisResult<i64> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(
                redis::Client::open(self.url.as_str())?
                    .get_multiplexed_async_connection()
                    .await?,
            ),
        };
        redis::cmd("PUBLISH")
            .arg(TICK)
            .arg("")
            .query_async(connection)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_hears_nothing_rings_here_until_it_hears_again() {
        let mut hearing = Hearing::default();
        assert!(!hearing.is_deaf(1));
        assert!(!hearing.is_deaf(1), "one beat may be late");
        assert!(hearing.is_deaf(1));
        assert!(hearing.is_deaf(1));
        assert!(!hearing.is_deaf(2));
    }
}
