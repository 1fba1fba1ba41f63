//! What a statement can fail with. The texts are SQLite's own where there is one, since guests see them.

use rusqlite::ErrorCode;

/// Why a statement was not done. Whatever the variant: nothing of the statement is in the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// Another process, another transaction or a full queue is in the way; worth another try.
    #[error("{0}")]
    Busy(String),
    /// The disk failed, or the file may not be written, or is not the one that was opened, or there is no memory for it.
    #[error("{0}")]
    Io(String),
    /// The file is no sound database. Once that was found nothing is written to it.
    #[error("{0}")]
    Damaged(String),
    /// The disk or the database is full.
    #[error("database or disk is full")]
    Full,
    /// A constraint of the schema does not hold.
    #[error("{0}")]
    Constraint(String),
    /// The statement is wrong: its text, its parameters or its values.
    #[error("{0}")]
    Sql(String),
    /// The statement is not one that a guest may run.
    #[error("{0}")]
    Refused(String),
    /// The statement ran too long, or its result is too large.
    #[error("{0}")]
    Limit(String),
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
}

impl SqliteError {
    /// A text must hold one statement; this refuses one that holds more.
    pub(crate) fn several_statements() -> Self {
        Self::Sql("the text holds more than one statement; send them one by one".to_owned())
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(failure, message) => from_failure(failure, message),
            rusqlite::Error::SqlInputError { error, msg, .. } => from_failure(error, Some(msg)),
            rusqlite::Error::MultipleStatement => Self::several_statements(),
            other => Self::Sql(other.to_string()),
        }
    }
}

fn from_failure(failure: rusqlite::ffi::Error, message: Option<String>) -> SqliteError {
    let text =
        message.unwrap_or_else(|| rusqlite::ffi::code_to_str(failure.extended_code).to_owned());
    match failure.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => SqliteError::Busy(text),
        ErrorCode::DiskFull => SqliteError::Full,
        ErrorCode::ConstraintViolation => SqliteError::Constraint(text),
        ErrorCode::AuthorizationForStatementDenied => SqliteError::Refused(text),
        // SQLite gives a denied function the general code.
        _ if text.starts_with("not authorized") => SqliteError::Refused(text),
        ErrorCode::OperationInterrupted => {
            SqliteError::Limit("interrupted: the statement ran too long".to_owned())
        }
        ErrorCode::TooBig => SqliteError::Limit(text),
        // Of what a virtual table keeps, such as an index of texts that does not fit to its table; the file is sound.
        _ if failure.extended_code == rusqlite::ffi::SQLITE_CORRUPT_VTAB => SqliteError::Sql(text),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => SqliteError::Damaged(text),
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory
        | ErrorCode::NoLargeFileSupport => SqliteError::Io(text),
        _ => SqliteError::Sql(text),
    }
}
