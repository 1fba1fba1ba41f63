//! `spin:redis`: the embedded doorbell, or connections to a real server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, ToRedisArgs};
use trawl_core::limits::host as limits;
use wasmtime::component::{Accessor, HasSelf, Resource};

use super::bindings::spin::redis::redis::{
    Connection, Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
};
use crate::doorbell::{Doorbell, Wire};
use crate::part::Rights;
use crate::state::Guest;

/// A connection that a guest holds.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Open {
    doorbell: Arc<Doorbell>,
    server: Option<MultiplexedConnection>,
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Guest {}

impl HostConnection for Guest {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: 'static> HostConnectionWithStore<T> for HasSelf<Guest> {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Answer<Resource<Connection>> {
        let rights = accessor.with(|mut access| Arc::clone(&access.get().rights));
        match connect(&rights, &address).await {
            Ok(open) => accessor.with(|mut access| Ok(Ok(access.get().table.push(open)?))),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Answer<()> {
        let open = open(accessor, &connection)?;
        Ok(match open.doorbell.wire() {
            Wire::Embedded => {
                open.doorbell.deliver(&channel, &Bytes::from(payload));
                Ok(())
            }
            Wire::Cut { .. } => Ok(()),
            Wire::Redis => open
                .ask::<i64>("PUBLISH", (channel, payload))
                .await
                .map(drop),
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        Ok(open(accessor, &connection)?.ask("GET", key).await)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        Ok(open(accessor, &connection)?.ask("SET", (key, value)).await)
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<i64> {
        Ok(open(accessor, &connection)?.ask("INCRBY", (key, 1)).await)
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        keys: Vec<String>,
    ) -> Answer<u32> {
        Ok(open(accessor, &connection)?.ask("DEL", keys).await)
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        Ok(open(accessor, &connection)?
            .ask("SADD", (key, values))
            .await)
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<Vec<String>> {
        Ok(open(accessor, &connection)?.ask("SMEMBERS", key).await)
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        Ok(open(accessor, &connection)?
            .ask("SREM", (key, values))
            .await)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<RedisResult>> {
        let open = open(accessor, &connection)?;
        if open.server.is_none() {
            return Ok(without_server(&command));
        }
        let answer: Result<Flat, Error> = open.ask(&command, Arguments(arguments)).await;
        Ok(answer.map(|flat| flat.0))
    }
}

fn open<T>(
    accessor: &Accessor<T, HasSelf<Guest>>,
    connection: &Resource<Connection>,
) -> wasmtime::Result<Open> {
    accessor.with(|mut access| Ok(access.get().table.get(connection)?.clone()))
}

async fn connect(rights: &Rights, address: &str) -> Result<Open, Error> {
    let client = redis::Client::open(address).map_err(|_| Error::InvalidAddress)?;
    let redis::ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr.clone() else {
        return Err(Error::InvalidAddress);
    };
    if !rights.allowed_hosts.permits("redis", &host, port) {
        return Err(Error::InvalidAddress);
    }
    let server = match rights.doorbell.wire() {
        Wire::Embedded | Wire::Cut { redis: false } => None,
        Wire::Redis | Wire::Cut { redis: true } => {
            let config = redis::AsyncConnectionConfig::new()
                .set_connection_timeout(Duration::from_millis(limits::REDIS_CONNECT_MS))
                .set_response_timeout(Duration::from_millis(limits::REDIS_ANSWER_MS));
            Some(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
                    .map_err(other)?,
            )
        }
    };
    Ok(Open {
        doorbell: Arc::clone(&rights.doorbell),
        server,
    })
}

impl Open {
    async fn ask<A: FromRedisValue>(
        mut self,
        command: &str,
        arguments: impl ToRedisArgs,
    ) -> Result<A, Error> {
        let Some(server) = &mut self.server else {
            return Err(needs_server(command));
        };
        let answer = redis::cmd(command).arg(arguments).query_async(server).await;
        answer.map_err(|error| match error.kind() {
            redis::ErrorKind::TypeError => Error::TypeError,
            _ => other(error),
        })
    }
}

/// What the embedded doorbell answers. It keeps no keys, so nobody can have pushed to a list: a script, as a component sends one to take
/// what producers pushed, finds nothing and replies with nothing, as at a server whose lists are empty.
fn without_server(command: &str) -> Result<Vec<RedisResult>, Error> {
    if command.eq_ignore_ascii_case("EVAL") {
        return Ok(Vec::new());
    }
    Err(needs_server(command))
}

fn needs_server(command: &str) -> Error {
    Error::Other(format!(
        "{command} needs a Redis server: start with --redis redis://host:port"
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn other(error: redis::RedisError) -> Error {
    Error::Other(error.to_string())
}

struct Arguments(Vec<RedisParameter>);

impl ToRedisArgs for Arguments {
    fn write_redis_args<W: redis::RedisWrite + ?Sized>(&self, out: &mut W) {
        for argument in &self.0 {
            match argument {
                RedisParameter::Int64(number) => number.write_redis_args(out),
                RedisParameter::Binary(bytes) => out.write_arg(bytes),
            }
        }
    }
}

/// A reply in the one list that `execute` returns; nested lists are laid flat, as on Spin.
struct Flat(Vec<RedisResult>);

impl FromRedisValue for Flat {
    fn from_redis_value(value: &redis::Value) -> redis::RedisResult<Self> {
        let mut flat = Vec::new();
        flatten(value, &mut flat)?;
        Ok(Self(flat))
    }
}

fn flatten(value: &redis::Value, flat: &mut Vec<RedisResult>) -> redis::RedisResult<()> {
    use redis::Value;
    flat.push(match value {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(*number),
        Value::BulkString(bytes) => RedisResult::Binary(bytes.clone()),
        Value::SimpleString(text) => RedisResult::Status(text.clone()),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::Boolean(yes) => RedisResult::Int64(i64::from(*yes)),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::BigNumber(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::Array(values) | Value::Set(values) => {
            return values.iter().try_for_each(|value| flatten(value, flat));
        }
        Value::ServerError(error) => return Err(error.clone().into()),
        _ => {
            let what = "a reply of this kind has no form in spin:redis";
            return Err(redis::RedisError::from((redis::ErrorKind::TypeError, what)));
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    #[test]
    fn nested_replies_are_laid_flat() {
        let reply = Value::Array(vec![
            Value::Int(1),
            Value::Array(vec![Value::BulkString(b"a".to_vec()), Value::Nil]),
            Value::Okay,
        ]);
        let flat = Flat::from_redis_value(&reply).unwrap().0;
        assert!(matches!(
            flat.as_slice(),
            [RedisResult::Int64(1), RedisResult::Binary(_), RedisResult::Nil, RedisResult::Status(ok)] if ok == "OK"
        ));
        assert!(Flat::from_redis_value(&Value::Map(Vec::new())).is_err());
    }

    #[test]
    fn without_a_server_scripts_find_nothing_and_the_rest_says_what_it_needs() {
        assert!(without_server("EVAL").unwrap().is_empty());
        assert!(
            matches!(without_server("LPUSH"), Err(Error::Other(why)) if why.contains("--redis"))
        );
    }
}
