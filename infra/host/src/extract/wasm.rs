//! The extraction as the service does it: a message is accepted, the doorbell calls the scraper's component, and the result
//! is asked for. The file stands in the place of the web, and a directory that is thrown away in that of the state.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser as _;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use trawl_balance::{LocalBackend, LocalReplicas as _, ReplicaConfig, body};
use trawl_core::limits::scrape::LEASE_S;

use super::Page;
use crate::application::Application;
use crate::cli::{Cli, Command, Extract, Up};
use crate::doorbell::ticker;
use crate::part::PageOnFile;
use crate::replicas::Locals;
use crate::stop::Stop;

/// Pause between two looks at the message.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The account that sends the message.
const EMAIL: &str = "extract@page.example";

/// The result of the component for this page.
///
/// # Errors
/// What a user of the service would be told, or why it can't be started.
pub(super) fn extract(options: &Extract, page: Page<'_>) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(through_the_service(options, page));
    runtime.shutdown_background();
    result
}

async fn through_the_service(options: &Extract, page: Page<'_>) -> anyhow::Result<Value> {
    let state = tempfile::tempdir().context("can't make a temporary directory")?;
    let up = up(options, state.path())?;
    let stop = Stop::new();
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut application = Application::load(&up, nowhere, stop.clone())?;
    application.page = Some(Arc::new(PageOnFile {
        content_type: HeaderValue::from_str(page.content_type).context("--content-type")?,
        bytes: Bytes::from(page.bytes),
    }));
    let application = Arc::new(application);
    let locals = Locals {
        application: Arc::clone(&application),
        own: nowhere,
    };
    let replica = locals
        .open(&ReplicaConfig::new("extract", None))
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    tokio::spawn(ticker::run(
        Arc::clone(&application.doorbell),
        None,
        stop.flag(),
    ));
    let mut service = Service {
        replica,
        token: None,
    };
    service.log_in().await?;
    let mode = if page.is_fast { "fast" } else { "best" };
    let wanted = json!({ "request_url": page.url.as_str(), "type": page.kind, "mode": mode });
    let accepted = service.ask("POST", "/receive_data", Some(&wanted)).await?;
    let id = &accepted["data"]["message_id"];
    let result = service.result(&format!("/messages/{id}")).await;
    stop.ask();
    application.database.clone().close().await;
    result
}

/// `trawl up` as this needs it: embedded, with a state of its own, and free to ask for any address, since none is dialled.
fn up(options: &Extract, state: &std::path::Path) -> anyhow::Result<Up> {
    let mut arguments: Vec<std::ffi::OsString> = [
        "trawl",
        "up",
        "--quiet",
        "--variable",
        "robots=off",
        "--from",
    ]
    .map(Into::into)
    .into();
    arguments.push(options.from.clone().into());
    arguments.push("--state-dir".into());
    arguments.push(state.into());
    arguments.push("--code-cache-dir".into());
    arguments.push(options.code_cache_dir.clone().into());
    let Command::Up(mut up) = Cli::try_parse_from(arguments)?.command else {
        anyhow::bail!("the command line of `up` is not as it was");
    };
    up.redis = None;
    up.networks.allow_private = vec!["0.0.0.0/0".parse()?, "::/0".parse()?];
    Ok(*up)
}

/// The service, asked as a node asks it.
struct Service {
    replica: Arc<dyn LocalBackend>,
    token: Option<String>,
}

impl Service {
    async fn log_in(&mut self) -> anyhow::Result<()> {
        let password = format!("{:032x}", rand::random::<u128>());
        self.ask(
            "POST",
            "/users/",
            Some(&json!({ "email": EMAIL, "password": password })),
        )
        .await?;
        let form = format!("username={EMAIL}&password={password}").replace('@', "%40");
        let (_, answer) = self
            .call(
                "POST",
                "/token",
                "application/x-www-form-urlencoded",
                form.into(),
            )
            .await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        self.token = answer["access_token"].as_str().map(ToOwned::to_owned);
        Ok(())
    }

    /// The message's result, as soon as there is one.
    async fn result(&self, message: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(LEASE_S.into());
        loop {
            let shown = self.ask("GET", message, None).await?;
            match shown["status"].as_str() {
                Some("done") => return self.ask("GET", &format!("{message}/result"), None).await,
                Some("failed" | "cancelled") => anyhow::bail!("{}", shown["error"]),
                _ if Instant::now() > deadline => {
                    anyhow::bail!("the component did not come to an end")
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        content: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let content = content.map_or_else(Bytes::new, |content| content.to_string().into());
        let (status, answer) = self.call(method, path, "application/json", content).await?;
        anyhow::ensure!(
            status.is_success(),
            "{method} {path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        kind: &'static str,
        content: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(ACCEPT, "application/json");
        if !content.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answered = Arc::clone(&self.replica)
            .call(request.body(body::full(content))?)
            .await;
        let response = answered.map_err(|error| anyhow::anyhow!("{method} {path}: {error}"))?;
        let (head, body) = response.into_parts();
        let bytes = body
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?
            .to_bytes();
        Ok((head.status, bytes))
    }
}
