use std::cell::{Cell, RefCell};

use bytes::Bytes;
use serde_json::json;

use super::Server;
use crate::api::producers::{ProducersError, Recorded};
use crate::channels::MESSAGE_QUEUE;
use crate::ports::{Batch, ProducerList};

/// Lists in memory.
#[derive(Default)]
struct Lists {
    waiting: RefCell<Vec<Bytes>>,
    taken: RefCell<Vec<Batch>>,
    count: Cell<u32>,
    is_broken: Cell<bool>,
    /// Whether what was taken is given out again, as after the death of whoever took it.
    is_orphaned: Cell<bool>,
}

impl ProducerList for Lists {
    async fn take(&self, max: usize) -> anyhow::Result<Batch> {
        anyhow::ensure!(!self.is_broken.get(), "Redis is gone");
        if self.is_orphaned.take()
            && let Some(left) = self.taken.borrow().first()
        {
            return Ok(left.clone());
        }
        let mut waiting = self.waiting.borrow_mut();
        let count = max.min(100).min(waiting.len());
        self.count.set(self.count.get() + 1);
        let batch = Batch {
            name: format!("batch{}", self.count.get()),
            entries: waiting.drain(..count).collect(),
        };
        if !batch.entries.is_empty() {
            self.taken.borrow_mut().push(batch.clone());
        }
        Ok(batch)
    }

    async fn acknowledge(&self, batch: &Batch, back: &[Bytes]) -> anyhow::Result<()> {
        anyhow::ensure!(!self.is_broken.get(), "Redis is gone");
        self.taken.borrow_mut().retain(|taken| taken != batch);
        self.waiting.borrow_mut().extend(back.iter().cloned());
        Ok(())
    }
}

/// What was recorded when nothing was given back.
fn recorded(accepted: u64, dead: u64) -> Recorded {
    Recorded {
        accepted,
        dead,
        given_back: 0,
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
    assert_eq!(ring(&server, &lists, request(1)).unwrap(), recorded(1, 0));
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
    assert_eq!(ring(&server, &lists, "").unwrap(), recorded(250, 0));
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
        recorded(1, bad.len() as u64 + 1)
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
    assert_eq!(ring(&server, &lists, "").unwrap(), recorded(2, 1));
    assert_eq!(count(&server, "Messages"), 1);
}

#[test]
fn a_locked_database_is_waited_for_and_otherwise_everything_stays_taken() {
    let (server, lists) = (Server::new(), Lists::default());
    lists.waiting.borrow_mut().push(request(1));
    server.world.ports.sql.fail_next(3);
    assert_eq!(ring(&server, &lists, "").unwrap(), recorded(1, 0));
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
fn a_full_queue_leaves_requests_in_the_list_and_others_pass_them() {
    let (server, lists) = (Server::new(), Lists::default());
    server.set("queue_max_account", "2");
    server.register("b@example.org");
    let other: Bytes = json!({"account": "b@example.org", "request_url": "example.org", "type": 1})
        .to_string()
        .into();
    lists.waiting.borrow_mut().extend((0..250).map(request));
    lists.waiting.borrow_mut().push(other);
    let drained = ring(&server, &lists, "").unwrap();
    assert_eq!((drained.accepted, drained.dead), (3, 0));
    assert_eq!(
        (
            lists.waiting.borrow().len(),
            count(&server, "dead_requests")
        ),
        (248, 0),
        "nothing is lost, and nothing is called malformed that is not"
    );
    server.set("queue_max_account", "1000");
    assert_eq!(ring(&server, &lists, "").unwrap(), recorded(248, 0));
    assert_eq!(count(&server, "Messages"), 251);
}

#[test]
fn a_message_with_a_body_that_meets_a_full_queue_is_put_aside_after_a_while() {
    let (server, lists) = (Server::new(), Lists::default());
    server.set("queue_max", "1");
    assert_eq!(ring(&server, &lists, request(1)).unwrap(), recorded(1, 0));
    assert_eq!(ring(&server, &lists, request(2)).unwrap(), recorded(0, 1));
    assert_eq!(
        count(&server, "dead_requests WHERE reason LIKE 'queue_full%'"),
        1
    );
}

#[test]
fn a_batch_that_was_recorded_and_not_acknowledged_is_recorded_once() {
    let (server, lists) = (Server::new(), Lists::default());
    // Two of them are the same request, and meant twice.
    lists
        .waiting
        .borrow_mut()
        .extend([request(1), request(1), request(2)]);
    assert_eq!(ring(&server, &lists, "").unwrap(), recorded(3, 0));
    assert_eq!(count(&server, "Messages"), 3);
    lists.taken.borrow_mut().push(Batch {
        name: "batch1".to_owned(),
        entries: vec![request(1), request(1), request(2), request(3)],
    });
    lists.is_orphaned.set(true);
    assert_eq!(ring(&server, &lists, "").unwrap(), recorded(4, 0));
    assert_eq!(count(&server, "Messages"), 4, "only the fourth was new");
    assert!(lists.taken.borrow().is_empty());
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
