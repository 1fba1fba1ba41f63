//! The balancer: a fleet of replicas that can be exchanged while it works.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use trawl_core::{client::counted, limits::balance as limits};

use crate::{
    backend::LocalReplicas,
    body::{Body, BoxError},
    budget::RetryBudget,
    clients::{ClientRules, Clients, TooMany},
    clock::Clock,
    config::{BalanceConfig, ReplicaConfig},
    fleet::{Fleet, gate_rules},
    large::{LargeAnswers, LargeBodies},
    probe, reload,
    remote::Remote,
    replica::{Backend, Replica},
    server::Handler,
};

/// Why a configuration could not be applied.
#[derive(Debug, thiserror::Error)]
#[error("replica {id}: {cause}")]
pub struct ApplyError {
    /// The replica that could not be made.
    pub id: String,
    /// The host's reason. (No `source`: its words stand in the line above.)
    pub cause: BoxError,
}

/// Chooses a replica for each request, and passes it on.
pub struct Balancer {
    pub(crate) fleet: ArcSwap<Fleet>,
    pub(crate) clock: Clock,
    pub(crate) totals: Totals,
    pub(crate) large: LargeAnswers,
    pub(crate) large_bodies: LargeBodies,
    locals: Arc<dyn LocalReplicas>,
    budget: Mutex<RetryBudget>,
    clients: Arc<Mutex<Clients>>,
    reload_error: Mutex<Option<String>>,
    /// One `apply` at a time.
    applying: Mutex<()>,
}

/// What happened in front of the replicas.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) retries_refused: AtomicU64,
    pub(crate) refused_out: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) refused_client: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) reloads: AtomicU64,
}

impl Balancer {
    /// A balancer over the replicas of `config`; `locals` makes those that have no address.
    ///
    /// # Errors
    /// A local replica that could not be made, or a remote one that is this host itself.
    pub fn new(
        config: BalanceConfig,
        locals: Arc<dyn LocalReplicas>,
    ) -> Result<Arc<Self>, ApplyError> {
        let clock = Clock::new();
        let replicas = replicas(&config, None, locals.as_ref())?;
        Ok(Arc::new(Self {
            fleet: ArcSwap::from_pointee(Fleet::new(config, replicas, clock)),
            clock,
            totals: Totals::default(),
            large: LargeAnswers::default(),
            large_bodies: LargeBodies::default(),
            locals,
            budget: Mutex::new(RetryBudget::new(
                limits::RETRY_WINDOW_MS,
                limits::RETRY_RESERVE,
            )),
            clients: Arc::default(),
            reload_error: Mutex::default(),
            applying: Mutex::default(),
        }))
    }

    /// Puts `config` in the place of the present one. Replicas that stay keep their connections, counts and health; those
    /// that go finish what they have.
    ///
    /// # Errors
    /// A local replica that could not be made, or a remote one that is this host itself; nothing is changed then.
    pub fn apply(&self, config: BalanceConfig) -> Result<(), ApplyError> {
        let _one = lock(&self.applying);
        let present = self.fleet.load_full();
        let replicas = replicas(&config, Some(&present), self.locals.as_ref())?;
        self.fleet
            .store(Arc::new(Fleet::new(config, replicas, self.clock)));
        self.totals.reloads.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Watches the balance file, checks replicas, and forgets quiet clients; runs until `stop` completes.
    pub async fn run(
        self: Arc<Self>,
        file: Option<PathBuf>,
        stop: impl Future<Output = ()> + Send,
    ) {
        let checks = probe::check_forever(&self);
        let reloads = reload::watch_forever(&self, file);
        tokio::select! {
            () = stop => {}
            () = checks => {}
            () = reloads => {}
        }
    }

    /// The configuration that is in force.
    #[must_use]
    pub fn config(&self) -> BalanceConfig {
        self.fleet.load().config.clone()
    }

    /// How many replicas may be chosen at this moment.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.fleet.load().usable()
    }

    /// The network to count a request of `address` for; `None` when that is no single client, and no limit of one counts it: this machine,
    /// and trusted proxies.
    pub(crate) fn counted(fleet: &Fleet, address: IpAddr) -> Option<IpAddr> {
        counted(address).filter(|_| !fleet.trusts(address))
    }

