//! `trawl accounts`: who has an account, and a new password for whoever forgot it. It works on the database itself, so whoever may
//! write the file may do all this; a host that runs on it sees the change at its next statement.

mod list;
mod password;
mod place;

use std::process::ExitCode;

use crate::cli::Accounts;

/// Does what the command says.
///
/// # Errors
/// One line that says what to do.
pub(crate) async fn run(command: Accounts) -> anyhow::Result<ExitCode> {
    match command {
        Accounts::List(options) => list::run(&options).await,
        Accounts::ResetPassword(options) => password::run(&options).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
