//! What is printed when the host starts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use trawl_balance::BalanceConfig;

use crate::application::Application;
use crate::state_use::Found;

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
    let shared = if application.state.found == Found::Another {
        ", shared with another trawl that runs there"
    } else {
        ""
    };
    let _ = writeln!(text, "  data      {}{shared}", absolute(state).display());
    if !has_contact(application) {
        let _ = writeln!(text, "  contact   none: {NO_CONTACT}");
    }
    for full in full_queues(application) {
        let _ = writeln!(text, "  {full}");
    }
    text
}

/// What whoever does not see the lines must know all the same.
pub(crate) fn notices(application: &Application) -> Vec<String> {
    let mut notices = Vec::new();
    if application.state.found == Found::Another {
        notices.push("another trawl runs with the same state directory".to_owned());
    }
    if !has_contact(application) {
        notices.push(format!("no contact: {NO_CONTACT}"));
    }
    notices.extend(full_queues(application));
    notices
}

/// The limits that are set to nothing. That may be meant, before a machine is given up; but whoever sent requests would be told to come
/// again in a moment, for ever.
fn full_queues(application: &Application) -> impl Iterator<Item = String> {
    let is_zero = |name: &&str| {
        let value = application.variables.get(name);
        value.is_some_and(|value| value.trim().parse() == Ok(0_u64))
    };
    ["queue_max", "queue_max_account"]
        .into_iter()
        .filter(is_zero)
        .map(|name| format!("{name} is 0: no request is accepted until it is more"))
}

const NO_CONTACT: &str = "put an address into user_agent, or leave it empty and set public_url, so that the sites that are read know whom to ask";

fn has_contact(application: &Application) -> bool {
    let variable = |name| application.variables.get(name);
    tells_contact(variable("user_agent"), variable("public_url"))
}

/// Whether the requests to other sites say where to ask about them. A `user_agent` that is set is all that they say; without one
/// it is made, with `public_url` in it.
fn tells_contact(user_agent: Option<&str>, public_url: Option<&str>) -> bool {
    let set = |value: Option<&str>| value.is_some_and(|value| !value.trim().is_empty());
    match user_agent {
        // An application without the variables has no such requests.
        None if public_url.is_none() => true,
        Some(named) if set(user_agent) => ["://", "mailto:", "@"]
            .iter()
            .any(|sign| named.contains(sign)),
        _ => set(public_url),
    }
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The address as it may be shown.
pub(crate) fn without_password(address: &str) -> String {
    url::Url::parse(address).map_or_else(
        // Where no name stands before an `@` there is no password either.
        |_| {
            let shown = if address.contains('@') {
                "Redis"
            } else {
                address
            };
            shown.to_owned()
        },
        |mut url| {
            if url.password().is_some() {
                let _ = url.set_password(Some("***"));
            }
            url.to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_an_address_in_what_sites_are_told() {
        let url = Some("https://trawl.example.org");
        assert!(tells_contact(None, None));
        assert!(!tells_contact(Some(""), Some("")));
        assert!(tells_contact(Some(" "), url));
        // It takes the place of what would hold public_url.
        assert!(!tells_contact(Some("bot/1"), url));
        for with_address in ["bot/1 (+https://e.org)", "b (mailto:a%40e)", "b a@e.org"] {
            assert!(tells_contact(Some(with_address), None), "{with_address}");
        }
    }
}
