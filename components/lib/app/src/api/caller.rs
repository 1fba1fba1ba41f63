//! Who asks: the account of a Bearer token or an API key. The tenant comes from here and from nowhere else.

use std::time::Duration;

use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use trawl_core::ids::AccountId;
use trawl_core::limits::account::{KEY_USED_MS_MAX, TOKEN_BYTES_MAX, TOKEN_LEEWAY_S};
use trawl_core::limits::api::NOT_CONFIGURED_RETRY_S;
use trawl_core::problem::{Code, Problem};
use trawl_core::token::Token;
use trawl_store::Store;

use super::Exchange;
use super::answer::unavailable;
use super::settings::{Keys, NoKeys};
use crate::patience::within;
use crate::ports::{Clock as _, Ports};

/// What an API key begins with, so that leaked ones are found by scanners.
pub(super) const KEY_PREFIX: &str = "trawl_";

impl<P: Ports> Exchange<'_, P> {
    /// The store of this instance.
    pub(super) fn store(&self) -> Store<'_, P::Sql> {
        Store::new(self.ports.sql())
    }

    /// The signing keys, or the answer that says what the operator has to do.
    pub(super) fn keys(&self) -> Result<&Keys, Problem> {
        self.settings.keys.as_ref().map_err(|missing: &NoKeys| {
            Problem::new(
                Code::NotConfigured,
                format!("The operator has to set {missing}."),
            )
            .retry_after(NOT_CONFIGURED_RETRY_S)
        })
    }

    /// The account that the request speaks for.
    pub(super) async fn caller(&self) -> Result<AccountId, Problem> {
        let credential = self.credential()?;
        if credential.starts_with(KEY_PREFIX) {
            return self.key_owner(&digest(credential)).await;
        }
        let now_s = self.ports.clock().now_ms().div_euclid(1000);
        let keys = self.keys()?;
        if let Some(account) = keys.remembered(credential, now_s) {
            return Ok(AccountId(account));
        }
        let token = keys
            .signing
            .verify(credential, now_s)
            .map_err(|_| refused())?;
        let account = AccountId(token.account);
        self.must_be_that_of(&token).await?;
        keys.remember(credential, token);
        Ok(account)
    }

    /// A token outlives its database when that is restored or begun anew: the account may not be there, and its number be given to
    /// somebody who came later.
    async fn must_be_that_of(&self, token: &Token) -> Result<(), Problem> {
        let made_ms = self
            .store()
            .account_made_ms(AccountId(token.account))
            .await
            .map_err(unavailable)?;
        let until_ms = (token.issued_s + TOKEN_LEEWAY_S).saturating_mul(1_000);
        // An account that was made in the future was made before the clock was set back: then its time tells nothing.
        let soon_ms = self.ports.clock().now_ms() + TOKEN_LEEWAY_S * 1_000;
        if made_ms.is_some_and(|made_ms| made_ms <= until_ms || made_ms > soon_ms) {
            Ok(())
        } else {
            Err(refused())
        }
    }

    async fn key_owner(&self, digest: &[u8; 32]) -> Result<AccountId, Problem> {
        let store = self.store();
        let found = store
            .account_by_key_digest(digest)
            .await
            .map_err(unavailable)?;
        let owner = found.ok_or_else(refused)?;
        if owner.is_use_due {
            // Only a note: whoever reads does not depend on a database that can be written, nor wait for it. The next request tries
            // again.
            let limit = Duration::from_millis(KEY_USED_MS_MAX);
            let _ = within(self.ports.clock(), limit, store.key_used(digest)).await;
        }
        Ok(owner.account)
    }

    fn credential(&self) -> Result<&str, Problem> {
        let mut values = self.request.headers().get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or_else(missing)?;
        // Two credentials could be read as two callers.
        if values.next().is_some() || value.len() > TOKEN_BYTES_MAX + 16 {
            return Err(refused());
        }
        let (scheme, credential) = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or_else(refused)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(credential.trim_matches(' '))
        } else {
            Err(missing())
        }
    }
}

/// What is stored of an API key. It holds 256 random bits, so a plain hash can't be guessed backwards.
pub(super) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn missing() -> Problem {
    Problem::new(
        Code::MissingToken,
        "Send `Authorization: Bearer <token>`; POST /token gives one, POST /keys a lasting key.",
    )
}

fn refused() -> Problem {
    Problem::new(
        Code::InvalidToken,
        "The token or key is not valid or no longer valid; POST /token gives another token, POST /keys another key.",
    )
}
