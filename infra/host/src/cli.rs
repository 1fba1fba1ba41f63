//! The command line. Every flag can be given in the environment too.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, Resettable};
use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use ipnet::IpNet;
use tracing_subscriber::filter::{LevelFilter, Targets};
use trawl_core::address::parse_network;
use trawl_core::email::Email;
use trawl_core::limits::{balance, host as limits, inbound};

use crate::engine::Profile;

/// A durable web-scraping job service made of WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "trawl", version, max_term_width = 120)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// An argument that is found to be wrong after the command line was read: clap would print it, and the password in it. The status is the
/// same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongArgument(pub(crate) String);

impl WrongArgument {
    /// As clap has it.
    pub(crate) const STATUS: u8 = 2;
}

impl Cli {
    /// The command line and the environment of this process. Ends the process, as clap does, when they are wrong or ask for help.
    pub(crate) fn of_process() -> Self {
        let command = without_empty_variables(Self::command(), &|name| std::env::var_os(name));
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// An empty variable is none, in commands below commands too: files of settings have a line for what is not set too.
fn without_empty_variables(
    command: clap::Command,
    given: &dyn Fn(&OsStr) -> Option<OsString>,
) -> clap::Command {
    command
        .mut_args(|arg| without_empty(arg, given))
        .mut_subcommands(|command| without_empty_variables(command, given))
}

/// The same argument, without its variable where that one is empty.
fn without_empty(arg: Arg, given: impl Fn(&OsStr) -> Option<OsString>) -> Arg {
    let is_empty = arg
        .get_env()
        .and_then(given)
        .is_some_and(|value| value.is_empty());
    if is_empty {
        arg.env(Resettable::Reset)
    } else {
        arg
    }
}

/// Which of these names in the environment look like one of a flag, and are none.
pub(crate) fn unknown_in_environment(names: impl Iterator<Item = String>) -> Vec<String> {
    let command = Cli::command();
    let known: HashSet<&OsStr> = arguments(&command)
        .into_iter()
        .filter_map(Arg::get_env)
        .collect();
    // Kubernetes gives every pod two kinds for a service that is called trawl; the last two are of our tests.
    let of_others = ["TRAWL_PORT", "TRAWL_SERVICE_", "TRAWL_TEST", "TRAWL_SEED"];
    names
        .filter(|name| name.starts_with("TRAWL_") && !known.contains(OsStr::new(name)))
        .filter(|name| !of_others.iter().any(|start| name.starts_with(start)))
        .collect()
}

/// What a command takes, and those below it.
fn arguments(command: &clap::Command) -> Vec<&Arg> {
    let below = command.get_subcommands().flat_map(arguments);
    command.get_arguments().chain(below).collect()
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the application on this machine
    #[command(
        after_help = "SIGTERM, Ctrl-C, SIGHUP and SIGQUIT end it when requests and jobs have come to an end (12 s at most), a second one at once. \
                      A SIGHUP or SIGQUIT that it was started to ignore, as by nohup, is ignored."
    )]
    Up(Box<Up>),
    /// Play the requesting nodes against a running service
    Nodes(Box<trawl_nodes::Args>),
    /// Run a scraper's extraction over local files
    Extract(Extract),
    /// See who has an account, and help whoever forgot the password; also while trawl runs
    #[command(subcommand)]
    Accounts(Accounts),
}

