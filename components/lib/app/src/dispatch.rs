//! The dispatcher: rings the queues that have work, and does what time makes necessary.

use std::cell::Cell;

use futures::future::join_all;
use trawl_core::limits::sweep::{
    CHORES_EVERY_MS, PURGE_EVERY_MS, PURGE_ROWS_MAX, PURGES_MAX, RESCUE_EVERY_MS,
    RESCUE_SPREAD_PERCENT, TICK_LATE_MS,
};
use trawl_store::{Rescued, Store, StoreError};

use crate::channels::{CALLBACK_QUEUE, channel_of};
use crate::ports::{Bell as _, Clock as _, Ports, Variables as _};
use crate::settings::KeepingSettings;

/// What one message led to, beside rings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// Retries that came due.
    pub woken: u64,
    /// Jobs whose lease had expired.
    pub rescued: Rescued,
    /// Callbacks whose lease had expired.
    pub callbacks_rescued: Rescued,
    /// Old rows removed.
    pub purged: u64,
}

thread_local! {
    /// When this instance last did the chores of a tick. A host that starts an instance for each message loses this, and
    /// does them a little oftener.
    static CHORES_DONE_MS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A message was received: something new waits, or a second has passed. Which of the two, the message does not say; a host
/// passes no channel's name. So the scrapers that can claim something are rung each time, which is one read, and the chores are
/// done once a second. Every node does them; what two of them do at once is done once, by the statements' own conditions.
///
/// # Errors
/// When the database fails; the next tick tries again.
pub async fn dispatch<P: Ports>(ports: &P) -> Result<Dispatched, StoreError> {
    let now_ms = ports.clock().monotonic_ms();
    let lately = |done_ms: u64| now_ms >= done_ms && now_ms < done_ms + CHORES_EVERY_MS;
    let mut chores = Ok(Dispatched::default());
    if !CHORES_DONE_MS.get().is_some_and(lately) {
        CHORES_DONE_MS.set(Some(now_ms));
        chores = do_chores(ports).await;
    }
    // Together, since a ring may be put off for a moment.
    let waiting = Store::new(ports.sql()).waiting().await?;
    join_all(
        waiting
            .now
            .into_iter()
            .map(|kind| ports.bell().ring(channel_of(kind))),
    )
    .await;
    chores
}

/// What time makes necessary. One chore that fails keeps no other from its turn: retries and expired leases must not wait for a
/// statement that can't be had. The first error is told.
async fn do_chores<P: Ports>(ports: &P) -> Result<Dispatched, StoreError> {
    let store = Store::new(ports.sql());
    let mut failed = None;
    let mut dispatched = Dispatched {
        woken: unless_failed(&mut failed, store.wake().await),
        ..Dispatched::default()
    };
    let node = ports
        .variables()
        .get("replica_id")
        .await
        .unwrap_or_default();
    let now_ms = ports.clock().now_ms();
    if falls_due(RESCUE_EVERY_MS, &node, now_ms) {
        dispatched.rescued = unless_failed(&mut failed, store.rescue().await);
        dispatched.callbacks_rescued = unless_failed(&mut failed, store.rescue_callbacks().await);
    }
    // The last purge left something behind: it goes on now, so that more can go than comes.
    let goes_on = unless_failed(&mut failed, store.purge_goes_on().await);
    if goes_on || falls_due(PURGE_EVERY_MS, &node, now_ms) {
        dispatched.purged = unless_failed(&mut failed, purge(ports, goes_on).await);
    }
    if unless_failed(&mut failed, store.callbacks_waiting().await) {
        ports.bell().ring(CALLBACK_QUEUE).await;
    }
    failed.map_or(Ok(dispatched), Err)
}

/// The value, or that of nothing done, with the error kept when it is the first.
fn unless_failed<T: Default>(failed: &mut Option<StoreError>, result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| {
        failed.get_or_insert(error);
        T::default()
    })
}

/// Removes what is old, in short statements, while there is more. `went_on`: the purge before left something behind.
async fn purge<P: Ports>(ports: &P, went_on: bool) -> Result<u64, StoreError> {
    let store = Store::new(ports.sql());
    let keeping = KeepingSettings::read(ports.variables()).await;
    let (mut rows, mut goes_on, mut rounds) = (0, true, 0);
    let mut outcome = Ok(());
    while goes_on && rounds < PURGES_MAX {
        let purge = store.purge(keeping.result_days, keeping.message_days, PURGE_ROWS_MAX);
        goes_on = match purge.await {
            Ok(purged) => {
                rows += purged.rows;
                purged.goes_on
            }
            // What can't be done now would be tried every second, by each node; once a minute is enough.
            Err(error) => {
                outcome = Err(error);
                false
            }
        };
        rounds += 1;
    }
    if goes_on != went_on {
        store.set_purge_goes_on(goes_on).await?;
    }
    outcome.map(|()| rows)
}

