//! trawl-spin: the ports of `trawl-app` over spin-sdk. The only crate that calls spin-sdk; the roles use nothing of it but what they need to be entered.
//!
//! One instance of a component holds one set of ports ([`SpinPorts::open`]): a database connection, a doorbell
//! connection and a cache of the variables. They are opened when first used and opened again after an error.

#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
mod allocator;
mod bell;
mod body;
mod detached;
mod incoming;
mod outgoing;
mod producers;
mod random;
mod sql;
mod time;
mod variables;

use std::rc::Rc;

use trawl_app::ports::Ports;

pub use bell::SpinBell;
pub use body::SpinBody;
pub use incoming::serve;
pub use outgoing::SpinHttp;
pub use producers::SpinProducerList;
pub use random::SpinRandom;
pub use sql::SpinSql;
pub use time::SpinClock;
pub use variables::SpinVariables;

thread_local! {
    /// What lives as long as the instance. A component is one thread, so this is the instance's own.
    static INSTANCE: Rc<Instance> = Rc::default();
}

#[derive(Default)]
struct Instance {
    sql: SpinSql,
    http: SpinHttp,
    clock: SpinClock,
    random: SpinRandom,
    bell: SpinBell,
    variables: SpinVariables,
}

/// The ports of this instance. A clone is one pointer, so that work after the answer can own its ports.
#[derive(Clone)]
pub struct SpinPorts(Rc<Instance>);

impl SpinPorts {
    /// The ports of this instance. Nothing is dialled here: the database is opened, and brought to the current
    /// schema, at the first statement, so that a liveness route answers even without a database.
    #[must_use]
    pub fn open() -> Self {
        Self(INSTANCE.with(Rc::clone))
    }

    /// The lists of durable Redis producers, on the server that the variable `redis_url` names; `None` when it is not set.
    pub async fn producer_list(&self) -> Option<SpinProducerList> {
        use trawl_app::ports::Variables as _;
        let address = self.0.variables.get("redis_url").await?;
        Some(SpinProducerList::new(address))
    }
}

/// Lets `work` go on after the answer was returned. Only an HTTP entry may use it: what a Redis entry
/// spawns is dropped when the entry returns.
pub fn after_answer(work: impl Future<Output = ()> + 'static) {
    spin_sdk::wasip3::spawn(work);
}

/// Writes an invocation's failure to the log. It is no error to the host, which could only log it again: what was left
/// undone stands in the database, and the next ring or tick finds it there.
pub fn log_failure<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) {
    if let Err(error) = result {
        eprintln!("{what}: {error}");
    }
}

impl Ports for SpinPorts {
    type Sql = SpinSql;
    type Http = SpinHttp;
    type Clock = SpinClock;
    type Random = SpinRandom;
    type Bell = SpinBell;
    type Variables = SpinVariables;

    fn sql(&self) -> &SpinSql {
        &self.0.sql
    }

    fn http(&self) -> &SpinHttp {
        &self.0.http
    }

    fn clock(&self) -> &SpinClock {
        &self.0.clock
    }

    fn random(&self) -> &SpinRandom {
        &self.0.random
    }

    fn bell(&self) -> &SpinBell {
        &self.0.bell
    }

    fn variables(&self) -> &SpinVariables {
        &self.0.variables
    }
}
