//! What a host can't do without. A process in which a part of it has panicked looks well from outside and does half of its work,
//! for ever; so it ends, and whoever supervises it starts a whole one.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use trawl_sqlite::Database;

use crate::doorbell::Doorbell;
use crate::stop::Stop;

/// Watches the tasks and the database's threads until the end is asked for. When one of them has panicked the end is asked for
/// here, and the outcome is false. The tasks end with this, once all that was heard from elsewhere is passed on.
pub(crate) async fn watch(
    mut tasks: JoinSet<()>,
    doorbell: Arc<Doorbell>,
    database: Database,
    stop: Stop,
) -> bool {
    let what = loop {
        tokio::select! {
            biased;
            () = stop.asked() => {
                while doorbell.is_listening() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                return true;
            }
            () = database.broken() => break "a thread of the database",
            ended = tasks.join_next(), if !tasks.is_empty() => {
                if ended.is_some_and(|ended| ended.is_err_and(|error| error.is_panic())) {
                    break "a task of the host";
                }
            }
        }
    };
    tracing::error!("{what} has panicked: this process ends, to be started again as a whole");
    stop.ask();
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::doorbell::Wire;

    fn database() -> (tempfile::TempDir, Database) {
        let directory = tempfile::tempdir().unwrap();
        let options = trawl_sqlite::Options::default();
        let database = Database::open(&directory.path().join("test.db"), options).unwrap();
        (directory, database)
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_the_host_and_one_that_is_done_does_not() {
        let ((_directory, database), stop) = (database(), Stop::new());
        let doorbell = Arc::new(Doorbell::new(Wire::Embedded, &[], &BTreeMap::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        tasks.spawn(async { panic!("as a defect of the host would") });
        assert!(!watch(tasks, doorbell, database, stop.clone()).await);
        stop.asked().await;
    }

    #[tokio::test]
    async fn a_host_that_is_told_to_end_is_whole() {
        let ((_directory, database), stop) = (database(), Stop::new());
        let doorbell = Arc::new(Doorbell::new(Wire::Embedded, &[], &BTreeMap::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending());
        let watching = tokio::spawn(watch(tasks, doorbell, database, stop.clone()));
        stop.ask();
        assert!(watching.await.unwrap());
    }
}