    /// Counts a request of a client of `network`, until the ticket is dropped.
    pub(crate) fn admit_client(
        &self,
        fleet: &Fleet,
        network: Option<IpAddr>,
    ) -> Result<Option<Arc<Ticket>>, TooMany> {
        let Some(address) = network else {
            return Ok(None);
        };
        let rules = ClientRules {
            in_flight_max: fleet.config.client_in_flight_max,
            per_second: fleet.config.client_requests_per_second,
            clients_max: limits::CLIENTS_MAX,
        };
        lock(&self.clients).enter(address, self.clock.now_ms(), &rules)?;
        Ok(Some(Arc::new(Ticket {
            clients: Arc::clone(&self.clients),
            address,
        })))
    }

    pub(crate) fn budget(&self) -> MutexGuard<'_, RetryBudget> {
        lock(&self.budget)
    }

    pub(crate) fn forget_quiet_clients(&self) {
        lock(&self.clients).forget_quiet(self.clock.now_ms());
    }

    pub(crate) fn reload_error(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.reload_error)
    }
}

impl Handler for Balancer {
    async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        Self::handle(self, request, peer).await
    }

    fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.fleet.load().trusts(peer)
    }
}

/// A request of a client, in flight.
pub(crate) struct Ticket {
    clients: Arc<Mutex<Clients>>,
    address: IpAddr,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.clients).leave(self.address);
    }
}

/// The replicas of `config`; those of the `present` fleet with the same id and address go on as they are.
fn replicas(
    config: &BalanceConfig,
    present: Option<&Fleet>,
    locals: &dyn LocalReplicas,
) -> Result<Vec<Arc<Replica>>, ApplyError> {
    let make = |replica: &ReplicaConfig| {
        let kept = present.and_then(|fleet| {
            fleet
                .slots
                .iter()
                .find(|slot| is_same(&slot.config, replica))
        });
        if let Some(slot) = kept {
            return Ok(Arc::clone(&slot.replica));
        }
        let backend = match &replica.url {
            Some(origin) if locals.is_own(origin) => {
                return Err(ApplyError {
                    id: replica.id.clone(),
                    cause: format!(
                        "{origin} is where this host itself listens; leave url out for a local replica"
                    )
                    .into(),
                });
            }
            Some(origin) => Backend::Remote(Arc::new(Remote::new(origin.clone()))),
            None => Backend::Local(locals.open(replica).map_err(|cause| ApplyError {
                id: replica.id.clone(),
                cause,
            })?),
        };
        let gate = gate_rules(config, replica);
        Ok(Arc::new(Replica::new(replica.id.clone(), backend, gate)))
    };
    config.replicas.iter().map(make).collect()
}

/// A local replica with other memory is another set of instances.
fn is_same(old: &ReplicaConfig, new: &ReplicaConfig) -> bool {
    old.id == new.id
        && old.url == new.url
        && (new.url.is_some() || old.memory_mb_max == new.memory_mb_max)
}

/// A panic elsewhere leaves plain counters behind the lock, which are still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::LocalBackend,
        config::{Origin, StrategyKind},
    };

    /// A host that listens on port 3000 of anything.
    struct Host;

    impl LocalReplicas for Host {
        fn open(&self, _: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
            Err("there are none".into())
        }

        fn is_own(&self, address: &Origin) -> bool {
            address.port == 3000
        }
    }

    #[test]
    fn a_host_is_no_replica_of_its_own() {
        let config = |port: u16| {
            let url = Origin {
                host: "127.0.0.1".to_owned(),
                port,
            };
            let replica = ReplicaConfig::new("a", Some(url));
            BalanceConfig::new(StrategyKind::RoundRobin, vec![replica])
        };
        let told = Balancer::new(config(3000), Arc::new(Host)).err().unwrap();
        let told = told.to_string();
        assert!(
            told.contains("replica a") && told.contains("http://127.0.0.1:3000"),
            "{told}"
        );
        let balancer = Balancer::new(config(3001), Arc::new(Host)).unwrap();
        assert!(balancer.apply(config(3000)).is_err());
        assert_eq!(balancer.config(), config(3001));
    }
}