/// `trawl up`
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The application's manifest, or the directory that holds it
    #[arg(
        long,
        short,
        env = "TRAWL_FROM",
        default_value = "spin.toml",
        value_name = "FILE"
    )]
    pub(crate) from: PathBuf,
    /// The address to serve on; port 0 takes a free one
    #[arg(
        long,
        env = "TRAWL_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDRESS",
        value_parser = listen_address
    )]
    pub(crate) listen: SocketAddr,
    /// Where the database, the signing key and compiled code are kept
    #[arg(
        long,
        env = "TRAWL_STATE_DIR",
        default_value = ".trawl",
        value_name = "DIR"
    )]
    pub(crate) state_dir: PathBuf,
    /// Where compiled code is kept [default: `code` in the state directory]
    #[arg(long, env = "TRAWL_CODE_CACHE_DIR", value_name = "DIR")]
    pub(crate) code_cache_dir: Option<PathBuf>,
    /// Use this Redis server as the doorbell instead of the embedded one (redis://host:port) [default: the variable redis_url, if it is set]
    #[arg(long, env = "TRAWL_REDIS", value_name = "URL", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    /// Set a variable of the manifest (repeatable; in the environment one a line, all of which a flag replaces); `name=@file` takes the content of a file
    #[arg(long = "variable", env = "TRAWL_VARIABLES", hide_env_values = true, value_name = "NAME=VALUE", value_delimiter = '\n', value_parser = variable)]
    pub(crate) variables: Vec<(String, String)>,
    /// How many local replicas to run
    #[arg(long, env = "TRAWL_REPLICAS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=balance::REPLICAS_MAX as i64))]
    pub(crate) replicas: u16,
    /// How a replica is chosen: round-robin, weighted, least-conn, peak-ewma or hash
    #[arg(long, env = "TRAWL_BALANCE", default_value = "round-robin", value_name = "NAME", value_parser = strategy)]
    pub(crate) balance: trawl_balance::StrategyKind,
    /// Take strategy and replicas, local and remote, from this file; it is read again when it changes
    #[arg(
        long,
        env = "TRAWL_BALANCE_FILE",
        value_name = "FILE",
        conflicts_with_all = ["replicas", "balance"]
    )]
    pub(crate) balance_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) front: FrontDoor,
    #[command(flatten)]
    pub(crate) networks: Networks,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// Print nothing but warnings and errors, those of components too
    #[arg(long, short, env = "TRAWL_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
}

/// What clients may do.
#[derive(Debug, Args)]
pub(crate) struct FrontDoor {
    /// Connections that clients may have open in all
    #[arg(long, env = "TRAWL_CONNECTIONS_MAX", value_name = "N", default_value_t = inbound::CONNECTIONS_MAX, value_parser = count)]
    pub(crate) connections_max: usize,
    /// Connections of one client address; 127.0.0.1, ::1 and trusted proxies are not counted
    #[arg(long, env = "TRAWL_CONNECTIONS_PER_ADDRESS_MAX", value_name = "N", default_value_t = inbound::CONNECTIONS_PER_ADDRESS_MAX, value_parser = count)]
    pub(crate) connections_per_address_max: usize,
    /// Milliseconds that the head of a request may take
    #[arg(long, env = "TRAWL_HEADER_READ_MS", value_name = "MS", default_value_t = inbound::HEADER_READ_MS, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) header_read_ms: u64,
    /// Milliseconds that the body of a request may take, and that a client may take nothing of its answer
    #[arg(long, env = "TRAWL_BODY_READ_MS", value_name = "MS", default_value_t = inbound::BODY_READ_MS, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) body_read_ms: u64,
    /// Milliseconds after which a connection without a request is closed
    #[arg(long, env = "TRAWL_CONNECTION_IDLE_MS", value_name = "MS", default_value_t = inbound::IDLE_MS, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) connection_idle_ms: u64,
    /// Believe what the proxies on this network say of their clients, and do not count their connections (repeatable); a
    /// balance file says it as `trusted_proxies`
    #[arg(
        long,
        env = "TRAWL_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network,
        conflicts_with = "balance_file"
    )]
    pub(crate) trusted_proxy: Vec<IpNet>,
}

