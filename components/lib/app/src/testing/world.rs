//! All that a test of the use cases needs, put together.

use std::time::Duration;

use trawl_core::ids::{AccountId, MessageId};
use trawl_core::state::{Kind, Mode, State};
use trawl_store::{
    Created, Message, NewMessage, QueueLimits, Registration, ResultLookup, Store, StoredResult,
    Submitted,
};
use url::Url;

use super::{FakePorts, Memory, Reply, Sent, VirtualClock, run};
use crate::ports::Clock as _;
use crate::result_codec;

/// More than any test asks for.
pub(crate) const LIMITS: QueueLimits = QueueLimits {
    tenant_max: 10_000,
    total_max: 10_000,
    host_in_flight_max: 4,
    host_gap_ms: 0,
};

/// A small trawl in one process: a real store, a fake web, virtual time, one account.
pub(crate) struct World {
    pub(crate) ports: FakePorts<Memory>,
    pub(crate) account: AccountId,
}

impl World {
    /// A world in which each request is answered by `serve`. robots.txt is not there unless `serve` has it: give it 404.
    pub(crate) fn new(serve: impl Fn(&Sent) -> Reply + 'static) -> Self {
        let clock = VirtualClock::default();
        let ports = FakePorts::new(Memory::new(&clock), clock, serve);
        let store = Store::new(&ports.sql);
        let account = run(&ports.clock, async {
            store.migrate().await.unwrap();
            match store
                .create_account("a@example.org", "a@example.org", "hash", Registration::Open)
                .await
                .unwrap()
            {
                Created::Account(account) => account,
                other => panic!("{other:?}"),
            }
        });
        let _ = ports.sql.statements();
        Self { ports, account }
    }

    /// A world where robots.txt is missing everywhere.
    pub(crate) fn without_robots(serve: impl Fn(&Sent) -> Reply + 'static) -> Self {
        Self::new(move |sent| {
            if sent.path() == "/robots.txt" {
                Reply::status(404)
            } else {
                serve(sent)
            }
        })
    }

    pub(crate) fn store(&self) -> Store<'_, Memory> {
        Store::new(&self.ports.sql)
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        run(&self.ports.clock, future)
    }

    pub(crate) fn elapse(&self, duration: Duration) {
        self.run(self.ports.clock.sleep(duration));
    }

    /// A request as a node makes it.
    pub(crate) fn request(&self, kind: Kind, url: &str) -> NewMessage {
        let parsed = Url::parse(url).unwrap();
        NewMessage {
            tenant: self.account,
            user_label: Some("node 1".to_owned()),
            request_url: url.to_owned(),
            host: parsed.host_str().unwrap().to_owned(),
            kind,
            callback_url: Some("https://node.example/hook".to_owned()),
            priority: 5,
            mode: Mode::Best,
            selector: None,
            max_age_s: None,
            idem_key: None,
            body_digest: [0; 32],
            replica: None,
        }
    }

    pub(crate) fn submit(&self, message: &NewMessage) -> MessageId {
        match self.run(self.store().submit(message, &LIMITS)).unwrap() {
            Submitted::Accepted(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn submit_url(&self, kind: Kind, url: &str) -> MessageId {
        self.submit(&self.request(kind, url))
    }

    pub(crate) fn message(&self, id: MessageId) -> Message {
        self.run(self.store().message(self.account, id))
            .unwrap()
            .unwrap()
    }

    /// The state, and the code of the last error.
    pub(crate) fn state(&self, id: MessageId) -> (State, Option<String>) {
        let message = self.message(id);
        (message.state, message.error.map(|error| error.code))
    }

    /// The result with its body unpacked.
    pub(crate) fn result(&self, id: MessageId) -> StoredResult {
        match self.run(self.store().result(self.account, id)).unwrap() {
            ResultLookup::Ready(result) => {
                let body = result_codec::decode(&result.encoding, result.body.clone()).unwrap();
                StoredResult { body, ..result }
            }
            other => panic!("{other:?}"),
        }
    }
}
