//! The account and its token, shared by all connections.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::sync::{Mutex, RwLock};
use url::{Url, form_urlencoded};

use crate::{
    args::Args,
    connection::{Answer, Connection, Silence},
    node::pause_of,
};

/// Tries to register or log in while the server asks for patience.
const TRIES_MAX: u32 = 5;

/// A session.
pub(crate) struct Session {
    url: Url,
    email: String,
    password: String,
    patience: Duration,
    token: RwLock<Token>,
    renewing: Mutex<()>,
}

/// A token with its number, so that of many that were refused at once only the first is renewed.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) header: header::HeaderValue,
    number: u64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
}

#[derive(Deserialize)]
pub(crate) struct ProblemAnswer {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: String,
}

/// The account to use. One that everybody knows the password of must be left on no server, so what is not given is random, and shown.
fn account(args: &Args) -> anyhow::Result<(String, String)> {
    let made = |bytes| random(bytes).map(|random| format!("nodes-{random}"));
    let (email, password) = match (args.email.clone(), args.password.clone()) {
        (Some(email), Some(password)) => return Ok((email, password)),
        (Some(email), None) => (email, made(16)?),
        (None, given) => {
            let email = format!("{}@example.com", made(6)?);
            let password = given.map_or_else(|| made(16), Ok)?;
            (email, password)
        }
    };
    if !args.quiet {
        // What was given is for nobody else to read.
        let shown = args.password.as_ref().map_or(&*password, |_| "as given");
        // Whoever reads it may have gone.
        let _ = writeln!(
            std::io::stderr(),
            "account {email}, password {shown} (--email and --password use another, or this one again)"
        );
    }
    Ok((email, password))
}

/// So many random bytes, in hex.
fn random(bytes: usize) -> anyhow::Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("the system has no random bytes: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Session {
    /// Registers the account if need be, and logs in.
    pub(crate) async fn open(args: &Args) -> anyhow::Result<Self> {
        let (email, password) = account(args)?;
        let session = Self {
            url: args.url.clone(),
            email,
            password,
            patience: Duration::from_secs(args.timeout),
            token: RwLock::new(Token {
                header: header::HeaderValue::from_static(""),
                number: 0,
            }),
            renewing: Mutex::default(),
        };
        session.register().await?;
        let token = session.log_in(0).await?;
        *session.token.write().await = token;
        Ok(session)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) async fn token(&self) -> Token {
        self.token.read().await.clone()
    }

    /// A token newer than the `refused` one.
    pub(crate) async fn renew(&self, refused: &Token) -> anyhow::Result<Token> {
        let _one = self.renewing.lock().await;
        let present = self.token().await;
        if present.number > refused.number {
            return Ok(present);
        }
        let token = self.log_in(present.number).await?;
        *self.token.write().await = token.clone();
        Ok(token)
    }

    async fn register(&self) -> anyhow::Result<()> {
        let body = serde_json::json!({"email": self.email, "password": self.password}).to_string();
        let answer = self.post("/users/", "application/json", body).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let problem = problem(&answer);
        // Somebody was here before: with the same password the log-in succeeds. A closed registration is no obstacle either, nor is
        // a network that has registered too often: the account may be there.
        if matches!(problem.code.as_str(), "email_taken" | "too_many_attempts")
            || answer.status == StatusCode::FORBIDDEN
        {
            return Ok(());
        }
        bail!(
            "{} was not registered: {} {}",
            self.email,
            answer.status,
            problem.detail
        )
    }

    async fn log_in(&self, number: u64) -> anyhow::Result<Token> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "password")
            .append_pair("username", &self.email)
            .append_pair("password", &self.password)
            .finish();
        let answer = self
            .post("/token", "application/x-www-form-urlencoded", form)
            .await?;
        if !answer.status.is_success() {
            bail!(
                "{} could not log in: {} {}",
                self.email,
                answer.status,
                problem(&answer).detail
            );
        }
        let Ok(token) = serde_json::from_slice::<TokenAnswer>(&answer.body) else {
            bail!(
                "what answers at {} is not trawl: its log-in gives no token; name another address with --url",
                self.url
            );
        };
        Ok(Token {
            header: header::HeaderValue::try_from(format!("Bearer {}", token.access_token))
                .context("the token is not one")?,
            number: number + 1,
        })
    }

    async fn post(&self, path: &str, content_type: &str, body: String) -> anyhow::Result<Answer> {
        let mut connection = Connection::new(&self.url, self.patience);
        for _ in 1..TRIES_MAX {
            let answer = self
                .post_once(&mut connection, path, content_type, body.clone())
                .await?;
            let Some(pause) = pause_of(&answer) else {
                return Ok(answer);
            };
            // Whoever asks for more patience than that would be asked again in vain.
            if answer.retry_after.is_some_and(|asked| asked > pause) {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
        }
        self.post_once(&mut connection, path, content_type, body)
            .await
    }

    async fn post_once(
        &self,
        connection: &mut Connection,
        path: &str,
        content_type: &str,
        body: String,
    ) -> anyhow::Result<Answer> {
        let request = request(&self.url, path)
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::from(body))?;
        match connection.send(request).await {
            Ok(answer) => Ok(answer),
            Err(Silence::Refused) => {
                bail!(
                    "nothing answers at {}: start it with `trawl up`, or name it with --url",
                    self.url
                )
            }
            Err(Silence::OutOfFiles) => bail!(
                "no connection can be opened to {}: {}",
                self.url,
                Silence::OutOfFiles.name()
            ),
            Err(silence) => bail!("{} does not answer: {}", self.url, silence.name()),
        }
    }
}

/// A POST to `path` at the server.
pub(crate) fn request(url: &Url, path: &str) -> http::request::Builder {
    let authority = url.authority();
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, authority)
        .header(
            header::USER_AGENT,
            concat!("trawl-nodes/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "application/json")
}

/// The body as the server's explanation, as far as it is one.
pub(crate) fn problem(answer: &Answer) -> ProblemAnswer {
    serde_json::from_slice(&answer.body).unwrap_or(ProblemAnswer {
        code: String::new(),
        detail: String::new(),
    })
}

/// A body that can be sent again.
pub(crate) fn body(bytes: &Bytes) -> Full<Bytes> {
    Full::new(bytes.clone())
}