/// Which addresses may be dialled, and who may see figures.
#[derive(Debug, Args)]
pub(crate) struct Networks {
    /// Let pages and callbacks be on this network although it is not public (repeatable; in the environment with commas)
    #[arg(
        long,
        env = "TRAWL_ALLOW_PRIVATE",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) allow_private: Vec<IpNet>,
    /// The same for pages only (repeatable; in the environment with commas)
    #[arg(
        long,
        env = "TRAWL_ALLOW_PRIVATE_SCRAPE",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) allow_private_scrape: Vec<IpNet>,
    /// The same for callbacks only (repeatable; in the environment with commas)
    #[arg(
        long,
        env = "TRAWL_ALLOW_PRIVATE_CALLBACK",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) allow_private_callback: Vec<IpNet>,
    /// The NAT64 prefix of this network; without it addresses under any such prefix are refused
    #[arg(long, env = "TRAWL_NAT64_PREFIX", value_name = "CIDR", value_parser = nat64_prefix)]
    pub(crate) nat64_prefix: Option<IpNet>,
    /// Trust the certificate authorities in this PEM file besides the web's (repeatable; in the environment with commas)
    #[arg(
        long,
        env = "TRAWL_CA_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Show /balance and /metrics to whoever has this token, and to nobody else; without one only to this machine, and to nobody
    /// when a proxy is trusted
    #[arg(
        long,
        env = "TRAWL_ADMIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        value_parser = admin_token
    )]
    pub(crate) admin_token: Option<String>,
}

/// Numbers that rarely need a change.
#[derive(Debug, Args)]
pub(crate) struct Tuning {
    /// Invocations of a component by the doorbell that run at once (repeatable; in the environment with commas) [default: as in the manifest]
    #[arg(long, env = "TRAWL_WORKERS", value_name = "COMPONENT=N", value_delimiter = ',', value_parser = workers)]
    pub(crate) workers: Vec<(String, usize)>,
    /// Instances that may exist at once; each reserves address space, not memory
    #[arg(long, env = "TRAWL_INSTANCES_MAX", value_name = "N", default_value_t = limits::INSTANCES_MAX, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) instances_max: u32,
    /// Memory that one instance may take, in MiB
    #[arg(long, env = "TRAWL_INSTANCE_MEMORY_MB", value_name = "MIB", default_value_t = limits::INSTANCE_MEMORY_MB_MAX, value_parser = memory)]
    pub(crate) instance_memory_mb: usize,
    /// Requests that one instance works on at once
    #[arg(long, env = "TRAWL_INSTANCE_CONCURRENCY", value_name = "N", default_value_t = limits::CONCURRENT_PER_INSTANCE_MAX, value_parser = count)]
    pub(crate) instance_concurrency: usize,
    /// Requests that one instance serves in its life
    #[arg(long, env = "TRAWL_INSTANCE_REQUESTS", value_name = "N", default_value_t = limits::REQUESTS_PER_INSTANCE_MAX, value_parser = count)]
    pub(crate) instance_requests: usize,
    /// Milliseconds after which an instance without work is dropped
    #[arg(long, env = "TRAWL_INSTANCE_IDLE_MS", value_name = "MS", default_value_t = limits::IDLE_INSTANCE_MS)]
    pub(crate) instance_idle_ms: u64,
    /// Tell a profiler about compiled code
    #[arg(long, env = "TRAWL_PROFILE", value_enum, default_value_t = Profile::Off)]
    pub(crate) profile: Profile,
    /// With --profile guests: where the stacks go when the host ends
    #[arg(
        long,
        env = "TRAWL_PROFILE_FILE",
        default_value = "guests.folded",
        value_name = "FILE"
    )]
    pub(crate) profile_file: PathBuf,
    /// What is logged to standard error: a level, or targets with levels [default: warn,component=info, and with --quiet warn]
    #[arg(long, env = "TRAWL_LOG", value_name = "FILTER", value_parser = log_filter)]
    pub(crate) log: Option<Targets>,
    /// Only compile the components, so that the first start takes no time
    #[arg(long, env = "TRAWL_PRECOMPILE", value_parser = FalseyValueParser::new())]
    pub(crate) precompile: bool,
    /// Hand requests straight to the one local replica, to measure what the balancer costs
    #[arg(long, env = "TRAWL_WITHOUT_BALANCER", value_parser = FalseyValueParser::new(), hide = true)]
    pub(crate) without_balancer: bool,
    /// `off` loses every ring but the clock's, for tests
    #[arg(long, env = "TRAWL_DOORBELL", value_enum, default_value_t = Switch::On, hide = true)]
    pub(crate) doorbell: Switch,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// As usual.
    On,
    /// Not.
    Off,
}

