//! Reading what several statements return alike.

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{JobError, Kind, Mode, State};

use crate::StoreError;
use crate::sql::{Row, Rows, Value};

pub(crate) fn kind(row: Row<'_>, column: usize) -> Result<Kind, StoreError> {
    let number = row.get(column)?;
    Kind::from_number(number).ok_or_else(|| StoreError::Corrupt(format!("unknown type {number}")))
}

pub(crate) fn state(row: Row<'_>, column: usize) -> Result<State, StoreError> {
    let word: &str = row.get(column)?;
    State::parse(word).ok_or_else(|| StoreError::Corrupt(format!("unknown state {word}")))
}

/// An error from three columns: code, detail, permanent.
pub(crate) fn error(row: Row<'_>, column: usize) -> Result<Option<JobError>, StoreError> {
    let Some(code) = row.get(column)? else {
        return Ok(None);
    };
    Ok(Some(JobError {
        code,
        detail: row.get::<Option<String>>(column + 1)?.unwrap_or_default(),
        permanent: row.get::<Option<bool>>(column + 2)?.unwrap_or(false),
    }))
}

/// The ids in the first column.
pub(crate) fn message_ids(rows: &Rows) -> Result<Vec<MessageId>, StoreError> {
    rows.iter().map(|row| row.get(0).map(MessageId)).collect()
}

/// `[[id, lease], …]`, as the statements over several leases take it.
pub(crate) fn lease_list(leases: impl Iterator<Item = (i64, i64)>) -> Value {
    let pairs: Vec<[i64; 2]> = leases.map(|(id, lease)| [id, lease]).collect();
    Value::Text(serde_json::json!(pairs).to_string())
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): stable for ever, and only a way to find rows that are then compared in full. The options of a text
/// make another result of the same page, so each of them finds its own; the usual ones add nothing.
pub(crate) fn url_hash(
    tenant: AccountId,
    kind: Kind,
    url: &str,
    mode: Mode,
    selector: Option<&str>,
) -> i64 {
    let prefix = tenant
        .0
        .to_le_bytes()
        .into_iter()
        .chain(kind.number().to_le_bytes());
    let is_text = kind == Kind::Text;
    let mode = (is_text && mode != Mode::Best).then(|| mode.as_str());
    let selector = selector.filter(|_| is_text);
    // No URL, and no name of a mode, has these bytes.
    let options = [(0_u8, mode), (1, selector)]
        .into_iter()
        .filter_map(|(mark, option)| Some((mark, option?)))
        .flat_map(|(mark, option)| std::iter::once(mark).chain(option.bytes()));
    let hash = prefix
        .chain(url.bytes())
        .chain(options)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    i64::from_le_bytes(hash.to_le_bytes())
}

/// A lease as the statements count it.
pub(crate) fn lease_ms(lease_s: u32) -> i64 {
    i64::from(lease_s) * 1000
}
