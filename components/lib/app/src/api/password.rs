//! Password hashes: argon2id, a bounded number at a time, and the same work for names that nobody has.

use std::cell::Cell;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use trawl_core::limits::account::{HASH_MEMORY_KIB, HASH_PASSES, HASHES_WAITING_MAX};
use trawl_core::limits::api::HASHES_RETRY_S;
use trawl_core::problem::{Code, Problem};

use super::answer::internal;
use crate::ports::{Clock, Random};

/// The hash of a password that nobody knows, with the same parameters as real ones: a login with an unknown name
/// takes as long as one with a wrong password.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$dHJhd2wgZHVtbXkgc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObGRdescudvJCs";

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
        let mut salt = [0_u8; 16];
        random.fill(&mut salt);
        let salt = SaltString::encode_b64(&salt).map_err(|error| internal(&error))?;
        let hash = argon2id()?
            .hash_password(password.as_bytes(), &salt)
            .map_err(|error| internal(&error))?;
        Ok(hash.to_string())
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
        let hash =
            PasswordHash::new(stored.unwrap_or(DUMMY_HASH)).map_err(|error| internal(&error))?;
        let matches = argon2id()?
            .verify_password(password.as_bytes(), &hash)
            .is_ok();
        Ok((matches && stored.is_some()).then(|| is_outdated(&hash)))
    }
}

fn argon2id() -> Result<Argon2<'static>, Problem> {
    let params =
        Params::new(HASH_MEMORY_KIB, HASH_PASSES, 1, None).map_err(|error| internal(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn is_outdated(hash: &PasswordHash<'_>) -> bool {
    let current = |params: Params| {
        params.m_cost() == HASH_MEMORY_KIB && params.t_cost() == HASH_PASSES && params.p_cost() == 1
    };
    hash.algorithm != Algorithm::Argon2id.ident() || !Params::try_from(hash).is_ok_and(current)
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
    fn the_dummy_is_a_hash_of_todays_parameters_that_nothing_matches() {
        let (clock, gate) = (VirtualClock::default(), HashGate::default());
        let dummy = PasswordHash::new(DUMMY_HASH).unwrap();
        assert!(!is_outdated(&dummy));
        assert_eq!(dummy.hash.unwrap().len(), 32);
        run(&clock, async {
            assert_eq!(
                gate.verify(&clock, "correct horse battery", None).await,
                Ok(None)
            );
        });
    }

    #[test]
    fn weaker_parameters_are_outdated() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8, 1, 1, None).unwrap(),
        );
        let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
        let hash = weak
            .hash_password(b"correct horse battery", &salt)
            .unwrap()
            .to_string();
        let (clock, gate) = (VirtualClock::default(), HashGate::default());
        run(&clock, async {
            assert_eq!(
                gate.verify(&clock, "correct horse battery", Some(&hash))
                    .await,
                Ok(Some(true))
            );
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