/// `trawl extract`
#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// What to extract: 1 text, 2 HTML, 3 related domains
    #[arg(long = "type", env = "TRAWL_TYPE", default_value_t = 1, value_name = "1..3", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) kind: u8,
    /// How text is found: the better way, or the one that takes less time
    #[arg(long, env = "TRAWL_MODE", value_enum, default_value_t = Mode::Best)]
    pub(crate) mode: Mode,
    /// The address that the page was fetched from; links are resolved against it
    #[arg(long, env = "TRAWL_URL", default_value = NO_URL, value_parser = page_url)]
    pub(crate) url: url::Url,
    /// What the server said that the files are
    #[arg(
        long,
        env = "TRAWL_CONTENT_TYPE",
        default_value = "text/html",
        value_name = "TYPE"
    )]
    pub(crate) content_type: String,
    /// Run the scraper's component instead of the same code as part of this program
    #[arg(long, env = "TRAWL_WASM", value_parser = FalseyValueParser::new())]
    pub(crate) wasm: bool,
    /// With --wasm: the application's manifest
    #[arg(
        long,
        short,
        env = "TRAWL_FROM",
        default_value = "spin.toml",
        value_name = "FILE"
    )]
    pub(crate) from: PathBuf,
    /// With --wasm: where compiled code is kept
    #[arg(
        long,
        env = "TRAWL_CODE_CACHE_DIR",
        default_value = ".trawl/code",
        value_name = "DIR"
    )]
    pub(crate) code_cache_dir: PathBuf,
    /// The files; `-` is the standard input, and a `.gz` is unpacked
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// `trawl accounts`
#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Show all accounts, one a line: id, e-mail address, when it was made, API keys, unfinished messages
    List(ListAccounts),
    /// Give an account a random password, which is printed, and forget its failed log-ins
    ResetPassword(ResetPassword),
}

/// `trawl accounts list`
#[derive(Debug, Args)]
pub(crate) struct ListAccounts {
    #[command(flatten)]
    pub(crate) place: DatabasePlace,
    /// Print each account as a line of JSON
    #[arg(long, env = "TRAWL_ACCOUNTS_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

/// `trawl accounts reset-password`
#[derive(Debug, Args)]
pub(crate) struct ResetPassword {
    /// The account's e-mail address
    #[arg(value_parser = Email::parse)]
    pub(crate) email: Email,
    /// Delete its API keys too
    #[arg(long, env = "TRAWL_ACCOUNTS_DELETE_KEYS", value_parser = FalseyValueParser::new())]
    pub(crate) delete_keys: bool,
    /// Take the first line of standard input as the password, and print none
    #[arg(long, env = "TRAWL_ACCOUNTS_PASSWORD_STDIN", value_parser = FalseyValueParser::new())]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) place: DatabasePlace,
}

/// Where the database is that accounts are in.
#[derive(Debug, Args)]
pub(crate) struct DatabasePlace {
    /// The state directory of `trawl up`
    #[arg(
        long,
        env = "TRAWL_STATE_DIR",
        default_value = ".trawl",
        value_name = "DIR"
    )]
    pub(crate) state_dir: PathBuf,
    /// The database itself, such as .spin/sqlite_db.db under Spin [default: `trawl.db` in the state directory]
    #[arg(long, env = "TRAWL_ACCOUNTS_DATABASE", value_name = "FILE")]
    pub(crate) database: Option<PathBuf>,
}

/// Stands for an address that is not known.
const NO_URL: &str = "http://page.example/";

/// Lists of pages have gaps, so an empty address is one that is not known; without a scheme it is https, as in the API.
fn page_url(text: &str) -> Result<url::Url, url::ParseError> {
    let text = match text.trim() {
        "" => NO_URL,
        text => text,
    };
    url::Url::parse(text).or_else(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => url::Url::parse(&format!("https://{text}")),
        error => Err(error),
    })
}

