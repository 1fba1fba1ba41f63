//! `trawl accounts list`

use std::io::Write as _;

use serde::Serialize;
use trawl_core::ids::AccountId;
use trawl_core::limits::account::LISTED_AT_ONCE;
use trawl_store::{ListedAccount, Store};
use trawl_wire::Timestamp;

use super::place::Opened;
use crate::cli::ListAccounts;
use crate::output::goes_on;

/// An account as `--json` shows it.
#[derive(Serialize)]
struct Line<'a> {
    id: AccountId,
    email: &'a str,
    date_added: Timestamp,
    api_keys: u64,
    unfinished: u64,
}

/// Prints all accounts, those that were made first before the others.
///
/// # Errors
/// The database can't be read, or the list not be written.
pub(super) async fn run(options: &ListAccounts) -> anyhow::Result<()> {
    let opened = Opened::at(&options.place)?;
    let connection = opened.connection();
    let store = Store::new(&connection);
    let mut after = AccountId(0);
    loop {
        let page = store.accounts(after, LISTED_AT_ONCE).await;
        let page = page.map_err(|error| opened.told(error))?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.id;
        if !goes_on(print(&page, options.json))? {
            break;
        }
    }
    opened.close().await;
    Ok(())
}

fn print(page: &[ListedAccount], as_json: bool) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for account in page {
        let line = if as_json {
            json(account)?
        } else {
            plain(account)
        };
        writeln!(out, "{line}")?;
    }
    out.flush()
}

fn json(account: &ListedAccount) -> serde_json::Result<String> {
    serde_json::to_string(&Line {
        id: account.id,
        email: &account.email,
        date_added: Timestamp(account.created_ms),
        api_keys: account.keys,
        unfinished: account.unfinished,
    })
}

/// In columns, as long as addresses are no longer than most.
fn plain(account: &ListedAccount) -> String {
    format!(
        "{:>6}  {:<32}  {}  API keys {:>3}  unfinished {:>7}",
        account.id,
        account.email,
        Timestamp(account.created_ms),
        account.keys,
        account.unfinished
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_one_line() {
        let account = ListedAccount {
            id: AccountId(7),
            email: "me@example.org".into(),
            created_ms: 1_795_471_500_123,
            keys: 2,
            unfinished: 1_234,
        };
        assert_eq!(
            json(&account).unwrap(),
            r#"{"id":7,"email":"me@example.org","date_added":"2026-11-23T22:05:00.123Z","api_keys":2,"unfinished":1234}"#
        );
        let words: Vec<_> = plain(&account)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        assert_eq!(
            words.join(" "),
            "7 me@example.org 2026-11-23T22:05:00.123Z API keys 2 unfinished 1234"
        );
    }
}
