//! What a scenario plays on.

use serde_json::{Value, json};
use trawl_kit::api::Node;
use trawl_kit::host::{Host, HostOptions};
use trawl_kit::origin::Origin;
use trawl_kit::receiver::Receiver;

/// A host, a node, pages on many addresses, and a receiver.
pub struct Stage {
    /// The host.
    pub host: Host,
    /// A logged-in node.
    pub node: Node,
    /// The pages.
    pub origin: Origin,
    /// Where the node is called back.
    pub receiver: Receiver,
    before: Vec<Host>,
}

impl Stage {
    /// Starts all of them.
    pub async fn set(options: HostOptions) -> Self {
        let host = Host::start_with(options).await;
        let node = Node::log_in(host.base(), "faults@example.org").await;
        let (origin, receiver) = (
            Origin::start_on(([0, 0, 0, 0], 0).into()).await,
            Receiver::start().await,
        );
        receiver.add_secret(&node.webhook_secret().await);
        Self {
            host,
            node,
            origin,
            receiver,
            before: Vec::new(),
        }
    }

    /// Puts another host in the place of one that was killed. The killed one stays until the end: the directory of the
    /// state is its own.
    pub fn keep_state_of(&mut self, successor: Host) {
        let base = successor.base().to_owned();
        self.before
            .push(std::mem::replace(&mut self.host, successor));
        self.node.base = base;
    }

    /// The body of a post.
    #[must_use]
    pub fn body(&self, path: &str, label: &str) -> Value {
        json!({"user_Id": label, "request_url": self.origin.url(path), "type": 1, "callback_url": self.receiver.url("/hook")})
    }

    /// Posts a page to scrape and gives back its message id.
    pub async fn submit(&self, path: &str, label: &str) -> i64 {
        self.node.submit(&self.body(path, label)).await
    }
}
