//! The database: its threads, and the way to them.

use crate::class::Classes;
use crate::damage::Damage;
use crate::log::Log;
use crate::place::{Place, beside};
use crate::queue::{Queue, Taker, Takers};
use crate::reader::Read;
use crate::session::{Role, Session};
use crate::stats::Counters;
use crate::writer::{Job, Writer};
use crate::{Connection, Options, SqliteError, Stats};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use trawl_core::limits::sqlite::{READS_WAITING_MAX, WRITE_BYTES_WAITING_MAX, WRITES_WAITING_MAX};

/// One database file. Cheap to clone; a clone shares the threads.
///
/// When the last clone and the last [`Connection`] are gone, what waits is still written, and the threads end.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

/// What every handle shares. The threads hold the queues, not this, so that dropping it ends them.
pub(crate) struct Shared {
    pub(crate) classes: Classes,
    pub(crate) reads: Arc<Queue<Read>>,
    pub(crate) writes: Arc<Queue<Job>>,
    counters: Arc<Counters>,
    damage: Arc<Damage>,
    path: PathBuf,
    wal_path: PathBuf,
    /// Comes when all connections are closed.
    closed: Mutex<Option<oneshot::Receiver<()>>>,
    broken: Arc<watch::Sender<bool>>,
}

impl Database {
    /// Opens the file, creating it if need be, and starts the threads. Only the file's owner may read it from then on. With
    /// [`Options::as_found`] it is neither made nor closed to others.
    ///
    /// # Errors
    /// When the file can't be opened, is no database, or another process keeps it locked.
    pub fn open(path: &Path, options: Options) -> Result<Self, SqliteError> {
        let reads = Arc::new(Queue::new(READS_WAITING_MAX, usize::MAX));
        let writes = Arc::new(Queue::new(WRITES_WAITING_MAX, WRITE_BYTES_WAITING_MAX));
        let counters = Arc::new(Counters::default());
        let damage = Arc::new(Damage::of(path, options.as_found));
        if !options.as_found {
            crate::private::make(path);
        }
        // The writer first: it turns the log on.
        let session = Session::open(path, Role::Writer, &options, &damage)?;
        let place = Place::of(path);
        let readers = (0..options.readers.max(1))
            .map(|_| Session::open(path, Role::Reader, &options, &damage))
            .collect::<Result<Vec<_>, _>>()?;
        let broken = Arc::new(watch::Sender::new(false));
        let reading = Takers::new(&reads, &broken);
        // All of them join before one can end.
        let readers: Vec<_> = readers
            .into_iter()
            .map(|session| (session, reading.join()))
            .collect();
        let mut threads = Vec::new();
        for (session, taker) in readers {
            let (reads, counters) = (Arc::clone(&reads), Arc::clone(&counters));
            threads.push(spawn_reader(session, taker, reads, counters)?);
        }
        let wal_path = beside(path, "-wal");
        let writer = Writer {
            session,
            place,
            syncs: true,
            queue: Arc::clone(&writes),
            counters: Arc::clone(&counters),
            log: Log::new(&wal_path, &options),
            options,
            backlog: VecDeque::new(),
            expected: 0,
            commit_time: Duration::ZERO,
        };
        let closed = spawn_writer(writer, Takers::new(&writes, &broken).join(), threads)?;
        let shared = Shared {
            classes: Classes::default(),
            reads,
            writes,
            counters,
            damage,
            path: path.to_owned(),
            wal_path,
            closed: Mutex::new(Some(closed)),
            broken,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A connection of its own for one guest: explicit transactions belong to it. Costs next to nothing.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection::new(Arc::clone(&self.shared))
    }

    /// What was done so far and waits now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            reads_waiting: self.shared.reads.waiting(),
            writes_waiting: self.shared.writes.waiting(),
            is_damaged: self.shared.damage.is_found(),
            file_bytes: crate::log::size(&self.shared.path),
            wal_bytes: crate::log::size(&self.shared.wal_path),
            ..self.shared.counters.snapshot()
        }
    }

    /// Comes back when one of the threads has panicked, and never otherwise. What is left may serve on, but only a new process
    /// is whole again.
    pub async fn broken(&self) {
        let mut broken = self.shared.broken.subscribe();
        if broken.wait_for(|is_broken| *is_broken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks all threads to free the pages and statements that they keep in memory. Each does so after its next statement.
    pub fn release_memory(&self) {
        self.shared.counters.release_memory();
    }

    /// Takes no more statements, finishes those that wait, folds the log into the file, and closes it. Other clones find the database
    /// closed.
    pub async fn close(self) {
        self.shared.reads.close();
        self.shared.writes.close();
        let closed = self
            .shared
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(closed) = closed {
            // An error only says that the thread ended without a word; it ended.
            let _ = closed.await;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

fn spawn_reader(
    session: Session,
    taker: Taker<Read>,
    queue: Arc<Queue<Read>>,
    counters: Arc<Counters>,
) -> Result<JoinHandle<()>, SqliteError> {
    spawn("sqlite-reader", move || {
        let _taker = taker;
        crate::reader::serve(&session, &queue, &counters);
    })
}

/// The writer's connection is closed after those of the readers: of two that are closed at once, SQLite takes neither for the last one,
/// and leaves the log beside the file.
fn spawn_writer(
    mut writer: Writer,
    taker: Taker<Job>,
    readers: Vec<JoinHandle<()>>,
) -> Result<oneshot::Receiver<()>, SqliteError> {
    let (end, closed) = oneshot::channel();
    spawn("sqlite-writer", move || {
        let _taker = taker;
        writer.serve();
        for reader in readers {
            // One that panicked has closed its connection too.
            let _ = reader.join();
        }
        drop(writer);
        let _ = end.send(());
    })?;
    Ok(closed)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, SqliteError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread
        .spawn(work)
        .map_err(|error| SqliteError::Io(format!("can't start a thread: {error}")))
}
