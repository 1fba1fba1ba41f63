//! What we are compared with, measured in the same run on the same machine.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Plain SQLite, WAL and FULL, one commit for each row or for each hundred: rows per second.
pub(crate) fn raw_sqlite(rows_per_commit: usize, seconds: f64) -> anyhow::Result<f64> {
    let directory = tempfile::tempdir()?;
    let database = rusqlite::Connection::open(directory.path().join("raw.db"))?;
    database.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE job (id INTEGER PRIMARY KEY, url TEXT, state TEXT, added INTEGER)")?;
    let started = Instant::now();
    let mut rows = 0_usize;
    while started.elapsed().as_secs_f64() < seconds {
        database.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..rows_per_commit {
            let mut insert = database
                .prepare_cached("INSERT INTO job (url, state, added) VALUES (?1, 'queued', ?2)")?;
            insert.execute((format!("https://example.org/{rows}"), rows as i64))?;
            rows += 1;
        }
        database.execute_batch("COMMIT")?;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

/// An nginx that returns a constant, on a port of its own.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// Starts nginx; `None` when it is not on PATH.
    pub(crate) fn start() -> anyhow::Result<Option<Self>> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let directory = tempfile::tempdir()?;
        let configuration = format!(
            "daemon off; worker_processes 2; pid {0}/pid; error_log {0}/error.log;\nevents {{ worker_connections 2048; }}\nhttp {{ access_log off; keepalive_requests 1000000; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }} }}\n",
            directory.path().display()
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let command = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(directory.path().join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Ok(command.ok().map(|child| Self {
            child,
            port,
            _directory: directory,
        }))
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        trawl_kit::host::signal(self.child.id(), 15);
        let _ = self.child.wait();
    }
}

/// Whether a peer is on PATH.
pub(crate) fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}
