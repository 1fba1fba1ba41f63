//! Accounts, the login throttle, API keys and webhook secrets.

use trawl_core::ids::AccountId;

use crate::sql::Sql;
use crate::{Store, StoreError};

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Only the first account.
    First,
    /// Nobody.
    Closed,
}

impl Registration {
    /// The value of the variable `registration`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "open" => Some(Self::Open),
            "first" => Some(Self::First),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }
}

/// The outcome of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// A new account.
    Account(AccountId),
    /// The address has an account.
    Taken,
    /// Registration is not open to it.
    Closed,
}

/// An account as the login needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The id, which is the tenant.
    pub id: AccountId,
    /// The address as it was given.
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
}

/// An API key as its owner sees it; the key itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The id to delete it by.
    pub id: i64,
    /// The owner's label.
    pub name: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it was last used, to the hour; `None` when never.
    pub last_used: Option<i64>,
}

/// The webhook secrets to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Always signs.
    pub current: Vec<u8>,
    /// Signs too for 24 h after a rotation.
    pub previous: Option<Vec<u8>>,
}

impl<S: Sql> Store<'_, S> {
    /// Makes an account; `email_key` is the normalised address that must be unique.
    pub async fn create_account(
        &self,
        email: &str,
        email_key: &str,
        password_hash: &str,
        registration: Registration,
    ) -> Result<Created, StoreError> {
        todo!()
    }

    /// The account with this normalised address.
    pub async fn account_by_email_key(&self, email_key: &str) -> Result<Option<Account>, StoreError> {
        todo!()
    }

    /// Replaces the password hash (rehash on login).
    pub async fn set_password_hash(&self, account: AccountId, password_hash: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Seconds to wait before another try with `key` (`name:…` or `ip:…`) is allowed; `None` is "go on".
    pub async fn login_gate(&self, key: &str) -> Result<Option<u64>, StoreError> {
        todo!()
    }

    /// Counts a failed login.
    pub async fn login_failed(&self, key: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Forgets the failures of `key`.
    pub async fn login_succeeded(&self, key: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Records an API key by its SHA-256 digest; returns its id.
    pub async fn create_key(&self, account: AccountId, name: &str, digest: &[u8; 32]) -> Result<i64, StoreError> {
        todo!()
    }

    /// The keys of an account, oldest first.
    pub async fn keys(&self, account: AccountId) -> Result<Vec<ApiKey>, StoreError> {
        todo!()
    }

    /// Revokes a key; false when the account has no such key.
    pub async fn delete_key(&self, account: AccountId, id: i64) -> Result<bool, StoreError> {
        todo!()
    }

    /// The account that a key belongs to.
    pub async fn account_by_key_digest(&self, digest: &[u8; 32]) -> Result<Option<AccountId>, StoreError> {
        todo!()
    }

    /// The secrets of an account; stores `fresh` when it has none.
    pub async fn webhook_secrets(&self, account: AccountId, fresh: &[u8]) -> Result<Secrets, StoreError> {
        todo!()
    }

    /// Makes `fresh` the current secret; the old one signs beside it for 24 h.
    pub async fn rotate_webhook_secret(&self, account: AccountId, fresh: &[u8]) -> Result<Secrets, StoreError> {
        todo!()
    }
}
