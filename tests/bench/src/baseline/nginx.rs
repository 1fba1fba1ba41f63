//! nginx, answering a constant or standing in front of servers.

use std::process::{Command, Stdio};

use crate::process::{Process, free_port};

/// An nginx that returns a constant; `None` when nginx is not on PATH.
pub(crate) fn nginx() -> anyhow::Result<Option<Process>> {
    started("", "return 200 'hello';")
}

/// An nginx in front of the servers at these addresses, set up as a careful operator would: round robin over kept-alive
/// connections, as many as ours keeps.
pub(crate) fn nginx_proxy(servers: &[String]) -> anyhow::Result<Option<Process>> {
    let servers: String = servers
        .iter()
        .map(|address| format!("server {address};"))
        .collect();
    let upstream =
        format!("upstream replicas {{ {servers} keepalive 256; keepalive_requests 1000000; }}");
    let location = "proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;";
    started(&upstream, location)
}

/// Starts it on a port of its own, with `extra` beside the server and `location` for every path.
fn started(extra: &str, location: &str) -> anyhow::Result<Option<Process>> {
    let (port, directory) = (free_port()?, tempfile::tempdir()?);
    let configuration = format!(
        "daemon off; worker_processes 2; pid {0}/pid; error_log {0}/error.log;\nevents {{ worker_connections 2048; }}\nhttp {{ access_log off; keepalive_requests 1000000; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n {extra}\n server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n",
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
