//! Ports for tests: a web of closures, a clock that only moves when everybody waits, a bell that counts.
//!
//! [`run`] drives a future to its end in virtual time: whenever nothing can go on, the clock jumps to the next
//! sleeper. A minute of stalled servers passes in microseconds, the same way each time.

mod clock;
#[cfg(test)]
mod memory;
mod web;
#[cfg(test)]
mod world;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use trawl_store::sql::Sql;

use crate::ports::{Bell, Ports, Random, Unreadable, Variables};

pub use clock::{VirtualClock, run};
#[cfg(test)]
pub(crate) use memory::Memory;
pub use web::{FakeBody, FakeHttp, Reply, Sent};
#[cfg(test)]
pub(crate) use world::{LIMITS, World};

/// All ports, over any database.
pub struct FakePorts<S> {
    /// The database.
    pub sql: S,
    /// The web.
    pub http: FakeHttp,
    /// Time.
    pub clock: VirtualClock,
    /// Repeatable randomness.
    pub random: SeededRandom,
    /// Counts rings.
    pub bell: CountingBell,
    /// Variables by name.
    pub variables: MapVariables,
}

impl<S> FakePorts<S> {
    /// Ports over `sql`, in a web that answers each request with `serve`.
    pub fn new(sql: S, clock: VirtualClock, serve: impl Fn(&Sent) -> Reply + 'static) -> Self {
        Self {
            sql,
            http: FakeHttp::new(clock.clone(), serve),
            clock,
            random: SeededRandom::default(),
            bell: CountingBell::default(),
            variables: MapVariables::default(),
        }
    }
}

impl<S: Sql> Ports for FakePorts<S> {
    type Sql = S;
    type Http = FakeHttp;
    type Clock = VirtualClock;
    type Random = SeededRandom;
    type Bell = CountingBell;
    type Variables = MapVariables;

    fn sql(&self) -> &S {
        &self.sql
    }

    fn http(&self) -> &FakeHttp {
        &self.http
    }

    fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    fn random(&self) -> &SeededRandom {
        &self.random
    }

    fn bell(&self) -> &CountingBell {
        &self.bell
    }

    fn variables(&self) -> &MapVariables {
        &self.variables
    }
}

/// The same bytes in each run (a linear congruential generator with the constants of Numerical Recipes).
#[derive(Debug)]
pub struct SeededRandom(Cell<u32>);

impl Default for SeededRandom {
    fn default() -> Self {
        Self(Cell::new(42))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let next = self
                .0
                .get()
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            self.0.set(next);
            *byte = next.to_be_bytes()[0];
        }
    }
}

/// Counts the rings of each channel.
#[derive(Debug, Default)]
pub struct CountingBell(RefCell<BTreeMap<&'static str, u32>>);

impl CountingBell {
    /// How often `channel` was rung.
    pub fn rings(&self, channel: &str) -> u32 {
        self.0.borrow().get(channel).copied().unwrap_or_default()
    }

    /// How often any channel was rung.
    pub fn rings_in_all(&self) -> u32 {
        self.0.borrow().values().sum()
    }
}

impl Bell for CountingBell {
    async fn ring(&self, channel: &'static str) {
        *self.0.borrow_mut().entry(channel).or_default() += 1;
    }
}

/// Variables of a map.
#[derive(Debug, Default)]
pub struct MapVariables {
    values: RefCell<HashMap<&'static str, String>>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl MapVariables {
    /// Sets one.
    pub fn set(&self, name: &'static str, value: &str) {
        self.values.borrow_mut().insert(name, value.to_owned());
    }

    /// The names that were asked for, set or not.
    pub fn asked(&self) -> BTreeSet<&'static str> {
        self.asked.borrow().clone()
    }
}

/// A variable with this value can't be read.
pub const UNREADABLE: &str = "\0unreadable";

impl Variables for MapVariables {
    async fn get(&self, name: &'static str) -> Option<String> {
        self.asked.borrow_mut().insert(name);
        self.values
            .borrow()
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    async fn read(&self, name: &'static str) -> Result<Option<String>, Unreadable> {
        let value = self.get(name).await;
        if value.as_deref() == Some(UNREADABLE) {
            return Err(Unreadable);
        }
        Ok(value)
    }
}