/// Whether this tick is the one of its period. Instances remember nothing, so the moment is computed: in each period
/// there is one, at a place that depends on the node and varies by [`RESCUE_SPREAD_PERCENT`], so that nodes do not sweep
/// together. A tick that comes up to [`TICK_LATE_MS`] after the moment takes it; two ticks may both do, which harms nobody.
fn falls_due(period_ms: u64, node: &str, now_ms: i64) -> bool {
    let now_ms = u64::try_from(now_ms).unwrap_or_default();
    let phase_ms = mix(node
        .bytes()
        .fold(0, |hash, byte| mix(hash ^ u64::from(byte))))
        % period_ms;
    let shifted_ms = now_ms + phase_ms;
    let (period, place_ms) = (shifted_ms / period_ms, shifted_ms % period_ms);
    let spread_ms = period_ms * RESCUE_SPREAD_PERCENT / 100;
    let moment_ms = mix(period ^ phase_ms) % (spread_ms + 1);
    (moment_ms..moment_ms + TICK_LATE_MS).contains(&place_ms)
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trawl_core::state::{Kind, State};
    use trawl_store::sql::Sql as _;

    use super::*;
    use crate::channels::TYPE_2_QUEUE;
    use crate::scrape::{Html, drain};
    use crate::testing::{Reply, World};

    #[test]
    fn an_idle_message_costs_a_few_reads_and_rings_nobody() {
        let world = World::without_robots(|_| Reply::html("x"));
        world.run(dispatch(&world.ports)).unwrap();
        world.run(dispatch(&world.ports)).unwrap();
        let statements = world.ports.sql.statements();
        assert!(statements.len() <= 6, "{statements:?}");
        assert!(
            statements
                .iter()
                .all(|statement| statement.contains("SELECT") && !statement.contains("UPDATE"))
        );
        assert_eq!(world.ports.bell.rings_in_all(), 0);
    }

    #[test]
    fn waiting_work_is_rung_for_by_its_kind() {
        let world = World::without_robots(|_| Reply::html("x"));
        world.submit_url(Kind::Html, "https://a.example/");
        world.run(dispatch(&world.ports)).unwrap();
        assert_eq!(
            (
                world.ports.bell.rings(TYPE_2_QUEUE),
                world.ports.bell.rings_in_all()
            ),
            (1, 1)
        );
    }

    #[test]
    fn time_brings_back_retries_and_jobs_of_dead_workers() {
        let world = World::without_robots(|_| Reply::status(503));
        let retried = world.submit_url(Kind::Html, "https://a.example/");
        world.run(drain(&world.ports, &Html)).unwrap();
        let orphan = world.submit_url(Kind::Html, "https://b.example/");
        world
            .run(world.store().claim(Kind::Html, 1, "dies", 60))
            .unwrap();
        let mut sum = Dispatched::default();
        for _ in 0..75 {
            world.elapse(Duration::from_secs(1));
            let dispatched = world.run(dispatch(&world.ports)).unwrap();
            sum.woken += dispatched.woken;
            sum.rescued.requeued += dispatched.rescued.requeued;
        }
        assert_eq!((sum.woken, sum.rescued.requeued), (1, 1));
        assert_eq!(
            (world.state(retried).0, world.state(orphan).0),
            (State::Queued, State::Queued)
        );
        assert!(world.ports.bell.rings(TYPE_2_QUEUE) > 1);
    }

    #[test]
    fn time_brings_back_callbacks_of_dead_workers() {
        let world = World::without_robots(|_| Reply::html("x"));
        world.submit_url(Kind::Html, "https://a.example/");
        world.run(drain(&world.ports, &Html)).unwrap();
        let claimed = world.run(world.store().claim_callbacks(1, "dies", 60));
        assert_eq!(claimed.unwrap().len(), 1);
        let mut requeued = 0;
        for _ in 0..75 {
            world.elapse(Duration::from_secs(1));
            let dispatched = world.run(dispatch(&world.ports)).unwrap();
            requeued += dispatched.callbacks_rescued.requeued;
        }
        assert_eq!(requeued, 1);
        assert!(world.run(world.store().callbacks_waiting()).unwrap());
        assert!(world.ports.bell.rings(CALLBACK_QUEUE) > 1);
    }

    #[test]
    fn a_chore_that_fails_keeps_no_other_from_its_turn() {
        let world = World::without_robots(|_| Reply::status(503));
        let retried = world.submit_url(Kind::Html, "https://a.example/");
        world.run(drain(&world.ports, &Html)).unwrap();
        world
            .run(world.ports.sql.run(
                "INSERT INTO endpoints (tenant, url, throttled_until) VALUES (1, 'https://b.example/', 1)",
                Vec::new(),
            ))
            .unwrap();
        world.submit_url(Kind::Html, "https://b.example/");
        world.ports.sql.refuse(Some("UPDATE endpoints"));
        world.elapse(Duration::from_secs(30));
        world.run(dispatch(&world.ports)).unwrap_err();
        assert_eq!(
            world
                .ports
                .sql
                .number("SELECT COUNT(*) FROM Messages WHERE stage = 2"),
            0,
            "the retry of {retried} is woken"
        );
        assert_eq!(
            world.ports.bell.rings(TYPE_2_QUEUE),
            1,
            "and who can claim is rung"
        );
    }

    #[test]
    fn a_purge_goes_on_while_there_is_more() {
        let world = World::without_robots(|_| Reply::html("x"));
        world.run(dispatch(&world.ports)).unwrap();
        world
            .run(world.ports.sql.run(
                "INSERT INTO login_failures (key, failures, first_ms, last_ms)
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
                 SELECT 'name:' || i, 1, 0, 0 FROM n",
                Vec::new(),
            ))
            .unwrap();
        let mut purged = Vec::new();
        for _ in 0..75 {
            world.elapse(Duration::from_secs(1));
            let gone = world.run(dispatch(&world.ports)).unwrap().purged;
            // Hosts end an instance after its message: what it leaves is known to the next one by the database alone.
            CHORES_DONE_MS.set(None);
            let goes_on = world.run(world.store().purge_goes_on()).unwrap();
            assert_eq!(goes_on, gone == 4_000);
            if gone > 0 || !purged.is_empty() {
                purged.push(gone);
            }
        }
        assert_eq!(purged[..4], [4_000, 4_000, 1_000, 0], "second by second");
    }

    /// What can't be done is tried again with the next period, not every second by each node; and keeps no other table from its turn.
    #[test]
    fn a_purge_that_fails_does_not_go_on() {
        let world = World::without_robots(|_| Reply::html("x"));
        world.run(dispatch(&world.ports)).unwrap();
        let insert = "INSERT INTO login_failures (key, failures, first_ms, last_ms)
                      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
                      SELECT 'name:' || i, 1, 0, 0 FROM n";
        world.run(world.ports.sql.run(insert, Vec::new())).unwrap();
        world.run(world.store().set_purge_goes_on(true)).unwrap();
        world.ports.sql.refuse(Some("DELETE FROM results"));
        world.elapse(Duration::from_secs(1));
        world.run(dispatch(&world.ports)).unwrap_err();
        let left = "SELECT COUNT(*) FROM login_failures";
        assert_eq!(world.ports.sql.number(left), 100);
        assert!(!world.run(world.store().purge_goes_on()).unwrap());
    }

    /// The moments of a minute at which a node whose ticks come every `step_ms` sweeps.
    fn sweeps(node: &str, start_ms: i64, step_ms: usize) -> Vec<i64> {
        (start_ms..start_ms + 60_000)
            .step_by(step_ms)
            .filter(|now| falls_due(RESCUE_EVERY_MS, node, *now))
            .collect()
    }

    #[test]
    fn every_period_has_its_sweep_even_when_ticks_drift() {
        for (node, start_ms, step_ms) in [
            ("app1", 1_795_392_000_000, 1_000),
            ("app2", 1_795_392_000_333, 1_090),
            ("", 0, 900),
        ] {
            let moments = sweeps(node, start_ms, step_ms);
            assert!(
                (11..=26).contains(&moments.len()),
                "{node}: {}",
                moments.len()
            );
            let longest = moments.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(
                longest.is_some_and(|gap_ms| gap_ms <= 7_200),
                "{node}: {longest:?}"
            );
        }
    }

    #[test]
    fn nodes_do_not_sweep_together() {
        let nodes = (1..=8).map(|number| sweeps(&format!("app{number}"), 0, 1_000));
        let nodes: Vec<_> = nodes.collect();
        let (mut together, mut all) = (0, 0);
        for (index, one) in nodes.iter().enumerate() {
            for other in &nodes[..index] {
                all += one.len();
                together += one.iter().filter(|moment| other.contains(moment)).count();
            }
        }
        // By chance it is a quarter; with one moment for all it would be everything.
        assert!(together * 2 < all, "{together} of {all}");
    }
}