/// Which of the two ways to find a page's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// The better one.
    Best,
    /// The quicker one.
    Fast,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be name=value")?;
    let value = match value.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| format!("can't read {file}: {error}"))?
            .trim_end()
            .to_owned(),
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}

/// Files that hold a token end with a newline, mostly. One that no header can carry would shut everybody out.
fn admin_token(text: &str) -> Result<String, &'static str> {
    let token = text.trim();
    let is_printable = |byte| (b' '..=b'~').contains(&byte);
    if token.is_empty() || !token.bytes().all(is_printable) {
        return Err("it must be printable ASCII characters");
    }
    Ok(token.to_owned())
}

fn log_filter(text: &str) -> Result<Targets, String> {
    // A name alone is a target, whose everything is shown and nothing else: mostly it is a level that was mistyped.
    let is_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if let Some(name) = text.split(',').find(|part| !is_level(part)) {
        return Err(format!(
            "{name} is no level; write off, error, warn, info, debug or trace, or a target with one such as trawl=debug,warn"
        ));
    }
    text.parse().map_err(|error| {
        format!("{error}; it is a level, or targets with levels such as trawl=debug,warn")
    })
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:3000".to_owned())
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    parse_network(text)
        .ok_or_else(|| "write a network such as 192.168.0.0/16, or an address".to_owned())
}

/// The lengths are those of RFC 6052, section 2.2: the address that is embedded stands behind the prefix.
fn nat64_prefix(text: &str) -> Result<IpNet, String> {
    match text.parse() {
        Ok(IpNet::V6(network)) if matches!(network.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) => {
            Ok(IpNet::V6(network))
        }
        _ => Err(
            "write an IPv6 network such as 64:ff9b::/96; its length is 32, 40, 48, 56, 64 or 96"
                .to_owned(),
        ),
    }
}

fn workers(text: &str) -> Result<(String, usize), String> {
    let (component, count) = text.split_once('=').ok_or("it must be component=number")?;
    match count.parse() {
        Ok(count) if count > 0 => Ok((component.to_owned(), count)),
        _ => Err("behind the = must be a number of workers, at least 1".to_owned()),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("it must be a number from 1 to 1000000".to_owned()),
    }
}

fn memory(text: &str) -> Result<usize, String> {
    let (least, most) = limits::INSTANCE_MEMORY_MB.into_inner();
    let mib = text.parse().ok().filter(|mib| (least..=most).contains(mib));
    mib.ok_or_else(|| format!("it must be a number from {least} to {most}"))
}

