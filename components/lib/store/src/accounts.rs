//! Accounts, the login throttle, API keys and webhook secrets.

use trawl_core::ids::AccountId;
use trawl_core::limits::account::KEYS_MAX;
use trawl_core::limits::login::COUNTED_AT_ONCE_MAX;
use trawl_core::limits::queue::{KEY_USED_EVERY_MS, SECRET_OVERLAP_MS};
use trawl_core::throttle::{self, Failures};

use crate::sql::{Row, Sql, Value};
use crate::text::statement;
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

    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::First => "first",
            Self::Closed => "closed",
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

/// An account as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// The id, which is the tenant.
    pub id: AccountId,
    /// The address as it was given.
    pub email: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// How many API keys it has.
    pub keys: u64,
    /// How many of its messages wait, wait for a retry, or are worked on.
    pub unfinished: u64,
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

/// Whom an API key speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// The account.
    pub account: AccountId,
    /// Its last use was long enough ago to be worth a write ([`Store::key_used`]).
    pub is_use_due: bool,
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
        let params = vec![
            email.into(),
            email_key.into(),
            password_hash.into(),
            registration.word().into(),
        ];
        if let Some(row) = self
            .run(statement!("create_account.sql"), params)
            .await?
            .first()
        {
            return Ok(Created::Account(AccountId(row.get(0)?)));
        }
        Ok(match self.account_by_email_key(email_key).await? {
            Some(_) => Created::Taken,
            None => Created::Closed,
        })
    }

    /// Whether anybody has an account.
    pub async fn has_accounts(&self) -> Result<bool, StoreError> {
        self.run(statement!("has_accounts.sql"), vec![])
            .await?
            .one()?
            .get(0)
    }

    /// The account with this normalised address.
    pub async fn account_by_email_key(
        &self,
        email_key: &str,
    ) -> Result<Option<Account>, StoreError> {
        let rows = self
            .run(
                statement!("account_by_email_key.sql"),
                vec![email_key.into()],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Account {
            id: AccountId(row.get(0)?),
            email: row.get(1)?,
            password_hash: row.get(2)?,
        }))
    }

    /// When the account was made, milliseconds since the epoch; `None` when there is no such account.
    pub async fn account_made_ms(&self, account: AccountId) -> Result<Option<i64>, StoreError> {
        let rows = self
            .run(statement!("account_made.sql"), vec![account.0.into()])
            .await?;
        rows.first().map(|row| row.get(0)).transpose()
    }

    /// Replaces the password hash `old` by `new`, unless another one has taken its place meanwhile: a log-in that renews an old hash
    /// must not bring back the password that was just changed. Whether it did.
    pub async fn set_password_hash(
        &self,
        account: AccountId,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let params = vec![account.0.into(), old.into(), new.into()];
        let rows = self
            .run(statement!("set_password_hash.sql"), params)
            .await?;
        Ok(rows.first().is_some())
    }

    /// Gives the account with this normalised address another password hash, whatever the one was that it had; `None` when nobody has
    /// the address.
    pub async fn reset_password(
        &self,
        email_key: &str,
        hash: &str,
    ) -> Result<Option<AccountId>, StoreError> {
        let params = vec![email_key.into(), hash.into()];
        let rows = self.run(statement!("reset_password.sql"), params).await?;
        rows.first()
            .map(|row| row.get(0).map(AccountId))
            .transpose()
    }

    /// The accounts with ids above `after`, by id, as many as `limit` at most.
    pub async fn accounts(
        &self,
        after: AccountId,
        limit: u32,
    ) -> Result<Vec<ListedAccount>, StoreError> {
        let params = vec![after.0.into(), limit.into()];
        let rows = self.run(statement!("accounts.sql"), params).await?;
        let account = |row: Row<'_>| {
            Ok(ListedAccount {
                id: AccountId(row.get(0)?),
                email: row.get(1)?,
                created_ms: row.get(2)?,
                keys: row.get(3)?,
                unfinished: row.get(4)?,
            })
        };
        rows.iter().map(account).collect()
    }

    /// Seconds to wait before another try with `key`, of [`trawl_core::throttle`], is allowed; `None` is "go on".
    pub async fn login_gate(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.failures_of(key).await?.1)
    }

    /// The failures of `key`, where there are any, and what [`login_gate`](Self::login_gate) says of them.
    async fn failures_of(&self, key: &str) -> Result<(Option<Failures>, Option<u64>), StoreError> {
        let rows = self
            .run(statement!("login_failures.sql"), vec![key.into()])
            .await?;
        let Some(row) = rows.first() else {
            return Ok((None, None));
        };
        let known = failures(row)?;
        let wait_s = throttle::retry_after_s(key, known, row.get(3)?);
        Ok((Some(known), wait_s))
    }

    /// Asks as [`login_gate`](Self::login_gate) does, and counts this try as a failure when it may go on: of many at once no more go
    /// on than may. [`login_taken_back`](Self::login_taken_back) undoes it.
    pub async fn login_tried(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let (window_ms, forgiven_ms) = throttle::forgiven_after_ms(key);
        for _ in 0..COUNTED_AT_ONCE_MAX {
            let (known, wait_s) = self.failures_of(key).await?;
            if wait_s.is_some() {
                return Ok(wait_s);
            }
            let params = vec![
                key.into(),
                window_ms.into(),
                forgiven_ms.into(),
                known.map(|known| known.count).into(),
                known.map(|known| known.last_ms).into(),
            ];
            let counted = self.run(statement!("login_tried.sql"), params).await?;
            if counted.first().is_some() {
                return Ok(None);
            }
        }
        Ok(Some(1))
    }

    /// Takes back what [`login_tried`](Self::login_tried) counted.
    pub async fn login_taken_back(&self, key: &str) -> Result<(), StoreError> {
        self.run(statement!("login_taken_back.sql"), vec![key.into()])
            .await?;
        Ok(())
    }

    /// Asks as [`login_gate`](Self::login_gate) does, and counts this try when it may go on. Of many at once no more go on than
    /// may; those that are refused write nothing once that shows.
    pub async fn registration_gate(&self, key: &str) -> Result<Option<u64>, StoreError> {
        if let Some(wait_s) = self.login_gate(key).await? {
            return Ok(Some(wait_s));
        }
        let (window_ms, forgiven_ms) = throttle::forgiven_after_ms(key);
        let params = vec![key.into(), window_ms.into(), forgiven_ms.into()];
        let counted = self
            .run(statement!("registration_tried.sql"), params)
            .await?;
        let row = counted.one()?;
        let mut before = failures(row)?;
        before.count = before.count.saturating_sub(1);
        Ok(throttle::retry_after_s(key, before, row.get(3)?))
    }

    /// Forgets the failures of `key`.
    pub async fn login_succeeded(&self, key: &str) -> Result<(), StoreError> {
        self.run(statement!("login_succeeded.sql"), vec![key.into()])
            .await?;
        Ok(())
    }

    /// Records an API key by its SHA-256 digest; returns its id, or `None` when the account has [`KEYS_MAX`] already.
    pub async fn create_key(
        &self,
        account: AccountId,
        name: &str,
        digest: &[u8; 32],
    ) -> Result<Option<i64>, StoreError> {
        let params = vec![
            account.0.into(),
            name.into(),
            digest.as_slice().into(),
            KEYS_MAX.into(),
        ];
        let rows = self.run(statement!("create_key.sql"), params).await?;
        rows.first().map(|row| row.get(0)).transpose()
    }

    /// The keys of an account, oldest first.
    pub async fn keys(&self, account: AccountId) -> Result<Vec<ApiKey>, StoreError> {
        let rows = self
            .run(statement!("keys.sql"), vec![account.0.into()])
            .await?;
        let key = |row: Row<'_>| {
            Ok(ApiKey {
                id: row.get(0)?,
                name: row.get(1)?,
                created_ms: row.get(2)?,
                last_used: row.get(3)?,
            })
        };
        rows.iter().map(key).collect()
    }

    /// Revokes a key; false when the account has no such key.
    pub async fn delete_key(&self, account: AccountId, id: i64) -> Result<bool, StoreError> {
        let rows = self
            .run(
                statement!("delete_key.sql"),
                vec![account.0.into(), id.into()],
            )
            .await?;
        Ok(rows.first().is_some())
    }

    /// Revokes all keys of an account; how many they were.
    pub async fn delete_keys(&self, account: AccountId) -> Result<usize, StoreError> {
        let rows = self
            .run(statement!("delete_keys.sql"), vec![account.0.into()])
            .await?;
        Ok(rows.iter().count())
    }

    /// The account that a key belongs to.
    pub async fn account_by_key_digest(
        &self,
        digest: &[u8; 32],
    ) -> Result<Option<KeyOwner>, StoreError> {
        let rows = self
            .run(statement!("account_by_key_digest.sql"), key_params(digest))
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(KeyOwner {
            account: AccountId(row.get(0)?),
            is_use_due: row.get(1)?,
        }))
    }

    /// Writes down that a key is used. A note: what asked may go on without it.
    pub async fn key_used(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        self.run(statement!("key_used.sql"), key_params(digest))
            .await?;
        Ok(())
    }

    /// The secrets of an account; stores `fresh` when it has none.
    pub async fn webhook_secrets(
        &self,
        account: AccountId,
        fresh: &[u8],
    ) -> Result<Secrets, StoreError> {
        if let Some(secrets) = self.stored_secrets(account).await? {
            return Ok(secrets);
        }
        self.run(
            statement!("first_webhook_secret.sql"),
            vec![account.0.into(), fresh.into()],
        )
        .await?;
        self.stored_secrets(account)
            .await?
            .ok_or_else(|| no_account(account))
    }

    /// Makes `fresh` the current secret; the old one signs beside it for 24 h.
    pub async fn rotate_webhook_secret(
        &self,
        account: AccountId,
        fresh: &[u8],
    ) -> Result<Secrets, StoreError> {
        let params = vec![account.0.into(), fresh.into()];
        let rows = self
            .run(statement!("rotate_webhook_secret.sql"), params)
            .await?;
        let row = rows.first().ok_or_else(|| no_account(account))?;
        Ok(Secrets {
            current: row.get(0)?,
            previous: row.get(1)?,
        })
    }

    async fn stored_secrets(&self, account: AccountId) -> Result<Option<Secrets>, StoreError> {
        let params = vec![account.0.into(), SECRET_OVERLAP_MS.into()];
        let rows = self.run(statement!("webhook_secrets.sql"), params).await?;
        let row = rows.first().ok_or_else(|| no_account(account))?;
        let Some(current) = row.get::<Option<Vec<u8>>>(0)? else {
            return Ok(None);
        };
        Ok(Some(Secrets {
            current,
            previous: row.get(1)?,
        }))
    }
}

fn key_params(digest: &[u8; 32]) -> Vec<Value> {
    vec![digest.as_slice().into(), KEY_USED_EVERY_MS.into()]
}

fn failures(row: Row<'_>) -> Result<Failures, StoreError> {
    Ok(Failures {
        count: row.get(0)?,
        first_ms: row.get(1)?,
        last_ms: row.get(2)?,
    })
}

fn no_account(account: AccountId) -> StoreError {
    StoreError::Corrupt(format!("there is no account {account}"))
}
