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
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let file = Path::new(&file);
        let is_open = file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0);
        if is_open && let Err(error) = set_permissions(file, Permissions::from_mode(MODE)) {
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
        files(directory).map(|file| {
            let metadata = std::fs::metadata(file).unwrap();
            metadata.permissions().mode() & 0o777
        })
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

    #[test]
    fn what_can_not_be_opened_is_named_by_sqlite() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/test.db");
        let error = Database::open(&path, Options::default()).err().unwrap();
        assert!(error.to_string().contains("unable to open"), "{error}");
    }
}
