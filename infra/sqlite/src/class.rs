//! Where a statement runs. Its first words decide what needs care; SQLite itself decides whether the rest only reads.

use crate::{Rows, SqliteError, Value};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use trawl_core::limits::sqlite::{CLASSES_MAX, SQL_BYTES_MAX};

/// Where a statement runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Class {
    /// Changes nothing: on a reader.
    Read,
    /// Changes something: in the writer's next batch.
    Write,
    /// On the writer, outside of any batch: SQLite does not run it inside a transaction.
    Alone,
    /// Opens an explicit transaction.
    Begin,
    /// Only has a meaning inside an explicit transaction.
    Transaction(&'static str),
    /// Answered without asking the database.
    Answered(Rows),
    /// Not for guests.
    Refused(SqliteError),
}

/// The classes of the texts seen so far. Guests send few texts many times, of a kilobyte or two, each with every call: so the hash is one
/// that is quick. Whoever makes texts collide makes his own look-ups slow, and there are few of them.
#[derive(Default)]
pub(crate) struct Classes {
    known: RwLock<HashMap<Arc<str>, Class, RandomState>>,
}

impl Classes {
    /// The text as it is kept, and its class; `None` when only preparing it can tell whether it writes.
    pub(crate) fn of(&self, sql: &str) -> (Arc<str>, Option<Class>) {
        if let Some((sql, class)) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get_key_value(sql)
        {
            return (Arc::clone(sql), Some(class.clone()));
        }
        let sql = Arc::from(sql);
        let class = classify(&sql);
        if let Some(class) = &class {
            self.remember(&sql, class.clone());
        }
        (sql, class)
    }

    /// Keeps what preparing the statement has shown.
    pub(crate) fn remember(&self, sql: &Arc<str>, class: Class) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CLASSES_MAX {
            known.clear();
        }
        known.insert(Arc::clone(sql), class);
    }
}

fn classify(sql: &str) -> Option<Class> {
    if sql.len() > SQL_BYTES_MAX {
        return Some(refused("the statement is too long"));
    }
    let mut words = Words::of(sql);
    let first = words.next_word().to_ascii_uppercase();
    Some(match first.as_str() {
        "" if words.rest.is_empty() => Class::Answered(Rows::none()),
        "BEGIN" => Class::Begin,
        "COMMIT" | "END" => Class::Transaction("cannot commit - no transaction is active"),
        "ROLLBACK" => Class::Transaction("cannot rollback - no transaction is active"),
        "SAVEPOINT" => {
            Class::Transaction("a savepoint needs a transaction: send BEGIN IMMEDIATE first")
        }
        "RELEASE" => Class::Transaction("no such savepoint: no transaction is active"),
        "ATTACH" | "DETACH" => refused("not authorized: a guest has one database"),
        "VACUUM" => refused("not authorized: VACUUM would hold up every component"),
        "PRAGMA" => return pragma(&mut words),
        // By the schema that a reader has in mind, a `DROP … IF EXISTS` may be nothing to do; by the present one it writes.
        "CREATE" | "DROP" | "ALTER" | "REINDEX" => Class::Write,
        _ => return None,
    })
}

/// Whether a statement changes what is in the schema and nothing else. `CREATE TABLE … AS SELECT` fills the table too, and whatever looks
/// like that is counted as such.
pub(crate) fn changes_schema(sql: &str) -> bool {
    let mut words = Words::of(sql);
    let first = words.next_word().to_ascii_uppercase();
    match first.as_str() {
        "DROP" | "ALTER" => true,
        "CREATE" => {
            let what = words.next_word().to_ascii_uppercase();
            let rest = words.rest.to_ascii_uppercase();
            let may_fill = ["SELECT", "VALUES", "WITH"];
            !matches!(what.as_str(), "TABLE" | "TEMP" | "TEMPORARY" | "VIRTUAL")
                || !may_fill.iter().any(|word| rest.contains(word))
        }
        _ => false,
    }
}

fn refused(text: &str) -> Class {
    Class::Refused(SqliteError::Refused(text.to_owned()))
}

