//! An nginx that returns a constant.

use std::process::{Command, Stdio};

use crate::process::{Process, free_port};

/// Starts it on a port of its own; `None` when nginx is not on PATH.
pub(crate) fn nginx() -> anyhow::Result<Option<Process>> {
    let (port, directory) = (free_port()?, tempfile::tempdir()?);
    let configuration = format!(
        "daemon off; worker_processes 2; pid {0}/pid; error_log {0}/error.log;\nevents {{ worker_connections 2048; }}\nhttp {{ access_log off; keepalive_requests 1000000; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }} }}\n",
        directory.path().display()
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let mut command = Command::new("nginx");
    command
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(directory.path().join("error.log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(Process::start(command, port, directory))
}
