//! Password hashes: argon2id as PHC strings, and the same work for names that nobody has. Whoever hashes draws the salt.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::limits::account::{HASH_MEMORY_KIB, HASH_PASSES};

/// Bytes of a salt (RFC 9106, section 3.1).
pub const SALT_BYTES: usize = 16;

/// The hash of a password that nobody knows, with the same parameters as real ones: a login with an unknown name
/// takes as long as one with a wrong password.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$dHJhd2wgZHVtbXkgc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObGRdescudvJCs";

/// What is stored is no hash, or the machine can't make one: no fault of whoever typed the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HashError(String);

/// What argon2 and its PHC strings fail with, as text: its own types stay in this module.
fn failed(error: impl std::fmt::Display) -> HashError {
    HashError(error.to_string())
}

/// Hashes a new password as a PHC string. The salt must be random.
///
/// # Errors
/// [`HashError`] when the machine has no memory for it.
pub fn hash(password: &str, salt: &[u8; SALT_BYTES]) -> Result<String, HashError> {
    let salt = SaltString::encode_b64(salt).map_err(failed)?;
    let hash = argon2id()?
        .hash_password(password.as_bytes(), &salt)
        .map_err(failed)?;
    Ok(hash.to_string())
}

/// Compares with a stored hash, or with the dummy when there is no account; `Some(true)` says that the stored one has
/// outdated parameters.
///
/// # Errors
/// [`HashError`] when what is stored is no PHC string.
pub fn verify(password: &str, stored: Option<&str>) -> Result<Option<bool>, HashError> {
    let hash = PasswordHash::new(stored.unwrap_or(DUMMY_HASH)).map_err(failed)?;
    let matches = argon2id()?
        .verify_password(password.as_bytes(), &hash)
        .is_ok();
    Ok((matches && stored.is_some()).then(|| is_outdated(&hash)))
}

fn argon2id() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(HASH_MEMORY_KIB, HASH_PASSES, 1, None).map_err(failed)?;
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

    const PASSWORD: &str = "correct horse battery";
    const SALT: &[u8; SALT_BYTES] = b"0123456789abcdef";

    #[test]
    fn only_the_right_password_passes() {
        let stored = hash(PASSWORD, SALT).unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"),
            "{stored}"
        );
        assert_eq!(verify(PASSWORD, Some(&stored)), Ok(Some(false)));
        assert_eq!(verify("correct horse batterz", Some(&stored)), Ok(None));
        assert_ne!(hash(PASSWORD, b"fedcba9876543210").unwrap(), stored);
    }

    #[test]
    fn the_dummy_is_a_hash_of_todays_parameters_that_nothing_matches() {
        let dummy = PasswordHash::new(DUMMY_HASH).unwrap();
        assert!(!is_outdated(&dummy));
        assert_eq!(dummy.hash.unwrap().len(), 32);
        assert_eq!(verify(PASSWORD, None), Ok(None));
    }

    #[test]
    fn weaker_parameters_are_outdated() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8, 1, 1, None).unwrap(),
        );
        let salt = SaltString::encode_b64(SALT).unwrap();
        let stored = weak.hash_password(PASSWORD.as_bytes(), &salt).unwrap();
        assert_eq!(verify(PASSWORD, Some(&stored.to_string())), Ok(Some(true)));
    }

    #[test]
    fn what_is_no_hash_is_an_error_and_no_wrong_password() {
        assert!(verify(PASSWORD, Some("hash")).is_err());
    }
}
