//! The arguments of `trawl nodes`.

use clap::Args as ClapArgs;
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use url::Url;

/// Files that are open beside the connections of the nodes: the streams of the process, those of its runtime, the one that logs in,
/// and those that look up a name.
const OPEN_FILES_BESIDE_CONNECTIONS: u64 = 128;

/// Plays the requesting nodes: posts requests, and shows how the answers were spread over the replicas and how long they
/// took.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Where trawl listens
    #[arg(long, env = "TRAWL_NODES_URL", default_value = "http://127.0.0.1:3000", value_parser = http_url)]
    pub url: Url,
    /// How many requests are posted in all
    #[arg(long, env = "TRAWL_NODES_REQUESTS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub requests: u64,
    /// How many kept-alive connections post at once
    #[arg(long, env = "TRAWL_NODES_PARALLEL", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub parallel: u64,
    /// What is asked for: 1 text, 2 HTML, 3 related domains
    #[arg(long = "type", value_name = "TYPE", env = "TRAWL_NODES_TYPE", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub kind: u8,
    /// The page that is asked for; given several times (in the environment with spaces), they take turns
    #[arg(
        long = "target",
        env = "TRAWL_NODES_TARGET",
        value_delimiter = ' ',
        default_value = "http://example.com/",
        value_name = "URL",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub targets: Vec<String>,
    /// Where trawl reports each finished request; none if not given
    #[arg(
        long,
        env = "TRAWL_NODES_CALLBACK",
        value_name = "URL",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub callback: Option<String>,
    /// The account; it is registered if it does not exist [default: one for this run alone]
    #[arg(
        long,
        env = "TRAWL_NODES_EMAIL",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub email: Option<String>,
    /// Its password [default: a random one, which is shown]
    #[arg(
        long,
        env = "TRAWL_NODES_PASSWORD",
        hide_env_values = true,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub password: Option<String>,
    /// Seconds to wait for one answer
    #[arg(long, env = "TRAWL_NODES_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout: u64,
    /// Send an Idempotency-Key with each request, so that one without an answer can be sent again
    #[arg(long, env = "TRAWL_NODES_IDEMPOTENT", value_parser = FalseyValueParser::new())]
    pub idempotent: bool,
    /// Show no progress
    #[arg(long, env = "TRAWL_NODES_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Print the report as one line of JSON
    #[arg(long, env = "TRAWL_NODES_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}

impl Args {
    /// How many files are open at once, each connection being one. The process must be allowed them before it runs.
    #[must_use]
    pub const fn open_files(&self) -> u64 {
        self.parallel + OPEN_FILES_BESIDE_CONNECTIONS
    }
}

/// Nodes and trawl talk plain HTTP: TLS ends in whatever stands in front.
fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("{error}; write for example http://127.0.0.1:3000"))?;
    if url.scheme() != "http" || !url.has_host() {
        return Err("it must begin with http:// and name a host".to_owned());
    }
    // Left out silently, they would lead somebody else's requests astray.
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        return Err(
            "only the host and the port can be given, as in http://127.0.0.1:3000".to_owned(),
        );
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, CommandFactory, Parser, error::ErrorKind};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn error(arguments: &[&str]) -> clap::Error {
        Cli::try_parse_from([&["nodes"], arguments].concat())
            .err()
            .unwrap()
    }

    #[test]
    fn wrong_arguments_exit_with_2_and_say_which() {
        for (arguments, named) in [
            (&["--type", "4"][..], "--type"),
            (&["--requests", "0"], "--requests"),
            (&["--parallel", "many"], "--parallel"),
            (&["--url", "ftp://x"], "--url"),
            (&["--url", "127.0.0.1:3000"], "--url"),
            (&["--url", "http://127.0.0.1:3000/prefix"], "--url"),
            (&["--url", "http://me@127.0.0.1:3000"], "--url"),
            (&["--email", ""], "--email"),
            (&["--password", ""], "--password"),
            (&["--callback", ""], "--callback"),
            (&["--target", ""], "--target"),
            (&["--no-such"], "--no-such"),
        ] {
            let error = error(arguments);
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn help_shows_each_flag_with_its_variable_and_default() {
        let help = Cli::command().render_long_help().to_string();
        let command = Cli::command();
        let flags: Vec<_> = command
            .get_arguments()
            .filter(|flag| flag.get_long() != Some("help"))
            .collect();
        assert!(flags.len() > 10);
        for flag in flags {
            let variable = flag.get_env().unwrap().to_str().unwrap();
            assert!(variable.starts_with("TRAWL_NODES_"), "{variable}");
            assert!(help.contains(variable), "{variable}");
            for default in flag.get_default_values() {
                let default = default.to_str().unwrap();
                let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
                assert!(is_switch || help.contains(default), "{variable}: {default}");
            }
        }
        assert_eq!(error(&["--help"]).kind(), ErrorKind::DisplayHelp);
    }

    #[test]
    fn each_connection_is_a_file() {
        let cli = Cli::try_parse_from(["nodes", "--parallel", "10000"]).unwrap();
        assert!(cli.args.open_files() > 10_000);
    }

    #[test]
    fn targets_may_be_repeated() {
        let cli = Cli::try_parse_from(["nodes", "--target", "a", "--target", "b"]).unwrap();
        assert_eq!(cli.args.targets, ["a", "b"]);
    }
}
