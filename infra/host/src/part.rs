//! One component as it runs: its code, and for each replica its rights.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use trawl_outbound::{Class, Client};
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::allowed_hosts::AllowedHosts;
use crate::costly::Costly;
use crate::doorbell::Doorbell;
use crate::figures::PartFigures;
use crate::guest_output::LastLine;
use crate::guest_stacks::GuestStacks;
use crate::links::bindings::ComponentPre;
use crate::manifest::Local;
use crate::state::Guest;

/// A component of the application, ready to be instantiated.
pub(crate) struct Part {
    /// Its id in the manifest.
    pub(crate) id: Arc<str>,
    /// How the doorbell calls it.
    pub(crate) local: Local,
    /// Set when it answers HTTP.
    pub(crate) http: Option<ServicePre<Guest>>,
    /// Set when the doorbell can call it.
    pub(crate) inbound: Option<ComponentPre<Guest>>,
    /// Set when only so many of some requests run at once.
    pub(crate) costly: Option<Costly>,
    /// What it has done.
    pub(crate) figures: Arc<PartFigures>,
}

impl Part {
    /// Finds out what the component exports.
    pub(crate) fn new(id: &str, local: Local, code: &InstancePre<Guest>) -> Self {
        Self {
            id: Arc::from(id),
            costly: local.costly.as_ref().map(Costly::new),
            local,
            http: ServicePre::new(code.clone()).ok(),
            inbound: ComponentPre::new(code.clone()).ok(),
            figures: Arc::default(),
        }
    }
}

/// A page that stands for the whole web.
pub(crate) struct PageOnFile {
    /// What the server would say that it is.
    pub(crate) content_type: http::HeaderValue,
    /// Its bytes.
    pub(crate) bytes: bytes::Bytes,
}

/// What a component may do in one replica.
pub(crate) struct Rights {
    /// The component's id.
    pub(crate) component: Arc<str>,
    /// The replica's id.
    pub(crate) replica: Arc<str>,
    /// Its variables, also as they are once the host stops.
    pub(crate) variables: HashMap<String, String>,
    /// The same with `stopping` set.
    pub(crate) variables_when_stopping: HashMap<String, String>,
    /// Set once the host stops.
    pub(crate) stopping: Arc<AtomicBool>,
    /// Its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it may connect to.
    pub(crate) allowed_hosts: AllowedHosts,
    /// The database, when the manifest gives it one.
    pub(crate) database: Option<trawl_sqlite::Database>,
    /// The names that it may open the database by.
    pub(crate) database_names: Vec<String>,
    /// Where its rings go.
    pub(crate) doorbell: Arc<Doorbell>,
    /// How it reaches the web.
    pub(crate) client: Client,
    /// What it finds there instead, when it is not to reach the web at all.
    pub(crate) page: Option<Arc<PageOnFile>>,
    /// Under which policy.
    pub(crate) class: Class,
    /// Memory of one instance.
    pub(crate) memory_bytes_max: usize,
    /// What it printed last.
    pub(crate) last_line: LastLine,
    /// Where its instances are counted.
    pub(crate) figures: Arc<PartFigures>,
    /// Where its stacks are counted, when it is profiled.
    pub(crate) stacks: Option<Arc<GuestStacks>>,
}

/// The variable that tells a worker its name.
pub(crate) const WORKER: &str = "worker";

impl Rights {
    /// Whether it claims by the name that it is told.
    pub(crate) fn takes_name(&self) -> bool {
        self.variables.contains_key(WORKER)
    }

    /// A variable's value as of now.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let variables = if self.stopping.load(Relaxed) {
            &self.variables_when_stopping
        } else {
            &self.variables
        };
        variables.get(name).map(String::as_str)
    }
}
