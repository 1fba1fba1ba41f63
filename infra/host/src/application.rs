//! The application put together: manifest, variables, code, database, client, doorbell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trawl_outbound::Client;
use trawl_sqlite::{Database, SqliteError};
use wasmtime::Engine;

use crate::cli::{Switch, Up};
use crate::doorbell::crew::Crew;
use crate::doorbell::lane::Lane;
use crate::doorbell::threads::WorkerThreads;
use crate::doorbell::{Doorbell, Subscription, Wire};
use crate::engine::{EngineOptions, Profile, engine};
use crate::guest_stacks::GuestStacks;
use crate::http_trigger::Reuse;
use crate::manifest::Manifest;
use crate::part::{PageOnFile, Part};
use crate::parts::parts;
use crate::precedence::Precedence;
use crate::routes::Routes;
use crate::startup::without_password;
use crate::state_use::StateUse;
use crate::stop::Stop;
use crate::variables::Variables;
use crate::{cli, networks, private, secret, values, variables};

/// The database's file in the state directory.
pub(crate) const DATABASE: &str = "trawl.db";

/// An application, ready to have replicas.
pub(crate) struct Application {
    /// What runs instances.
    pub(crate) engine: Engine,
    /// As it was read.
    pub(crate) manifest: Manifest,
    /// With all values, but each replica's own id.
    pub(crate) variables: Variables,
    /// Which component answers which path.
    pub(crate) routes: Arc<Routes>,
    /// The components.
    pub(crate) parts: BTreeMap<String, Arc<Part>>,
    /// Everybody's database.
    pub(crate) database: Database,
    /// The mark on the directory that it lies in.
    pub(crate) state: StateUse,
    /// The way out.
    pub(crate) client: Client,
    /// What components find on the web, when they are not to reach it.
    pub(crate) page: Option<Arc<PageOnFile>>,
    /// Who is called for which message.
    pub(crate) doorbell: Arc<Doorbell>,
    /// What the doorbell listens to.
    pub(crate) subscriptions: Vec<Subscription>,
    /// Who does the work.
    pub(crate) crew: Arc<Crew>,
    /// Where they do it.
    pub(crate) _threads: WorkerThreads,
    /// Who goes first, they or those who ask.
    pub(crate) precedence: Arc<Precedence>,
    /// How instances are used.
    pub(crate) reuse: Reuse,
    /// Memory of an instance when nothing else is said.
    pub(crate) memory_bytes_max: usize,
    /// Where the stacks of guests are counted.
    pub(crate) stacks: Option<Arc<GuestStacks>>,
    /// The Redis server in use.
    pub(crate) redis: Option<String>,
    /// The end.
    pub(crate) stop: Stop,
}

impl Application {
    /// Reads and loads everything; nothing runs yet.
    ///
    /// # Errors
    /// One line that says what to do.
    pub(crate) fn load(options: &Up, own: SocketAddr, stop: Stop) -> anyhow::Result<Self> {
        let manifest = Manifest::read(&options.from)?;
        make_private_directory(&options.state_dir)?;
        let variables = variables(options, &manifest, own)?;
        // Before the components, which may have to be compiled: what is wrong with it is told at once.
        let client = crate::replicas::client(&manifest, &variables, &options.networks, own)?;
        let engine = engine(&engine_options(options, &manifest))?;
        let parts = parts(options, &manifest, &engine)?;
        let file = options.state_dir.join(DATABASE);
        let database = Database::open(&file, trawl_sqlite::Options::default())
            .map_err(|error| not_opened(&file, &error))?;
        let subscriptions = subscriptions(&manifest, &variables)?;
        let crew = Arc::<Crew>::default();
        let threads = WorkerThreads::start()?;
        let precedence = Arc::<Precedence>::default();
        let lanes = lanes(&parts, &crew, &precedence, &threads, options, &stop)?;
        let doorbell = Arc::new(Doorbell::new(wire(options), &subscriptions, &lanes));
        let routes = manifest
            .trigger
            .http
            .iter()
            .map(|trigger| (trigger.route.clone(), trigger.component.clone()));
        Ok(Self {
            routes: Arc::new(Routes::new(routes)),
            engine,
            manifest,
            variables,
            parts,
            database,
            state: StateUse::mark(&options.state_dir),
            client,
            page: None,
            doorbell,
            subscriptions,
            crew,
            precedence,
            _threads: threads,
            reuse: Reuse {
                concurrent_max: options.tuning.instance_concurrency,
                requests_max: options.tuning.instance_requests,
                idle: Duration::from_millis(options.tuning.instance_idle_ms),
            },
            memory_bytes_max: options.tuning.instance_memory_mb << 20,
            stacks: (options.tuning.profile == Profile::Guests)
                .then(|| Arc::new(GuestStacks::new(options.tuning.profile_file.clone()))),
            redis: options.redis.clone(),
            stop,
        })
    }
}

/// What to do about a database that can't be opened. Not to name another directory: there would be an empty service.
fn not_opened(file: &Path, error: &SqliteError) -> anyhow::Error {
    let file = file.display();
    let text = error.to_string();
    if matches!(error, SqliteError::Damaged(_)) {
        anyhow::anyhow!(
            "the database {file}, where --state-dir says, is damaged: restore a backup in its place, as the README says ({text})"
        )
    } else {
        anyhow::anyhow!(
            "can't open the database {file}, where --state-dir says: may this user read and write it, and are enough open files allowed (ulimit -n)? ({text})"
        )
    }
}

