//! A node's view of trawl: register, log in, post, look.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::eventually;
use crate::http_client::{Answer, HttpClient};

/// A logged-in node.
#[derive(Clone)]
pub struct Node {
    /// The client it uses.
    pub http: HttpClient,
    /// `http://127.0.0.1:PORT` of the service.
    pub base: String,
    /// Its bearer token.
    pub token: String,
    /// Its e-mail.
    pub email: String,
}

/// The password of every node in the tests; long enough for the policy.
pub const PASSWORD: &str = "correct horse battery staple";

impl Node {
    /// Registers `email` (an existing account is fine) and logs in.
    pub async fn log_in(base: &str, email: &str) -> Self {
        let http = HttpClient::default();
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let request = http::Request::post(format!("{base}/users/"))
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .unwrap();
        let answer = http.send(request).await.expect("POST /users/ is answered");
        assert!(
            matches!(answer.status, 200 | 400),
            "POST /users/: {} {}",
            answer.status,
            answer.text()
        );
        let form = format!(
            "username={}&password={}",
            email.replace('@', "%40"),
            PASSWORD.replace(' ', "+")
        );
        let request = http::Request::post(format!("{base}/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .unwrap();
        let answer = http.send(request).await.expect("POST /token is answered");
        assert_eq!(answer.status, 200, "POST /token: {}", answer.text());
        let token = answer.json()["access_token"]
            .as_str()
            .expect("an access token")
            .to_owned();
        Self {
            http,
            base: base.to_owned(),
            token,
            email: email.to_owned(),
        }
    }

    /// The same node, of a service that moved to another address.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// Sends a request with the token; `body` empty sends none.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .unwrap_or_else(|e| panic!("{method} {path}: {e:#}"))
    }

    /// Like [`Self::send`], for when the service may be gone.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http.send(request.body(body.into())?).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Bytes::new()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await
    }

    /// Posts a request to scrape and gives back its message id.
    pub async fn submit(&self, body: &Value) -> i64 {
        let answer = self.post("/receive_data", body).await;
        assert_eq!(
            answer.status,
            202,
            "POST /receive_data {body}: {}",
            answer.text()
        );
        answer.json()["data"]["message_id"]
            .as_i64()
            .expect("a message id")
    }

    /// The message.
    pub async fn message(&self, id: i64) -> Value {
        let answer = self.get(&format!("/messages/{id}")).await;
        assert_eq!(answer.status, 200, "GET /messages/{id}: {}", answer.text());
        answer.json()
    }

    /// Asks for a message to be cancelled.
    pub async fn cancel(&self, id: i64) -> Answer {
        self.send("DELETE", &format!("/messages/{id}"), &[], "")
            .await
    }

    /// Waits until the message is done, failed or cancelled.
    pub async fn wait_finished(&self, id: i64, deadline: Duration) -> Value {
        eventually(&format!("message {id} is finished"), deadline, || async {
            let message = self.message(id).await;
            matches!(
                message["status"].as_str(),
                Some("done" | "failed" | "cancelled")
            )
            .then_some(message)
        })
        .await
    }

    /// The secret that callbacks are signed with.
    pub async fn webhook_secret(&self) -> String {
        self.get("/webhook-secret").await.json()["secret"]
            .as_str()
            .expect("a secret")
            .to_owned()
    }
}
