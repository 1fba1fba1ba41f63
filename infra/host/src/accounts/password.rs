//! `trawl accounts reset-password`

use std::io::{BufRead, Write as _};

use anyhow::{Context as _, bail};
use trawl_core::limits::account::{PASSWORD_BYTES_MAX, TOKEN_LIFE_S};
use trawl_core::password_hash;
use trawl_core::password_policy::{self, PasswordError};
use trawl_core::throttle::name_key;
use trawl_store::Store;

use super::place::Opened;
use crate::cli::{ResetPassword, WrongArgument};
use crate::random;

/// Random bytes of a password that is made: nobody guesses one of 2^128, and it can still be typed.
const MADE_BYTES: usize = 16;

/// What was done.
struct Done {
    /// How many API keys were deleted, when they were to be.
    keys: Option<usize>,
}

/// Gives an account another password, and prints it when it was made here.
///
/// # Errors
/// The password is too weak, nobody has the address, or the database can't be written.
pub(super) async fn run(options: &ResetPassword) -> anyhow::Result<()> {
    let given = options.password_stdin.then(read).transpose()?;
    let password = match &given {
        Some(given) => given.clone(),
        None => random::hex::<MADE_BYTES>()?,
    };
    check(&password, &options.email.key)?;
    let opened = Opened::at(&options.place)?;
    let done = reset(&opened, options, &password).await?;
    let told = told(&options.email.address, &opened.name().to_string(), &done);
    opened.close().await;
    if given.is_none() {
        // Last of all: one that is printed can be used. It is kept nowhere else, so that it matters when nobody reads it.
        writeln!(std::io::stdout(), "{password}")
            .context("the new password can't be written; run this again for another one")?;
    }
    // Whoever reads it may have gone.
    let _ = writeln!(std::io::stderr(), "{told}");
    Ok(())
}

/// Three statements, any number of which may have been done when this is killed or the database fails: nothing is printed then, and
/// whoever runs it again finds all of them to be done.
///
/// The password goes first: who knows the old one could log in between and make another key. The failures go last: as long as the old
/// password counts, they keep others from guessing it.
async fn reset(opened: &Opened, options: &ResetPassword, password: &str) -> anyhow::Result<Done> {
    let hash = password_hash::hash(password, &random::bytes()?)?;
    let connection = opened.connection();
    let store = Store::new(&connection);
    let key = &options.email.key;
    let reset = store.reset_password(key, &hash).await;
    let Some(account) = reset.map_err(|error| opened.told(error))? else {
        bail!(
            "nobody has an account with the address {}; `trawl accounts list` shows all",
            options.email.address
        );
    };
    let again = "the password is another one by now, and not all else is done; run this again";
    let keys = if options.delete_keys {
        let deleted = store.delete_keys(account).await;
        Some(deleted.map_err(|error| opened.told(error).context(again))?)
    } else {
        None
    };
    let forgotten = store.login_succeeded(&name_key(key)).await;
    forgotten.map_err(|error| opened.told(error).context(again))?;
    Ok(Done { keys })
}

/// The first line of standard input.
fn read() -> anyhow::Result<String> {
    first_line(std::io::stdin().lock())
}

/// No more of it is read than a password may have: what is longer is refused, whatever it is.
fn first_line(input: impl BufRead) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    // With room for the end of the line, and one byte that is too many.
    let most = PASSWORD_BYTES_MAX as u64 + 3;
    input
        .take(most)
        .read_until(b'\n', &mut bytes)
        .context("standard input can't be read")?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > PASSWORD_BYTES_MAX {
        return Err(refused(PasswordError::TooLong));
    }
    let line = std::str::from_utf8(line).map_err(|_| {
        WrongArgument("--password-stdin: the first line is not UTF-8; write another".to_owned())
    })?;
    Ok(line.to_owned())
}

/// The rules of registration.
fn check(password: &str, email_key: &str) -> anyhow::Result<()> {
    password_policy::check(password, email_key).map_err(refused)
}

fn refused(error: PasswordError) -> anyhow::Error {
    WrongArgument(format!("--password-stdin: {error}")).into()
}

/// What the operator has to know beside the password.
fn told(address: &str, database: &str, done: &Done) -> String {
    let minutes = TOKEN_LIFE_S / 60;
    let keys = match done.keys {
        Some(count) => format!("API keys deleted: {count}"),
        None => "its API keys stay, as long as nobody says --delete-keys".to_owned(),
    };
    let tokens = format!("access tokens that are out already last {minutes} minutes at most");
    let later = match done.keys {
        // A token that was stolen outlives this.
        Some(_) => ", in which they can make new keys: look at GET /keys after that",
        None => "",
    };
    format!("{address} has a new password in {database}; {keys}; {tokens}{later}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_2(error: &anyhow::Error) -> String {
        assert!(error.is::<WrongArgument>(), "{error}");
        error.to_string()
    }

    #[test]
    fn a_password_is_the_first_line_as_it_stands() {
        let line = |text: &str| first_line(text.as_bytes()).unwrap();
        for text in [
            "two words ",
            "two words \n",
            "two words \r\n",
            "two words \nx",
        ] {
            assert_eq!(line(text), "two words ");
        }
        assert_eq!(line(""), "");
        let longest = "é".repeat(PASSWORD_BYTES_MAX / 2);
        assert_eq!(line(&format!("{longest}\r\n")), longest);
        for too_long in ["é".repeat(PASSWORD_BYTES_MAX), format!("{longest}x\n")] {
            let error = first_line(too_long.as_bytes()).unwrap_err();
            assert!(status_2(&error).contains("at most"), "{error}");
        }
        let error = first_line(&b"\xff\n"[..]).unwrap_err();
        assert!(status_2(&error).contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_weak_password_is_refused_with_what_to_do() {
        let error = check("too short", "me@example.org").unwrap_err();
        let told = status_2(&error);
        assert!(told.contains("at least 15 characters"), "{told}");
        assert!(told.starts_with("--password-stdin: "), "{told}");
        let made = random::hex::<MADE_BYTES>().unwrap();
        check(&made, "me@example.org").unwrap();
    }

    #[test]
    fn what_outlives_it_is_told() {
        let kept = told("me@example.org", ".trawl/trawl.db", &Done { keys: None });
        assert!(
            kept.contains("15 minutes")
                && kept.contains("--delete-keys")
                && kept.contains("trawl.db")
        );
        let deleted = told("me@example.org", "a.db", &Done { keys: Some(2) });
        assert!(deleted.contains("15 minutes") && deleted.contains("API keys deleted: 2"));
        assert!(deleted.contains("GET /keys"), "{deleted}");
    }
}
