//! Makes local replicas: for each component its rights, with the replica's own id.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use trawl_balance::{BalanceConfig, BoxError, LocalBackend, LocalReplicas, ReplicaConfig};
use trawl_core::address::AddressPolicy;
use trawl_outbound::{AddressCheck, Class, Client};

use crate::allowed_hosts::AllowedHosts;
use crate::application::Application;
use crate::cli::{Networks, Up};
use crate::guest_output::LastLine;
use crate::http_trigger::Instances;
use crate::manifest::{Component, Manifest};
use crate::networks::policy;
use crate::part::{Part, Rights};
use crate::replica::Replica;
use crate::variables::Variables;

/// Opens the replicas that the balancer asks for.
pub(crate) struct Locals {
    /// What they run.
    pub(crate) application: Arc<Application>,
}

impl LocalReplicas for Locals {
    fn open(&self, replica: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        let application = &self.application;
        let variables = application.variables.with("replica_id", &replica.id);
        let instances = application.parts.values().map(|part| {
            Ok(Instances {
                part: Arc::clone(part),
                rights: Arc::new(rights(application, &variables, part, replica)?),
                engine: application.engine.clone(),
                reuse: application.reuse.clone(),
            })
        });
        let instances = instances.collect::<anyhow::Result<Vec<_>>>()?;
        let routes = Arc::clone(&application.routes);
        let made = Replica::new(application.engine.clone(), routes, instances);
        application.crew.join(&made);
        Ok(made)
    }
}

fn rights(
    application: &Application,
    variables: &Variables,
    part: &Part,
    replica: &ReplicaConfig,
) -> anyhow::Result<Rights> {
    let Some(component) = application.manifest.component.get(&*part.id) else {
        anyhow::bail!("there is no component {}", part.id);
    };
    let hosts = component
        .allowed_outbound_hosts
        .iter()
        .map(|host| variables.render(host));
    let memory_mb_max = replica.memory_mb_max.or(component.local.memory_mb_max);
    Ok(Rights {
        component: Arc::clone(&part.id),
        replica: Arc::from(replica.id.as_str()),
        variables: variables.render_all(&component.variables)?,
        variables_when_stopping: variables
            .with("stopping", "1")
            .render_all(&component.variables)?,
        stopping: application.stop.flag(),
        environment: component.environment.clone().into_iter().collect(),
        allowed_hosts: AllowedHosts::parse(&hosts.collect::<Result<Vec<_>, _>>()?)?,
        database: (!component.sqlite_databases.is_empty()).then(|| application.database.clone()),
        database_names: component.sqlite_databases.clone(),
        doorbell: Arc::clone(&application.doorbell),
        client: application.client.clone(),
        page: application.page.clone(),
        class: Class::new(&part.id),
        last_line: LastLine::default(),
        figures: Arc::clone(&part.figures),
        stacks: application.stacks.clone(),
        memory_bytes_max: memory_mb_max.map_or(application.memory_bytes_max, |mib| {
            (mib << 20).min(application.memory_bytes_max)
        }),
    })
}

/// The replicas of the command line, or those of the balance file.
///
/// # Errors
/// A balance file that is refused.
pub(crate) fn balance(options: &Up) -> anyhow::Result<BalanceConfig> {
    match &options.balance_file {
        Some(file) => Ok(BalanceConfig::read(file)?),
        None => Ok(of_flags(options)),
    }
}

fn of_flags(options: &Up) -> BalanceConfig {
    let replicas =
        (1..=options.replicas).map(|number| ReplicaConfig::new(format!("trawl-{number}"), None));
    let mut config = BalanceConfig::new(options.balance, replicas.collect());
    config.trusted_proxies = options.front.trusted_proxy.clone();
    config
}

/// Asks the policy of the component that wants to connect.
struct Policies(HashMap<String, AddressPolicy>);

impl AddressCheck for Policies {
    fn permits(&self, class: &Class, address: SocketAddr) -> bool {
        self.0
            .get(class.name())
            .is_some_and(|policy| policy.permits(address))
    }
}

/// The one client of the process.
///
/// # Errors
/// A network that can't be read, or a CA file that can't be used.
pub(crate) fn client(
    manifest: &Manifest,
    variables: &Variables,
    networks: &Networks,
    own: SocketAddr,
) -> anyhow::Result<Client> {
    let policy_of = |component: &Component| -> anyhow::Result<AddressPolicy> {
        let mut policy = policy(&variables.render_all(&component.variables)?)?;
        policy.deny_own = vec![own];
        policy.nat64_prefix = networks.nat64_prefix;
        Ok(policy)
    };
    let policies = manifest
        .component
        .iter()
        .map(|(id, component)| Ok((id.clone(), policy_of(component)?)));
    let options = trawl_outbound::Options {
        extra_ca_files: networks.ca_file.clone(),
        ..trawl_outbound::Options::default()
    };
    Ok(Client::new(
        options,
        Policies(policies.collect::<anyhow::Result<_>>()?),
    )?)
}