/// The pragmas that make sense for a guest. Those that set up a connection are answered as if they had been done,
/// since each connection here is set up already; the rest is refused.
fn pragma(words: &mut Words<'_>) -> Option<Class> {
    let mut name = words.next_word().to_ascii_lowercase();
    if words.take('.') {
        name = words.next_word().to_ascii_lowercase();
    }
    let sets = words.take('=') || words.take('(');
    let value = if sets { words.next_word() } else { "" };
    Some(match name.as_str() {
        "journal_mode" => Class::Answered(Rows::single("journal_mode", Value::from("wal"))),
        "synchronous" | "foreign_keys" | "cache_size" | "temp_store" | "wal_autocheckpoint"
        | "journal_size_limit" | "mmap_size" | "recursive_triggers" | "trusted_schema"
            if sets =>
        {
            Class::Answered(Rows::none())
        }
        "busy_timeout" if sets => Class::Answered(busy_timeout(value)),
        "user_version" | "application_id" if sets => Class::Write,
        "optimize" => Class::Write,
        "wal_checkpoint" => Class::Alone,
        "synchronous" | "foreign_keys" | "cache_size" | "temp_store" | "wal_autocheckpoint"
        | "journal_size_limit" | "mmap_size" | "busy_timeout" | "user_version"
        | "application_id" | "data_version" | "encoding" | "page_size" | "page_count"
        | "max_page_count" | "freelist_count" | "compile_options" | "collation_list"
        | "function_list" | "database_list"
            if !sets =>
        {
            Class::Read
        }
        "table_info" | "table_xinfo" | "table_list" | "index_info" | "index_xinfo"
        | "index_list" | "foreign_key_list" | "foreign_key_check" | "integrity_check"
        | "quick_check" => Class::Read,
        "defer_foreign_keys" => {
            Class::Transaction("defer_foreign_keys needs a transaction: send BEGIN IMMEDIATE first")
        }
        _ => refused("not authorized: this pragma is not for guests"),
    })
}

fn busy_timeout(value: &str) -> Rows {
    Rows::single("timeout", Value::Integer(value.parse().unwrap_or(0)))
}

/// The words of a statement, without the white space and the comments that SQLite skips too.
struct Words<'sql> {
    rest: &'sql str,
}

impl<'sql> Words<'sql> {
    /// From the first statement that is one: SQLite passes over empty ones before it.
    fn of(sql: &'sql str) -> Self {
        let mut words = Self { rest: sql };
        while words.take(';') {}
        words
    }

    fn next_word(&mut self) -> &'sql str {
        self.skip();
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, mark: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self) {
        loop {
            self.rest = self
                .rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\x0c', '\u{feff}']);
            let comment = match self.rest.get(..2) {
                Some("--") => self.rest.find('\n').map(|at| at + 1),
                Some("/*") => self
                    .rest
                    .get(2..)
                    .and_then(|inner| inner.find("*/"))
                    .map(|at| at + 4),
                _ => return,
            };
            self.rest = comment.and_then(|end| self.rest.get(end..)).unwrap_or("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: Option<Class>) {
        assert_eq!(classify(sql), expected, "{sql}");
    }

    #[test]
    fn transaction_words_are_found_behind_comments() {
        check("  -- why\n /* and */ begin immediate", Some(Class::Begin));
        check(
            "\u{feff}COMMIT;",
            Some(Class::Transaction(
                "cannot commit - no transaction is active",
            )),
        );
        check("/* never closed BEGIN", Some(Class::Answered(Rows::none())));
        check("beginning", None);
        check("; /* why */ ;\nBEGIN", Some(Class::Begin));
        check(" ;; ", Some(Class::Answered(Rows::none())));
        check("; SELECT 1", None);
    }

    #[test]
    fn schema_is_what_brings_no_row() {
        for (sql, expected) in [
            ("-- why\n create table a (id)", true),
            (
                "CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT 1; END",
                true,
            ),
            ("CREATE UNIQUE INDEX a ON b (c)", true),
            ("DROP TABLE a", true),
            ("ALTER TABLE a ADD b", true),
            ("create table a as\nselect 1", false),
            ("CREATE TEMP TABLE a AS VALUES (1)", false),
            ("INSERT INTO a VALUES (1)", false),
        ] {
            assert_eq!(changes_schema(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_reads_or_writes_is_left_to_sqlite() {
        check("SELECT 1", None);
        check("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", None);
        check("(", None);
    }

    #[test]
    fn pragmas_are_answered_read_written_or_refused() {
        check(
            "PRAGMA journal_mode=WAL",
            Some(Class::Answered(Rows::single(
                "journal_mode",
                Value::from("wal"),
            ))),
        );
        check(
            "PRAGMA main.journal_mode = delete",
            Some(Class::Answered(Rows::single(
                "journal_mode",
                Value::from("wal"),
            ))),
        );
        check(
            "PRAGMA busy_timeout(2500)",
            Some(Class::Answered(Rows::single(
                "timeout",
                Value::Integer(2500),
            ))),
        );
        check("PRAGMA user_version", Some(Class::Read));
        check("PRAGMA user_version=3", Some(Class::Write));
        check("PRAGMA wal_checkpoint(TRUNCATE)", Some(Class::Alone));
        assert!(matches!(
            classify("PRAGMA writable_schema=1"),
            Some(Class::Refused(_))
        ));
        assert!(matches!(
            classify("ATTACH 'x' AS y"),
            Some(Class::Refused(_))
        ));
        assert!(matches!(
            classify("vacuum into 'x'"),
            Some(Class::Refused(_))
        ));
    }
}
