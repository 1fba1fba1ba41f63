//! Web manners: cached robots.txt, the pace of a host, and the last result of a URL.

use serde_json::json;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::scrape::LAST_RESULTS_MAX;
use trawl_core::state::{Kind, Mode};

use crate::rows::url_hash;
use crate::sql::{Row, Sql, Value};
use crate::text::statement;
use crate::{Store, StoreError};

/// A cached robots.txt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRobots {
    /// The caller's word for what it found: `rules`, `allow_all`, or `unreachable` with since when, what was found before, and why.
    pub state: String,
    /// The text, cut to its limit.
    pub body: Vec<u8>,
    /// When it was fetched, milliseconds since the epoch.
    pub fetched_ms: i64,
    /// When it should be fetched again.
    pub expires_ms: i64,
    /// The database's clock at this reading.
    pub now_ms: i64,
}

/// What was found of a robots.txt, to be cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRobots {
    /// `scheme://host:port`.
    pub authority: String,
    /// The caller's word for what it found.
    pub state: String,
    /// The text, cut to its limit.
    pub body: Vec<u8>,
    /// For how long it holds, in seconds.
    pub ttl_s: u32,
}

/// The last result of the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// The message it belongs to.
    pub message_id: MessageId,
    /// For `If-None-Match`.
    pub etag: Option<String>,
    /// For `If-Modified-Since`.
    pub last_modified: Option<String>,
    /// Seconds since it was made.
    pub age_s: i64,
    /// The status of the page.
    pub http_status: u16,
    /// The URL after redirects.
    pub final_url: String,
    /// The content type of the page.
    pub content_type: String,
    /// The codec of `body`.
    pub encoding: String,
    /// JSON beside the body.
    pub meta: String,
    /// The body, encoded; empty when it was left ([`Bodies`]).
    pub body: Vec<u8>,
}

/// What makes two requests the same.
#[derive(Debug, Clone, Copy)]
pub struct SameRequest<'r> {
    /// Whose they are.
    pub account: AccountId,
    /// The type.
    pub kind: Kind,
    /// The URL as it was asked for.
    pub request_url: &'r str,
    /// Counts for type 1.
    pub mode: Mode,
    /// Counts for type 1.
    pub selector: Option<&'r str>,
}

/// What came of asking for a start that no claim takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The host may be asked now.
    Taken {
        /// How many of its own rows it may have in flight.
        in_flight_max: u32,
    },
    /// Not yet.
    TooEarly {
        /// In how many milliseconds it is worth trying again.
        wait_ms: u64,
    },
}

/// Whether a result is read with its body, which may have megabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// With it.
    Read,
    /// Without; it is empty.
    Left,
}

impl<S: Sql> Store<'_, S> {
    /// The cached robots.txt of an authority (`scheme://host:port`), also when it has expired.
    pub async fn robots(&self, authority: &str) -> Result<Option<CachedRobots>, StoreError> {
        let rows = self
            .run(statement!("robots.sql"), vec![authority.into()])
            .await?;
        rows.first().map(cached_robots).transpose()
    }

    /// The same for several authorities at once; those without a copy are left out.
    pub async fn robots_of(
        &self,
        authorities: &[String],
    ) -> Result<Vec<(String, CachedRobots)>, StoreError> {
        let list = Value::Text(json!(authorities).to_string());
        let rows = self.run(statement!("robots_of.sql"), vec![list]).await?;
        rows.iter()
            .map(|row| Ok((row.get(5)?, cached_robots(row)?)))
            .collect()
    }

    /// Caches what was found of several authorities. Of two for one authority the last counts.
    pub async fn put_robots(&self, found: &[FoundRobots]) -> Result<(), StoreError> {
        let mut bodies = Vec::with_capacity(found.iter().map(|one| one.body.len()).sum());
        let mut heads = Vec::with_capacity(found.len());
        for one in found {
            heads.push(json!([
                one.authority,
                one.state,
                i64::from(one.ttl_s) * 1000,
                bodies.len(),
                one.body.len()
            ]));
            bodies.extend_from_slice(&one.body);
        }
        let params = vec![
            Value::Text(serde_json::Value::Array(heads).to_string()),
            Value::Blob(bodies),
        ];
        self.run(statement!("put_robots.sql"), params).await?;
        Ok(())
    }

    /// Sets the pace of a host. `source` is `robots` or `operator`; an operator's word is not overridden by robots. Whether the gap was
    /// begun with it: whoever read it in a robots.txt has started at the host then.
    pub async fn set_host_pace(
        &self,
        host: &str,
        gap_ms: u64,
        in_flight_max: u32,
        source: &str,
    ) -> Result<bool, StoreError> {
        let params = vec![
            host.into(),
            gap_ms.into(),
            in_flight_max.max(1).into(),
            source.into(),
        ];
        let set = self.run(statement!("set_host_pace.sql"), params).await?;
        set.first().map_or(Ok(false), |row| row.get(0))
    }

    /// Takes back the pace that a host's robots.txt asked for; an operator's stays. Nothing is written when there is none.
    pub async fn clear_host_pace(&self, host: &str) -> Result<(), StoreError> {
        self.run(statement!("clear_host_pace.sql"), vec![host.into()])
            .await?;
        Ok(())
    }

    /// Takes a start at a host that no claim took.
    pub async fn take_start(&self, host: &str) -> Result<Start, StoreError> {
        let taken = self
            .run(statement!("take_start.sql"), vec![host.into()])
            .await?;
        if let Some(row) = taken.first() {
            let in_flight_max = row.get(0)?;
            return Ok(Start::Taken { in_flight_max });
        }
        let next = self
            .run(statement!("next_start.sql"), vec![host.into()])
            .await?;
        let wait_ms: i64 = next.first().map_or(Ok(0), |row| row.get(0))?;
        let wait_ms = u64::try_from(wait_ms).unwrap_or_default();
        Ok(Start::TooEarly { wait_ms })
    }

    /// The newest result of the same tenant, kind, URL and options. Only a text has options that make a difference.
    pub async fn last_result(
        &self,
        same: SameRequest<'_>,
        bodies: Bodies,
    ) -> Result<Option<Previous>, StoreError> {
        let SameRequest {
            account,
            kind,
            request_url,
            mode,
            selector,
        } = same;
        let params = vec![
            url_hash(account, kind, request_url, mode, selector).into(),
            account.0.into(),
            kind.number().into(),
            request_url.into(),
            mode.as_str().into(),
            selector.into(),
            LAST_RESULTS_MAX.into(),
            (bodies == Bodies::Read).into(),
        ];
        let rows = self.run(statement!("last_result.sql"), params).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Previous {
            message_id: MessageId(row.get(0)?),
            etag: row.get(1)?,
            last_modified: row.get(2)?,
            age_s: row.get(3)?,
            http_status: row.get(4)?,
            final_url: row.get(5)?,
            content_type: row.get(6)?,
            encoding: row.get(7)?,
            meta: row.get(8)?,
            body: row.get::<Option<_>>(9)?.unwrap_or_default(),
        }))
    }
}

fn cached_robots(row: Row<'_>) -> Result<CachedRobots, StoreError> {
    Ok(CachedRobots {
        state: row.get(0)?,
        body: row.get(1)?,
        fetched_ms: row.get(2)?,
        expires_ms: row.get(3)?,
        now_ms: row.get(4)?,
    })
}
