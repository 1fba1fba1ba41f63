//! What the operator set, read from the variables once per invocation.

use ipnet::IpNet;
use trawl_core::address::parse_network;
use trawl_core::limits::queue::{MESSAGE_DAYS, RESULT_DAYS};
use trawl_core::limits::scrape::{LEASE_S, LEASE_S_MIN};
use trawl_core::url_guard::{Ports as OpenPorts, UrlPolicy};

use crate::ports::{Ports, Random as _, Variables};

/// What a scraper needs to know.
#[derive(Debug, Clone)]
pub struct ScraperSettings {
    /// Names this worker in leases and events.
    pub worker: String,
    /// How long a job may be held without a sign of life.
    pub lease_s: u32,
    /// Sent with each request; holds a URL where people can ask who we are.
    pub user_agent: String,
    /// Which hosts' robots.txt is obeyed.
    pub robots: RobotsSwitch,
    /// Which URLs may be fetched.
    pub urls: UrlPolicy,
}

impl ScraperSettings {
    /// Reads them.
    pub async fn read<P: Ports>(ports: &P) -> Self {
        let variables = ports.variables();
        Self {
            worker: worker_name(ports).await,
            lease_s: lease_s(variables).await,
            user_agent: user_agent(variables).await,
            robots: RobotsSwitch::parse(variables.get("robots").await.as_deref().unwrap_or("on")),
            urls: request_urls(variables).await,
        }
    }
}

/// Which URLs may be fetched.
pub(crate) async fn request_urls(variables: &impl Variables) -> UrlPolicy {
    urls(variables, variables.get("allow_private").await).await
}

/// What the callback component needs to know.
#[derive(Debug, Clone)]
pub struct CallbackSettings {
    /// Names this invocation in leases.
    pub worker: String,
    /// How long a callback may be held without a sign of life.
    pub lease_s: u32,
    /// Sent with each request.
    pub user_agent: String,
    /// Which URLs may be called.
    pub urls: UrlPolicy,
    /// Where nodes reach the API, without a slash at the end; links are paths when it is not set.
    pub public_url: Option<String>,
}

impl CallbackSettings {
    /// Reads them.
    pub async fn read<P: Ports>(ports: &P) -> Self {
        let variables = ports.variables();
        Self {
            worker: worker_name(ports).await,
            lease_s: lease_s(variables).await,
            user_agent: user_agent(variables).await,
            urls: callback_urls(variables).await,
            public_url: match public_url(variables).await {
                None => variables.get("listen_url").await,
                url => url,
            },
        }
    }
}

/// Which URLs may be called. Networks opened for scraping are open for callbacks too unless `allow_private_callback` says otherwise
/// (`none` closes all).
pub(crate) async fn callback_urls(variables: &impl Variables) -> UrlPolicy {
    let opened = match variables.get("allow_private_callback").await {
        Some(own) => Some(own),
        None => variables.get("allow_private").await,
    };
    urls(variables, opened).await
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepingSettings {
    /// Days that a result is kept.
    pub result_days: u32,
    /// Days that a finished message is kept.
    pub message_days: u32,
}

impl KeepingSettings {
    /// Reads them.
    pub async fn read(variables: &impl Variables) -> Self {
        let days = async |name, otherwise| {
            let value: Option<String> = variables.get(name).await;
            value
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(otherwise)
        };
        Self {
            result_days: days("result_days", RESULT_DAYS).await,
            message_days: days("message_days", MESSAGE_DAYS).await,
        }
    }
}

/// Whether the host asked its components to come to an end (variable `stopping`): nothing new is claimed then.
pub async fn stop_was_asked(variables: &impl Variables) -> bool {
    let wish = variables.get("stopping").await;
    wish.is_some_and(|wish| !matches!(wish.trim(), "0" | "false" | "off" | "no"))
}

/// Which hosts' robots.txt is obeyed. Only the operator decides; a tenant can't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RobotsSwitch {
    /// All.
    On,
    /// None.
    Off,
    /// All but these and what lies under them, such as the operator's own sites.
    OffFor(Vec<String>),
}

impl RobotsSwitch {
    /// `on`, `off`, or `off:host,host`. What is none of these means `on`, the careful side.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "off" => Self::Off,
            other => match other.strip_prefix("off:") {
                Some(hosts) => Self::OffFor(
                    words(hosts)
                        .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
                        .collect(),
                ),
                None => Self::On,
            },
        }
    }

    /// Whether the robots.txt of `host` counts.
    #[must_use]
    pub fn applies_to(&self, host: &str) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::OffFor(hosts) => !hosts.iter().any(|own| {
                host.strip_suffix(own.as_str())
                    .is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
        }
    }
}

