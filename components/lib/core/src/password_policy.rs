//! What a password must be: long. No classes of characters, no expiry (NIST SP 800-63B, OWASP).

use crate::limits::account::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};

/// Why a password is refused, worded for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short to resist guessing without a second factor.
    #[error(
        "the password must have at least {PASSWORD_CHARS_MIN} characters; a few random words are fine"
    )]
    TooShort,
    /// Longer than is hashed; it is refused, never cut.
    #[error("the password must have at most {PASSWORD_CHARS_MAX} characters")]
    TooLong,
    /// The account's own name.
    #[error("the password must not be made of the e-mail address")]
    IsTheName,
}

/// Checks `password` for the account whose normalised e-mail is `email_key`.
///
/// # Errors
/// [`PasswordError`] says what to change.
pub fn check(password: &str, email_key: &str) -> Result<(), PasswordError> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err(PasswordError::TooShort);
    }
    if chars > PASSWORD_CHARS_MAX || password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let local = email_key.split('@').next().unwrap_or_default();
    let lower = password.to_lowercase();
    let rest = lower.replace(email_key, "");
    let rest = if local.len() >= 4 {
        rest.replace(local, "")
    } else {
        rest
    };
    if rest.chars().count() < PASSWORD_CHARS_MIN / 2 && rest != lower {
        return Err(PasswordError::IsTheName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        let name = "ann@example.org";
        assert_eq!(check("fourteen chars", name), Err(PasswordError::TooShort));
        assert_eq!(check("fifteen chars !", name), Ok(()));
        assert_eq!(check("ключ от квартир", name), Ok(()));
        let long = "x".repeat(128);
        assert_eq!(check(&long, name), Ok(()));
        assert_eq!(
            check(&format!("{long}x"), name),
            Err(PasswordError::TooLong)
        );
    }

    #[test]
    fn names_are_no_passwords() {
        assert_eq!(
            check("ann@example.org1", "ann@example.org"),
            Err(PasswordError::IsTheName)
        );
        assert_eq!(
            check("Administrator12", "administrator@example.org"),
            Err(PasswordError::IsTheName)
        );
        assert_eq!(
            check(
                "administrator of nothing at all",
                "administrator@example.org"
            ),
            Ok(())
        );
    }
}
