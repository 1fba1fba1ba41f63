//! The part of `spin.toml` (manifest version 2) that this host understands. A key that it does not understand is an error
//! that names it: silently leaving something out would run another application than the one written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use trawl_core::limits::host::INSTANCE_MEMORY_MB;

/// Why a manifest is refused, in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// The file is not there or can't be read.
    #[error("can't read the manifest {path}: {cause}; name it with --from")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is not TOML, or not a manifest.
    #[error("{path}: {what}")]
    Wrong {
        /// The file, and the line where it is known.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// An application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: u32,
    /// `[application]`
    pub(crate) application: Application,
    /// `[variables]`
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    /// `[[trigger.…]]`
    pub(crate) trigger: Triggers,
    /// `[component.…]`
    pub(crate) component: BTreeMap<String, Component>,
    /// Where relative paths start.
    #[serde(skip)]
    pub(crate) directory: PathBuf,
}

/// `[application]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    /// The name, for the start-up lines.
    pub(crate) name: String,
    /// The version, for the start-up lines.
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
    #[serde(default, rename = "targets")]
    _targets: Vec<String>,
    /// Settings that count for all triggers of one kind.
    #[serde(default)]
    pub(crate) trigger: ApplicationTriggers,
    #[serde(default, rename = "tool")]
    _tool: toml::Table,
}

/// `[application.trigger.…]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplicationTriggers {
    /// `[application.trigger.redis]`
    #[serde(default)]
    pub(crate) redis: RedisDefaults,
}

/// `[application.trigger.redis]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisDefaults {
    /// The address of triggers that name none.
    #[serde(default)]
    pub(crate) address: String,
}

/// One of `[variables]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// The value when nobody gives one.
    pub(crate) default: Option<String>,
    /// Somebody has to give one.
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(default, rename = "description")]
    _description: String,
}

/// `[[trigger.…]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Triggers {
    /// `[[trigger.http]]`
    #[serde(default)]
    pub(crate) http: Vec<HttpTrigger>,
    /// `[[trigger.redis]]`
    #[serde(default)]
    pub(crate) redis: Vec<RedisTrigger>,
}

/// `[[trigger.http]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpTrigger {
    #[serde(default, rename = "id")]
    _id: String,
    /// An exact path, or a prefix that ends in `/...`.
    pub(crate) route: String,
    /// Which component answers.
    pub(crate) component: String,
}

/// `[[trigger.redis]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisTrigger {
    #[serde(default, rename = "id")]
    _id: String,
    /// The channel, a template.
    pub(crate) channel: String,
    /// The server, a template; each different address is a lane of its own.
    pub(crate) address: Option<String>,
    /// Which component is called.
    pub(crate) component: String,
}

/// `[component.…]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// The `.wasm` file, relative to the manifest.
    pub(crate) source: PathBuf,
    #[serde(default, rename = "description")]
    _description: String,
    /// Name and template of each variable that the component may read.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What the component finds in its environment.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it may connect to, templates.
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    /// The databases that it may open.
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<String>,
    #[serde(rename = "build")]
    _build: Option<Build>,
    #[serde(default)]
    tool: BTreeMap<String, toml::Table>,
    /// Our own settings, out of `tool.trawl`.
    #[serde(skip)]
    pub(crate) local: Local,
}

/// `[component.….build]`, which is for `spin build` only.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "command")]
    _command: String,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
    #[serde(default, rename = "watch")]
    _watch: Vec<String>,
}

/// `[component.….tool.trawl]`, which Spin ignores.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Local {
    /// Invocations by the doorbell that run at once.
    pub(crate) workers: Workers,
    /// Whether a message on its channels is a mere ring, whose content does not matter.
    pub(crate) rings: bool,
    /// Memory of one instance in MiB.
    pub(crate) memory_mb_max: Option<usize>,
    /// Requests of which only so many run at once.
    pub(crate) costly: Option<CostlyRequests>,
}

/// `costly` in `[component.….tool.trawl]`: requests that cost much more than others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CostlyRequests {
    /// The routes of the component that are meant, as its triggers write them.
    pub(crate) routes: Vec<String>,
    /// How many run at once, in all local replicas together.
    pub(crate) running_max: usize,
    /// How many wait for that; more are answered 429.
    pub(crate) waiting_max: usize,
    /// How many of both one network may have, so that none fills them all.
    pub(crate) network_max: usize,
}

/// A number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "workers must be a number or \"cores\"")]
pub(crate) enum Workers {
    /// That many.
    Count(usize),
    /// One for each processor core.
    Cores(Cores),
}

/// The word `cores`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cores {
    /// The only one.
    Cores,
}

impl Default for Workers {
    /// As on Spin, where one lane handles one message at a time.
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Workers {
    /// The number, at least one.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Count(count) => count.max(1),
            Self::Cores(_) => {
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
            }
        }
    }
}

