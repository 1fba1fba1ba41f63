//! Why a page could not be had.

use trawl_core::fetch_policy::FetchCode;
use trawl_store::StoreError;

use crate::decode::DecodeError;
use crate::ports::{Phase, SendError};

/// Why there is no page. The detail never says more about an address than its code does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct FetchError {
    /// From the one table of codes.
    pub code: FetchCode,
    /// For people, when there is more to say than the table does.
    pub detail: Option<String>,
    /// The server asked to be left alone for so long.
    pub retry_after_ms: Option<u64>,
    /// By whichever job: the name under which the queue keeps the pace of its host.
    pub paused_host: Option<String>,
    /// It is no failure: a host may not be asked yet.
    pub too_early: Option<TooEarly>,
}

/// Why an attempt ends before the host was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooEarly {
    /// The job's own host: the queue keeps its pace.
    OwnHost,
    /// One that a redirect led to, which may be asked in so many milliseconds.
    Elsewhere(u64),
}

impl FetchError {
    /// What a broken exchange means. In the body a broken protocol, or a connection that fails, is a lost one: the head
    /// was fine.
    #[must_use]
    pub fn of_exchange(error: &SendError, in_body: bool) -> Self {
        Self::from(match error {
            SendError::AddressNotAllowed => FetchCode::AddressNotAllowed,
            SendError::Dns => FetchCode::Dns,
            SendError::Lost(_) => FetchCode::ConnectionLost,
            SendError::Connect(_) if in_body => FetchCode::ConnectionLost,
            SendError::Connect(_) => FetchCode::Connect,
            // A limit of ours says nothing about the host.
            SendError::Busy => FetchCode::Internal,
            SendError::Tls(_) => FetchCode::Tls,
            SendError::HeadersTooLarge => FetchCode::HeadersTooLarge,
            SendError::BodyTooLarge => FetchCode::TooLarge,
            SendError::Timeout(Phase::Connect) => FetchCode::TimeoutConnect,
            SendError::Timeout(Phase::FirstByte) => FetchCode::TimeoutFirstByte,
            SendError::Timeout(Phase::BetweenBytes) => FetchCode::TimeoutBetweenBytes,
            SendError::Protocol(_) if in_body => FetchCode::ConnectionLost,
            SendError::Protocol(_) => FetchCode::Protocol,
        })
    }
}

impl From<FetchCode> for FetchError {
    fn from(code: FetchCode) -> Self {
        Self {
            code,
            detail: None,
            retry_after_ms: None,
            paused_host: None,
            too_early: None,
        }
    }
}

impl From<TooEarly> for FetchError {
    fn from(too_early: TooEarly) -> Self {
        Self {
            too_early: Some(too_early),
            ..Self::from(FetchCode::Internal)
        }
    }
}

impl From<DecodeError> for FetchError {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::Unsupported(_) | DecodeError::TooMany => FetchCode::UnsupportedEncoding,
            DecodeError::TooLarge => FetchCode::TooLarge,
            DecodeError::Bomb | DecodeError::Crumbs => FetchCode::DecodeBomb,
            DecodeError::Damaged(_) => FetchCode::BadEncoding,
        };
        Self {
            detail: Some(error.to_string()),
            ..Self::from(code)
        }
    }
}

impl From<StoreError> for FetchError {
    /// The database failed under a fetch: the job is tried again.
    fn from(_: StoreError) -> Self {
        Self::from(FetchCode::Internal)
    }
}
