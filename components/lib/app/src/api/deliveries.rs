//! Callback attempts: their log, and sending them again.

use std::ops::Range;

use http::StatusCode;
use serde::Serialize;
use trawl_core::ids::{AccountId, MessageId};
use trawl_core::limits::queue::REPLAY_STEPS_MAX;
use trawl_core::problem::{Code, Problem};
use trawl_store::sql::Sql;
use trawl_store::{Delivery, Replay, ReplayPoint, Store, StoreError};
use trawl_wire::Timestamp;
use trawl_wire::message::{DeliveryView, List};
use trawl_wire::object::{FieldError, Object};

use super::answer::{json, unavailable};
use super::body::bad_field;
use super::messages::{message_id, wrong_state};
use super::{Exchange, Handled, no_message};
use crate::channels::CALLBACK_QUEUE;
use crate::ports::Ports;

/// The answer to a replay.
#[derive(Serialize)]
struct Replayed {
    success: bool,
    replayed: u64,
    /// Only there when not all was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) async fn list<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let deliveries = exchange
        .store()
        .deliveries(account, message_id(id)?)
        .await
        .map_err(unavailable)?
        .ok_or_else(no_message)?;
    Ok(json(
        StatusCode::OK,
        &List {
            data: deliveries.iter().map(view).collect(),
        },
    )
    .private())
}

pub(super) async fn replay<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    match exchange
        .store()
        .replay(account, message_id(id)?)
        .await
        .map_err(unavailable)?
    {
        Replay::WillBeSent => Ok(json(
            StatusCode::ACCEPTED,
            &Replayed {
                success: true,
                replayed: 1,
                next_cursor: None,
            },
        )
        .ringing(CALLBACK_QUEUE)),
        Replay::EndpointDisabled => Err(Problem::new(
            Code::WrongState,
            "The callback's endpoint is disabled: open it with POST /endpoints/enable, which also sends what waits for it.",
        )),
        Replay::NoMessage => Err(no_message()),
        Replay::NoCallback(state) => Err(wrong_state(state, "it has no callback to send again")),
    }
}

/// `{"from", "to"}`: the callbacks of what was finished in that time, the end not included. With `cursor`, from where the
/// answer before says that it came to.
pub(super) async fn replay_range<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let object = exchange.object()?;
    let (from, to) = (time(&object, "from")?, time(&object, "to")?);
    if from >= to {
        return Err(bad_field(FieldError::new(
            "to",
            "must be later than `from`",
        )));
    }
    let after = match object.text(&["cursor"]).map_err(bad_field)? {
        None => ReplayPoint::START,
        Some(text) => replay_point(text).ok_or_else(|| {
            bad_field(FieldError::new(
                "cursor",
                "must be the next_cursor of an earlier answer",
            ))
        })?,
    };
    let (replayed, next) = in_steps(
        exchange.store(),
        account,
        from.0..to.0,
        after,
        REPLAY_STEPS_MAX,
    )
    .await
    .map_err(unavailable)?;
    Ok(json(
        StatusCode::ACCEPTED,
        &Replayed {
            success: true,
            replayed,
            next_cursor: next.map(|at| format!("{}.{}", at.message, at.callback)),
        },
    )
    .ringing(CALLBACK_QUEUE))
}

/// At most `steps_max` steps of a replay: how many callbacks will be sent, and where to go on when that was not all. Each is a commit of
/// its own, so that where a later one fails the client is told of the earlier ones: asked for from the start, they would be sent twice.
async fn in_steps<S: Sql>(
    store: Store<'_, S>,
    account: AccountId,
    range_ms: Range<i64>,
    mut after: ReplayPoint,
    steps_max: u32,
) -> Result<(u64, Option<ReplayPoint>), StoreError> {
    let mut replayed = 0;
    for _ in 0..steps_max {
        let step = store
            .replay_range(account, range_ms.start, range_ms.end, after)
            .await;
        let step = match step {
            Err(_) if replayed > 0 => break,
            step => step?,
        };
        replayed += step.count;
        match step.next {
            Some(next) => after = next,
            None => return Ok((replayed, None)),
        }
    }
    Ok((replayed, Some(after)))
}

/// What a client sends back of a cursor. Whatever it names, only the account's own messages are looked at.
fn replay_point(text: &str) -> Option<ReplayPoint> {
    let (message, callback) = text.split_once('.')?;
    Some(ReplayPoint {
        message: MessageId(message.parse().ok()?),
        callback: callback.parse().ok()?,
    })
}

fn time(object: &Object<'_>, field: &'static str) -> Result<Timestamp, Problem> {
    let text = object.required_text(&[field]).map_err(bad_field)?;
    Timestamp::parse(text).ok_or_else(|| {
        bad_field(FieldError::new(
            field,
            "must be a time such as 2026-11-23T22:05:00Z",
        ))
    })
}

fn view(delivery: &Delivery) -> DeliveryView<'_> {
    DeliveryView {
        webhook_id: &delivery.webhook_id,
        attempt: i64::from(delivery.attempt),
        at: Timestamp(delivery.at_ms),
        status: delivery.status,
        latency_ms: i64::try_from(delivery.latency_ms).ok(),
        error: delivery.error.as_deref(),
        next_try_at: delivery.next_try_at.map(Timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, World};

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let point = ReplayPoint {
            message: MessageId(12),
            callback: 7,
        };
        assert_eq!(replay_point("12.7"), Some(point));
        for wrong in [
            "",
            "12",
            "12.",
            ".7",
            "a.7",
            "12.7.1",
            "12.99999999999999999999",
        ] {
            assert_eq!(replay_point(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_too_much_for_one_request_goes_on_where_it_ended() {
        let world = World::new(|_| Reply::status(404));
        let account = world.account;
        // 1,200 of the account's own, each with a callback that was delivered.
        let run = |statement| {
            world
                .run(world.ports.sql.run(statement, Vec::new()))
                .unwrap()
        };
        run(
            "INSERT INTO Messages (request_url, type, tenant, host, priority, mode, body_digest, url_hash, added_ms, state, key, finished_ms)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
             SELECT 'https://a.example/', 1, (SELECT MAX(id) FROM accounts), 'a.example', 5, 'best', x'00', 1, 1, 'done', i, 1000 FROM n",
        );
        run(
            "INSERT INTO callbacks (message_id, tenant, endpoint, webhook_id, ok, finished_ms, state, key, ended_ms)
             SELECT Id, tenant, 'https://node.example/', Id, 1, 1000, 'delivered', 1, 2000 FROM Messages",
        );
        let steps = |after| {
            world
                .run(in_steps(world.store(), account, 0..2000, after, 1))
                .unwrap()
        };
        let (first, next) = steps(ReplayPoint::START);
        assert_eq!(first, 500);
        let (second, next) = steps(next.unwrap());
        assert_eq!(
            second, 499,
            "the message where it goes on is one of the rows"
        );
        assert_eq!(steps(next.unwrap()), (201, None));
        // Those that wait already are not sent twice, and to the end in one go.
        let all = || {
            let store = world.store();
            world.run(in_steps(store, account, 0..2000, ReplayPoint::START, 3))
        };
        assert_eq!(all().unwrap(), (0, None));
        // What a step has done stays done when the next one fails: the client is told where that was.
        run("UPDATE callbacks SET state = 'delivered', stage = NULL, slot = 0, ended_ms = 2000");
        let find = "SELECT message, callback";
        world.ports.sql.fail_after(1, find, 1);
        assert!(matches!(all(), Ok((500, Some(_)))));
        world.ports.sql.fail_when(find, 1);
        assert!(all().is_err());
    }
}
