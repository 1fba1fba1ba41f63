//! The database that an operator names. None is made, and one that is not of trawl is left as it is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::bail;
use trawl_sqlite::{Database, Options};
use trawl_store::StoreError;

use crate::application::DATABASE;
use crate::cli::DatabasePlace;
use crate::own_statements::Connection;

/// An open database, and what it is called when something is wrong with it.
pub(super) struct Opened {
    database: Database,
    file: PathBuf,
}

impl Opened {
    /// Opens what is there. It stays as it was found ([`Options::as_found`]): a host runs on it, or Spin, or it is another application's
    /// and was named by mistake.
    ///
    /// Root may do this to the database of a service that has a user of its own: what SQLite makes beside a file, it gives to the file's
    /// owner (a test of trawl-sqlite sees to it).
    ///
    /// # Errors
    /// There is none, or it may not be opened.
    pub(super) fn at(place: &DatabasePlace) -> anyhow::Result<Self> {
        let file = match &place.database {
            Some(file) => file.clone(),
            None => place.state_dir.join(DATABASE),
        };
        must_be_there(&file)?;
        let options = Options {
            as_found: true,
            readers: 1,
            ..Options::default()
        };
        match Database::open(&file, options) {
            Ok(database) => Ok(Self { database, file }),
            Err(error) => Err(unusable(&file, &error.to_string())),
        }
    }

    /// What it is called.
    pub(super) fn name(&self) -> std::path::Display<'_> {
        self.file.display()
    }

    /// A connection for the statements of the store.
    pub(super) fn connection(&self) -> Connection {
        Connection::to(&self.database)
    }

    /// What an error of the store means to the operator.
    pub(super) fn told(&self, error: StoreError) -> anyhow::Error {
        match error {
            StoreError::Unavailable(text) | StoreError::Corrupt(text) | StoreError::Sql(text) => {
                unusable(&self.file, &text)
            }
            migrating @ StoreError::Migrating => unusable(&self.file, &migrating.to_string()),
        }
    }

    /// Waits until it is closed; what SQLite keeps beside the file goes with whoever closes it last.
    pub(super) async fn close(self) {
        self.database.close().await;
    }
}

/// Opening it would tell of a file that is missing as of one that may not be read.
fn must_be_there(file: &Path) -> anyhow::Result<()> {
    let name = file.display();
    match std::fs::metadata(file) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => bail!("{name} is no file: name the database's file with --database"),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            bail!(
                "there is no database {name}: name its directory with --state-dir, or its file with --database"
            )
        }
        Err(error) => Err(unusable(file, &error.to_string())),
    }
}

/// What to do about a database that does not answer.
fn unusable(file: &Path, text: &str) -> anyhow::Error {
    let name = file.display();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["malformed", "not a database"]) {
        anyhow::anyhow!(
            "{name} is damaged, or no database: restore a backup in its place, as the README says, or name another one with --state-dir or --database ({text})"
        )
    } else if has(&["no such table", "no such column"]) {
        anyhow::anyhow!(
            "{name} holds no accounts of trawl: name the right database with --state-dir or --database; a new one holds them after its first request ({text})"
        )
    } else if has(&["unable to open", "ermission denied", "readonly"]) {
        anyhow::anyhow!("can't use the database {name}: run this as its owner or as root ({text})")
    } else {
        anyhow::anyhow!("the database {name} can't be used now: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state_dir: &Path, database: Option<&Path>) -> anyhow::Result<Opened> {
        Opened::at(&DatabasePlace {
            state_dir: state_dir.to_owned(),
            database: database.map(Path::to_owned),
        })
    }

    #[test]
    fn none_is_made_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spin.db");
        for (state, database) in [
            (folder.path(), None),
            (&*folder.path().join("nowhere"), None),
            (folder.path(), Some(&*file)),
            (folder.path(), Some(&*file.join("below"))),
        ] {
            let told = at(state, database).err().unwrap().to_string();
            assert!(told.starts_with("there is no database "), "{told}");
            for word in ["--state-dir", "--database"] {
                assert!(told.contains(word), "{told}");
            }
        }
        let told = at(folder.path(), Some(folder.path())).err().unwrap();
        assert!(told.to_string().contains("is no file"), "{told}");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "nothing was made");
    }

    #[test]
    fn what_is_wrong_with_it_is_told_apart() {
        let file = Path::new("x.db");
        let told = |text| unusable(file, text).to_string();
        for (text, words) in [
            ("no such table: accounts", "the right database"),
            ("file is not a database", "restore a backup"),
            ("database disk image is malformed", "restore a backup"),
            ("unable to open database file", "as root"),
            ("Permission denied (os error 13)", "as root"),
            ("attempt to write a readonly database", "as root"),
            ("database is locked", "can't be used now"),
        ] {
            let told = told(text);
            assert!(told.contains(words) && told.contains("x.db"), "{told}");
            assert!(told.contains(text), "{told}");
        }
    }
}
