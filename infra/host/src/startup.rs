//! What is printed when the host starts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use trawl_balance::BalanceConfig;

use crate::application::Application;

/// The lines for people, and for whoever waits for the address.
pub(crate) fn lines(
    application: &Application,
    address: SocketAddr,
    balance: &BalanceConfig,
    state: &Path,
) -> String {
    let manifest = &application.manifest.application;
    let mut text = format!(
        "{} {} listening on http://{address}\n",
        manifest.name, manifest.version
    );
    let _ = writeln!(text, "  routes");
    let width = application
        .routes
        .iter()
        .map(|route| route.raw.len())
        .max()
        .unwrap_or(0);
    let mut routes: Vec<_> = application.routes.iter().collect();
    routes.sort_by(|a, b| a.raw.cmp(&b.raw));
    for route in routes {
        let _ = writeln!(text, "    {:width$}  {}", route.raw, route.component);
    }
    let _ = writeln!(text, "  replicas ({})", balance.strategy.name());
    for replica in &balance.replicas {
        let place = replica
            .url
            .as_ref()
            .map_or_else(|| "local".to_owned(), ToString::to_string);
        let _ = writeln!(
            text,
            "    {}  weight {}  {place}",
            replica.id, replica.weight
        );
    }
    let doorbell = application
        .redis
        .as_deref()
        .map_or_else(|| "embedded".to_owned(), without_password);
    let _ = writeln!(text, "  doorbell  {doorbell}");
    let shared = if application.state.is_shared {
        ", shared with another trawl that runs there"
    } else {
        ""
    };
    let _ = writeln!(text, "  data      {}{shared}", absolute(state).display());
    if !tells_contact(application) {
        let _ = writeln!(
            text,
            "  contact   none: set public_url or user_agent, so that the sites that are read know whom to ask"
        );
    }
    text
}

/// Whether the requests to other sites say where to ask about them.
fn tells_contact(application: &Application) -> bool {
    ["public_url", "user_agent"].into_iter().any(|name| {
        let value = application.variables.get(name);
        // An application without them has no such requests.
        value.is_none_or(|value| !value.trim().is_empty())
    })
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn without_password(address: &str) -> String {
    url::Url::parse(address).map_or_else(
        |_| "Redis".to_owned(),
        |mut url| {
            if url.password().is_some() {
                let _ = url.set_password(Some("…"));
            }
            url.to_string()
        },
    )
}
