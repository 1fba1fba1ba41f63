//! The port to the database: one statement at a time, autocommit, all rows at once.
//!
//! That is what `spin:sqlite` offers on every backend, and it is why each change of state in this crate is one statement.

use crate::StoreError;

/// A value bound to, or read from, a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A 64-bit integer.
    Integer(i64),
    /// A float.
    Real(f64),
    /// Text; always valid UTF-8, since Spin's host traps on anything else.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// SQL NULL.
    Null,
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The whole answer of a statement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Column names, in order.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Iterates over the rows with typed access.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { values })
    }

    /// The first row, if any.
    #[must_use]
    pub fn first(&self) -> Option<Row<'_>> {
        self.rows.first().map(|values| Row { values })
    }

    /// The first row of a statement that always has one.
    ///
    /// # Errors
    /// `Corrupt` when there is none.
    pub fn one(&self) -> Result<Row<'_>, StoreError> {
        self.first().ok_or_else(|| {
            StoreError::Corrupt("a statement that always has a row gave none".into())
        })
    }
}

/// One row, with typed getters that return errors and never panic.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    values: &'a [Value],
}

impl<'a> Row<'a> {
    fn value(&self, column: usize) -> Result<&'a Value, StoreError> {
        self.values
            .get(column)
            .ok_or_else(|| StoreError::Corrupt(format!("column {column} is missing")))
    }

    /// The column as `T`.
    ///
    /// # Errors
    /// `Corrupt` when the column is missing or holds another type.
    pub fn get<T: FromValue<'a>>(&self, column: usize) -> Result<T, StoreError> {
        let value = self.value(column)?;
        T::from_value(value).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "column {column} is not {}: {}",
                T::NAME,
                type_name(value)
            ))
        })
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "text",
        Value::Blob(_) => "a blob",
        Value::Null => "null",
    }
}

/// A type that can be read from a [`Value`].
pub trait FromValue<'a>: Sized {
    /// What the type is called in an error.
    const NAME: &'static str;
    /// The value, `None` when it has another type.
    fn from_value(value: &'a Value) -> Option<Self>;
}

macro_rules! from_integer {
    ($($type:ty),+) => {
        $(impl FromValue<'_> for $type {
            const NAME: &'static str = stringify!($type);
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(n) => Self::try_from(*n).ok(),
                    _ => None,
                }
            }
        })+
    };
}
from_integer!(i64, u64, u32, u16, u8);

impl FromValue<'_> for bool {
    const NAME: &'static str = "bool";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(n) => Some(*n != 0),
            _ => None,
        }
    }
}

impl FromValue<'_> for f64 {
    const NAME: &'static str = "f64";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(x) => Some(*x),
            #[expect(
                clippy::cast_precision_loss,
                reason = "SQLite stores whole reals as integers; these are small"
            )]
            Value::Integer(n) => Some(*n as Self),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const NAME: &'static str = "text";
    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl FromValue<'_> for String {
    const NAME: &'static str = "text";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    const NAME: &'static str = "blob";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    const NAME: &'static str = T::NAME;
    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// Why a statement failed, as far as it changes what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// Another connection holds the lock, or the database cannot be reached just now.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The disk is full, read-only or failing.
    #[error("the database cannot be written: {0}")]
    Full(String),
    /// A constraint of the schema refused the row.
    #[error("a constraint refused the change: {0}")]
    Constraint(String),
    /// Anything else.
    #[error("the statement failed: {0}")]
    Other(String),
}

impl SqlError {
    /// Sorts a driver's message, since `spin:sqlite` passes nothing but text.
    /// The texts are those of SQLite's `sqlite3_errstr` and of its constraint errors.
    #[must_use]
    pub fn classify(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let has = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
        if has(&[
            "database is locked",
            "table is locked",
            "database schema is locked",
            "busy",
            "connection",
            "timed out",
            "timeout",
            "locking protocol",
            "interrupted",
            "database is closed",
        ]) {
            Self::Busy(text.to_owned())
        } else if has(&[
            "is full",
            "readonly",
            "read-only",
            "disk i/o",
            "unable to open database",
            "no space",
            "out of memory",
            "access permission denied",
            "disk image is malformed",
            "file is not a database",
        ]) {
            Self::Full(text.to_owned())
        } else if has(&["constraint failed", "constraint violation"]) {
            Self::Constraint(text.to_owned())
        } else {
            Self::Other(text.to_owned())
        }
    }
}

/// The port: runs one statement and returns all its rows.
#[allow(
    async_fn_in_trait,
    reason = "a component is one thread; the futures need not be Send"
)]
pub trait Sql {
    /// Runs `statement` in its own transaction with `params` bound to `?1`, `?2`, ….
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_drivers_are_sorted() {
        let sorted = SqlError::classify;
        assert!(matches!(sorted("database is locked"), SqlError::Busy(_)));
        assert!(matches!(
            sorted("database or disk is full"),
            SqlError::Full(_)
        ));
        for unwritable in [
            "attempt to write a readonly database",
            "database disk image is malformed",
            "file is not a database",
            "access permission denied",
            "out of memory",
        ] {
            assert!(
                matches!(sorted(unwritable), SqlError::Full(_)),
                "{unwritable}"
            );
        }
        for later in [
            "interrupted: the statement ran too long",
            "locking protocol",
            "the database is closed",
        ] {
            assert!(matches!(sorted(later), SqlError::Busy(_)), "{later}");
        }
        assert!(matches!(
            sorted("UNIQUE constraint failed: accounts.email_key"),
            SqlError::Constraint(_)
        ));
        assert!(matches!(
            sorted("near \"SELEC\": syntax error"),
            SqlError::Other(_)
        ));
    }

    #[test]
    fn getters_return_errors_instead_of_panicking() {
        let rows = Rows {
            columns: vec!["a".into()],
            rows: vec![vec![Value::Text("x".into())]],
        };
        let row = rows.one().unwrap();
        assert_eq!(row.get::<&str>(0).unwrap(), "x");
        assert!(matches!(row.get::<i64>(0), Err(StoreError::Corrupt(_))));
        assert!(matches!(row.get::<i64>(7), Err(StoreError::Corrupt(_))));
    }
}
