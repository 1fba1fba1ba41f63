//! Access tokens: JWTs of one kind only (RFC 8725). HS256 by key and never by header, our own `typ`, every
//! claim required and of its right JSON type, two keys while a key is being replaced.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::account::{TOKEN_BYTES_MAX, TOKEN_LEEWAY_S, TOKEN_LIFE_S};

/// The `typ` of our tokens, so that no other JWT signed with the same key by mistake passes for one.
const TYPE: &str = "trawl+jwt";
const ALGORITHM: &str = "HS256";
const ISSUER: &str = "trawl";
const AUDIENCE: &str = "trawl-api";
/// Bytes of a key: as many as the hash has (RFC 7518 3.2).
const KEY_BYTES_MIN: usize = 32;
/// Random bytes have about 30 different values in 32, and fewer than 16 once in 10^16; a repeated pattern has few.
const KEY_DISTINCT_BYTES_MIN: usize = 16;
/// The longest `kid` that is looked at.
const KEY_ID_MAX: usize = 32;

/// Why a configured key is refused. The text says what to do; the key itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither hex nor base64 of enough bytes.
    #[error(
        "the signing key must be at least 32 random bytes as hex or base64, for example from `openssl rand -hex 32`"
    )]
    NotRandomBytes,
}

/// Why a token is refused. For the log and the tests: the client only learns that it is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than 4 KiB.
    #[error("too long")]
    TooLong,
    /// Not three parts of strict base64url, or not JSON inside.
    #[error("malformed")]
    Malformed,
    /// Another algorithm, type or header parameter.
    #[error("header not accepted")]
    Header,
    /// Signed with a key that we do not have.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("wrong signature")]
    Signature,
    /// A claim is missing, repeated, or of a wrong type.
    #[error("claims malformed")]
    Claims,
    /// Another issuer or audience.
    #[error("issued by or for somebody else")]
    Foreign,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come, or it lives longer than we ever issue.
    #[error("times not accepted")]
    Times,
}

/// One signing key.
#[derive(Clone)]
struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl Key {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = decode_key(text.trim()).ok_or(KeyError::NotRandomBytes)?;
        let mut distinct = bytes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if bytes.len() < KEY_BYTES_MIN || distinct.len() < KEY_DISTINCT_BYTES_MIN {
            return Err(KeyError::NotRandomBytes);
        }
        let mac = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|_| KeyError::NotRandomBytes)?;
        // The id only has to tell our keys apart; 64 bits of a labelled digest give nothing of the key away.
        let digest = Sha256::new()
            .chain_update(b"trawl key id:")
            .chain_update(&bytes)
            .finalize();
        let id = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self { id, mac })
    }
}

/// Hex first; base64 only when it looks random, since a passphrase of letters is valid base64 as well.
fn decode_key(text: &str) -> Option<Vec<u8>> {
    if text.bytes().all(|b| b.is_ascii_hexdigit()) && text.len() >= 2 * KEY_BYTES_MIN {
        let nibbles: Vec<u8> = text
            .chars()
            .filter_map(|c| c.to_digit(16))
            .filter_map(|n| u8::try_from(n).ok())
            .collect();
        return text.len().is_multiple_of(2).then(|| {
            nibbles
                .chunks_exact(2)
                .map(|pair| pair[0] << 4 | pair[1])
                .collect()
        });
    }
    let count = |class: fn(&u8) -> bool| text.bytes().filter(class).count();
    // 43 random base64 letters lack upper or lower case once in 10^9; words lack one of them nearly always.
    if count(u8::is_ascii_uppercase) < 5
        || count(u8::is_ascii_lowercase) < 5
        || text.contains(' ')
        || are_words(text)
    {
        return None;
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok())
}

/// Whether base64 reads like words with capitals. Words have neither digits nor signs, of which 43 random letters have less than two once
/// in 700: whoever meets that takes another one. And where a number stands behind them, most small letters stand beside another one, two
/// of three pairs of neighbours; in random letters it is one of six, and more than a half of them once in 20,000.
fn are_words(text: &str) -> bool {
    let letters = text.trim_end_matches('=').as_bytes();
    let others = letters.iter().filter(|b| !b.is_ascii_alphabetic()).count();
    let are_small = |pair: &&[u8]| pair.iter().all(u8::is_ascii_lowercase);
    let small = letters.windows(2).filter(are_small).count();
    others < 2 || 2 * small > letters.len()
}

