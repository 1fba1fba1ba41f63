//! The suite with each statement as a libSQL server runs it: the server parses what it is sent, refuses whole kinds of statements,
//! and runs its own print of the rest. So a statement that its parser can't read, or prints as another one, would fail only there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test: an expectation that fails is a failed test"
)]

use fallible_iterator::FallibleIterator as _;
use futures::executor::block_on;
use libsql_sqlite3_parser::ast::{Cmd, Stmt};
use libsql_sqlite3_parser::lexer::sql::Parser;
use trawl_conformance::{Clock, Memory, Subject, exercise};
use trawl_store::sql::{Rows, Sql, SqlError, Value};

struct AsPrinted(Memory);

impl Sql for AsPrinted {
    async fn run(&self, statement: &'static str, params: Vec<Value>) -> Result<Rows, SqlError> {
        self.0.execute(&printed(statement), params)
    }
}

impl Subject for AsPrinted {
    async fn pass(&self, ms: i64) {
        self.0.pass(ms).await;
    }
}

/// The only statement of `text`, printed again; one that a server would refuse fails the test.
fn printed(text: &str) -> String {
    let commands: Vec<Cmd> = Parser::new(text.as_bytes())
        .collect()
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    let [command] = commands.as_slice() else {
        panic!("{} statements in one call: {text}", commands.len());
    };
    assert!(is_taken(command), "a server does not take this: {text}");
    command.to_string()
}

/// The kinds that a server takes, without those that open transactions, of which we have none.
fn is_taken(command: &Cmd) -> bool {
    matches!(
        command,
        Cmd::Stmt(
            Stmt::Select(..)
                | Stmt::Insert { .. }
                | Stmt::Update { .. }
                | Stmt::Delete { .. }
                | Stmt::CreateIndex { .. }
                | Stmt::DropIndex { .. }
                | Stmt::DropTrigger { .. }
                | Stmt::AlterTable { .. }
                | Stmt::CreateTable {
                    temporary: false,
                    ..
                }
                | Stmt::CreateTrigger {
                    temporary: false,
                    ..
                }
                | Stmt::CreateView {
                    temporary: false,
                    ..
                }
        )
    )
}

#[test]
fn the_store_conforms_with_its_statements_as_a_libsql_server_prints_them() {
    block_on(exercise(|| {
        AsPrinted(Memory::with_clock(&Clock::at(1_800_000_000_000)))
    }));
}