/// Keys and pages of others lie in it.
fn make_private_directory(directory: &Path) -> anyhow::Result<()> {
    private::make_directory(directory).with_context(|| {
        format!(
            "can't make the state directory {}; name another with --state-dir",
            directory.display()
        )
    })
}

/// The variable that says so to whoever makes links.
const LISTEN_URL: &str = "listen_url";

/// Where a node on this machine, or on the network of the address, reaches the API. Behind a proxy, and on every address at once, only the
/// operator knows.
fn listen_url(options: &Up, own: SocketAddr) -> Option<String> {
    let is_behind_proxy = !options.front.trusted_proxy.is_empty() || options.balance_file.is_some();
    (!own.ip().is_unspecified() && !is_behind_proxy).then(|| format!("http://{own}"))
}

fn variables(options: &Up, manifest: &Manifest, own: SocketAddr) -> anyhow::Result<Variables> {
    let mut given: BTreeMap<String, String> = options.variables.iter().cloned().collect();
    if let Some(redis) = &options.redis {
        redis::Client::open(redis.as_str()).map_err(|error| {
            let address = without_password(redis);
            cli::WrongArgument(format!(
                "--redis {address}: {error}; it must be like redis://127.0.0.1:6379"
            ))
        })?;
        given.insert("redis_url".to_owned(), redis.clone());
    }
    let environment = |name: &str| std::env::var(name).ok();
    networks::add_to_variables(&options.networks, &mut given, environment);
    secret::provide(manifest, &mut given, &options.state_dir)?;
    let names = || std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for unknown in variables::unknown(&manifest.variables, names()) {
        // Another application's may stand in the same environment; but a name that is misspelt leaves a limit at its default.
        tracing::warn!(
            "{unknown} is set, but the manifest has no such variable: it changes nothing"
        );
    }
    for unknown in cli::unknown_in_environment(names()) {
        tracing::warn!("{unknown} is set, but no flag is called so: it changes nothing");
    }
    let variables = Variables::resolve(&manifest.variables, &given, environment)?;
    secret::check(&variables, &options.state_dir)?;
    values::check(&variables)?;
    Ok(match listen_url(options, own) {
        Some(url) if variables.get(LISTEN_URL) == Some("") => variables.with(LISTEN_URL, &url),
        _ => variables,
    })
}

/// The engine's settings, out of the command line and the manifest.
pub(crate) fn engine_options(options: &Up, manifest: &Manifest) -> EngineOptions {
    let own = manifest
        .component
        .values()
        .filter_map(|component| component.local.memory_mb_max);
    let memory_mb_max = own
        .chain([options.tuning.instance_memory_mb])
        .max()
        .unwrap_or_default();
    EngineOptions {
        instances_max: options.tuning.instances_max,
        memory_bytes_max: memory_mb_max << 20,
        profile: options.tuning.profile,
    }
}

fn subscriptions(manifest: &Manifest, variables: &Variables) -> anyhow::Result<Vec<Subscription>> {
    let default = &manifest.application.trigger.redis.address;
    let triggers = manifest.trigger.redis.iter();
    triggers
        .map(|trigger| {
            Ok(Subscription {
                channel: variables.render(&trigger.channel)?,
                address: variables.render(trigger.address.as_ref().unwrap_or(default))?,
                component: trigger.component.clone(),
            })
        })
        .collect()
}

fn lanes(
    parts: &BTreeMap<String, Arc<Part>>,
    crew: &Arc<Crew>,
    precedence: &Arc<Precedence>,
    threads: &WorkerThreads,
    options: &Up,
    stop: &Stop,
) -> anyhow::Result<BTreeMap<String, Arc<Lane>>> {
    let workers = &options.tuning.workers;
    if let Some((unknown, _)) = workers.iter().find(|(id, _)| !parts.contains_key(id)) {
        let known: Vec<&str> = parts.keys().map(String::as_str).collect();
        anyhow::bail!(
            "--workers {unknown}=…: the manifest has no such component, only {}",
            known.join(", ")
        );
    }
    let called = parts.iter().filter(|(_, part)| part.inbound.is_some());
    Ok(called
        .map(|(id, part)| {
            let own = workers.iter().rev().find(|(component, _)| component == id);
            let count = own.map_or_else(|| part.local.workers.count(), |(_, count)| *count);
            (
                id.clone(),
                Lane::new(
                    Arc::clone(part),
                    Arc::clone(crew),
                    Arc::clone(precedence),
                    count,
                    threads.handle(),
                    stop.flag(),
                ),
            )
        })
        .collect())
}

fn wire(options: &Up) -> Wire {
    match (options.tuning.doorbell, &options.redis) {
        (Switch::Off, redis) => Wire::Cut {
            redis: redis.is_some(),
        },
        (Switch::On, Some(_)) => Wire::Redis,
        (Switch::On, None) => Wire::Embedded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_database_is_told_from_one_that_may_not_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let open = |file: &Path| {
            let opened = Database::open(file, trawl_sqlite::Options::default());
            not_opened(file, &opened.err().unwrap()).to_string()
        };
        let damaged = folder.path().join("damaged.db");
        std::fs::write(&damaged, [b'x'; 8_192]).unwrap();
        assert!(open(&damaged).contains("restore a backup"));
        let nowhere = folder.path().join("missing").join("trawl.db");
        assert!(open(&nowhere).contains("may this user read and write it"));
    }
}
