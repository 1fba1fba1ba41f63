use std::cell::{Cell, RefCell};

use bytes::Bytes;
use serde_json::json;

use super::Server;
use crate::api::producers::{ProducersError, Recorded};
use crate::channels::MESSAGE_QUEUE;
use crate::ports::ProducerList;

/// Lists in memory.
#[derive(Default)]
struct Lists {
    waiting: RefCell<Vec<Bytes>>,
    taken: RefCell<Vec<Bytes>>,
    is_broken: Cell<bool>,
}

impl ProducerList for Lists {
    async fn take(&self, max: usize) -> anyhow::Result<Vec<Bytes>> {
        anyhow::ensure!(!self.is_broken.get(), "Redis is gone");
        assert!(
            self.taken.borrow().is_empty(),
            "the batch before was acknowledged"
        );
        let mut waiting = self.waiting.borrow_mut();
        let count = max.min(100).min(waiting.len());
        let batch: Vec<Bytes> = waiting.drain(..count).collect();
        self.taken.borrow_mut().extend(batch.clone());
        Ok(batch)
    }

    async fn acknowledge(&self) -> anyhow::Result<()> {
        self.taken.borrow_mut().clear();
        Ok(())
    }
}

fn request(number: usize) -> Bytes {
    json!({"account": "A@example.org", "request_url": format!("example.org/{number}"), "type": 1})
        .to_string()
        .into()
}

fn ring(
    server: &Server,
    lists: &Lists,
    payload: impl Into<Bytes>,
) -> Result<Recorded, ProducersError> {
    server.world.run(
        server
            .api
            .from_producers(&server.world.ports, Some(lists), payload.into()),
    )
}

fn count(server: &Server, table: &str) -> i64 {
    server
        .world
        .ports
        .sql
        .number(&format!("SELECT COUNT(*) FROM {table}"))
}

#[test]
fn a_message_with_a_body_is_one_request() {
    let (server, lists) = (Server::new(), Lists::default());
    assert_eq!(
        ring(&server, &lists, request(1)).unwrap(),
        Recorded {
            accepted: 1,
            dead: 0
        }
    );
    assert_eq!(
        (
            count(&server, "Messages"),
            server.world.ports.bell.rings(MESSAGE_QUEUE)
        ),
        (1, 1)
    );
}

#[test]
fn an_empty_message_drains_the_list() {
    let (server, lists) = (Server::new(), Lists::default());
    lists.waiting.borrow_mut().extend((0..250).map(request));
    assert_eq!(
        ring(&server, &lists, "").unwrap(),
        Recorded {
            accepted: 250,
            dead: 0
        }
    );
    assert!(lists.waiting.borrow().is_empty() && lists.taken.borrow().is_empty());
    assert_eq!(count(&server, "Messages"), 250);
    assert_eq!(ring(&server, &lists, "").unwrap(), Recorded::default());
}

#[test]
fn malformed_requests_are_kept_with_their_reason() {
    let (server, lists) = (Server::new(), Lists::default());
    let bad = [
        "{".to_owned(),
        "[]".to_owned(),
        "\u{0}\u{1}".to_owned(),
        json!({"request_url": "example.org", "type": 1}).to_string(),
        json!({"account": "nobody@example.org", "request_url": "example.org", "type": 1}).to_string(),
        json!({"account": "a@example.org", "request_url": "ftp://example.org", "type": 1}).to_string(),
        json!({"account": "a@example.org", "request_url": "example.org", "type": 9}).to_string(),
        json!({"account": 7, "request_url": "example.org", "type": 1}).to_string(),
        json!({"account": "a@example.org", "request_url": "example.org", "type": 1, "idempotency_key": ""}).to_string(),
    ];
    lists
        .waiting
        .borrow_mut()
        .extend(bad.iter().map(|body| Bytes::from(body.clone())));
    lists.waiting.borrow_mut().push(request(1));
    lists
        .waiting
        .borrow_mut()
        .push(vec![b' '; (1 << 20) + 1].into());
    assert_eq!(
        ring(&server, &lists, "").unwrap(),
        Recorded {
            accepted: 1,
            dead: bad.len() as u64 + 1
        }
    );
    assert_eq!(
        count(&server, "dead_requests"),
        i64::try_from(bad.len()).unwrap() + 1
    );
    assert_eq!(
        count(&server, "dead_requests WHERE reason LIKE '%account%'"),
        3
    );
}

#[test]
fn idempotency_keys_of_producers() {
    let (server, lists) = (Server::new(), Lists::default());
    let request = |kind: u8| -> Bytes {
        json!({"account": "a@example.org", "request_url": "example.org", "type": kind, "idempotency_key": "k"}).to_string().into()
    };
    lists
        .waiting
        .borrow_mut()
        .extend([request(1), request(1), request(2)]);
    assert_eq!(
        ring(&server, &lists, "").unwrap(),
        Recorded {
            accepted: 2,
            dead: 1
        }
    );
    assert_eq!(count(&server, "Messages"), 1);
}

#[test]
fn a_locked_database_is_waited_for_and_otherwise_everything_stays_taken() {
    let (server, lists) = (Server::new(), Lists::default());
    lists.waiting.borrow_mut().push(request(1));
    server.world.ports.sql.fail_next(3);
    assert_eq!(
        ring(&server, &lists, "").unwrap(),
        Recorded {
            accepted: 1,
            dead: 0
        }
    );
    lists.waiting.borrow_mut().push(request(2));
    server.world.ports.sql.fail_next(1_000);
    assert!(matches!(
        ring(&server, &lists, ""),
        Err(ProducersError::Store(_))
    ));
    assert_eq!(
        lists.taken.borrow().len(),
        1,
        "not acknowledged: it will be found again"
    );
}

#[test]
fn a_full_queue_puts_aside_after_a_while() {
    let (server, lists) = (Server::new(), Lists::default());
    server.set("queue_max", "1");
    lists.waiting.borrow_mut().extend([request(1), request(2)]);
    assert_eq!(
        ring(&server, &lists, "").unwrap(),
        Recorded {
            accepted: 1,
            dead: 1
        }
    );
    assert_eq!(
        count(&server, "dead_requests WHERE reason LIKE 'queue_full%'"),
        1
    );
}

#[test]
fn a_stop_leaves_the_list_alone_and_a_broken_list_is_an_error() {
    let (server, lists) = (Server::new(), Lists::default());
    lists.waiting.borrow_mut().push(request(1));
    lists.is_broken.set(true);
    assert!(matches!(
        ring(&server, &lists, ""),
        Err(ProducersError::List(_))
    ));
    lists.is_broken.set(false);
    server.world.ports.variables.set("stopping", "1");
    assert_eq!(ring(&server, &lists, "").unwrap(), Recorded::default());
    assert_eq!(lists.waiting.borrow().len(), 1);
}
