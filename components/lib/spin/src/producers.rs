//! The lists that durable producers push to, by two scripts that Redis runs as a whole.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};
use trawl_app::ports::{Batch, ProducerList};
use trawl_core::limits::producers::{
    BATCH_BYTES_MAX, ENTRY_BYTES_MAX, ORPHANED_AFTER_S, SCRIPT_MS_MAX,
};

use crate::time::within;

/// The list that durable producers push to (`RPUSH` for first in, first out).
const LIST: &str = "data_queue";
/// Sorted set of the in-progress lists, scored with the second of their last taking.
const REGISTER: &str = "data_queue:taking";

/// Moves entries from the list (KEYS[1]) to a list of the batch's own (KEYS[3]) and returns its name and the entries, in one
/// atomic step. A batch that was left (register KEYS[2], older than ARGV[2] seconds) is returned instead, under its own name:
/// what of it was recorded already is recognised by that. The reply is flat: the host flattens nested arrays. It is also short: of an entry
/// that is longer than a request may be come no more than ARGV[3] bytes, and there are no more entries when these make ARGV[4] bytes.
const TAKE: &str = r"
local now = tonumber(redis.call('TIME')[1])
local orphans = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, 16)
for _, orphan in ipairs(orphans) do
  local left = redis.call('LRANGE', orphan, 0, -1)
  if #left > 0 then
    redis.call('ZADD', KEYS[2], now, orphan)
    for i = 1, #left do left[i] = string.sub(left[i], 1, ARGV[3]) end
    table.insert(left, 1, orphan)
    return left
  end
  redis.call('ZREM', KEYS[2], orphan)
end
local taken = {}
local bytes = 0
for i = 1, tonumber(ARGV[1]) do
  if bytes >= tonumber(ARGV[4]) then break end
  local entry = redis.call('LPOP', KEYS[1])
  if not entry then break end
  redis.call('RPUSH', KEYS[3], entry)
  taken[i] = string.sub(entry, 1, ARGV[3])
  bytes = bytes + #taken[i]
end
if #taken == 0 then return taken end
redis.call('ZADD', KEYS[2], now, KEYS[3])
table.insert(taken, 1, KEYS[3])
return taken
";

/// Forgets a batch (KEYS[3]). Entries that could not be recorded (ARGV) go back to the list first, unless somebody else has
/// forgotten the batch meanwhile, and with it given them back.
const ACKNOWLEDGE: &str = r"
if redis.call('EXISTS', KEYS[3]) == 1 then
  for i = 1, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
end
redis.call('ZREM', KEYS[2], KEYS[3])
return redis.call('DEL', KEYS[3])
";

/// The lists of durable producers. Each batch has its own in-progress list, so that several can work at once.
pub struct SpinProducerList {
    address: String,
    name: String,
    taken: Cell<u64>,
    connection: RefCell<Option<Rc<Connection>>>,
}

impl SpinProducerList {
    pub(crate) fn new(address: String) -> Self {
        use trawl_app::ports::Random as _;
        let mut id = [0_u8; 16];
        crate::SpinRandom::default().fill(&mut id);
        Self {
            address,
            name: format!("data_queue:taken:{:032x}", u128::from_be_bytes(id)),
            taken: Cell::new(0),
            connection: RefCell::default(),
        }
    }

    async fn script(
        &self,
        script: &str,
        keys: &[&str],
        arguments: Vec<RedisParameter>,
    ) -> anyhow::Result<Vec<RedisResult>> {
        let ran = within(
            Duration::from_millis(SCRIPT_MS_MAX),
            self.eval(script, keys, arguments),
        )
        .await;
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
        arguments: Vec<RedisParameter>,
    ) -> anyhow::Result<Vec<RedisResult>> {
        let kept = self.connection.borrow().clone();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let opened = Rc::new(
                    Connection::open(&self.address)
                        .await
                        .map_err(told)
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
            .chain(arguments);
        connection
            .execute("EVAL", parameters)
            .await
            .map_err(told)
            .context("the list of producers can't be read")
    }
}

/// As it reads; the SDK writes the variant around it.
fn told(error: Error) -> anyhow::Error {
    match error {
        Error::Other(why) => anyhow::Error::msg(why),
        named => named.into(),
    }
}

impl ProducerList for SpinProducerList {
    async fn take(&self, max: usize) -> anyhow::Result<Batch> {
        self.taken.set(self.taken.get() + 1);
        let own_list = format!("{}:{}", self.name, self.taken.get());
        let arguments = vec![
            RedisParameter::Int64(i64::try_from(max).unwrap_or(i64::MAX)),
            RedisParameter::Int64(ORPHANED_AFTER_S),
            RedisParameter::Int64(ENTRY_BYTES_MAX),
            RedisParameter::Int64(BATCH_BYTES_MAX),
        ];
        let reply = self
            .script(TAKE, &[LIST, REGISTER, &own_list], arguments)
            .await?;
        let mut entries = reply.into_iter().filter_map(|entry| match entry {
            RedisResult::Binary(bytes) => Some(Bytes::from(bytes)),
            // redis-rs shows the bulk string "OK" as a status; an entry is an entry.
            RedisResult::Status(text) => Some(Bytes::from(text)),
            RedisResult::Int64(number) => Some(Bytes::from(number.to_string())),
            RedisResult::Nil => None,
        });
        let Some(name) = entries.next() else {
            return Ok(Batch::default());
        };
        Ok(Batch {
            name: String::from_utf8(name.into()).context("the name of a batch is no text")?,
            entries: entries.collect(),
        })
    }

    async fn acknowledge(&self, batch: &Batch, back: &[Bytes]) -> anyhow::Result<()> {
        let back = back
            .iter()
            .map(|entry| RedisParameter::Binary(entry.to_vec()))
            .collect();
        self.script(ACKNOWLEDGE, &[LIST, REGISTER, &batch.name], back)
            .await
            .map(drop)
    }
}
