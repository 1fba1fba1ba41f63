//! Makes local replicas: for each component its rights, with the replica's own id.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use trawl_balance::{
    BalanceConfig, BoxError, LocalBackend, LocalReplicas, Origin, ReplicaConfig, check_id,
};
use trawl_core::address::AddressPolicy;
use trawl_core::client::THIS_MACHINE;
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
use crate::variables::{Variables, in_environment};

/// The variable that says which replica an answer comes from.
const REPLICA_ID: &str = "replica_id";

/// Opens the replicas that the balancer asks for.
pub(crate) struct Locals {
    /// What they run.
    pub(crate) application: Arc<Application>,
    /// Where the host listens.
    pub(crate) own: SocketAddr,
}

impl LocalReplicas for Locals {
    fn open(&self, replica: &ReplicaConfig) -> Result<Arc<dyn LocalBackend>, BoxError> {
        let application = &self.application;
        let variables = application.variables.with(REPLICA_ID, &replica.id);
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
        let precedence = Arc::clone(&application.precedence);
        let made = Replica::new(application.engine.clone(), routes, instances, precedence);
        application.crew.join(&made);
        Ok(made)
    }

    fn is_own(&self, address: &Origin) -> bool {
        is_own(self.own, address)
    }
}

/// Whether an address leads back to the front door at `own`. A name other than `localhost` is not looked up: what it means is
/// the name server's to say, and may change.
fn is_own(own: SocketAddr, address: &Origin) -> bool {
    let leads_here = |ip: IpAddr| listens_at(own, SocketAddr::new(ip, address.port));
    let host = address.host.trim_matches(['[', ']']);
    match host.parse() {
        Ok(ip) => leads_here(ip),
        Err(_) => {
            host.eq_ignore_ascii_case("localhost") && THIS_MACHINE.into_iter().any(leads_here)
        }
    }
}

/// Whether the front door at `own` listens there: at the unspecified address it does at all addresses of the machine, public ones too.
fn listens_at(own: SocketAddr, address: SocketAddr) -> bool {
    let (own_ip, ip) = (own.ip().to_canonical(), address.ip().to_canonical());
    // Whoever connects to the unspecified address comes to this machine.
    own.port() == address.port()
        && (own_ip == ip
            || (own_ip.is_unspecified() && is_of_this_machine(ip))
            || (ip.is_unspecified() && own_ip.is_loopback()))
}

/// An address that can be bound is one of ours.
fn is_of_this_machine(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
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
            mib.saturating_mul(1 << 20)
                .min(application.memory_bytes_max)
        }),
    })
}

/// The replicas of the command line, or those of the balance file.
///
/// # Errors
/// A balance file that is refused, or a `replica_id` that can't be one.
pub(crate) fn balance(options: &Up) -> anyhow::Result<BalanceConfig> {
    if let Some(file) = &options.balance_file {
        return Ok(BalanceConfig::read(file)?);
    }
    let given = given(options, REPLICA_ID, |name| std::env::var(name).ok());
    let replicas = ids(given, options.replicas)?
        .into_iter()
        .map(|id| ReplicaConfig::new(id, None));
    let mut config = BalanceConfig::new(options.balance, replicas.collect());
    config.trusted_proxies = options.front.trusted_proxy.clone();
    Ok(config)
}

/// What somebody set a variable to, on the command line or in the environment; the manifest's default is nobody's wish.
fn given(options: &Up, name: &str, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let on_command_line = options
        .variables
        .iter()
        .rev()
        .find(|(given, _)| given == name);
    on_command_line
        .map(|(_, value)| value.clone())
        .or_else(|| environment(&in_environment(name)))
        .filter(|value| !value.is_empty())
}

/// The ids of the local replicas: the given one for a single replica, with a number for several.
fn ids(given: Option<String>, count: u16) -> anyhow::Result<Vec<String>> {
    let ids: Vec<String> = match given {
        Some(id) if count == 1 => vec![id],
        given => {
            let stem = given.as_deref().unwrap_or("trawl");
            (1..=count)
                .map(|number| format!("{stem}-{number}"))
                .collect()
        }
    };
    for id in &ids {
        check_id(id).map_err(|error| anyhow::anyhow!("the variable {REPLICA_ID}: {error}"))?;
    }
    Ok(ids)
}

/// Asks the policy of the component that wants to connect.
struct Policies {
    of: HashMap<String, AddressPolicy>,
    own: SocketAddr,
}

impl AddressCheck for Policies {
    fn permits(&self, class: &Class, address: SocketAddr) -> bool {
        let policy = self.of.get(class.name());
        policy.is_some_and(|policy| policy.permits(address)) && !listens_at(self.own, address)
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
    let policies = Policies {
        of: policies.collect::<anyhow::Result<_>>()?,
        own,
    };
    Ok(Client::new(options, policies)?)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(arguments: &[&str]) -> Up {
        let arguments = ["trawl", "up"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Up(options) => *options,
            _ => panic!("`up` was asked for"),
        }
    }

    #[test]
    fn a_host_knows_its_own_address_by_all_its_names() {
        let is_own = |own: &str, url: &str| {
            is_own(
                own.parse().unwrap(),
                &Origin::try_from(url.to_owned()).unwrap(),
            )
        };
        for (own, url) in [
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("127.0.0.1:3000", "http://LocalHost:3000"),
            ("127.0.0.1:3000", "http://0.0.0.0:3000"),
            ("[::1]:3000", "http://localhost:3000"),
            ("0.0.0.0:3000", "http://127.0.0.1:3000"),
            ("0.0.0.0:80", "http://127.0.0.7"),
            ("[::]:3000", "http://[::ffff:127.0.0.1]:3000"),
        ] {
            assert!(is_own(own, url), "{url} at {own}");
        }
        for (own, url) in [
            ("127.0.0.1:3000", "http://127.0.0.1:3001"),
            ("127.0.0.1:3000", "http://127.0.0.2:3000"),
            ("0.0.0.0:3000", "http://192.0.2.1:3000"),
            ("0.0.0.0:3000", "http://app1.example:3000"),
        ] {
            assert!(!is_own(own, url), "{url} at {own}");
        }
    }

    #[test]
    fn a_replica_has_the_id_that_somebody_gave_it() {
        let environment =
            |name: &str| (name == "SPIN_VARIABLE_REPLICA_ID").then(|| "of-env".to_owned());
        let given = |arguments: &[&str]| given(&options(arguments), REPLICA_ID, environment);
        assert_eq!(given(&[]).as_deref(), Some("of-env"));
        let flag = "--variable=replica_id=of-flag";
        assert_eq!(given(&[flag]).as_deref(), Some("of-flag"));
        assert_eq!(given(&["--variable=replica_id="]), None);

        let ids = |given: Option<&str>, count| ids(given.map(ToOwned::to_owned), count);
        assert_eq!(ids(None, 2).unwrap(), ["trawl-1", "trawl-2"]);
        assert_eq!(ids(Some("eu"), 1).unwrap(), ["eu"]);
        assert_eq!(ids(Some("eu"), 2).unwrap(), ["eu-1", "eu-2"]);
        let error = ids(Some("e u"), 1).unwrap_err().to_string();
        assert!(
            error.contains("replica_id") && error.contains("e u"),
            "{error}"
        );
        assert!(ids(Some(&"e".repeat(64)), 10).is_err());
    }
}
