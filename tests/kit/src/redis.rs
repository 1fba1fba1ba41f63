//! A real `redis-server` of the test's own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::eventually;

/// A running `redis-server`, killed on drop.
pub struct RedisServer {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl RedisServer {
    /// Starts a server with nothing in it on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// With a sentence when `redis-server` is not installed or does not come up.
    pub async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let server = Self {
            child: spawn(port, directory.path()),
            port,
            directory,
        };
        server.wait_until_up().await;
        server
    }

    /// `redis://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server with SIGKILL; what was not written to disk is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the server again on the same port, after [`Self::kill`].
    pub async fn restart(&mut self) {
        self.child = spawn(self.port, self.directory.path());
        self.wait_until_up().await;
    }

    /// Sends one command and gives back the raw RESP answer (up to 64 KiB).
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn command(&self, words: &[&[u8]]) -> anyhow::Result<Vec<u8>> {
        command_at(&self.url(), words).await
    }

    /// Publishes a message; an empty one is a ring.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn publish(&self, channel: &str, payload: &[u8]) -> anyhow::Result<()> {
        self.command(&[b"PUBLISH", channel.as_bytes(), payload])
            .await
            .map(drop)
    }

    /// Sends one command whose answer is a number.
    ///
    /// # Errors
    /// When the server is gone, or answers otherwise.
    pub async fn number(&self, words: &[&[u8]]) -> anyhow::Result<i64> {
        let answer = self.command(words).await?;
        let text = String::from_utf8_lossy(&answer);
        text.strip_prefix(':')
            .and_then(|number| number.trim_end().parse().ok())
            .with_context(|| format!("not a number: {text}"))
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port was free a moment ago: another test's server may have it by now, and must not be taken for this one. A server that
    /// is still reading what it wrote to disk tells who it is, and answers everything else with an error.
    async fn wait_until_up(&self) {
        let own = format!("process_id:{}\r\n", self.pid());
        eventually(
            "this redis-server answers on its port",
            Duration::from_secs(10),
            || async {
                let info = self.command(&[b"INFO", b"server"]).await.ok()?;
                let is_own = String::from_utf8_lossy(&info).contains(&own);
                let has_read_all = self.number(&[b"DBSIZE"]).await.is_ok();
                (is_own && has_read_all).then_some(())
            },
        )
        .await;
    }
}

/// Sends one command to the server at `redis://[user:password@]host:port` and gives back the raw RESP answer (up to 64 KiB).
///
/// # Errors
/// When the server can't be reached or breaks off.
pub async fn command_at(url: &str, words: &[&[u8]]) -> anyhow::Result<Vec<u8>> {
    let (_, rest) = url.split_once("://").context("no redis:// address")?;
    let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
    let mut stream = tokio::net::TcpStream::connect(address.trim_end_matches('/')).await?;
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    stream.write_all(&request).await?;
    let mut answer = vec![0; 65536];
    let n = stream.read(&mut answer).await?;
    answer.truncate(n);
    Ok(answer)
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, directory: &std::path::Path) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])
        .arg("--dir")
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tests start redis-server: install it (Debian: apt-get install redis-server)")
}
