//! The mode of the files: only their owner may read them.

use std::path::Path;

/// Pages and addresses of others lie in the database. SQLite would let everybody read it; to its log and the log's index it
/// gives the mode of the file. So the file is made here, and one that an older version made is closed to others, with what
/// lies beside it.
///
/// What fails here is left to SQLite, which says it better: a directory that is missing, or that can't be written. A file of
/// another owner stays as that one has it.
#[cfg(unix)]
pub(crate) fn make(path: &Path) {
    use std::fs::{OpenOptions, Permissions, set_permissions};
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    const MODE: u32 = 0o600;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path);
    if made.is_ok() {
        return;
    }
    for ending in ["", "-wal", "-shm"] {
        let file = crate::place::beside(path, ending);
        let is_open = file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0);
        if is_open && let Err(error) = set_permissions(&file, Permissions::from_mode(MODE)) {
            tracing::warn!(file = %file.display(), %error, "others can read the database");
        }
    }
}

/// There are no modes here.
#[cfg(not(unix))]
pub(crate) fn make(_: &Path) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use crate::{Connection, Database, Options};
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    /// The database, its log and the log's index.
    fn files(directory: &Path) -> [PathBuf; 3] {
        ["test.db", "test.db-wal", "test.db-shm"].map(|name| directory.join(name))
    }

    fn modes(directory: &Path) -> [u32; 3] {
        files(directory).map(|file| mode(&file))
    }

    fn mode(file: &Path) -> u32 {
        std::fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    async fn run(connection: &Connection, sql: &str) {
        connection.execute(sql, vec![]).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_but_its_owner_can_read_a_database() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let first = Database::open(&path, Options::default()).unwrap();
        run(&first.connection(), "CREATE TABLE t (v)").await;
        assert_eq!(modes(directory.path()), [0o600; 3]);
        // As an older version made them.
        for file in files(directory.path()) {
            set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        let second = Database::open(&path, Options::default()).unwrap();
        run(&second.connection(), "INSERT INTO t VALUES (1)").await;
        assert_eq!(modes(directory.path()), [0o600; 3]);
    }

    fn as_found() -> Options {
        Options {
            as_found: true,
            ..Options::default()
        }
    }

    #[tokio::test]
    async fn what_was_found_stays_as_it_is_but_for_its_rows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let missing = Database::open(&path, as_found()).err().unwrap();
        assert!(missing.to_string().contains("unable to open"), "{missing}");
        assert!(!path.exists(), "it is not made");
        // As another program makes one: readable to all, and with a rollback journal.
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (v)").unwrap();
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let found = Database::open(&path, as_found()).unwrap();
        run(&found.connection(), "INSERT INTO t VALUES (1)").await;
        found.close().await;
        let rows = other.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows, Ok(1));
        let journal = other.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!(journal.as_deref(), Ok("delete"));
        assert_eq!(mode(&path), 0o644);
    }

    /// An operator works as root on the database of a service that has a user of its own. A log that only root could write would stop
    /// the service. SQLite gives what it makes to the owner of the database, where it may.
    #[tokio::test]
    async fn what_root_makes_beside_a_database_belongs_to_its_owner() {
        use std::os::unix::fs::{MetadataExt as _, chown};

        const NOBODY: u32 = 65_534;
        let directory = tempfile::tempdir().unwrap();
        let [path, ..] = files(directory.path());
        let first = Database::open(&path, Options::default()).unwrap();
        run(&first.connection(), "CREATE TABLE t (v)").await;
        first.close().await;
        if chown(&path, Some(NOBODY), Some(NOBODY)).is_err() {
            // Only root gives files away: nothing to be seen here.
            return;
        }
        for options in [as_found(), Options::default()] {
            let left = std::fs::read_dir(directory.path()).unwrap().count();
            assert_eq!(left, 1, "who closes last takes them away");
            let database = Database::open(&path, options).unwrap();
            run(&database.connection(), "INSERT INTO t VALUES (1)").await;
            let owners = files(directory.path()).map(|file| {
                let found = std::fs::metadata(file).unwrap();
                (found.uid(), found.gid())
            });
            assert_eq!(owners, [(NOBODY, NOBODY); 3]);
            assert_eq!(modes(directory.path()), [0o600; 3]);
            database.close().await;
        }
    }

    #[test]
    fn what_can_not_be_opened_is_named_by_sqlite() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/test.db");
        let error = Database::open(&path, Options::default()).err().unwrap();
        assert!(error.to_string().contains("unable to open"), "{error}");
    }
}