impl Manifest {
    /// Reads and checks a manifest; a directory stands for the `spin.toml` in it.
    ///
    /// # Errors
    /// [`ManifestError`], in one line.
    pub(crate) fn read(path: &Path) -> Result<Self, ManifestError> {
        let path = if path.is_dir() {
            path.join("spin.toml")
        } else {
            path.to_owned()
        };
        let text = std::fs::read_to_string(&path).map_err(|cause| ManifestError::Unreadable {
            path: path.display().to_string(),
            cause,
        })?;
        let mut manifest = Self::parse(&text, &path.display().to_string())?;
        manifest.directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(manifest)
    }

    /// Checks the text of a manifest; `name` stands in errors.
    fn parse(text: &str, name: &str) -> Result<Self, ManifestError> {
        let wrong = |what: String| ManifestError::Wrong {
            path: name.to_owned(),
            what,
        };
        let mut manifest: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let path = line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
            ManifestError::Wrong {
                path,
                what: error.message().replace('\n', " "),
            }
        })?;
        if manifest.spin_manifest_version != 2 {
            return Err(wrong("spin_manifest_version must be 2".to_owned()));
        }
        for (id, component) in &mut manifest.component {
            if let Some(table) = component.tool.remove("trawl") {
                component.local = table.try_into().map_err(|error: toml::de::Error| {
                    wrong(format!("component.{id}.tool.trawl: {}", error.message()))
                })?;
            }
        }
        manifest.check(&wrong)?;
        Ok(manifest)
    }

    fn check(&self, wrong: &dyn Fn(String) -> ManifestError) -> Result<(), ManifestError> {
        let used = self.trigger.http.iter().map(|trigger| &trigger.component);
        for id in used.chain(self.trigger.redis.iter().map(|trigger| &trigger.component)) {
            if !self.component.contains_key(id) {
                return Err(wrong(format!(
                    "a trigger names the component {id}, but there is no [component.{id}]"
                )));
            }
        }
        for (name, variable) in &self.variables {
            if variable.required == variable.default.is_some() {
                return Err(wrong(format!(
                    "variables.{name} needs either a default or required = true"
                )));
            }
        }
        for trigger in &self.trigger.http {
            let plain = trigger.route.strip_suffix("/...").unwrap_or(&trigger.route);
            if !trigger.route.starts_with('/')
                || plain.contains([':', '*'])
                || plain.contains("...")
            {
                return Err(wrong(format!(
                    "route {:?}: this host knows exact paths and prefixes that end in /... only",
                    trigger.route
                )));
            }
        }
        self.check_routes_differ().map_err(wrong)?;
        for (id, component) in &self.component {
            if component.local.workers == Workers::Count(0) {
                return Err(wrong(format!(
                    "component.{id}.tool.trawl: workers must be at least 1, or \"cores\""
                )));
            }
            if let Some(mib) = component.local.memory_mb_max
                && !INSTANCE_MEMORY_MB.contains(&mib)
            {
                return Err(wrong(format!(
                    "component.{id}.tool.trawl: memory_mb_max must be a number from {} to {}",
                    INSTANCE_MEMORY_MB.start(),
                    INSTANCE_MEMORY_MB.end()
                )));
            }
            if let Some(costly) = &component.local.costly {
                self.check_costly(id, costly).map_err(wrong)?;
            }
            if let Some(name) = component
                .sqlite_databases
                .iter()
                .find(|name| *name != "default")
            {
                return Err(wrong(format!(
                    "component.{id}: there is no database {name:?} here, only \"default\""
                )));
            }
        }
        Ok(())
    }

    /// Of two triggers on one route the second would never be asked.
    fn check_routes_differ(&self) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for trigger in &self.trigger.http {
            // With a slash at its end and without, a route is the same.
            let route = trigger.route.trim_end_matches('/');
            if let Some(first) = seen.insert(route, &trigger.component) {
                return Err(format!(
                    "two triggers have the route {:?}, of {first} and of {}: the second would never be asked",
                    trigger.route, trigger.component
                ));
            }
        }
        Ok(())
    }

    /// A limit that can't be met, or that no request meets, would be a mistake that nobody notices.
    fn check_costly(&self, id: &str, costly: &CostlyRequests) -> Result<(), String> {
        let key = format!("component.{id}.tool.trawl.costly");
        if costly.running_max == 0 {
            return Err(format!("{key}: running_max must be at least 1"));
        }
        if costly.network_max == 0 {
            return Err(format!("{key}: network_max must be at least 1"));
        }
        let triggers = &self.trigger.http;
        let is_route = |route: &String| {
            triggers
                .iter()
                .any(|trigger| trigger.route == *route && trigger.component == id)
        };
        match costly.routes.iter().find(|route| !is_route(route)) {
            Some(route) => Err(format!(
                "{key}: {id} has no trigger with the route {route:?}"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