/// Shorter leases bring jobs of dead workers back sooner, and cost more renewals. Under three seconds a renewal may come late.
async fn lease_s(variables: &impl Variables) -> u32 {
    let configured = variables
        .get("lease_seconds")
        .await
        .and_then(|text| text.trim().parse().ok());
    configured.unwrap_or(LEASE_S).clamp(LEASE_S_MIN, LEASE_S)
}

/// Unlike any other worker's, in this process or another: what the host calls it, or the replica and 48 random bits.
async fn worker_name<P: Ports>(ports: &P) -> String {
    if let Some(name) = ports.variables().get("worker").await
        && !name.is_empty()
    {
        return name;
    }
    let replica = ports
        .variables()
        .get("replica_id")
        .await
        .unwrap_or_else(|| "local".to_owned());
    let mut random = [0; 8];
    ports.random().fill(&mut random);
    trawl_core::ids::worker_name(&replica, u64::from_be_bytes(random))
}

async fn user_agent(variables: &impl Variables) -> String {
    const OWN: &str = concat!("trawl/", env!("CARGO_PKG_VERSION"));
    if let Some(configured) = variables.get("user_agent").await
        && http::HeaderValue::from_str(&configured).is_ok()
    {
        return configured;
    }
    public_url(variables)
        .await
        .map_or_else(|| OWN.to_owned(), |contact| format!("{OWN} (+{contact})"))
}

/// Where nodes reach the API, without a slash at the end.
pub(crate) async fn public_url(variables: &impl Variables) -> Option<String> {
    let url = variables.get("public_url").await?;
    let url = url.trim().trim_end_matches('/');
    (!url.is_empty() && http::HeaderValue::from_str(url).is_ok()).then(|| url.to_owned())
}

/// `opened`: networks that are opened although they are not public. A list of ports that can't be read leaves the usual ones.
async fn urls(variables: &impl Variables, opened: Option<String>) -> UrlPolicy {
    let ports = variables.get("ports").await;
    UrlPolicy {
        ports: ports
            .and_then(|text| OpenPorts::parse(&text))
            .unwrap_or_default(),
        allow_private: networks(opened.as_deref()),
    }
}

/// Networks in CIDR notation or single addresses, parted by commas or blanks. One that can't be read opens nothing.
fn networks(text: Option<&str>) -> Vec<IpNet> {
    words(text.unwrap_or_default())
        .filter_map(parse_network)
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\t'])
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, World};

    #[test]
    fn robots_are_obeyed_unless_the_operator_says_otherwise() {
        assert_eq!(RobotsSwitch::parse("on"), RobotsSwitch::On);
        assert_eq!(RobotsSwitch::parse("OFF?"), RobotsSwitch::On);
        assert!(!RobotsSwitch::parse(" off ").applies_to("example.org"));
        let own = RobotsSwitch::parse("off:Example.org, intern.example.net.");
        assert!(!own.applies_to("example.org"));
        assert!(!own.applies_to("www.example.org"));
        assert!(own.applies_to("notexample.org"));
        assert!(own.applies_to("example.net"));
    }

    #[test]
    fn our_name_holds_where_to_ask() {
        let own = concat!("trawl/", env!("CARGO_PKG_VERSION"));
        for (public_url, user_agent, wanted) in [
            ("", "", own.to_owned()),
            (
                "https://trawl.example.org/",
                "",
                format!("{own} (+https://trawl.example.org)"),
            ),
            (
                "https://trawl.example.org",
                "bot/1 (+mailto:a@example.org)",
                "bot/1 (+mailto:a@example.org)".to_owned(),
            ),
            // What can't stand in a header is not sent.
            (
                "https://a.example",
                "bot\n",
                format!("{own} (+https://a.example)"),
            ),
        ] {
            let world = World::without_robots(|_| Reply::html(""));
            let variables = world.ports.variables();
            variables.set("public_url", public_url);
            variables.set("user_agent", user_agent);
            assert_eq!(world.run(super::user_agent(variables)), wanted);
        }
    }

    #[test]
    fn readable_ports_take_the_place_of_the_usual_ones() {
        for (ports, open, shut) in [
            ("", 8443, 3000),
            ("3000", 3000, 8443),
            ("any", 1, 0),
            ("three", 443, 3000),
        ] {
            let world = World::without_robots(|_| Reply::html(""));
            world.ports.variables().set("ports", ports);
            let urls = world.run(ScraperSettings::read(&world.ports)).urls;
            let is_open = |port: u16| urls.target(&format!("http://example.org:{port}/")).is_ok();
            assert!(is_open(open) && !is_open(shut), "{ports:?}");
        }
    }

    #[test]
    fn only_readable_networks_are_opened() {
        let opened = networks(Some("127.0.0.0/8, ::1 nonsense 10.0.0.0/33"));
        assert_eq!(
            opened,
            [
                "127.0.0.0/8".parse::<IpNet>().unwrap(),
                "::1/128".parse().unwrap()
            ]
        );
        assert!(networks(None).is_empty());
    }
}
