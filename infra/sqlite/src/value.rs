//! What goes into a statement and what comes out of it.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::sync::Arc;

/// One parameter or one column of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A 64-bit integer.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text, always UTF-8.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// NULL.
    Null,
}

impl Value {
    /// What the value weighs in a queue or a result: its bytes and the value itself.
    pub(crate) fn weight_bytes(&self) -> usize {
        let bytes = match self {
            Self::Text(text) => text.len(),
            Self::Blob(blob) => blob.len(),
            Self::Integer(_) | Self::Real(_) | Self::Null => 0,
        };
        bytes + size_of::<Self>()
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(blob) => ValueRef::Blob(blob),
            Self::Null => ValueRef::Null,
        }))
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<f64> for Value {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(blob: Vec<u8>) -> Self {
        Self::Blob(blob)
    }
}

/// The result of a statement: no rows for one that returns none.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Arc<[String]>,
    /// The rows, each with one value per column.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// No columns and no rows.
    pub(crate) fn none() -> Self {
        Self {
            columns: Arc::from([]),
            rows: Vec::new(),
        }
    }

    /// One row with one column, as a PRAGMA answers.
    pub(crate) fn single(column: &str, value: Value) -> Self {
        Self {
            columns: Arc::from([column.to_owned()]),
            rows: vec![vec![value]],
        }
    }
}
