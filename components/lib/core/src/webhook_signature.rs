//! Standard Webhooks 1.0 signatures: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a new secret.
pub const SECRET_BYTES: usize = 32;
/// The fewest bytes that the standard allows.
const SECRET_BYTES_MIN: usize = 24;
/// The most bytes that the standard allows.
const SECRET_BYTES_MAX: usize = 64;
/// What stands before the base64 of a secret.
const PREFIX: &str = "whsec_";

/// A secret that cannot be used: too short or too long, or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret has 24 to 64 bytes")]
pub struct SecretError;

/// A secret as the node sees it: `whsec_` and base64.
#[must_use]
pub fn show_secret(bytes: &[u8]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The value of `webhook-signature`: one signature per secret, newest first, parted by blanks.
/// `id` must hold no dot, since the dot is what parts the signed pieces.
///
/// # Errors
/// When a secret has a length that the standard does not allow; an empty one would sign for everybody.
pub fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a [u8]>,
    id: &str,
    timestamp_s: i64,
    body: &[u8],
) -> Result<String, SecretError> {
    debug_assert!(is_event_id(id), "event ids are made by the store");
    let mut header = String::new();
    for secret in secrets {
        check_length(secret)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| SecretError)?;
        for piece in [
            id.as_bytes(),
            b".",
            timestamp_s.to_string().as_bytes(),
            b".",
            body,
        ] {
            mac.update(piece);
        }
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut header);
    }
    if header.is_empty() {
        Err(SecretError)
    } else {
        Ok(header)
    }
}

/// Letters, digits, `_` and `-` only, and not empty.
#[must_use]
pub fn is_event_id(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn check_length(bytes: &[u8]) -> Result<(), SecretError> {
    if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
        Ok(())
    } else {
        Err(SecretError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's own documents and libraries.
    #[test]
    fn the_published_example() {
        let shown = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret = STANDARD.decode(&shown[PREFIX.len()..]).unwrap();
        assert_eq!(show_secret(&secret), shown);
        let signature = sign(
            [secret.as_slice()],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        )
        .unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_two_signatures() {
        let (new, old) = ([1_u8; 32], [2_u8; 32]);
        let both = sign([new.as_slice(), old.as_slice()], "msg_1", 1, b"{}").unwrap();
        let alone = sign([old.as_slice()], "msg_1", 1, b"{}").unwrap();
        assert_eq!(both.split(' ').nth(1), Some(alone.as_str()));
        assert_ne!(both.split(' ').next(), Some(alone.as_str()));
    }

    #[test]
    fn no_secret_signs_for_everybody() {
        assert_eq!(sign([b"".as_slice()], "msg_1", 1, b""), Err(SecretError));
        assert_eq!(sign([], "msg_1", 1, b""), Err(SecretError));
        for (length, is_signed) in [(23, false), (24, true), (64, true), (65, false)] {
            let signature = sign([vec![7; length].as_slice()], "msg_1", 1, b"");
            assert_eq!(signature.is_ok(), is_signed, "{length}");
        }
    }
}
