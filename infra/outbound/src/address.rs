//! Who may dial what: the class of a caller, the check of an address, and the resolver behind a name.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// The policy that a request runs under: a component id, or a role such as `scrape` or `callback`.
///
/// It is part of the pool's key, so a connection opened under one policy is never used under another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Class(Arc<str>);

impl Class {
    /// Names a class. Cheap to clone afterwards; make it once per component, not once per request.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name given to [`Class::new`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Decides whether a class may dial an address.
///
/// It is asked for every address a name resolves to (one that is refused refuses them all), for addresses written
/// in the URL, and again whenever an idle connection is taken out of the pool.
pub trait AddressCheck: Send + Sync + 'static {
    /// True when `class` may dial `address`.
    fn permits(&self, class: &Class, address: SocketAddr) -> bool;
}

impl<F> AddressCheck for F
where
    F: Fn(&Class, SocketAddr) -> bool + Send + Sync + 'static,
{
    fn permits(&self, class: &Class, address: SocketAddr) -> bool {
        self(class, address)
    }
}

/// What a resolver promises: the addresses of a name, in the order to try them.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Turns a host name into addresses. Tests put their own here; the default asks the operating system.
pub trait Resolve: Send + Sync + 'static {
    /// Resolves `host`; every address carries `port`. The client polls it to its end, also after nobody waits for it any more.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

/// The operating system's resolver: `getaddrinfo`, which alone reads `/etc/hosts`, search domains and the options of
/// `resolv.conf` as everything else on the machine does. It holds one of tokio's blocking threads until the system gives up, also
/// when nobody waits any more, so the client runs only so many at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move {
            Ok(tokio::net::lookup_host((host.as_str(), port))
                .await?
                .collect())
        })
    }
}
