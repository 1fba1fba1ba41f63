use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};
use trawl_app::ports::ProducerList;

use crate::time::within;

/// The list that durable producers push to (`RPUSH` for first in, first out).
const LIST: &str = "data_queue";
/// Sorted set of the in-progress lists, scored with the second of their last taking.
const REGISTER: &str = "data_queue:taking";
/// An in-progress list not touched for this long belongs to a worker that died; recording a batch takes milliseconds.
const ORPHANED_AFTER_S: i64 = 60;
/// A script that takes longer than this means that Redis is gone.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Moves entries from the list (KEYS[1]) to the worker's own (KEYS[3]) and returns them, in one atomic step. First, what dead
/// workers left (register KEYS[2], older than ARGV[2] seconds) goes back to the head of the list, in its order.
/// The reply is flat: the host flattens nested arrays.
const TAKE: &str = r"
local now = tonumber(redis.call('TIME')[1])
local orphans = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, 16)
for _, orphan in ipairs(orphans) do
  while redis.call('RPOPLPUSH', orphan, KEYS[1]) do end
  redis.call('ZREM', KEYS[2], orphan)
end
local taken = {}
for i = 1, tonumber(ARGV[1]) do
  local entry = redis.call('LPOP', KEYS[1])
  if not entry then break end
  redis.call('RPUSH', KEYS[3], entry)
  taken[i] = entry
end
if #taken > 0 then redis.call('ZADD', KEYS[2], now, KEYS[3]) end
return taken
";

/// Forgets the worker's own list. One that was taken for dead meanwhile has lost it already, and its entries are recorded twice: at least once.
const ACKNOWLEDGE: &str = r"
redis.call('ZREM', KEYS[1], KEYS[2])
return redis.call('DEL', KEYS[2])
";

/// The lists of durable producers. Each value has its own in-progress list, so that several can work at once.
pub struct SpinProducerList {
    address: String,
    own_list: String,
    connection: RefCell<Option<Rc<Connection>>>,
}

impl SpinProducerList {
    pub(crate) fn new(address: String) -> Self {
        use trawl_app::ports::Random as _;
        let mut id = [0_u8; 8];
        crate::SpinRandom::default().fill(&mut id);
        Self {
            address,
            own_list: format!("data_queue:taken:{:016x}", u64::from_be_bytes(id)),
            connection: RefCell::default(),
        }
    }

    async fn script(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[i64],
    ) -> anyhow::Result<Vec<RedisResult>> {
        let ran = within(SCRIPT_TIMEOUT, self.eval(script, keys, arguments)).await;
        let ran = ran.unwrap_or_else(|| Err(anyhow::anyhow!("Redis did not answer in time")));
        if ran.is_err() {
            self.connection.borrow_mut().take();
        }
        ran
    }

    async fn eval(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[i64],
    ) -> anyhow::Result<Vec<RedisResult>> {
        let kept = self.connection.borrow().clone();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let opened = Rc::new(
                    Connection::open(&self.address)
                        .await
                        .context("Redis can't be reached")?,
                );
                self.connection.borrow_mut().replace(Rc::clone(&opened));
                opened
            }
        };
        let text = |text: &str| RedisParameter::Binary(text.as_bytes().to_vec());
        let count = i64::try_from(keys.len()).unwrap_or_default();
        let parameters = [text(script), RedisParameter::Int64(count)]
            .into_iter()
            .chain(keys.iter().map(|key| text(key)))
            .chain(
                arguments
                    .iter()
                    .map(|number| RedisParameter::Int64(*number)),
            );
        connection
            .execute("EVAL", parameters)
            .await
            .context("the list of producers can't be read")
    }
}

impl ProducerList for SpinProducerList {
    async fn take(&self, max: usize) -> anyhow::Result<Vec<Bytes>> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let reply = self
            .script(
                TAKE,
                &[LIST, REGISTER, &self.own_list],
                &[max, ORPHANED_AFTER_S],
            )
            .await?;
        Ok(reply
            .into_iter()
            .filter_map(|entry| match entry {
                RedisResult::Binary(bytes) => Some(Bytes::from(bytes)),
                // redis-rs shows the bulk string "OK" as a status; an entry is an entry.
                RedisResult::Status(text) => Some(Bytes::from(text)),
                RedisResult::Int64(number) => Some(Bytes::from(number.to_string())),
                RedisResult::Nil => None,
            })
            .collect())
    }

    async fn acknowledge(&self) -> anyhow::Result<()> {
        self.script(ACKNOWLEDGE, &[REGISTER, &self.own_list], &[])
            .await
            .map(drop)
    }
}
