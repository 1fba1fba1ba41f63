//! Answers about accounts, tokens, keys and secrets.

use serde::Serialize;

use crate::Timestamp;

/// The answer to `POST /users/`.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    /// For people.
    pub message: &'static str,
}

/// The answer to `POST /token`.
#[derive(Debug, Clone, Serialize)]
pub struct TokenAnswer<'a> {
    /// Give it back as `Authorization: Bearer …`.
    pub access_token: &'a str,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: i64,
}

/// The answer to `POST /keys`: the only time the key itself is shown.
#[derive(Debug, Clone, Serialize)]
pub struct NewKey<'a> {
    /// Its number.
    pub id: i64,
    /// The name that was given.
    pub name: &'a str,
    /// `trawl_…`, used as a Bearer token.
    pub key: &'a str,
}

/// A key in `GET /keys`.
#[derive(Debug, Clone, Serialize)]
pub struct KeyView<'a> {
    /// Its number.
    pub id: i64,
    /// The name that was given.
    pub name: &'a str,
    /// When it was made.
    pub date_added: Timestamp,
    /// When it was last used, to the precision kept.
    pub last_used: Option<Timestamp>,
}

/// The answer to `GET /webhook-secret` and to its rotation.
#[derive(Debug, Clone, Serialize)]
pub struct SecretAnswer<'a> {
    /// `whsec_` and base64.
    pub secret: &'a str,
}
