//! Brings the messages of a Redis server to the lanes. A server that goes away comes back: until then the clock rings.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use tokio::task::{JoinSet, unconstrained};
use tokio::time::timeout;
use trawl_core::limits::host as limits;

use super::{Doorbell, Listener, Subscription};
use crate::stop::Stop;

/// Subscribers that are without their server. Many of them notice the same; one line says that it went, and one that it is back.
#[derive(Default)]
struct Outage(AtomicUsize);

impl Outage {
    fn begins(&self, why: &dyn Display) {
        if self.0.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                "Redis can't be reached: {why}; trying until it is back, meanwhile the clock rings"
            );
        }
    }

    fn ends(&self) {
        if self.0.fetch_sub(1, Relaxed) == 1 {
            tracing::warn!("Redis is back");
        }
    }
}

/// Starts one subscriber for each address, among the `tasks`. They end when the end of the host is asked for, once they have passed on what
/// they heard by then.
pub(crate) fn start(
    doorbell: &Arc<Doorbell>,
    subscriptions: &[Subscription],
    stop: &Stop,
    tasks: &mut JoinSet<()>,
) {
    let mut by_address: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for subscription in subscriptions {
        let channels = by_address.entry(&subscription.address).or_default();
        if !channels.contains(&subscription.channel) {
            channels.push(subscription.channel.clone());
        }
    }
    let outage = Arc::new(Outage::default());
    for (address, channels) in by_address {
        tasks.spawn(keep_subscribed(
            Listener::new(doorbell),
            Arc::clone(&outage),
            stop.clone(),
            address.to_owned(),
            channels,
        ));
    }
}

async fn keep_subscribed(
    listener: Listener,
    outage: Arc<Outage>,
    stop: Stop,
    address: String,
    channels: Vec<String>,
) {
    let doorbell = listener.doorbell();
    let mut wait_ms = 0;
    let mut is_out = false;
    loop {
        let subscribed = tokio::select! {
            () = stop.asked() => return,
            subscribed = subscribe(&address, &channels) => subscribed,
        };
        match subscribed {
            Ok(connection) => {
                wait_ms = 0;
                if std::mem::take(&mut is_out) {
                    outage.ends();
                }
                // Whatever was published before is lost; one look each makes up for it.
                look_once(doorbell, &channels);
                match pass_on(doorbell, &stop, &channels, connection).await {
                    End::Asked => return,
                    End::Silent => {
                        is_out = true;
                        outage.begins(&"its connection is dead");
                    }
                    End::Closed => {}
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_out, true) {
                    outage.begins(&error);
                }
            }
        }
        // Half of it by chance, so that many hosts do not come back in one moment.
        wait_ms = (wait_ms * 2).clamp(100, limits::REDIS_RETRY_MS_MAX);
        let wait_ms = rand::random_range(wait_ms / 2..=wait_ms);
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
        }
    }
}

async fn subscribe(address: &str, channels: &[String]) -> redis::RedisResult<redis::aio::PubSub> {
    let open = async {
        let mut connection = redis::Client::open(address)?.get_async_pubsub().await?;
        for channel in channels {
            connection.subscribe(channel).await?;
        }
        Ok(connection)
    };
    let in_time = timeout(Duration::from_millis(limits::REDIS_CONNECT_MS), open);
    in_time.await.unwrap_or_else(|_| {
        Err(redis::RedisError::from(std::io::Error::from(
            std::io::ErrorKind::TimedOut,
        )))
    })
}

fn look_once(doorbell: &Doorbell, channels: &[String]) {
    for channel in channels {
        doorbell.deliver(channel, &Bytes::new());
    }
}

/// How a subscription ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The other side closed the connection.
    Closed,
    /// Nothing comes any more, and nobody says why.
    Silent,
    /// The host is to end.
    Asked,
}

/// Hands messages on until the connection ends or the host is to end; then also what was heard by that time.
async fn pass_on(
    doorbell: &Doorbell,
    stop: &Stop,
    channels: &[String],
    connection: redis::aio::PubSub,
) -> End {
    let (mut asking, mut messages) = connection.split();
    tokio::select! {
        () = stop.asked() => {}
        end = listen(doorbell, &mut asking, &mut messages) => return end,
    }
    let time_max = Duration::from_millis(limits::REDIS_HEAR_OUT_MS);
    let hearing = hear_out(doorbell, channels, &mut asking, &mut messages);
    if timeout(time_max, hearing).await.is_err() {
        tracing::warn!("Redis does not end our subscriptions; what it still sends is lost");
    }
    End::Asked
}

/// Hands messages on until the connection ends, or gives no sign of life when it is asked for one. A server that went away
/// without a word, behind a NAT or in a failover, leaves a connection that looks well for ever.
async fn listen(
    doorbell: &Doorbell,
    asking: &mut redis::aio::PubSubSink,
    messages: &mut redis::aio::PubSubStream,
) -> End {
    let silence = Duration::from_millis(limits::REDIS_SILENCE_MS);
    let answer = Duration::from_millis(limits::REDIS_SIGN_OF_LIFE_MS);
    loop {
        match timeout(silence, messages.next()).await {
            Ok(Some(message)) => hear(doorbell, &message),
            Ok(None) => return End::Closed,
            Err(_) => match timeout(answer, asking.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return End::Closed,
                Err(_) => return End::Silent,
            },
        }
    }
}

/// Ends the subscriptions and hands on what came before that. The server told whoever published it that it was heard, so it must not
/// get lost on the way here.
async fn hear_out(
    doorbell: &Doorbell,
    channels: &[String],
    asking: &mut redis::aio::PubSubSink,
    messages: &mut redis::aio::PubSubStream,
) {
    for channel in channels {
        // A server that has gone sends nothing more either.
        if asking.unsubscribe(channel).await.is_err() {
            break;
        }
    }
    // All of them are here; tokio would have a task that reads many at a time wait in between.
    while let Some(Some(message)) = unconstrained(messages.next()).now_or_never() {
        hear(doorbell, &message);
    }
}

fn hear(doorbell: &Doorbell, message: &redis::Msg) {
    let payload = Bytes::copy_from_slice(message.get_payload_bytes());
    doorbell.hear(message.get_channel_name(), &payload);
}
