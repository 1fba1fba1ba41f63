//! Password hashes (see [`trawl_core::password_hash`]), a bounded number at a time.

use std::cell::Cell;

use trawl_core::limits::account::HASHES_WAITING_MAX;
use trawl_core::limits::api::HASHES_RETRY_S;
use trawl_core::password_hash::{self, SALT_BYTES};
use trawl_core::problem::{Code, Problem};

use super::answer::internal;
use crate::ports::{Clock, Random};

/// Counts the hashes that wait in this instance. A hash never gives up the thread, so one runs at a time in each.
#[derive(Debug, Default)]
pub(crate) struct HashGate {
    waiting: Cell<u32>,
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a Cell<u32>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl HashGate {
    /// Waits for a turn: other requests of the instance go first, so that those past the queue's end learn it at once.
    async fn turn(&self, clock: &impl Clock) -> Result<Place<'_>, Problem> {
        if self.waiting.get() >= HASHES_WAITING_MAX {
            return Err(
                Problem::new(Code::Busy, "Too many log-ins and registrations at once.")
                    .retry_after(HASHES_RETRY_S),
            );
        }
        self.waiting.set(self.waiting.get() + 1);
        let place = Place(&self.waiting);
        clock.yield_now().await;
        Ok(place)
    }

    /// Hashes a new password as a PHC string.
    pub(super) async fn hash(
        &self,
        clock: &impl Clock,
        random: &impl Random,
        password: &str,
    ) -> Result<String, Problem> {
        let _place = self.turn(clock).await?;
        let mut salt = [0_u8; SALT_BYTES];
        random.fill(&mut salt);
        password_hash::hash(password, &salt).map_err(|error| internal(&error))
    }

    /// Compares with a stored hash, or with the dummy when there is no account; `Some(true)` says that the stored one has
    /// outdated parameters.
    pub(super) async fn verify(
        &self,
        clock: &impl Clock,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Option<bool>, Problem> {
        let _place = self.turn(clock).await?;
        password_hash::verify(password, stored).map_err(|error| internal(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SeededRandom, VirtualClock, run};

    #[test]
    fn only_the_right_password_passes() {
        let (clock, gate) = (VirtualClock::default(), HashGate::default());
        run(&clock, async {
            let hash = gate
                .hash(&clock, &SeededRandom::default(), "correct horse battery")
                .await
                .unwrap();
            assert!(
                hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
                "{hash}"
            );
            assert_eq!(
                gate.verify(&clock, "correct horse battery", Some(&hash))
                    .await,
                Ok(Some(false))
            );
            assert_eq!(
                gate.verify(&clock, "correct horse batterz", Some(&hash))
                    .await,
                Ok(None)
            );
        });
    }

    #[test]
    fn nothing_matches_where_there_is_no_account() {
        let (clock, gate) = (VirtualClock::default(), HashGate::default());
        run(&clock, async {
            let verified = gate.verify(&clock, "correct horse battery", None).await;
            assert_eq!(verified, Ok(None));
        });
    }

    #[test]
    fn the_queue_ends() {
        let (clock, gate) = (VirtualClock::default(), HashGate::default());
        run(&clock, async {
            let mut places = Vec::new();
            for _ in 0..HASHES_WAITING_MAX {
                places.push(gate.turn(&clock).await.unwrap());
            }
            assert_eq!(
                gate.turn(&clock).await.err().map(|refused| refused.code),
                Some(Code::Busy)
            );
            places.pop();
            assert!(gate.turn(&clock).await.is_ok());
        });
        assert_eq!(gate.waiting.get(), 0);
    }
}