/// The keys of a deployment: the one that signs, and the one before it while its tokens still live.
#[derive(Clone)]
pub struct TokenKeys {
    current: Key,
    previous: Option<Key>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys")
            .field("current", &self.current.id)
            .finish_non_exhaustive()
    }
}

/// What a valid token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The account's number.
    pub account: i64,
    /// When it was issued, in seconds since the epoch.
    pub issued_s: i64,
    /// When it ends, in seconds since the epoch; the leeway is not in it.
    pub expires_s: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: u32,
    exp: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u32>,
}

impl TokenKeys {
    /// Reads the configured keys, each hex or base64 of at least 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError`] for anything that looks like a passphrase.
    pub fn parse(current: &str, previous: Option<&str>) -> Result<Self, KeyError> {
        Ok(Self {
            current: Key::parse(current)?,
            previous: previous.map(Key::parse).transpose()?,
        })
    }

    /// A token for `account`, valid from `now_s` for 15 minutes.
    #[must_use]
    pub fn issue(&self, account: i64, now_s: i64) -> String {
        let issued = u32::try_from(now_s).unwrap_or(u32::MAX - TOKEN_LIFE_S);
        let sub = account.to_string();
        let claims = Claims {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: &sub,
            iat: issued,
            exp: issued.saturating_add(TOKEN_LIFE_S),
            nbf: None,
        };
        let header = Header {
            alg: ALGORITHM,
            typ: TYPE,
            kid: &self.current.id,
        };
        let mut token = encode(&header);
        token.push('.');
        token.push_str(&encode(&claims));
        let signature = self
            .current
            .mac
            .clone()
            .chain_update(&token)
            .finalize()
            .into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Checks `token` at `now_s`.
    ///
    /// # Errors
    /// [`TokenError`], for the log; tell the client no more than that it is not valid.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Token, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        // A dot left in the claims is refused by the decoder, so there are exactly three parts.
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let mac = self.key_of(&header)?.mac.clone();
        mac.chain_update(signed)
            .verify_slice(&signature)
            .map_err(|_| TokenError::Signature)?;
        read_claims(&claims, now_s)
    }

    fn key_of(&self, header: &[u8]) -> Result<&Key, TokenError> {
        let header: Header<'_> = serde_json::from_slice(header).map_err(|_| TokenError::Header)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Err(TokenError::Header);
        }
        let kid_is_plain = header
            .kid
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if header.kid.is_empty() || header.kid.len() > KEY_ID_MAX || !kid_is_plain {
            return Err(TokenError::Header);
        }
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id == header.kid)
            .ok_or(TokenError::UnknownKey)
    }
}

fn read_claims(claims: &[u8], now_s: i64) -> Result<Token, TokenError> {
    let claims: Claims<'_> = serde_json::from_slice(claims).map_err(|_| TokenError::Claims)?;
    if claims.iss != ISSUER || claims.aud != AUDIENCE {
        return Err(TokenError::Foreign);
    }
    let (issued, expires) = (i64::from(claims.iat), i64::from(claims.exp));
    if now_s >= expires + TOKEN_LEEWAY_S {
        return Err(TokenError::Expired);
    }
    let begins = claims.nbf.map_or(issued, |nbf| issued.max(i64::from(nbf)));
    if begins > now_s + TOKEN_LEEWAY_S
        || expires - issued > i64::from(TOKEN_LIFE_S)
        || expires <= issued
    {
        return Err(TokenError::Times);
    }
    let account: i64 = claims.sub.parse().map_err(|_| TokenError::Claims)?;
    // One spelling per account: `+7` and `007` are not what we issue.
    if account <= 0 || account.to_string() != claims.sub {
        return Err(TokenError::Claims);
    }
    Ok(Token {
        account,
        issued_s: issued,
        expires_s: expires,
    })
}

fn encode<T: Serialize>(part: &T) -> String {
    // Structs of strings and integers always serialize.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap_or_default())
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