fn strategy(text: &str) -> Result<trawl_balance::StrategyKind, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_flag_in_the_environment_is_found() {
        let names = [
            "TRAWL_REPLICA",
            "TRAWL_REPLICAS",
            "TRAWL_WITHOUT_BALANCER",
            "TRAWL_PORT_3000_TCP",
            "TRAWL_SERVICE_HOST",
            "HOME",
        ];
        let unknown = unknown_in_environment(names.map(str::to_owned).into_iter());
        assert_eq!(unknown, ["TRAWL_REPLICA"]);
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        let trawl = Cli::command();
        trawl.clone().debug_assert();
        assert!(trawl.has_subcommands());
        for flag in arguments(&trawl)
            .into_iter()
            .filter(|flag| flag.get_long().is_some_and(|long| long != "help"))
        {
            let variable = flag.get_env().map(|env| env.to_string_lossy().into_owned());
            assert!(
                variable.is_some_and(|env| env.starts_with("TRAWL_")),
                "--{}",
                flag.get_id()
            );
        }
    }

    #[test]
    fn a_level_that_was_mistyped_is_refused() {
        for right in ["warn", "off", "trawl=debug,warn", "warn, component=info"] {
            assert!(log_filter(right).is_ok(), "{right}");
        }
        for wrong in ["wran", "warn,debgu", "trawl=lots"] {
            assert!(log_filter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_what_a_header_can_carry() {
        assert_eq!(admin_token("s3cret\n").as_deref(), Ok("s3cret"));
        assert_eq!(admin_token("two words").as_deref(), Ok("two words"));
        for none in ["", " \n", "two\nlines", "sécret"] {
            assert!(admin_token(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn an_empty_variable_is_none() {
        for (value, counts) in [(None, true), (Some(""), false), (Some("1"), true)] {
            let arg = without_empty(Arg::new("replicas").env("TRAWL_REPLICAS"), |name| {
                assert_eq!(name, "TRAWL_REPLICAS");
                value.map(OsString::from)
            });
            assert_eq!(arg.get_env().is_some(), counts, "{value:?}");
        }
    }

    /// Those of commands below commands too.
    #[test]
    fn empty_variables_are_none_everywhere() {
        let set = arguments(&without_empty_variables(Cli::command(), &|_| {
            Some(OsString::new())
        }))
        .into_iter()
        .filter_map(Arg::get_env)
        .map(OsStr::to_owned)
        .collect::<Vec<_>>();
        assert_eq!(set, Vec::<OsString>::new());
    }

    #[test]
    fn an_account_is_named_as_it_was_registered() {
        let parse = |email| Cli::try_parse_from(["trawl", "accounts", "reset-password", email]);
        let Command::Accounts(Accounts::ResetPassword(options)) =
            parse(" Me@Example.ORG").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!(options.email.key, "me@example.org");
        assert_eq!(options.place.state_dir, PathBuf::from(".trawl"));
        let told = parse("me").unwrap_err();
        assert_eq!(told.exit_code(), i32::from(WrongArgument::STATUS));
        assert!(told.to_string().contains("name@example.org"), "{told}");
    }

    #[test]
    fn an_address_of_a_page_may_be_empty_or_bare() {
        let url = |text| page_url(text).map(|url| url.to_string());
        assert_eq!(url(" ").as_deref(), Ok(NO_URL));
        assert_eq!(url("e.org/x").as_deref(), Ok("https://e.org/x"));
        assert_eq!(url("http://e.org").as_deref(), Ok("http://e.org/"));
        assert!(url("http://[").is_err());
    }

    #[test]
    fn addresses_and_networks_are_understood_as_people_write_them() {
        let listen = |text| listen_address(text).map(|address| address.to_string());
        assert_eq!(listen("localhost:80").as_deref(), Ok("127.0.0.1:80"));
        assert_eq!(listen("[::1]:0").as_deref(), Ok("[::1]:0"));
        for wrong in ["3000", ":3000", "127.0.0.1", "example.org:80"] {
            assert!(
                listen(wrong).unwrap_err().contains("127.0.0.1:3000"),
                "{wrong}"
            );
        }
        let net = |text| network(text).map(|network| network.to_string());
        assert_eq!(net("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(net("192.168.1.7").as_deref(), Ok("192.168.1.7/32"));
        for wrong in ["10.0.0.0/99", "intranet", ""] {
            assert!(
                net(wrong).unwrap_err().contains("192.168.0.0/16"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_nat64_prefix_leaves_room_for_an_address() {
        for right in ["64:ff9b::/96", "2001:db8::/32"] {
            assert_eq!(nat64_prefix(right), Ok(right.parse().unwrap()));
        }
        for wrong in ["10.0.0.0/8", "64:ff9b::/95", "64:ff9b::", "::/0", "nat"] {
            let told = nat64_prefix(wrong).unwrap_err();
            assert!(told.contains("64:ff9b::/96"), "{wrong}: {told}");
        }
    }

    #[test]
    fn a_count_of_nothing_is_refused() {
        for flag in [
            "--instances-max",
            "--instance-concurrency",
            "--instance-requests",
        ] {
            let parse = |value| Cli::try_parse_from(["trawl", "up", flag, value]);
            assert!(parse("1").is_ok(), "{flag}");
            let told = parse("0").unwrap_err().to_string();
            assert!(told.contains(flag) && told.contains('1'), "{told}");
        }
    }

    #[test]
    fn a_variable_keeps_what_follows_the_first_equals_sign() {
        assert_eq!(
            variable("a=b=c,d").unwrap(),
            ("a".to_owned(), "b=c,d".to_owned())
        );
        assert!(variable("a").is_err());
    }
}
