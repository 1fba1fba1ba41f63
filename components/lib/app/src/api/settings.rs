//! What an instance read from the variables, kept for a few seconds: accepting a message then costs no call for it.

use std::cell::RefCell;
use std::collections::HashMap;

use trawl_core::limits::account::TOKENS_REMEMBERED_MAX;
use trawl_core::limits::api::SETTINGS_KEPT_MS;
use trawl_core::limits::queue;
use trawl_core::token::{KeyError, Token, TokenKeys};
use trawl_core::url_guard::UrlPolicy;
use trawl_store::{QueueLimits, Registration};

use crate::ports::{Ports, Unreadable, Variables};
use crate::settings::{callback_urls, public_url, request_urls};

pub(crate) struct Settings {
    read_at_ms: u64,
    pub(crate) keys: Result<Keys, NoKeys>,
    pub(crate) registration: Registration,
    pub(crate) replica_id: String,
    pub(crate) public_url: Option<String>,
    pub(crate) request_urls: UrlPolicy,
    pub(crate) callback_urls: UrlPolicy,
    pub(crate) limits: QueueLimits,
}

/// Why nothing can be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoKeys {
    #[error("jwt_secret: the variable is not set")]
    Missing,
    #[error("jwt_secret: {0}")]
    Refused(KeyError),
    #[error("jwt_secret_previous, or to leave it empty: {0}")]
    PreviousRefused(KeyError),
}

/// The signing keys, and the tokens that were verified with them lately.
pub(crate) struct Keys {
    pub(crate) signing: TokenKeys,
    /// Whole tokens, found through a hash with random keys: nobody can steer a near miss to the comparison.
    verified: RefCell<HashMap<Box<str>, Token>>,
}

impl Keys {
    /// The account of a token that was verified lately.
    pub(crate) fn remembered(&self, token: &str, now_s: i64) -> Option<i64> {
        let remembered = self.verified.borrow().get(token).copied()?;
        (now_s < remembered.expires_s).then_some(remembered.account)
    }

    /// Spares the next request with this token the work of verifying it.
    pub(crate) fn remember(&self, token: &str, verified: Token) {
        let mut remembered = self.verified.borrow_mut();
        if remembered.len() >= TOKENS_REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(token.into(), verified);
    }
}

impl Settings {
    pub(crate) async fn read<P: Ports>(ports: &P, now_ms: u64) -> Self {
        let variables = ports.variables();
        // What is none of the three words closes the door, and so does what can't be read: neither must open it.
        let registration = match variables.read("registration").await {
            Ok(None) => Some(Registration::Open),
            Ok(Some(word)) => Registration::parse(word.trim()),
            Err(Unreadable) => None,
        };
        Self {
            read_at_ms: now_ms,
            keys: keys(variables).await,
            registration: registration.unwrap_or(Registration::Closed),
            replica_id: variables
                .get("replica_id")
                .await
                .unwrap_or_else(|| "trawl".to_owned()),
            public_url: public_url(variables).await,
            request_urls: request_urls(variables).await,
            callback_urls: callback_urls(variables).await,
            limits: limits(variables).await,
        }
    }

    pub(crate) fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.read_at_ms) < SETTINGS_KEPT_MS
    }
}

async fn keys(variables: &impl Variables) -> Result<Keys, NoKeys> {
    let current = variables.get("jwt_secret").await.ok_or(NoKeys::Missing)?;
    let previous = variables.get("jwt_secret_previous").await;
    let alone = TokenKeys::parse(&current, None).map_err(NoKeys::Refused)?;
    let signing = match previous {
        None => alone,
        Some(previous) => {
            TokenKeys::parse(&current, Some(&previous)).map_err(NoKeys::PreviousRefused)?
        }
    };
    Ok(Keys {
        signing,
        verified: RefCell::default(),
    })
}

async fn limits(variables: &impl Variables) -> QueueLimits {
    let number = async |name, otherwise: u64| {
        let value: Option<String> = variables.get(name).await;
        value
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(otherwise)
    };
    QueueLimits {
        tenant_max: number("queue_max_account", queue::TENANT_MAX).await,
        total_max: number("queue_max", queue::TOTAL_MAX).await,
        host_in_flight_max: u32::try_from(
            number("host_in_flight", u64::from(queue::HOST_IN_FLIGHT_MAX)).await,
        )
        .unwrap_or(u32::MAX)
        // With none nothing would ever start.
        .max(1),
        host_gap_ms: number("host_gap_ms", queue::HOST_GAP_MS)
            .await
            .min(queue::HOST_GAP_MS_MAX),
    }
}
